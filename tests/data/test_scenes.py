"""Made-up scenes, heads and writing: their forms, and that the answers are in the pictures."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.data import synthetic
from graphc.ir.types import Array


@pytest.mark.parametrize("name", ["roads", "tissue"])
def test_every_pixel_has_its_answer(name: str) -> None:
    x, y = getattr(synthetic, name)(20, 32)
    assert x.shape == ((20, 32, 32, 3) if name == "roads" else (20, 32, 32))
    assert (x.dtype, y.shape, y.dtype, set(np.unique(y))) == (np.uint8, (20, 32, 32), "u1", {0, 1})
    assert 0.03 < y.mean() < 0.4
    grey = x.reshape(20, 32, 32, -1).mean(axis=-1)
    # roads are brighter than what lies around, membranes darker
    assert (grey[y == 1].mean() - grey[y == 0].mean()) * (1 if name == "roads" else -1) > 20


def test_maps_are_of_their_pictures() -> None:
    x, y = synthetic.maps(20, 32)
    assert x.shape == y.shape == (20, 32, 32, 3)
    assert len(np.unique(y.reshape(-1, 3), axis=0)) == 3
    water = (y == (158, 199, 242)).all(axis=-1)
    blue = x[..., 2].astype(int) - x[..., 0]
    assert blue[water].mean() > 30 > 0 > blue[~water].mean()


def test_animals_are_striped_in_one_set_alone() -> None:
    brown, striped = synthetic.unpaired(30)
    assert brown.shape == striped.shape == (30, 32, 32, 3)
    assert striped.std(axis=(1, 2)).mean() > 1.5 * brown.std(axis=(1, 2)).mean()


def linear(x: Array, y: Array) -> float:
    """How many of the second half a line through the first half classifies."""
    small = x[:, ::3, ::3]
    flat = np.c_[np.ones(len(x)), small.reshape(len(x), -1) / 255.0]
    half = len(x) // 2
    penalty = 10.0 * np.eye(flat.shape[1])
    weights = np.linalg.solve(
        flat[:half].T @ flat[:half] + penalty, flat[:half].T @ (2.0 * y[:half] - 1.0)
    )
    return float((((flat[half:] @ weights) > 0) == y[half:]).mean())


@pytest.mark.parametrize("name", ["faces", "cats"])
def test_heads_are_told_from_the_rest(name: str) -> None:
    x, y = getattr(synthetic, name)(600)
    assert x.shape == ((600, 25, 25) if name == "faces" else (600, 32, 32, 3))
    assert set(y) == {0, 1}
    assert linear(x, y) > 0.75


def test_numbers_begin_at_the_left() -> None:
    (x, y), (x_test, y_test) = synthetic.house_numbers(200)
    assert (x.shape, y.shape) == ((200, 32, 64, 3), (200, 4))
    assert (x_test.shape, y_test.shape) == ((50, 32, 64, 3), (50, 4))
    assert (y[:, 0] < 10).all()
    assert (np.diff((y == 10).astype(int), axis=1) >= 0).all()  # nothing stands behind a gap
    assert set(np.unique(y)) == set(range(11))


def test_cheques_have_as_many_digits_as_asked() -> None:
    (x, y), (x_test, y_test) = synthetic.cheques(40, 3)
    assert (x.shape, y.shape, y.min(), y.max()) == ((40, 16, 48), (40, 3), 0, 9)
    assert len(x_test) == len(y_test) == 10


def test_scans_are_dark_where_letters_are() -> None:
    x, lines = synthetic.scans(40, 10)
    assert x.shape == (40, 12, 60)
    assert {len(line) for line in lines} == {10}
    cells = x.reshape(40, 12, 10, 6).mean(axis=(1, 3))
    spaces = np.array([[letter == " " for letter in line] for line in lines])
    assert cells[spaces].mean() > cells[~spaces].mean() + 30
