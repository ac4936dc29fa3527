"""The diagonals of matrices, as a view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from graphc.errors import ShapeError
from graphc.ir.dims import Size
from graphc.ir.ops.base import View
from graphc.ir.ops.op import ArrayFunctions, Samples, V
from graphc.ir.ops.view import Pad
from graphc.ir.types import Array, TensorType, float32, int64

if TYPE_CHECKING:
    from graphc.ir.loops.expression import ExprEmitter
    from graphc.ir.loops.ir import Expr


@dataclass(frozen=True)
class Diagonal(View):
    """result[..., i] = x[..., i, i + offset] (below the middle: x[..., i - offset, i])."""

    name = "diagonal"
    offset: int = 0

    def infer(self, x: TensorType) -> TensorType:
        """The last two axes become the diagonal."""
        if x.ndim < 2:
            raise ShapeError(f"diagonal: needs 2 axes or more, got {x} (input 0)")
        return x.with_shape((*x.shape[:-2], self._length(x)))

    def _length(self, x: TensorType) -> Size:
        rows, columns = x.shape[-2], x.shape[-1]
        if isinstance(rows, int) and isinstance(columns, int):
            return max(0, min(rows + min(self.offset, 0), columns - max(self.offset, 0)))
        if rows != columns:
            raise ShapeError(
                f"diagonal: how long it is depends on which of {rows} and {columns} is smaller"
                f" ({x}, input 0)"
            )
        return rows - abs(self.offset)

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """The cotangent on the diagonal, zeros beside it."""
        lead, (rows, columns) = (0,) * (x.ndim - 2), x.shape[-2:]
        above = max(-self.offset, 0)
        below = rows - dy.shape[-1] - above
        column = f.apply(Pad((*lead, above), (*lead, below), (1,) * dy.ndim), dy)
        spread = f.broadcast_to(f.expand_dims(column, -1), x.shape)
        place = f.iota((rows, columns), 1, int64) - f.iota((rows, columns), 0, int64)
        return (f.choose(place == self.offset, spread, 0.0),)

    def evaluate(self, x: Array) -> Array:
        """numpy's diagonal."""
        rows, columns = x.shape[-2:]  # numpy takes no larger offset than a C int
        return np.diagonal(x, max(-rows, min(self.offset, columns)), -2, -1)

    def source_index(
        self, e: ExprEmitter, at: tuple[Expr, ...], source: TensorType, out: TensorType
    ) -> tuple[tuple[Expr, ...], Expr | None]:
        """The same row and column, one of them shifted."""
        row, column = (e.plus(at[-1], max(sign * self.offset, 0)) for sign in (-1, 1))
        return (*at[:-1], row, column), None

    @classmethod
    def samples(cls) -> Samples:
        """The middle, others, beside the matrix."""
        cases: tuple[tuple[int, tuple[int, ...]], ...] = (
            (0, (3, 3)), (1, (3, 5)), (-1, (4, 3)), (4, (2, 3, 5)), (-2, (3, 5)), (0, (2, 4, 1)),
        )  # fmt: skip
        return tuple((cls(k), (TensorType(float32, shape),)) for k, shape in cases)
