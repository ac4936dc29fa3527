"""Loop nests around emitted statements: one loop per axis of a shape."""

from __future__ import annotations

from graphc.compiler.fusion.kernel_builder import At, KernelBuilder
from graphc.compiler.fusion.rows import AXIS_NAMES
from graphc.ir.dims import Size
from graphc.ir.graph import Node
from graphc.ir.loops.ir import PARALLEL, Axis, Expr, Index, Load, Loop, Store, walk
from graphc.ir.schedule import Storage
from graphc.ir.types import int64


def open_loops(values: KernelBuilder, shape: tuple[Size, ...]) -> At:
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
    values: KernelBuilder, at: At, shape: tuple[Size, ...], kind: str = PARALLEL, lanes: bool = True
) -> None:
    """Close what `open_loops` opened; the innermost parallel loop has the lanes, if any."""
    lanes = lanes and kind == PARALLEL and not has_lanes(values)
    for i, size in reversed(list(zip(at, shape))):
        if isinstance(i, Index):
            body = values.close()
            values.emit(Loop(i.axis, values.e.extent(size), kind, body, lanes=lanes))
            lanes = False


def has_lanes(values: KernelBuilder) -> bool:
    """Whether a loop of the open block has lanes already."""
    return any(isinstance(s, Loop) and s.lanes for s in walk(tuple(values.open_block)))


def load(values: KernelBuilder, storage: Storage, at: At, where: Expr | None = None) -> Load:
    """Load an element of a storage."""
    buffer = values.buffer(storage)
    return Load(buffer.dtype, buffer, at, where)


def store_where(
    values: KernelBuilder, storage: Storage, at: At, value: Expr, where: Expr | None
) -> None:
    """Store an element where a condition holds."""
    values.emit(Store(values.buffer(storage), at, value, where))


def lower_copy(node: Node, storage: Storage, values: KernelBuilder) -> None:
    """Store every element of a node."""
    at = open_loops(values, node.type.shape)
    values.store(storage, at, values.at(node, at))
    close_loops(values, at, node.type.shape)
