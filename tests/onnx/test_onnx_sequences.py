"""Sequences of a known length inside a model, and features of classical models."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

import graphc as gx
from graphc.errors import FormatError, UnsupportedError
from graphc.onnx import backend

X = np.arange(24, dtype=np.float32).reshape(4, 6)


def model(body: str, outputs: str = "float[?, ?] y") -> Any:
    """A model of one matrix."""
    head = '<ir_version: 8, opset_import: ["" : 18]>'
    return onnx.parser.parse_model(f"{head} g (float[4, 6] x) => ({outputs}) {{ {body} }}")


SEQUENCES = {
    "chunks": "two = Constant<value_int = 4>() s = SplitToSequence<axis = 1>(x, two)"
              " i = Constant<value_int = -1>() y = SequenceAt(s, i)",
    "sizes": "n = Constant<value_ints = [1, 0, 3]>() s = SplitToSequence(x, n)"
             " y = ConcatFromSequence<axis = 0>(s)",
    "rows": "s = SplitToSequence<keepdims = 0>(x)"
            " y = ConcatFromSequence<axis = 1, new_axis = 1>(s)",
    "insert": "a = Neg(x) e = SequenceEmpty() s = SequenceInsert(e, x)"
              " i = Constant<value_int = 0>() t = SequenceInsert(s, a, i)"
              " y = ConcatFromSequence<axis = 0>(t)",
    "erase": "a = Neg(x) s = SequenceConstruct(x, a, x) i = Constant<value_int = 0>()"
             " t = SequenceErase(s, i) u = SequenceErase(t) y = SequenceAt(u, i)",
    "length": "a = Neg(x) s = SequenceConstruct(x, a) n = SequenceLength(s)"
              " f = Cast<to = 1>(n) y = Mul(x, f)",
}  # fmt: skip


@pytest.mark.parametrize("name", list(SEQUENCES))
def test_sequences_are_settled_while_loading(name: str) -> None:
    made = model(SEQUENCES[name])
    (wanted,) = ReferenceEvaluator(made).run(None, {"x": X})
    prepared = backend.prepare(made)
    (found,) = prepared.run([X])
    assert prepared.function is not None
    assert prepared.function.target == "cpu"
    np.testing.assert_array_equal(found, wanted)


def test_a_value_that_may_be_missing_is_there() -> None:
    made = model("o = Optional(x) h = OptionalHasElement(o) v = OptionalGetElement(o)"
                 " f = Cast<to = 1>(h) y = Sub(v, f)")  # fmt: skip
    np.testing.assert_array_equal(backend.prepare(made).run([X])[0], X - 1)


def test_an_output_that_is_a_sequence_has_elements_with_names() -> None:
    made = model("s = SplitToSequence<keepdims = 0>(x)", "seq(float[?]) s")
    assert list(gx.onnx.load(made).outputs) == ["s_0", "s_1", "s_2", "s_3"]
    (rows,) = backend.prepare(made).run([X])
    np.testing.assert_array_equal(rows, X)


def test_wrong_sequences_are_errors() -> None:
    at = "i = Constant<value_int = 3>() s = SequenceConstruct(x, x) y = SequenceAt(s, i)"
    with pytest.raises(FormatError, match=r"SequenceAt.*index out of range"):
        gx.onnx.load(model(at))
    with pytest.raises(FormatError, match="a sequence stands where a tensor is wanted"):
        gx.onnx.load(model("s = SequenceConstruct(x, x) y = Neg(s)"))
    with pytest.raises(FormatError, match="input 0 must be a sequence"):
        gx.onnx.load(model("y = ConcatFromSequence<axis = 0>(x)"))
    sizes = "n = Constant<value_ints = [1, 2]>() s = SplitToSequence(x, n)"
    with pytest.raises(FormatError, match=r"4 elements do not fall into parts of \(1, 2\)"):
        gx.onnx.load(model(sizes, "seq(float[?, ?]) s"))
    with pytest.raises(UnsupportedError, match="a value that is missing"):
        gx.onnx.load(model("o = Optional() y = OptionalGetElement(o)"))


@pytest.mark.parametrize("mode", ["TF", "IDF", "TFIDF"])
@pytest.mark.parametrize("shape", [(9,), (3, 7), (2, 1)])
def test_n_grams_are_counted(mode: str, shape: tuple[int, ...]) -> None:
    node = onnx.helper.make_node(
        "TfIdfVectorizer", ["x"], ["y"], mode=mode, min_gram_length=1, max_gram_length=2,
        max_skip_count=2, pool_int64s=[1, 3, 0, 1, 2, 2, 3, 1], ngram_counts=[0, 2],
        ngram_indexes=[4, 0, 1, 5, 2], weights=[0.5, 2.0, 3.0, 4.0, 5.0],
    )  # fmt: skip
    x = np.random.default_rng(0).integers(0, 4, shape)
    (found,) = backend.run_node(node, [x], opset_version=9)
    wanted = counted(x.reshape(-1, shape[-1]), mode).reshape(found.shape)
    assert found.shape == (*shape[:-1], 6)
    np.testing.assert_array_equal(found, wanted)


def counted(rows: Any, mode: str) -> Any:
    """The same by loops over places."""
    grams = {4: [1], 0: [3], 1: [0, 1], 5: [2, 2], 2: [3, 1]}
    weights = {4: 0.5, 0: 2.0, 1: 3.0, 5: 4.0, 2: 5.0}
    y = np.zeros((len(rows), 6), np.float32)
    for row, out in zip(rows, y):
        for place, gram in grams.items():
            for step in (1, 2, 3) if len(gram) > 1 else (1,):
                for i in range(len(row) - (len(gram) - 1) * step):
                    out[place] += list(row[i : i + len(gram) * step : step]) == gram
            out[place] = min(out[place], 1) if mode == "IDF" else out[place]
            out[place] *= 1 if mode == "TF" else weights[place]
    return y
