"""Some fixed seeds of the net of loops.

1, 5, 6, 7 and 12 have flags before floats among the results of a loop, 2, 5 and 23 results that
several nodes stand for, 5 a truncated gradient of a first carry, 88 and 1093 the gradient of a loop
that ends before it must.
"""

from __future__ import annotations

import pytest

from tests.fuzz import loops


@pytest.mark.parametrize("seed", [*range(1, 11), 12, 23, 88, 1093])
def test_loops(seed: int) -> None:
    assert loops.check(seed).startswith("order")
