"""A contraction with all decisions made: the tile, what is staged, what that takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from graphc.ir.dims import Size, product
from graphc.ir.loops.contraction.box import Box
from graphc.ir.loops.contraction.index import flat_offset
from graphc.ir.loops.contraction.match import Contraction, Span
from graphc.ir.loops.ir import Axis, Buffer, Expr, Load, Stmt
from graphc.ir.types import DType
from graphc_llvm.contract_shape import (
    Tiling,
    panel_count,
    row_block_count,
)
from graphc_llvm.target import Target

ROW_PADDING = 16  # elements between staged rows, so that they do not meet in the same cache sets
PACKED_VECTORS = 4


@dataclass(frozen=True)
class Access:
    """An operand of the product: read in place through `load`, or staged if that is None.

    A staged operand is evaluated into scratch memory before the tiles that read it; `along` is the
    axis whose neighbours its loads find next to each other, and along which it is evaluated.
    `packed` is the width of the panels of an operand that is already packed. With a `box`, what
    is read in place is scratch memory.
    """

    value: Expr
    load: Load | None
    along: Axis
    packed: int | None = None
    box: Box | None = None

    def coefficient(self, axis: Axis) -> Size:
        """Elements between neighbours along an axis, where the operand is read in place."""
        assert self.load is not None
        return flat_offset(self.load.buffer, self.load.index).coefficient(axis)


def packed_width(target: Target, dtype: DType) -> int:
    """Columns of a panel of an operand that is packed ahead of time.

    Such an operand is a buffer of shape (ceil(columns / width), steps..., width), loaded at
    (column // width, step..., column % width); it is read in place.
    """
    return PACKED_VECTORS * target.lanes(dtype)


@dataclass(frozen=True)
class ContractPlan:
    """A contraction with all decisions made.

    `transposed`: the output's neighbours lie along the rows, so tiles are transposed before the
    epilogue. `combined`: axes of which each tile has all values; `row` counts them. A tile does
    `depth_block` steps of reduction axis `cut` at once, and one of each before it (None: all). A
    box holds `band` values of the first outer row axis at once (None: all). With `keeps_panels`
    all staged panels are made once, not each where it is used. A thread that has a `group` does
    all panels of so many row blocks before the next ones. A thread needs `scratch_bytes` of
    scratch memory, aligned to 64.
    """

    contraction: Contraction
    target: Target
    dtype: DType
    row: Span
    outer_rows: tuple[Span, ...]
    column: Span
    outer_columns: tuple[Span, ...]
    batch: tuple[Span, ...]
    left: Access
    right: Access
    transposed: bool
    tiling: Tiling
    depth_block: int | None = None
    cut: int = 0
    chunk_blocks: int | None = None
    chunk_panels: int | None = None
    combined: tuple[Span, ...] = ()
    band: int | None = None
    keeps_panels: bool = False
    group: int | None = None

    @property
    def reduction(self) -> tuple[Span, ...]:
        """The axes of the chain, outer first."""
        return self.contraction.reduction

    @property
    def inner(self) -> tuple[Span, ...]:
        """The axes of the chain that a tile walks through: all but those before the cut."""
        return self.reduction[self.cut :]

    @property
    def epilogue(self) -> tuple[Stmt, ...]:
        """What is done with each finished sum."""
        return self.contraction.epilogue

    @property
    def aliases(self) -> Mapping[Buffer, Buffer]:
        """Buffers of another shape, and the arguments that they stand for."""
        return self.contraction.aliases

    @property
    def block_count(self) -> Size:
        """Row blocks of all outer rows together."""
        blocks = row_block_count(self.tiling, self.row.size)
        return blocks * product(s.size for s in self.outer_rows)

    @property
    def all_panels(self) -> Size:
        """Panels of all outer columns together."""
        panels = panel_count(self.tiling, self.column.size)
        return panels * product(s.size for s in self.outer_columns)

    @property
    def depth(self) -> Size:
        """Steps of the chain that a tile does at once."""
        if self.depth_block is None:
            return self.whole_depth
        return self.depth_block * product(s.size for s in self.inner[1:])

    @property
    def whole_depth(self) -> Size:
        """Steps of the whole chain."""
        return product(s.size for s in self.reduction)

    @property
    def staged_row_elements(self) -> Size:
        """Elements between staged rows of the broadcast operand."""
        return (self.depth + ROW_PADDING - 1) // ROW_PADDING * ROW_PADDING + ROW_PADDING

    @property
    def staged_rows(self) -> Size:
        """Rows that are staged at once."""
        blocks = row_block_count(self.tiling, self.row.size)
        return (blocks if self.chunk_blocks is None else self.chunk_blocks) * self.tiling.rows

    @property
    def left_step_elements(self) -> Size:
        """Elements between the steps of the staged broadcast operand."""
        return aligned(self.staged_rows) if self.left.along is self.row.axis else 1

    @property
    def left_elements(self) -> Size:
        """Scratch elements of the staged broadcast operand."""
        if self.left.load is not None:
            return 0
        if self.left.along is self.row.axis:
            return self.depth * self.left_step_elements
        return self.staged_rows * self.staged_row_elements

    @property
    def panel_elements(self) -> Size:
        """Scratch elements of a staged panel, with room for the last, partial transposition."""
        return (self.depth + self.tiling.lanes) * self.tiling.width

    @property
    def right_elements(self) -> Size:
        """Scratch elements of all staged panels."""
        if self.right.load is not None:
            return 0
        return self.panel_elements * (self.all_panels if self.keeps_panels else 1)

    @property
    def kept_elements(self) -> Size:
        """Scratch elements of the partial sums."""
        if self.depth_block is None:
            return 0
        blocks = self.block_count if self.chunk_blocks is None else self.chunk_blocks
        panels = self.all_panels if self.chunk_panels is None else self.chunk_panels
        return blocks * panels * self.tiling.rows * self.tiling.width

    @property
    def boxes(self) -> tuple[Box, ...]:
        """The boxes of both operands."""
        return tuple(access.box for access in (self.left, self.right) if access.box is not None)

    @property
    def limits(self) -> Mapping[Axis, Size]:
        """How many values of an axis a box has at once, where it has not all."""
        found: dict[Axis, Size] = {span.axis: 1 for span in self.batch}
        if self.depth_block is not None:
            found |= {span.axis: 1 for span in self.reduction[: self.cut]}
            found[self.reduction[self.cut].axis] = self.depth_block
        if self.band is not None:
            found[self.outer_rows[0].axis] = self.band
        return found

    @property
    def box_elements(self) -> tuple[Size, ...]:
        """Scratch elements of each box."""
        return tuple(box.elements(self.limits, self.tiling.lanes) for box in self.boxes)

    @property
    def scratch_bytes(self) -> Size:
        """Scratch memory of one thread."""
        parts = (self.left_elements, self.right_elements, self.kept_elements, *self.box_elements)
        return sum((aligned(n) for n in parts), 0 * self.dtype.itemsize) * self.dtype.itemsize


def aligned(elements: Size) -> Size:
    """Elements rounded up so that what follows is aligned."""
    return (elements + 15) // 16 * 16
