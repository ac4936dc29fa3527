"""Every op: types, reference, the loop level's meaning, gradients, every backend."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.frontend.autodiff import grad
from graphc.frontend.tensor import evaluate, lift_op
from graphc.ir import ops
from graphc.ir.compare import TOLERANCE
from graphc.ir.loops import elementary
from graphc.ir.loops.expression import ExprEmitter
from graphc.ir.loops.ir import Apply, Axis, Const, Expr, Index
from graphc.ir.loops.numpy_emitter import NumpyEmitter
from graphc.ir.loops.scalar import PRIMITIVES
from graphc.ir.ops.base import Elementwise, Leaf, Op, Reduce, View
from graphc.ir.types import float32, float64
from graphc.testing.cases import Case, cases_of, dtype_of
from graphc.testing.op import (
    TARGETS,
    check_gradient,
    check_reference,
    check_second_gradient,
    check_target,
    check_type,
    close,
    run_together,
)
from tests.ir.ops.op_cases import CASES, NARROW, REFERENCES, Array

ELEMENTWISE = [c for c in CASES if isinstance(c.op, Elementwise)]
AT_INDICES = (ops.Take, ops.TakeAlong, ops.Guard)  # the last operand is no float
SMOOTH = [
    Case(case.op, tuple(t.with_dtype(float64) if t.dtype == float32 else t for t in case.types))
    for case in CASES
    if (case.op.differentiable and case.types[-1].dtype in (float32, float64))
    or (isinstance(case.op, AT_INDICES) and case.types[0].dtype == float32)
]  # fmt: skip
# the gradients of these are symmetric: tests/linalg has them
SMOOTH = [c for c in SMOOTH if not isinstance(c.op, (ops.Cholesky, ops.Eigh))]
SMOOTH = [c for c in SMOOTH if not isinstance(c.op, ops.Cast) or c.op.dtype == float64]

each_case = pytest.mark.parametrize("case", CASES, ids=str)
each_smooth = pytest.mark.parametrize("case", SMOOTH, ids=str)


# ------------------------------------------------------------------------- meaning in numpy


def test_every_op_has_cases() -> None:
    missing = [c.__name__ for c in ops.ALL_OPS if not issubclass(c, Leaf) and not cases_of(c)]
    assert not missing


@each_case
def test_type(case: Case) -> None:
    check_type(case)


@each_case
def test_reference(case: Case) -> None:
    kind = type(case.op)
    check_reference(case, partial(REFERENCES[kind], case.op), wide=kind not in NARROW)


# ------------------------------------------------------------------- meaning at the loop level


class Oracle(NumpyEmitter):
    """The numpy emitter with the defined functions."""

    def apply(self, function: str, *xs: Any) -> Any:
        """Look the function up."""
        if function in PRIMITIVES:
            return getattr(self, function)(*xs)
        return getattr(elementary, function)(self, *xs)


@pytest.mark.parametrize("case", ELEMENTWISE, ids=str)
def test_emitted_function(case: Case) -> None:
    arrays = case.arrays()
    found = np.asarray(case.op.emit(Oracle(), *arrays))
    expected = case.op.evaluate(*arrays)
    assert found.dtype == expected.dtype
    close(found, expected)


SPECIAL = {
    "f": [0.0, -0.0, 0.5, -2.5, 1.0, -1.0, 3.0, np.inf, -np.inf, np.nan, 1e-40, 1e30, -200.0, 90.0],
    "i": [0, 1, -1, 2, 5, -7, 100, -128, 127],
    "u": [0, 1, 2, 5, 100, 128, 255],
    "b": [False, True],
}


SPECIAL_CASES = [c for c in ELEMENTWISE if c.types[0].shape in ((17,), (7,))] + [
    c for c in ELEMENTWISE if isinstance(c.op, (ops.Where, ops.UnitFloat, ops.NormalFloat))
]


def special_arrays(case: Case) -> list[Array]:
    """All combinations of special values of the inputs' dtypes."""
    columns = []
    for t in case.types:
        values = list(SPECIAL[t.dtype.kind])
        if t.dtype.is_integer:
            bounds = np.iinfo(t.dtype.numpy)
            values += [bounds.min, bounds.max]
        columns.append(values)
    rows = list(itertools.product(*columns))
    if isinstance(case.op, (ops.FloorDivide, ops.Remainder)) and case.types[0].dtype.is_integer:
        rows = [r for r in rows if r[1] != 0]  # a failure by definition
    if isinstance(case.op, ops.Guard):
        rows = [r for r in rows if r[1]]
    with np.errstate(all="ignore"):
        columns = [np.array([r[i] for r in rows]) for i in range(len(case.types))]
        return [a.astype(t.dtype.numpy) for a, t in zip(columns, case.types)]


def compare_special(found: Array, expected: Array) -> None:
    """Assert equal NaNs and infinities, and values close in relative terms."""
    if expected.dtype.kind in "biu":
        np.testing.assert_array_equal(found, expected)
        return
    rtol = 4 * TOLERANCE["rounding"][dtype_of(expected).name]
    tiny = float(np.finfo(np.float32).tiny)
    np.testing.assert_allclose(
        found.astype(np.float64), expected.astype(np.float64), rtol=rtol, atol=tiny
    )


@pytest.mark.parametrize("case", SPECIAL_CASES, ids=str)
def test_special_values(case: Case) -> None:
    arrays = special_arrays(case)
    found = case.op.emit(Oracle(), *arrays)
    with np.errstate(all="ignore"):
        compare_special(np.asarray(found), np.asarray(case.op.evaluate(*arrays)))


