"""The text of kernels stays within its bound: small shapes, all axes, all dtypes, all targets.

Reductions, norms with their gradients, pooling, running sums, sorts, products, joins and views over
shapes of 1 to 5 small axes of which any may be symbolic. Nothing is compiled to machine code: lines
are counted, for the generic and a specialised variant, and registers that they fill.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import graphc as gx
from graphc import nn
from graphc.frontend.tensor import Tensor
from graphc.ir.loops.ir import Kernel
from graphc.runtime.function import CompiledFunction
from graphc_llvm.emit_kernel import emit_kernel
from graphc_llvm.emit_limit import max_lines
from graphc_llvm.target import Target, make_target

SIZES = (1, 2, 3, 4, 5, 7, 8, 16, 17, "N", "M")
DTYPES = (
    "float32", "float32", "float64", "float16", "bfloat16", "int32", "int8", "uint64", "bool",
)  # fmt: skip
TARGETS = ("avx512", "avx2", "baseline", "neon", "wasm32")
DIMS = {"N": 6, "M": 3}
WIDE = 6  # registers that a line fills, on average
LANES = re.compile(r"<(\d+) x (\w+)>")
BITS = {"double": 64, "float": 32, "half": 16, "bfloat": 16, "ptr": 64, "i64": 64, "i32": 32}


def check(seed: int) -> str:
    """Draw one program and count the lines of all its kernels."""
    rng = np.random.default_rng((seed, 11))
    target = make_target(TARGETS[seed % len(TARGETS)])
    step = drawn(rng)
    if step is None:
        return "refused"
    for kernel in step.program.schedule.kernels:
        for sizes in (None, DIMS):
            check_kernel(kernel, target, sizes)
    return "within"


def check_kernel(kernel: Kernel, target: Target, sizes: dict[str, int] | None) -> None:
    """Assert the bounds of one kernel."""
    text = "".join(emit_kernel(kernel, target, sizes).functions)
    lines, most = text.count("\n"), max_lines(kernel)
    assert lines <= most, f"{kernel.name}: {lines} lines, {most} allowed"
    filled = sum(registers(line, target) for line in text.split("\n"))
    assert filled <= WIDE * most, f"{kernel.name}: {filled} registers in {lines} lines"


def registers(line: str, target: Target) -> int:
    """How many registers the widest vector of a line fills."""
    found = (int(n) * BITS.get(kind, 8) for n, kind in LANES.findall(line))
    return max(1, max(found, default=0) // target.vector_bits)


def drawn(rng: np.random.Generator) -> CompiledFunction | None:
    """A program over one input and what it is made of; None where it may not be."""
    shape = tuple(SIZES[k] for k in rng.integers(len(SIZES), size=rng.integers(1, 6)))
    dtype = DTYPES[rng.integers(len(DTYPES))]
    x = gx.input("x", shape, dtype=dtype)
    values = [v for _ in range(int(rng.integers(1, 4))) if (v := value(rng, x)) is not None]
    if not values:
        return None
    floats = [gx.mean(gx.square(v)) for v in values if v.dtype.is_float]
    if floats and x.dtype.is_float and rng.random() < 0.6:
        total = floats[0]
        for each in floats[1:]:
            total = total + gx.astype(each, total.dtype)
        values.append(gx.grad(total, x, unreachable="zero"))
    return gx.compile([x], values)


def value(rng: np.random.Generator, x: Tensor) -> Tensor | None:
    """Something of x, or of a function of it; None where that is not defined."""
    try:
        y = x
        if x.dtype.is_float and rng.random() < 0.5:
            y = (gx.exp(x), gx.sin(x), x * x, gx.tanh(x) + 1.0)[rng.integers(4)]
        if y.ndim > 1 and rng.random() < 0.4:
            y = gx.permute_dims(y, tuple(int(a) for a in rng.permutation(y.ndim)))
        steps = tuple(reduced(rng, y)) + tuple(shaped(rng, y))
        if x.dtype.is_float:
            steps += tuple(normed(rng, y))
        return steps[rng.integers(len(steps))]()
    except gx.errors.GraphcError:
        return None


Step = Callable[[], Tensor]


def axes_of(rng: np.random.Generator, x: Tensor) -> tuple[int, ...]:
    """Some axes, at least one."""
    chosen = tuple(a for a in range(x.ndim) if rng.random() < 0.5)
    return chosen or (int(rng.integers(x.ndim)),)


def reduced(rng: np.random.Generator, x: Tensor) -> Iterator[Step]:
    """Sums, extremes and their places."""
    axes = axes_of(rng, x)
    numbers = x if x.dtype.kind != "b" else gx.astype(x, "int32")
    yield lambda: gx.sum(numbers, axis=axes)
    yield lambda: gx.sum(numbers, axis=axes)
    yield lambda: gx.max(numbers, axis=axes)
    yield lambda: gx.argmin(numbers, axis=axes[0])
    yield lambda: gx.var(gx.astype(numbers, "float32"), axis=axes)
    yield lambda: gx.prod(numbers, axis=axes)
    yield lambda: gx.any(x != 0, axis=axes)


def shaped(rng: np.random.Generator, x: Tensor) -> Iterator[Step]:
    """Running sums, sorts, joins, views, gathers."""
    axis = axes_of(rng, x)[0]
    numbers = x if x.dtype.kind != "b" else gx.astype(x, "int32")
    widths = [(int(a), int(b)) for a, b in rng.integers(0, 3, (x.ndim, 2))]
    yield lambda: gx.cumulative_sum(numbers, axis=axis)
    yield lambda: gx.cumulative_prod(numbers, axis=axis)
    yield lambda: gx.sort(numbers, axis=axis)
    yield lambda: gx.concat([x, gx.flip(x, axis=axis)], axis=axis)
    yield lambda: gx.pad(x, widths) + x.dtype.numpy.type(0) if x.dtype.kind != "b" else x
    yield lambda: gx.take(x, gx.constant(np.zeros(3, int)), axis=axis)
    yield lambda: gx.reshape(gx.swapaxes(x, 0, axis), (-1,))
    yield lambda: gx.repeat(gx.flip(x, axis=axis), 3, axis=axis)


def normed(rng: np.random.Generator, x: Tensor) -> Iterator[Step]:
    """Normalisations, softmaxes, pooling and products."""
    axes = axes_of(rng, x)
    window = (2,) * (x.ndim - 2)
    yield lambda: nn.layer_norm(x, axis=axes)
    yield lambda: nn.rms_norm(x, axis=axes)
    yield lambda: nn.batch_norm(x, axis=axes[-1])
    yield lambda: nn.group_norm(x, 2, axis=axes[-1])
    yield lambda: nn.softmax(x, axis=axes[0])
    yield lambda: gx.logsumexp(x, axis=axes)
    yield lambda: nn.avg_pool(x, window)
    yield lambda: nn.max_pool(x, window, padding="same", layout="channels_first")
    yield lambda: gx.matmul(x, gx.swapaxes(x, -1, -2))
    yield lambda: gx.tensordot(x, x, (axes, axes))
    yield lambda: gx.linalg.vector_norm(x, axis=axes)


def total_bytes(step: CompiledFunction, target: Target, sizes: dict[str, int] | None) -> int:
    """The length of the text of all kernels."""
    kernels: Any = step.program.schedule.kernels
    return sum(len(f) for k in kernels for f in emit_kernel(k, target, sizes).functions)
