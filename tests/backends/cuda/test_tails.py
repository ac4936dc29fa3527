"""What follows the sums of columns has a nest of its own: the interpreter's bits, and its text."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import graphc as gx
from graphc.ir.loops.ir import Kernel
from graphc.ir.loops.kernel_printer import kernel_text
from graphc_cuda.launch import KernelNode
from graphc_cuda.lower import mapping, pieces, tails
from graphc_cuda.lower.tails import spread_tails
from graphc_cuda.plan_launches import plan_launches
from graphc_cuda.sectors import sector_ratio
from tests.backends.cuda.executors import HAS_GREENLET
from tests.backends.cuda.kernel_runs import check_kernel


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few points are worth a launch."""
    monkeypatch.setattr(mapping, "SMALL", 0)
    monkeypatch.setattr(tails, "MIN_POINTS", 1)
    monkeypatch.setattr(pieces, "MIN_STEPS", 1)


def centered(x: gx.Tensor) -> gx.Tensor:
    """Columns without their means."""
    return x - gx.mean(x, axis=tuple(range(x.ndim - 1)), keepdims=True)


def normed(x: gx.Tensor) -> gx.Tensor:
    """Columns with mean 0 and variance 1."""
    y = centered(x)
    axes = tuple(range(x.ndim - 1))
    return gx.nn.relu(y / gx.sqrt(gx.mean(y * y, axis=axes, keepdims=True) + 1e-5))


def kernels(make: Callable[[gx.Tensor], gx.Tensor], shape: tuple[int, ...]) -> tuple[Kernel, ...]:
    """Those of a function of one input."""
    x = gx.input("x", shape)
    return tuple(gx.compile([x], make(x), target="cuda-simulate").program.schedule.kernels)


@pytest.mark.parametrize("shape", [(70, 520), (5, 4, 3, 33), (3, 300, 9)])
@pytest.mark.parametrize("make", [centered, normed])
def test_bits(small: None, make: Callable[[gx.Tensor], gx.Tensor], shape: tuple[int, ...]) -> None:
    for kernel in kernels(make, shape):
        check_kernel(kernel, {})
        if HAS_GREENLET and shape[-1] == 33:
            check_kernel(kernel, {}, executor="threads", seed=2)


def test_a_step_with_batch_norms(small: None) -> None:
    x, dy = gx.input("x", (4, 5, 6, 3)), gx.input("dy", (4, 5, 6, 40))
    layers = [gx.nn.Conv2D(40, 1, use_bias=False), gx.nn.Conv2D(40, 1, use_bias=False)]
    h = gx.nn.relu(gx.nn.BatchNorm()(layers[0](x)) + gx.nn.BatchNorm()(layers[1](x)))
    loss = (h * dy).mean()
    step = gx.compile([x, dy], loss, gx.optim.SGD(0.1).minimize(loss), target="cuda-simulate")
    changed = 0
    for kernel in step.program.schedule.kernels:
        check_kernel(kernel, {})
        changed += spread_tails(kernel, {}) is not kernel
    assert changed


def test_rows_of_neighbours_stay_whole(small: None) -> None:
    for kernel in kernels(gx.nn.softmax, (40, 300)):
        assert spread_tails(kernel, {}) is kernel


def test_neighbours_are_read_together() -> None:
    x = gx.input("x", (64, 14, 14, 256))
    f = gx.compile([x], normed(x), target="cuda-simulate")
    plan = plan_launches(f.program, {}, merge=False)
    found = [sector_ratio(n) for n in plan.nodes if isinstance(n, KernelNode)]
    assert len(found) >= 3
    assert all(r is not None and r <= 1.05 for r in found)


def test_the_kernel_can_be_read() -> None:
    (kernel,) = kernels(centered, (256, 512))
    assert kernel_text(spread_tails(kernel, {})).partition("\n")[2] == (
        """  scratch multiply_at f32[512]
  parallel lanes i < 512
    sequential j < 256; sum: sum
      sum sum= x[j, i]
    multiply = sum * 0.00390625
    multiply_at[i] = multiply
  parallel j < 256
    parallel lanes i < 512
      subtract = x[j, i] - multiply_at[i]
      out_output[j, i] = subtract
"""
    )
