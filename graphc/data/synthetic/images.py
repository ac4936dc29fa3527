"""Made-up images: digits, letters and coloured shapes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from graphc.data.digits import digits
from graphc.data.split import Part
from graphc.data.synthetic.draws import generator
from graphc.ir.types import Array

# Every letter as seven rows of five pixels, the bits of a number.
FONT = """
0E11111F111111 1E11111E11111E 0E11101010110E 1E11111111111E 1F10101E10101F 1F10101E101010
0E11101711110F 1111111F111111 0E04040404040E 0702020202120C 11121418141211 1010101010101F
111B1515111111 11191513111111 0E11111111110E 1E11111E101010 0E11111115120D 1E11111E141211
0F10100E01011E 1F040404040404 1111111111110E 11111111110A04 11111115151B11 11110A040A1111
11110A04040404 1F01020408101F
"""
GLYPHS = np.array([list(bytes.fromhex(letter)) for letter in FONT.split()], np.uint8)
SHAPES: tuple[Callable[[Array, Array], Array], ...] = (
    lambda u, v: u * u + v * v < 1.0,  # disc
    lambda u, v: np.abs(np.hypot(u, v) - 0.75) < 0.25,  # ring
    lambda u, v: np.maximum(abs(u), abs(v)) < 0.9,  # square
    lambda u, v: np.abs(np.maximum(abs(u), abs(v)) - 0.7) < 0.2,  # frame
    lambda u, v: (v < 0.8) & (v > 2.0 * abs(u) - 0.9),  # triangle, up
    lambda u, v: (v > -0.8) & (-v > 2.0 * abs(u) - 0.9),  # triangle, down
    lambda u, v: (np.minimum(abs(u), abs(v)) < 0.25) & (np.maximum(abs(u), abs(v)) < 1.0),  # plus
    lambda u, v: (np.abs(abs(u) - abs(v)) < 0.3) & (np.maximum(abs(u), abs(v)) < 0.9),  # cross
    lambda u, v: (np.sin(7.0 * v) > 0.0) & (np.maximum(abs(u), abs(v)) < 1.0),  # lying stripes
    lambda u, v: (np.sin(7.0 * u) > 0.0) & (np.maximum(abs(u), abs(v)) < 1.0),  # standing stripes
)


def digits_28x28(count: int = 2000, seed: int = 0) -> tuple[Part, Part]:
    """Return ((x, y), (x_test, y_test)) in the form of MNIST: digits of the package, enlarged.

    x is uint8 of shape (count, 28, 28), y int32 in 0..9; the test part has a quarter as many, of
    other originals. Each is one of the 8x8 digits at 20x20, moved by up to four pixels.
    """
    rng = generator("digits_28x28", count, seed)
    train, test = digits(flatten=False)
    return _enlarged(*train, count, rng), _enlarged(*test, max(count // 4, 1), rng)


def _enlarged(x: Array, y: Array, count: int, rng: np.random.Generator) -> Part:
    chosen = rng.integers(0, len(x), count)
    weights = stretch(8, 20)
    large = np.einsum("ij,njk,lk->nil", weights, x[chosen, :, :, 0].astype(np.float64), weights)
    placed = np.zeros((count, 28, 28))
    for image, part, (i, j) in zip(placed, large, rng.integers(0, 9, (count, 2))):
        image[i : i + 20, j : j + 20] = part
    return as_bytes(placed), y[chosen]


def stretch(size: int, to: int) -> Array:
    """The matrix of linear interpolation."""
    places = np.clip((np.arange(to) + 0.5) * (size / to) - 0.5, 0, size - 1)
    weights: Array = np.maximum(0.0, 1.0 - np.abs(places[:, None] - np.arange(size)))
    return weights


def letters(count: int = 2000, seed: int = 0) -> Part:
    """Return (x, y) in the form of notMNIST and EMNIST: capital letters with noise.

    x is uint8 of shape (count, 28, 28), y int32 in 0..25, A to Z. Size, slant, place and
    brightness are drawn for each.
    """
    rng = generator("letters", count, seed)
    y = rng.integers(0, 26, count, dtype=np.int32)
    pixels = (GLYPHS[y][:, :, None] >> np.arange(4, -1, -1)) & 1  # (count, 7, 5)
    i, j = np.mgrid[:28, :28] - 13.5
    scale = rng.uniform(2.2, 3.2, (count, 1, 1))
    slant = rng.uniform(-0.25, 0.25, (count, 1, 1))
    move = rng.uniform(-2.0, 2.0, (2, count, 1, 1))
    row = np.floor((i - move[0]) / scale + 3.5).astype(int)
    column = np.floor((j - move[1] + slant * i) / scale + 2.5).astype(int)
    inside = (row >= 0) & (row < 7) & (column >= 0) & (column < 5)
    which = np.arange(count)[:, None, None]
    ink = inside & (pixels[which, row.clip(0, 6), column.clip(0, 4)] == 1)
    bright = rng.uniform(0.6, 1.0, (count, 1, 1))
    return as_bytes(ink * bright + rng.normal(0.0, 0.05, (count, 28, 28))), y


def cifar_like(count: int = 1000, seed: int = 0) -> Part:
    """Return (x, y) in the form of CIFAR-10: coloured shapes before a coloured gradient.

    x is uint8 of shape (count, 32, 32, 3), y int32 in 0..9: disc, ring, square, frame, triangles
    (up, down), plus, cross, stripes (lying, standing). Colours say nothing about the class.
    """
    rng = generator("cifar_like", count, seed)
    y = rng.integers(0, len(SHAPES), count, dtype=np.int32)
    x = np.stack([_scene(SHAPES[label], rng) for label in y])
    return as_bytes(x), y


def _scene(shape: Callable[[Array, Array], Array], rng: np.random.Generator) -> Array:
    size, middle = rng.uniform(7.0, 13.0), rng.uniform(12.0, 20.0, 2)
    down, right = np.mgrid[:32, :32] + 0.5
    mask = shape((right - middle[1]) / size, (middle[0] - down) / size * -1.0)
    ends = rng.uniform(0.0, 1.0, (2, 3))
    along = (down * rng.uniform(0.0, 1.0) + right * rng.uniform(0.0, 1.0))[..., None] / 64.0
    back = ends[0] + along * (ends[1] - ends[0])
    mean = back.mean(axis=(0, 1))
    colour = np.where(mean > 0.5, mean - rng.uniform(0.3, 0.5, 3), mean + rng.uniform(0.3, 0.5, 3))
    scene: Array = np.where(mask[..., None], colour, back) + rng.normal(0.0, 0.03, (32, 32, 3))
    return scene


def as_bytes(x: Array) -> Array:
    """Numbers from 0 to 1 as bytes."""
    return np.round(np.clip(x, 0.0, 1.0) * 255.0).astype(np.uint8)
