"""Made-up tables: houses with prices, people, points in the plane."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from graphc import origin as origins
from graphc.data.split import Part
from graphc.data.synthetic.draws import generator
from graphc.data.tables import Table
from graphc.errors import ArgumentError
from graphc.ir.types import Array

TOWNS = {"Ashford": 0.9, "Brook": 1.0, "Castle": 1.4, "Dale": 0.8}  # what a price is multiplied by


def houses(count: int = 500, seed: int = 0) -> Table:
    """Return a table of houses: area, rooms, age, distance, garden, town and price.

    price = town * (40 + 1.5 area + 8 rooms + 20 garden) * exp(-age / 200 - distance / 50), in
    thousands, with a deviation of 5 %; areas are in square metres, distances in kilometres, ages
    in years.
    """
    rng = generator("houses", count, seed)
    area = np.round(rng.gamma(9.0, 12.0, count) + 30.0)
    rooms = np.clip(np.round(area / 25.0 + rng.normal(0.0, 0.8, count)), 1, 12)
    age = np.round(rng.uniform(0.0, 100.0, count))
    distance = np.round(rng.exponential(6.0, count), 1)
    garden = (rng.random(count) < 0.4).astype(np.float64)
    town = rng.integers(0, len(TOWNS), count, dtype=np.int32)
    worth = 40.0 + 1.5 * area + 8.0 * rooms + 20.0 * garden
    price = np.array(list(TOWNS.values()))[town] * worth * np.exp(-age / 200.0 - distance / 50.0)
    price = np.round(price * rng.normal(1.0, 0.05, count), 1)
    columns: dict[str, Array] = {
        "area": area, "rooms": rooms, "age": age, "distance": distance, "garden": garden,
        "town": town, "price": price,
    }  # fmt: skip
    return Table(columns, {"town": tuple(TOWNS)})


def people(count: int = 200, seed: int = 0) -> Table:
    """Return a table of adults: height in cm, weight in kg, sex."""
    rng = generator("people", count, seed)
    sex = rng.integers(0, 2, count, dtype=np.int32)
    height = np.where(sex == 1, 178.0, 165.0) + rng.normal(0.0, 7.0, count)
    mass_index = np.where(sex == 1, 25.0, 23.5) + rng.normal(0.0, 2.5, count)
    weight = mass_index * (height / 100.0) ** 2
    columns: dict[str, Array] = {
        "height": np.round(height),
        "weight": np.round(weight, 1),
        "sex": sex,
    }
    return Table(columns, {"sex": ("female", "male")})


def collisions(count: int = 1000, seed: int = 0) -> Table:
    """Return a table of particle collisions: energy, mass, angle, jets, jet_energy, weight, label.

    A third are signals, whose masses gather around 125 (deviation 15); those of the background fall
    off from 60 on. As in the Higgs challenge, what was not measured is -999: `jet_energy` without
    jets. `weight` says how many real collisions a row stands for.
    """
    rng = generator("collisions", count, seed)
    label = (rng.random(count) < 1 / 3).astype(np.int32)
    background = 60.0 + rng.exponential(50.0, count)
    mass = np.where(label == 1, rng.normal(125.0, 15.0, count), background)
    energy = mass * rng.uniform(0.4, 0.9, count) + rng.exponential(10.0, count)
    angle = rng.uniform(-np.pi, np.pi, count)
    jets = rng.poisson(np.where(label == 1, 1.2, 0.8)).astype(np.float64)
    jet_energy = np.where(jets > 0, 30.0 + rng.gamma(2.0, 20.0, count), -999.0)
    weight = np.where(label == 1, 0.01, 2.0)
    columns: dict[str, Array] = {
        "energy": np.round(energy, 2), "mass": np.round(mass, 2), "angle": np.round(angle, 3),
        "jets": jets, "jet_energy": np.round(jet_energy, 2), "weight": weight, "label": label,
    }  # fmt: skip
    return Table(columns, {"label": ("b", "s")})


def playground(kind: str = "spiral", count: int = 400, noise: float = 0.1, seed: int = 0) -> Part:
    """Return (x, y): points in the plane of two classes that a line does not part, or hardly.

    x is float32 of shape (count, 2), within about [-1, 1]; y int32, 0 or 1. `kind` is "spiral"
    (two arms), "circle" (a disc in a ring), "xor" (quadrants) or "gauss" (two clouds, which a line
    does part); `noise` is the deviation of the points.
    """
    rng = generator("playground", count, seed)
    if kind not in KINDS:
        raise ArgumentError(
            f"playground: no kind is called {kind!r}",
            origin=origins.find_origin(),
            hint="one of " + ", ".join(KINDS),
        )
    if not noise >= 0.0:
        raise ArgumentError(f"playground: noise must be 0 or more, got {noise!r}")
    y = rng.permutation(np.arange(count) % 2).astype(np.int32)
    x = KINDS[kind](y, rng) + rng.normal(0.0, 1.0, (count, 2)) * noise
    return x.astype(np.float32), y


def _spiral(y: Array, rng: np.random.Generator) -> Array:
    radius = np.sqrt(rng.uniform(0.01, 1.0, len(y)))
    return _polar(radius, 1.75 * 2.0 * np.pi * radius + np.pi * y)


def _circle(y: Array, rng: np.random.Generator) -> Array:
    radius = rng.uniform(0.0, 0.5, len(y)) + 0.7 * (y == 0)
    return _polar(np.minimum(radius, 1.0), rng.uniform(0.0, 2.0 * np.pi, len(y)))


def _xor(y: Array, rng: np.random.Generator) -> Array:
    x = rng.uniform(0.05, 1.0, (len(y), 2)) * rng.choice([-1.0, 1.0], (len(y), 1))
    # both of one sign are the one class, of two the other
    sign = np.where(y == 1, 1.0, -1.0) * np.sign(x[:, 0])
    made: Array = np.stack([x[:, 0], sign * abs(x[:, 1])], 1)
    return made


def _gauss(y: Array, rng: np.random.Generator) -> Array:
    middle: Array = np.where(y[:, None] == 1, 0.5, -0.5)
    x: Array = middle + rng.normal(0.0, 0.15, (len(y), 2))
    return x


def _polar(radius: Array, angle: Array) -> Array:
    return np.stack([radius * np.sin(angle), radius * np.cos(angle)], 1)


KINDS: dict[str, Callable[[Array, np.random.Generator], Array]] = {
    "spiral": _spiral,
    "circle": _circle,
    "xor": _xor,
    "gauss": _gauss,
}
