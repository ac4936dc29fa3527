"""Pads, rolls, diagonals against numpy; quantised numbers against their formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, AxisError, DTypeError, ShapeError
from graphc.frontend.autodiff import check_gradients
from graphc.testing import assert_close
from tests.frontend.functions.array_cases import Array, Case, check, floats, integers

MODES = ("constant", "reflect", "symmetric", "edge", "wrap")
X = floats(3, 5)


@pytest.mark.parametrize("mode", MODES)
def test_pad(mode: str) -> None:
    cases = []
    for x, widths in (
        (X, ((1, 2), (4, 0))), (X, ((0, 0), (3, 4))), (X, ((2, 1), (0, 0))), (X, ((9, 7), (1, 23))),
        (floats(1, 4), ((3, 2), (2, 3))), (floats(2), ((5, 4),)), (integers(0, 9, 4), ((2, 2),)),
        (floats(2, 3, 4), ((1, 1), (2, 2), (3, 3))), (X, ((0, 0), (0, 0))),
        (X > 0, ((1, 1), (2, 2))),
    ):  # fmt: skip
        cases.append(
            Case(f"{mode} {x.shape} {widths}", lambda t, w=widths: gx.pad(t, w, mode=mode),
                 lambda a, w=widths: np.pad(a, w, mode=mode), (x,))
        )  # fmt: skip
    check(cases)


@pytest.mark.parametrize("mode", MODES)
def test_gradients_of_pads(mode: str) -> None:
    x = gx.input("x", (3, 5), dtype="float64")
    y = gx.pad(x, ((2, 1), (4, 7)), mode=mode)
    w = floats(*y.shape).astype(np.float64)  # type: ignore[arg-type]
    loss = gx.sum(y**2 * w)
    assert check_gradients(loss, x, {x: X.astype(np.float64)}).passed
    slopes = gx.grad(loss, x)
    found = [gx.compile([x], slopes, target=t)(X.astype(np.float64)) for t in ("cpu", "interpret")]
    assert_close(*found)


def test_pads_of_symbolic_sizes() -> None:
    x = gx.input("x", (gx.dim("rows", min=3), gx.dim("columns", min=2)))
    outputs = [gx.pad(x, ((2, 1), (1, 1)), mode=mode) for mode in MODES]
    step = gx.compile([x], outputs)
    for shape in ((3, 2), (7, 9), (3, 40)):
        a = floats(*shape)
        for mode, found in zip(MODES, step(a)):
            np.testing.assert_array_equal(found, np.pad(a, ((2, 1), (1, 1)), mode=mode))


def test_roll_and_diagonal() -> None:
    cases: list[Any] = [
        (f"roll {by} {axis}", lambda t, by=by, axis=axis: gx.roll(t, by, axis),
         lambda a, by=by, axis=axis: np.roll(a, by, axis), (X,))
        for by, axis in ((1, 0), (-1, 1), (7, 1), ((1, -2), (0, 1)), (4, None), (2, (0, 1)))
    ]  # fmt: skip
    cases += [
        (f"diagonal {shape} {k}", lambda t, k=k: gx.diagonal(t, k),
         lambda a, k=k: np.diagonal(a, k), (floats(*shape),))
        for shape in ((4, 4), (3, 5), (5, 3), (1, 4)) for k in (0, 1, -2, 9, -9)
    ]  # fmt: skip
    cases.append(
        ("axes", lambda t: gx.diagonal(t, 1, 2, 0), lambda a: np.diagonal(a, 1, 2, 0),
         (floats(3, 2, 4),))
    )  # fmt: skip
    check([Case(*c) for c in cases])


def test_symbolic_roll() -> None:
    x = gx.input("x", ("n", gx.dim("m", min=3)))
    step = gx.compile([x], [gx.roll(x, 1, 0), gx.roll(x, -1, 0), gx.roll(x, -3, 1)])
    for shape in ((0, 3), (1, 3), (5, 9)):
        a = floats(*shape)
        expected = np.roll(a, 1, 0), np.roll(a, -1, 0), np.roll(a, -3, 1)
        for found, wanted in zip(step(a), expected):
            np.testing.assert_array_equal(found, wanted)


SCALES, ZEROS = np.array([0.1, 0.5, 2.0], np.float32), np.array([0, -3, 100], np.int32)


def quantized(a: Array, scale: Any, zero: Any, dtype: str) -> Array:
    """The formula of ONNX, element by element."""
    bounds = np.iinfo(dtype)
    moved = np.rint(a / scale) + zero
    return np.clip(moved, bounds.min, bounds.max).astype(dtype)


def test_quantize() -> None:
    x = np.concatenate(
        [floats(3, 9) * 40, [[0.05, -0.05, 0.15, np.inf, -np.inf, 0.0, 1, 2, 3]] * 3]
    )
    x = x.astype(np.float32).reshape(3, 18)
    cases = []
    for dtype in ("int8", "uint8", "int16"):
        q = quantized(x, np.float32(0.1), 3, dtype)
        cases += [
            Case(f"quantize {dtype}", lambda t, d=dtype: gx.quantize(t, 0.1, 3, d),
                 lambda a, d=dtype: quantized(a, np.float32(0.1), 3, d), (x,)),
            Case(f"dequantize {dtype}", lambda t: gx.dequantize(t, 0.1, 3),
                 lambda a: (a.astype(np.int32) - 3).astype(np.float32) * np.float32(0.1), (q,)),
        ]  # fmt: skip
    column = SCALES[:, None], ZEROS[:, None]
    cases += [
        Case("channels", lambda t: gx.quantize(t, SCALES, ZEROS, "uint8", axis=0),
             lambda a: quantized(a, *column, "uint8"), (x,)),
        Case("back", lambda t: gx.dequantize(t, SCALES, ZEROS, axis=0),
             lambda a: (a.astype(np.int32) - column[1]).astype(np.float32) * column[0],
             (quantized(x, *column, "uint8"),)),
    ]  # fmt: skip
    check(cases)


def test_fake_quantize_passes_the_gradient_in_range() -> None:
    x = gx.input("x", (5,))
    y = gx.fake_quantize(x, 0.5, zero_point=10)
    step = gx.compile([x], [y, gx.grad(gx.sum(y * np.arange(1, 6, dtype=np.float32)), x)])
    values, slopes = step(np.array([0.3, -100.0, 60.0, -69.0, 58.5], np.float32))
    np.testing.assert_array_equal(values, [0.5, -69.0, 58.5, -69.0, 58.5])
    np.testing.assert_array_equal(slopes, [1, 0, 0, 4, 5])


def test_messages() -> None:
    x = gx.input("x", (3, 5))
    with pytest.raises(ArgumentError, match="pad: mode is one of constant, reflect"):
        gx.pad(x, 1, mode="mirror")
    with pytest.raises(ShapeError, match=r"pad: axis 0 of f32\[0,5\] is empty: nothing to edge"):
        gx.pad(gx.input("e", (0, 5)), 1, mode="edge")
    with pytest.raises(ShapeError, match="pad: 2 elements by reflect of n") as caught:
        gx.pad(gx.input("y", (gx.dim("n", min=2),)), 2, mode="reflect")
    assert "min=" in str(caught.value)
    with pytest.raises(ArgumentError, match=r"roll: a shift is an int, got 1\.5"):
        gx.roll(x, 1.5, 0)
    with pytest.raises(ArgumentError, match="roll: 2 shifts for 1 axes"):
        gx.roll(x, (1, 2), 0)
    with pytest.raises(AxisError, match="diagonal: both axes are 1"):
        gx.diagonal(x, 0, 1, -1)
    with pytest.raises(ShapeError, match="depends on which of a and b is smaller"):
        gx.diagonal(gx.input("z", ("a", "b")))
    with pytest.raises(DTypeError, match="quantize: needs integers of 8 or 16 bits, got float32"):
        gx.quantize(x, 0.1, dtype="float32")
    with pytest.raises(DTypeError, match="the zero point must be an integer, got float32"):
        gx.quantize(x, 0.1, np.float32(1))
    with pytest.raises(ShapeError, match=r"the scale must be a number or have 3 elements \(axis 0"):
        gx.quantize(x, np.ones(5, np.float32), axis=0)
    with pytest.raises(DTypeError, match="dequantize: needs integers, got float32"):
        gx.dequantize(x, 0.1)
