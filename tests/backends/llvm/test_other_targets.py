"""Whole steps made for other instruction sets: the same numbers, and no library.

In process for the older instruction sets of this machine; as programs without any library, under
an emulator, for other machines.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.ir.schedule import OUTPUT, PARAMETER
from graphc_llvm.emit_program import emit_program
from graphc_llvm.runtime.session import compile_text, host
from graphc_llvm.target import Target, host_target, make_target
from tests.backends.llvm.freestanding import Standalone, missing_tools
from tests.backends.llvm.native import undefined_symbols
from tests.networks import FEATURES, data, mlp_step
from tests.tolerances import OTHER_PROCESSORS

Array = np.ndarray[Any, Any]
STEPS, BATCH = 3, 33
FUSED = ("avx512", "avx2", "neon")
UNFUSED = ("baseline", "riscv64")
needs_x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="needs an x86-64")


def mlp() -> tuple[Any, list[Array]]:
    """Contractions with epilogues, dropout, softmax, tanh and Adam."""
    return mlp_step(threads=1), list(data(BATCH))


def mixture() -> tuple[Any, list[Array]]:
    """Short floats, float64, integers, gathers, normal variates, elementary functions."""
    gx.seed(3)
    x = gx.input("x", ("batch", FEATURES))
    t = gx.input("t", ("batch",), dtype="int32")
    table = gx.parameter("table", (7, 16), init=gx.init.normal(1.0))
    w = gx.parameter("w", (FEATURES, 16), init=gx.init.normal(0.2))
    short = gx.astype(gx.take(table, t, axis=0), "bfloat16") + gx.astype(x @ w, "bfloat16")
    h = gx.nn.layer_norm(gx.astype(short, "float32") + gx.random.normal(short.shape), axis=-1)
    half = gx.astype(gx.astype(gx.erf(h) * 3.0, "float16"), "float64")
    wide = gx.sum(gx.log1p(gx.exp(half)) * gx.sin(half) + gx.cos(half) ** 3, axis=-1)
    loss = gx.mean(gx.astype(wide, "float32") ** 2)
    best = gx.argmax(h, axis=-1) * gx.astype(t, "int64") // 3
    updates = gx.optim.SGD(1e-2, momentum=0.9).minimize(loss)
    step = gx.compile([x, t], {"loss": loss, "best": best, "half": half}, updates, threads=1)
    return step, list(data(BATCH))


def mathematics() -> tuple[Any, list[Array]]:
    """Factorisations with their gradients, Fourier transforms, special functions, sorts."""
    gx.seed(7)
    x, t = gx.input("x", ("batch", FEATURES)), gx.input("t", ("batch",), dtype="int32")
    w = gx.parameter("w", (6, 6), init=gx.init.normal(1.0))
    rows = x[:, :6]
    a = w.mT @ w + gx.eye(6)
    u, s, _ = gx.linalg.svd(w)
    values = gx.linalg.eigvalsh(gx.astype(a, "float64"))
    spectrum = gx.fft.rfft(gx.fft.irfft(gx.fft.rfft(x), 30))
    loss = gx.mean(gx.linalg.solve(a, rows.mT) ** 2) + gx.linalg.slogdet(a).logabsdet
    loss = loss + gx.sum(gx.astype(gx.log(values), "float32")) + gx.sum(s * u[0])
    loss = loss + gx.mean(gx.lgamma(gx.abs(rows) + 0.5) * gx.atan2(rows, w[0]) + gx.erfc(rows))
    drawn = gx.random.gamma((5,), 0.7) + gx.random.exponential((5,))
    outputs = {
        "loss": loss, "drawn": drawn, "power": spectrum.real**2 + spectrum.imag**2,
        "order": gx.argsort(x[:, 0]), "choice": gx.random.categorical(x), "kept": t,
        "quantile": gx.erfinv(gx.tanh(gx.astype(rows, "float64"))),
    }  # fmt: skip
    step = gx.compile([x, t], outputs, gx.optim.SGD(1e-2).minimize(loss), threads=1)
    return step, list(data(BATCH))


PROGRAMS = {"mlp": mlp, "mixture": mixture, "mathematics": mathematics}
Results = dict[str, Array]


def in_process(program: Callable[[], Any], target: Target | None = None) -> Results:
    """Outputs of the last step and parameters after all of them."""
    step, inputs = program()
    if target is not None:
        step.native.target = target
    for _ in range(STEPS):
        outputs = step(*inputs)
    values = {name: p.value for name, p in step.parameters.items()}
    return {name: np.asarray(v) for name, v in (outputs | values).items()}


def standalone(program: Callable[[], Any], target: Target, folder: Path) -> Results:
    """The same of a program without any library, for another machine."""
    step, inputs = program()
    alone = Standalone(step, target, inputs, {"batch": BATCH}, STEPS)
    assert not undefined_symbols(alone.code)
    found = alone.run(folder)
    results = {s.node.name: found[s] for s in found if s.role == PARAMETER}
    for (name, _), s in zip(step.graph.outputs, step.program.schedule.outputs):
        assert s.role == OUTPUT
        results[name] = found[s]
    return results


def older(name: str) -> Target:
    """A target of this machine's architecture, to run in this process."""
    return replace(make_target(name), triple=host().triple)


def same_class(name: str) -> bool:
    """Whether a target rounds products like this machine."""
    return make_target(name).has_fma == host_target().has_fma


def compare(mine: Mapping[str, Array], other: Mapping[str, Array], bits: bool) -> None:
    """Equal bits, or equal up to the rounding of products."""
    assert mine.keys() == other.keys()
    for name, value in mine.items():
        given = other[name].reshape(value.shape)
        if bits or value.dtype.kind not in "f":
            assert given.tobytes() == value.tobytes(), name
        else:
            np.testing.assert_allclose(given, value, **OTHER_PROCESSORS, err_msg=name)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("name", ["neon", "riscv64", "baseline"])
def test_another_machine_computes_the_same(name: str, program: str, tmp_path: Path) -> None:
    target = make_target(name)
    reason = missing_tools(target)
    if reason is not None:
        pytest.skip(reason)
    results = standalone(PROGRAMS[program], target, tmp_path)
    compare(in_process(PROGRAMS[program]), results, same_class(name))
    if name in UNFUSED and platform.machine() == "x86_64":
        unfused = in_process(PROGRAMS[program], older("baseline"))
        compare(unfused, results, bits=True)


@needs_x86
@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("name", ["avx2", "baseline"])
def test_an_older_processor_computes_the_same(name: str, program: str) -> None:
    if name == "avx2" and not host_target().has_fma:
        pytest.skip("needs AVX2")
    results = in_process(PROGRAMS[program], older(name))
    compare(in_process(PROGRAMS[program]), results, same_class(name))


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("name", [*FUSED, *UNFUSED])
def test_code_for_all_sizes_needs_no_library(name: str, program: str) -> None:
    step, _ = PROGRAMS[program]()
    target = make_target(name)
    text = emit_program(step.program, target, None, freestanding=True).text
    assert not undefined_symbols(compile_text(text, target))
