"""What a new user tries: inputs of every kind, outputs of every kind, shared parameters."""

from __future__ import annotations

import array as arrays
import collections
import threading
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

import graphc as gx
from tests.tolerances import PREDICTED

Array = NDArray[Any]
TARGETS = pytest.mark.parametrize("target", ["cpu", "interpret"])
Pair = collections.namedtuple("Pair", "a b")


def ones(*shape: int) -> Array:
    return np.ones(shape, np.float32)


@TARGETS
def test_outputs_belong_to_the_caller(target: str) -> None:
    x, p = gx.input("x", (3,)), gx.parameter("p", value=np.arange(3, dtype=np.float32))
    y = x * 2.0
    function = gx.compile([x], [x, p, x, p, y, y, gx.reshape(y, (3, 1))], target=target)
    for _ in range(3):
        given = ones(3)
        found = function(given)
        expected = [given.copy(), np.arange(3), given.copy(), np.arange(3), [2] * 3, [2] * 3]
        for value, wanted in zip(found, expected):
            np.testing.assert_array_equal(value, wanted)
        for value in found:
            assert value.flags.owndata
            assert value.flags.writeable
            value[...] = 99
        assert (given == 1).all()
    np.testing.assert_array_equal(p.value, np.arange(3))


@TARGETS
@pytest.mark.parametrize(
    "structure",
    [
        lambda x: x, lambda x: [x], lambda x: (x,), lambda x: [], lambda x: {},
        lambda x: {"a": x, "b": {"c": [x, (x * 3.0,)]}}, lambda x: Pair(x, x + 1.0),
        lambda x: {"z": x, "a": x * 2.0}, lambda x: {1: x, (2, 3): x}, lambda x: [[], {}],
    ],
)  # fmt: skip
def test_outputs_have_the_structure_that_was_asked_for(structure: Any, target: str) -> None:
    def kinds(value: Any) -> Any:
        if isinstance(value, dict):
            return type(value), [(key, kinds(v)) for key, v in value.items()]
        if isinstance(value, (list, tuple)):
            return type(value), [kinds(v) for v in value]
        return None

    x = gx.input("x", (2,))
    wanted = structure(x)
    function = gx.compile([x], wanted, target=target)
    for _ in range(2):
        assert kinds(function(ones(2))) == kinds(wanted)


@TARGETS
def test_rank_0_outputs_are_scalars(target: str) -> None:
    x, h = gx.input("x", ()), gx.input("h", (), dtype="bfloat16")
    outputs = [x, gx.astype(x, "int32"), x > 0, h * 2]
    function = gx.compile([x, h], outputs, target=target)
    for _ in range(2):
        found = function(3.0, ml_dtypes.bfloat16(1.5))
        kinds = [np.float32, np.int32, np.bool_, ml_dtypes.bfloat16]
        assert [type(v) for v in found] == kinds
        assert [float(v) for v in found] == [3.0, 3.0, 1.0, 3.0]


@TARGETS
def test_inputs_in_any_memory(target: str) -> None:
    class Exporter:
        def __dlpack__(self, **options: Any) -> Any:
            return ones(2, 3).__dlpack__(**options)

        def __dlpack_device__(self) -> Any:
            return ones(2, 3).__dlpack_device__()

    x = gx.input("x", ("batch", 3))
    function = gx.compile([x], x * 2.0, target=target)
    base = np.arange(48, dtype=np.float32).reshape(4, 12)
    frozen = ones(2, 3)
    frozen.flags.writeable = False
    shifted = np.frombuffer(b"\0" + base.tobytes(), np.float32, 6, offset=1).reshape(2, 3)
    given: list[Any] = [
        base[:, :3], base[::-1, ::-4], base[:, ::4], base.reshape(3, 16).T[:5],
        np.asfortranarray(base[:, :3]), np.broadcast_to(np.float32(1), (4, 3)), frozen, shifted,
        base[:2, :3].astype(np.float64), np.asfortranarray(base[:, :3].astype(np.float64)),
        base[:2, :3].tolist(), [[1, 2, 3]], base[:, :3] > 2, base[:, :3].astype(np.float16),
        memoryview(ones(2, 3)), Exporter(), np.zeros((0, 3), np.float32),
    ]  # fmt: skip
    for value in given:
        wanted = ones(2, 3) if isinstance(value, Exporter) else np.asarray(value, np.float32)
        for _ in range(2):
            np.testing.assert_array_equal(function(value), wanted * 2)
    row = gx.input("row", (3,))
    line = gx.compile([row], row + 1.0, target=target)
    np.testing.assert_array_equal(line(arrays.array("f", [1, 2, 3])), [2, 3, 4])


