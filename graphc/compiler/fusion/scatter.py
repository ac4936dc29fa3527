"""Lower scatters."""

from __future__ import annotations

from graphc.compiler.fusion.kernel_builder import At, KernelBuilder
from graphc.compiler.fusion.nests import close_loops, load, lower_copy, open_loops, store_where
from graphc.ir.dims import Size
from graphc.ir.graph import Node
from graphc.ir.loops.ir import SEQUENTIAL, Expr
from graphc.ir.ops.gather import ScatterAdd
from graphc.ir.ops.indexing import FirstOccurrence, Put, PutAlong
from graphc.ir.schedule import TEMPORARY, Storage
from graphc.ir.types import TensorType, int32, int64

_FUNCTIONS = {"add": "add", "mul": "mul", "min": "minimum", "max": "maximum"}


def lower_scatter(node: Node, storage: Storage, builder: KernelBuilder) -> None:
    """Copy x, then scatter the updates into the copy."""
    lower_copy(node.inputs[0], storage, builder)
    if isinstance(node.op, PutAlong):
        scatter_along(node, node.op, storage, builder)
    else:
        scatter_rows(node, storage, builder)


def scatter_rows(node: Node, storage: Storage, builder: KernelBuilder, check: bool = True) -> None:
    """Scatter rows: sequential over updates, parallel over columns."""
    x, rows, updates = node.inputs
    columns = x.type.shape[1:]
    at = open_loops(builder, columns)
    walked = open_loops(builder, rows.type.shape)
    row, inside = checked_index(node, rows, walked, x.type.shape[0], builder, check)
    update = builder.at(updates, (*walked, *at), inside)
    _merge(node, storage, (row, *at), update, inside, builder)
    close_loops(builder, walked, rows.type.shape, SEQUENTIAL)
    close_loops(builder, at, columns)


def scatter_along(
    node: Node, op: PutAlong, storage: Storage, builder: KernelBuilder, check: bool = True
) -> None:
    """Scatter along an axis: sequential along it, parallel outside."""
    x, indices, updates = node.inputs
    shape, axis = indices.type.shape, op.axis
    beside = (*shape[:axis], *shape[axis + 1 :])
    others = open_loops(builder, beside)
    walked = open_loops(builder, (shape[axis],))
    at = (*others[:axis], *walked, *others[axis:])
    place, inside = checked_index(node, indices, at, x.type.shape[axis], builder, check)
    update = builder.at(updates, at, inside)
    _merge(node, storage, (*others[:axis], place, *others[axis:]), update, inside, builder)
    close_loops(builder, walked, (shape[axis],), SEQUENTIAL)
    close_loops(builder, others, beside, lanes=axis != len(shape) - 1)


def _merge(
    node: Node, storage: Storage, at: At, update: Expr, inside: Expr, builder: KernelBuilder
) -> None:
    mode = "add" if isinstance(node.op, ScatterAdd) else _mode(node)
    if mode != "set":
        old = load(builder, storage, at, inside)
        update = builder.e.apply(_FUNCTIONS[mode], old, update)
    store_where(builder, storage, at, update, inside)


def _mode(node: Node) -> str:
    assert isinstance(node.op, Put)
    return node.op.mode


def checked_index(
    node: Node, indices: Node, at: At, size: Size, builder: KernelBuilder, check: bool = True
) -> tuple[Expr, Expr]:
    """An index counted from the front, and whether it is inside (checked unless told not to)."""
    e = builder.e
    count, zero = e.extent(size), e.const(0, int64)
    place = e.cast(builder.at(indices, at), int64)
    place = e.apply("select", e.apply("lt", place, zero), e.apply("add", place, count), place)
    inside = e.apply("logical_and", e.apply("le", zero, place), e.apply("lt", place, count))
    if check:
        builder.check(node, inside, None)
    return place, inside


def lower_first_occurrence(
    node: Node, targets: tuple[Storage, ...], builder: KernelBuilder
) -> None:
    """Write every position into a table at its index, the first one last; then look them up.

    What is read of the table was written before, so nothing needs to be cleared.
    """
    op, (indices,) = node.op, node.inputs
    assert isinstance(op, FirstOccurrence)
    e, (count,) = builder.e, node.type.shape
    table = Storage("first_same_table", TensorType(int32, (op.size,)), TEMPORARY)
    (k,) = walked = open_loops(builder, (count,))
    back = e.sub(e.extent(count - 1), k)
    place, inside = checked_index(node, indices, (back,), op.size, builder)
    store_where(builder, table, (place,), e.cast(back, int32), inside)
    close_loops(builder, walked, (count,), SEQUENTIAL)
    (k,) = read = open_loops(builder, (count,))
    place, inside = checked_index(node, indices, (k,), op.size, builder, check=False)
    first = e.cast(load(builder, table, (place,), inside), int64)
    for storage in targets:
        builder.store(storage, (k,), first)
    close_loops(builder, read, (count,))
