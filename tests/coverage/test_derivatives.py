"""What courses say of derivatives, by their own examples."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import graphc as gx
from graphc.testing import assert_close
from tests.coverage.compute import gradients, value

RNG = np.random.default_rng(0)


def test_two_ways_to_one_value_add_up() -> None:
    """(a b) + b: the slope by b is a + 1."""
    a, b = 3.0, -2.0
    assert [float(g) for g in gradients(lambda a, b: a * b + b, a, b)] == [b, a + 1]
    assert [float(g) for g in gradients(lambda a, b: (a + b) * (b + 1), a, b)] == [
        b + 1,
        a + 2 * b + 1,
    ]


def test_half_a_squared_length_has_the_gradient_x() -> None:
    x = RNG.normal(size=7)
    assert_close(gradients(lambda x: 0.5 * (x * x).sum(), x)[0], x, tolerance="ulps", each=True)
    assert_close(gradients(lambda x: 0.5 * gx.linalg.norm(x) ** 2, x)[0], x, each=True)


def worked(scale: float) -> Any:
    """2 / sin(e^-x), with the sine of an angle that is 1 / scale of a radian."""
    return lambda x: 2.0 / gx.sin(gx.exp(-x) * scale)


def test_the_worked_example_in_degrees_and_in_radians() -> None:
    """At x = -4.499, where e^-x is 89.93: nearly a right angle in degrees."""
    x = -4.499
    for scale in (math.pi / 180, 1.0):
        angle = math.exp(-x) * scale
        y, slope = float(value(worked(scale), x)), float(gradients(worked(scale), x)[0])
        assert_close(y, 2 / math.sin(angle))
        # 2/c: -2/c^2; sine: cosine; e^t: itself; -x: -1
        assert_close(slope, -2 / math.sin(angle) ** 2 * math.cos(angle) * scale * -math.exp(-x))
        assert (f"{y:.4f}" == "2.0000") == (scale != 1.0)


def test_a_weight_that_is_used_at_every_step_gathers_all_slopes() -> None:
    """Of a loop: the sum over copies of the weight, each used once."""
    xs, start = RNG.normal(size=(4, 3)), RNG.normal(size=(3, 3)) / 2

    def looped(w: Any) -> Any:
        return gx.scan(lambda h, x: (gx.tanh(w @ h + x), None), gx.zeros(3, "float64"), xs)[0]

    def unrolled(*copies: Any) -> Any:
        h = gx.zeros(3, "float64")
        for w, x in zip(copies, xs):
            h = gx.tanh(w @ h + x)
        return h

    (shared,) = gradients(looped, start)
    each = gradients(unrolled, *[start] * 4)
    assert_close(shared, sum(each))
    assert all(np.abs(g).sum() > 0 for g in each[1:])


def test_the_backward_half_of_a_step_is_a_graph_beside_the_first() -> None:
    w, x = gx.parameter("w", (3, 2)), gx.input("x", ("batch", 3))
    loss = (gx.sigmoid(x @ w) ** 2).mean()
    step = gx.compile([x], loss, gx.optim.SGD(0.1).minimize(loss))
    drawn = step.dot(stage="differentiated")
    assert all(part in drawn for part in ("forward", "backward", "update"))
    assert "backward" not in step.dot(stage="defined")


def test_kept_values_are_what_memory_grows_by() -> None:
    """The backward half of a deep network needs the values of the forward half."""
    x = gx.input("x", (64, 256))
    net = gx.nn.Sequential([gx.nn.Dense(256, "tanh") for _ in range(6)])
    loss = (net(x) ** 2).mean()
    step = gx.compile([x], loss, gx.optim.SGD(0.1).minimize(loss))
    forward = gx.compile([x], loss, mode="inference")
    assert step.memory.saved_bytes >= 5 * 64 * 256 * 4
    assert step.memory.arena_bytes > 1.8 * forward.memory.arena_bytes


def test_a_curvature_takes_two_gradients_and_no_matrix() -> None:
    """A product with the Hessian of a hundred thousand numbers, whose matrix had 80 GB."""
    w = gx.parameter("w", value=np.linspace(-1, 1, 100_000))
    loss = gx.sum(w**4) / 12.0 + 0.5 * gx.sum(w) ** 2
    v = RNG.normal(size=100_000)
    found = gx.compile([], gx.hvp(loss, w, gx.constant(v)))()
    assert_close(found, w.value**2 * v + v.sum(), tolerance="sums")
