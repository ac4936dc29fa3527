"""Comparisons, logic, bits, choice and conversion."""

from __future__ import annotations

from graphc.errors import DTypeError
from graphc.frontend.functions.operands import (
    apply_broadcast,
    cast,
    common_shape,
    expand,
    fail,
    is_weak,
    same_dtype,
    to_dtype,
)
from graphc.frontend.tensor import Tensor, constant_of, lift, lift_op, literal
from graphc.frontend.typing import DTypeLike, TensorLike
from graphc.ir.dims import Poly
from graphc.ir.ops import elementwise_logic as ops
from graphc.ir.ops.base import Op
from graphc.ir.ops.elementwise import Abs
from graphc.ir.ops.gather import Guard
from graphc.ir.types import bool_


def less(x: TensorLike, y: TensorLike) -> Tensor:
    """x < y for numbers, as bool."""
    return apply_broadcast(ops.Less(), x, y)


def less_equal(x: TensorLike, y: TensorLike) -> Tensor:
    """x <= y for numbers, as bool."""
    return apply_broadcast(ops.LessEqual(), x, y)


def greater(x: TensorLike, y: TensorLike) -> Tensor:
    """x > y for numbers, as bool."""
    return swapped(ops.Less(), "greater", x, y)


def greater_equal(x: TensorLike, y: TensorLike) -> Tensor:
    """x >= y for numbers, as bool."""
    return swapped(ops.LessEqual(), "greater_equal", x, y)


def swapped(op: Op, name: str, x: TensorLike, y: TensorLike) -> Tensor:
    """Compare y with x; complaints count the operands as the user does."""
    tensors = same_dtype(name, (x, y))
    shape = common_shape(name, tensors)
    a, b = (expand(t, shape) for t in tensors)
    if a.dtype.kind == "b":
        fail(DTypeError, f"{name}: needs numbers, got bool (input 0)", tensors)
    return lift_op(op, b, a)


def equal(x: TensorLike, y: TensorLike) -> Tensor:
    """x == y, as bool."""
    return apply_broadcast(ops.Equal(), x, y)


def not_equal(x: TensorLike, y: TensorLike) -> Tensor:
    """x != y, as bool; true for NaN against anything."""
    return apply_broadcast(ops.NotEqual(), x, y)


def truth(x: TensorLike) -> Tensor:
    """x as bool: whether it is not 0."""
    return cast(lift(x), bool_)


def logical_and(x: TensorLike, y: TensorLike) -> Tensor:
    """Both true; numbers are true when they are not 0."""
    return apply_broadcast(ops.LogicalAnd(), truth(x), truth(y))


def logical_or(x: TensorLike, y: TensorLike) -> Tensor:
    """At least one true; numbers are true when they are not 0."""
    return apply_broadcast(ops.LogicalOr(), truth(x), truth(y))


def logical_xor(x: TensorLike, y: TensorLike) -> Tensor:
    """Exactly one true; numbers are true when they are not 0."""
    return apply_broadcast(ops.NotEqual(), truth(x), truth(y))


def logical_not(x: TensorLike) -> Tensor:
    """The other truth value; numbers are true when they are not 0."""
    return lift_op(ops.LogicalNot(), truth(x))


def bits(op: Op, of_bool: Op, name: str, x: TensorLike, y: TensorLike) -> Tensor:
    """Combine bits of integers, or truth values."""
    tensors = same_dtype(name, (x, y))
    return apply_broadcast(of_bool if tensors[0].dtype == bool_ else op, *tensors)


def bitwise_and(x: TensorLike, y: TensorLike) -> Tensor:
    """The bits set in both integers; of bools, whether both are true."""
    return bits(ops.BitAnd(), ops.LogicalAnd(), "bitwise_and", x, y)


def bitwise_or(x: TensorLike, y: TensorLike) -> Tensor:
    """The bits set in either integer; of bools, whether one is true."""
    return bits(ops.BitOr(), ops.LogicalOr(), "bitwise_or", x, y)


