"""Python numbers as first or next carries and as results of branches: they take what fits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import DTypeError, ShapeError
from graphc.frontend.tensor import Tensor

ROWS = np.array([1.0, 2.0, 4.0])


def rows(dtype: str) -> Tensor:
    return gx.input("rows", (3,), dtype)


@pytest.mark.parametrize("checkpoint", [None, 2])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("start", [0.0, 0, -1, 2**30])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64"])
def test_a_number_becomes_what_the_body_returns(
    dtype: str, start: Any, reverse: bool, checkpoint: Any
) -> None:
    x = rows(dtype)
    if dtype == "int64" and isinstance(start, float):
        with pytest.raises(DTypeError, match="no dtype holds both float32 and int64"):
            gx.scan(lambda c, r: (c + r, None), start, x)
        return
    options: Any = {"reverse": reverse, "checkpoint": checkpoint}
    total, _ = gx.scan(lambda c, r: (c + r, None), start, x, **options)
    assert total.dtype.name == dtype
    assert float(total.eval({x: ROWS.astype(dtype)})) == float(np.dtype(dtype).type(start + 7))


def test_numbers_that_fit_stay_what_they_were() -> None:
    x = rows("float64")
    (count, total), _ = gx.scan(lambda c, r: ((c[0] + 1, c[1] + r), None), (0, 0), x)
    assert [count.dtype.name, total.dtype.name] == ["int32", "float64"]
    half, _ = gx.scan(lambda c, r: (c + r, None), 0.0, rows("float16"))
    assert half.dtype.name == "float32"  # float32 and float16 make float32
    last, _ = gx.scan(lambda c, r: (r, None), 0.0, rows("float16"))
    assert last.dtype.name == "float16"


def test_numbers_settle_through_each_other() -> None:
    s = gx.input("s", (), "float64")
    last, _ = gx.scan(lambda c, _: ((c[1], c[2], c[0] + s), None), (0, 0, 1), None, length=3)
    assert [t.dtype.name for t in last] == ["float64"] * 3
    assert [float(t.eval({s: 0.5})) for t in last] == [0.5, 0.5, 1.5]


def test_numbers_that_the_body_returns() -> None:
    s = gx.input("s", (), "float64")
    assert gx.scan(lambda c, _: (0, c), s, None, length=2)[0].dtype.name == "float64"
    assert gx.scan(lambda c, _: (0.5, c), 0, None, length=2)[0].dtype.name == "float32"


def test_gradients_reach_what_a_number_became() -> None:
    x = rows("float64")
    total, _ = gx.scan(lambda c, r: (gx.sin(c) + r, None), 0.0, x)
    assert gx.check_gradients(total, [x], {x: ROWS}).passed


def test_while_loops() -> None:
    s = gx.input("s", (), "float64")
    for start in (0, 0.0):
        y = gx.while_loop(lambda c: c < 3, lambda c: c + s, start, 9)
        assert (y.dtype.name, float(y.eval({s: 0.7}))) == ("float64", 5 * 0.7)
    n, y = gx.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] * s), (0, 1), 9)
    assert [n.dtype.name, y.dtype.name] == ["int32", "float64"]


def test_branches() -> None:
    s = gx.input("s", (), "float64")
    y = gx.cond(s > 0, lambda: 0.5, lambda: s)
    z = gx.cond(s > 0, lambda: s, lambda: 1)
    assert [y.dtype.name, z.dtype.name] == ["float64", "float64"]
    assert [float(t.eval({s: -2.0})) for t in (y, z)] == [-2.0, 1.0]
    assert gx.cond(s > 0, lambda: 2, lambda: 1.5).dtype.name == "float32"
    with pytest.raises(ShapeError, match=r"result 0 is f64\[\] in one branch, bool\[\]"):
        gx.cond(s > 0, lambda: s, lambda: True)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(DTypeError, match="-1 does not fit into uint8"):
        gx.scan(lambda c, r: (r, None), -1, rows("uint8"))
    with pytest.raises(ShapeError, match=r"carry 0 starts as f32\[\], but the body returns f64"):
        gx.scan(lambda c, r: (r, None), gx.zeros(()), rows("float64"))
    with pytest.raises(ShapeError, match=r"carry 0 starts as bool\[\], but the body returns f64"):
        gx.scan(lambda c, r: (r, None), True, rows("float64"))


@pytest.mark.parametrize("checkpoint", [None, 1, 2])
def test_a_body_that_is_traced_again_has_one_set_of_weights(checkpoint: Any) -> None:
    x = gx.input("x", (3, 4), "float64")

    def body(c: Tensor, row: Tensor) -> tuple[Tensor, None]:
        w = gx.parameter("w", value=np.ones(4))
        return c + gx.sum(row * w), None

    total, _ = gx.scan(body, 0, x, checkpoint=checkpoint)
    used = gx.compile([x], total).parameters
    assert len(used) == 1
