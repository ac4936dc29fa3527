"""A step runs on several threads where sharing saves more than meeting at barriers costs."""

from __future__ import annotations

from typing import Any

import pytest

import graphc as gx
from graphc_llvm.cost import choose_threads, count_barriers


def loop(width: int, length: int) -> Any:
    x = gx.input("x", (width, width))
    last, _ = gx.scan(lambda c, _: (gx.tanh(c @ x), None), x, length=length)
    return gx.compile([x], last, threads=2)


@pytest.mark.parametrize(("width", "threads"), [(2, 1), (256, 2)])
def test_iterations_must_be_worth_a_meeting(width: int, threads: int) -> None:
    function = loop(width, 1000)
    function.specialize()
    assert {kernel.threads for kernel in function.kernels} <= {1, threads}
    assert max(kernel.threads for kernel in function.kernels) == threads


def test_meetings_of_every_iteration_count() -> None:
    schedules = [loop(4, n).program.schedule for n in (10, 20)]
    few, many = (count_barriers(s.calls, s.barriers, {}) for s in schedules)
    assert many - few >= 10
    assert (many - few) % 10 == 0


def test_choice() -> None:
    assert choose_threads(1e-3, 10, 4) == 4
    assert choose_threads(1e-3, 10_000, 4) == 1
    assert choose_threads(1e-6, 0, 4) == 1
    assert choose_threads(1.0, 0, 1) == 1
