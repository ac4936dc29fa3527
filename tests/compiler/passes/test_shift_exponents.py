"""Exponents are shifted for every value that allows it, whatever else is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special
from numpy.typing import NDArray

import graphc as gx
from graphc.frontend.tensor import Tensor
from graphc.testing import assert_close
from tests.tolerances import NO_SHIFT

Array = NDArray[Any]
HIGH = np.array([[700.0, 800.0, 3.0], [-900.0, -901.0, -950.0], [0.5, 0.25, -1.0]])
X = gx.input("x", HIGH.shape, dtype="float64")
POWERS = gx.exp(X)
ROWS, COLUMNS = (gx.sum(POWERS, axis=axis) for axis in (1, 0))
ROW_LOG, COLUMN_LOG = (scipy.special.logsumexp(HIGH, axis=axis) for axis in (1, 0))
# Values of degree 0, and what they are.
STABLE: dict[str, tuple[Tensor, Array]] = {
    "log of rows": (gx.log(ROWS), ROW_LOG),
    "log of columns": (gx.log(COLUMNS), COLUMN_LOG),
    "log of mean": (gx.log(ROWS / 3.0), ROW_LOG - np.log(3.0)),
    "softmax of rows": (POWERS / ROWS[:, None], scipy.special.softmax(HIGH, axis=1)),
    "softmax of columns": (POWERS / COLUMNS, scipy.special.softmax(HIGH, axis=0)),
    "log of square": (gx.log(ROWS * ROWS), 2.0 * ROW_LOG),
    "log of inverse": (gx.log(1.0 / ROWS), -ROW_LOG),
    "gradient": (gx.grad(gx.sum(gx.log(ROWS)), X), scipy.special.softmax(HIGH, axis=1)),
    "square of softmax": (
        POWERS * POWERS / (ROWS * ROWS)[:, None],
        scipy.special.softmax(HIGH, axis=1) ** 2,
    ),
}
# Values that the scale matters to, and such that cannot be followed.
OTHERS: dict[str, Tensor] = {
    "the exponentials": POWERS, "their sums": ROWS, "one more": POWERS + 1.0,
    "transposed": POWERS.T, "the other sums": COLUMNS, "all": gx.sum(POWERS),
    "sums of sums": gx.sum(ROWS * 2.0), "a quotient without sums": POWERS / gx.exp(X * 2.0),
    "a product": POWERS @ POWERS, "mixed": POWERS / (1.0 + ROWS[:, None]),
}  # fmt: skip


def compiled(outputs: list[Tensor], x: Array = HIGH) -> list[Array]:
    """The values that the compiled function has."""
    return list(gx.compile([X], outputs)(x))


@pytest.mark.parametrize("name", STABLE)
def test_value(name: str) -> None:
    value, expected = STABLE[name]
    (found,) = compiled([value])
    assert_close(found, expected, tolerance="ulps", each=True)


def test_no_value_depends_on_what_else_is_asked_for() -> None:
    values = [v for v, _ in STABLE.values()] + list(OTHERS.values())
    together = compiled(values)
    for value, found in zip(values, together):
        assert compiled([value])[0].tobytes() == found.tobytes()


def test_others_are_as_written() -> None:
    low = HIGH / 1000.0
    for value, found in zip(OTHERS.values(), compiled(list(OTHERS.values()), low)):
        assert_close(found, value.eval({X: low}), tolerance="ulps", each=True)
    assert np.isinf(compiled([ROWS, gx.log(ROWS)])[0][0])


def test_two_exponentials_in_one_logarithm() -> None:
    y = gx.input("y", (3, 3), dtype="float64")
    other = scipy.special.logsumexp(HIGH[::-1], axis=1)
    product = ROWS * gx.sum(gx.exp(y), axis=1)
    found = gx.compile([X, y], gx.log(product))(HIGH, HIGH[::-1])
    assert_close(found, ROW_LOG + other, tolerance="ulps", each=True)


def test_two_exponents_of_the_first_kind() -> None:
    x = gx.input("x", (2,), dtype="float64")
    total = gx.sum(gx.exp(x))
    given = np.array([200.0, 0.0]) * 5.0
    assert gx.compile([x], gx.log(total))(given) == 1000.0
    logarithm, plain = gx.compile([x], (gx.log(total), total))(given)
    assert (logarithm, plain) == (1000.0, np.inf)


SHIFTS: dict[str, Callable[[Tensor], Tensor]] = {
    "of the columns": lambda x: x - gx.max(x, axis=0),
    "of the columns, turned": lambda x: x - gx.max(x, axis=0)[:, None],
    "of the rows, turned": lambda x: x - gx.max(x, axis=1),
    "of everything": lambda x: x - gx.max(x),
    "of another tensor": lambda x: x - gx.max(x * 0.0 + 1000.0, axis=1, keepdims=True),
}


@pytest.mark.parametrize("name", SHIFTS)
def test_maximum_of_other_rows_is_no_shift(name: str) -> None:
    moved = SHIFTS[name](X)
    x = HIGH * 2.0
    expected = scipy.special.logsumexp(moved.eval({X: x}), axis=1)
    (found,) = compiled([gx.log(gx.sum(gx.exp(moved), axis=1))], x)
    np.testing.assert_allclose(found, expected, **NO_SHIFT)


def test_own_maximum_is_a_shift() -> None:
    for axis in (0, 1):
        shifted = X - gx.max(X, axis=axis, keepdims=True)
        step = gx.compile([X], gx.log(gx.sum(gx.exp(shifted), axis=axis)))
        assert step.text("optimized").count("max(") == 1


# The largest element of a row takes no part in what is divided by, or in a logarithm's sum.
CHOSEN = np.array([[False, True, True], [True, True, False], [False, False, False]])
WEIGHTS = CHOSEN.astype("float64")
FAR = np.array([[600.0, -500.0, -501.0], [-600.0, 1.0, 650.0], [1.0, 2.0, 3.0]])
LEFT_OUT: dict[str, Callable[[Tensor], Tensor]] = {
    "log of a choice": lambda e: gx.log(gx.sum(gx.where(CHOSEN, e, 0.0), axis=1)),
    "log of the other choice": lambda e: gx.log(gx.sum(gx.where(~CHOSEN, 0.0, e), axis=1)),
    "softmax of a choice": lambda e: share(gx.where(CHOSEN, e, 0.0)),
    "log of weighed": lambda e: gx.log(gx.sum(gx.constant(WEIGHTS) * e, axis=1)),
    "softmax of weighed": lambda e: share(gx.constant(WEIGHTS) * e),
    "log of inverses": lambda e: gx.log(gx.sum(1.0 / e, axis=1)),
    "softmax of inverses": lambda e: share(1.0 / e),
    "log of the least": lambda e: gx.log(gx.sum(gx.minimum(e, e * gx.constant(WEIGHTS)), axis=1)),
    "log of a product": lambda e: gx.log(e * gx.sum(e, axis=1, keepdims=True)),
}


def share(x: Tensor) -> Tensor:
    """Of each element in its row."""
    return x / gx.sum(x, axis=1, keepdims=True)


@pytest.mark.parametrize("name", LEFT_OUT)
def test_rows_without_their_largest_element(name: str) -> None:
    value = LEFT_OUT[name](POWERS)
    with np.errstate(all="ignore"):
        written = value.eval({X: FAR})
    (found,) = compiled([value], FAR)
    finite = np.isfinite(written)
    assert finite[:2].any()
    assert_close(found[finite], written[finite], each=True)


def test_choices_of_high_rows() -> None:
    chosen = gx.where(CHOSEN, POWERS, 0.0)
    soft, log = share(chosen), gx.log(gx.sum(chosen, axis=1))
    x = FAR[:2] * 4.0
    slope = gx.grad(gx.sum(log[:2]), X)
    found = compiled([soft, log, slope], np.vstack([x, x[:1]]))
    masked = np.where(CHOSEN[:2], x, -np.inf)
    right = scipy.special.softmax(masked, axis=1)
    assert_close(found[0][:2], right, each=True)
    assert_close(found[1][:2], scipy.special.logsumexp(masked, axis=1), each=True)
    assert_close(found[2][:2], right, each=True)


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_no_choice_depends_on_what_else_is_asked_for(dtype: str) -> None:
    x = gx.input("x", (3, 3), dtype=dtype)
    powers = gx.exp(x)
    chosen, other = gx.where(CHOSEN, powers, 0.0), gx.where(CHOSEN, 0.0, powers)
    values = [
        share(chosen), gx.log(gx.mean(chosen, axis=1)), gx.log(gx.sum(chosen * 2.0, axis=1)),
        gx.log(gx.sum(other, axis=1)), share(powers), gx.log(gx.sum(chosen + powers, axis=1)),
    ]  # fmt: skip
    given = np.array([[4.0, 9.0, -3.0], [-2.0, 1.5, 6.25], [0.0, 2.0, 8.0]]).astype(dtype)
    together = gx.compile([x], values)(given)
    for value, found in zip(values, together):
        assert gx.compile([x], value)(given).tobytes() == found.tobytes()
