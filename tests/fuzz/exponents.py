"""Random formulas of exponentials against numpy in float64: what is right as it is written
in float32 must be right compiled, although exponents are shifted by the maximum of their row.

Sums along both axes, choices, weights that may be 0, quotients, logarithms; 3 x 3, so that axes
are easily mistaken. Both last values are asked for together and one by one: no bit may change.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import graphc as gx
from tests.tolerances import FUZZ_EXPONENTS, FUZZ_ZERO

Array = np.ndarray[Any, Any]
SHAPE = (3, 3)
EXPONENTS = (-55.0, -40.0, -20.0, -1.0, 0.0, 1.0, 20.0, 40.0, 55.0)
WEIGHTS = (0.0, 0.0, 1.0, 2.0, 1e-3)


def formulas(m: Any, seed: int, x: Any, mask: Any, weights: Any) -> list[Any]:
    """The last two values; `m` is numpy or graphc."""
    rng = np.random.default_rng((seed, 1))
    powers = m.exp(x)
    values = [powers, powers]
    for _ in range(int(rng.integers(3, 9))):
        a, b = (values[-int(rng.integers(1, min(len(values), 4) + 1))] for _ in range(2))
        values.append(step(m, rng, a if a.ndim else powers, b, (mask, weights)))
    return values[-2:]


def step(m: Any, rng: np.random.Generator, a: Any, b: Any, given: tuple[Any, Any]) -> Any:
    """One more value."""
    (mask, weights), kind = given, int(rng.integers(19))
    axis = int(rng.integers(a.ndim))
    if kind < 3:
        total = m.sum(a, axis=axis)
        turned = total.ndim and rng.random() < 0.5
        return total[:, None] if turned else total
    more = share if kind % 2 else log_of_sum
    steps = {
        3: lambda: a * b, 4: lambda: a / b, 5: lambda: a / b, 6: lambda: a + b,
        7: lambda: m.where(mask, a, 0.0), 8: lambda: m.where(mask, 0.0, a),
        9: lambda: a * weights, 10: lambda: m.log(a), 11: lambda: m.minimum(a, b),
        12: lambda: m.abs(a) * 0.25,
    }  # fmt: skip
    return steps[kind]() if kind in steps else more(m, a, axis)


def share(m: Any, a: Any, axis: int) -> Any:
    """Of every element in its row."""
    total = m.sum(a, axis=axis)
    return a / (total[:, None] if axis else total)


def log_of_sum(m: Any, a: Any, axis: int) -> Any:
    """Of all rows."""
    return m.log(m.sum(a, axis=axis))


def check(seed: int) -> str:
    """Compare one pair of formulas."""
    rng = np.random.default_rng(seed)
    given = rng.choice(EXPONENTS, SHAPE) + rng.normal(size=SHAPE)
    arrays = (given.astype("float32"), rng.random(SHAPE) < 0.6)
    weights = rng.choice(WEIGHTS, SHAPE).astype("float32")
    wide = (arrays[0].astype(np.float64), arrays[1], weights.astype(np.float64))
    inputs = [gx.input(n, SHAPE, dtype=d) for n, d in (("x", "float32"), ("mask", "bool"))]
    inputs.append(gx.input("weights", SHAPE))
    outputs = formulas(gx, seed, *inputs)
    found = gx.compile(inputs, outputs)(*arrays, weights)
    with np.errstate(all="ignore"):
        exact = formulas(np, seed, *wide)
        written = formulas(np, seed, *arrays, weights)
    for k, value in enumerate(found):
        compare(np.asarray(value), np.asarray(written[k]), np.asarray(exact[k]))
        alone = gx.compile(inputs, outputs[k])(*arrays, weights)
        assert np.asarray(alone).tobytes() == np.asarray(value).tobytes(), f"{alone}, {value}"
    return "right"


def compare(found: Array, written: Array, exact: Array) -> None:
    """Fail where a value is wrong that is right as it is written."""
    size = np.abs(exact)
    with np.errstate(all="ignore"):
        right = np.abs(written - exact) <= FUZZ_EXPONENTS * size
        right &= (size < 1e36) & ((size > 1e-34) | (exact == 0))
        wrong = right & ~(np.abs(found - exact) <= 5 * FUZZ_EXPONENTS * size + FUZZ_ZERO)
    assert not wrong.any(), f"{found[wrong]} for {exact[wrong]}"
