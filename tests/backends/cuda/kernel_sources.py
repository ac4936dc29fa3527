"""Where the kernels come from that both routes have to compile: ops with their gradients, steps."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

import numpy as np

import graphc as gx
from graphc.errors import GraphcError
from graphc.ir import ops
from graphc.ir.ops.base import Op
from graphc.testing.cases import Case, cases_of
from graphc_cuda.device.program import Program
from graphc_cuda.plan_launches import plan_launches
from tests.backends.cuda.networks import NETWORKS
from tests.benchmarks import embedding, ours
from tests.benchmarks.workloads import WORKLOADS
from tests.replay.models import model_cases

Source = tuple[str, Callable[[], Program | None]]
BATCH = 32  # where a step leaves it open
nn = gx.nn


def sources(kind: str) -> Iterator[Source]:
    """Names, and what makes the programs: kind is "ops", "models" or "workloads"."""
    yield from {"ops": op_sources, "models": model_sources, "workloads": workload_sources}[kind]()


# ------------------------------------------------------------------------- ops


def op_sources() -> Iterator[Source]:
    """Every case of every op with its gradient, in an order that no list decides."""
    kinds = {value for value in vars(ops).values() if isinstance(value, type)}
    found = [c for kind in kinds if issubclass(kind, Op) for c in cases_of(kind)]
    for case in sorted(found, key=lambda c: (zlib.crc32(str(c).encode()), str(c))):
        yield str(case), lambda case=case: op_program(case)  # type: ignore[misc]


def op_program(case: Case) -> Program | None:
    """The kernels of a case and of its gradient; None where no kernel is needed."""
    inputs, result = case.tensors(case.arrays())
    outputs = [("y", result)]
    floats = [t for t in inputs if t.dtype.is_float]
    if result.dtype.is_float and floats:
        rng = np.random.default_rng(case.seed)
        weights = rng.standard_normal([int(s) for s in result.shape])
        try:
            gradients = gx.grad(gx.sum(result * weights), floats, unreachable="zero")
        except GraphcError:
            gradients = []
        outputs += [(f"g{i}", g) for i, g in enumerate(gradients)]
    return program_of(gx.compile(inputs, dict(outputs), name="case"))


def program_of(function: gx.CompiledFunction) -> Program | None:
    """The device program of a compiled function."""
    dims = dict.fromkeys(function.program.dims, BATCH)
    program = plan_launches(function.program, dims).program
    return program if program.kernels else None


# ----------------------------------------------------------------------- steps


def model_sources() -> Iterator[Source]:
    """Small steps of every kind."""
    for name, make in NETWORKS.items():
        yield name, lambda make=make: program_of(make())  # type: ignore[misc]
    for name, build in model_cases(quick=False):
        yield name, lambda build=build: _built(build)  # type: ignore[misc]


def _built(build: Callable[[], object]) -> Program | None:
    made = build()
    return program_of(made) if isinstance(made, gx.CompiledFunction) else None


def workload_sources() -> Iterator[Source]:
    """What is measured beside other frameworks, at the sizes at which it is."""
    for name, workload in WORKLOADS.items():
        yield name, lambda w=workload: program_of(ours.build(w, None))  # type: ignore[misc]
    for make in (word2vec, resnet20, lstm, gpt):
        yield make.__name__, lambda make=make: program_of(make())  # type: ignore[misc]
    for make, low in ((resnet20, "bf16"), (resnet20, "tf32"), (gpt, "bf16"), (gpt, "fp16")):
        yield f"{make.__name__} {low}", lambda make=make, low=low: _in_precision(make, low)  # type: ignore[misc]


def _in_precision(make: Callable[[], gx.CompiledFunction], low: str) -> Program | None:
    with gx.precision(low):
        return program_of(make())


def word2vec() -> gx.CompiledFunction:
    """Sampled softmax, Adagrad on two tables."""
    sizes = (embedding.BATCH, embedding.BATCH, embedding.NEGATIVES)
    center, context, negatives = (
        gx.input(f"words{i}", (size,), dtype="int32") for i, size in enumerate(sizes)
    )
    shape = (embedding.ROWS, embedding.WIDTH)
    words, contexts = (
        gx.parameter(name, value=np.zeros(shape, np.float32)) for name in ("words", "contexts")
    )
    e = words[center]
    true = gx.sum(e * contexts[context], axis=1, keepdims=True)
    logits = gx.concat([true, e @ contexts[negatives].T], axis=1)
    labels = gx.zeros((embedding.BATCH,), "int32")
    loss = nn.softmax_cross_entropy(logits, labels).mean()
    updates = gx.optim.Adagrad(embedding.RATE).minimize(loss)
    return gx.compile([center, context, negatives], {"loss": loss}, updates)


def _convolution(x: gx.Tensor, filters: int, size: int, strides: int = 1) -> gx.Tensor:
    layer = nn.Conv2D(filters, size, strides, "same", use_bias=False)
    return nn.BatchNorm()(layer(x))


def resnet20() -> gx.CompiledFunction:
    """Three stages of three residual blocks on pictures of 32 by 32."""
    x, labels = gx.input("x", (128, 32, 32, 3)), gx.input("labels", (128,), dtype="int32")
    y = nn.relu(_convolution(x, 16, 3))
    for stage in range(3):
        for i in range(3):
            strides = 2 if stage and not i else 1
            filters = 16 << stage
            inner = nn.relu(_convolution(y, filters, 3, strides))
            short = y if strides == 1 else _convolution(y, filters, 1, strides)
            y = nn.relu(_convolution(inner, filters, 3) + short)
    logits = nn.Dense(10)(nn.global_avg_pool(y))
    loss = nn.softmax_cross_entropy(logits, labels).mean()
    updates = gx.optim.SGD(0.1, momentum=0.9).minimize(loss)
    return gx.compile([x, labels], {"loss": loss}, updates)


def lstm() -> gx.CompiledFunction:
    """A loop over 16 steps of 64 sequences, 128 wide."""
    x, labels = gx.input("x", (64, 16, 64)), gx.input("labels", (64,), dtype="int32")
    logits = nn.Dense(10)(nn.LSTM(128)(x))
    loss = nn.softmax_cross_entropy(logits, labels).mean()
    updates = gx.optim.Adam(1e-3).minimize(loss, clip_norm=1.0)
    return gx.compile([x, labels], {"loss": loss}, updates)


def gpt() -> gx.CompiledFunction:
    """Two blocks of causal attention, 128 wide, over 64 tokens."""
    tokens, targets = (gx.input(name, (8, 64), dtype="int32") for name in ("tokens", "targets"))
    y = nn.Embedding(256, 128)(tokens) + nn.Embedding(64, 128)(gx.arange(64))
    for _ in range(2):
        z = nn.LayerNorm()(y)
        q, k, v = (
            gx.swapaxes(gx.reshape(nn.Dense(128)(z), (8, 64, 4, 32)), 1, 2) for _ in range(3)
        )
        seen = nn.scaled_dot_product_attention(q, k, v, is_causal=True)
        y = y + nn.Dense(128)(gx.reshape(gx.swapaxes(seen, 1, 2), (8, 64, 128)))
        y = y + nn.Dense(128)(nn.Dense(512, activation="gelu")(nn.LayerNorm()(y)))
    loss = nn.softmax_cross_entropy(nn.Dense(256)(nn.LayerNorm()(y)), targets).mean()
    updates = gx.optim.AdamW(1e-3).minimize(loss, clip_norm=1.0)
    return gx.compile([tokens, targets], {"loss": loss}, updates)
