"""The factors of a factorisation, which stand one below the other as columns of one matrix."""

from __future__ import annotations

from graphc.frontend.functions.creation import eye, zeros_like
from graphc.frontend.functions.logic import choose
from graphc.frontend.functions.shapes import broadcast_to, narrow
from graphc.frontend.tensor import Tensor
from graphc.ir.dims import Size
from graphc.ir.types import bool_


def split(x: Tensor, rows: Size) -> tuple[Tensor, Tensor]:
    """The first rows and the others."""
    axis = x.ndim - 2
    return narrow(x, axis, 0, rows), narrow(x, axis, rows, x.shape[axis] - rows)


def parts(x: Tensor, m: Size) -> tuple[Tensor, Tensor, Tensor]:
    """The singular values as a row, U and V."""
    s, rest = split(x, 1)
    return s, *split(rest, m)


def on_diagonal_of(row: Tensor) -> Tensor:
    """Matrices with a row as their diagonal, zeros elsewhere."""
    n = row.shape[-1]
    rows = broadcast_to(row, (*row.shape[:-2], n, n))
    return choose(eye(n, dtype=bool_), rows, zeros_like(rows))
