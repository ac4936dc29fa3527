"""Choices, loops and recurrent layers of files, against the package's own evaluator."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

import graphc as gx
from graphc.errors import UnsupportedError
from graphc.onnx import backend
from graphc.testing import assert_close

HEAD = '<ir_version: 9, opset_import: ["" : 18]> '
IF = """g (bool c, float[3] x) => (float[3] y) {
    y = If (c) <
        then_branch = t () => (float[3] a) { a = Exp (x) },
        else_branch = e () => (float[3] b) { b = Neg (x) }
    >
}"""
LOOP = """g (float[3] x) => (float[3] last, float[N, 3] rows)
<int64 count = {COUNT}, bool yes = {1}, float[3] w = {0.5, -1, 2}> {
    last, rows = Loop (count, yes, x) <
        body = b (int64 i, bool go, float[3] s) => (bool again, float[3] t, float[3] row) {
            again = Identity (go)
            k = Constant <value = float[3] {0.25, 0.5, 0.125}> ()
            f = Cast <to = 1> (i)
            m = Mul (s, k)
            n = Add (m, w)
            t = Tanh (n)
            row = Add (t, f)
        }
    >
}"""
WHILE = """g (float[1] x, int64 most) => (float[1] last)
<float limit = {100.0}, bool yes = {1}> {
    last = Loop (most, yes, x) <
        body = b (int64 i, bool go, float[1] s) => (bool again, float[1] t) {
            t = Add (s, s)
            total = ReduceSum <keepdims = 0> (t)
            again = Less (total, limit)
        }
    >
}"""


def model(text: str) -> Any:
    """A model from the format's text."""
    return onnx.parser.parse_model(HEAD + text)


def both(proto: Any, *arrays: Any) -> list[tuple[Any, Any]]:
    """Our outputs beside the evaluator's."""
    names = [i.name for i in proto.graph.input]
    expected = ReferenceEvaluator(proto).run(None, dict(zip(names, arrays)))
    return list(zip(backend.prepare(proto).run(list(arrays)), expected, strict=True))


@pytest.mark.parametrize("condition", [True, False])
def test_a_choice_made_while_running(condition: bool) -> None:
    x = np.array([0.0, 1.0, -2.0], np.float32)
    for found, expected in both(model(IF), np.array(condition), x):
        assert_close(found, expected, tolerance="ulps", each=True)


@pytest.mark.parametrize("count", [1, 3, 8, 9, 40])
def test_loops_with_rows(count: int) -> None:
    proto = model(LOOP.replace("COUNT", str(count)))
    x = np.array([1.0, -0.5, 2.0], np.float32)
    for found, expected in both(proto, x):
        assert_close(found, expected, each=True)


@pytest.mark.parametrize("count", [4, 40])
def test_weights_inside_a_loop_are_one_parameter(count: int) -> None:
    proto = model(LOOP.replace("COUNT", str(count)))
    assert list(gx.onnx.load(proto).parameters) == ["w"]
    assert list(gx.onnx.load(proto, trainable=("w", "k")).parameters) == ["w", "k"]


def test_loops_have_gradients() -> None:
    loaded = gx.onnx.load(model(LOOP.replace("COUNT", "12")))
    loss = gx.sum(loaded.outputs["last"] ** 2)
    report = gx.check_gradients(
        loss, [loaded.parameters["w"]], {loaded.inputs["x"]: np.ones(3, np.float32)}
    )
    assert report, report


@pytest.mark.parametrize("most", [0, 3, 20])
def test_loops_that_end_by_a_condition(most: int) -> None:
    for found, expected in both(model(WHILE), np.array([1.5], np.float32), np.array(most)):
        np.testing.assert_allclose(found, expected)


def test_rows_of_a_loop_of_unknown_length_need_its_number() -> None:
    text = LOOP.replace("<int64 count = {COUNT}, ", "<")
    text = text.replace("(float[3] x)", "(float[3] x, int64 count)")
    with pytest.raises(UnsupportedError, match=r"\(Loop, opset 18\): its input 0"):
        gx.onnx.load(model(text))
    found = backend.prepare(model(text)).run([np.ones(3, np.float32), np.array(5)])
    assert found[1].shape == (5, 3)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("length", [1, 25])
def test_recurrent_layers(kind: str, length: int) -> None:
    rng = np.random.default_rng(0)
    batch, size, hidden = 2, 3, 4
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[kind]
    arrays = [
        rng.standard_normal(shape).astype(np.float32) * 0.5
        for shape in (
            (length, batch, size), (2, gates * hidden, size), (2, gates * hidden, hidden),
            (2, 2 * gates * hidden),
        )
    ]  # fmt: skip
    names = ["x", "w", "r", "b"]
    node = onnx.helper.make_node(
        kind, names, ["y", "h"], hidden_size=hidden, direction="bidirectional"
    )
    inputs = [onnx.helper.make_tensor_value_info(n, 1, a.shape) for n, a in zip(names, arrays)]
    outputs = [onnx.helper.make_empty_tensor_value_info(n) for n in ("y", "h")]
    graph = onnx.helper.make_graph([node], "g", inputs, outputs)
    proto = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 14)])
    expected = ReferenceEvaluator(proto).run(None, dict(zip(names, arrays)))
    loaded = gx.onnx.load(proto)
    step = gx.compile(list(loaded.inputs.values()), list(loaded.outputs.values()))
    for found, want in zip(step(*arrays), expected, strict=True):
        assert_close(found, want, tolerance="ulps")
