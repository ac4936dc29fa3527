"""Some fixed seeds of the net of text sizes, and what it has found: 130 was over the bound."""

from __future__ import annotations

import pytest

import graphc as gx
from graphc import nn
from graphc.ir.loops.ir import Kernel
from graphc_llvm import emit_kernel, emit_limit
from graphc_llvm.target import make_target
from tests.fuzz import text_size

EACH = 8000  # bytes of text for every node of these networks; 96,000 where it went wrong


@pytest.mark.parametrize("seed", [*range(1, 41), 130])
def test_text_size(seed: int) -> None:
    assert text_size.check(seed) in ("within", "refused")


def check_step(step: gx.CompiledFunction) -> None:
    kernels = step.program.schedule.kernels
    for name in ("avx512", "avx2"):
        target = make_target(name)
        for sizes in (None, {"N": 4}):
            for kernel in kernels:
                text_size.check_kernel(kernel, target, sizes)
            length = text_size.total_bytes(step, target, sizes)
            assert length < EACH * len(step.program.optimized.nodes)


def test_sums_over_the_axes_around_a_short_one() -> None:
    x = gx.input("x", ("N", 8, 5, 3))
    functions = (lambda t: t, gx.square, gx.exp, gx.sin)
    check_step(gx.compile([x], [gx.sum(f(x), axis=(0, 2, 3)) for f in functions]))


@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
def test_a_network_of_normalisations(layout: str) -> None:
    x = gx.input("x", ("N", 8, 5, 3) if layout == "channels_first" else ("N", 5, 3, 8))
    h = x
    for groups in (4, 8, 1):
        h = nn.relu(nn.GroupNorm(groups, layout=layout)(h))
        h = nn.BatchNorm(layout=layout)(h * h)
    h = nn.layer_norm(h, axis=(1, 2, 3))
    loss = gx.mean(gx.square(h))
    check_step(gx.compile([x], loss, gx.optim.SGD(0.1).minimize(loss)))


def test_a_kernel_that_is_too_long_is_unrolled_less(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = gx.input("x", ("N", 8, 5, 3))
    step = gx.compile([x], gx.sum(gx.exp(gx.sin(x)), axis=(0, 2)))
    kernel = step.program.schedule.kernels[-1]
    target, tried = make_target("avx512"), []

    def most(_: Kernel) -> int:
        return tried.append(1) or 60

    usual = emit_kernel.emit_kernel(kernel, target, None)
    monkeypatch.setattr(emit_kernel, "max_lines", most)
    short = emit_kernel.emit_kernel(kernel, target, None)
    assert tried == [1]
    assert len(short.module()) <= len(usual.module())
    last = emit_limit.UNROLL_BUDGETS[-1]
    least = emit_kernel._emit(kernel, target, None, None, last, None)
    assert short.module() == least.module()
