"""Made-up writing: house numbers, cheques, scanned lines."""

from __future__ import annotations

import numpy as np

from graphc.data.digits import digits
from graphc.data.split import Part
from graphc.data.synthetic.draws import generator
from graphc.data.synthetic.images import GLYPHS, as_bytes, stretch
from graphc.data.synthetic.language import text
from graphc.ir.types import Array

NOTHING = 10  # the label where a number has no more digits


def house_numbers(count: int = 1000, seed: int = 0) -> tuple[Part, Part]:
    """Return ((x, y), (x_test, y_test)) like Street View house numbers: one to four digits.

    x is uint8 of shape (count, 32, 64, 3), y int32 of shape (count, 4): the digits from the left,
    then 10 where there is none. Colours and sizes are drawn, places a little; the test part has a
    quarter as many, written by others.
    """
    rng = generator("house_numbers", count, seed)
    train, test = digits(flatten=False)
    return _numbers(*train, count, rng), _numbers(*test, max(count // 4, 1), rng)


def _numbers(x: Array, y: Array, count: int, rng: np.random.Generator) -> Part:
    pictures, labels = np.empty((count, 32, 64, 3)), np.full((count, 4), NOTHING, np.int32)
    for picture, label in zip(pictures, labels):
        chosen = rng.integers(0, len(x), rng.integers(1, 5))
        label[: len(chosen)] = y[chosen]
        picture[:] = _plate(x[chosen, :, :, 0].astype(np.float64), rng)
    return as_bytes(pictures), labels


def _plate(written: Array, rng: np.random.Generator) -> Array:
    size = int(rng.integers(14, 17))
    ink = np.zeros((32, 64))
    left = rng.integers(0, min(6, 65 - size * len(written)))
    top = rng.integers(6, 12)
    weights = stretch(8, size)
    for i, digit in enumerate(written):
        column = left + i * size
        ink[top : top + size, column : column + size] = weights @ digit @ weights.T
    wall = rng.uniform(0.0, 1.0, 3)
    paint = np.where(wall > 0.5, wall - rng.uniform(0.35, 0.5, 3), wall + rng.uniform(0.35, 0.5, 3))
    scene: Array = wall + ink[..., None] * (paint - wall)
    light = 1.0 + rng.normal(0.0, 0.1) * np.linspace(-1.0, 1.0, 64)[:, None]
    return scene * light + rng.normal(0.0, 0.03, scene.shape)


def cheques(count: int = 1000, length: int = 4, seed: int = 0) -> tuple[Part, Part]:
    """Return ((x, y), (x_test, y_test)): amounts of `length` digits, written by hand.

    x is uint8 of shape (count, 16, 16 length), y int32 of shape (count, length), the digits. Ink is
    faint here and there; the test part has a quarter as many, written by others.
    """
    rng = generator("cheques", count, seed)
    train, test = digits(flatten=False)
    return (
        _amounts(*train, count, length, rng),
        _amounts(*test, max(count // 4, 1), length, rng),
    )


def _amounts(x: Array, y: Array, count: int, length: int, rng: np.random.Generator) -> Part:
    chosen = rng.integers(0, len(x), (count, length))
    weights = stretch(8, 14)
    large = np.einsum("ij,nkjl,ml->nkim", weights, x[chosen][..., 0].astype(np.float64), weights)
    field = np.zeros((count, length, 16, 16))
    for k in range(length):
        moved = rng.integers(0, 3, (count, 2))
        for one, drawn, (i, j) in zip(field[:, k], large[:, k], moved):
            one[i : i + 14, j : j + 14] = drawn
    line = field.transpose(0, 2, 1, 3).reshape(count, 16, 16 * length)
    paper = line * rng.uniform(0.5, 1.0, (count, 1, 1)) + rng.normal(0.0, 0.12, line.shape)
    return as_bytes(paper), y[chosen]


def scans(count: int = 500, length: int = 16, seed: int = 0) -> tuple[Array, list[str]]:
    """Return (x, lines): scanned lines of a newspaper, `length` characters each.

    x is uint8 of shape (count, 12, 6 length), dark on light; a line is capitals and spaces. Lines
    are moved, the ink is uneven, the paper has spots.
    """
    rng = generator("scans", count, seed)
    words = text(count * length // 4 + 4, seed).upper().replace(".", "").replace(",", "")
    lines = [words[i * length : (i + 1) * length] for i in range(count)]
    x = np.stack([_line(line, rng) for line in lines])
    return as_bytes(x), lines


def _line(line: str, rng: np.random.Generator) -> Array:
    ink = np.zeros((12, 6 * len(line)))
    for i, letter in enumerate(line):
        if letter != " ":
            drawn = (GLYPHS[ord(letter) - ord("A")][:, None] >> np.arange(4, -1, -1)) & 1
            top = 2 + rng.integers(0, 2)
            ink[top : top + 7, 6 * i : 6 * i + 5] = drawn * rng.uniform(0.6, 1.0)
    paper: Array = rng.uniform(0.8, 0.95) - 0.7 * ink + rng.normal(0.0, 0.08, ink.shape)
    return np.where(rng.random(ink.shape) < 0.02, rng.uniform(0.0, 1.0), paper)
