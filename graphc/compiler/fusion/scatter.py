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


def lower_scatter(node: Node, storage: Storage, values: KernelBuilder) -> None:
    """Copy x, then scatter the updates into the copy."""
    lower_copy(node.inputs[0], storage, values)
    if isinstance(node.op, PutAlong):
        scatter_along(node, node.op, storage, values)
    else:
        scatter_rows(node, storage, values)


def scatter_rows(node: Node, storage: Storage, values: KernelBuilder, check: bool = True) -> None:
    """Scatter rows: sequential over updates, parallel over columns."""
    x, rows, updates = node.inputs
    columns = x.type.shape[1:]
    at = open_loops(values, columns)
    walked = open_loops(values, rows.type.shape)
    row, inside = checked_index(node, rows, walked, x.type.shape[0], values, check)
    update = values.at(updates, (*walked, *at), inside)
    _merge(node, storage, (row, *at), update, inside, values)
    close_loops(values, walked, rows.type.shape, SEQUENTIAL)
    close_loops(values, at, columns)


def scatter_along(
    node: Node, op: PutAlong, storage: Storage, values: KernelBuilder, check: bool = True
) -> None:
    """Scatter along an axis: sequential along it, parallel outside."""
    x, indices, updates = node.inputs
    shape, axis = indices.type.shape, op.axis
    beside = (*shape[:axis], *shape[axis + 1 :])
    others = open_loops(values, beside)
    walked = open_loops(values, (shape[axis],))
    at = (*others[:axis], *walked, *others[axis:])
    place, inside = checked_index(node, indices, at, x.type.shape[axis], values, check)
    update = values.at(updates, at, inside)
    _merge(node, storage, (*others[:axis], place, *others[axis:]), update, inside, values)
    close_loops(values, walked, (shape[axis],), SEQUENTIAL)
    close_loops(values, others, beside, lanes=axis != len(shape) - 1)


def _merge(
    node: Node, storage: Storage, at: At, update: Expr, inside: Expr, values: KernelBuilder
) -> None:
    mode = "add" if isinstance(node.op, ScatterAdd) else _mode(node)
    if mode != "set":
        old = load(values, storage, at, inside)
        update = values.e.apply(_FUNCTIONS[mode], old, update)
    store_where(values, storage, at, update, inside)


def _mode(node: Node) -> str:
    assert isinstance(node.op, Put)
    return node.op.mode


def checked_index(
    node: Node, indices: Node, at: At, size: Size, values: KernelBuilder, check: bool = True
) -> tuple[Expr, Expr]:
    """An index counted from the front, and whether it is inside (checked unless told not to)."""
    e = values.e
    count, zero = e.extent(size), e.const(0, int64)
    place = e.cast(values.at(indices, at), int64)
    place = e.apply("select", e.apply("lt", place, zero), e.apply("add", place, count), place)
    inside = e.apply("logical_and", e.apply("le", zero, place), e.apply("lt", place, count))
    if check:
        values.check(node, inside, None)
    return place, inside


def lower_first_occurrence(node: Node, targets: tuple[Storage, ...], values: KernelBuilder) -> None:
    """Write every position into a table at its index, the first one last; then look them up.

    What is read of the table was written before, so nothing needs to be cleared.
    """
    op, (indices,) = node.op, node.inputs
    assert isinstance(op, FirstOccurrence)
    e, (count,) = values.e, node.type.shape
    table = Storage("first_same_table", TensorType(int32, (op.size,)), TEMPORARY)
    (k,) = walked = open_loops(values, (count,))
    back = e.sub(e.extent(count - 1), k)
    place, inside = checked_index(node, indices, (back,), op.size, values)
    store_where(values, table, (place,), e.cast(back, int32), inside)
    close_loops(values, walked, (count,), SEQUENTIAL)
    (k,) = read = open_loops(values, (count,))
    place, inside = checked_index(node, indices, (k,), op.size, values, check=False)
    first = e.cast(load(values, table, (place,), inside), int64)
    for storage in targets:
        values.store(storage, (k,), first)
    close_loops(values, read, (count,))
