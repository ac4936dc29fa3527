"""Loop nests around emitted statements: one loop per axis of a shape."""

from __future__ import annotations

from graphc.compiler.fusion.kernel_builder import At, KernelBuilder
from graphc.compiler.fusion.rows import AXIS_NAMES
from graphc.ir.dims import Size
from graphc.ir.graph import Node
from graphc.ir.loops.ir import PARALLEL, Axis, Expr, Index, Load, Loop, Store, walk
from graphc.ir.schedule import Storage
from graphc.ir.types import int64


def open_loops(builder: KernelBuilder, shape: tuple[Size, ...]) -> At:
    """Open a loop for every axis; size 1 needs none."""
    at: list[Expr] = []
    for size in shape:
        if size == 1:
            at.append(builder.e.const(0, int64))
            continue
        at.append(builder.e.index(Axis(builder.name(AXIS_NAMES[len(at) % len(AXIS_NAMES)]))))
        builder.open()
    return tuple(at)


def close_loops(
    builder: KernelBuilder,
    at: At,
    shape: tuple[Size, ...],
    kind: str = PARALLEL,
    lanes: bool = True,
) -> None:
    """Close what `open_loops` opened; the innermost parallel loop has the lanes, if any."""
    lanes = lanes and kind == PARALLEL and not has_lanes(builder)
    for i, size in reversed(list(zip(at, shape))):
        if isinstance(i, Index):
            body = builder.close()
            builder.emit(Loop(i.axis, builder.e.extent(size), kind, body, lanes=lanes))
            lanes = False


def has_lanes(builder: KernelBuilder) -> bool:
    """Whether a loop of the open block has lanes already."""
    return any(isinstance(s, Loop) and s.lanes for s in walk(tuple(builder.open_block)))


def load(builder: KernelBuilder, storage: Storage, at: At, where: Expr | None = None) -> Load:
    """Load an element of a storage."""
    buffer = builder.buffer(storage)
    return Load(buffer.dtype, buffer, at, where)


def store_where(
    builder: KernelBuilder, storage: Storage, at: At, value: Expr, where: Expr | None
) -> None:
    """Store an element where a condition holds."""
    builder.emit(Store(builder.buffer(storage), at, value, where))


def lower_copy(node: Node, storage: Storage, builder: KernelBuilder) -> None:
    """Store every element of a node."""
    at = open_loops(builder, node.type.shape)
    builder.store(storage, at, builder.at(node, at))
    close_loops(builder, at, node.type.shape)
