"""Some fixed seeds of the net of updates on a simulated GPU; more of them by hand."""

from __future__ import annotations

import pytest

from tests.fuzz import cuda_scatters


@pytest.mark.parametrize("seed", range(10))
def test_updates_as_gpu_kernels(seed: int) -> None:
    assert cuda_scatters.check(seed) in ("sorts", "compares")
