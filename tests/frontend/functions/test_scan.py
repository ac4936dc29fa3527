"""Loops: against a Python loop, their gradients, nested, of any length, compiled once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.compiler import pipeline
from graphc.compiler.options import Options
from graphc.compiler.pipeline import compile_graph
from graphc.errors import ArgumentError, RuntimeCheckError, ShapeError
from graphc.ir.schedule import LoopCall
from graphc.ir.types import Array
from graphc.testing import assert_close
from tests.tolerances import SLOPE

TARGETS = ("interpret", "cpu")
BATCH, INPUTS, HIDDEN = 3, 4, 6


def weights(*shape: int, seed: int) -> Array:
    return (np.random.default_rng(seed).normal(size=shape) * 0.5).astype(np.float32)


def cell_parameters() -> list[Any]:
    shapes = (INPUTS, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN,)
    return [
        gx.parameter(n, value=weights(*s, seed=i)) for i, (n, s) in enumerate(zip("wub", shapes))
    ]


def recurrent(x: Any, parameters: list[Any], **options: Any) -> tuple[Any, Any]:
    w, u, b = parameters

    def cell(h: Any, row: Any) -> tuple[Any, Any]:
        h = gx.tanh(row @ w + h @ u + b)
        return h, 2.0 * h

    return gx.scan(cell, gx.zeros((BATCH, HIDDEN)), x, **options)


def recurrent_numpy(x: Array, reverse: bool = False) -> tuple[Array, Array]:
    w, u, b = (
        weights(INPUTS, HIDDEN, seed=0),
        weights(HIDDEN, HIDDEN, seed=1),
        weights(HIDDEN, seed=2),
    )
    h, ys = np.zeros((BATCH, HIDDEN), np.float32), np.zeros((len(x), BATCH, HIDDEN), np.float32)
    for i in reversed(range(len(x))) if reverse else range(len(x)):
        h = np.tanh(x[i] @ w + h @ u + b)
        ys[i] = 2 * h
    return h, ys


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("reverse", [False, True])
def test_is_a_python_loop(target: str, reverse: bool) -> None:
    x = gx.input("x", ("steps", BATCH, INPUTS))
    step = gx.compile([x], recurrent(x, cell_parameters(), reverse=reverse), target=target)
    for length in (5, 1, 8, 0, 5):
        given = weights(length, BATCH, INPUTS, seed=length)
        for found, expected in zip(step(given), recurrent_numpy(given, reverse)):
            assert_close(found, expected, each=True, floor=1.0)


@pytest.mark.parametrize("reverse", [False, True])
def test_gradients(reverse: bool) -> None:
    x = gx.input("x", (5, BATCH, INPUTS))
    parameters = cell_parameters()
    last, ys = recurrent(x, parameters, reverse=reverse)
    loss = (last**2).sum() + (ys**3).mean()
    given = weights(5, BATCH, INPUTS, seed=9)
    assert gx.check_gradients(loss, parameters, {x: given}).passed
    found = [
        gx.compile([x], gx.grad(loss, [x, *parameters]), target=target)(given) for target in TARGETS
    ]
    for a, b in zip(*found):
        assert_close(a, b)


def test_second_gradient() -> None:
    x = gx.input("x", (4,), dtype="float64")
    a = gx.input("a", (), dtype="float64")
    last, _ = gx.scan(lambda c, row: (gx.sin(a * c + row), None), gx.constant(np.float64(0.3)), x)
    first = gx.grad(last, a)
    second = gx.grad(first, a)
    given = {x: np.linspace(-1, 1, 4)}

    def value(at: float) -> float:
        return float(first.eval(given | {a: np.float64(at)}))

    expected = (value(0.7 + 1e-5) - value(0.7 - 1e-5)) / 2e-5
    assert float(second.eval(given | {a: np.float64(0.7)})) == pytest.approx(expected, **SLOPE)
    step = gx.compile([x, a], second)
    assert float(step(given[x], np.float64(0.7))) == pytest.approx(expected, **SLOPE)


@pytest.mark.parametrize("target", TARGETS)
def test_structures_and_no_rows(target: str) -> None:
    def body(carry: Any, row: Any) -> tuple[Any, Any]:
        assert row is None
        n, (a, b) = carry["n"], carry["pair"]
        return {"n": n + 1, "pair": (b, a + b)}, {"a": a, "twice": [2 * n]}

    init = {"n": gx.constant(0), "pair": (gx.constant(0), gx.constant(1))}
    last, ys = gx.scan(body, init, length=10)
    found_last, found = gx.compile([], (last, ys), target=target)()
    assert int(found_last["n"]) == 10
    assert int(found_last["pair"][0]) == 55
    assert found["a"].tolist() == [0, 1, 1, 2, 3, 5, 8, 13, 21, 34]
    assert found["twice"][0].tolist() == list(range(0, 20, 2))


@pytest.mark.parametrize("target", TARGETS)
def test_rows_of_several_stacks(target: str) -> None:
    x = gx.input("x", (4, 2))

    def body(total: Any, row: Any) -> tuple[Any, Any]:
        a, rest = row
        return total + a * rest["b"], None

    last, _ = gx.scan(body, gx.zeros((2,)), (x, {"b": np.arange(4, dtype="float32")}))
    given = weights(4, 2, seed=6)
    expected = (given * np.arange(4)[:, None]).sum(0)
    assert_close(gx.compile([x], last, target=target)(given), expected)


@pytest.mark.parametrize("target", TARGETS)
def test_nested(target: str) -> None:
    x = gx.input("x", (4, 3, 5))

    def outer(total: Any, rows: Any) -> tuple[Any, Any]:
        inner, steps = gx.scan(lambda c, r: (0.5 * c + r * total, c), total, rows)
        return inner, steps

    last, ys = gx.scan(outer, gx.ones((5,)), x)
    given = weights(4, 3, 5, seed=3)
    total, expected = np.ones(5, np.float32), np.zeros((4, 3, 5), np.float32)
    for i in range(4):
        c = total
        for j in range(3):
            expected[i, j] = c
            c = 0.5 * c + given[i, j] * total
        total = c
    step = gx.compile([x], (last, ys, gx.grad(last.sum() + (ys**2).sum(), x)), target=target)
    found = step(given)
    assert_close(found[0], total)
    assert_close(found[1], expected, each=True)
    report = gx.compile([x], gx.grad(last.sum() + (ys**2).sum(), x), target="interpret")(given)
    assert_close(found[2], report, each=True)


@pytest.mark.parametrize("checkpoint", ["sqrt", 1, 3, 7, 20])
@pytest.mark.parametrize("reverse", [False, True])
def test_checkpoints_change_no_value(checkpoint: Any, reverse: bool) -> None:
    x = gx.input("x", (7, BATCH, INPUTS))
    given, found = weights(7, BATCH, INPUTS, seed=4), []
    for chosen in (None, checkpoint):
        parameters = cell_parameters()
        last, ys = recurrent(x, parameters, reverse=reverse, checkpoint=chosen)
        gradients = gx.grad((ys**2).sum() + last.sum(), [x, *parameters])
        found.append(gx.compile([x], [last, ys, *gradients])(given))
    for a, b in zip(*found):
        assert_close(a, b, each=True, floor=1.0)


def test_checkpoints_save_memory() -> None:
    def body(c: Any, row: Any) -> tuple[Any, Any]:
        for _ in range(8):
            c = gx.sin(c) * row
        return c, None

    arenas = []
    for checkpoint in (None, "sqrt"):
        x = gx.input("x", (100, 50))
        last, _ = gx.scan(body, gx.ones((50,)), x, checkpoint=checkpoint)
        step = gx.compile([x], gx.grad(last.sum(), x))
        step(np.ones((100, 50), np.float32))
        arenas.append(step.memory.arena_bytes)
    assert arenas[1] < arenas[0] / 2


def test_truncation_cuts_gradients() -> None:
    x = gx.input("x", (6,), dtype="float64")
    last, _ = gx.scan(lambda c, r: (c + r, None), gx.constant(np.float64(0)), x, truncate=2)
    expected = [0, 0, 0, 0, 1, 1]
    for target in TARGETS:
        assert gx.compile([x], gx.grad(last, x), target=target)(np.ones(6)).tolist() == expected


def test_every_iteration_draws_anew() -> None:
    def body(c: Any, row: Any) -> tuple[Any, Any]:
        u = gx.random.uniform((4,), name="noise")
        return c + u, u

    for target in TARGETS:
        _, ys = gx.compile([], gx.scan(body, gx.zeros((4,)), length=50), target=target)()
        assert len(np.unique(ys)) == 200


def test_code_does_not_grow_with_the_length() -> None:
    sizes = []
    for length in (10, 10_000):
        x = gx.input("x", (length, 2))
        step = gx.compile([x], gx.scan(lambda c, r: (gx.tanh(c + r), c), gx.zeros((2,)), x))
        step(np.zeros((length, 2), np.float32))
        sizes.append(len(step.source("llvm")))
    assert abs(sizes[0] - sizes[1]) < 200


def test_projections_leave_the_loop() -> None:
    x = gx.input("x", (7, BATCH, INPUTS))
    parameters = cell_parameters()
    _, ys = recurrent(x, parameters)
    out = gx.parameter("out", value=weights(HIDDEN, 2, seed=5))
    loss = ((ys @ out) ** 2).sum()
    calls = gx.compile([x], gx.grad(loss, [*parameters, out])).program.schedule.calls
    loops = [c for c in calls if isinstance(c, LoopCall)]
    assert len(loops) == 2  # forward and backward
    products = [[k for k in c.repeated if "matmul" in k.kernel.name] for c in loops]
    assert [len(p) for p in products] == [1, 1]  # only what needs the carry


def test_a_projection_read_in_parts_leaves_the_loop_once() -> None:
    """Gates as slices of one product: one product in front, one for each gradient behind."""
    x = gx.input("x", (7, BATCH, INPUTS))
    w, u = (
        gx.parameter(n, value=weights(k, 2 * HIDDEN, seed=k))
        for n, k in zip("wu", (INPUTS, HIDDEN))
    )

    def body(h: Any, row: Any) -> tuple[Any, Any]:
        a, b = gx.split(row @ w, 2, axis=-1)
        h = gx.tanh(a + h @ u[:, :HIDDEN]) * (b + h @ u[:, HIDDEN:])
        return h, h

    last, _ = gx.scan(body, gx.zeros((BATCH, HIDDEN)), x)
    loss = (last**2).sum()
    function = gx.compile([x], gx.grad(loss, [w, u]))
    calls = function.program.schedule.calls
    outside = [c for c in calls if not isinstance(c, LoopCall) and "matmul" in c.kernel.name]
    assert len(outside) == 4, function.report()  # x @ w, of w, of both halves of u
    given = weights(7, BATCH, INPUTS, seed=1)
    expected = gx.compile([x], gx.grad(loss, [w, u]), target="interpret")(given)
    for a, b in zip(function(given), expected):
        assert_close(a, b)
    report = gx.check_gradients(loss, [w, u], {x: given})
    assert report.passed, report


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_no_bit(threads: int) -> None:
    x = gx.input("x", ("steps", BATCH, INPUTS))
    found = []
    for count in (1, threads):
        parameters = cell_parameters()
        last, ys = recurrent(x, parameters)
        gradients = gx.grad((ys**2).sum(), parameters)
        step = gx.compile([x], [last, ys, *gradients], threads=count)
        found.append([a.tobytes() for a in step(weights(40, BATCH, INPUTS, seed=1))])
    assert found[0] == found[1]


def test_a_check_in_a_body_stops_the_step() -> None:
    ids = gx.input("ids", (5,), dtype="int32")
    table = gx.parameter("table", value=np.arange(12, dtype=np.float32).reshape(4, 3))
    last, _ = gx.scan(lambda c, i: (c + gx.take(table, i, axis=0), None), gx.zeros((3,)), ids)
    step = gx.compile([ids], last, {table: table + 1.0})
    np.testing.assert_array_equal(step(np.array([0, 1, 2, 3, 0], np.int32)), [18, 23, 28])
    before = table.value
    with pytest.raises(RuntimeCheckError):
        step(np.array([0, 1, 9, 3, 0], np.int32))
    np.testing.assert_array_equal(table.value, before)


def test_dropout_inside_is_gone_at_inference() -> None:
    x = gx.input("x", (6, 50))

    def body(c: Any, row: Any) -> tuple[Any, Any]:
        kept = gx.nn.dropout(row, 0.5, name="drop")
        return c + kept, kept

    results = gx.scan(body, gx.zeros((50,)), x)
    ones = np.ones((6, 50), np.float32)
    last, ys = gx.compile([x], results)(ones)
    np.testing.assert_array_equal(last, np.full(50, 6.0))
    np.testing.assert_array_equal(ys, ones)
    for target in TARGETS:
        _, ys = gx.compile([x], results, mode="train", target=target)(ones)
        assert set(np.unique(ys)) == {0.0, 2.0}
        assert not np.array_equal(ys[0], ys[1])


def test_rows_that_nobody_reads_have_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where no pass has removed them, and where the loop runs backward."""
    monkeypatch.setattr(pipeline, "GRAPH_PASSES", ())
    x = gx.input("x", (9, 3))
    for reverse in (False, True):
        last, _ = gx.scan(lambda c, r: (gx.tanh(c + r), c * r), gx.zeros((3,)), x, reverse=reverse)
        (loop,) = [
            c for c in compile_graph(gx.compile([x], last).graph, Options()).schedule.calls
            if isinstance(c, LoopCall)
        ]  # fmt: skip
        assert any("unused" in w.base.name for w in loop.windows.values())
        for window in loop.windows.values():
            assert not window.backward or window.base.type.shape[0] == 9


def test_errors() -> None:
    x = gx.input("x", (5, 3))
    with pytest.raises(
        ShapeError, match=r"carry 0 starts as f32\[3\], but the body returns f32\[4\]"
    ):
        gx.scan(lambda c, r: (gx.zeros((4,)), None), gx.zeros((3,)), x)
    with pytest.raises(ArgumentError, match="pair"):
        gx.scan(lambda c, r: c, gx.zeros((3,)), x)
    with pytest.raises(ArgumentError, match="length"):
        gx.scan(lambda c, r: (c, None), gx.zeros((3,)))
    with pytest.raises(ShapeError, match="6 iterations, but 5 rows"):
        gx.scan(lambda c, r: (c, None), gx.zeros((3,)), x, length=6)
    with pytest.raises(ArgumentError, match="structured like"):
        gx.scan(lambda c, r: ((c, c), None), gx.zeros((3,)), x)
