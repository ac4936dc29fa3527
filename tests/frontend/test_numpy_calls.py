"""Functions of numpy's on tensors: operators work, everything else says what to use."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError
from graphc.testing import assert_close

CALLS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "exp": (np.exp, "gx.exp"),
    "arctan": (np.arctan, "gx.atan"),
    "maximum": (lambda x: np.maximum(x, 0), "gx.maximum"),
    "sum": (np.sum, "gx.sum"),
    "concatenate": (lambda x: np.concatenate([x, x]), "gx.concat"),
    "where": (lambda x: np.where(x > 0, x, 0), "gx.where"),
    "clip": (lambda x: np.clip(x, 0, 1), "gx.clip"),
    "transpose": (np.transpose, "gx.permute_dims"),
    "norm": (np.linalg.norm, "gx.linalg.vector_norm"),
    "add.reduce": (np.add.reduce, "gx.add"),
    "sinc": (np.sinc, "functions of gx"),
}


@pytest.mark.parametrize(("call", "hint"), CALLS.values(), ids=CALLS)
def test_functions_of_numpy_point_to_ours(call: Callable[[Any], Any], hint: str) -> None:
    x = gx.input("x", (3,))
    with pytest.raises(ArgumentError, match=r"^numpy\.\w+ cannot compute with \w+ \w+\[3\]") as e:
        call(x)
    assert hint in str(e.value.hint)
    assert "test_numpy_calls.py" in str(e.value)


@pytest.mark.parametrize(
    "function",
    [
        operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv,
        operator.mod, operator.pow, operator.matmul, operator.eq, operator.ne, operator.lt,
        operator.le, operator.gt, operator.ge,
    ],
)  # fmt: skip
@pytest.mark.parametrize("left", [np.array([1.5, 2.0, 4.0]), np.float32(2.0), np.float64(2.0)])
def test_arrays_on_the_left_of_operators(function: Callable[[Any, Any], Any], left: Any) -> None:
    x = gx.input("x", (3,))
    array = np.array([2.0, 2.0, 3.0], "float32")
    if function is operator.matmul and not np.ndim(left):  # numpy refuses as well
        with pytest.raises(gx.errors.ShapeError):
            function(left, x)
        return
    expected = function(left, array)
    assert_close(function(left, x).eval({x: array}), expected, tolerance="ulps", each=True)


def test_integers_on_the_left_and_in_place() -> None:
    i = gx.input("i", (3,), dtype="int64")
    array, values = np.array([1, 2, 7]), np.array([1, 1, 2])
    for function in (operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift):
        expected = function(array, values)
        np.testing.assert_array_equal(function(array, i).eval({i: values}), expected)
    total: Any = array
    total += i
    np.testing.assert_array_equal(total.eval({i: values}), [2, 3, 9])
    assert (np.shape(i), np.ndim(i), np.size(i)) == ((3,), 1, 3)
