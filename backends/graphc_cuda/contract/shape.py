"""Choose the tile of a contraction from its sizes alone.

The model counts cycles of one multiprocessor. It only ranks tiles: each result keeps its own
ascending chain, so no choice changes a bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from graphc.ir.types import DType

MULTIPROCESSORS = 132
LANES_PER_CYCLE = 128  # float32 multiply-adds of a multiprocessor; half as many for float64
SHARED_BYTES_PER_CYCLE = 128
MAX_SHARED_BYTES = 48 * 1024  # of a block
STAGE_CYCLES = 0.12  # to bring one element to shared memory
STEP_CYCLES = 20.0  # the barrier and the loop around `depth` steps
FINISH_CYCLES = 0.15  # for one result
MATRIX_BYTES_PER_CYCLE = 2048  # products of 16 bits are 2, of TF32 are 4
MATRIX_STAGE_CYCLES = 0.04  # to bring one element to shared memory, several at a time
BUSY_WARPS = 12  # that hide each other's latency on one multiprocessor
STAGES = 2
MAX_STAGE_BYTES = 40 * 1024  # for the operands of contractions that share it in turns
PADDING_BYTES = 16  # between the steps of a tile, against conflicts of banks


@dataclass(frozen=True)
class Sizes:
    """How many products of matrices, rows, columns, and steps of each chain."""

    batch: int
    rows: int
    columns: int
    steps: int

    def __str__(self) -> str:
        return f"{self.batch} x {self.rows}x{self.columns}x{self.steps}"


@dataclass(frozen=True)
class Tile:
    """What a block computes: `rows` x `columns` results, `depth` steps at a time.

    A thread has `thread_rows` x `thread_columns` of them.
    """

    rows: int
    columns: int
    depth: int
    thread_rows: int
    thread_columns: int

    @property
    def threads(self) -> int:
        """The threads of a block."""
        return self.rows // self.thread_rows * (self.columns // self.thread_columns)

    def blocks(self, sizes: Sizes) -> int:
        """How many blocks compute everything."""
        return sizes.batch * -(-sizes.rows // self.rows) * -(-sizes.columns // self.columns)

    @property
    def stages(self) -> int:
        """Tiles in shared memory: one is read while the next one comes."""
        return STAGES

    def pitch(self, inner: int, dtype: DType, by_line: bool) -> int:
        """Elements between rows of so many elements in shared memory."""
        return inner + PADDING_BYTES // dtype.itemsize

    def shared_bytes(self, dtype: DType) -> int:
        """Bytes of shared memory for both operands, and for masks of rows."""
        lines = sum(self.pitch(n, dtype, False) for n in (self.rows, self.columns))
        return STAGES * self.depth * (lines * dtype.itemsize + self.rows)

    def __str__(self) -> str:
        inner = f"{self.thread_rows}x{self.thread_columns}"
        return f"{self.rows}x{self.columns}x{self.depth}, {inner} a thread"


@dataclass(frozen=True)
class MatrixTile:
    """The same by matrix instructions: a warp has `warp_rows` x `warp_columns` results."""

    rows: int
    columns: int
    depth: int
    warp_rows: int
    warp_columns: int
    stages: int = 3

    @property
    def threads(self) -> int:
        """The threads of a block."""
        return 32 * (self.rows // self.warp_rows) * (self.columns // self.warp_columns)

    def blocks(self, sizes: Sizes) -> int:
        """How many blocks compute everything."""
        return sizes.batch * -(-sizes.rows // self.rows) * -(-sizes.columns // self.columns)

    def pitch(self, inner: int, dtype: DType, by_line: bool) -> int:
        """Elements between rows of so many elements in shared memory, none in the same banks."""
        return inner + (4 if by_line and dtype.itemsize == 4 else 8)

    def __str__(self) -> str:
        inner = f"{self.warp_rows}x{self.warp_columns}"
        return f"{self.rows}x{self.columns}x{self.depth}, {inner} a warp"


TILES = (
    Tile(128, 128, 16, 8, 8),
    Tile(128, 64, 16, 8, 4),
    Tile(64, 128, 16, 4, 8),
    Tile(64, 64, 16, 4, 4),
    Tile(64, 32, 16, 4, 2),
    Tile(32, 64, 16, 2, 4),
    Tile(32, 32, 32, 2, 2),
    Tile(128, 8, 16, 4, 1),
    Tile(8, 128, 16, 1, 4),
    Tile(16, 16, 16, 1, 1),
    Tile(64, 1, 32, 1, 1),
    Tile(1, 64, 32, 1, 1),
)  # fmt: skip


MATRIX_TILES = (
    MatrixTile(128, 128, 32, 64, 32),
    MatrixTile(128, 64, 32, 64, 32),
    MatrixTile(64, 128, 32, 32, 64),
    MatrixTile(64, 64, 32, 32, 32),
    MatrixTile(64, 32, 32, 32, 16),
    MatrixTile(32, 64, 32, 16, 32),
    MatrixTile(32, 32, 32, 16, 16),
)  # for 16 bits


STAGE_MATRIX_TILES = (
    MatrixTile(128, 64, 32, 32, 32, 2),
    MatrixTile(64, 128, 32, 32, 32, 2),
    MatrixTile(64, 64, 32, 32, 16, 2),
    MatrixTile(32, 64, 32, 16, 16, 2),
)  # of 256 threads, for 16 bits


def choose_stage_tile(
    sizes: Sequence[Sizes], dtype: DType, matrices: bool, threads: int
) -> Tile | MatrixTile:
    """The cheapest tile of so many threads for contractions that one block computes in turns."""
    tiles: list[Tile | MatrixTile] = [t for t in TILES if t.threads == threads]
    if matrices:
        tiles = [replace(t, depth=t.depth * 2 // dtype.itemsize) for t in STAGE_MATRIX_TILES]
    fitting = [t for t in tiles if stage_bytes(t, dtype) <= MAX_STAGE_BYTES]
    return min(fitting, key=lambda tile: sum(_turn_cycles(tile, s, dtype) for s in sizes))


def stage_bytes(tile: Tile | MatrixTile, dtype: DType) -> int:
    """Bytes of shared memory at most, however operands lie there."""
    if isinstance(tile, Tile):
        return tile.shared_bytes(dtype)
    rows, columns, depth = (n + 8 for n in (tile.rows, tile.columns, tile.depth))
    lines = max(rows * tile.depth, tile.rows * depth) + max(
        columns * tile.depth, tile.columns * depth
    )
    return tile.stages * lines * dtype.itemsize


def _turn_cycles(tile: Tile | MatrixTile, sizes: Sizes, dtype: DType) -> float:
    """How long a block alone takes for all tiles."""
    one = replace(sizes, batch=1, rows=tile.rows, columns=tile.columns)
    single = cycles(tile, one, dtype) if isinstance(tile, Tile) else matrix_cycles(tile, one, dtype)
    return tile.blocks(sizes) * single


def choose_matrix_tile(sizes: Sizes, dtype: DType) -> MatrixTile:
    """The cheapest tile of matrix instructions; ties go to the one that stands first."""
    tiles = [replace(t, depth=t.depth * 2 // dtype.itemsize) for t in MATRIX_TILES]
    return min(tiles, key=lambda tile: matrix_cycles(tile, sizes, dtype))


def matrix_cycles(tile: MatrixTile, sizes: Sizes, dtype: DType) -> float:
    """How long the busiest multiprocessor takes."""
    turns = -(-tile.blocks(sizes) // MULTIPROCESSORS)
    slow = max(1.0, BUSY_WARPS / (turns * tile.threads // 32))
    steps = -(-sizes.steps // tile.depth)
    multiply = tile.depth * tile.rows * tile.columns * dtype.itemsize / MATRIX_BYTES_PER_CYCLE
    lines = tile.warp_rows + tile.warp_columns
    read = tile.threads // 32 * lines * tile.depth * dtype.itemsize / SHARED_BYTES_PER_CYCLE
    staged = tile.depth * (tile.rows + tile.columns) * MATRIX_STAGE_CYCLES
    one = max(multiply, read) + staged + STEP_CYCLES
    return turns * slow * (steps * one + tile.rows * tile.columns * FINISH_CYCLES)


def choose_tile(sizes: Sizes, dtype: DType) -> Tile:
    """The cheapest tile; ties go to the one that stands first."""
    fitting = [t for t in TILES if t.shared_bytes(dtype) <= MAX_SHARED_BYTES]
    return min(fitting, key=lambda tile: cycles(tile, sizes, dtype))


def cycles(tile: Tile, sizes: Sizes, dtype: DType) -> float:
    """How long the busiest multiprocessor takes."""
    turns = -(-tile.blocks(sizes) // MULTIPROCESSORS)
    warps = turns * max(1, tile.threads // 32)
    slow = max(1.0, BUSY_WARPS / warps)
    steps = -(-sizes.steps // tile.depth)
    finish = tile.rows * tile.columns * FINISH_CYCLES
    return turns * slow * (steps * _depth_cycles(tile, dtype) + finish)


def _depth_cycles(tile: Tile, dtype: DType) -> float:
    """Cycles of a block for `depth` steps."""
    lanes = LANES_PER_CYCLE * 4 // dtype.itemsize
    multiply = tile.depth * tile.rows * tile.columns / lanes
    # half of what a warp reads of shared memory, its threads read together
    read = tile.threads * (tile.thread_rows + tile.thread_columns) * dtype.itemsize / 2
    shared = tile.depth * read / SHARED_BYTES_PER_CYCLE
    staged = tile.depth * (tile.rows + tile.columns) * STAGE_CYCLES
    return max(multiply, shared) + staged + STEP_CYCLES
