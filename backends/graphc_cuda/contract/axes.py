"""The axes of a contraction at a position that counts through several of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphc.ir.loops.contraction.match import Span
from graphc.ir.loops.ir import Axis
from graphc_cuda.contract.find import Side, known
from graphc_cuda.lower.scalar import Scalar, as_index
from graphc_cuda.lower.serial import smaller
from graphc_cuda.lower.writer import Writer


def set_axes(w: Writer, spans: Sequence[Span], position: Scalar) -> None:
    """Give axes their values at a position that counts through all of them."""
    position = w.assign("position", position) if len(spans) > 1 else position
    for span in reversed(spans):
        size = as_index(known(span.size))
        w.axes[span.axis] = w.assign(span.axis.name, w.emit.rem(position, size))
        position = w.emit.div(position, size)


def line_axes(w: Writer, side: Side, line: Scalar, neighbours: int) -> Mapping[Axis, Scalar]:
    """The axes of a line; of the last ones for those behind them."""
    position = w.assign("line", smaller(line, as_index(side.lines - neighbours)))
    set_axes(w, side.spans, position)
    return {span.axis: w.axes[span.axis] for span in side.spans}
