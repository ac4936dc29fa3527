"""Random changes of pictures: each of those that there can be, and no other; none at inference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.testing import assert_close
from tests.tolerances import TURNED

nn = gx.nn
TARGETS = ("interpret", "cpu")


@pytest.fixture(autouse=True)
def _fresh_names() -> None:
    gx.seed(0)


def pictures(count: int = 60, size: tuple[int, ...] = (5, 4, 3), dtype: str = "float32") -> Any:
    """One picture, many times: numbers that tell each element from the others."""
    one = np.random.default_rng(0).random(size)
    one = one.astype(dtype) if dtype != "uint8" else (one * 255).astype(dtype)
    return np.broadcast_to(one, (count, *size)).copy()


def changed(layer: Any, array: Any, mode: str = "train", target: str = "cpu") -> Any:
    x = gx.input("x", ("batch", *array.shape[1:]), array.dtype.name)
    return gx.compile([x], layer(x), mode=mode, target=target)(array)


LAYERS: dict[str, Callable[[], Any]] = {
    "flip": lambda: nn.RandomFlip("horizontal_and_vertical"),
    "crop": lambda: nn.RandomCrop(5, 4, padding=2),
    "rotation": lambda: nn.RandomRotation(0.3),
    "jitter": lambda: nn.ColorJitter(0.5, 0.5, 0.5),
}


@pytest.mark.parametrize("name", LAYERS)
def test_inference_leaves_pictures_as_they_are(name: str) -> None:
    array = pictures()
    np.testing.assert_array_equal(changed(LAYERS[name](), array, "inference"), array)
    assert not np.array_equal(changed(LAYERS[name](), array), array)


@pytest.mark.parametrize("name", LAYERS)
def test_targets_draw_the_same(name: str) -> None:
    array, layer = pictures(9), LAYERS[name]()
    x = gx.input("x", ("batch", 5, 4, 3))
    y = layer(x)
    results = []
    for target in TARGETS:
        gx.seed(4)
        results.append(gx.compile([x], y, mode="train", target=target)(array))
    assert_close(*results)


def test_two_calls_and_two_steps_draw_anew() -> None:
    x, layer = gx.input("x", (40, 5, 4, 3)), nn.RandomFlip()
    step = gx.compile([x], [layer(x), layer(x)], mode="train")
    a, b = step(pictures(40))
    c, _ = step(pictures(40))
    assert not np.array_equal(a, b)
    assert not np.array_equal(a, c)


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
@pytest.mark.parametrize(
    ("mode", "axes"),
    [
        ("horizontal", [(), (1,)]),
        ("vertical", [(), (0,)]),
        ("horizontal_and_vertical", [(), (0,), (1,), (0, 1)]),
    ],
)
def test_flips(mode: str, axes: list[tuple[int, ...]], dtype: str) -> None:
    array = pictures(200, dtype=dtype)
    counts = counted(changed(nn.RandomFlip(mode), array), [np.flip(array[0], a) for a in axes])
    assert all(abs(c - 200 / len(axes)) < 40 for c in counts)


def counted(found: Any, possible: list[Any]) -> list[int]:
    """How often each possible picture is there; nothing else may be."""
    counts = [0] * len(possible)
    for picture in found:
        (which,) = [i for i, p in enumerate(possible) if np.array_equal(p, picture)]
        counts[which] += 1
    return counts


@pytest.mark.parametrize(("size", "padding"), [((5, 4), 1), ((3, 2), 0), ((5, 4), 0), ((4, 4), 1)])
def test_crops(size: tuple[int, int], padding: int) -> None:
    array, p = pictures(400), padding
    padded = np.pad(array[0], ((p, p), (p, p), (0, 0)))
    (height, width), whole = size, padded.shape
    possible = [
        padded[i : i + height, j : j + width]
        for i in range(whole[0] - height + 1)
        for j in range(whole[1] - width + 1)
    ]
    layer = nn.RandomCrop(*size, padding=padding)
    counts = counted(changed(layer, array), possible)
    assert min(counts) > 0.4 * 400 / len(possible)
    middle = array[:, (5 - height) // 2 :][:, :height, (4 - width) // 2 :][:, :, :width]
    np.testing.assert_array_equal(changed(layer, array, "inference"), middle)


@pytest.mark.parametrize("quarters", [-1, 0, 1, 2, 3])
def test_quarter_turns(quarters: int) -> None:
    array = pictures(2, (6, 6, 2), "float32")
    layer = nn.RandomRotation((quarters / 4, quarters / 4))
    wanted = np.rot90(array, quarters, axes=(1, 2))
    assert np.abs(changed(layer, array) - wanted).max() < TURNED


@pytest.mark.parametrize("fill", [0.0, 0.5])
def test_other_angles_interpolate(fill: float) -> None:
    array, turn = pictures(1, (5, 7, 1), "float32"), 0.07
    found = changed(nn.RandomRotation((turn, turn), fill), array)[0, :, :, 0]
    cos, sin = np.cos(2 * np.pi * turn), np.sin(2 * np.pi * turn)
    around = np.pad(array[0, :, :, 0], 20, constant_values=fill)
    for i in range(5):
        for j in range(7):
            row = cos * (i - 2) + sin * (j - 3) + 2 + 20
            column = -sin * (i - 2) + cos * (j - 3) + 3 + 20
            r, c = int(np.floor(row)), int(np.floor(column))
            u, v = row - r, column - c
            square = around[r : r + 2, c : c + 2]
            expected = np.array([1 - u, u]) @ square @ np.array([1 - v, v])
            assert abs(found[i, j] - expected) < TURNED


def test_angles_are_within_their_range() -> None:
    """A bright spot on a ring: its place tells the angle."""
    array = np.zeros((300, 41, 41, 1), "float32")
    array[:, 18:23, 38:41] = 1
    found = changed(nn.RandomRotation(0.1), array)[..., 0]
    rows, columns = np.mgrid[:41, :41] - 20
    mass = found.sum((1, 2))
    turns = np.arctan2(-(found * rows).sum((1, 2)) / mass, (found * columns).sum((1, 2)) / mass)
    turns = turns / (2 * np.pi)
    assert np.abs(turns).max() < 0.102
    assert np.quantile(turns, 0.1) < -0.05 < 0.05 < np.quantile(turns, 0.9)


GREY = np.array([0.299, 0.587, 0.114])


@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0, 1.7])
@pytest.mark.parametrize("limits", [None, (0.0, 1.0)])
def test_colours(factor: float, limits: Any) -> None:
    array = pictures(3).astype("float32")
    grey = (array @ GREY)[..., None]
    mean = grey.mean((1, 2), keepdims=True)
    wanted = {
        "brightness": array * factor,
        "contrast": mean + factor * (array - mean),
        "saturation": grey + factor * (array - grey),
    }
    for role, expected in wanted.items():
        layer = nn.ColorJitter(**{role: (factor, factor)}, value_range=limits)
        expected = expected if limits is None else np.clip(expected, 0, 1)
        assert_close(changed(layer, array), expected.astype("float32"))


def test_factors_differ_and_are_within_their_range() -> None:
    factors = (changed(nn.ColorJitter(0.3, value_range=None), pictures(200)) / pictures(200))[
        :, 0, 0, 0
    ]
    assert 0.7 <= factors.min() < 0.73
    assert 1.27 < factors.max() <= 1.3001


# ------------------------------------------------------------------------------ mixup, cutmix


def batch(count: int = 6) -> tuple[Any, Any]:
    """Pictures of one number each, and which they are."""
    x = np.ones((count, 8, 9, 2), "float32") * np.arange(count).reshape(-1, 1, 1, 1)
    return x.astype("float32"), np.eye(count, dtype="float32")


def mixed(mix: Any, alpha: float, mode: str = "train") -> Any:
    x, t = gx.input("x", ("batch", 8, 9, 2)), gx.input("t", ("batch", 6))
    return gx.compile([x, t], mix(x, t, alpha=alpha), mode=mode)


@pytest.mark.parametrize("mix", [nn.mixup, nn.cutmix])
def test_targets_say_what_was_mixed(mix: Any) -> None:
    step, shares = mixed(mix, 1.0), []
    for _ in range(40):
        x, t = step(*batch())
        assert_close(t.sum(1), np.ones(6, "float32"))
        assert_close(x.mean((1, 2, 3)), t @ np.arange(6, dtype="float32"))
        own = np.diagonal(t)
        moved = own[own < 1]
        assert_close(moved, np.full(len(moved), moved[:1].sum(), "float32"))
        if mix is nn.cutmix:
            assert set(np.unique(x)) <= set(range(6))
            for i in range(6):
                other = x[i, :, :, 0] != i
                rows, columns = np.flatnonzero(other.any(1)), np.flatnonzero(other.any(0))
                assert other.sum() == len(rows) * len(columns)
                assert len(rows) == 0 or np.ptp(rows) + 1 == len(rows)
        shares.append(float(moved[0]) if len(moved) else 1.0)
    assert min(shares) < 0.4
    assert max(shares) > 0.7


@pytest.mark.parametrize("mix", [nn.mixup, nn.cutmix])
def test_inference_mixes_nothing(mix: Any) -> None:
    x, t = batch()
    same_x, same_t = mixed(mix, 1.0, "inference")(x, t)
    np.testing.assert_array_equal(same_x, x)
    np.testing.assert_array_equal(same_t, t)


def test_shares_of_mixup_have_the_moments_of_a_beta_variate() -> None:
    step, alpha = mixed(nn.mixup, 0.4), 0.4
    shares = []
    while len(shares) < 300:
        own = np.diagonal(step(*batch())[1])
        shares += [float(own[own < 1][0])] if (own < 1).any() else []
    variance = 1 / (4 * (2 * alpha + 1))
    assert abs(np.mean(shares) - 0.5) < 4 * np.sqrt(variance / 300)
    assert abs(np.var(shares) - variance) < 0.03


# --------------------------------------------------------------------------------- mistakes


def test_mistakes() -> None:
    x = gx.input("x", (2, 5, 4, 3))
    with pytest.raises(ShapeError, match=r"needs pictures .*, got f32"):
        nn.RandomFlip()(x[0])
    with pytest.raises(ArgumentError, match="RandomFlip: mode must be one of horizontal, vertical"):
        nn.RandomFlip("both")
    with pytest.raises(ShapeError, match=r"cannot cut 6 x 4 from f32\[2,5,4,3\]"):
        nn.RandomCrop(6, 4)(x)
    with pytest.raises(ArgumentError, match="padding must be 0 or more, got -1"):
        nn.RandomCrop(6, 4, padding=-1)
    for wrong in (-0.1, (0.2, 0.1), "half", None, (1, 2, 3)):
        with pytest.raises(ArgumentError, match="RandomRotation: factor must be a number"):
            nn.RandomRotation(wrong)
    with pytest.raises(ArgumentError, match="factors of contrast must be 0 or more"):
        nn.ColorJitter(contrast=(-1.0, 1.0))
    with pytest.raises(ShapeError, match="saturation needs three channels"):
        nn.ColorJitter(saturation=0.1)(x[..., :1])
    with pytest.raises(DTypeError, match="needs floats, got u8"):
        nn.RandomRotation(0.1)(gx.input("bytes", (2, 5, 4, 3), "uint8"))
    t = gx.input("t", (2,), "int32")
    with pytest.raises(DTypeError, match="mixup: targets must hold floats, got i32"):
        nn.mixup(x, t)
    with pytest.raises(ArgumentError, match="cutmix: alpha must be a number above 0, got 0"):
        nn.cutmix(x, gx.one_hot(t, 3), alpha=0)
    with pytest.raises(ShapeError, match="mixup: x and targets must have the same batch"):
        nn.mixup(x, gx.input("u", (3, 2)))
    with pytest.raises(ShapeError, match="cutmix: needs pictures"):
        nn.cutmix(gx.input("v", (2, 3)), gx.one_hot(t, 3))
