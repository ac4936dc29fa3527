"""Row-sparse updates against dense ones of the same formulas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, RuntimeCheckError
from graphc.ir.loops import ir
from graphc.testing import assert_close

ROWS, WIDTH = 50, 3
IDS = [np.array(ids, np.int32) for ids in ([3, 7, 3, 49, 3], [0, 0, 0, 0, 0], [1, 2, -1, 7, 48])]
Make = Callable[[], Any]


def table(seed: int = 0) -> Any:
    value = np.random.default_rng(seed).normal(size=(ROWS, WIDTH)).astype(np.float32)
    return gx.parameter("table", value=value)


def one_use(p: Any, ids: Any) -> Any:
    return ((p[ids] - 1.0) ** 2 * gx.arange(5, dtype="float32")[:, None]).sum()


def two_uses(p: Any, ids: Any) -> Any:
    grid = gx.stack([ids, ids // 2])
    return (p[ids] ** 2).sum() + 3.0 * (p[grid] * p[ids + 0]).sum() - p[ids].sum() / 7.0


def train(
    make: Make,
    loss_of: Any,
    dense: bool,
    target: str = "cpu",
    threads: int | None = None,
    **given: Any,
) -> tuple[list[Any], Any]:
    """The parameters after three steps; `dense` hides from the optimiser that rows are few."""
    p, ids = table(), gx.input("ids", (5,), dtype="int32")
    loss = loss_of(p, ids)
    if dense:
        loss = loss + (p * 0.0).sum()  # another, dense contribution
    optimizer = make()
    step = gx.compile(
        [ids], loss, optimizer.minimize(loss, **given), target=target, threads=threads
    )
    for batch in IDS:
        step(batch)
    return [step.parameters[n].value for n in sorted(step.parameters)], step


OPTIMIZERS: dict[str, Make] = {
    "sgd": lambda: gx.optim.SGD(0.1, name="o"),
    "adagrad": lambda: gx.optim.Adagrad(0.1, name="o"),
    "adagrad started": lambda: gx.optim.Adagrad(
        0.1, initial_accumulator=0.5, epsilon=0.0, name="o"
    ),
    "schedule": lambda: gx.optim.SGD(lambda t: 0.1 / (1.0 + t.astype("float32")), name="o"),
}


@pytest.mark.parametrize("loss_of", [one_use, two_uses])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_same_as_dense(name: str, loss_of: Any) -> None:
    expected, whole = train(OPTIMIZERS[name], loss_of, dense=True)
    found, step = train(OPTIMIZERS[name], loss_of, dense=False)
    assert "rows with a gradient only" in step.report()
    assert "row-sparse" not in whole.report()
    for a, b in zip(found, expected, strict=True):
        assert_close(a, b, each=True)


@pytest.mark.parametrize("given", [{"clip_norm": 0.5}, {"clip_value": 0.3}], ids=str)
def test_clipping_sees_the_summed_rows(given: Any) -> None:
    make = OPTIMIZERS["adagrad"]
    expected, _ = train(make, two_uses, dense=True, **given)
    found, step = train(make, two_uses, dense=False, **given)
    assert "rows with a gradient only" in step.report()
    for a, b in zip(found, expected, strict=True):
        assert_close(a, b, each=True)


def test_nothing_of_the_size_of_the_table_is_written() -> None:
    _, step = train(OPTIMIZERS["adagrad"], two_uses, dense=False)
    for call in step.program.schedule.calls:
        for storage in call.writes:
            if storage.type.shape != (ROWS, WIDTH):
                continue
            (buffer,) = (b for b, s in zip(call.kernel.arguments, call.arguments) if s is storage)
            stores = [s for s in ir.walk(call.kernel.body) if isinstance(s, ir.Store)]
            assert all(s.where is not None for s in stores if s.buffer is buffer)
            assert storage.role == "parameter"
            loops = [s for s in ir.walk(call.kernel.body) if isinstance(s, ir.Loop)]
            assert ROWS not in [s.extent.value for s in loops if isinstance(s.extent, ir.Const)]


def test_targets_and_threads() -> None:
    make = OPTIMIZERS["adagrad"]
    oracle, _ = train(make, two_uses, dense=False, target="interpret")
    one, _ = train(make, two_uses, dense=False, threads=1)
    two, _ = train(make, two_uses, dense=False, threads=2)
    for a, b, c in zip(oracle, one, two, strict=True):
        assert_close(b, a, each=True)
        assert b.tobytes() == c.tobytes()


def lazy_adam(value: Any, m: Any, v: Any, rows: Any, gradient: Any, step: int) -> None:
    """Adam's formula for some rows, in place."""
    m[rows] = 0.9 * m[rows] + 0.1 * gradient[rows]
    v[rows] = 0.999 * v[rows] + 0.001 * gradient[rows] ** 2
    first, second = m[rows] / (1 - 0.9**step), v[rows] / (1 - 0.999**step)
    value[rows] -= 0.01 * first / (np.sqrt(second) + 1e-8)


