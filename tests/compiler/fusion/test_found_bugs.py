"""Where kernels find their values: bugs that random graphs have found."""

from __future__ import annotations

import numpy as np
import pytest

import graphc as gx
from graphc.compiler import pipeline
from graphc.frontend.tensor import lift_op
from graphc.ir.ops.reduce import FirstMax
from graphc.ir.ops.view import Pad
from graphc.testing import assert_close


def test_a_scatter_does_not_overwrite_what_it_adds() -> None:
    # The sum of rows begins with a zero: what is added must not lie at the same place.
    t = gx.parameter("t", value=np.array([0.25], np.float32))
    x = gx.input("x", (1,))
    rows = gx.constant(np.array([0, -1, -1, 0, -1], np.int16))
    taken = gx.take(gx.tanh(t * x), rows, axis=0)
    loss = gx.sum(gx.tanh(gx.sum(taken, axis=0, keepdims=True) * 0.125))
    y = np.tanh(0.25 * 2.0)
    expected = (1 - np.tanh(5 * y / 8) ** 2) * 5 / 8 * (1 - y**2) * 2.0
    step = gx.compile([x], gx.grad(loss, t))
    assert_close(step(np.array([2.0], np.float32)), [expected])


def test_the_only_element_of_a_sum_is_one_whatever_index_finds_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pipeline, "GRAPH_PASSES", ())  # they would see that nothing is padded
    x = gx.input("x", (1, 5))
    spread = lift_op(Pad((0,), (0,), (2,)), gx.tanh(gx.sum(x, axis=1)))
    text = gx.compile([x], gx.tanh(spread)).text("fused")
    assert text.count("sum sum= x[0, i]") == 1
    assert text.count("x[") == 1


def test_a_reduction_without_elements_asks_for_none() -> None:
    x = gx.input("x", (2, 0, 3))
    y = gx.exp(x - gx.max(x, axis=2, keepdims=True))
    step = gx.compile([x], [y, gx.reshape(y, (3, 0, 2))])
    assert [a.shape for a in step(np.zeros((2, 0, 3), np.float32))] == [(2, 0, 3), (3, 0, 2)]


def one_number(kind: str) -> gx.Tensor:
    """A tensor of one element that no kernel stores."""
    if kind == "position":
        return gx.arange(1, dtype="float32")
    if kind == "flipped":
        return gx.flip(gx.arange(1, dtype="float32"))
    return gx.random.uniform((1,) if kind == "drawn" else (), name=kind)


@pytest.mark.parametrize("kind", ["position", "flipped", "drawn", "scalar_drawn"])
@pytest.mark.parametrize("shape", [(2, 3, 7), ("n", 3), (1, 1)])
def test_one_number_spread_over_a_flat_loop(kind: str, shape: tuple[int | str, ...]) -> None:
    x = gx.input("x", shape)
    ones = (1,) * len(shape)
    y = x + gx.broadcast_to(gx.reshape(one_number(kind), ones), x.shape)
    data = np.arange(np.prod([2 if s == "n" else int(s) for s in shape]), dtype=np.float32)
    data = data.reshape([2 if s == "n" else int(s) for s in shape])
    native = gx.compile([x], y, name="native")(data)
    oracle = gx.compile([x], y, target="interpret", name="native")(data)
    np.testing.assert_array_equal(native, oracle)


def test_the_first_largest_of_no_axes_is_every_element() -> None:
    x = gx.input("x", (2, 3, 7))
    slope = gx.grad(gx.sum(3 * lift_op(FirstMax(()), x)), x)
    data = np.ones((2, 3, 7), np.float32)
    np.testing.assert_array_equal(gx.compile([x], slope)(data), 3 * data)
