"""Some faults of the world of each kind."""

from __future__ import annotations

import os

import pytest

from tests.fuzz import world


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("kind", range(len(world.KINDS)))
def test_faults(kind: int) -> None:
    for seed in range(kind, 5 * len(world.KINDS), len(world.KINDS)):
        assert world.check(seed) == world.KINDS[kind].__name__