def bitwise_xor(x: TensorLike, y: TensorLike) -> Tensor:
    """The bits set in exactly one integer; of bools, whether exactly one is true."""
    return bits(ops.BitXor(), ops.NotEqual(), "bitwise_xor", x, y)


def bitwise_invert(x: TensorLike) -> Tensor:
    """The bits of an integer that are not set; of bools, the other one."""
    x = lift(x)
    return lift_op(ops.LogicalNot() if x.dtype == bool_ else ops.BitNot(), x)


def bitwise_left_shift(x: TensorLike, y: TensorLike) -> Tensor:
    """x times 2 ** y for integers; 0 where y is not below the width."""
    return apply_broadcast(ops.ShiftLeft(), x, y)


def bitwise_right_shift(x: TensorLike, y: TensorLike) -> Tensor:
    """x divided by 2 ** y and rounded down, for integers; 0 where y is not below the width."""
    return apply_broadcast(ops.ShiftRight(), x, y)


def where(condition: TensorLike, x: TensorLike, y: TensorLike) -> Tensor:
    """x where the condition is true, else y; all three broadcast, x and y are promoted.

    The gradient of the one not chosen is 0, whatever its value.
    """
    return choice(ops.Where(), condition, x, y)


def choose(condition: TensorLike, x: TensorLike, y: TensorLike) -> Tensor:
    """`where` for branches whose gradients are finite: the one not chosen gets 0 times them."""
    return choice(ops.Where(guarded=False), condition, x, y)


def choice(op: ops.Where, condition: TensorLike, x: TensorLike, y: TensorLike) -> Tensor:
    """One of two values, all three operands broadcast."""
    c = literal(condition, bool_) if is_weak(condition) else lift(condition)
    a, b = same_dtype("where", (x, y), before=(c,))
    shape = common_shape("where", (c, a, b))
    return lift_op(op, expand(c, shape), expand(a, shape), expand(b, shape))


def astype(x: TensorLike, dtype: DTypeLike) -> Tensor:
    """The elements converted; floats to integers saturate and NaN becomes 0."""
    given = lift(x) if is_weak(x) or isinstance(x, (Tensor, Poly)) else constant_of(x)
    return cast(given, to_dtype("astype", dtype))


def isnan(x: TensorLike) -> Tensor:
    """Whether each element is NaN."""
    x = lift(x)
    return lift_op(ops.NotEqual(), x, x)


def isinf(x: TensorLike) -> Tensor:
    """Whether each element is infinite."""
    x = lift(x)
    return lift_op(Abs(), x) == float("inf") if x.dtype.is_float else lift_op(ops.NotEqual(), x, x)


def isfinite(x: TensorLike) -> Tensor:
    """Whether each element is neither NaN nor infinite."""
    x = lift(x)
    return lift_op(Abs(), x) < float("inf") if x.dtype.is_float else lift_op(ops.Equal(), x, x)


def signbit(x: TensorLike) -> Tensor:
    """Whether each element's sign is negative; true for -0.0."""
    t = lift(x)
    if t.dtype.is_float:
        t = lift_op(ops.Bitcast(to_dtype("signbit", f"int{t.dtype.bits}")), t)
    return t < 0


def stop_gradient(x: TensorLike) -> Tensor:
    """x, as a constant to every derivative."""
    return lift_op(ops.StopGradient(), lift(x))


def check(x: TensorLike, condition: TensorLike, message: str) -> Tensor:
    """x, after a check that the condition (which broadcasts to x) is true everywhere.

    Where it is not, running raises RuntimeCheckError with the message and nothing is updated.
    In the message, {x} stands for the first value of x where the condition is false, and {index}
    for its index ("x is {x:.2f}, not positive, at {index}"). The check is made if the result is
    used.
    """
    x, c = lift(x), lift(condition)
    if c.dtype != bool_:
        fail(
            DTypeError,
            f"check: the condition must be bool, got {c.dtype.name} (input 1)",
            (x, c),
            hint="compare it with something",
        )
    return lift_op(Guard(message), x, expand(c, x.shape))
