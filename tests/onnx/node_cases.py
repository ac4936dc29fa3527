"""The node cases of the onnx package, and what graphc makes of each."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import onnx
from onnx.backend.test.loader import load_model_tests
from onnx.backend.test.runner import Runner, _normalize_tensor

from graphc import CompiledFunction
from graphc.errors import UnsupportedError
from graphc.ir.ops import leaf
from graphc.ir.ops.base import Leaf
from graphc.onnx import backend
from tests.tolerances import ONNX_CASES, ONNX_HALF

RANDOM = "draws random numbers, of which the reference has others"
HALF = "the expected float16 values are rounded at every step of numpy: two units off are allowed"
KNOWN = "outputs that are inputs, or known while loading"
CORNERS = "corners are those of the size before rounding; torch and onnxruntime take the new size"
NOISE = "the expected value is rounding noise (2e-7) where the exact one is 0"

# Cases that compile and run, but whose expected outputs hold something else than the operator.
DIFFERENT = {
    "test_bernoulli": RANDOM,
    "test_bernoulli_double": RANDOM,
    "test_bernoulli_double_expanded": RANDOM,
    "test_bernoulli_expanded": RANDOM,
    "test_bernoulli_seed": RANDOM,
    "test_bernoulli_seed_expanded": RANDOM,
    "test_training_dropout": RANDOM,
    "test_training_dropout_default": RANDOM,
    "test_training_dropout_default_mask": RANDOM,
    "test_training_dropout_mask": RANDOM,
    "test_resize_downsample_scales_cubic_align_corners": CORNERS,
    "test_resize_downsample_scales_linear_align_corners": CORNERS,
    "test_dft_inverse": NOISE,
    "test_dft_inverse_opset19": NOISE,
    "test_attention_4d_causal_fp16": HALF,
    "test_attention_4d_causal_fp16_expanded": HALF,
    "test_attention_4d_fp16": HALF,
    "test_attention_4d_fp16_expanded": HALF,
    "test_attention_4d_gqa_with_past_and_present_fp16": HALF,
    "test_attention_4d_gqa_with_past_and_present_fp16_expanded": HALF,
    "test_causal_conv_with_state_silu_fp16": HALF,
    "test_causal_conv_with_state_silu_fp16_expanded": HALF,
}


@dataclass(frozen=True)
class Outcome:
    """What became of a case: "passed" (and how), "different" or "unsupported" (and why)."""

    status: str
    reason: str = ""


@lru_cache(maxsize=1)
def node_cases() -> dict[str, Any]:
    """All cases by name; the package's generators warn about NaN and infinities."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {case.name: case for case in load_model_tests(kind="node")}


def operator_of(case: Any) -> str:
    """The operator that a case is about, as its name tells; of several nodes the last."""
    model: onnx.ModelProto = case.model
    return str(model.graph.node[-1].op_type)


def run_case(case: Any, target: str = "cpu") -> Outcome:
    """Run a case; raises AssertionError where an output is wrong."""
    try:
        prepared = backend.prepare(case.model, "CPU", target=target)
        for inputs, expected in case.data_sets:
            outputs = prepared.run([_normalize_tensor(a) for a in inputs])
            assert prepared.function is not None
            assert prepared.function.target == target
            compare(case, [_normalize_tensor(a) for a in expected], outputs)
    except UnsupportedError as error:
        return Outcome("unsupported", error.message)
    reason = DIFFERENT.get(case.name)
    if reason:
        return Outcome("different", reason)
    assert prepared.function is not None
    return Outcome("passed", "" if computes(prepared.function) else KNOWN)


def computes(function: CompiledFunction) -> bool:
    """Whether the outputs are made from inputs, rather than known while loading or inputs."""
    ops = [node.op for node in function.graph.nodes]
    fed = any(isinstance(op, (leaf.Input, leaf.RandomBits)) for op in ops)
    return fed and not all(isinstance(op, Leaf) for op in ops)


def compare(case: Any, expected: list[Any], outputs: tuple[Any, ...]) -> None:
    """Compare as the package does; cases that differ for a reason in types, HALF ones loosely."""
    reason = DIFFERENT.get(case.name)
    if reason is None:
        Runner.assert_similar_outputs(expected, outputs, case.rtol, case.atol)
        return
    for want, got in zip(expected, outputs, strict=True):
        assert (want.shape, want.dtype) == (got.shape, got.dtype)
        if reason not in (RANDOM, CORNERS):
            near = ONNX_HALF if reason == HALF else ONNX_CASES
            wide = [a.astype(np.float64) for a in (got, want)]
            np.testing.assert_allclose(wide[0], wide[1], **near)
