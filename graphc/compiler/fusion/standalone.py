"""Lower ops that form a kernel by themselves: joins, scatters, scans, sorts."""

from __future__ import annotations

from graphc.compiler.fusion.kernel_builder import KernelBuilder
from graphc.compiler.fusion.matrix import lower_matrix
from graphc.compiler.fusion.nests import close_loops, open_loops
from graphc.compiler.fusion.scans import lower_cumulative, lower_recurrence
from graphc.compiler.fusion.scatter import lower_first_occurrence, lower_scatter
from graphc.compiler.fusion.search import lower_search, lower_topk
from graphc.compiler.fusion.sorting import lower_sort
from graphc.errors import VerifyError
from graphc.ir.dims import Size
from graphc.ir.graph import Node
from graphc.ir.ops.cumulative import Cumulative, Recurrence
from graphc.ir.ops.gather import ScatterAdd
from graphc.ir.ops.indexing import FirstOccurrence, Put
from graphc.ir.ops.join import Concat
from graphc.ir.ops.matrix import Matrix
from graphc.ir.ops.sorting import ArgSort, SearchSorted, Sort, TopK
from graphc.ir.schedule import Storage


def lower_standalone(node: Node, targets: tuple[Storage, ...], builder: KernelBuilder) -> None:
    """Lower a node that is a kernel by itself."""
    match node.op:
        case Concat():
            lower_concat(node, targets, builder)
        case ScatterAdd() | Put():
            for storage in targets:
                lower_scatter(node, storage, builder)
        case FirstOccurrence():
            lower_first_occurrence(node, targets, builder)
        case Cumulative():
            lower_cumulative(node, targets, builder)
        case Recurrence():
            lower_recurrence(node, targets, builder)
        case Sort() | ArgSort():
            lower_sort(node, targets, builder)
        case TopK():
            lower_topk(node, targets, builder)
        case SearchSorted():
            lower_search(node, targets, builder)
        case Matrix():
            lower_matrix(node, targets, builder)
        case _:
            raise VerifyError(f"{node} has no lowering")


def lower_concat(node: Node, targets: tuple[Storage, ...], builder: KernelBuilder) -> None:
    """One nest for each input, stored behind the inputs before it."""
    op = node.op
    assert isinstance(op, Concat)
    start: Size = 0
    for source in node.inputs:
        at = open_loops(builder, source.type.shape)
        value = builder.at(source, at)
        offset = builder.e.extent(start)
        moved = tuple(
            builder.e.add(i, offset) if axis == op.axis else i for axis, i in enumerate(at)
        )
        for storage in targets:
            builder.store(storage, moved, value)
        close_loops(builder, at, source.type.shape)
        start = start + source.type.shape[op.axis]
