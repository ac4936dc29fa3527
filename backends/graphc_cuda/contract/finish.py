"""The epilogue of a contraction: what happens to a finished sum."""

from __future__ import annotations

from dataclasses import replace

from graphc.ir.loops.contraction.match import Span
from graphc.ir.types import bool_
from graphc_cuda.contract.axes import set_axes
from graphc_cuda.contract.find import TiledContraction, count
from graphc_cuda.lower.scalar import Scalar, as_index
from graphc_cuda.lower.serial import serial_block
from graphc_cuda.lower.writer import Writer


def finish_one(
    w: Writer, found: TiledContraction, value: Scalar, at: tuple[Scalar, Scalar]
) -> None:
    """The epilogue of one element, if there is such an element."""
    e, sizes, contraction = w.emit, found.sizes, found.contraction
    row, column = (w.assign(name, x) for name, x in zip(("row_at", "column_at"), at))
    inside = e.logical_and(e.lt(row, as_index(sizes.rows)), e.lt(column, as_index(sizes.columns)))
    with w.when(inside.value):
        set_axes(w, contraction.rows, _within(row, contraction.rows))
        set_axes(w, contraction.columns, _within(column, contraction.columns))
        limits = w.kept_all([w.evaluate(limit) for limit in found.limits])
        exists = e.const(True, bool_)
        for limit in limits:
            exists = e.logical_and(exists, limit)
        with w.when(exists.value):
            name = contraction.accumulator.refs[0].name
            w.refs[name] = w.assign(name, value)
            serial_block(w, contraction.epilogue)


def _within(position: Scalar, spans: tuple[Span, ...]) -> Scalar:
    """A position that is known to be one of an axis."""
    return replace(position, range=(0, count(spans) - 1))
