"""What training needs is gone at inference; what may fail is not."""

from __future__ import annotations

import numpy as np
import pytest

import graphc as gx
from graphc.compiler.passes import GRAPH_PASSES
from graphc.compiler.passes.driver import run_passes
from graphc.frontend.tensor import Tensor
from graphc.ir.graph import Graph


def optimized(inputs: list[Tensor], output: Tensor, mode: str) -> Graph:
    """The graph of a function after all passes."""
    function = gx.compile(inputs, output, mode=mode, target="interpret")
    return run_passes(function.graph, GRAPH_PASSES)[0]


def ops_of(graph: Graph) -> set[str]:
    """The names of the ops."""
    return {n.op.name for n in graph.nodes}


def test_dropout_is_gone() -> None:
    x = gx.input("x", ("batch", 4))
    y = gx.nn.Dropout(0.5)(x)
    assert "random_bits" in ops_of(optimized([x], y, "train"))
    assert optimized([x], y, "inference").roots == (x.node,)


def test_gradients_need_nothing_of_a_stopped_branch() -> None:
    x = gx.input("x", (4,))
    y = gx.sum(x * gx.stop_gradient(gx.tanh(x)) + gx.stop_gradient(gx.exp(x)))
    assert ops_of(optimized([x], gx.grad(y, x), "inference")) == {"input", "tanh"}


def test_checks_of_data_stay() -> None:
    x = gx.input("x", (4,))
    labels = gx.input("labels", (), dtype="int32")
    loss = gx.nn.softmax_cross_entropy(x, labels)
    assert "guard" in ops_of(optimized([x, labels], loss, "inference"))
    function = gx.compile([x, labels], loss)
    with pytest.raises(gx.errors.RuntimeCheckError):
        function(np.zeros(4, np.float32), np.int32(4))


def test_checks_of_constants_that_hold_are_gone() -> None:
    x = gx.input("x", (2, 4))
    labels = gx.constant(np.array([1, 3], np.int32))
    loss = gx.nn.softmax_cross_entropy(x, labels)
    assert "guard" not in ops_of(optimized([x], loss, "inference"))


def test_checks_of_constants_that_fail_stay() -> None:
    x = gx.input("x", (2, 4))
    labels = gx.constant(np.array([1, 4], np.int32))
    loss = gx.nn.softmax_cross_entropy(x, labels)
    function = gx.compile([x], loss)
    with pytest.raises(gx.errors.RuntimeCheckError):
        function(np.zeros((2, 4), np.float32))
