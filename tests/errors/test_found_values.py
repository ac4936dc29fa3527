"""Indices, labels and divisors out of range: which value, where, of which axis, on every target."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import RuntimeCheckError

TARGETS = ["interpret", "cpu"]
X = np.arange(12, dtype=np.float32).reshape(4, 3)
PAIRS = np.array([[0, -2], [5, 1]])
BEYOND = 2**64 - 3
fn: Any = gx

CASES: dict[str, tuple[Callable[..., Any], Any, str]] = {
    "take": (lambda x, i: fn.take(x, i, axis=1), PAIRS, "5 at [1, 0]; axis 1 of size 3 (-3 to 2)"),
    "below": (lambda x, i: fn.take(x, i), np.array([3, -5]), "-5 at [1]; axis 0 of size 4"),
    "one index": (lambda x, i: x[i], np.array(4), "index 4 is; axis 0 of size 4 (-4 to 3)"),
    "inner axis": (lambda x, i: x[:, i], np.array([3], np.uint8), "3 at [0]; axis 1"),
    "several": (lambda x, i: x[i, i], np.array([2, 3]), "3 at [1]; axis 1 of size 3"),
    "wide": (lambda x, i: x[i], np.array([1, BEYOND], np.uint64), f"{BEYOND} at [1]"),
    "several wide": (lambda x, i: x[i, i], np.array([1, BEYOND], np.uint64), f"{BEYOND} at [1]"),
    "along": (
        lambda x, i: fn.take_along_axis(x, i, axis=1),
        np.array([[0], [1], [3], [0]]), "3 at [2, 0]; axis 1 of size 3",
    ),
    "put along": (
        lambda x, i: fn.put_along_axis(x, i, 1.0, axis=0),
        np.array([[0, 1, 4]]), "4 at [0, 2]; axis 0 of size 4",
    ),
    "at": (lambda x, i: x.at[:, i].set(1.0), np.array([0, -4]), "-4 at [1]; axis 1 of size 3"),
    "scatter": (lambda x, i: fn.scatter_add(x, i, 1.0), PAIRS, "5 at [1, 0]; axis 0 of size 4"),
    "positions": (lambda x, i: fn.gather_nd(x, i), np.array([[0, 3]]), "3 at [0]; axis 1"),
    "one hot": (lambda x, i: fn.one_hot(i, 3), np.array([[0, 3]]), "3 at [0, 1]; 0 to 2"),
    "labels": (
        lambda x, i: fn.nn.softmax_cross_entropy(x, i),
        np.array([0, 1, 7, 9], np.uint8), "7 at [2]; outside 0 to 2",
    ),
    "ctc": (
        lambda x, i: fn.nn.ctc(fn.broadcast_to(x, (2, 4, 3)), i),
        np.array([[1, 2], [1, 3]]), "3 at [1, 1]; outside 0 to 2",
    ),
    "gradient": (
        lambda x, i: fn.grad(fn.sum(x[i]), x), np.array([0, 8]), "8 at [1]; axis 0 of size 4"
    ),
    "division": (lambda x, i: 5 // i, np.array([[1, 2], [3, 0]]), "zero at [1, 1]"),
    "remainder": (lambda x, i: 5 % i, np.array(0), "by zero"),
    "examples": (
        lambda x, i: fn.vmap(lambda r, k: r[k])(x, i),
        np.array([[0], [1], [3], [0]]), "3 at [2, 0]; size 3",
    ),
    "loop": (
        lambda x, i: fn.scan(lambda c, k: (c + x[k], None), x[0], i)[0],
        np.array([0, 1, 6]), "index 6 is; axis 0 of size 4; iteration 2",
    ),
    "branch": (
        lambda x, i: fn.cond(i[0] == 0, lambda: x[i], lambda: x[:2]),
        np.array([0, 6]), "6 at [1]; axis 0 of size 4",
    ),
}  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", CASES)
def test_value_place_axis_and_range(name: str, target: str) -> None:
    build, array, texts = CASES[name]
    rows: Any = "rows" if name in {"take", "one index", "inner axis", "at"} else 4
    x, i = gx.input("x", (rows, 3)), gx.input("i", array.shape, dtype=array.dtype.name)
    count = gx.parameter("count", value=np.int64(0))
    step = gx.compile([x, i], build(x, i), {count: count + 1}, target=target)
    for _ in range(2):  # the entry's fast path, too
        with pytest.raises(RuntimeCheckError) as caught:
            step(X, array)
        for text in texts.split("; "):
            assert text in caught.value.message
        assert "test_found_values.py" in str(caught.value.origin)
    assert int(count.value) == 0


def test_eval_and_epochs_say_it_too() -> None:
    table = gx.parameter("table", value=X)
    with pytest.raises(RuntimeCheckError, match=r"index 4 at \[1\].*axis 0 of size 4"):
        table[gx.constant(np.array([0, 4]))].eval()
    ids = gx.input("ids", ("batch",), dtype="int32")
    loss = gx.sum(table[ids])
    step = gx.compile([ids], loss, gx.optim.SGD(0.1).minimize(loss))
    with pytest.raises(RuntimeCheckError, match=r"index 4 at \[0\] is out of range for axis 0"):
        step.run_epoch([np.arange(8, dtype=np.int32)], 2, shuffle=False)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("trained", [False, True])
def test_what_is_known_ahead_is_checked_at_every_call(trained: bool, target: str) -> None:
    """A check of constants or parameters alone is not part of what is prepared once."""
    bad = np.array([7], np.int32)
    ids = gx.parameter("ids", value=bad) if trained else gx.constant(bad)
    x = gx.input("x", (5,))
    function = gx.compile([x], gx.one_hot(ids, 5) * x, target=target)
    for _ in range(3):
        with pytest.raises(RuntimeCheckError, match=r"not from 0 to 4: 7 at \[0\]"):
            function(np.ones(5, np.float32))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["uint32", "uint64"])
def test_unsigned_arrays_do_not_wrap_around(dtype: str, target: str) -> None:
    """The last index of the dtype is not the last element."""
    x = gx.input("x", (4, 3))
    last = np.array([0, np.iinfo(dtype).max], dtype)
    for y in (x[last], x.at[last].set(0.0), x[last, last], gx.take(x, last, axis=1)):
        with pytest.raises(RuntimeCheckError, match=rf"{last[1]} at \[1\]"):
            gx.compile([x], y, target=target)(X)


@pytest.mark.parametrize("label", [-1, 6])
def test_labels_of_sampled_softmax(label: int) -> None:
    x, table = gx.input("x", (2, 3)), gx.parameter("table", value=np.ones((6, 3), np.float32))
    labels = gx.input("labels", (2,), dtype="int64")
    loss = gx.sum(gx.nn.sampled_softmax(x, table, labels, 2))
    step = gx.compile([x, labels], loss, gx.optim.SGD(0.1).minimize(loss))
    with pytest.raises(RuntimeCheckError, match=rf"sampled_softmax: .* 0 to 5: {label} at \[1\]"):
        step(np.ones((2, 3), np.float32), np.array([0, label]))
    np.testing.assert_array_equal(table.value, np.ones((6, 3)))


@pytest.mark.parametrize("name", ["take", "labels", "division"])
def test_a_library_leaves_the_values_out(name: str, tmp_path: Path) -> None:
    build, array, _ = CASES[name]
    x, i = gx.input("x", (4, 3)), gx.input("i", array.shape, dtype=array.dtype.name)
    function = gx.compile([x, i], build(x, i))
    library = function.export(tmp_path, name="checked").load()
    with pytest.raises(RuntimeCheckError, match=r"(size 3|0 to 2|by zero) \(test_found") as caught:
        library(X, array)
    assert not set("{}<>") & set(caught.value.message)


def test_a_value_that_takes_long_to_find_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphc.runtime.failed_check.MAX_SECONDS", -1.0)
    x, i = gx.input("x", (4, 3)), gx.input("i", (2,), dtype="int64")
    with pytest.raises(RuntimeCheckError, match="an index is out of range for an axis of size 4"):
        gx.compile([x, i], x[i + 1])(X, np.array([0, 3]))
