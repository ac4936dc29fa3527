"""Made-up heads: faces and what is none, cats and what is none."""

from __future__ import annotations

import numpy as np

from graphc.data.split import Part
from graphc.data.synthetic.draws import generator
from graphc.data.synthetic.images import SHAPES, as_bytes, stretch
from graphc.ir.types import Array

FURS = np.array([(0.85, 0.55, 0.25), (0.6, 0.58, 0.55), (0.9, 0.85, 0.75)])


def faces(count: int = 400, size: int = 25, seed: int = 0) -> Part:
    """Return (x, y): grey patches, of which those with y = 1 are faces.

    x is uint8 of shape (count, size, size), y int32. The others are pieces of a world of smooth
    shades, edges and dots.
    """
    rng = generator("faces", count, seed)
    y = rng.integers(0, 2, count, dtype=np.int32)
    x = np.stack([_face(size, rng) if label else _piece(size, rng) for label in y])
    return as_bytes(x), y


def _blob(down: Array, right: Array, at: tuple[float, float], wide: tuple[float, float]) -> Array:
    made: Array = np.exp(-(((down - at[0]) / wide[0]) ** 2) - ((right - at[1]) / wide[1]) ** 2)
    return made


def _face(size: int, rng: np.random.Generator) -> Array:
    down, right = np.mgrid[:size, :size] / (size - 1.0) * 2.0 - 1.0
    turn = rng.normal(0.0, 0.06, 4)
    down, right = down + turn[0] + turn[1] * right, right + turn[2] - turn[1] * down
    skin, back = rng.uniform(0.55, 0.85), rng.uniform(0.1, 0.6)
    oval = (right / rng.uniform(0.72, 0.85)) ** 2 + (down / rng.uniform(0.95, 1.1)) ** 2
    face = back + (skin - back) / (1.0 + np.exp((oval - 1.0) * 9.0))
    eyes, apart = rng.uniform(-0.28, -0.18), rng.uniform(0.3, 0.38)
    for side in (-apart, apart):
        face = face - 0.4 * _blob(down, right, (eyes, side), (0.1, 0.17))
        face = face - 0.25 * _blob(down, right, (eyes - 0.2, side), (0.06, 0.22))
    face = face + 0.12 * _blob(down, right, (0.1, 0.0), (0.3, 0.08))
    face = face - 0.15 * _blob(down, right, (0.28, 0.0), (0.06, 0.16))
    face = face - 0.35 * _blob(down, right, (0.55, 0.0), (0.07, rng.uniform(0.2, 0.34)))
    face = face - rng.uniform(0.0, 0.5) * (down < rng.uniform(-0.8, -0.6))
    light: Array = face * (1.0 + rng.normal(0.0, 0.15) * right) + rng.normal(0.0, 0.03, face.shape)
    return light


def _piece(size: int, rng: np.random.Generator) -> Array:
    weights = stretch(5, size)
    piece: Array = weights @ rng.uniform(0.1, 0.9, (5, 5)) @ weights.T
    down, right = np.mgrid[:size, :size] / (size - 1.0) * 2.0 - 1.0
    for _ in range(rng.integers(0, 4)):
        angle = rng.uniform(0.0, 2.0 * np.pi)
        edge = down * np.sin(angle) + right * np.cos(angle) > rng.uniform(-0.8, 0.8)
        piece = piece + rng.uniform(-0.4, 0.4) * edge
        spot = _blob(down, right, tuple(rng.uniform(-1.0, 1.0, 2)), tuple(rng.uniform(0.1, 0.4, 2)))
        piece = piece + rng.uniform(-0.5, 0.5) * spot
    return piece + rng.normal(0.0, 0.03, piece.shape)


def cats(count: int = 400, size: int = 32, seed: int = 0) -> Part:
    """Return (x, y): coloured pictures, of which those with y = 1 are heads of cats.

    x is uint8 of shape (count, size, size, 3), y int32. The others are shapes in any colour.
    """
    rng = generator("cats", count, seed)
    y = rng.integers(0, 2, count, dtype=np.int32)
    return as_bytes(np.stack([_pet(size, rng, bool(label)) for label in y])), y


def _pet(size: int, rng: np.random.Generator, cat: bool) -> Array:
    down, right = np.mgrid[:size, :size] / (size - 1.0) * 2.0 - 1.0
    u, v = (right - rng.normal(0.0, 0.1)) * 1.4, (down - rng.normal(0.1, 0.1)) * 1.4
    weights = stretch(3, size)
    scene = np.einsum("ij,jkc,lk->ilc", weights, rng.uniform(0.1, 0.6, (3, 3, 3)), weights)
    noise = rng.normal(0.0, 0.04, scene.shape)
    if not cat:
        shape = SHAPES[rng.integers(0, len(SHAPES))](u, v)
        other: Array = np.where(shape[..., None], rng.uniform(0.0, 1.0, 3), scene) + noise
        return other
    tips = (v < -0.4) & (v > -1.15) & (abs(abs(u) - 0.55) < (v + 1.15) * 0.45)
    scene = np.where(((u * u + v * v < 0.8) | tips)[..., None], FURS[rng.integers(0, 3)], scene)
    eyes = np.hypot(abs(u) - 0.35, (v + 0.1) * 1.3) < 0.16
    scene = np.where(eyes[..., None], (0.3, 0.75, 0.3), scene)
    slits = eyes & (abs(abs(u) - 0.35) < 0.06)
    nose = (abs(u) < 0.12) & (v > 0.2) & (v < 0.32)
    made: Array = np.where((slits | nose)[..., None], 0.08, scene) + noise
    return made
