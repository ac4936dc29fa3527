"""One small graph or more for every rewrite rule: what it looks like before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import graphc as gx
from graphc import origin as origins
from graphc.compiler.passes import rules_arithmetic as arithmetic
from graphc.compiler.passes import rules_choice as choice
from graphc.compiler.passes import rules_reduce as reduce
from graphc.compiler.passes import rules_view as view
from graphc.frontend.functions.operands import expand
from graphc.frontend.tensor import Tensor, lift_op
from graphc.ir import ops
from graphc.ir.graph import Node
from graphc.ir.types import find_dtype
from tests.tolerances import LAST_BITS, SUBNORMAL

Array = NDArray[Any]
EXACT, ZEROS, CLOSE = "the same bits", "zeros may change sign", "a few last bits"
NORMAL = "the same bits, but of subnormal numbers"
ROWS = 12


@dataclass(frozen=True)
class Case:
    """A rule, a graph that it applies to, and how much of the bits it keeps."""

    rule: Callable[[Node], Node | None]
    build: Callable[..., Tensor]
    dtype: str = "float32"
    keeps: str = EXACT
    shape: tuple[Any, ...] = (ROWS,)
    part: str = origins.FORWARD

    def __str__(self) -> str:
        return f"{self.rule.__name__}[{self.dtype}]"

    def make(self) -> tuple[list[Tensor], Tensor]:
        """Inputs x, y, c (bool) and the tensor."""
        x = gx.input("x", self.shape, dtype=self.dtype)
        y = gx.input("y", self.shape, dtype=self.dtype)
        c = gx.input("c", self.shape, dtype="bool")
        with origins.inherit(step_part=self.part):
            count = self.build.__code__.co_argcount
            return [x, y, c], self.build(*(x, y, c)[:count])


def op(cls: Any, *xs: Any, **attributes: Any) -> Tensor:
    """Apply an op; numbers take the type of the last tensor."""
    like = [x for x in xs if isinstance(x, Tensor)][-1]
    tensors = [x if isinstance(x, Tensor) else number(x, like) for x in xs]
    return lift_op(cls(**attributes), *tensors)


def number(value: Any, like: Tensor) -> Tensor:
    """A literal repeated over a shape."""
    dtype = find_dtype("bool") if isinstance(value, bool) else like.dtype
    return expand(lift_op(ops.Literal(value, dtype)), like.shape)


def cast(x: Tensor, dtype: str) -> Tensor:
    """Convert, also to the dtype it has."""
    found = find_dtype(dtype)
    assert found is not None
    return lift_op(ops.Cast(found), x)


Add, Sub, Mul, Div, Neg, Pow = ops.Add, ops.Sub, ops.Mul, ops.Div, ops.Neg, ops.Pow
I = "int32"  # noqa: E741

ARITHMETIC = (
    Case(arithmetic.add_zero, lambda x: op(Add, x, -0.0)),
    Case(arithmetic.add_zero, lambda x: op(Add, 0, x), I),
    Case(arithmetic.add_zero, lambda x: op(Add, x, 0.0), keeps=ZEROS, part=origins.BACKWARD),
    Case(arithmetic.add_negative, lambda x, y: op(Add, x, op(Neg, y))),
    Case(arithmetic.add_negative, lambda x, y: op(Add, op(Neg, x), y), I),
    Case(arithmetic.add_negative, lambda x, y: op(Add, x, to(op(Neg, y), ROWS))),
    Case(arithmetic.add_number_twice, lambda x: op(Add, op(Add, x, 2), 2**31 - 1), I),
    Case(arithmetic.add_product_twice, lambda x: (lambda p: op(Add, p, p))(op(Mul, x, 3.0))),
    Case(arithmetic.sub_zero, lambda x: op(Sub, x, 0.0)),
    Case(arithmetic.sub_zero, lambda x: op(Sub, x, 0), I),
    Case(arithmetic.sub_from_zero, lambda x: op(Sub, -0.0, x)),
    Case(arithmetic.sub_from_zero, lambda x: op(Sub, 0, x), I),
    Case(arithmetic.sub_negative, lambda x, y: op(Sub, x, op(Neg, y))),
    Case(arithmetic.sub_from_negative, lambda x, y: op(Sub, op(Neg, x), y), I),
    Case(
        arithmetic.sub_from_negative,
        lambda x, y: op(Sub, op(Neg, x), y),
        keeps=ZEROS,
        part=origins.BACKWARD,
    ),
    Case(arithmetic.sub_same, lambda x: op(Sub, x, x), I),
    Case(arithmetic.negate_twice, lambda x: op(Neg, op(Neg, x))),
    Case(arithmetic.negate_product, lambda x: op(Neg, op(Mul, 3.0, x))),
    Case(arithmetic.mul_by_one, lambda x: op(Mul, 1.0, x)),
    Case(arithmetic.mul_by_minus_one, lambda x: op(Mul, x, -1.0)),
    Case(arithmetic.mul_by_zero, lambda x: op(Mul, x, 0), I),
    Case(arithmetic.mul_negative_by_number, lambda x: op(Mul, op(Neg, x), 3.0)),
    Case(arithmetic.mul_by_negative, lambda x, y: op(Mul, op(Neg, x), y)),
    Case(arithmetic.mul_by_negative, lambda x, y: op(Mul, x, op(Neg, y)), "uint8"),
    Case(arithmetic.mul_number_twice, lambda x: op(Mul, op(Mul, x, 0.7), 0.25), keeps=NORMAL),
    Case(arithmetic.mul_number_twice, lambda x: op(Mul, op(Mul, 12345, x), 54321), I),
    Case(arithmetic.div_by_one, lambda x: op(Div, x, 1.0)),
    Case(arithmetic.div_by_power_of_two, lambda x: op(Div, x, -8.0)),
    Case(arithmetic.div_negative_by_number, lambda x: op(Div, op(Neg, x), 3.0)),
    Case(arithmetic.div_negative_by_number, lambda x: op(Div, 3.0, op(Neg, x))),
    Case(arithmetic.div_of_negative, lambda x, y: op(Div, op(Neg, x), op(Neg, y))),
    Case(arithmetic.div_of_negative, lambda x, y: op(Div, op(Neg, x), y)),
    Case(arithmetic.div_of_negative, lambda x, y: op(Div, x, op(Neg, y))),
    Case(arithmetic.floor_divide_by_one, lambda x: op(ops.FloorDivide, x, 1), I),
    Case(arithmetic.remainder_of_one, lambda x: op(ops.Remainder, x, 1), I),
)
POWERS = (
    Case(arithmetic.pow_of_number, lambda x: op(Pow, x, 0.0)),
    Case(arithmetic.pow_of_number, lambda x: op(Pow, x, 1.0)),
    Case(arithmetic.pow_of_number, lambda x: op(Pow, x, 2.0), keeps=CLOSE),
    Case(arithmetic.pow_of_number, lambda x: op(Pow, x, 3.0), keeps=CLOSE),
    Case(arithmetic.pow_of_number, lambda x: op(Pow, x, -1.0), keeps=CLOSE),
    Case(arithmetic.pow_of_number, lambda x: op(Pow, x, 3), I),
    Case(arithmetic.pow_of_half, lambda x: op(Pow, op(Mul, x, x), 0.5), keeps=CLOSE),
    Case(arithmetic.abs_of_sign, lambda x: op(ops.Abs, op(Neg, x))),
    Case(arithmetic.abs_of_sign, lambda x: op(ops.Abs, op(ops.Abs, x)), I),
    Case(arithmetic.relu_twice, lambda x: op(ops.Relu, op(ops.Relu, x))),
    Case(arithmetic.extreme_of_same, lambda x: op(ops.Maximum, x, x)),
    Case(arithmetic.extreme_of_same, lambda x: op(ops.Minimum, x, x), I),
)

Where, Not, And, Or = ops.Where, ops.LogicalNot, ops.LogicalAnd, ops.LogicalOr
CHOICE = (
    Case(choice.where_same, lambda x, y, c: op(Where, c, x, x)),
    Case(choice.where_known, lambda x, y: op(Where, number(True, x), x, y)),
    Case(choice.where_known, lambda x, y: op(Where, number(False, x), x, y)),
    Case(choice.where_not, lambda x, y, c: op(Where, op(Not, c), x, y)),
    Case(choice.where_nested, lambda x, y, c: op(Where, c, op(Where, c, x, y), y)),
    Case(choice.where_nested, lambda x, y, c: op(Where, c, x, op(Where, c, x, y))),
    Case(choice.where_of_truth, lambda x, y, c: op(Where, c, number(True, c), number(False, c))),
    Case(choice.where_of_truth, lambda x, y, c: op(Where, c, number(False, c), number(True, c))),
    Case(choice.where_of_truth, lambda x, y, c: op(Where, c, number(False, c), number(False, c))),
    Case(choice.where_of_truth, lambda x, y, c: op(Where, c, number(True, c), number(True, c))),
    Case(choice.and_known, lambda x, y, c: op(And, c, number(True, c))),
    Case(choice.and_known, lambda x, y, c: op(And, number(False, c), c)),
    Case(choice.and_known, lambda x, y, c: op(And, c, c)),
    Case(choice.or_known, lambda x, y, c: op(Or, c, number(True, c))),
    Case(choice.or_known, lambda x, y, c: op(Or, number(False, c), c)),
    Case(choice.not_twice, lambda x, y, c: op(Not, op(Not, c))),
    Case(choice.not_equal, lambda x, y: op(Not, op(ops.Equal, x, y))),
    Case(choice.not_equal, lambda x, y: op(Not, op(ops.NotEqual, x, y))),
    Case(choice.equal_to_itself, lambda x: op(ops.Equal, x, x), I),
    Case(choice.gradient_not_stopped, lambda x: op(ops.StopGradient, x)),
    Case(choice.guard_known, lambda x: op(ops.Guard, x, number(True, x), message="no")),
)  # fmt: skip
BITS = (
    Case(choice.bits_known, lambda x: op(ops.BitAnd, x, x), I),
    Case(choice.bits_known, lambda x: op(ops.BitAnd, x, 0), I),
    Case(choice.bits_known, lambda x: op(ops.BitOr, x, 0), I),
    Case(choice.bits_known, lambda x: op(ops.BitXor, 0, x), I),
    Case(choice.bits_flipped_twice, lambda x: op(ops.BitNot, op(ops.BitNot, x)), I),
    Case(choice.shift_by_zero, lambda x: op(ops.ShiftLeft, x, 0), I),
    Case(choice.shift_by_zero, lambda x: op(ops.ShiftRight, x, 0), I),
    Case(choice.bitcast_twice, lambda x: op(ops.Bitcast, x, dtype=find_dtype("float32"))),
    Case(choice.bitcast_twice, lambda x: op(ops.Bitcast, op(ops.Bitcast, x, dtype=find_dtype(I)),
                                            dtype=find_dtype("float32"))),
    Case(choice.cast_to_same, lambda x: cast(x, "float32")),
    Case(choice.cast_twice, lambda x: cast(cast(x, "float64"), "float16")),
    Case(choice.cast_twice, lambda x: cast(cast(x, "float64"), "int8")),
    Case(choice.cast_twice, lambda x: cast(cast(x, "float32"), "int16"), "int8"),
    Case(choice.cast_twice, lambda x: cast(cast(x, "int64"), "int8"), I),
    Case(choice.cast_twice, lambda x: cast(cast(x, "int32"), "uint8"), "int8"),
    Case(choice.cast_twice, lambda x: cast(cast(x, "float64"), "bool"), I),
    Case(choice.cast_twice, lambda x, y, c: cast(cast(c, I), "float32")),
)  # fmt: skip

M, T = (3, 4), (2, 3, 4)  # a matrix and a tensor
B, FEW = gx.dim("batch"), gx.dim("few", min=1, max=99)


def to(x: Tensor, *shape: Any) -> Tensor:
    """Repeat, also to the shape it has."""
    return lift_op(ops.BroadcastTo(shape), x)


def shaped(x: Tensor, *shape: Any) -> Tensor:
    """Reshape, also to the shape it has."""
    return lift_op(ops.Reshape(shape), x)


def permuted(x: Tensor, *axes: int) -> Tensor:
    """Permute, also to the order it has."""
    return lift_op(ops.Permute(axes), x)


def part(x: Tensor, starts: Any, sizes: Any, steps: Any) -> Tensor:
    """A slice."""
    return lift_op(ops.Slice(starts, sizes, steps), x)


def padded(x: Tensor, before: Any, after: Any, steps: Any) -> Tensor:
    """Zeros around and between."""
    return lift_op(ops.Pad(before, after, steps), x)


VIEWS = (
    Case(view.view_of_everything, lambda x: to(x, 3, 4), shape=M),
    Case(view.view_of_everything, lambda x: shaped(x, B, 4), shape=(B, 4)),
    Case(view.view_of_everything, lambda x: permuted(x, 0, 1), shape=M),
    Case(view.view_of_everything, lambda x: part(x, (0, 0), (B, 4), (1, 1)), shape=(B, 4)),
    Case(view.view_of_everything, lambda x: padded(x, (0, 0), (0, 0), (1, 1)), shape=M),
    Case(view.view_of_everything, lambda x: padded(x, (0, 0), (0, 0), (1, 2)), shape=(3, 1)),
    Case(view.reshape_twice, lambda x: shaped(shaped(x, 6, 4), 8, 3), shape=T),
    Case(view.reshape_twice, lambda x: shaped(shaped(x, 4 * B), B, 4), shape=(B, 4)),
    Case(view.permute_twice, lambda x: permuted(permuted(x, 2, 0, 1), 1, 0, 2), shape=T),
    Case(view.permute_of_ones, lambda x: permuted(x, 1, 0, 2), shape=(3, 1, 4)),
    Case(view.broadcast_twice, lambda x: to(to(x, 3, 4), 2, 3, 4), shape=(3, 1)),
    Case(view.broadcast_of_leading_ones, lambda x: to(shaped(x, 1, 1, 4), 2, 3, 4), shape=(4,)),
    Case(view.broadcast_of_leading_ones, lambda x: to(shaped(x, 1, 1), 3, 4), shape=(1,)),
    Case(view.slice_twice, lambda x: part(part(x, (8,), (4,), (-2,)), (3,), (2,), (-3,))),
    Case(view.pad_twice, lambda x: padded(padded(x, (1,), (2,), (3,)), (4,), (0,), (2,))),
    Case(view.slice_of_pad, lambda x: part(padded(x, (1,), (2,), (3,)), (1,), (ROWS,), (3,))),
    Case(view.concat_of_one, lambda x: lift_op(ops.Concat(0), x)),
    Case(view.concat_of_one, lambda x: lift_op(ops.Concat(1), part(x, (0, 0), (3, 0), (1, 1)), x),
         shape=M),
    Case(view.slice_of_concat,
         lambda x, y: part(lift_op(ops.Concat(0), x, y, x), (B, 0), (B, 4), (1, 1)), shape=(B, 4)),
)  # fmt: skip
REPEATED = (
    Case(view.permute_of_broadcast, lambda x: permuted(to(x, 2, 3, 4), 2, 0, 1), shape=M),
    Case(view.permute_of_broadcast, lambda x: permuted(to(x, 5, 3, 4), 1, 2, 0), shape=(3, 1)),
    Case(view.reshape_of_negative, lambda x: shaped(op(Neg, x), 12), shape=M),
    Case(view.reshape_of_broadcast, lambda x: shaped(to(x, 5, 4), 5, 1, 4), shape=(4,)),
    Case(view.reshape_of_broadcast, lambda x: shaped(to(x, 5, 4), 20), shape=(1,)),
    Case(view.reshape_of_broadcast, lambda x: shaped(to(x, 3, 1, 5), 3, 5), shape=(3, 1, 1)),
    Case(view.slice_of_broadcast, lambda x: part(to(x, 5, 4), (4, 1), (3, 2), (-2, 2)), shape=(4,)),
    Case(view.slice_of_broadcast, lambda x: part(to(x, 3, 5), (1, 1), (0, 2), (1, 1)),
         shape=(3, 1)),
    Case(view.elementwise_of_broadcasts, lambda x, y: op(Add, to(x, 5, 4), to(y, 5, 4)),
         shape=(4,)),
    Case(view.elementwise_of_broadcasts,
         lambda x, y, c: op(Where, to(c, B, 3), to(x, B, 3), number(2.0, to(y, B, 3))), shape=(3,)),
)  # fmt: skip


def reduced(cls: Any, x: Tensor, *axes: int) -> Tensor:
    """Reduce over axes."""
    return lift_op(cls(axes), x)


def dot(x: Tensor, y: Tensor, a: str, b: str, out: str) -> Tensor:
    """A contraction by letters."""
    labels = ["".join(sorted(set(a + b))).index(c) for c in a + b + out]
    first, second = len(a), len(a) + len(b)
    op = ops.Dot(tuple(labels[:first]), tuple(labels[first:second]), tuple(labels[second:]))
    return lift_op(op, x, y)


REDUCTIONS = (
    Case(reduce.reduce_nothing, lambda x: reduced(ops.Sum, x, 1), keeps=ZEROS, shape=(3, 1, 4)),
    Case(reduce.reduce_nothing, lambda x: reduced(ops.Max, x), shape=M),
    Case(reduce.reduce_nothing, lambda x: reduced(ops.ArgMax, x, 0), shape=(1, 4)),
    Case(reduce.reduce_empty, lambda x: reduced(ops.Sum, x, 1), shape=(3, 0)),
    Case(reduce.reduce_empty, lambda x: reduced(ops.Prod, x, 1), shape=(3, 0)),
    Case(reduce.reduce_empty, lambda x, y, c: reduced(ops.All, c, 0, 1), shape=(0, 4)),
    Case(reduce.reduce_empty, lambda x, y, c: reduced(ops.Any_, c, 0, 1), shape=(0, 4)),
    Case(reduce.sum_of_negative, lambda x: reduced(ops.Sum, op(Neg, x), 1), keeps=ZEROS, shape=M),
    Case(reduce.extreme_twice, lambda x: reduced(ops.Max, reduced(ops.Max, x, 1), 1), shape=T),
    Case(reduce.extreme_twice, lambda x: reduced(ops.Min, reduced(ops.Min, x, 0, 2), 0), shape=T),
    Case(reduce.extreme_of_broadcast, lambda x: reduced(ops.Max, to(x, 3, 4), 0), shape=(4,)),
    Case(reduce.extreme_of_broadcast, lambda x: reduced(ops.Min, to(x, 2, 3, 5), 0, 2),
         shape=(3, 1)),
    Case(reduce.sum_of_broadcast, lambda x: reduced(ops.Sum, to(x, 3, B, 4), 1), I,
         shape=(3, 1, 4)),
    Case(reduce.sum_of_broadcast, lambda x: reduced(ops.Sum, number(0.5, x), 0)),
    Case(reduce.sum_of_broadcast, lambda x: reduced(ops.Sum, number(0.0, to(x, B, 4)), 0),
         shape=(4,)),
    Case(reduce.sum_of_broadcast,
         lambda x: reduced(ops.Sum, number(-2.0, to(x, FEW, 4)), 0), shape=(4,)),
    Case(reduce.dot_of_permuted, lambda x, y: dot(permuted(x, 1, 0), y, "ab", "bc", "ac"), I,
         shape=(4, 4)),
    Case(reduce.dot_of_permuted,
         lambda x, y: dot(permuted(x, 2, 0, 1), permuted(y, 1, 2, 0), "abc", "bcd", "ad"), I,
         shape=(3, 3, 3)),
    Case(reduce.dot_of_one, lambda x, y: dot(x, shaped(y, 1, 4), "ab", "bc", "ca"), keeps=ZEROS,
         shape=(4, 1)),
    Case(reduce.dot_of_one, lambda x, y: dot(x, y, "ab", "ab", "ba"), keeps=ZEROS, shape=M),
)  # fmt: skip

GROUPS = {
    "arithmetic": ARITHMETIC, "powers": POWERS, "choice": CHOICE, "bits": BITS, "views": VIEWS,
    "repeated": REPEATED, "reductions": REDUCTIONS,
}  # fmt: skip


def special(dtype: str, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
    """Numbers, with every special one among the first."""
    count = int(np.prod(shape))
    found = find_dtype(dtype)
    assert found is not None
    if found.kind == "b":
        return rng.random(shape) < 0.5
    if found.is_integer:
        bounds = np.iinfo(found.numpy)
        some = [0, 1, -1, 2, bounds.min, bounds.max, -7, 100]
        values = np.array(some, np.int64).astype(found.numpy)
        return rng.choice(values, count).reshape(shape)
    some = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 2.5, -3.7, 1e30, -1e-38, 0.1]
    with np.errstate(over="ignore"):
        values = rng.permutation(np.array(some, found.numpy))
    return np.resize(values, count).reshape(shape).astype(found.numpy)


def compare(expected: Array, found: Array, keeps: str) -> None:
    """Assert equality as far as a rule promises it."""
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    if keeps == EXACT:
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(
            np.signbit(found[found == 0]), np.signbit(expected[expected == 0])
        )
    elif keeps == NORMAL:
        normal = ~(np.abs(expected) < np.finfo(expected.dtype).tiny)
        np.testing.assert_array_equal(found[normal], expected[normal])
        np.testing.assert_allclose(found, expected, **SUBNORMAL)
    elif keeps == ZEROS:
        np.testing.assert_array_equal(found, expected)
    else:
        np.testing.assert_allclose(found, expected, **LAST_BITS)
