"""The random generator of a made-up data set."""

from __future__ import annotations

import numpy as np

from graphc import origin as origins
from graphc.errors import ArgumentError


def generator(name: str, count: int, seed: int) -> np.random.Generator:
    """A generator that depends on the name of the set and the seed alone; checks the count."""
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 1:
        raise ArgumentError(
            f"{name}: count must be an int of 1 or more, got {count!r}",
            origin=origins.find_origin(),
        )
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ArgumentError(
            f"{name}: seed must be an int of 0 or more, got {seed!r}", origin=origins.find_origin()
        )
    key = [int(seed), *name.encode()]
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))
