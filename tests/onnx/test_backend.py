"""graphc.onnx.backend: the interface of onnx.backend.base."""

from __future__ import annotations

import unittest
import warnings
from typing import Any

import numpy as np
import onnx
import pytest

import graphc as gx
from graphc.errors import ArgumentError, UnsupportedError
from graphc.onnx import backend

ADD = """<ir_version: 8, opset_import: ["" : 17]>
g (float[N] a, float[N] b) => (float[N] c) { c = Add (a, b) }"""
RESHAPE = """<ir_version: 8, opset_import: ["" : 17]>
g (float[?, ?] x, int64[?] shape) => (float[?, ?] y) { y = Reshape (x, shape) }"""


def model(text: str) -> Any:
    """A model from the format's text."""
    return onnx.parser.parse_model(text)


def test_prepare_compiles_and_run_takes_lists_and_dicts() -> None:
    prepared = backend.prepare(model(ADD))
    assert isinstance(prepared.function, gx.CompiledFunction)
    assert prepared.function.target == "cpu"
    a, b = np.arange(3, dtype=np.float32), np.ones(3, np.float32)
    np.testing.assert_array_equal(prepared.run([a, b])[0], a + b)
    np.testing.assert_array_equal(prepared.run({"b": b, "a": a})[0], a + b)
    assert len(prepared.function.variants) == 1


def test_one_input_may_stand_alone() -> None:
    text = '<ir_version: 8, opset_import: ["" : 17]> g (float[N] a) => (float[N] c) { c = Neg (a) }'
    (c,) = backend.prepare(model(text)).run(np.ones(2, np.float32))
    np.testing.assert_array_equal(c, [-1, -1])


def test_the_number_of_inputs_is_checked() -> None:
    with pytest.raises(ArgumentError, match="has 2 inputs, got 1"):
        backend.prepare(model(ADD)).run([np.ones(2, np.float32)])


def test_inputs_that_carry_shapes_are_bound_when_it_runs() -> None:
    prepared = backend.prepare(model(RESHAPE))
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    for shape in ([3, 2], [1, 6], [3, 2]):
        (y,) = prepared.run([x, np.array(shape)])
        np.testing.assert_array_equal(y, x.reshape(shape))
    assert prepared.function is not None
    assert [n.name for n in prepared.function.graph.inputs] == ["x"]


def test_run_model_and_run_node() -> None:
    a = np.array([1.0, -2.0], np.float32)
    np.testing.assert_array_equal(backend.run_model(model(ADD), [a, a])[0], 2 * a)
    node = onnx.helper.make_node("Clip", ["x", "", "high"], ["y"])
    (y,) = backend.run_node(node, [a, np.array(0.5, np.float32)])
    np.testing.assert_array_equal(y, [0.5, -2.0])
    old = onnx.helper.make_node("Clip", ["x"], ["y"], min=-1.0, max=1.0)
    np.testing.assert_array_equal(backend.run_node(old, [a], opset_version=6)[0], [1.0, -1.0])


def test_devices() -> None:
    assert backend.supports_device("CPU")
    assert not backend.supports_device("CUDA")
    with pytest.raises(UnsupportedError, match="device CUDA"):
        backend.prepare(model(ADD), "CUDA")


def test_wrong_models_are_refused_by_the_checker() -> None:
    wrong = model(ADD)
    wrong.graph.node[0].input[0] = "nothing"
    with pytest.raises(onnx.checker.ValidationError):
        backend.prepare(wrong)


def test_what_is_not_supported_is_a_skipped_test() -> None:
    text = ADD.replace("float", "string").replace("Add (a, b)", "Identity (a)")
    with pytest.raises(UnsupportedError, match="type string") as caught:
        backend.prepare(model(text))
    assert isinstance(caught.value, unittest.SkipTest)


@pytest.mark.slow
def test_the_runner_of_the_package_runs_the_backend() -> None:
    from onnx.backend.test import BackendTest

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        suite = BackendTest(backend, __name__).include("test_(relu|gru|equal)_.*cpu").test_suite
        result = unittest.TestResult()
        suite.run(result)
    assert not result.failures
    assert not result.errors
    reasons = {reason for _, reason in result.skipped} - {"no matched include pattern"}
    assert any("elements of type string" in reason for reason in reasons)
    assert result.testsRun - len(result.skipped) > 15
