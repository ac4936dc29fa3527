"""Loops that end when the device says so: their gradients go back as many steps as there were."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc_cuda.launch import DynamicLoop
from graphc_cuda.plan_launches import plan_launches
from tests.backends.cuda.stepwise import same_bits

Made = tuple[list[gx.Tensor], list[gx.Tensor]]


def _inputs() -> tuple[gx.Tensor, gx.Tensor]:
    return gx.input("x", (), dtype="float64"), gx.input("a", (3,), dtype="float64")


def _grown(x: gx.Tensor, a: gx.Tensor) -> gx.Tensor:
    """Sums of a vector that the steps turn, until they are large."""
    last: dict[str, Any] = gx.while_loop(
        lambda c: c["s"] < 10.0,
        lambda c: {"s": c["s"] * x + a.sum(), "v": gx.sin(c["v"]) * x + a},
        {"s": x * x, "v": a * 2.0},
        max_steps=9,
    )
    result: gx.Tensor = last["s"] * (last["v"] ** 2).sum()
    return result


def _gradient() -> Made:
    x, a = _inputs()
    y = _grown(x, a)
    return [x, a], [y, *gx.grad(y, [x, a])]


def _second() -> Made:
    x, a = _inputs()
    first = gx.grad(_grown(x, a), [x])[0]
    return [x, a], [first, *gx.grad(first, [x, a])]


def _in_a_scan() -> Made:
    x, a = _inputs()
    last, ys = gx.scan(lambda c, row: (c + 0.1 * gx.tanh(_grown(c, a * row)), c), x, a + 1.0)
    y = last + ys.sum()
    return [x, a], [y, *gx.grad(y, [x, a])]


def _in_a_loop() -> Made:
    x, a = _inputs()
    y = gx.while_loop(
        lambda c: c < 6.0, lambda c: c + 1.0 + 0.01 * gx.tanh(_grown(x, a + c)), x, max_steps=6
    )
    return [x, a], [y, *gx.grad(y, [x, a])]


MODELS: dict[str, Callable[[], Made]] = {
    "gradient": _gradient, "second": _second, "in_a_scan": _in_a_scan, "in_a_loop": _in_a_loop
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_after_any_number_of_steps(name: str) -> None:
    on_cpu, simulated = (
        gx.compile(*MODELS[name](), name=name, target=target) for target in ("cpu", "cuda-simulate")
    )
    for x in (4.0, 2.6, 2.5, 1.7, 1.4, 1.3):  # none, one, a few, many
        values = (x, np.array([0.1, 0.2, -0.05]))
        for found, wanted in zip(simulated(*values), on_cpu(*values)):
            same_bits(np.asarray(found), np.asarray(wanted), f"{name}: x={x}")


def test_what_is_left_and_what_takes_turns_say_where() -> None:
    program = gx.compile(*_gradient()).program
    loops = [n for n in plan_launches(program, {}).nodes if isinstance(n, DynamicLoop)]
    assert [(n.most, n.turns, len(n.iterations)) for n in loops] == [(9, 0, 9), (9, 2, 18)]
    back = loops[1]
    ends = [back.iteration(steps - 1, steps) for steps in (2, 4, 6, 8)]
    assert all(nodes is ends[0] and nodes for nodes in ends)
    assert back.iteration(0, 3) is not back.iteration(0, 4)
