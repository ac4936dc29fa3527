"""Every function that takes indices or labels, inside and outside of its range.

By seed: a function, an axis, the dtype of the indices, whether sizes are known and whether the
indices are, values from the edges of the range (and of the dtype), none, one or many of them. The
result and the gradient are those that numpy computes element by element; or a RuntimeCheckError
has the first value that is out of range and its place, with a line of this file, and parameters
are what they were.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import graphc as gx
from graphc.errors import RuntimeCheckError
from tests.fuzz import indexed
from tests.tolerances import FUZZ_INDEXED, FUZZ_INDEXED_SLOPES

Array = np.ndarray[Any, Any]
TARGETS = ("cpu", "interpret", "cuda-simulate")


@dataclass
class Program:
    """A function of x and index arrays, its numpy meaning, and what is wrong with the indices.

    `faults` are texts of which an error has one; without any there is a result.
    """

    x: Array
    indices: list[Array]
    build: Callable[..., gx.Tensor]
    right: Callable[..., Array]
    faults: list[str]
    smooth: bool  # whether x is a float on which the result depends linearly


def check(seed: int) -> str:
    """Draw one program and compare it on every target."""
    rng = np.random.default_rng((seed, 31))
    name = indexed.NAMES[int(rng.integers(len(indexed.NAMES)))]
    program = Program(*indexed.KINDS[name](rng))
    known, fixed, learns = rng.random(3) < (0.5, 0.35, 0.4)
    known |= name in indexed.KNOWN or fixed or learns
    given = rng.choice([gx.constant, np.asarray]) if fixed else None
    for target in TARGETS:
        try:
            compare(program, target, bool(known), given, bool(learns) and program.smooth)
        except AssertionError as error:
            text = f"{name} on {target}: {error}\nx {program.x.dtype}{list(program.x.shape)}"
            for i in program.indices:
                text += f", {i.dtype} {i.tolist()}"
            raise AssertionError(text) from None
    return "an error" if program.faults else "agrees"


def compare(program: Program, target: str, known: bool, fixed: Any, learns: bool) -> None:
    """Run one program: as an input or a parameter that is trained, indices given or known."""
    x = _parameter("x", program.x) if learns else _input("x", program.x, known)
    names = [f"i{k}" for k in range(len(program.indices))]
    given = [fixed(a) if fixed else _input(n, a, known) for n, a in zip(names, program.indices)]
    y = program.build(x, *given)
    inputs, arrays = ([] if learns else [x]), ([] if learns else [program.x])
    if not fixed:
        inputs, arrays = [*inputs, *given], [*arrays, *program.indices]
    outputs, updates = [y], {}
    weights: Array | None = None
    if program.smooth:
        shape = tuple(int(str(n).removeprefix("d")) for n in y.shape)
        weights = (np.arange(np.prod(shape, dtype=int)) % 5 - 1.0).reshape(shape)
        weights = weights.astype(program.x.dtype)
        w = gx.input("w", y.shape, dtype=y.dtype.name)
        inputs, arrays = [*inputs, w], [*arrays, weights]
        loss = gx.sum(y * w)
        outputs.append(gx.grad(loss, x))
        updates = dict(gx.optim.SGD(1.0).minimize(loss)) if learns else {}
    count = gx.parameter("count", value=np.int64(0))
    step = gx.compile(inputs, outputs, {**updates, count: count + 1}, target=target)
    if program.faults:
        _fails(step, arrays, program)
        assert int(count.value) == 0, "the failed step counted"
        assert not learns or np.array_equal(x.value, program.x), "x was updated"
        return
    found = step(*arrays)
    right = program.right(program.x, *program.indices)
    np.testing.assert_allclose(found[0], right, **FUZZ_INDEXED, err_msg="value")
    if weights is not None:
        slope = gradient(program, weights)
        np.testing.assert_allclose(found[1], slope, **FUZZ_INDEXED_SLOPES, err_msg="gradient")
        assert not learns or np.allclose(x.value, program.x - slope), "the update is another one"


def _fails(step: Any, arrays: Sequence[Array], program: Program) -> None:
    try:
        found = step(*arrays)
    except RuntimeCheckError as error:
        text, line = error.message, str(error.origin)
    else:
        raise AssertionError(f"no error, but {found}; wanted one of {program.faults}")
    assert any(f in text for f in program.faults), f"{text!r} has none of {program.faults}"
    assert line.startswith("ind"), f"line {line}"


def gradient(program: Program, weights: Array) -> Array:
    """The derivative of the weighed sum: what every element of x alone adds to it."""
    zero = np.zeros_like(program.x)
    least = (program.right(zero, *program.indices) * weights).sum()
    slope = np.zeros(program.x.shape)
    for place in np.ndindex(program.x.shape):
        one = zero.copy()
        one[place] = 1
        slope[place] = (program.right(one, *program.indices) * weights).sum() - least
    return slope


def _input(name: str, array: Array, known: bool) -> gx.Tensor:
    """An input; sizes of 2 and more may be dims, equal ones are one dim."""
    shape = [n if known or n < 2 else f"d{n}" for n in array.shape]
    return gx.input(name, tuple(shape), dtype=array.dtype.name)


def _parameter(name: str, array: Array) -> gx.Tensor:
    return gx.parameter(name, value=array)
