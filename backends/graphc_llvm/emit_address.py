"""Addresses: row-major offsets taken apart by the axes they move along."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from graphc.ir.loops.contraction.index import flat_offset
from graphc.ir.loops.ir import Buffer, Expr
from graphc_llvm.emit_context import EmitContext
from graphc_llvm.ir_builder import Operand
from graphc_llvm.values import Value, memory_type

Evaluate = Callable[[EmitContext, Expr], Value]


@dataclass(frozen=True)
class Address:
    """The pointer to lane 0, and how far apart the lanes are.

    `stride` counts elements; with `offsets` lane l is at pointer + offsets[l] instead.
    """

    pointer: str
    stride: Operand
    offsets: Value | None = None


def address(c: EmitContext, buffer: Buffer, at: tuple[Expr, ...], evaluate: Evaluate) -> Address:
    """Where buffer[at] is, for all lanes."""
    form = flat_offset(buffer, at)
    terms = [(c.size(k), c.axes[axis]) for axis, k in form.axes.items()]
    spread: list[Value] = []
    for coefficient, expr in form.others:
        value = evaluate(c, expr)
        if value.width > 1:
            spread.append(c.emit.mul(value, c.number(c.size(coefficient))))
        else:
            terms.append((c.size(coefficient), c.operand(value)))
    pointer = _pointer(c, buffer, terms, c.size(form.constant))
    stride = 0 if c.lane is None else c.size(form.coefficient(c.lane.axis))
    if not spread:
        return Address(pointer, stride)
    offsets = spread[0]
    for value in spread[1:]:
        offsets = c.emit.add(offsets, value)
    if stride != 0:
        offsets = c.emit.add(offsets, c.emit.mul(c.lane_numbers(), c.number(stride)))
    return Address(pointer, 0, offsets)


def _pointer(
    c: EmitContext, buffer: Buffer, terms: list[tuple[Operand, Operand]], constant: Operand
) -> str:
    """Add the terms that exist furthest outside first, so that inner loops only add the rest."""
    f, pointer, element = c.builder, c.pointers[buffer], memory_type(buffer.dtype)
    by_level: dict[int, Operand] = {}
    for coefficient, operand in terms:
        product = f.mul(coefficient, operand, "offset")
        level = f.level_of(product)
        by_level[level] = f.add(by_level.get(level, 0), product, "offset")
    for level in sorted(by_level):
        pointer = f.gep(pointer, element, by_level[level], buffer.name)
    return f.gep(pointer, element, constant, buffer.name)
