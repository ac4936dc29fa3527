"""Row-sparse gradients, and updates of those rows alone.

The gradient of `take(table, ids)` adds rows to zeros. An optimiser whose update is the identity
where the gradient is 0 gives the same result when it looks at those rows only: rows with one
index are added up at the first of them, all of them compute the new row from that sum, and all of
them store it.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphc.frontend import functions as fn
from graphc.frontend.functions.operands import cast, is_half, widened
from graphc.frontend.parameter import Parameter
from graphc.frontend.tensor import Tensor, handle, lift_op, zeros_like
from graphc.ir.dims import Size, nominal
from graphc.ir.graph import Node
from graphc.ir.ops.elementwise import Add, Mul, Neg
from graphc.ir.ops.elementwise_logic import Cast
from graphc.ir.ops.gather import ScatterAdd
from graphc.ir.ops.indexing import SET, FirstOccurrence
from graphc.ir.ops.leaf import Literal
from graphc.ir.ops.view import BroadcastTo
from graphc.ir.types import int64

IndexedUpdate = tuple[Tensor, Tensor]  # indices of rank 1, and a row for each
# What rows are multiplied with, the innermost first: a number (None for -1), and what is around it.
Factors = tuple[Tensor | None, "Factors"] | None


@dataclass(frozen=True, eq=False)
class SparseRows:
    """The rows of a table that have a gradient.

    `total` holds, at the first place of every index, the sum of its rows, and 0 elsewhere; so
    norms and bounds of it are those of the whole gradient.
    """

    indices: Tensor
    first: Tensor
    total: Tensor

    @property
    def count(self) -> Size:
        """How many indices there are."""
        return self.indices.shape[0]

    def gradient(self, total: Tensor) -> Tensor:
        """The gradient of each index's row."""
        return fn.take(total, self.first)

    def take(self, table: Tensor) -> Tensor:
        """The rows of a table."""
        return fn.take(table, self.indices)

    def put(self, table: Tensor, rows: Tensor) -> Tensor:
        """The table with these rows."""
        return getattr(table.at[self.indices], SET)(rows)  # type: ignore[no-any-return]


def find_rows(parameter: Parameter, gradient: Tensor) -> SparseRows | None:
    """The rows that a gradient consists of; None if it is dense."""
    parts = _parts(gradient.node)
    if not parts or parameter.ndim == 0:
        return None
    indices = fn.concat([fn.astype(i, int64) for i, _ in parts])
    rows = fn.concat([r for _, r in parts])
    first = lift_op(FirstOccurrence(parameter.shape[0]), indices)
    total = cast(lift_op(ScatterAdd(), zeros_like(rows), first, rows), gradient.dtype)
    return SparseRows(indices, first, total)


def are_few(parameter: Parameter, rows: SparseRows) -> bool:
    """Whether a sparse update costs less than a dense one."""
    return 2 * nominal(rows.count) <= nominal(parameter.shape[0])


def _parts(root: Node) -> list[IndexedUpdate] | None:
    """The indices and rows that are added to zeros, in order; None where anything else is."""
    parts: list[IndexedUpdate] = []
    waiting: list[tuple[Node, Factors]] = [(root, None)]
    while waiting:
        node, factors = waiting.pop()
        match node.op:
            case ScatterAdd() if _is_zero(node.inputs[0]):
                indices, rows = _flat(handle(node.inputs[1]), handle(node.inputs[2]))
                parts.append((indices, _scaled(widened(rows), factors)))
            case Cast() if is_half(handle(node)):  # of sums in float32
                waiting.append((node.inputs[0], factors))
            case Add():
                waiting += [(i, factors) for i in reversed(node.inputs)]
            case Neg():
                waiting.append((node.inputs[0], (None, factors)))
            case Mul():
                x, y = node.inputs if _is_number(node.inputs[1]) else reversed(node.inputs)
                if not _is_number(y):
                    return None
                waiting.append((x, (fn.reshape(handle(y.inputs[0]), ()), factors)))
            case _:
                return None
    return parts


def _is_number(node: Node) -> bool:
    """Whether a node repeats one number."""
    return isinstance(node.op, BroadcastTo) and node.inputs[0].type.size == 1


def _scaled(rows: Tensor, factors: Factors) -> Tensor:
    """Rows times numbers, the innermost first."""
    while factors is not None:
        number, factors = factors
        rows = -rows if number is None else rows * number
    return rows


def _flat(indices: Tensor, rows: Tensor) -> IndexedUpdate:
    """Indices of any rank as one axis."""
    columns = rows.shape[indices.ndim :]
    return fn.reshape(indices, (indices.size,)), fn.reshape(rows, (indices.size, *columns))


def _is_zero(node: Node) -> bool:
    while isinstance(node.op, BroadcastTo):
        node = node.inputs[0]
    return isinstance(node.op, Literal) and node.op.value == 0
