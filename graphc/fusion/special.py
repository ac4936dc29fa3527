"""Lower what is no function of single elements: joins, scatters, copies."""

from __future__ import annotations

from graphc.dims import Size
from graphc.errors import VerifyError
from graphc.fusion.rows import AXIS_NAMES
from graphc.fusion.values import Values
from graphc.graph import Node
from graphc.loops.ir import PARALLEL, SEQUENTIAL, Axis, Expr, Load, Loop
from graphc.ops.gather import ScatterAdd
from graphc.ops.join import Concat
from graphc.schedule import Storage
from graphc.types import int64


def lower_special(node: Node, targets: tuple[Storage, ...], values: Values) -> None:
    """Emit the loops of a join or a scatter."""
    match node.op:
        case Concat():
            lower_concat(node, targets, values)
        case ScatterAdd():
            for storage in targets:
                lower_scatter(node, storage, values)
        case _:
            raise VerifyError(f"{node} has no lowering")


def lower_copy(node: Node, storage: Storage, values: Values) -> None:
    """Store every element of a node."""
    at = open_loops(values, node.type.shape)
    values.store(storage, at, values.at(node, at))
    close_loops(values, at, node.type.shape)


def lower_concat(node: Node, targets: tuple[Storage, ...], values: Values) -> None:
    """One nest for each input, stored behind the inputs before it."""
    op = node.op
    assert isinstance(op, Concat)
    start: Size = 0
    for source in node.inputs:
        at = open_loops(values, source.type.shape)
        value = values.at(source, at)
        offset = values.e.extent(start)
        moved = tuple(
            values.e.add(i, offset) if axis == op.axis else i for axis, i in enumerate(at)
        )
        for storage in targets:
            values.store(storage, moved, value)
        close_loops(values, at, source.type.shape)
        start = start + source.type.shape[op.axis]


def lower_scatter(node: Node, storage: Storage, values: Values) -> None:
    """Copy x; then every column adds its updates one after the other."""
    x, rows, updates = node.inputs
    lower_copy(x, storage, values)
    columns = x.type.shape[1:]
    at = open_loops(values, columns)
    walked = open_loops(values, rows.type.shape)
    row, inside = _row(node, rows, walked, values)
    buffer = values.buffer(storage)
    old = Load(buffer.dtype, buffer, (row, *at), inside)
    new = values.e.apply("add", old, values.at(updates, (*walked, *at), inside))
    _store_where(values, storage, (row, *at), new, inside)
    close_loops(values, walked, rows.type.shape, SEQUENTIAL)
    close_loops(values, at, columns)


def _row(node: Node, rows: Node, at: tuple[Expr, ...], values: Values) -> tuple[Expr, Expr]:
    """The row as a non-negative index, and whether there is such a row (checked)."""
    e = values.e
    count, zero = e.extent(node.type.shape[0]), e.const(0, int64)
    row = e.cast(values.at(rows, at), int64)
    row = e.apply("select", e.apply("lt", row, zero), e.apply("add", row, count), row)
    inside = e.apply("logical_and", e.apply("le", zero, row), e.apply("lt", row, count))
    values.check(node, inside, None)
    return row, inside


def _store_where(
    values: Values, storage: Storage, at: tuple[Expr, ...], value: Expr, where: Expr
) -> None:
    from graphc.loops.ir import Store

    values.emit(Store(values.buffer(storage), at, value, where))


def open_loops(values: Values, shape: tuple[Size, ...]) -> tuple[Expr, ...]:
    """Open a loop for every axis; size 1 needs none."""
    at: list[Expr] = []
    for size in shape:
        if size == 1:
            at.append(values.e.const(0, int64))
            continue
        at.append(values.e.index(Axis(values.name(AXIS_NAMES[len(at) % len(AXIS_NAMES)]))))
        values.open()
    return tuple(at)


def close_loops(
    values: Values, at: tuple[Expr, ...], shape: tuple[Size, ...], kind: str = PARALLEL
) -> None:
    """Close what `open_loops` opened; the innermost parallel loop has the lanes."""
    from graphc.loops.ir import Index

    lanes = kind == PARALLEL and not _has_lanes(values)
    for i, size in reversed(list(zip(at, shape))):
        if isinstance(i, Index):
            body = values.close()
            values.emit(Loop(i.axis, values.e.extent(size), kind, body, lanes=lanes))
            lanes = False


def _has_lanes(values: Values) -> bool:
    """Whether a loop of the open block has lanes already."""
    from graphc.loops.ir import walk

    return any(isinstance(s, Loop) and s.lanes for s in walk(tuple(values.open_block)))