@pytest.mark.parametrize("case", [c for c in CASES if isinstance(c.op, Reduce)], ids=str)
def test_merged_elements(case: Case) -> None:
    op, e = case.op, Oracle()
    assert isinstance(op, Reduce)
    (x,) = case.arrays()
    expected = op.evaluate(x)
    kept = [i for i in range(x.ndim) if i not in op.axes]
    columns = x.transpose([*op.axes, *kept]).reshape(-1, *expected.shape)
    running = None
    for index, column in enumerate(columns):
        position = np.full(column.shape, index, np.int64)
        new = op.emit(e, column, position)
        if running is None:
            dtype = e.dtype(new[0])
            running = tuple(e.const(v, dtype if i == 0 else e.dtype(new[i]))
                            for i, v in enumerate(op.combine().identities(dtype)))  # fmt: skip
        running = op.combine().merge(e, running, new)
    found = np.asarray(op.finish(e, running)) if running else expected
    close(np.broadcast_to(found, expected.shape), expected)


def value_of(expr: Expr, at: dict[Axis, Array]) -> Array:
    """The numbers that an index expression stands for."""
    match expr:
        case Const(value=value):
            return np.asarray(value)
        case Index(axis=axis):
            return at[axis]
        case Apply(function=function, args=args):
            return np.asarray(Oracle().apply(function, *(value_of(a, at) for a in args)))
    raise AssertionError(expr)


@pytest.mark.parametrize("case", [c for c in CASES if isinstance(c.op, View)], ids=str)
def test_source_index(case: Case) -> None:
    (x,) = case.arrays()
    expected = case.op.evaluate(x)
    e = ExprEmitter()
    axes = [Axis(f"i{n}") for n in range(expected.ndim)]
    at = dict(zip(axes, np.indices(expected.shape)))
    indices = tuple(e.index(axis) for axis in axes)
    (source,) = case.types
    assert isinstance(case.op, View)
    index, inside = case.op.source_index(e, indices, source, case.op.infer(source))
    assert len(index) == x.ndim
    values = [np.broadcast_to(value_of(i, at), expected.shape) for i in index]
    here = np.broadcast_to(True if inside is None else value_of(inside, at), expected.shape)
    found = np.zeros(expected.shape, x.dtype)
    found[here] = x[tuple(v[here] for v in values)]
    np.testing.assert_array_equal(found, expected)


# --------------------------------------------------------------------------------- gradients


@each_smooth
def test_gradient(case: Case) -> None:
    check_gradient(case)


@each_smooth
def test_second_gradient(case: Case) -> None:
    check_second_gradient(case)


def test_flat_ops_have_no_gradient() -> None:
    x = gx.input("x", (3,), dtype="float64")
    for op in (ops.Floor(), ops.Sign(), ops.Round(), ops.StopGradient()):
        (gradient,) = grad(gx.sum(lift_op(op, x)), [x], unreachable="zero")
        np.testing.assert_array_equal(evaluate([gradient], {x: np.ones(3)})[0], np.zeros(3))


# ---------------------------------------------------------------------------------- backends

KINDS_OF_OP = tuple(dict.fromkeys(type(c.op) for c in CASES))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kind", KINDS_OF_OP, ids=lambda kind: kind.__name__)
def test_backend(kind: type[Op], target: str) -> None:
    check_target([c for c in CASES if type(c.op) is kind], target)


KINDS_WITH_GRADIENT = tuple(dict.fromkeys(type(c.op) for c in SMOOTH))
SHAPES_OF_ELEMENTWISE = 4  # one kernel each: what they have not shown, more shapes do not


@pytest.mark.parametrize("kind", KINDS_WITH_GRADIENT, ids=lambda kind: kind.__name__)
def test_compiled_gradients(kind: type[Op]) -> None:
    """The graphs that gradients are, compiled: each case in the dtype of the harness."""
    cases = [c for c in SMOOTH if type(c.op) is kind]
    cases = cases[:SHAPES_OF_ELEMENTWISE] if issubclass(kind, Elementwise) else cases
    inputs, gradients, arrays = [], [], []
    for number, case in enumerate(cases):
        given = case.arrays()
        xs, y = case.tensors(given, number)
        weights = np.random.default_rng(case.seed).standard_normal(result_shape(case))
        floats = [x for x in xs if x.dtype.is_float]
        inputs, arrays = [*inputs, *xs], [*arrays, *given]
        gradients += grad(gx.sum(y * weights), floats, unreachable="zero")
    found = gx.compile(inputs, gradients, name="gradients")(*arrays)
    expected = gx.compile(inputs, gradients, name="gradients", target="interpret")(*arrays)
    for ours, theirs in zip(found, expected):
        close(ours, theirs, f"gradient of {kind.__name__}")


def result_shape(case: Case) -> tuple[int, ...]:
    """The shape of a case's result."""
    return tuple(int(size) for size in case.op.infer(*case.types).shape)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "kind", [k for k in KINDS_OF_OP if issubclass(k, Elementwise)], ids=lambda k: k.__name__
)
def test_backend_on_special_values(kind: type[Op], target: str) -> None:
    cases = [c for c in SPECIAL_CASES if type(c.op) is kind]
    arrays = [special_arrays(c) for c in cases]
    for case, found, given in zip(cases, run_together(cases, arrays, target), arrays):
        compare_special(found, np.asarray(case.op.evaluate(*given)))
