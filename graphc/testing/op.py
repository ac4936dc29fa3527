"""Check an op: type rule, meaning, gradient by finite differences, compiled code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc.frontend.autodiff import grad, vjp
from graphc.frontend.functions import sum as total
from graphc.frontend.symbols import input as make_input
from graphc.frontend.tensor import Tensor, evaluate
from graphc.ir.ops.base import Op
from graphc.ir.types import Array, TensorType, float32, float64
from graphc.runtime.function import compile as compile_function
from graphc.testing.cases import Case, cases_of, dtype_of
from graphc.testing.close import assert_close

TARGETS = ("interpret", "cpu")


def check_op(
    op: Op,
    *types: TensorType,
    reference: Callable[..., Any] | None = None,
    targets: Sequence[str] = TARGETS,
    gradient: bool = True,
) -> None:
    """Assert that all that an op says about itself agrees.

    That is: `infer` and the type of what `evaluate` makes; `evaluate` and `reference`, a function
    of arrays in float64 and int64; every target and `evaluate`; `vjp` and finite differences, to
    the second order, if the op is `differentiable` (`gradient=False` leaves that out). `types` are
    those of the operands; without them the op's `samples` are tried, or many shapes and dtypes of
    an elementwise op. Arrays are drawn from the op's `domain`.
    """
    cases = [Case(op, types)] if types else [c for c in cases_of(type(op)) if c.op == op]
    assert cases, f"{op.name}: no samples, say the types of the operands"
    for case in cases:
        check_type(case)
        if reference is not None:
            check_reference(case, reference)
    for target in targets:
        check_target(cases, target)
    for case in filter(None, map(in_float64, cases if gradient else ())):
        check_gradient(case)
        check_second_gradient(case)


def close(found: Any, expected: Any, message: str = "") -> None:
    """Assert that results of one op agree; what cancels in it is about 1."""
    found, expected = np.asarray(found), np.asarray(expected)
    if found.dtype.kind in "biu":  # references compute in int64: overflow wraps around
        expected = expected.astype(found.dtype)
    assert_close(found, expected, each=True, floor=1.0, message=message)


def check_type(case: Case) -> None:
    """Assert that the type rule tells the type of the value."""
    result = case.op.evaluate(*case.arrays())
    assert case.op.infer(*case.types) == TensorType(dtype_of(result), result.shape), case


def check_reference(case: Case, reference: Callable[..., Any], wide: bool = True) -> None:
    """Assert that `evaluate` agrees with another function, which gets wide dtypes."""
    arrays = given = case.arrays()
    if wide:
        given = [a.astype(np.int64 if a.dtype.kind in "biu" else np.float64) for a in arrays]
    with np.errstate(all="ignore"):
        close(case.op.evaluate(*arrays), reference(*given), str(case))


def check_target(cases: Sequence[Case], target: str) -> None:
    """Assert that compiled code, of one function for all cases, agrees with `evaluate`."""
    arrays = [case.arrays() for case in cases]
    for case, found, given in zip(cases, run_together(cases, arrays, target), arrays):
        expected = case.op.evaluate(*given)
        assert found.dtype == expected.dtype, case
        close(found, expected, f"{case} on {target}")


def run_together(cases: Sequence[Case], arrays: list[list[Array]], target: str) -> list[Array]:
    """The results of several cases from one compiled function."""
    inputs: list[Tensor] = []
    outputs: list[Tensor] = []
    for number, (case, given) in enumerate(zip(cases, arrays)):
        xs, y = case.tensors(given, number)
        inputs += xs
        outputs.append(y)
    step = compile_function(inputs, outputs, target=target)
    return [np.asarray(found) for found in step(*(a for given in arrays for a in given))]


# --------------------------------------------------------------------------------- gradients


def in_float64(case: Case) -> Case | None:
    """The case in float64 for finite differences; None where there is nothing to differentiate."""
    if not case.op.differentiable or not any(t.dtype in (float32, float64) for t in case.types):
        return None
    wide = tuple(t.with_dtype(float64) if t.dtype == float32 else t for t in case.types)
    return Case(case.op, wide) if case.op.infer(*wide).dtype == float64 else None


def check_gradient(case: Case) -> None:
    """Assert that the gradient agrees with central differences along one random direction."""
    rng = np.random.default_rng(case.seed)
    arrays = case.arrays()
    inputs, y = case.tensors(arrays)
    loss = total(y * rng.standard_normal(y.shape))  # type: ignore[arg-type]
    compare_slopes(loss, inputs, arrays, inputs, rng, (1e-6, 1e-7))


def check_second_gradient(case: Case) -> None:
    """Assert the same of the gradient of the gradient, and of its cotangent."""
    rng = np.random.default_rng(case.seed)
    arrays = case.arrays()
    inputs, y = case.tensors(arrays)
    u = make_input("u", y.shape, dtype="float64")
    floats = [t for t in inputs if t.dtype.is_float]
    firsts = vjp(y, floats, u, unreachable="zero")
    terms = [total(g * rng.standard_normal(g.shape)) for g in firsts]
    loss = sum(terms, start=0.0 * total(u))
    arrays = [*arrays, rng.standard_normal(u.shape)]  # type: ignore[arg-type]
    compare_slopes(loss, [*inputs, u], arrays, [*inputs, u], rng, (2e-6, 1e-6))


def compare_slopes(
    loss: Tensor,
    inputs: list[Tensor],
    arrays: list[Array],
    wrt: list[Tensor],
    rng: np.random.Generator,
    limits: tuple[float, float],
) -> None:
    """Assert that gradients times a direction are the slope of the loss along it."""
    wrt = [t for t in wrt if t.dtype.is_float]
    along = [rng.standard_normal(a.shape) if a.dtype.kind == "f" else None for a in arrays]
    gradients = grad(loss, wrt, unreachable="zero")
    assert [g.type for g in gradients] == [t.type for t in wrt]
    expected = difference(loss, inputs, arrays, along)
    values = evaluate(gradients, dict(zip(inputs, arrays)))
    moving = [d for d in along if d is not None]
    found = float(sum(np.vdot(v, d) for v, d in zip(values, moving)))
    relative, absolute = limits
    limit = max(relative * abs(expected), absolute)
    assert abs(found - expected) <= limit, f"slope {found} instead of {expected}"


def difference(
    loss: Tensor, inputs: list[Tensor], arrays: list[Array], along: list[Array | None]
) -> float:
    """The slope of a scalar along a direction, by central differences."""
    step = 1e-5
    values = []
    for sign in (1.0, -1.0):
        moved = [a if d is None else a + sign * step * d for a, d in zip(arrays, along)]
        values.append(float(evaluate([loss], dict(zip(inputs, moved)))[0]))
    return (values[0] - values[1]) / (2 * step)
