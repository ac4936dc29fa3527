"""The seed of initial values and random streams."""

from __future__ import annotations

import hashlib

import numpy as np

from graphc import origin as origins
from graphc.errors import ArgumentError
from graphc.ir import naming

_seed = 0  # the one module state: see `seed`


def seed(n: int) -> None:
    """Seed the initial values of parameters and the random streams of functions made from now on.

    A seed has 64 bits: 0 to 2**64 - 1. Automatic names start again, so the same program builds the
    same model.
    """
    global _seed
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)):
        raise ArgumentError(f"seed: needs an int, got {n!r}", origin=origins.find_origin())
    if not 0 <= n < 2**64:  # another seed's numbers would come
        raise ArgumentError(
            f"seed: must be from 0 to 2**64 - 1, got {n}", origin=origins.find_origin()
        )
    _seed = int(n)
    naming.restart()


def current_seed() -> int:
    """The seed in force, below 2**64."""
    return _seed


def generator(seed: int, name: str) -> np.random.Generator:
    """A generator that depends on a seed and a name alone."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    key = np.frombuffer(digest[:16], "<u8").astype(np.uint64)
    return np.random.Generator(np.random.Philox(key=key))
