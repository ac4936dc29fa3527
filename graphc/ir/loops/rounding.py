"""Recognise operands that were rounded to a low type, as mixed precision writes them.

Machines that multiply such types take them as they are: the products are exact in float32.
"""

from __future__ import annotations

from graphc.ir.loops.ir import Apply, Const, Expr
from graphc.ir.precision import BF16, FP16, TF32, TF32_HALF, TF32_MASK
from graphc.ir.types import bfloat16, float16, float32, uint32

NAMES = {bfloat16: BF16, float16: FP16}


def rounded_operand(expr: Expr) -> tuple[str, Expr] | None:
    """The low type that every value of a float32 expression fits, and what is rounded to it.

    "bf16" and "fp16" come with an expression of that dtype (one that is stored so, or a cast of
    a float32), "tf32" with the float32 before rounding.
    """
    if expr.dtype != float32 or not isinstance(expr, Apply):
        return None
    if expr.function == "cast" and expr.args[0].dtype in NAMES:
        return NAMES[expr.args[0].dtype], expr.args[0]
    if expr.function == "select":
        source = expr.args[1]
        return (TF32, source) if _rounds_to_tf32(expr, source) else None
    return None


def _rounds_to_tf32(expr: Apply, x: Expr) -> bool:
    """Whether an expression is `RoundToTF32` of x: NaN stays, a half is added, bits are cleared."""
    condition, _, near = expr.args
    kept = _arguments(near, "bitcast", 1)
    cleared = _arguments(kept[0], "bit_and", 2) if kept else ()
    added = _arguments(cleared[0], "add", 2) if cleared else ()
    bits = _arguments(added[0], "bitcast", 1) if added else ()
    return (
        bool(bits)
        and _arguments(condition, "ne", 2) == (x, x)
        and bits[0] is x
        and _is_number(cleared[1], TF32_MASK)
        and _is_number(added[1], TF32_HALF)
    )


def _arguments(expr: Expr, function: str, count: int) -> tuple[Expr, ...]:
    """The arguments of a function; none where it is another one."""
    named = isinstance(expr, Apply) and expr.function == function and len(expr.args) == count
    return expr.args if named and isinstance(expr, Apply) else ()


def _is_number(expr: Expr, value: int) -> bool:
    return isinstance(expr, Const) and expr.dtype == uint32 and expr.value == value
