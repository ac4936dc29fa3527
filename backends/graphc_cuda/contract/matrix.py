"""Tiles by matrix instructions: operands of 16 bits or TF32, sums of float32.

A warp has `warp_rows` x `warp_columns` results in fragments of 16x8. It takes the steps of the
chain 16 (TF32: 8) at a time, in ascending order; how the hardware adds those of one instruction
to a sum is its own affair, the same for every result and every run. So the bits depend on the
number of steps alone, not on tiles; they differ from those of the ascending chain.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from graphc.ir.precision import BF16, FP16, TF32
from graphc.ir.types import float32, uint32
from graphc_cuda.contract.find import TiledContraction
from graphc_cuda.contract.finish import finish_one
from graphc_cuda.contract.low import HELD
from graphc_cuda.contract.shape import MatrixTile
from graphc_cuda.contract.stage import Staging
from graphc_cuda.device.program import (
    THREAD,
    Assign,
    For,
    If,
    Intrinsic,
    Literal,
    Stmt,
    Value,
)
from graphc_cuda.lower.scalar import Scalar, as_index, index_of
from graphc_cuda.lower.writer import Writer

WARP = 32
INSTRUCTION = {BF16: "mma_bf16", FP16: "mma_f16", TF32: "mma_tf32"}
UNIT = {BF16: 16, FP16: 16, TF32: 8}  # steps of one instruction
ROWS, COLUMNS = 16, 8  # of one instruction


@dataclass(frozen=True)
class _Lane:
    """The number of a thread in its warp, taken apart as fragments need it."""

    quad: Scalar  # lane // 4: the row of a fragment
    pair: Scalar  # lane % 4: a pair of columns, or a step
    eighth: Scalar  # lane % 8: a row of a matrix that is loaded
    odd: Scalar  # lane // 8 % 2
    upper: Scalar  # lane // 16


class MatrixSums:
    """The fragments of a warp, and how they take the steps of a tile."""

    takes_zeros = True

    def __init__(self, w: Writer, found: TiledContraction, origin: tuple[Scalar, Scalar]) -> None:
        assert isinstance(found.tile, MatrixTile)
        self.w, self.found, self.tile, self.origin = w, found, found.tile, origin
        self.kind = found.kind
        dtype = HELD[self.kind]
        sides = zip((found.left, found.right), origin)
        self.left, self.right = (
            Staging(w, found, side, first, dtype, by_line=None, zeros=True) for side, first in sides
        )
        self._place()
        self.sums = [
            [
                tuple(w.variable(f"sum_{r}_{c}_{n}", float32) for n in range(4))
                for c in range(self.tile.warp_columns // COLUMNS)
            ]
            for r in range(self.tile.warp_rows // ROWS)
        ]
        for variable in (v for row in self.sums for four in row for v in four):
            w.add(Assign(variable, Literal(float32, 0.0)))

    def _place(self) -> None:
        """Name what a thread needs to know of its place."""
        w, e, tile = self.w, self.w.emit, self.tile
        thread = index_of(THREAD, 0, tile.threads - 1)
        lane = w.assign("lane", e.rem(thread, as_index(WARP)))
        warp = w.assign("warp", e.div(thread, as_index(WARP)))
        beside = as_index(tile.columns // tile.warp_columns)
        row = e.mul(e.div(warp, beside), as_index(tile.warp_rows))
        column = e.mul(e.rem(warp, beside), as_index(tile.warp_columns))
        self.row, self.column = w.assign("warp_row", row), w.assign("warp_column", column)
        self.lane = _Lane(
            w.assign("quad", e.div(lane, as_index(4))),
            w.assign("pair", e.rem(lane, as_index(4))),
            w.assign("eighth", e.rem(lane, as_index(8))),
            w.assign("odd", e.rem(e.div(lane, as_index(8)), as_index(2))),
            w.assign("upper", e.div(lane, as_index(16))),
        )

    # -- steps ------------------------------------------------------------------------------

    def take(self, stage: Scalar, steps: int, first: Scalar) -> None:
        """Add the products of a tile's steps; operands are 0 where the chain has ended."""
        w, unit = self.w, UNIT[self.kind]
        with w.loop("step_in", as_index(0), as_index(steps), unit) as step:
            rows = [self._rows(stage, step, r * ROWS) for r in range(len(self.sums))]
            columns = self._columns(stage, step)
            for x, sums in zip(rows, self.sums):
                for y, four in zip(columns, sums):
                    operands = (*x, *y, *four)
                    w.add(Intrinsic(four, INSTRUCTION[self.kind], operands))
        loop = w.body.pop()
        assert isinstance(loop, For)
        w.add(replace(loop, unroll=steps // unit))

    def _rows(self, stage: Scalar, step: Scalar, below: int) -> list[Value]:
        """The fragment of sixteen rows: rows 0 and 8, then the same at the later steps."""
        e, lane, eight = self.w.emit, self.lane, as_index(8)
        line = e.add(self.row, as_index(below))
        if self.kind == TF32:
            places = ((line_by, step_by) for step_by in (0, 4) for line_by in (0, 8))
            return [self._element(self.left, stage, step, line, *place) for place in places]
        odd, upper = e.mul(lane.odd, eight), e.mul(lane.upper, eight)
        if self.left.route.by_line:
            at = e.add(e.add(line, lane.eighth), odd), e.add(step, upper)
        else:
            at = e.add(line, odd), e.add(e.add(step, lane.eighth), upper)
        return self._matrices(self.left, stage, *at)

    def _columns(self, stage: Scalar, step: Scalar) -> list[list[Value]]:
        """The fragments of eight columns each."""
        e, lane, eight = self.w.emit, self.lane, as_index(8)
        found: list[list[Value]] = []
        if self.kind == TF32:
            for beside in range(0, self.tile.warp_columns, COLUMNS):
                line = e.add(self.column, as_index(beside))
                places = ((0, 0), (0, 4))
                found.append(
                    [self._element(self.right, stage, step, line, *place) for place in places]
                )
            return found
        odd, upper = e.mul(lane.odd, eight), e.mul(lane.upper, eight)
        for beside in range(0, self.tile.warp_columns, 2 * COLUMNS):
            line = e.add(self.column, as_index(beside))
            if self.right.route.by_line:
                at = e.add(e.add(line, lane.eighth), upper), e.add(step, odd)
            else:
                at = e.add(line, upper), e.add(e.add(step, lane.eighth), odd)
            four = self._matrices(self.right, stage, *at)
            found += [four[:2], four[2:]]
        return found

    def _matrices(self, side: Staging, stage: Scalar, line: Scalar, step: Scalar) -> list[Value]:
        """Four matrices of 8 x 8, each thread naming a row of one."""
        w = self.w
        names = tuple(w.variable(f"{side.name}_{n}_at", uint32) for n in range(4))
        function = "load_matrix" if side.route.by_line else "load_matrix_transposed"
        at = w.kept(side.at(stage, step, line))
        w.add(Intrinsic(names, function, (side.array, at.value)))
        return list(names)

    def _element(
        self, side: Staging, stage: Scalar, step: Scalar, line: Scalar, below: int, after: int
    ) -> Value:
        """The bits of one TF32: the quad counts lines, the pair counts steps."""
        w, e, lane = self.w, self.w.emit, self.lane
        line = e.add(e.add(line, lane.quad), as_index(below))
        step = e.add(e.add(step, lane.pair), as_index(after))
        value = w.get(side.array, side.at(stage, step, line), float32)
        return w.assign(f"{side.name}_at", e.bitcast(value, uint32)).value

    # -- results ----------------------------------------------------------------------------

    def finish(self) -> None:
        """Run the epilogue for every sum, fragment after fragment."""
        w, e, lane = self.w, self.w.emit, self.lane
        across = len(self.sums[0])
        fragments = [four for row in self.sums for four in row]
        now = [w.variable(f"total_{n}", float32) for n in range(4)]
        for variable, first in zip(now, fragments[0]):
            w.add(Assign(variable, first))
        with w.loop("fragment", as_index(0), as_index(len(fragments)), 1) as number:
            for n, four in enumerate(fragments[1:], 1):
                moves = tuple(Assign(a, b) for a, b in zip(now, four))
                self._when(e.eq(number, as_index(n)), moves)
            row = e.add(e.add(self.origin[0], self.row), lane.quad)
            row = e.add(row, e.mul(e.div(number, as_index(across)), as_index(ROWS)))
            column = e.add(e.add(self.origin[1], self.column), e.mul(lane.pair, as_index(2)))
            column = e.add(column, e.mul(e.rem(number, as_index(across)), as_index(COLUMNS)))
            for n, variable in enumerate(now):
                at = e.add(row, as_index(n // 2 * 8)), e.add(column, as_index(n % 2))
                finish_one(w, self.found, Scalar(variable, float32), at)

    def _when(self, condition: Scalar, body: tuple[Stmt, ...]) -> None:
        self.w.add(If(condition.value, body))
