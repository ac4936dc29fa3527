"""Graphs for the rules of numerical stability, which keep values but not every bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import graphc as gx
from graphc.compiler.passes.divide_rows import reciprocal_of_sum
from graphc.compiler.passes.rules_arithmetic import abs_of_sign, mul_number_twice
from graphc.compiler.passes.rules_choice import cast_twice
from graphc.compiler.passes.rules_reduce import extreme_of_broadcast, sum_of_broadcast
from graphc.compiler.passes.rules_view import (
    broadcast_of_leading_ones,
    elementwise_of_broadcasts,
    reshape_of_broadcast,
    slice_of_concat,
)
from graphc.compiler.passes.simplify import fold_number
from graphc.compiler.passes.stabilise import (
    exp_minus_one,
    factor_cancels,
    log_near_one,
    log_of_exp,
    log_of_one_minus_sigmoid,
    log_of_one_plus_exp,
    log_of_sigmoid,
    log_of_softmax,
    logistic_gradient,
    quotient_is_sigmoid,
    softmax_gradient,
)
from graphc.frontend.tensor import Tensor, lift_op
from graphc.ir import ops
from tests.compiler.passes import rule_cases as given
from tests.compiler.passes.rule_cases import FEW, B, Case, cast, op, part, reduced, shaped, to

BOUND = "what roundings may do"
N = gx.dim("n", min=1)
SHAPES: tuple[tuple[Any, ...], ...] = ((3, 3), (N, N), (2, 3), (1, 3), (3, 1), (2, 2, 2))
Div, Mul, Sub, Add = ops.Div, ops.Mul, ops.Sub, ops.Add


def sums(x: Tensor) -> list[Tensor]:
    """Sums of a tensor in its shape: beside their own rows and beside others."""
    last, first = gx.sum(x, axis=-1), gx.sum(x, axis=0)
    shown = [gx.expand_dims(last, axis=-1), gx.expand_dims(first, axis=0)]
    square = len(set(x.shape)) == 1
    shown += [last, gx.expand_dims(first, axis=-1)] if square else [gx.sum(x), gx.sum(x)]
    return [gx.broadcast_to(s, x.shape) for s in shown]


def number(value: float) -> Tensor:
    """A number of its own."""
    return lift_op(ops.Literal(value, gx.float32))


def gradient_of_softmax(k: int, m: int) -> Any:
    """(y / s - t) * exp(x), s being one of the sums, t another one of y / s * p."""

    def build(x: Tensor, y: Tensor) -> Tensor:
        e = op(ops.Exp, x)
        total = sums(e)[k]
        share, p = op(Div, y, total), op(Div, e, total)
        again = sums(op(Mul, share, p))[m]
        return op(Mul, op(Sub, share, again), e)

    return build


def of_softmax(k: int, around: Callable[[Tensor, Tensor], Tensor]) -> Any:
    """A function of exp(x) beside one of its sums, and of y."""

    def build(x: Tensor, y: Tensor) -> Tensor:
        e = op(ops.Exp, x)
        return around(op(Div, e, sums(e)[k]), y)

    return build


def case(rule: Any, build: Any, shape: tuple[Any, ...] = (3, 3)) -> Case:
    """A case in float64."""
    return Case(rule, build, "float64", BOUND, shape)


def exp(x: Tensor) -> Tensor:
    """The exponential, as the op."""
    return op(ops.Exp, x)


def sigmoid(x: Tensor) -> Tensor:
    """The logistic function, as the op."""
    return op(ops.Sigmoid, x)


def one_minus(x: Tensor) -> Tensor:
    """1 - x."""
    return op(Sub, 1.0, x)


def another_sum(x: Tensor, y: Tensor) -> Tensor:
    """As the gradient of a softmax, with another factor in its sum."""
    e = op(ops.Exp, x)
    total = sums(e)[0]
    share, p = op(Div, y, total), op(Div, e, total)
    return op(Mul, op(Sub, share, sums(op(Mul, y, p))[0]), e)


def joined(x: Tensor, y: Tensor) -> Tensor:
    """One after the other."""
    return lift_op(ops.Concat(0), x, y)


# What a rule must leave alone.
NEAR = (
    Case(softmax_gradient, another_sum, "float64", BOUND, (3, 3)),
    Case(extreme_of_broadcast, lambda x, y, c: reduced(ops.All, to(c, B, 4), 0), shape=(4,)),
    Case(extreme_of_broadcast, lambda x, y, c: reduced(ops.Any_, to(c, B // 2, 4), 0), shape=(4,)),
    Case(factor_cancels, lambda x, y: op(Mul, sigmoid(op(ops.Neg, y)), exp(x)), "float64", BOUND),
    Case(extreme_of_broadcast, lambda x, y, c: reduced(ops.All, to(c, FEW - 1, 4), 0), shape=(4,)),
    Case(sum_of_broadcast, lambda x: reduced(ops.Sum, given.number(-2.0, to(x, B, 4)), 0),
         shape=(4,)),
    Case(sum_of_broadcast, lambda x: reduced(ops.Sum, to(x, 7, 4), 0), shape=(4,)),
    Case(sum_of_broadcast, lambda x: reduced(ops.Sum, given.number(-0.0, x), 0)),
    Case(extreme_of_broadcast, lambda x: reduced(ops.Max, op(ops.Neg, x), 1), shape=(3, 1)),
    Case(abs_of_sign, lambda x: op(ops.Abs, op(ops.Neg, x)), "uint8"),
    Case(mul_number_twice, lambda x: op(Mul, op(Mul, x, 3.0), 3.0)),
    Case(mul_number_twice, lambda x: op(Mul, op(Mul, x, 1e308), 4.0), "float64"),
    Case(mul_number_twice, lambda x: op(Mul, op(Mul, x, 2.0**-100), 2.0**-100)),
    Case(elementwise_of_broadcasts, lambda x: op(Add, to(x, 4, 4), to(shaped(x, 4, 1), 4, 4)),
         shape=(4,)),
    Case(slice_of_concat, lambda x, y: part(joined(x, y), (0, 0), (3, 4), (2, 1)), shape=(3, 4)),
    Case(slice_of_concat, lambda x, y: part(joined(x, y), (0, 0), (2, 4), (1, 1)), shape=(3, 4)),
    Case(slice_of_concat, lambda x: part(x, (0, 0), (2, 4), (1, 1)), shape=(3, 4)),
    Case(reshape_of_broadcast, lambda x: shaped(to(x, 1, 3, 5), 3, 5), shape=(3, 1)),
    Case(reshape_of_broadcast, lambda x: shaped(to(x, 3, 4), 4, 3), shape=(4,)),
    Case(broadcast_of_leading_ones, lambda x: to(shaped(x, 3, 1), 3, 4), shape=(3,)),
    Case(broadcast_of_leading_ones, lambda x: to(shaped(x, 4), 3, 4), shape=(2, 2)),
    Case(broadcast_of_leading_ones, lambda x: to(shaped(x, 1, 4), 3, 4), shape=(4,)),
    Case(cast_twice, lambda x: cast(cast(x, "bfloat16"), "float32")),
    Case(cast_twice, lambda x: cast(cast(x, "float16"), "float32"), "bfloat16"),
    Case(cast_twice, lambda x: cast(cast(x, "float32"), "float64"), "int32"),
    Case(cast_twice, lambda x: cast(cast(x, "uint16"), "int32"), "int8"),
    Case(cast_twice, lambda x: cast(cast(x, "bool"), "int32"), "int8"),
    Case(cast_twice, lambda x: cast(cast(x, "int32"), "float32")),
)  # fmt: skip
SUMS = range(4)  # of a square matrix: of rows and of columns, beside their own and beside others
SOFT = tuple(
    c
    for shape in SHAPES
    for k in SUMS
    for c in (
        case(log_of_softmax, of_softmax(k, lambda p, y: op(ops.Log, p)), shape),
        case(reciprocal_of_sum, of_softmax(k, lambda p, y: p), shape),
        case(factor_cancels, of_softmax(k, lambda p, y: op(Mul, op(Div, y, p), p)), shape),
        *(case(softmax_gradient, gradient_of_softmax(k, m), shape) for m in SUMS),
    )
)
STABLE = (
    *NEAR,
    Case(fold_number, lambda x: lift_op(ops.Add(), number(2.0), number(3.0)), shape=()),
    *SOFT,
    case(log_of_exp, lambda x: op(ops.Log, exp(x))),
    case(log_of_sigmoid, lambda x: op(ops.Log, sigmoid(x))),
    case(log_of_one_minus_sigmoid, lambda x: op(ops.Log, one_minus(sigmoid(x)))),
    case(log_of_one_plus_exp, lambda x: op(ops.Log, op(Add, 1.0, exp(x)))),
    case(log_of_one_plus_exp, lambda x: op(ops.Log1p, exp(x))),
    case(log_near_one, lambda x: op(ops.Log, op(Add, 1.0, op(Mul, x, 0.5)))),
    case(log_near_one, lambda x: op(ops.Log, one_minus(op(Mul, x, 0.5)))),
    case(exp_minus_one, lambda x: op(Sub, exp(x), 1.0)),
    case(exp_minus_one, lambda x: op(Add, -1.0, exp(x))),
    case(quotient_is_sigmoid, lambda x: op(Div, 1.0, op(Add, 1.0, exp(x)))),
    case(quotient_is_sigmoid, lambda x: op(Div, exp(x), op(Add, exp(x), 1.0))),
    case(quotient_is_sigmoid, lambda x: (lambda e: op(Div, e, op(Add, e, 1.0)))(exp(x))),
    case(factor_cancels, lambda x, y: (lambda e: op(Mul, op(Div, y, e), e))(exp(x))),
    case(factor_cancels, lambda x, y: (lambda p: op(Mul, op(ops.Neg, op(Div, y, p)), p))(
        sigmoid(x))),
    case(factor_cancels, lambda x, y: (lambda e: op(Mul, op(Div, y, op(Add, 1.0, e)), e))(exp(x))),
    case(factor_cancels, lambda x, y: op(Mul, sigmoid(op(ops.Neg, x)), exp(x))),
    case(factor_cancels, lambda x, y, c: (lambda e: op(Mul, op(ops.Where, c, op(Div, y, e), 0.0),
                                                       e))(exp(x))),
    case(factor_cancels, lambda x, y: op(Mul, op(Div, y, one_minus(sigmoid(op(ops.Neg, x)))),
                                         sigmoid(x))),
    case(logistic_gradient, lambda x, y: (lambda p: op(
        Mul, op(Sub, op(Div, y, p), op(Div, 0.5, one_minus(p))), op(Mul, p, one_minus(p))))(
            sigmoid(x))),
)  # fmt: skip
