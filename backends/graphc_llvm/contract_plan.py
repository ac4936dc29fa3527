"""Decide how a contraction runs: which operand is broadcast, which lies in lanes, what is staged.

The choices vary speed only: every output element stays one ascending chain over the reduction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from graphc.dims import Size, product
from graphc.loops.ir import Axis, Buffer, Expr, Load, Stmt
from graphc.types import DType
from graphc_llvm.contract_index import Affine, axes_of, flat_offset, loads_of, packed_panels
from graphc_llvm.contract_match import Contraction, Span, recognise
from graphc_llvm.contract_shape import (
    PAGE,
    Tiling,
    choose_tiling,
    known,
    most_rows,
    panel_count,
    row_block_count,
    tiling_cost,
)
from graphc_llvm.target import Target

DEPTH_BLOCK = 256  # steps of a reduction that is cut because it is long, or of unknown length
GENERIC_ROWS = 8  # of a tile where a size is not known: what remains of it is done by more tiles
LONGEST_CHAIN = 4096  # steps that a tile does at once
KEPT_BYTES = 1024 * 1024  # what the partial sums of one chunk may take
STAGED_BYTES = 512 * 1024  # what the staged rows of one chunk may take
CHUNK = 64  # row blocks of a chunk where the number of rows is not known
# a panel is copied before use if it lies on so many pages and serves so many rows
NARROW_PAGES, NARROW_ROWS = 48, 64
WIDE_PAGES, WIDE_ROWS = 512, 512
CACHE_LINE = 64
TURN_CYCLES = 6.0  # for one vector of a transposed tile
SCATTER_CYCLES = 4.0  # for one element that is stored by itself
PACKED_VECTORS = 4
PADDING = 16  # elements between staged rows, so that they do not meet in the same cache sets


@dataclass(frozen=True)
class Access:
    """An operand of the product: read in place through `load`, or staged if that is None.

    A staged operand is evaluated into scratch memory before the tiles that read it; `along` is the
    axis whose neighbours its loads find next to each other, and along which it is evaluated.
    `packed` is the width of the panels of an operand that is already packed.
    """

    value: Expr
    load: Load | None
    along: Axis

    packed: int | None = None

    def coefficient(self, axis: Axis) -> Size:
        """Elements between neighbours along an axis, where the operand is read in place."""
        assert self.load is not None
        return _offset(self.load).coefficient(axis)


def packed_width(target: Target, dtype: DType) -> int:
    """Columns of a panel of an operand that is packed ahead of time.

    Such an operand is a buffer of shape (ceil(columns / width), steps..., width), loaded at
    (column // width, step..., column % width); it is read in place.
    """
    return PACKED_VECTORS * target.lanes(dtype)


@dataclass(frozen=True)
class ContractPlan:
    """A contraction with all decisions made.

    `turned`: the output's neighbours lie along the rows, so tiles are transposed before the
    epilogue. `combined`: axes of which each tile has all values; `row` counts them. A tile does
    `depth_block` steps of the first reduction axis at once (None: all). A thread needs
    `scratch_bytes` of scratch memory, aligned to 64.
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
    turned: bool
    tiling: Tiling
    depth_block: int | None = None
    chunk_blocks: int | None = None
    chunk_panels: int | None = None
    combined: tuple[Span, ...] = ()

    @property
    def reduction(self) -> tuple[Span, ...]:
        """The axes of the chain, outer first."""
        return self.contraction.reduction

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
        inner = product(s.size for s in self.reduction[1:])
        if self.depth_block is not None:
            return self.depth_block * inner
        return inner * self.reduction[0].size if self.reduction else 1

    @property
    def staged_row_elements(self) -> Size:
        """Elements between staged rows of the broadcast operand."""
        return (self.depth + PADDING - 1) // PADDING * PADDING + PADDING

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
    def right_elements(self) -> Size:
        """Scratch elements of the staged panel, with room for the last, partial transposition."""
        if self.right.load is not None:
            return 0
        return (self.depth + self.tiling.lanes) * self.tiling.width

    @property
    def kept_elements(self) -> Size:
        """Scratch elements of the partial sums."""
        if self.depth_block is None:
            return 0
        blocks = self.block_count if self.chunk_blocks is None else self.chunk_blocks
        panels = self.all_panels if self.chunk_panels is None else self.chunk_panels
        return blocks * panels * self.tiling.rows * self.tiling.width

    @property
    def scratch_bytes(self) -> Size:
        """Scratch memory of one thread."""
        parts = (self.left_elements, self.right_elements, self.kept_elements)
        return sum((aligned(n) for n in parts), 0 * self.dtype.itemsize) * self.dtype.itemsize


def aligned(elements: Size) -> Size:
    """Elements rounded up so that what follows is aligned."""
    return (elements + 15) // 16 * 16


def match(
    nest: Sequence[Stmt], target: Target, sizes: Mapping[str, int] | None
) -> ContractPlan | None:
    """Plan the contraction that a nest is; None if it is none or has no rows and columns."""
    found = recognise(nest, sizes or {})
    if found is None or not (found.rows or found.columns):
        return None
    plans = [_cut(p) for p in _arrangements(found, target)]
    return min(plans, key=_estimate)


def _arrangements(found: Contraction, target: Target) -> Iterator[ContractPlan]:
    """Every choice of the operand in lanes, its lane axis, and the axis of the tile's rows."""
    for oriented in (found, found.swapped()):
        if not oriented.columns and found.rows and found.columns:
            continue
        columns = oriented.columns or (Span(Axis("column"), 1),)
        rows = oriented.rows or (Span(Axis("row"), 1),)
        for column in columns:
            for row in rows:
                yield _arrange(oriented, target, row, column)
            combined = _combine(oriented, target, column)
            if combined is not None:
                yield combined


def _combine(found: Contraction, target: Target, column: Span) -> ContractPlan | None:
    """Few rows along several axes: one tile has them all, each at its own address."""
    dtype = found.accumulator.refs[0].dtype
    row = Span(Axis("rows"), product(s.size for s in found.rows))
    few = isinstance(row.size, int) and 0 < row.size <= target.tile_registers - 3
    axes = [s.axis for s in found.rows]
    if len(axes) < 2 or not few:
        return None
    left = _access(found.left, dtype, axes, [s.axis for s in found.reduction], 0)
    if left.load is None:
        return None
    whole = replace(found, rows=(row,))
    plan = _arrange(whole, target, row, column)
    if plan.turned or plan.tiling.blocks != ((row.size, 1),):
        return None
    return replace(plan, contraction=found, left=left, combined=found.rows)


def _arrange(found: Contraction, target: Target, row: Span, column: Span) -> ContractPlan:
    dtype = found.accumulator.refs[0].dtype
    steps = [s.axis for s in found.reduction]
    left = _access(found.left, dtype, [row.axis], steps, 0)
    right = _access(found.right, dtype, [column.axis], steps, 1)
    lanes = target.lanes(dtype)
    whole = isinstance(column.size, int) and column.size % lanes == 0
    if not (whole or right.packed or target.has_masked_memory):
        right = replace(right, load=None)
    outer_rows = tuple(s for s in found.rows if s is not row)
    outer_columns = tuple(s for s in found.columns if s is not column)
    batch = found.batch
    if left.load is None:  # rows are staged for one value of the outer rows at a time
        outer_rows, batch = (), (*batch, *outer_rows)
    stride = 1 if left.load is None else left.coefficient(row.axis)
    turned = _is_turned(found, row.axis, column.axis)
    most = min(most_rows(stride, dtype), lanes if turned else target.vector_registers)
    depth = product(s.size for s in found.reduction)
    outer = product(s.size for s in (*outer_rows, *batch, *outer_columns))
    if not all(isinstance(size, int) for size in (row.size, column.size, depth)):
        most = min(most, GENERIC_ROWS)
    packed = () if right.packed is None else _dividing(right.packed, lanes)
    if right.packed is not None and not packed:
        right, packed = replace(right, load=None, packed=None), ()
    tiling = choose_tiling(target, dtype, row.size, outer, column.size, depth, most, packed)
    plan = ContractPlan(
        found, target, dtype, row, outer_rows, column, outer_columns, batch,
        left, right, turned, tiling,
    )  # fmt: skip
    return replace(plan, right=replace(right, load=None)) if _is_scattered(plan) else plan


def _dividing(width: int, lanes: int) -> tuple[int, ...]:
    """The numbers of vectors whose panels do not straddle packed ones."""
    return tuple(v for v in range(1, width // lanes + 1) if width % (v * lanes) == 0)


def _is_turned(found: Contraction, row: Axis, column: Axis) -> bool:
    """True if the first store finds neighbours along the rows, not along the columns."""
    if not found.stores:
        return False
    offset = flat_offset(found.stores[0].buffer, found.stores[0].index)
    return offset.coefficient(column) not in (0, 1) and offset.coefficient(row) == 1


def _is_scattered(plan: ContractPlan) -> bool:
    """True if a panel read in place touches so many pages that copying it first is cheaper."""
    if plan.right.load is None or plan.right.packed is not None or not plan.reduction:
        return False
    itemsize = plan.dtype.itemsize
    step = known(plan.right.coefficient(plan.reduction[-1].axis)) * itemsize
    pages = known(plan.depth) * step // PAGE
    rows = known(plan.row.size) * known(product(s.size for s in plan.outer_rows))
    if plan.tiling.width * itemsize <= CACHE_LINE:
        return pages >= NARROW_PAGES and rows >= NARROW_ROWS
    return pages >= WIDE_PAGES and rows >= WIDE_ROWS


def _access(value: Expr, dtype: DType, axes: list[Axis], steps: list[Axis], unit: int) -> Access:
    """Read in place if the value is one load whose address splits; lanes must be neighbours."""
    axis = axes[-1]
    along = _neighbours(value, axis, steps, bool(unit))
    if not isinstance(value, Load) or value.where is not None or value.buffer.dtype != dtype:
        return Access(value, None, along)
    offset = _offset(value)
    tangled = {a for _, rest in offset.others for a in axes_of(rest)} & {*axes, *steps}
    packed = packed_panels(offset, axis) if unit else None
    if packed is not None and tangled == {axis}:
        return Access(value, value, along, packed)
    if tangled or (unit and offset.coefficient(axis) != 1):
        return Access(value, None, along)
    return Access(value, value, along)


def _offset(load: Load) -> Affine:
    return flat_offset(load.buffer, load.index)


def _neighbours(value: Expr, axis: Axis, steps: list[Axis], in_lanes: bool) -> Axis:
    """The axis along which most loads find neighbours: `axis` or the last of `steps`."""
    if not steps:
        return axis
    offsets = [_offset(load) for load in loads_of(value)]
    across = sum(offset.coefficient(axis) == 1 for offset in offsets)
    onward = sum(offset.coefficient(steps[-1]) == 1 for offset in offsets)
    if in_lanes:
        return steps[-1] if onward > across else axis
    return axis if across > onward else steps[-1]


def _cut(plan: ContractPlan) -> ContractPlan:
    """Cut a long reduction into blocks, and the output so that what is kept stays in cache."""
    if plan.reduction:
        first, inner = plan.reduction[0].size, product(s.size for s in plan.reduction[1:])
        block = max(1, DEPTH_BLOCK // max(1, known(inner)))
        whole = isinstance(first, int) and (
            first <= block or (isinstance(inner, int) and first * inner <= LONGEST_CHAIN)
        )
        if not whole:
            if isinstance(first, int):
                block = -(-first // -(-first // block))
            plan = replace(plan, depth_block=block)
    plan = _cut_rows(plan)
    return plan if plan.depth_block is None else _cut_output(plan)


def _cut_rows(plan: ContractPlan) -> ContractPlan:
    """Limit the rows that are staged at once."""
    if plan.left.load is not None:
        return plan
    block = known(plan.staged_row_elements) * plan.tiling.rows * plan.dtype.itemsize
    most = max(1, STAGED_BYTES // max(1, block))
    blocks = row_block_count(plan.tiling, plan.row.size)
    if isinstance(blocks, int) and blocks <= most:
        return plan
    return replace(plan, chunk_blocks=min(most, CHUNK))


def _cut_output(plan: ContractPlan) -> ContractPlan:
    """Limit the partial sums that are kept at once."""
    tile = plan.tiling.rows * plan.tiling.width * plan.dtype.itemsize
    most = max(1, KEPT_BYTES // tile)
    blocks = plan.chunk_blocks if plan.chunk_blocks is not None else plan.block_count
    panels = plan.all_panels
    if isinstance(blocks, int) and isinstance(panels, int) and blocks * panels <= most:
        return plan
    rows = min(blocks if isinstance(blocks, int) else most, max(1, CHUNK // 2), most)
    wide = max(1, most // max(1, rows))
    if isinstance(panels, int):
        wide = max(1, min(wide, panels))
    return replace(plan, chunk_blocks=max(1, rows), chunk_panels=wide)


def _estimate(plan: ContractPlan) -> float:
    """Cycles, to rank arrangements."""
    rows, columns = known(plan.row.size), known(plan.column.size)
    outer_rows = known(product(s.size for s in plan.outer_rows))
    outer_columns = known(product(s.size for s in plan.outer_columns))
    batch = known(product(s.size for s in plan.batch))
    depth = known(product(s.size for s in plan.reduction))
    outer = outer_rows * outer_columns * batch
    cost = tiling_cost(plan.tiling, plan.row.size, plan.column.size, outer, depth)
    lanes = plan.tiling.lanes
    if plan.left.load is None:
        cost += 2.0 * rows * batch * depth / lanes
    if plan.right.load is None:
        price = 2.0 if plan.right.along is plan.column.axis else 4.0
        cost += price * columns * outer_columns * batch * depth / lanes
    if plan.turned:
        blocks = -(-rows // max(1, plan.tiling.rows))
        cost += TURN_CYCLES * blocks * columns * outer
    elif plan.contraction.stores and columns > 1:
        offset = flat_offset(plan.contraction.stores[0].buffer, plan.contraction.stores[0].index)
        if offset.coefficient(plan.column.axis) != 1:
            cost += SCATTER_CYCLES * rows * columns * outer
    preferred = plan.contraction.lanes is plan.column.axis
    return cost * (1.0 if preferred else 1.02)
