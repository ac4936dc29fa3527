"""Some fixed seeds of the net of indices; more of them by hand."""

from __future__ import annotations

import pytest

from tests.fuzz import indices

# 171: a known label, checked where what is known is computed ahead of the calls
SEEDS = (*range(1, 41), 171)


@pytest.mark.parametrize("seed", SEEDS)
def test_indices_inside_and_outside(seed: int) -> None:
    assert indices.check(seed) in ("agrees", "an error")
