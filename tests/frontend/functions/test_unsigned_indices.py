"""Unsigned indices that no signed integer holds are out of range; they do not wrap around."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import RuntimeCheckError


def taken(x: Any, i: Any) -> Any:
    return gx.take(x, i, axis=0)


def indexed(x: Any, i: Any) -> Any:
    return x[i]


def scattered(x: Any, i: Any) -> Any:
    return gx.scatter_add(x, i, gx.take(x, gx.zeros(i.shape, "int32"), axis=0))


def placed(x: Any, i: Any) -> Any:
    return x.at[i].set(1.0)


def hot(x: Any, i: Any) -> Any:
    return gx.one_hot(i, 3)


@pytest.mark.parametrize("target", ["cpu", "interpret"])
@pytest.mark.parametrize("build", [taken, indexed, scattered, placed, hot])
def test_out_of_range(build: Any, target: str) -> None:
    x = gx.input("x", (3, 2))
    i = gx.input("i", (2,), dtype="uint64")
    function = gx.compile([x, i], build(x, i), target=target)
    array = np.arange(6, dtype=np.float32).reshape(3, 2)
    function(array, np.array([0, 2], np.uint64))
    for bad in (3, 2**63 - 1, 2**63, 2**64 - 1):
        with pytest.raises(RuntimeCheckError):
            function(array, np.array([0, bad], np.uint64))
