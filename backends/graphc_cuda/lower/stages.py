"""Contractions among the statements of a row: a block computes each by tiles, in its turn.

A row is what one iteration of the outer parallel loops does, such as the attention of a block of
queries: products of matrices with reductions between them, handed on in scratch memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from graphc.ir.loops.ir import PARALLEL, Let, Load, Loop, Stmt, exprs_in
from graphc.ir.types import DType
from graphc_cuda.contract.bounded import find_bounded
from graphc_cuda.contract.find import TiledContraction
from graphc_cuda.contract.low import HELD
from graphc_cuda.contract.shape import MatrixTile, choose_stage_tile, stage_bytes
from graphc_cuda.lower.hazards import has_lanes
from graphc_cuda.lower.writer import Extents

STAGE_THREADS = 256  # of a block that runs stages
STAGED_BYTES = 96 * 1024  # of shared memory: what every GPU from 8.0 on grants a block at launch
MIN_PRODUCTS = 4096  # of a contraction that is worth a block


@dataclass(frozen=True, eq=False)
class Stages:
    """The contractions among statements by their loops, and the shared memory that they need."""

    tiles: Mapping[Loop, TiledContraction]
    nbytes: int


def find_stages(body: Sequence[Stmt], sizes: Mapping[str, int], extents: Extents) -> Stages | None:
    """The contractions of a row; None where there are none."""
    found: dict[Loop, TiledContraction] = {}
    for nest in _nests(body, ()):
        tiled = find_bounded(nest, sizes, extents)
        if tiled is not None and _is_worthwhile(tiled):
            loop = nest[-1]
            assert isinstance(loop, Loop)
            found[loop] = tiled
    if not found:
        return None
    tiles = {loop: _with_tile(tiled, list(found.values())) for loop, tiled in found.items()}
    kinds = {(t.kind, t.dtype): t for t in tiles.values()}
    return Stages(tiles, sum(stage_bytes(t.tile, _held(t)) for t in kinds.values()))


def _nests(body: Sequence[Stmt], lets: tuple[Let, ...]) -> Iterator[tuple[Stmt, ...]]:
    """The parallel loops that a block shares, each after the lets that it may compute again."""
    for stmt in body:
        match stmt:
            case Let() if not any(isinstance(e, Load) for e in exprs_in((stmt,))):
                lets = (*lets, stmt)
            case Loop(kind=kind) if kind == PARALLEL and not has_lanes(stmt):
                yield (*lets, stmt)
            case Loop(kind=kind, lanes=lanes) if kind != PARALLEL and not lanes:
                yield from _nests(stmt.body, lets)


def _is_worthwhile(found: TiledContraction) -> bool:
    sizes = found.sizes
    results = sizes.batch * sizes.rows * sizes.columns
    return results >= STAGE_THREADS and results * sizes.steps >= MIN_PRODUCTS


def _with_tile(found: TiledContraction, others: Sequence[TiledContraction]) -> TiledContraction:
    """The same with the tile that suits all contractions of its kind: they share the memory."""
    alike = [t.sizes for t in others if (t.kind, t.dtype) == (found.kind, found.dtype)]
    matrices = isinstance(found.tile, MatrixTile)
    return replace(found, tile=choose_stage_tile(alike, _held(found), matrices, STAGE_THREADS))


def _held(found: TiledContraction) -> DType:
    """The dtype of operands in shared memory."""
    return HELD[found.kind] if found.kind else found.dtype
