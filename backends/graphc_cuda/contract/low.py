"""Operands that were rounded to a low type, which matrix instructions multiply."""

from __future__ import annotations

from graphc.ir.loops.ir import Apply, Const, Expr
from graphc.ir.loops.rounding import rounded_operand
from graphc.ir.precision import BF16, FP16, TF32
from graphc.ir.types import bfloat16, float16, float32

HELD = {BF16: bfloat16, FP16: float16, TF32: float32}


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
