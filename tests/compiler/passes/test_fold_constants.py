"""What is computed at compile time, and what is left."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import graphc as gx
from graphc.compiler.passes.driver import run_passes
from graphc.compiler.passes.fold_constants import MAX_FOLDED_BYTES, fold_constants
from graphc.frontend.tensor import Tensor
from graphc.inspect.graph_printer import graph_text
from graphc.ir.graph import Graph
from graphc.ir.ops.leaf import Constant
from graphc.runtime.interpret_backend import Executor

TABLE = np.arange(6, dtype=np.float32).reshape(2, 3)


def folded(*outputs: Tensor, inputs: tuple[Tensor, ...] = ()) -> Graph:
    """The graph after the pass alone."""
    named = tuple((f"y{i}", t.node) for i, t in enumerate(outputs))
    return run_passes(Graph(tuple(t.node for t in inputs), named), (fold_constants,))[0]


def names(graph: Graph) -> list[str]:
    """The ops of a graph."""
    return [n.op.name for n in graph.nodes]


def test_text(golden: Callable[[str, str], None]) -> None:
    x = gx.input("x", (2, 3))
    table = gx.constant(TABLE)
    y = x * gx.exp(gx.sum(table, axis=0) * 0.5) + gx.asarray(2.0) * 3.0
    graph = folded(y, gx.full((2, 3), 1.0) + table, inputs=(x,))
    golden("fold_constants", graph_text(graph, origins=False))


def test_values() -> None:
    graph = folded(gx.matmul(gx.constant(TABLE), gx.constant(TABLE.T)))
    assert names(graph) == ["constant"]
    (root,) = graph.roots
    assert isinstance(root.op, Constant)
    np.testing.assert_array_equal(root.op.value, TABLE @ TABLE.T)
    assert not root.op.value.flags.writeable


def test_equal_elements_become_one_number() -> None:
    graph = folded(gx.constant(np.full((2, 3), -0.0, np.float32)))
    assert names(graph) == ["literal", "broadcast_to"]
    (value,), _ = Executor(graph).compute([], {}, (0, 0))
    assert np.all(np.signbit(value))


def test_zeros_of_both_signs_stay_an_array() -> None:
    assert names(folded(gx.constant(np.array([0.0, -0.0])))) == ["constant"]


def test_large_results_are_left() -> None:
    big = gx.constant(np.arange(MAX_FOLDED_BYTES // 4 + 1, dtype=np.float32))
    assert names(folded(gx.exp(big))) == ["constant", "exp"]
    small = gx.constant(np.arange(MAX_FOLDED_BYTES // 4, dtype=np.float32))
    assert names(folded(gx.exp(small))) == ["constant"]


def test_repeated_numbers_are_not_made_arrays() -> None:
    x = gx.input("x", (2, 3))
    assert names(folded(x + gx.full((2, 3), 1.0), inputs=(x,))).count("broadcast_to") == 1


def test_sizes() -> None:
    x = gx.input("x", ("batch", 7))
    graph = folded(gx.mean(x, axis=1), gx.mean(x, axis=0), inputs=(x,))
    assert names(graph).count("size") == 1  # of the dim; the other one is 7


def test_symbolic_shapes_are_left() -> None:
    x = gx.input("x", ("batch",))
    table = gx.constant(TABLE)
    y = gx.broadcast_to(gx.sum(table), x.shape)
    assert names(folded(y, inputs=(x,))) == ["literal", "broadcast_to"]


def test_empty_shapes_with_a_dim_are_left() -> None:
    x = gx.input("x", ("batch",))
    y = gx.exp(gx.broadcast_to(gx.constant(1.5), (*x.shape, 0)))
    assert names(folded(gx.sum(y, axis=0), inputs=(x,))) == [
        "literal", "broadcast_to", "exp", "sum",
    ]  # fmt: skip


def test_a_failing_check_fails_when_it_runs() -> None:
    table = gx.constant(TABLE)
    graph = folded(gx.take(table, gx.constant(np.array([5])), axis=0))
    assert "take" in names(graph)
    with pytest.raises(gx.errors.RuntimeCheckError, match=r"5 at \[0\] is out of range"):
        Executor(graph).compute([], {}, (0, 0))


def test_random_bits_are_no_constants() -> None:
    assert "random_bits" in names(folded(gx.random.uniform((3,))))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_numbers_keep_their_bits(dtype: str) -> None:
    for value in (1 / 3, 1e-7, 65000.0, np.inf, -np.inf, np.nan, -0.0):
        x = gx.asarray(value, dtype=dtype) if dtype else None
        graph = folded(gx.negative(gx.negative(x)))
        (found,), _ = Executor(graph).compute([], {}, (0, 0))
        assert names(graph) == ["literal"]
        expected = np.asarray(value).astype(found.dtype)
        assert np.isnan(value) or found.tobytes() == expected.tobytes()
