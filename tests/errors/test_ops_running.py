"""Values out of range: found while running, with the user's line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc import errors
from graphc.frontend import functions as fn
from graphc.testing import assert_close

K = np.array([1, 0, -3], np.int32)
RNG = np.random.default_rng(0)
ROWS = np.ones((3, 2), np.float32)

CASES: list[tuple[Any, Any, str]] = [
    (lambda x, k: fn.check(x, k[0] == 1, "k must begin with 1"), 2 * K, "k must begin with 1"),
    (lambda x, k: 7 // k, K, "floor_divide: integer division by zero"),
    (lambda x, k: k % k, K, "remainder: integer division by zero"),
    (lambda x, k: x[k], np.array([0, 3]), "out of range"),
    (lambda x, k: fn.take(x, k, axis=1), np.array([-3]), "out of range"),
    (lambda x, k: x[k, k], np.array([0, 2]), "index: out of range for axis 1 of size 2"),
    (lambda x, k: fn.scatter_add(x, k, 1.0), np.array([5]), "out of range"),
    (lambda x, k: fn.one_hot(k, 3), np.array([3]), "one_hot: an index is not from 0 to 2"),
    (lambda x, k: fn.one_hot(k, 3), np.array([-1]), "one_hot: an index is not from 0 to 2"),
]


@pytest.mark.parametrize("target", ["interpret", "cpu"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case[2])
def test_value_out_of_range(case: Any, target: str) -> None:
    function, values, text = case
    x = gx.input("x", ROWS.shape)
    k = gx.input("k", values.shape, dtype=values.dtype.name)
    step = gx.compile([x, k], function(x, k), target=target)
    with pytest.raises(errors.RuntimeCheckError) as caught:
        step(ROWS, values)
    assert text in caught.value.message
    assert caught.value.origin is not None
    assert caught.value.origin.filename == __file__
    # the next call with good values is as if nothing had happened
    good = np.ones_like(values)
    expected = gx.compile([x, k], function(x, k), target="interpret")(ROWS, good)
    np.testing.assert_array_equal(step(ROWS, good), expected)


@pytest.mark.parametrize("target", ["interpret", "cpu"])
def test_division_by_known_numbers_is_not_checked(target: str) -> None:
    k = gx.input("k", (3,), dtype="int32")
    y = k // np.array([2, -1, 7], np.int32) + k % 5
    assert not any(n.op.name == "guard" for n in gx.compile([k], y, target="interpret").graph)
    found = gx.compile([k], y, target=target)(K)
    np.testing.assert_array_equal(found, K // np.array([2, -1, 7]) + K % 5)


SIZES: list[tuple[Any, int, str]] = [
    (lambda x: x[2 : 10 - x.shape[0]], 5, "slice: index 5 (axis 0) is beyond f32[4,2] (input 0)"),
    (lambda x: x[: x.shape[0] - 5], 5, "slice: -1 elements (axis 0) of f32[4,2] (input 0)"),
    (lambda x: x[-5], 5, "slice: index -1 (axis 0) is before f32[4,2] (input 0)"),
    (lambda x: fn.max(x[4:], axis=0), 5, "max: axis 0 of f32[0,2] (input 0) is empty"),
    (lambda x: 1.5 * fn.arange(x.shape[0] - 5), 5, "the size n-5 (axis 0) is -1"),
    (lambda x: x.at[4].set(1.0), 5, "pad: -1 (axis 0 of input 0) is negative"),
    (lambda x: x.at[-5, 1].set(1.0), 5, "pad: -1 (axis 0 of input 0) is negative"),
    (
        lambda x: gx.scan(lambda c, _: (c * 0.5 + c[4], None), x, None, length=2)[0],
        5,
        "slice: index 4 (axis 0) is beyond f32[4,2] (input 0)",
    ),
    (
        lambda x: gx.scan(lambda c, _: (c.at[4].set(2.0), None), x, None, length=2)[0],
        5,
        "pad: -1 (axis 0 of input 0) is negative",
    ),
    (
        lambda x: gx.cond(fn.all(x < 99), lambda: fn.max((x * 2)[4:], axis=0), lambda: x[0]),
        5,
        "max: axis 0 of f32[0,2] (input 0) is empty",
    ),
]


@pytest.mark.parametrize("target", ["interpret", "cpu"])
@pytest.mark.parametrize("case", SIZES, ids=lambda case: case[2])
def test_size_that_does_not_do(case: Any, target: str) -> None:
    function, good, text = case
    x = gx.input("x", ("n", 2))
    step = gx.compile([x], function(x), target=target)
    for n in (good, good + 1, good + 2, good):  # specialised, generic, bound again
        array = RNG.standard_normal((n, 2)).astype(np.float32)
        expected = gx.compile([x], function(x), target="interpret")(array)
        assert_close(step(array), expected, tolerance="ulps", each=True)
        with pytest.raises(errors.ShapeError) as caught:
            step(np.ones((4, 2), np.float32))
        assert text in caught.value.message
        assert caught.value.origin is not None
        assert caught.value.origin.filename == __file__


@pytest.mark.parametrize("target", ["cpu", "interpret"])
def test_a_failed_check_names_what_was_checked(target: str) -> None:
    logits, labels = gx.input("logits", ("batch", 3)), gx.input("labels", ("batch",), "int32")
    table = gx.parameter("table", value=np.zeros((3, 2), np.float32))
    loss = gx.mean(gx.nn.softmax_cross_entropy(logits, labels))
    rows = gx.take(table, labels, axis=0)
    for output, operand in ((loss, "labels i32[batch]"), (rows, "table f32[3,2]")):
        function = gx.compile([logits, labels], output, {table: table + 1.0}, target=target)
        for bad in (3, -4):
            with pytest.raises(errors.RuntimeCheckError) as caught:
                function(np.zeros((2, 3), np.float32), np.array([0, bad], np.int32))
            assert operand in [row[1] for row in caught.value.operands]
            assert "test_ops_running.py" in str(caught.value)
    assert not table.value.any()
