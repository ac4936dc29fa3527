"""Loops inside `gx.vmap`, against a loop of the interpreter over examples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.frontend.tensor import evaluate
from graphc.ir.graph import topological
from graphc.ir.ops.loop import Scan, loop_key
from graphc.testing import assert_close

RNG = np.random.default_rng(1)
TARGETS = ("interpret", "cpu")


def recurrent(start: Any, xs: Any, w: Any, reverse: bool = False) -> tuple[Any, Any]:
    """Two carries, one of which counts; rows that vary with the example, and rows that do not."""

    def step(carry: Any, x: Any) -> Any:
        h, count = carry
        new = gx.tanh(h @ w + x)
        return (new, count + 1.0), (new * count, count)

    return gx.scan(step, (start, gx.constant(np.float32(0.0))), xs, reverse=reverse)


def expected(start: Any, xs: Any, w: Any, reverse: bool) -> tuple[Any, Any, Any]:
    h, count, rows, counts = start, 0.0, [], []
    for x in xs[::-1] if reverse else xs:
        h = np.tanh(h @ w + x)
        rows.append(h * count)
        counts.append(count)
        count += 1
    order = slice(None, None, -1 if reverse else 1)
    return h, np.array(rows).reshape(len(xs), *start.shape)[order], np.array(counts)[order]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("steps", [0, 1, 4])
@pytest.mark.parametrize(
    "varying", [(0, None, None), (None, 0, None), (None, None, 0), (0, 1, 0), (0, 0, None)]
)
def test_a_loop_of_each_example(
    target: str, reverse: bool, steps: int, varying: tuple[Any, ...]
) -> None:
    shapes = [(3,), (steps, 3), (3, 3)]
    arrays, inputs = [], []
    for k, (shape, axis) in enumerate(zip(shapes, varying)):
        full = shape if axis is None else (*shape[:axis], 5, *shape[axis:])
        dims = shape if axis is None else (*shape[:axis], "n", *shape[axis:])
        arrays.append(RNG.normal(size=full).astype("f4"))
        inputs.append(gx.input(f"a{k}", dims))
    mapped = gx.vmap(lambda s, x, w: recurrent(s, x, w, reverse), in_axes=varying)
    (h, count), (rows, counts) = mapped(*inputs)
    outputs = {"h": h, "count": count, "rows": rows, "counts": counts}
    step = gx.compile(inputs=inputs, outputs=outputs, target=target)
    found = step(*arrays)
    for i in range(5):
        one = [a if v is None else np.take(a, i, axis=v) for a, v in zip(arrays, varying)]
        for name, want in zip(("h", "rows", "counts"), expected(*one, reverse)):
            assert_close(found[name][i], want)
        assert found["count"][i] == steps


def test_one_loop_for_all_results() -> None:
    s, xs, w = gx.input("s", ("n", 3)), gx.input("xs", (4, 3)), gx.input("w", (3, 3))
    (h, _), (rows, _) = gx.vmap(recurrent, in_axes=(0, None, None))(s, xs, w)
    loops = [n for n in topological([h.node, rows.node]) if isinstance(n.op, Scan)]
    assert len({loop_key(n) for n in loops}) == 1
    assert len(loops) >= 2


def test_gradients_of_each_example_through_time() -> None:
    s, xs, w = (
        gx.input(n, d, "float64") for n, d in (("s", ("n", 3)), ("xs", (4, 3)), ("w", (3, 3)))
    )

    def loss(s: Any, xs: Any, w: Any) -> Any:
        last, rows = gx.scan(lambda h, x: (gx.tanh(h @ w + x),) * 2, s, xs)
        return (last * last).sum() + rows.sum()

    each = gx.vmap(lambda a: gx.grad(loss(a, xs, w), w))(s)
    one = gx.input("one", (3,), "float64")
    single = gx.grad(loss(one, xs, w), w)
    a, b, c = RNG.normal(size=(5, 3)), RNG.normal(size=(4, 3)), RNG.normal(size=(3, 3))
    (found,) = evaluate([each], {s: a, xs: b, w: c})
    loop = [evaluate([single], {one: row, xs: b, w: c})[0] for row in a]
    assert_close(found, np.stack(loop))


def test_gradient_through_a_vmapped_loop() -> None:
    s, xs, w = (
        gx.input(n, d, "float64") for n, d in (("s", ("n", 3)), ("xs", (4, 3)), ("w", (3, 3)))
    )

    def loss(a: Any) -> Any:
        last, _ = gx.scan(lambda h, x: (gx.tanh(h @ w + x), None), a, xs)
        return (last * last).sum()

    total = gx.vmap(loss)(s).sum()
    whole = gx.grad(total, w)
    last, _ = gx.scan(lambda h, x: (gx.tanh(h @ w + x), None), s, xs)
    direct = gx.grad((last * last).sum(), w)
    a, b, c = RNG.normal(size=(5, 3)), RNG.normal(size=(4, 3)), RNG.normal(size=(3, 3))
    found, want = evaluate([whole, direct], {s: a, xs: b, w: c})
    assert_close(found, want)


def test_random_numbers_of_loops_are_independent() -> None:
    x = gx.input("x", (4,))

    def walk(a: Any) -> Any:
        return gx.scan(
            lambda h, _: (h + gx.random.uniform((2,)), gx.random.uniform((2,))),
            gx.broadcast_to(a, (2,)),
            length=3,
        )

    for last, noise in (gx.vmap(walk)(x), _scanned_vmap(x)):
        found, rows = evaluate([last, noise], {x: np.zeros(4, "f4")})
        assert len({row.tobytes() for row in rows.reshape(12, 2)}) == 12
        assert len({row.tobytes() for row in found}) == 4


def _scanned_vmap(x: Any) -> Any:
    def step(h: Any, _: Any) -> Any:
        drawn = gx.vmap(lambda a: gx.random.uniform((2,)) + 0.0 * a)(h)
        return h + drawn, drawn

    return gx.scan(step, gx.broadcast_to(x[:, None], (4, 2)), length=3)
