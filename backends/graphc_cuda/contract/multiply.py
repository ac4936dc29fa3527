"""Chains of multiply-adds in registers: what a thread makes of a tile in shared memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from graphc_cuda.contract.find import TiledContraction
from graphc_cuda.contract.finish import finish_one
from graphc_cuda.contract.route import VECTOR_BYTES
from graphc_cuda.contract.shape import Tile
from graphc_cuda.contract.stage import Staging
from graphc_cuda.device.program import (
    THREAD,
    Assign,
    Barrier,
    DeviceArray,
    For,
    Get,
    If,
    Intrinsic,
    Literal,
    Op,
    Stmt,
    Value,
)
from graphc_cuda.lower.scalar import Scalar, as_index, index_of
from graphc_cuda.lower.serial import smaller
from graphc_cuda.lower.writer import Writer

WARP = 32
WARP_COLUMNS = 8  # threads of a warp beside each other: what a quarter of it reads is 128 bytes


@dataclass(frozen=True)
class ThreadLines:
    """The lines of a tile that a thread has: groups of `vector` neighbours, `apart` elements apart.

    `number` counts the threads along the lines.
    """

    number: Scalar
    lines: int
    vector: int
    apart: int

    def first(self, w: Writer, group: int) -> Scalar:
        """The first line of a group."""
        near = w.emit.mul(self.number, as_index(self.vector))
        return w.emit.add(near, as_index(group * self.apart))


def thread_lines(w: Writer, found: TiledContraction, tile: Tile) -> tuple[ThreadLines, ThreadLines]:
    """The rows and the columns of a thread."""
    e = w.emit
    thread = index_of(THREAD, 0, tile.threads - 1)
    down, across = tile.rows // tile.thread_rows, tile.columns // tile.thread_columns
    beside = min(WARP_COLUMNS, across)
    above = WARP // beside
    if down % above == 0 and across % beside == 0:
        lane, warp = e.rem(thread, as_index(WARP)), e.div(thread, as_index(WARP))
        warps = as_index(across // beside)
        row = e.add(e.mul(e.div(warp, warps), as_index(above)), e.div(lane, as_index(beside)))
        column = e.add(e.mul(e.rem(warp, warps), as_index(beside)), e.rem(lane, as_index(beside)))
    else:
        row, column = e.div(thread, as_index(across)), e.rem(thread, as_index(across))
    most = VECTOR_BYTES // found.dtype.itemsize
    found_lines = []
    for name, number, threads, lines in (
        ("row", row, down, tile.thread_rows),
        ("column", column, across, tile.thread_columns),
    ):
        number = replace(w.assign(f"thread_{name}", number), range=(0, threads - 1))
        vector = min(most, lines)
        found_lines.append(ThreadLines(number, lines, vector, threads * vector))
    return found_lines[0], found_lines[1]


class Sums:
    """The running sums of a thread, and how they take the steps of a tile."""

    takes_zeros = False

    def __init__(self, w: Writer, found: TiledContraction, origin: tuple[Scalar, Scalar]) -> None:
        assert isinstance(found.tile, Tile)
        self.w, self.found, self.tile, self.origin = w, found, found.tile, origin
        self.left = Staging(w, found, found.left, origin[0], found.dtype)
        self.right = Staging(w, found, found.right, origin[1], found.dtype)
        self.rows, self.columns = thread_lines(w, found, found.tile)
        self.sums = [
            [w.variable(f"sum_{r}_{c}", found.dtype) for c in range(self.tile.thread_columns)]
            for r in range(self.tile.thread_rows)
        ]
        for variable in (v for row in self.sums for v in row):
            w.add(Assign(variable, Literal(found.dtype, 0.0)))

    def take(self, stage: Scalar, steps: int, first: Scalar) -> None:
        """Continue the chains by the first steps of a tile, up to their end.

        The tile has the chain's steps from `first` on.
        """
        w = self.w
        pairs = ((self.left, self.rows), (self.right, self.columns))
        even = [self._counts(*pair, stage, None) for pair in pairs]
        with w.loop("step_in", as_index(0), self._end(steps, first), 1) as step:
            left, right = (self._lines(*pair, stage, step) for pair in pairs)
            counts = [known or self._counts(*pair, stage, step) for known, pair in zip(even, pairs)]
            for stmt in self._products(left, right, *counts):
                w.add(stmt)
        loop = w.body.pop()
        assert isinstance(loop, For)
        w.add(replace(loop, unroll=steps))

    def _end(self, steps: int, first: Scalar) -> Scalar:
        """How many steps of a tile the chains take."""
        if self.found.ends is None:
            return as_index(steps)
        left = self.w.emit.sub(self.w.trips(self.found.ends), first)
        return self.w.assign("steps_left", smaller(left, as_index(steps)))

    def _lines(self, side: Staging, lines: ThreadLines, stage: Scalar, step: Scalar) -> list[Value]:
        """A thread's lines at a step."""
        w, found = self.w, list[Value]()
        for group in range(lines.lines // lines.vector):
            at = w.kept(side.at(stage, step, lines.first(w, group)))
            first = group * lines.vector
            names = [
                w.variable(f"{side.name}_{first + n}_at", side.dtype) for n in range(lines.vector)
            ]
            if lines.vector == 1:
                w.add(Assign(names[0], Get(side.dtype, side.array, at.value)))
            else:
                w.add(Intrinsic(tuple(names), "load_vector", (side.array, at.value)))
            found += names
        return found

    def _counts(
        self, side: Staging, lines: ThreadLines, stage: Scalar, step: Scalar | None
    ) -> list[Value] | None:
        """Whether a step (None: all of the tile) counts for each line; None where all do."""
        w, found = self.w, list[Value]()
        if side.mask is None or side.mask.is_even != (step is None):
            return None
        for number in range(lines.lines):
            group, within = divmod(number, lines.vector)
            line = w.emit.add(lines.first(w, group), as_index(within))
            found.append(side.mask.get(stage, step or as_index(0), line).value)
        return found

    def _products(
        self,
        left: Sequence[Value],
        right: Sequence[Value],
        row_counts: Sequence[Value] | None,
        column_counts: Sequence[Value] | None,
    ) -> list[Stmt]:
        """One step of every chain, in the lines for which it counts."""
        dtype, stmts = self.found.dtype, list[Stmt]()
        for r, (x, sums) in enumerate(zip(left, self.sums)):
            row = list[Stmt]()
            for c, (y, total) in enumerate(zip(right, sums)):
                step: Stmt = Assign(total, Op(dtype, "fma", (x, y, total)))
                row.append(step if column_counts is None else If(column_counts[c], (step,)))
            stmts += row if row_counts is None else [If(row_counts[r], tuple(row))]
        return stmts

    # -- results ----------------------------------------------------------------------------

    def finish(self) -> None:
        """Run the epilogue for every sum.

        Sums go through shared memory, one row of every thread after the other, so that threads
        next to each other finish columns next to each other.
        """
        w, e, tile = self.w, self.w.emit, self.tile
        memory = max(self.left.array, self.right.array, key=lambda array: array.size)
        thread, vector = index_of(THREAD, 0, tile.threads - 1), as_index(self.rows.vector)
        with w.loop("row_of_thread", as_index(0), as_index(tile.thread_rows), 1) as phase:
            self._hand_over(memory, phase)
            w.add(Barrier())
            with w.loop("turn", as_index(0), as_index(tile.thread_columns), 1) as turn:
                element = e.add(thread, e.mul(turn, as_index(tile.threads)))
                element = w.assign("element", element)
                group = e.div(element, as_index(tile.columns))
                row = e.add(e.mul(group, vector), e.rem(phase, vector))
                row = e.add(row, e.mul(e.div(phase, vector), as_index(self.rows.apart)))
                column = e.rem(element, as_index(tile.columns))
                at = e.add(self.origin[0], row), e.add(self.origin[1], column)
                finish_one(w, self.found, w.get(memory, element, self.found.dtype), at)
            w.add(Barrier())

    def _hand_over(self, memory: DeviceArray, phase: Scalar) -> None:
        """Put one row of every thread into shared memory."""
        w, e = self.w, self.w.emit
        first = w.assign("first", e.mul(self.rows.number, as_index(self.tile.columns)))
        for number, row in enumerate(self.sums):
            with w.when(e.eq(phase, as_index(number)).value):
                for c, variable in enumerate(row):
                    group, within = divmod(c, self.columns.vector)
                    column = e.add(self.columns.first(w, group), as_index(within))
                    w.put(memory, e.add(first, column), Scalar(variable, self.found.dtype))