def test_lazy_updates_move_rows_with_a_gradient_only() -> None:
    found, step = train(lambda: gx.optim.Adam(0.01, name="o"), one_use, dense=False, sparse="lazy")
    assert "table updates: rows with a gradient only" in step.report()
    value = table().value.astype(np.float64)
    m, v = np.zeros_like(value), np.zeros_like(value)
    for number, ids in enumerate(IDS, 1):
        gradient = np.zeros_like(value)
        slopes = 2 * (value[ids] - 1.0) * np.arange(5)[:, None]
        np.add.at(gradient, ids, slopes)
        lazy_adam(value, m, v, np.unique(ids % ROWS), gradient, number)
    names = sorted(step.parameters)
    for name, expected in (("table", value), ("o/table/m", m), ("o/table/v", v)):
        assert_close(found[names.index(name)], expected, each=True)


def test_exact_keeps_to_dense_where_the_result_would_differ() -> None:
    for make in (lambda: gx.optim.Adam(0.01, name="o"), lambda: gx.optim.SGD(0.1, 0.9, name="o")):
        expected, _ = train(make, one_use, dense=True)
        found, step = train(make, one_use, dense=False)
        assert "table updates: whole:" in step.report()
        for a, b in zip(found, expected, strict=True):
            assert_close(a, b, each=True)


def test_many_indices_update_the_whole_table() -> None:
    p, ids = table(), gx.input("ids", (40,), dtype="int32")
    loss = p[ids].sum()
    step = gx.compile([ids], loss, gx.optim.SGD(0.1).minimize(loss))
    assert "whole: half as many indices as rows" in step.report()


def test_symbolic_batches() -> None:
    p, ids = table(), gx.input("ids", (gx.dim("batch", max=16),), dtype="int32")
    loss = (p[ids] ** 2).sum()
    step = gx.compile([ids], loss, gx.optim.Adagrad(0.1).minimize(loss))
    q = table(), gx.input("ids", (gx.dim("batch", max=16),), dtype="int32")
    whole = (q[0][q[1]] ** 2).sum() + (q[0] * 0.0).sum()
    dense = gx.compile([q[1]], whole, gx.optim.Adagrad(0.1).minimize(whole))
    for n in (5, 1, 16, 7):
        batch = np.random.default_rng(n).integers(-ROWS, ROWS, n).astype(np.int32)
        assert_close(step(batch), dense(batch))
    assert_close(p.value, q[0].value, each=True)


def test_an_id_outside_updates_nothing() -> None:
    _, step = train(OPTIMIZERS["adagrad"], two_uses, dense=False)
    before = {name: p.value.tobytes() for name, p in step.parameters.items()}
    with pytest.raises(RuntimeCheckError, match="axis 0 of size 50"):
        step(np.array([1, 2, 3, 50, 4], np.int32))
    assert before == {name: p.value.tobytes() for name, p in step.parameters.items()}


def test_sixteen_bit_tables() -> None:
    p = gx.parameter("p", value=np.ones((ROWS, WIDTH), np.float16))
    ids = gx.input("ids", (4,), dtype="int32")
    loss = (p[ids].astype("float32") * 2.0).sum()
    step = gx.compile([ids], loss, gx.optim.Adagrad(0.25).minimize(loss))
    step(np.array([1, 1, 2, 4], np.int32))
    expected = np.ones((ROWS, WIDTH))
    expected[[1, 2, 4]] = 0.75
    np.testing.assert_array_equal(p.value, expected.astype(np.float16))


def test_the_argument_is_checked() -> None:
    p = table()
    loss = p[np.array([1])].sum()
    with pytest.raises(ArgumentError, match="apply: sparse must be"):
        gx.optim.SGD().apply({p: gx.grad(loss, p)}, sparse="always")
    with pytest.raises(ArgumentError, match="minimize: sparse must be"):
        gx.optim.SGD().minimize(loss, sparse="no")
