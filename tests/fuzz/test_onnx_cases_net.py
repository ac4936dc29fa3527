"""Some node cases of ONNX with an axis left open; many by `python -m tests.fuzz onnx_cases`."""

from __future__ import annotations

import pytest

from tests.fuzz import onnx_cases


def test_axes_left_open_are_equal_or_named() -> None:
    pytest.importorskip("onnx")
    words = {onnx_cases.check(seed) for seed in range(60)}
    assert {"agrees", "refused"} <= words
