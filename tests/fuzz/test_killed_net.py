"""Some fixed seeds of the net of killed runs; more of them by hand."""

from __future__ import annotations

import sys

import pytest

from tests.fuzz import killed


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL on Windows")
@pytest.mark.parametrize("seed", range(1, 9))
def test_a_killed_run_goes_on_as_if_nothing_had_been(seed: int) -> None:
    assert "killed" in killed.check(seed)
