"""The epilogue of a contraction: what happens to each finished sum.

Sums go through shared memory, one row of every thread after the other, so that threads next to
each other finish columns next to each other, and so that the epilogue stands in the text once.
"""

from __future__ import annotations

from dataclasses import replace

from graphc.ir.loops.contraction.match import Span
from graphc_cuda.contract.find import TiledContraction, count
from graphc_cuda.contract.multiply import Sums
from graphc_cuda.contract.stage import set_axes
from graphc_cuda.device.program import THREAD, Barrier, DeviceArray
from graphc_cuda.lower.scalar import Scalar, as_index, index_of
from graphc_cuda.lower.serial import serial_block
from graphc_cuda.lower.writer import Writer


def finish(w: Writer, sums: Sums, memory: DeviceArray, origin: tuple[Scalar, Scalar]) -> None:
    """Run the epilogue for every sum; `memory` holds one row of every thread."""
    found = sums.found
    tile, e = found.tile, w.emit
    thread = index_of(THREAD, 0, tile.threads - 1)
    down = tile.rows // tile.thread_rows
    with w.loop("row_of_thread", as_index(0), as_index(tile.thread_rows), 1) as phase:
        _hand_over(w, sums, memory, phase)
        w.add(Barrier())
        with w.loop("turn", as_index(0), as_index(tile.thread_columns), 1) as turn:
            element = e.add(thread, e.mul(turn, as_index(tile.threads)))
            element = w.assign("element", element)
            group = e.div(element, as_index(tile.columns))
            column = e.rem(element, as_index(tile.columns))
            vector = as_index(sums.rows.vector)
            row = e.add(e.mul(group, vector), e.rem(phase, vector))
            row = e.add(row, e.mul(e.div(phase, vector), as_index(down * sums.rows.vector)))
            value = w.get(memory, element, found.dtype)
            _finish_one(w, found, value, (e.add(origin[0], row), e.add(origin[1], column)))
        w.add(Barrier())


def _hand_over(w: Writer, sums: Sums, memory: DeviceArray, phase: Scalar) -> None:
    """Put one row of every thread into shared memory."""
    e, columns = w.emit, sums.columns
    first = w.assign("first", e.mul(sums.rows.number, as_index(sums.found.tile.columns)))
    for number, row in enumerate(sums.sums):
        with w.inside() as body:
            for c, variable in enumerate(row):
                group, within = divmod(c, columns.vector)
                column = e.add(columns.first(w, group), as_index(within))
                w.put(memory, e.add(first, column), Scalar(variable, sums.found.dtype))
        is_it = e.eq(phase, as_index(number))
        with w.when(is_it.value):
            w.body += body


def _finish_one(
    w: Writer, found: TiledContraction, value: Scalar, at: tuple[Scalar, Scalar]
) -> None:
    """The epilogue of one element, if there is such an element."""
    e, sizes, contraction = w.emit, found.sizes, found.contraction
    row, column = (w.assign(name, x) for name, x in zip(("row_at", "column_at"), at))
    inside = e.logical_and(e.lt(row, as_index(sizes.rows)), e.lt(column, as_index(sizes.columns)))
    with w.when(inside.value):
        set_axes(w, contraction.rows, _within(row, contraction.rows))
        set_axes(w, contraction.columns, _within(column, contraction.columns))
        name = contraction.accumulator.refs[0].name
        w.refs[name] = w.assign(name, value)
        serial_block(w, contraction.epilogue)


def _within(position: Scalar, spans: tuple[Span, ...]) -> Scalar:
    """A position that is known to be one of an axis."""
    return replace(position, range=(0, count(spans) - 1))
