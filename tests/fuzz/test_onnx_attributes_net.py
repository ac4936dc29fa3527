"""Operators of ONNX with random attributes; many by `python -m tests.fuzz onnx_attributes`.

89 is a slice backwards from before the first element, which the format has and numpy has not.
"""

from __future__ import annotations

import pytest

from tests.fuzz import onnx_attributes


def test_random_attributes_agree_with_onnxruntime() -> None:
    pytest.importorskip("onnxruntime")
    words = [onnx_attributes.check(seed) for seed in range(1, 301)]
    assert words.count("agrees") > 200
