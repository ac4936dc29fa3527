"""result_type, can_cast, isdtype, finfo, iinfo beside numpy where the standard agrees with it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import graphc as gx
from graphc.errors import DTypeError

INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
FLOATS = ["float16", "float32", "float64"]


def test_result_type_of_pairs() -> None:
    for a, b in itertools.product(INTEGERS, INTEGERS):
        if {a, b} in [{"uint64", s} for s in ("int8", "int16", "int32", "int64")]:
            with pytest.raises(DTypeError, match="no common dtype"):
                gx.result_type(a, b)
        else:
            assert gx.result_type(a, b).numpy == np.result_type(a, b)
            assert gx.can_cast(a, b) == np.can_cast(a, b)
    for a, b in itertools.product(FLOATS, FLOATS):
        assert gx.result_type(a, b).numpy == np.result_type(a, b)
    with pytest.raises(DTypeError):
        gx.result_type("int32", "float32")


def test_numbers_are_weak() -> None:
    x = gx.input("x", (3,), dtype="float16")
    assert gx.result_type(x, 1.5) == gx.float16
    assert gx.result_type("int8", 3) == gx.int8
    assert gx.result_type("int8", 1.5) == gx.float32
    assert gx.result_type(np.zeros(2, np.float64), "float32") == gx.float64
    with pytest.raises(DTypeError, match="needs a tensor or a dtype"):
        gx.result_type(1, 2.0)


def test_isdtype() -> None:
    assert gx.isdtype("int8", "signed integer")
    assert not gx.isdtype("uint8", "signed integer")
    assert gx.isdtype("uint8", ("bool", "integral"))
    assert gx.isdtype("bfloat16", "real floating")
    assert gx.isdtype("float32", gx.float32)
    assert not gx.isdtype("bool", "numeric")


def test_limits() -> None:
    for name in FLOATS:
        ours, theirs = gx.finfo(name), np.finfo(name)
        for fact in ("bits", "eps", "max", "min", "smallest_normal"):
            assert getattr(ours, fact) == getattr(theirs, fact)
    assert gx.finfo("bfloat16").eps == 2.0**-7
    assert gx.iinfo("uint16").max == 65535
    with pytest.raises(DTypeError, match="no floating dtype"):
        gx.finfo("int8")
    with pytest.raises(DTypeError, match="no integer dtype"):
        gx.iinfo(gx.input("x", ()))


def test_empty_and_unique_all() -> None:
    x = gx.input("x", (7,), dtype="int32")
    given = np.array([5, 3, 5, 1, 3, 3, 5], np.int32)
    outputs = [gx.unique_all(x, 4, fill_value=-1), gx.empty((2, 3)), gx.empty_like(x)]
    for target in ("cpu", "interpret"):
        (values, indices, inverse, counts, count), zeros, like = gx.compile(
            [x], outputs, target=target
        )(given)
        assert values.tolist() == [1, 3, 5, -1]
        assert indices[:3].tolist() == [3, 1, 0]
        assert inverse.tolist() == [2, 1, 2, 0, 1, 1, 2]
        assert counts.tolist() == [1, 3, 3, 0]
        assert count == 3
        assert zeros.shape == (2, 3)
        assert like.dtype == np.int32
