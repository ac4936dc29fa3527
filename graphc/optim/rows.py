"""Gradients that are rows at indices, and updates of those rows alone.

The gradient of `take(table, ids)` adds rows to zeros. An optimiser whose update is the identity
where the gradient is 0 gives the same result when it looks at those rows only: rows with one
index are added up at the first of them, all of them compute the new row from that sum, and all of
them store it.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphc import functions as fn
from graphc.dims import Size
from graphc.graph import Node
from graphc.ops.elementwise import Add, Mul, Neg
from graphc.ops.gather import ScatterAdd
from graphc.ops.indexing import SET, FirstSame
from graphc.ops.leaf import Literal
from graphc.ops.view import BroadcastTo
from graphc.ordering import nominal
from graphc.tensor import Parameter, Tensor, face, lift_op, zeros_like
from graphc.types import int64

Part = tuple[Tensor, Tensor]  # indices of rank 1, and a row for each


@dataclass(frozen=True, eq=False)
class Rows:
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


def find_rows(parameter: Parameter, gradient: Tensor) -> Rows | None:
    """The rows that a gradient consists of; None if it is dense."""
    parts = _parts(gradient.node)
    if not parts or parameter.ndim == 0:
        return None
    indices = fn.concat([fn.astype(i, int64) for i, _ in parts])
    rows = fn.concat([r for _, r in parts])
    first = lift_op(FirstSame(parameter.shape[0]), indices)
    total = lift_op(ScatterAdd(), zeros_like(rows), first, rows)
    return Rows(indices, first, total)


def are_few(parameter: Parameter, rows: Rows) -> bool:
    """Whether going through the rows costs less than going through the table."""
    return 2 * nominal(rows.count) <= nominal(parameter.shape[0])


def _parts(node: Node) -> list[Part] | None:
    """The indices and rows that are added to zeros, in order; None where anything else is."""
    match node.op:
        case ScatterAdd() if _is_zero(node.inputs[0]):
            return [_flat(face(node.inputs[1]), face(node.inputs[2]))]
        case Add():
            left, right = _parts(node.inputs[0]), _parts(node.inputs[1])
            return None if left is None or right is None else left + right
        case Neg():
            parts = _parts(node.inputs[0])
            return None if parts is None else [(i, -rows) for i, rows in parts]
        case Mul():
            return _scaled(*node.inputs) or _scaled(node.inputs[1], node.inputs[0])
    return None


def _scaled(node: Node, factor: Node) -> list[Part] | None:
    """Rows times one number."""
    if not isinstance(factor.op, BroadcastTo) or factor.inputs[0].type.size != 1:
        return None
    parts = _parts(node)
    number = fn.reshape(face(factor.inputs[0]), ())
    return None if parts is None else [(i, rows * number) for i, rows in parts]


def _flat(indices: Tensor, rows: Tensor) -> Part:
    """Indices of any rank as one axis."""
    columns = rows.shape[indices.ndim :]
    return fn.reshape(indices, (indices.size,)), fn.reshape(rows, (indices.size, *columns))


def _is_zero(node: Node) -> bool:
    while isinstance(node.op, BroadcastTo):
        node = node.inputs[0]
    return isinstance(node.op, Literal) and node.op.value == 0
