"""Some saved models in onnxruntime; many by `python -m tests.fuzz onnx_saved`.

5, 11 and 77 have loops without rows or of no rows, 267 an exponential of minus infinity.
"""

from __future__ import annotations

import pytest

from tests.fuzz import onnx_saved


@pytest.mark.parametrize("first", [1, 21, 41])
def test_saved_models_are_what_was_saved(first: int) -> None:
    pytest.importorskip("onnxruntime")
    words = {onnx_saved.check(seed) for seed in (*range(first, first + 20), 77, 267)}
    assert {"agrees", "loop agrees, with gradients"} <= words
