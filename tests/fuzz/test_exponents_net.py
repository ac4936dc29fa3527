"""Formulas of exponentials, as `python -m tests.fuzz exponents` checks many more of them."""

from __future__ import annotations

import pytest

from tests.fuzz import exponents


@pytest.mark.parametrize("seed", range(60, 105, 15))
def test_formulas(seed: int) -> None:
    for k in range(15):
        assert exponents.check(seed + k) == "right"
