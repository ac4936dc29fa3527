"""Some damaged models (more by hand: python -m tests.fuzz damaged)."""

from __future__ import annotations

from collections import Counter

import pytest

pytest.importorskip("onnx", reason="models need the onnx package")

from tests.fuzz import damaged


def test_damaged_models_are_refused_or_read() -> None:
    found = Counter(damaged.check(seed) for seed in range(600))
    assert found["refused"] > 200
    assert found["read"] > 50
