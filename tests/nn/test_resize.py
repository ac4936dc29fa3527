"""Resize beside scipy, an independent loop over numpy, and its own gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import ndimage

import graphc as gx
from graphc.errors import ArgumentError, ShapeError
from graphc.testing import assert_close
from tests.tolerances import FLOAT32_WEIGHTS, LOG_NEAR_ONE

Array = np.ndarray[Any, Any]


def keys(t: float) -> float:
    """The kernel of cubic convolution, written out once more."""
    t = abs(t)
    if t < 1:
        return 1.25 * t**3 - 2.25 * t**2 + 1
    return -0.75 * (t**3 - 5 * t**2 + 8 * t - 4) if t < 2 else 0.0


def one_axis(x: Array, new: int, method: str, corners: bool, antialias: bool) -> Array:
    """The first axis in another size, element by element."""
    old, rows = len(x), []
    for i in range(new):
        if corners:
            at = i * (old - 1) / (new - 1) if new > 1 else 0.0
        else:
            at = (i + 0.5) * old / new - 0.5
        if method == "nearest":
            near = int(np.ceil(at - 0.5)) if corners else int(np.floor(at + 0.5))
            rows.append(x[min(max(near, 0), old - 1)])
            continue
        s = min(new / old, 1.0) if antialias else 1.0
        kernel = keys if method == "cubic" else lambda t: max(0.0, 1 - abs(t))
        reach = int(np.ceil((2 if method == "cubic" else 1) / s)) + 1
        total, whole = np.zeros_like(x[0]), 0.0
        for j in range(int(np.floor(at)) - reach, int(np.floor(at)) + reach + 1):
            w = kernel((j - at) * s)
            if antialias and not 0 <= j < old:
                continue
            total, whole = total + w * x[min(max(j, 0), old - 1)], whole + w
        rows.append(total / whole if antialias else total)
    return np.stack(rows)


def reference(x: Array, size: tuple[int, ...], *how: Any) -> Array:
    for axis, new in enumerate(size, 1):
        if new != x.shape[axis]:
            x = np.moveaxis(one_axis(np.moveaxis(x, axis, 0), new, *how), 0, axis)
    return x


@pytest.mark.parametrize("method", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("size", [(8, 10), (7, 3), (1, 1), (4, 5), (13, 2)])
def test_beside_a_loop(method: str, corners: bool, size: tuple[int, int]) -> None:
    given = np.random.default_rng(0).standard_normal((2, 4, 5, 3))
    x = gx.input("x", ("b", 4, 5, 3), dtype="float64")
    for antialias in (False, True):
        if antialias and (corners or method == "nearest"):
            continue
        y = gx.nn.resize(x, size, method, corners, antialias)
        wanted = reference(given, size, method, corners, antialias)
        # weights are rounded to float32
        np.testing.assert_allclose(gx.compile([x], y)(given), wanted, **FLOAT32_WEIGHTS)


def test_linear_beside_scipy() -> None:
    given = np.random.default_rng(0).standard_normal((1, 6, 1)).astype(np.float32)
    places = (np.arange(9) + 0.5) * 6 / 9 - 0.5
    wanted = ndimage.map_coordinates(given[0, :, 0], [places], order=1, mode="nearest")
    x = gx.input("x", given.shape)
    found = gx.compile([x], gx.nn.resize(x, 9))(given)
    assert_close(found[0, :, 0], wanted, tolerance="ulps")


def test_layouts_ranks_and_integers() -> None:
    given = np.arange(2 * 3 * 4 * 4 * 4, dtype=np.uint8).reshape(2, 3, 4, 4, 4)
    first = gx.input("first", given.shape, dtype="uint8")
    y = gx.nn.resize(first, (2, 4, 8), layout="channels_first")
    last = gx.nn.resize(gx.permute_dims(first, (0, 2, 3, 4, 1)), (2, 4, 8))
    a, b = gx.compile([first], [y, last])(given)
    assert a.dtype == np.uint8
    np.testing.assert_array_equal(a, b.transpose(0, 4, 1, 2, 3))


def test_gradient() -> None:
    x = gx.input("x", (1, 3, 5, 2), dtype="float64")
    loss = gx.sum(gx.nn.resize(x, (7, 4), "cubic") ** 2)
    given = np.random.default_rng(0).standard_normal((1, 3, 5, 2))
    assert gx.check_gradients(loss, [x], {x: given})


def test_bad_input() -> None:
    x = gx.input("x", ("b", 4, "w", 3))
    with pytest.raises(ShapeError, match=r"resize: axis 2 of f32\[b,4,w,3\]"):
        gx.nn.resize(x, 8)
    with pytest.raises(ArgumentError, match="method must be one of nearest, linear, cubic"):
        gx.nn.resize(x, 8, "area")
    with pytest.raises(ArgumentError, match="size must be 2 ints of at least 1"):
        gx.nn.resize(x, (0, 4))
    with pytest.raises(ShapeError, match="1 to 3 spatial axes"):
        gx.nn.resize(gx.input("v", (3, 4)), 8)


def test_similarity() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 5, 7))
    a[2] = 0
    x, y = (gx.input(n, (5, 7), dtype="float64") for n in "xy")
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    wanted = np.divide((a * b).sum(1), norms, out=np.zeros(5), where=norms > 0)
    outputs = [gx.nn.cosine_similarity(x, y), gx.nn.cosine_distance(x, y), gx.nn.l2_normalize(x)]
    found = gx.compile([x, y], outputs)(a, b)
    assert_close(found[0], wanted)
    assert_close(found[1], 1 - wanted)
    assert_close(np.linalg.norm(found[2], axis=1), [1, 1, 0, 1, 1])
    slope = gx.grad(gx.sum(outputs[0]), x)
    assert np.isfinite(gx.compile([x, y], slope)(a, b)).all()


def test_activations() -> None:
    given = np.array([-5.0, -1.5, -0.5, 0.0, 0.5, 2.0, 9.0, 80.0])
    x = gx.input("x", (8,), dtype="float64")
    sigmoid = 1 / (1 + np.exp(-given))
    cases = {
        "hard_tanh": np.clip(given, -1, 1),
        "hard_silu": given * np.clip(given / 6 + 0.5, 0, 1),
        "celu": np.where(given > 0, given, np.expm1(np.minimum(given, 0))),
        "glu": given[:4] * sigmoid[4:],
        "log_sigmoid": np.log(sigmoid),
    }
    outputs = {name: getattr(gx.nn, name)(x) for name in cases}
    outputs["prelu"] = gx.nn.prelu(x, gx.constant(0.25, "float64"))
    cases["prelu"] = np.where(given > 0, given, given / 4)
    for name, found in gx.compile([x], outputs)(given).items():
        np.testing.assert_allclose(found, cases[name], **LOG_NEAR_ONE, err_msg=name)
