"""Formulas from textbooks: finite and exact on inputs where the letter of them is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import scipy.special
from numpy.typing import NDArray

import graphc as gx
from graphc.compiler.passes import GRAPH_PASSES
from graphc.compiler.passes.driver import run_passes
from graphc.frontend.tensor import Tensor
from graphc.inspect.graph_printer import graph_text
from graphc.ir import ops
from graphc.ir.graph import Graph
from graphc.runtime.interpret_backend import Executor
from graphc.testing import assert_close
from tests.tolerances import LAST_PLACE, STABLE, STABLE_ZERO

Array = NDArray[Any]
ROWS = np.array(
    [[1000.0, 1.0, -1000.0], [0.5, 0.1, 0.2], [-800.0, -900.0, -1000.0], [90.0, 89.0, 88.5],
     [0.0, 0.0, 0.0], [-1e-3, 1e-4, 1e-6]]
)  # fmt: skip
LABELS = np.array(
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.2, 0.3, 0.5], [0.0, 1.0, 0.0], [0.1, 0.1, 0.8],
     [0.0, 0.0, 1.0]]
)  # fmt: skip
SOFT = scipy.special.softmax(ROWS, axis=1)
EXPIT, OTHER = scipy.special.expit(ROWS), scipy.special.expit(-ROWS)


def softmax(x: Tensor) -> Tensor:
    """As written in textbooks."""
    powers = gx.exp(x)
    return powers / gx.sum(powers, axis=1, keepdims=True)


def masked_softmax(x: Tensor) -> Tensor:
    """The sum over all but the last, by a mask."""
    powers = gx.where(gx.constant(np.array([[True, True, False]] * 6)), gx.exp(x), 0.0)
    return powers / gx.sum(powers, axis=1, keepdims=True)


def entropy(p: Tensor, t: Tensor) -> Tensor:
    """Of a truth value with probability p."""
    return -(t * gx.log(p) + (1.0 - t) * gx.log(1.0 - p))


def softplus_loss() -> Array:
    """The binary cross-entropy by softplus."""
    return np.logaddexp(0.0, ROWS) - LABELS * ROWS


def masked_values() -> Array:
    """The softmax of the first two columns."""
    return np.pad(scipy.special.softmax(ROWS[:, :2], axis=1), ((0, 0), (0, 1)))


@dataclass(frozen=True)
class Formula:
    """A formula of x and t with its true values and, of its weighted sum, the true gradient."""

    name: str
    build: Callable[[Tensor, Tensor], Tensor]
    value: Array
    gradient: Array | None = None
    cancels: bool = False  # a value near 0 is a difference of larger ones

    def __str__(self) -> str:
        return self.name


def of_softmax(cotangent: Array) -> Array:
    """The gradient through a softmax."""
    return SOFT * (cotangent - (SOFT * cotangent).sum(1, keepdims=True))


WEIGHTS = np.linspace(0.5, 1.5, 18).reshape(6, 3)
ROW_WEIGHTS = np.linspace(0.5, 1.5, 6)
FORMULAS = (
    Formula("softmax", lambda x, t: softmax(x), SOFT, of_softmax(WEIGHTS)),
    Formula("masked_softmax", lambda x, t: masked_softmax(x), masked_values()),
    Formula("log_softmax", lambda x, t: gx.log(softmax(x)),
            scipy.special.log_softmax(ROWS, axis=1),
            WEIGHTS - SOFT * WEIGHTS.sum(1, keepdims=True)),
    Formula("log_of_stable_softmax", lambda x, t: gx.log(gx.nn.softmax(x)),
            scipy.special.log_softmax(ROWS, axis=1),
            WEIGHTS - SOFT * WEIGHTS.sum(1, keepdims=True)),
    Formula("logsumexp", lambda x, t: gx.log(gx.sum(gx.exp(x), axis=1)),
            scipy.special.logsumexp(ROWS, axis=1), SOFT * ROW_WEIGHTS[:, None]),
    Formula("log_mean_exp", lambda x, t: gx.log(gx.mean(gx.exp(x), axis=1)),
            scipy.special.logsumexp(ROWS, axis=1) - np.log(3), SOFT * ROW_WEIGHTS[:, None], True),
    Formula("cross_entropy", lambda x, t: -gx.sum(t * gx.log(softmax(x)), axis=1),
            -(LABELS * scipy.special.log_softmax(ROWS, axis=1)).sum(1),
            ROW_WEIGHTS[:, None] * (SOFT - LABELS)),
    Formula("log_sigmoid", lambda x, t: gx.log(gx.sigmoid(x)), scipy.special.log_expit(ROWS),
            WEIGHTS * OTHER),
    Formula("log_one_minus_sigmoid", lambda x, t: gx.log(1.0 - gx.sigmoid(x)),
            scipy.special.log_expit(-ROWS), -WEIGHTS * EXPIT),
    Formula("binary_cross_entropy", lambda x, t: entropy(gx.sigmoid(x), t), softplus_loss(),
            WEIGHTS * (EXPIT - LABELS)),
    Formula("binary_cross_entropy_by_hand", lambda x, t: entropy(1.0 / (1.0 + gx.exp(-x)), t),
            softplus_loss(), WEIGHTS * (EXPIT - LABELS)),
    Formula("sigmoid", lambda x, t: 1.0 / (1.0 + gx.exp(-x)), EXPIT, WEIGHTS * EXPIT * OTHER),
    Formula("sigmoid_by_exp", lambda x, t: gx.exp(x) / (1.0 + gx.exp(x)), EXPIT,
            WEIGHTS * EXPIT * OTHER),
    Formula("softplus", lambda x, t: gx.log(1.0 + gx.exp(x)), np.logaddexp(0.0, ROWS),
            WEIGHTS * EXPIT),
    Formula("softplus_by_log1p", lambda x, t: gx.log1p(gx.exp(x)), np.logaddexp(0.0, ROWS),
            WEIGHTS * EXPIT),
    Formula("log_exp", lambda x, t: gx.log(gx.exp(x)), ROWS, WEIGHTS),
    Formula("expm1", lambda x, t: gx.exp(x * 1e-10) - 1.0, np.expm1(ROWS * 1e-10)),
    Formula("log1p", lambda x, t: gx.log(1.0 + x * 1e-10), np.log1p(ROWS * 1e-10)),
    Formula("log1m", lambda x, t: gx.log(1.0 - x * 1e-10), np.log1p(-ROWS * 1e-10)),
)  # fmt: skip


def optimized(outputs: list[Tensor], inputs: list[Tensor]) -> Graph:
    """The graph after all passes."""
    named = tuple((f"y{i}", t.node) for i, t in enumerate(outputs))
    return run_passes(Graph(tuple(t.node for t in inputs), named), GRAPH_PASSES)[0]


def inputs_of(dtype: str) -> list[Tensor]:
    """x and t."""
    return [gx.input(name, ROWS.shape, dtype=dtype) for name in "xt"]


def computed(graph: Graph, dtype: str) -> list[Array]:
    """The outputs for the rows and the labels."""
    return Executor(graph).compute([ROWS.astype(dtype), LABELS.astype(dtype)], {}, (0, 0))[0]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("formula", FORMULAS, ids=str)
def test_value(formula: Formula, dtype: str) -> None:
    x, t = inputs_of(dtype)
    (found,) = computed(optimized([formula.build(x, t)], [x, t]), dtype)
    tolerance = STABLE[dtype]
    least = tolerance * (1.0 if formula.cancels else STABLE_ZERO)
    np.testing.assert_allclose(found, formula.value, rtol=tolerance, atol=least)


@pytest.mark.parametrize("formula", [f for f in FORMULAS if f.gradient is not None], ids=str)
def test_gradient(formula: Formula) -> None:
    x, t = inputs_of("float64")
    y = formula.build(x, t)
    weights = WEIGHTS if y.ndim == 2 else ROW_WEIGHTS
    dx = gx.grad(gx.sum(y * gx.constant(weights)), x)
    (found,) = computed(optimized([dx], [x, t]), "float64")
    assert formula.gradient is not None
    assert_close(found, formula.gradient)


def test_the_letter_of_them_does_fail() -> None:
    for formula in FORMULAS[:1] + FORMULAS[2:3] + FORMULAS[4:5] + FORMULAS[7:11]:
        x, t = inputs_of("float64")
        y = formula.build(x, t)
        (found,) = computed(Graph((x.node, t.node), (("y", y.node),)), "float64")
        assert not np.all(np.isfinite(found)), formula


def test_infinite_exponents_stay_as_defined() -> None:
    x = gx.input("x", (3, 2), dtype="float64")
    row = np.array([[-np.inf, -np.inf], [np.inf, 0.0], [np.nan, 0.0]])
    outputs = [gx.log(gx.sum(gx.exp(x), axis=1)), softmax(x)]
    before = Graph((x.node,), tuple((f"y{i}", t.node) for i, t in enumerate(outputs)))
    after, _ = run_passes(before, GRAPH_PASSES)
    for a, b in zip(*(Executor(g).compute([row], {}, (0, 0))[0] for g in (before, after))):
        np.testing.assert_array_equal(a, b)


def test_scale_that_leaves_is_kept() -> None:
    x, t = inputs_of("float64")
    powers = gx.exp(x)
    graph = optimized([powers / gx.sum(powers, axis=1, keepdims=True), powers], [x, t])
    as_written = graph.roots[1]
    assert isinstance(as_written.op, ops.Exp)
    assert as_written.inputs == graph.inputs[:1]
    softmax_of_it = computed(graph, "float64")[0]
    assert_close(softmax_of_it, SOFT, tolerance=LAST_PLACE, each=True)


def test_rows_of_other_lengths_are_kept() -> None:
    x, t = inputs_of("float64")
    powers = gx.exp(x)
    total = gx.sum(gx.sum(powers, axis=1) * gx.sum(t, axis=1))  # mixes rows of unequal scale
    graph = optimized([gx.log(total)], [x, t])
    assert "max" not in graph_text(graph)


def test_row_that_may_be_empty_is_kept() -> None:
    x = gx.input("x", (gx.dim("n"), 3), dtype="float64")
    graph = optimized([gx.log(gx.sum(gx.exp(x), axis=0))], [x])
    assert "max" not in graph_text(graph)
    x = gx.input("x", (gx.dim("n", min=1), 3), dtype="float64")
    graph = optimized([gx.log(gx.sum(gx.exp(x), axis=0))], [x])
    assert "max" in graph_text(graph)


def text_of(outputs: list[Tensor], inputs: list[Tensor]) -> str:
    """Golden text."""
    return graph_text(optimized(outputs, inputs), origins=False)


def test_text_of_cross_entropy(golden: Callable[[str, str], None]) -> None:
    x, t = inputs_of("float32")
    loss = -gx.sum(t * gx.log(softmax(x)))
    golden("cross_entropy", text_of([loss, gx.grad(loss, x)], [x, t]))


def test_text_of_binary_cross_entropy(golden: Callable[[str, str], None]) -> None:
    x, t = inputs_of("float32")
    loss = gx.sum(entropy(gx.sigmoid(x), t))
    golden("binary_cross_entropy", text_of([loss, gx.grad(loss, x)], [x, t]))


def test_text_of_softmax_gradient(golden: Callable[[str, str], None]) -> None:
    x, t = inputs_of("float32")
    golden("softmax_gradient", text_of([gx.grad(gx.sum(t * gx.nn.softmax(x)), x)], [x, t]))


def test_gradient_of_branch_not_taken(golden: Callable[[str, str], None]) -> None:
    x = gx.input("x", (6,), dtype="float64")
    y = gx.where(x > 0, gx.log(gx.sqrt(x)) / x, x)
    graph = optimized([gx.grad(gx.sum(y), x)], [x])
    golden("branch_not_taken", graph_text(graph, origins=False))
    values = np.array([-1.0, 0.0, -np.inf, 1.0, 4.0, -3.0])
    (found,) = Executor(graph).compute([values], {}, (0, 0))[0]
    taken = 0.5 * (1 - np.log(np.array([1.0, 4.0]))) / np.array([1.0, 16.0])
    assert_close(found, [1, 1, 1, *taken, 1], tolerance="ulps", each=True)


def test_nan_of_branch_taken_stays() -> None:
    x = gx.input("x", (2,), dtype="float64")
    y = gx.where(x > -5, gx.log(x) * x, 0.0)
    graph = optimized([gx.grad(gx.sum(y), x)], [x])
    (found,) = Executor(graph).compute([np.array([-1.0, -9.0])], {}, (0, 0))[0]
    assert np.isnan(found[0])
    assert found[1] == 0
