"""Run functions of arrays in the interpreter and natively, and compare with numpy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import graphc as gx
from tests.tolerances import BESIDE_NUMPY

Array = NDArray[Any]
RNG = np.random.default_rng(11)


@dataclass(frozen=True)
class Case:
    """A function of tensors, the same of arrays, and arrays."""

    name: str
    function: Callable[..., Any]
    reference: Callable[..., Any]
    arrays: tuple[Array, ...]


def floats(*shape: int) -> Array:
    """Standard normal numbers."""
    return RNG.standard_normal(shape).astype(np.float32)


def integers(low: int, high: int, *shape: int, dtype: Any = np.int32) -> Array:
    """Numbers from low to high - 1."""
    return RNG.integers(low, high, shape).astype(dtype)


def several(result: Any) -> list[Any]:
    """The parts of a structured result."""
    if isinstance(result, (tuple, list)):
        return [part for item in result for part in several(item)]
    return [result]


def run(cases: Sequence[Case], target: str, threads: int | None = None) -> list[list[Array]]:
    """The results of all cases, from one function."""
    inputs, outputs, given = [], [], []
    for number, case in enumerate(cases):
        xs = [
            gx.input(f"x{number}_{i}", a.shape, dtype=a.dtype.name)
            for i, a in enumerate(case.arrays)
        ]
        inputs += xs
        given += case.arrays
        outputs.append(several(case.function(*xs)))
    flat = [y for ys in outputs for y in ys]
    found = iter(gx.compile(inputs, flat, target=target, threads=threads)(*given))
    return [[np.asarray(next(found)) for _ in ys] for ys in outputs]


def check(cases: Sequence[Case], rtol: float = BESIDE_NUMPY) -> None:
    """Assert numpy's values, dtype by dtype, and the same bits for one and two threads."""
    one, two = run(cases, "cpu", 1), run(cases, "cpu", 2)
    for case, *found in zip(cases, run(cases, "interpret"), one, two):
        with np.errstate(all="ignore"):
            expected = [np.asarray(e) for e in several(case.reference(*case.arrays))]
        for what, values in zip(("interpret", "one thread"), found):
            assert len(values) == len(expected), case.name
            for a, e in zip(values, expected):
                message = f"{case.name}, {what}"
                assert a.shape == e.shape, message
                assert a.dtype == e.dtype, message
                wide = a.dtype if a.dtype.kind in "biu" else np.float64
                np.testing.assert_allclose(
                    a.astype(wide), e.astype(wide), rtol=rtol, atol=rtol, err_msg=message
                )
        for a, b in zip(found[1], found[2]):
            assert a.tobytes() == b.tobytes(), f"{case.name}: threads change bits"
