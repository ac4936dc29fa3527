"""The seed of initial values and random streams."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from graphc import origin as origins
from graphc.errors import ArgumentError
from graphc.ir import naming

_seed = 0  # the one module state: see `seed`
_lock = threading.RLock()  # held while another one is in force


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


@contextmanager
def seeded(n: int) -> Iterator[None]:
    """Use another seed, and automatic names that begin again, for as long as the block lasts.

    What is built in it depends on the seed and the block alone, and nothing outside does on it.
    """
    global _seed
    with _lock:
        before, _seed = _seed, n
        try:
            with naming.counted_apart():
                yield
        finally:
            _seed = before


def generator(seed: int, name: str) -> np.random.Generator:
    """A generator that depends on a seed and a name alone."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    key = np.frombuffer(digest[:16], "<u8").astype(np.uint64)
    return np.random.Generator(np.random.Philox(key=key))
