"""Sizes beside tensors in formulas: an int64, or one of the floats they stand beside."""

from __future__ import annotations

import numpy as np
import pytest

import graphc as gx
from graphc.testing import assert_close


@pytest.mark.parametrize("target", ["cpu", "interpret"])
@pytest.mark.parametrize("rows", [1, 2, 300])
def test_sizes_are_numbers(target: str, rows: int) -> None:
    x = gx.input("x", ("batch", 3))
    i = gx.input("i", ("batch",), dtype="int8")
    n = x.shape[0]
    half = (x * 0.0 + 1.0).astype("float16")
    tensors = [gx.sum(x) / n, x * n, n * x, n - x, half * n, gx.where(x > 0, n, x), gx.sqrt(n)]
    integers = [2 * n - i, i + n, n // 2 + i, (n + 1) * (n - 1) - i]
    values, numbers = np.arange(3 * rows, dtype=np.float32).reshape(rows, 3), np.ones(rows, np.int8)
    found = gx.compile([x, i], [tensors, integers], target=target)(values, numbers)
    h = np.full((rows, 3), rows, np.float16)
    wide = numbers.astype(np.int64)
    wanted = [values.sum() / rows, values * rows, values * rows, rows - values, h]
    wanted += [np.where(values > 0, rows, values), np.sqrt(np.float32(rows))]
    for tensor, mine, theirs in zip(tensors, found[0], wanted):
        assert tensor.dtype == (gx.float16 if tensor is tensors[4] else gx.float32)
        assert_close(mine, theirs, "float32", tolerance="ulps", each=True)
    many = [2 * rows - wide, wide + rows, rows // 2 + wide, (rows + 1) * (rows - 1) - wide]
    for tensor, mine, theirs in zip(integers, found[1], many):
        assert tensor.dtype == gx.int64
        np.testing.assert_array_equal(mine, theirs)


def test_a_size_is_no_float_of_python() -> None:
    with pytest.raises(TypeError, match="unsupported operand"):
        gx.dim("n") * 0.5
