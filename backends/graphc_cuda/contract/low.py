"""Operands that were rounded to a low type, which matrix instructions multiply."""

from __future__ import annotations

from graphc.ir.loops.expression import ExprEmitter
from graphc.ir.loops.ir import Apply, Const, Expr
from graphc.ir.loops.rounding import rounded_operand
from graphc.ir.ops.elementwise_rounding import RoundToTF32
from graphc.ir.precision import BF16, FP16, TF32
from graphc.ir.types import bfloat16, float16, float32

HELD = {BF16: bfloat16, FP16: float16, TF32: float32}


def low_operands(left: Expr, right: Expr) -> tuple[str, Expr, Expr] | None:
    """The low type that both operands were rounded to, and the operands in it.

    Mixed precision rounds both or none: where one is seen to be rounded to TF32, the other was,
    but by the kernel that stored it. It is rounded once more, which changes no number.
    """
    low = low_operand(left), low_operand(right)
    if {x and x[0] for x in low} == {TF32, None} and left.dtype == right.dtype == float32:
        low = low[0] or (TF32, _to_tf32(left)), low[1] or (TF32, _to_tf32(right))
    if low[0] is None or low[1] is None or low[0][0] != low[1][0]:
        return None
    return low[0][0], low[0][1], low[1][1]


def _to_tf32(value: Expr) -> Expr:
    """A value rounded to TF32."""
    found: Expr = RoundToTF32().emit(ExprEmitter(), value)
    return found


def low_operand(value: Expr) -> tuple[str, Expr] | None:
    """The low type of a value and the value in it; TF32 stays float32."""
    found = rounded_operand(value)
    if found is not None:
        return found if found[0] != TF32 else (TF32, value)
    match value:
        case Apply(function="select", args=(condition, inner, Const(value=0))):
            found = low_operand(inner)
            if found is not None:
                low = found[1]
                args = condition, low, Const(low.dtype, 0)
                return found[0], Apply(low.dtype, "select", args)
    return None