@TARGETS
def test_inputs_that_are_values_of_the_updated_parameter(target: str) -> None:
    p, x = gx.parameter("p", value=np.arange(4, dtype=np.float32)), gx.input("x", (4,))
    new = p * 0.5 + gx.roll(x, 1)
    function = gx.compile([x], {"x": x, "twice": x * 2.0}, {p: new}, target=target)
    for _ in range(3):
        old = p.value
        found = function(old)
        np.testing.assert_array_equal(found["x"], old)
        np.testing.assert_array_equal(found["twice"], old * 2)
        np.testing.assert_allclose(p.value, old * 0.5 + np.roll(old, 1))


@TARGETS
def test_a_function_of_nothing(target: str) -> None:
    p = gx.parameter("p", value=np.float32(0))
    function = gx.compile([], p, {p: p + 1.0}, target=target)
    assert [float(function()) for _ in range(3)] == [0, 1, 2]
    quiet = gx.compile([], [], {p: p + 1.0}, target=target)
    assert [quiet(), quiet()] == [[], []]
    assert p.value == 5


@TARGETS
def test_two_functions_see_the_same_parameter(target: str) -> None:
    rng = np.random.default_rng(0)
    w, x = gx.parameter("w", value=rng.normal(size=(3, 3)).astype("f4")), gx.input("x", ("n", 3))
    predict = gx.compile([x], x @ (gx.exp(w) @ gx.tanh(w).mT), target=target)
    step = gx.compile([x], gx.sum(x @ w), {w: w - 0.1 * (x.mT @ x)}, target=target)
    array = rng.normal(size=(4, 3)).astype("f4")

    def agrees(rows: int) -> bool:
        wide = w.value.astype("f8")
        wanted = array[:rows] @ (np.exp(wide) @ np.tanh(wide).T)
        return bool(np.allclose(predict(array[:rows]), wanted, **PREDICTED))

    def assign() -> None:
        w.value = w.value * np.float32(0.5)

    assert agrees(4)
    for change in (lambda: step(array), assign, lambda: step.run_epoch([array], 2)):
        for rows in (4, 2, 3):
            change()
            assert agrees(rows)


@TARGETS
def test_parameters_rotate(target: str) -> None:
    rng = np.random.default_rng(0)
    p, q, r = (gx.parameter(n, value=rng.normal(size=(3, 3)).astype("f4")) for n in "pqr")
    rotate = gx.compile([], [p, p + q], {p: q, q: r, r: p}, target=target)
    for _ in range(4):
        a, b, c = p.value, q.value, r.value
        first, total = rotate()
        np.testing.assert_array_equal([p.value, q.value, r.value, first], [b, c, a, a])
        np.testing.assert_allclose(total, a + b)
    turn = gx.compile([], p.mT, {p: p.mT, q: gx.flip(q), r: r[::-1]}, target=target)
    a, b, c = p.value, q.value, r.value
    np.testing.assert_array_equal(turn(), a.T)
    np.testing.assert_array_equal([p.value, q.value, r.value], [a.T, b[::-1, ::-1], c[::-1]])


@TARGETS
def test_names_of_any_kind(target: str) -> None:
    names = ("a/b", "ünï", "日本", "a b", "%s", '"q"', "a\\b", "1", "x" * 300, "a", "graphc")
    xs = [gx.input(name, (2,)) for name in names]
    ps = [gx.parameter(f"{name}/w", value=ones(2)) for name in names]
    outputs = {name: x + p for name, x, p in zip(names, xs, ps)}
    updates = {p: p + x for p, x in zip(ps, xs)}
    function = gx.compile(xs, outputs, updates, target=target, name="1 step: 日本")
    given = {name: np.full(2, i, np.float32) for i, name in enumerate(names)}
    found = function(**given)
    assert [v.tolist() for v in found.values()] == [[i + 1.0] * 2 for i in range(len(names))]
    assert [p.value.tolist() for p in ps] == [[i + 1.0] * 2 for i in range(len(names))]
    assert all(name in function.report() + function.text("defined") for name in names[:4])


