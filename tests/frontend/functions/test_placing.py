"""Elements taken and put at indices, against numpy; x.at[...]; gradients; failures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, DTypeError, RuntimeCheckError, ShapeError
from graphc.frontend.autodiff import check_gradients
from graphc.testing import assert_close
from tests.frontend.functions.array_cases import Array, Case, check, floats, integers

X = floats(4, 5, 3)
ROWS = np.array([3, 0, -1, 0, 2], np.int32)
MERGE = {
    "set": lambda a, k, v: a.__setitem__(k, v), "add": np.add.at, "multiply": np.multiply.at,
    "min": np.minimum.at, "max": np.maximum.at,
}  # fmt: skip


def put(a: Array, key: Any, value: Any, mode: str = "set") -> Array:
    """A changed copy."""
    result = np.array(a)
    MERGE[mode](result, key, value)
    return result


def at_case(name: str, key: Any, value: Any, mode: str, x: Array = X) -> Case:
    """x.at[key].mode(value) where arrays among key are inputs."""
    parts = key if isinstance(key, tuple) else (key,)
    arrays = tuple(p for p in parts if isinstance(p, np.ndarray))

    def function(t: Any, *given: Any) -> Any:
        left = iter(given)
        spelled = tuple(next(left) if isinstance(p, np.ndarray) else p for p in parts)
        return getattr(t.at[spelled if isinstance(key, tuple) else spelled[0]], mode)(value)

    return Case(f"{name} {mode}", function, lambda a, *_: put(a, key, value, mode), (x, *arrays))


I2, J2 = np.array([[0], [3]], np.int64), np.array([[1, -1, 2]], np.int64)
KEYS: list[tuple[str, Any]] = [
    ("int", 2), ("negative", -1), ("slice", slice(1, 3)), ("backwards", slice(None, None, -2)),
    ("two slices", (slice(0, 2), slice(4, 0, -3))), ("ellipsis", (..., 1)),
    ("new axis", (None, 1)), ("nothing", slice(2, 2)), ("rows", ROWS), ("rank 2", I2),
    ("second axis", (slice(None), np.array([4, 0, 0, -2], np.int32))),
    ("two tensors", (I2, J2)), ("apart", (I2[:, 0], slice(None), J2[0, :2])),
    ("tensor and slice", (slice(1, 4), J2[0], slice(None, None, 2))),
    ("tensor and int", (ROWS, 2)), ("no index", np.zeros(0, np.int32)),
]  # fmt: skip


@pytest.mark.parametrize("mode", MERGE)
def test_at(mode: str) -> None:
    cases = []
    for name, key in KEYS:
        shape = X[key].shape
        cases.append(at_case(f"{name} array", key, floats(*shape), mode))
        if mode == "set":  # numpy writes duplicates in order: the last one stays
            cases.append(at_case(f"{name} number", key, 7.0, mode))
            cases.append(at_case(f"{name} row", key, floats(*shape[-1:]), mode))
    check(cases)


def test_at_a_mask() -> None:
    mask, rows = X > 0.3, X[:, 0, 0] > 0
    check([
        Case("set", lambda t, m: t.at[m].set(0.0), lambda a, m: put(a, m, 0.0), (X, mask)),
        Case("add", lambda t, m: t.at[m].add(2), lambda a, m: put(a, m, 2, "add"), (X, mask)),
        Case("rows", lambda t, m: t.at[m].set(X[0]), lambda a, m: put(a, m, X[0]), (X, rows)),
    ])  # fmt: skip


def test_along_an_axis() -> None:
    cases = []
    for axis in (0, 1, -1):
        shape = list(X.shape)
        shape[axis] = 7
        i = integers(-X.shape[axis], X.shape[axis], *shape)
        one = i.take([0], axis=0 if axis else 1)
        cases.append(
            Case(f"take {axis}", lambda t, k, axis=axis: gx.take_along_axis(t, k, axis),
                 lambda a, k, axis=axis: np.take_along_axis(a, k, axis), (X, i))
        )  # fmt: skip
        cases.append(
            Case(f"take broadcast {axis}", lambda t, k, axis=axis: gx.take_along_axis(t, k, axis),
                 lambda a, k, axis=axis: np.take_along_axis(a, k, axis), (X, one))
        )  # fmt: skip
        for mode in ("set", "add", "mul", "min", "max"):
            u = floats(*shape)

            def reference(
                a: Array, k: Array, v: Array, axis: int = axis, mode: str = mode
            ) -> Array:
                places = list(np.indices(k.shape, sparse=True))
                places[axis] = k
                return put(a, tuple(places), v, "multiply" if mode == "mul" else mode)

            cases.append(
                Case(f"put {mode} {axis}",
                     lambda t, k, v, axis=axis, mode=mode: gx.put_along_axis(t, k, v, axis, mode),
                     reference, (X, i, u))
            )  # fmt: skip
    check(cases)


def test_rows_and_positions() -> None:
    u = floats(5, 5, 3)
    nd = np.array([[0, 1], [3, -1], [2, 2]], np.int32)
    check([
        Case("scatter_set", lambda t, i, v: gx.scatter_set(t, i, v),
             lambda a, i, v: put(a, i, v), (X, ROWS, u)),
        Case("scatter_set axis", lambda t, i: gx.scatter_set(t, i, 2.0, axis=2),
             lambda a, i: put(a, (..., i), 2.0), (X, np.array([2, 0], np.int32))),
        Case("scatter_add", lambda t, i, v: gx.scatter_add(t, i, v),
             lambda a, i, v: put(a, i, v, "add"), (X, ROWS, u)),
        Case("gather_nd", lambda t, i: gx.gather_nd(t, i),
             lambda a, i: a[i[:, 0], i[:, 1]], (X, nd)),
        Case("gather_nd one", lambda t, i: gx.gather_nd(t, i),
             lambda a, i: a[i[..., 0]], (X, nd[:, :1])),
        Case("gather_nd none", lambda t, i: gx.gather_nd(t, i),
             lambda a, i: np.broadcast_to(a, (3, *a.shape)), (X, nd[:, :0])),
        Case("bool", lambda t, i: (t > 0).at[i].set(True),
             lambda a, i: put(a > 0, i, True), (X, ROWS)),
        Case("ints", lambda t, i: t.at[i].max(3), lambda a, i: put(a, i, 3, "max"),
             (integers(-9, 9, 4, 3), ROWS)),
    ])  # fmt: skip


@pytest.mark.parametrize("mode", ["set", "add", "multiply", "min", "max"])
@pytest.mark.parametrize("name", ["int", "backwards", "rows", "two tensors", "tensor and slice"])
def test_gradients(name: str, mode: str) -> None:
    key = dict(KEYS)[name]
    x = gx.input("x", X.shape, dtype="float64")
    u = gx.input("u", X[key].shape, dtype="float64")
    w = floats(*X.shape).astype(np.float64)
    loss = gx.sum(getattr(x.at[key], mode)(u) ** 2 * w)
    rng = np.random.default_rng(3)
    feeds = {x: rng.normal(size=x.shape), u: rng.normal(size=u.shape)}
    assert check_gradients(loss, [x, u], feeds).passed


def test_gradient_of_products_with_zeros() -> None:
    x, u = gx.input("x", (3,), dtype="float64"), gx.input("u", (4,), dtype="float64")
    y = gx.sum(x.at[np.array([0, 0, 1, 1])].multiply(u) * np.array([1.0, 10.0, 100.0]))
    step = gx.compile([x, u], gx.grad(y, [x, u]))
    dx, du = step(np.array([2.0, 3.0, 4.0]), np.array([0.0, 5.0, 0.0, 0.0]))
    np.testing.assert_array_equal(dx, [0.0, 0.0, 100.0])
    np.testing.assert_array_equal(du, [10.0, 0.0, 0.0, 0.0])


@pytest.mark.parametrize("target", ["cpu", "interpret"])
@pytest.mark.parametrize("bad", [4, -5, 2**31 - 1])
def test_an_index_outside_updates_nothing(target: str, bad: int) -> None:
    p = gx.parameter("p", value=np.arange(12, dtype=np.float32).reshape(4, 3))
    i = gx.input("i", (2,), dtype="int32")
    step = gx.compile([i], (), {p: p.at[i].add(1.0)}, target=target)
    step(np.array([0, -1], np.int32))
    before = p.value
    np.testing.assert_array_equal(before[[0, 3]], [[1, 2, 3], [10, 11, 12]])
    with pytest.raises(RuntimeCheckError, match="out of range for axis 0 of size 4") as caught:
        step(np.array([1, bad], np.int32))
    assert caught.value.origin is not None
    assert Path(caught.value.origin.filename).name == Path(__file__).name
    assert p.value.tobytes() == before.tobytes()


def test_puts_into_a_parameter_are_made_in_place() -> None:
    value = floats(40, 3)
    for mode in MERGE:
        p = gx.parameter("p", value=value)
        i, j = (gx.input(name, (5,), dtype="int32") for name in "ij")
        u = gx.input("u", (5, 3))
        new = getattr(getattr(p.at[i], mode)(u).at[j], mode)(u * 2.0 + p[j])
        step = gx.compile([i, j, u], p[i].sum(), {p: new.at[-1].set(7.0)})
        alone = gx.compile([i, j, u], (), {p: new})
        for compiled in (step, alone):
            before = p.value
            rows = integers(-40, 40, 5), integers(-40, 40, 5)
            given = floats(5, 3)
            compiled(*rows, given)
            expected = put(before, rows[0], given, mode)
            expected = put(expected, rows[1], given * 2 + before[rows[1]], mode)
            if compiled is step:
                expected[-1] = 7.0
            assert_close(p.value, expected, each=True)
        for call in alone.program.schedule.calls:
            assert all(s.type.shape != (40, 3) or s.role == "parameter" for s in call.writes)


def test_puts_that_are_read_elsewhere_are_values() -> None:
    p = gx.parameter("p", value=np.zeros((4, 2), np.float32))
    i = gx.input("i", (2,), dtype="int32")
    new = p.at[i].add(1.0)
    step = gx.compile([i], [new, new.sum()], {p: new.at[i].set(5.0)})
    found, total = step(np.array([0, 0], np.int32))
    np.testing.assert_array_equal(found, [[2, 2], [0, 0], [0, 0], [0, 0]])
    np.testing.assert_array_equal(p.value, [[5, 5], [0, 0], [0, 0], [0, 0]])
    assert total == 4


def test_puts_that_exchange_rows() -> None:
    values = floats(6, 2), floats(6, 2)
    p, q = (gx.parameter(name, value=v) for name, v in zip("pq", values))
    i = gx.input("i", (2,), dtype="int32")
    step = gx.compile([i], (), {p: p.at[i].set(q[i]), q: q.at[i].set(p[i])})
    step(np.array([1, 4], np.int32))
    for found, mine, other in ((p.value, *values), (q.value, *values[::-1])):
        np.testing.assert_array_equal(found, put(mine, [1, 4], other[[1, 4]]))


OUTSIDE = {
    "take": (lambda x, i: gx.take(x, i), 4),
    "take second": (lambda x, i: gx.take(x, i, axis=1), 3),
    "take_along_axis": (lambda x, i: gx.take_along_axis(x, gx.stack([i, i, i], 1), 0), 4),
    "put_along_axis": (lambda x, i: gx.put_along_axis(x, gx.stack([i, i, i], 1), 1.0, 0), 4),
    "scatter_set": (lambda x, i: gx.scatter_set(x, i, 0.0), 4),
    "scatter_add": (lambda x, i: gx.scatter_add(x, i, 1.0, axis=1), 3),
    "gather_nd": (lambda x, i: gx.gather_nd(x, gx.stack([i, i * 0], 1)), 4),
    "index": (lambda x, i: x[i * 0, i], 3),
}  # fmt: skip


@pytest.mark.parametrize("target", ["cpu", "interpret"])
def test_indices_outside(target: str) -> None:
    for name, (function, size) in OUTSIDE.items():
        x, i = gx.input("x", (4, 3)), gx.input("i", (2,), dtype="int32")
        p = gx.parameter("p", value=np.zeros((), np.float32))
        step = gx.compile([x, i], function(x, i), {p: p + 1.0}, target=target)
        for bad in (size, -size - 1, -(2**31)):
            with pytest.raises(RuntimeCheckError, match=f"out of range for (an )?axis .*{size}"):
                step(np.zeros((4, 3), np.float32), np.array([0, bad], np.int32))
            assert p.value == 0, name
        step(np.zeros((4, 3), np.float32), np.array([size - 1, -size], np.int32))
        assert p.value == 1, name


def test_messages() -> None:
    x, i = gx.input("x", (4, 3)), gx.input("i", (2,), dtype="int32")
    with pytest.raises(ShapeError, match=r"at: updates must broadcast to \[2,3\], got f32\[4\]"):
        x.at[i].set(np.zeros(4, np.float32))
    with pytest.raises(DTypeError, match=r"at: dtypes differ: float32 \(input 0\) vs float64"):
        x.at[0].set(gx.constant(np.zeros(3)))
    with pytest.raises(DTypeError, match="at: add needs numbers, got bool"):
        (x > 0).at[0].add(True)
    with pytest.raises(ShapeError, match="at: the mask") as caught:
        x.at[gx.input("m", (3,), dtype="bool")].set(0.0)
    with pytest.raises(ShapeError, match="beside a mask updates must broadcast") as caught:
        x.at[x > 0].set(np.zeros(3, np.float32))
    assert "gx.where" in str(caught.value)
    with pytest.raises(ArgumentError, match="put_along_axis: mode is one of set, add"):
        gx.put_along_axis(x, x.astype("int32"), 0.0, mode="sub")
    with pytest.raises(ShapeError, match="take_along_axis: ranks differ"):
        gx.take_along_axis(x, i)
    with pytest.raises(ShapeError, match="take_along_axis: sizes differ outside axis 1"):
        gx.take_along_axis(x, gx.input("j", (2, 1), dtype="int32"))
    with pytest.raises(ShapeError, match="gather_nd: the last axis"):
        gx.gather_nd(x, gx.input("k", (2, 3), dtype="int32"))
    with pytest.raises(DTypeError, match="scatter_set: indices must be integers, got float32"):
        gx.scatter_set(x, x, 0.0)
