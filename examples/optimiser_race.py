"""A race of optimisers down a narrow valley: momentum and adaptive rates against plain descent.

    python examples/optimiser_race.py
    python examples/optimiser_race.py --out race           # race.png and an animation, race.gif

The valley is 50 times as steep across as along, and lies aslant; all start at (-9, -2). Each
optimiser runs at the rate, of those on a grid, that brings it lowest: one program runs all rates.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from common import parser, show

import graphc as gx
from graphc import optim

START, ANGLE = (-9.0, -2.0), 0.5  # radians
RATES = [float(10.0**e) for e in np.arange(-3.0, 0.51, 0.25)]
RACERS: dict[str, Callable[[Any], optim.Optimizer]] = {
    "SGD": optim.SGD,
    "momentum": lambda rate: optim.SGD(rate, momentum=0.9),
    "Nesterov": lambda rate: optim.SGD(rate, momentum=0.9, nesterov=True),
    "Adagrad": optim.Adagrad,
    "RMSprop": optim.RMSprop,
    "Adam": optim.Adam,
}


def valley(points: gx.Tensor) -> gx.Tensor:
    """The heights (n,) of points (n, 2)."""
    x, y = points[:, 0], points[:, 1]
    along = x * math.cos(ANGLE) + y * math.sin(ANGLE)
    across = y * math.cos(ANGLE) - x * math.sin(ANGLE)
    return 0.5 * along * along + 25.0 * across * across


def run(make: Callable[[Any], optim.Optimizer], steps: int) -> Any:
    """The points (steps + 1, rates, 2) on the ways."""
    start = np.tile(np.array(START, np.float32), (len(RATES), 1))
    place = gx.parameter("place", value=start)
    updates = make(RATES).minimize(gx.sum(valley(place)))
    step = gx.compile([], place, updates, name="step", threads=1)
    return np.array([*(step() for _ in range(steps)), place.value])


def heights() -> gx.CompiledFunction:
    """The valley as a function of points (n, 2)."""
    points = gx.input("points", ("n", 2))
    return gx.compile([points], valley(points), name="heights", threads=1)


def race(steps: int) -> dict[str, tuple[float, Any]]:
    """The best rate of every optimiser, and its way there."""
    height, found = heights(), {}
    for name, make in RACERS.items():
        ways = run(make, steps)
        ends = height(ways[-1])
        best = int(np.argmin(np.where(np.isfinite(ends), ends, np.inf)))
        found[name] = RATES[best], ways[:, best]
    return found


def main() -> None:
    """Let them run, and print how low each came."""
    options = parser(__doc__, epochs=60, data=None)
    chosen = options.parse_args()
    found, height = race(chosen.epochs), heights()
    print(f"{'optimiser':<12}{'rate':>8}{'height after 20':>17}{f'after {chosen.epochs}':>12}")
    for name, (rate, way) in found.items():
        low = height(way)
        print(f"{name:<12}{rate:>8.3g}{low[min(20, chosen.epochs)]:>17.2e}{low[-1]:>12.2e}")
    if chosen.out is None:
        return
    ways = {name: way for name, (_, way) in found.items()}
    chosen.out.mkdir(parents=True, exist_ok=True)
    bounds = ((-10.0, 3.0), (-7.0, 3.0))
    for ending in ("png", "gif"):
        gx.plot.trajectories(height, ways, bounds, path=chosen.out / f"race.{ending}")
    show(height, chosen.out)


if __name__ == "__main__":
    main()
