"""Kernels whose operands were rounded say so, in a form that backends recognise."""

from __future__ import annotations

import pytest

import graphc as gx
from graphc.ir.loops.expression import ExprEmitter
from graphc.ir.loops.ir import Accumulate, Buffer, Expr, Let, Load, Ref, const, walk
from graphc.ir.loops.rounding import rounded_operand
from graphc.ir.ops import RoundToTF32
from graphc.ir.types import bfloat16, float16, float32, float64, uint32


def factors(precision: str) -> list[Expr]:
    """What the products of a compiled matrix product multiply, with names written out."""
    a, b = gx.input("a", (64, 32)), gx.input("b", (32, 48))
    step = gx.compile([a, b], gx.nn.relu(a @ b + 1.0), precision=precision)
    (call,) = step.program.schedule.calls
    lets = {s.ref: s.value for s in walk(call.kernel.body) if isinstance(s, Let)}
    (dot,) = (
        s
        for s in walk(call.kernel.body)
        if isinstance(s, Accumulate) and s.accumulator.combine.name == "dot"
    )
    return [lets[v] if isinstance(v, Ref) else v for v in dot.values]


@pytest.mark.parametrize("name", ["bf16", "fp16", "tf32"])
def test_operands_of_a_compiled_product(name: str) -> None:
    found = [rounded_operand(e) for e in factors(name)]
    assert [f is not None and f[0] for f in found] == [name] * 2


def test_operands_in_float32() -> None:
    assert [rounded_operand(e) for e in factors("fp32")] == [None, None]


def test_what_is_stored_low_needs_no_rounding() -> None:
    e = ExprEmitter()
    for dtype, name in ((bfloat16, "bf16"), (float16, "fp16")):
        load = Load(dtype, Buffer("x", dtype, (8,)), (const(0),))
        assert rounded_operand(e.cast(load, float32)) == (name, load)
        assert rounded_operand(load) is None
        assert rounded_operand(e.cast(load, float64)) is None


def test_other_selections_are_no_rounding() -> None:
    e = ExprEmitter()
    x, y = (Load(float32, Buffer(n, float32, (8,)), (const(0),)) for n in "xy")
    assert rounded_operand(RoundToTF32().emit(e, x)) == ("tf32", x)
    assert rounded_operand(e.select(e.ne(x, x), x, y)) is None
    assert rounded_operand(e.select(e.ne(y, y), x, RoundToTF32().emit(e, x))) is None
    other = e.bit_and(
        e.add(e.bitcast(x, uint32), e.const(0x1000, uint32)), e.const(0xFFFFF000, uint32)
    )
    assert rounded_operand(e.select(e.ne(x, x), x, e.bitcast(other, float32))) is None
