"""Some fixed seeds of the net of training runs; more of them by hand."""

from __future__ import annotations

import pytest

from tests.fuzz import training


@pytest.mark.parametrize("seed", range(2, 6))
def test_a_run_that_goes_on_is_the_whole_one(seed: int) -> None:
    assert " to " in training.check(seed)
