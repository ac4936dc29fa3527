"""Some fixed seeds of the net of sorts on a simulated GPU; more of them by hand."""

from __future__ import annotations

import pytest

from tests.fuzz import cuda_sorts


@pytest.mark.parametrize("seed", range(12))
def test_sorts_as_gpu_kernels(seed: int) -> None:
    assert cuda_sorts.check(seed) in ("merges", "counts")
