"""The loop nest of a contraction as plain data: its loops and its affine accesses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from graphc.ir.dims import Size, bound

Label = int


@dataclass(frozen=True)
class AffineIndex:
    """An affine index along one axis: the sum of factor * label over `terms`, plus `offset`.

    Where `size` is given the position may lie outside 0 .. size - 1; there is only zero there.
    """

    terms: tuple[tuple[Label, int], ...]
    offset: Size = 0
    size: Size | None = None


@dataclass(frozen=True)
class Nest:
    """Loops over the labels of the result, outer first, and inside them over those summed.

    Each label comes with its extent; `out`, `a` and `b` are one place for each axis of the result
    and of the operands. A sum is one ascending chain in the order of the loops.
    """

    result: tuple[tuple[Label, Size], ...]
    reduced: tuple[tuple[Label, Size], ...]
    out: tuple[AffineIndex, ...]
    a: tuple[AffineIndex, ...]
    b: tuple[AffineIndex, ...]


def at_label(label: Label) -> AffineIndex:
    """The identity index of a label."""
    return AffineIndex(((label, 1),))


def guarded(
    terms: tuple[tuple[Label, int], ...],
    offset: Size,
    size: Size,
    extents: Iterable[tuple[Label, Size]],
) -> AffineIndex:
    """An affine index with its bound, which is dropped where the index never leaves it."""
    known = dict(extents)
    low: Size = offset
    high: Size = offset
    for label, factor in terms:
        last = factor * (known[label] - 1)
        low, high = (low + last, high) if factor < 0 else (low, high + last)
    inside = _at_least(low, 0) and _at_least(size - high, 1)
    return AffineIndex(terms, offset, None if inside else size)


def _at_least(size: Size, least: int) -> bool:
    known = bound(size)
    return known is not None and known >= least
