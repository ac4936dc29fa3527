"""Some fixed seeds of the net of running sums on a simulated GPU; more of them by hand."""

from __future__ import annotations

import pytest

from tests.fuzz import cuda_scans


@pytest.mark.parametrize("seed", range(8))
def test_scans_as_gpu_kernels(seed: int) -> None:
    assert cuda_scans.check(seed) in ("in tiles", "in nests")
