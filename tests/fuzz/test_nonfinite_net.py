"""Some fixed seeds of every kind of program of the net of non-finite values.

Without guards on what `where` does not choose, 3 of 4 of the guarded ones are wrong.
"""

from __future__ import annotations

import pytest

from tests.fuzz import nonfinite


@pytest.mark.parametrize("seed", range(1, 21))
def test_nonfinite(seed: int) -> None:
    assert nonfinite.check(seed) in ("op", "composition", "guarded", "steep")