@TARGETS
def test_very_many_inputs(target: str) -> None:
    xs = [gx.input(f"x{i}", (2,)) for i in range(200)]
    total = xs[0]
    for x in xs[1:]:
        total = total + x
    function = gx.compile(xs, total, target=target)
    given = [np.full(2, i, np.float32) for i in range(200)]
    for found in (
        function(*given),
        function(*given),
        function(**{f"x{i}": v for i, v in enumerate(given)}),
    ):
        assert found.tolist() == [19900.0] * 2


@TARGETS
def test_sizes_of_0(target: str) -> None:
    x, y = gx.input("x", ("n", 0)), gx.input("y", (0, "m"))
    outputs = [x @ y, gx.sum(x), gx.concat([x, x], axis=1), gx.mean(x), y.mT, gx.sum(x, axis=1)]
    function = gx.compile([x, y], outputs, target=target)
    for n in (3, 1, 0, 3):
        found = function(ones(n, 0), ones(0, 2))
        shapes = [(n, 2), (), (n, 0), (), (2, 0), (n,)]
        assert [v.shape for v in found] == shapes
        assert not found[0].any()
        assert found[1] == 0
        assert np.isnan(found[3])
        assert not found[5].any()


@TARGETS
def test_inputs_that_do_not_run_over_the_batch(target: str) -> None:
    x, scale, row = gx.input("x", ("batch", 2)), gx.input("scale", ()), gx.input("row", (2,))
    w = gx.parameter("w", value=np.zeros(2, np.float32))
    new = w + gx.sum(x, axis=0) * scale + row
    step = gx.compile([x, scale, row], gx.sum(x) * scale, {w: new}, target=target)
    x_all = np.arange(14, dtype=np.float64).reshape(7, 2)
    for number in (2.0, 2, np.float32(2), np.array(2.0)):
        w.value = np.zeros(2)
        losses = step.run_epoch([x_all[::-1], number, [1, 2]], 3, shuffle=False)
        assert losses.tolist() == [2 * x_all[4:].sum(), 2 * x_all[1:4].sum(), 2 * x_all[0].sum()]
        assert w.value.tolist() == (2 * x_all.sum(axis=0) + [3, 6]).tolist()


@TARGETS
def test_threads_that_call_one_function(target: str) -> None:
    x, w = gx.input("x", ("n", 32)), gx.parameter("w", value=np.eye(32, dtype=np.float32))
    count = gx.parameter("count", value=np.int64(0), trainable=False)
    function = gx.compile([x], [x @ w, gx.sum(x)], {w: w * 1.0, count: count + 1}, target=target)
    other = gx.compile([], [], {count: count + 1}, target=target)
    wrong: list[int] = []

    def work(number: int) -> None:
        for i in range(25):
            product, total = function(np.full((4 + i % 3, 32), number, np.float32))
            other()
            if not (product == number).all() or total != number * product.size:
                wrong.append(number)

    workers = [threading.Thread(target=work, args=(k,)) for k in range(5)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong
    assert int(count.value) == 5 * 25 * 2


@TARGETS
def test_promotion_makes_no_float64(target: str) -> None:
    half, small = gx.input("h", (2,), dtype="float16"), gx.input("i", (2,), dtype="int8")
    x, many = gx.input("x", (2,)), gx.input("m", (2,), dtype="int64")
    numbers: list[Any] = [2, 2.5, np.float64(2.5), -1]
    for number in numbers:
        for value in (half, x):
            tensors = [value + number, number - value, value * number, number / value]
            assert {t.dtype.name for t in tensors} == {value.dtype.name}
        for value in (small, many):
            tensors = [value + number, number - value, value * number]
            wanted = value.dtype.name if isinstance(number, int) else "float32"
            assert {t.dtype.name for t in tensors} == {wanted}
            assert (value / number).dtype.name == "float32"
    function = gx.compile([x], [x + 0.1, 0.1 / x, x**2, 2**x, gx.mean(x)], target=target)
    assert {np.asarray(v).dtype for v in function(ones(2))} == {np.dtype(np.float32)}
