"""Operands that were rounded to a low type, which matrix instructions multiply.

What was rounded to TF32 before it was stored is a float32 like any other. Where the schedule knows,
`mark_rounded` writes it into the products of a kernel: as a cast from float32 to float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from graphc.ir.loops.contraction.index import Substitution
from graphc.ir.loops.expression import ExprEmitter
from graphc.ir.loops.ir import Accumulate, Apply, Buffer, Const, Expr, Kernel, Load, Stmt
from graphc.ir.loops.rounding import rounded_operand
from graphc.ir.ops.elementwise_rounding import RoundToTF32
from graphc.ir.precision import BF16, FP16, TF32
from graphc.ir.types import bfloat16, float16, float32
from graphc_cuda.lower.rewriting import rewritten

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
    if unmarked(value) is not value:
        return TF32, unmarked(value)
    match value:
        case Apply(function="select", args=(condition, inner, Const(value=0))):
            found = low_operand(inner)
            if found is not None:
                low = found[1]
                args = condition, low, Const(low.dtype, 0)
                return found[0], Apply(low.dtype, "select", args)
    return None


# ------------------------------------------------------------------ rounded where it was stored


def mark_rounded(kernel: Kernel, stored: frozenset[Buffer]) -> Kernel:
    """The kernel whose products tell which of their factors were rounded to TF32 and stored so."""
    if not stored:
        return kernel

    def fed(stmt: Accumulate) -> Sequence[Stmt]:
        if stmt.accumulator.combine.name != "dot":
            return (stmt,)
        return (replace(stmt, values=tuple(_marked(value, stored) for value in stmt.values)),)

    return replace(kernel, body=rewritten(kernel.body, Substitution(), fed))


def _marked(value: Expr, stored: frozenset[Buffer]) -> Expr:
    if isinstance(value, Load) and value.buffer in stored and value.dtype == float32:
        return Apply(float32, "cast", (value,))
    return value


def unmarked(value: Expr) -> Expr:
    """The value without what `mark_rounded` wrote."""
    match value:
        case Apply(function="cast", args=(Load() as load,)) if load.dtype == value.dtype == float32:
            return load
    return value
