"""Made-up pictures with an answer at every pixel, and pictures of the same in two forms."""

from __future__ import annotations

import numpy as np

from graphc.data.split import Part
from graphc.data.synthetic.draws import generator
from graphc.data.synthetic.images import as_bytes, stretch
from graphc.ir.types import Array

FIELDS = np.array([(0.30, 0.45, 0.22), (0.45, 0.52, 0.28), (0.55, 0.48, 0.32), (0.24, 0.36, 0.20)])
WATER, ROAD = np.array((0.16, 0.27, 0.42)), np.array((0.58, 0.57, 0.56))
# what a map paints: land, water, road
PAINT = np.array([(0.86, 0.93, 0.80), (0.62, 0.78, 0.95), (1.0, 1.0, 1.0)])


def roads(count: int = 200, size: int = 64, seed: int = 0) -> Part:
    """Return (x, y): pictures from above, and where their roads are.

    x is uint8 of shape (count, size, size, 3), y uint8 of shape (count, size, size), 1 on a road.
    Fields and water lie around; one to three roads go from edge to edge, bent a little.
    """
    x, land = _above("roads", count, size, seed)
    return x, (land == 2).astype(np.uint8)


def maps(count: int = 200, size: int = 64, seed: int = 0) -> Part:
    """Return (x, y) in the form of the pairs of pix2pix: pictures from above and maps of the same.

    Both are uint8 of shape (count, size, size, 3). A map is white on roads, blue on water.
    """
    x, land = _above("maps", count, size, seed)
    return x, as_bytes(PAINT[land])


def _above(name: str, count: int, size: int, seed: int) -> tuple[Array, Array]:
    """Pictures, and 0, 1 or 2 for land, water and roads."""
    rng = generator(name, count, seed)
    pictures, kinds = zip(*(_place(size, rng) for _ in range(count)))
    return as_bytes(np.stack(pictures)), np.stack(kinds)


def _place(size: int, rng: np.random.Generator) -> tuple[Array, Array]:
    down, right = (np.mgrid[:size, :size] + 0.5) / size
    land = np.zeros((size, size), np.intp)
    land[_smooth(rng, size, 4) > 0.72] = 1
    for _ in range(rng.integers(1, 4)):
        angle, bend = rng.uniform(0.0, np.pi), rng.normal(0.0, 0.25)
        u = (down - 0.5) * np.cos(angle) + (right - 0.5) * np.sin(angle)
        v = (right - 0.5) * np.cos(angle) - (down - 0.5) * np.sin(angle)
        land[abs(u - rng.uniform(-0.3, 0.3) - bend * v * v) < rng.uniform(1.0, 2.0) / size] = 2
    field = FIELDS[(_smooth(rng, size, 3) * 9.0).astype(int) % len(FIELDS)]
    scene = np.stack([WATER, ROAD])[np.maximum(land, 1) - 1]
    scene = np.where((land == 0)[..., None], field, scene)
    light: Array = np.asarray(1.0 + 0.3 * (_smooth(rng, size, 5) - 0.5))
    return scene * light[..., None] + rng.normal(0.0, 0.03, scene.shape), land


def _smooth(rng: np.random.Generator, size: int, knots: int) -> Array:
    """Numbers from 0 to 1 that change slowly over a square."""
    weights = stretch(knots, size)
    made: Array = weights @ rng.random((knots, knots)) @ weights.T
    return made


def tissue(count: int = 200, size: int = 64, seed: int = 0) -> Part:
    """Return (x, y) in the form of electron microscopy: cells, and where their membranes are.

    x is uint8 of shape (count, size, size), y uint8 of the same shape, 1 on a membrane. Cells have
    dark spots of their own, which are no membranes.
    """
    rng = generator("tissue", count, seed)
    both = [_cells(size, rng) for _ in range(count)]
    return as_bytes(np.stack([x for x, _ in both])), np.stack([y for _, y in both])


def _cells(size: int, rng: np.random.Generator) -> tuple[Array, Array]:
    place = np.mgrid[:size, :size].reshape(2, -1, 1) + 0.5
    seeds: Array = rng.uniform(-4.0, size + 4.0, (2, 1, max(4, size * size // 160)))
    far: Array = np.hypot(*(place - seeds))
    nearest: Array = np.partition(far, 1, axis=1)
    wall = (nearest[:, 1] - nearest[:, 0] < 1.6).reshape(size, size)
    shades: Array = rng.uniform(0.6, 0.8, (seeds.shape[-1],))
    shade = shades[far.argmin(axis=1)].reshape(size, size)
    spots = rng.uniform(0.0, size, (2, 1, size // 4))
    apart: Array = np.hypot(*(place - spots))
    spot = (apart.min(axis=1) < 1.8).reshape(size, size)
    scene = np.where(wall, 0.25, np.where(spot, 0.3, shade))
    return scene + rng.normal(0.0, 0.07, scene.shape), wall.astype(np.uint8)


def unpaired(count: int = 200, size: int = 32, seed: int = 0) -> tuple[Array, Array]:
    """Return (brown, striped) in the form of CycleGAN's horses and zebras: two sets of animals on
    grass, none of which stands in both.

    Each is uint8 of shape (count, size, size, 3).
    """
    rng = generator("unpaired", count, seed)
    brown = np.stack([_animal(size, rng, striped=False) for _ in range(count)])
    return as_bytes(brown), as_bytes(np.stack([_animal(size, rng, True) for _ in range(count)]))


def _animal(size: int, rng: np.random.Generator, striped: bool) -> Array:
    down, right = (np.mgrid[:size, :size] + 0.5) / size
    middle = rng.uniform(0.38, 0.55), rng.uniform(0.4, 0.6)
    u, v = right - middle[1], down - middle[0]
    way = rng.choice([-1.0, 1.0])
    body = (u / 0.26) ** 2 + (v / 0.15) ** 2 < 1.0
    head = ((u - 0.28 * way) / 0.1) ** 2 + ((v + 0.16) / 0.09) ** 2 < 1.0
    legs = (v > 0.0) & (v < 0.36) & (np.minimum(abs(u - 0.17), abs(u + 0.17)) < 0.04)
    shade: Array = np.asarray(0.2 * (_smooth(rng, size, 4) - 0.5))
    grass = np.array((0.35, 0.55, 0.25)) + shade[..., None]
    bars = np.sin(u * rng.uniform(45.0, 60.0) + rng.uniform(0.0, 6.0)) > 0.0
    coat = np.where(bars[..., None], 0.92, 0.1) if striped else np.array((0.5, 0.3, 0.15))
    scene = np.where((body | head | legs)[..., None], coat * rng.uniform(0.85, 1.1), grass)
    noisy: Array = scene + rng.normal(0.0, 0.02, scene.shape)
    return noisy
