"""Plan a contraction: the broadcast operand, the vector operand, tiles, packing.

The choices vary speed only: every output element stays one ascending chain over the reduction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from graphc.ir.dims import product
from graphc.ir.loops.contraction.index import Affine, axes_of, flat_offset, loads_of, packed_panels
from graphc.ir.loops.contraction.match import Contraction, Span, merged, recognise
from graphc.ir.loops.contraction.reach import with_boxes
from graphc.ir.loops.ir import Axis, Expr, Load, Stmt
from graphc_llvm.contract_cut import bounded, cut, grouped, has_far_boxes, keeping_panels
from graphc_llvm.contract_plan import Access, ContractPlan
from graphc_llvm.contract_shape import (
    choose_tiling,
    known,
    max_l1_rows,
    tiling_cost,
)
from graphc_llvm.target import CACHE_LINE, PAGE_BYTES, Target

# of a tile where a size is not known: what remains of it is done by more tiles
UNKNOWN_TILE_ROWS = 8
# a panel is copied before use if it lies on so many pages and serves so many rows
NARROW_PAGES, NARROW_ROWS = 48, 64
WIDE_PAGES, WIDE_ROWS = 512, 512
TRANSPOSE_CYCLES = 6.0  # for one vector of a transposed tile
SCATTER_CYCLES = 4.0  # for one element that is stored by itself
FAR_BOX_FACTOR = 1.1  # how much longer tiles take that read such a box


def match(
    nest: Sequence[Stmt], target: Target, sizes: Mapping[str, int] | None
) -> ContractPlan | None:
    """Plan the contraction that a nest is; None if it is none or has no rows and columns."""
    found = recognise(nest, sizes or {})
    found = None if found is None else _pair_lanes(found)
    if found is None or not (found.rows or found.columns):
        return None
    boxed = with_boxes(found)
    forms = (found,) if boxed is None else (found, boxed)
    plans = [cut(plan) for form in forms for plan in _arrangements(merged(form), target)]
    small = [keeping_panels(grouped(p)) for plan in plans if (p := bounded(plan)) is not None]
    return min(small, key=_estimate, default=None)


def _pair_lanes(found: Contraction) -> Contraction | None:
    """Make lanes along an axis of both operands the columns; None where that is no use."""
    lanes = tuple(span for span in found.batch if span.axis is found.lanes)
    if not lanes:
        return found
    if bool(found.rows) == bool(found.columns):
        return None
    oriented = found if found.rows else found.swapped()
    batch = tuple(span for span in found.batch if span not in lanes)
    return replace(oriented, batch=batch, columns=lanes, paired=True)


def _arrangements(found: Contraction, target: Target) -> Iterator[ContractPlan]:
    """Every choice of the operand in lanes, its lane axis, and the axis of the tile's rows."""
    for oriented in (found,) if found.paired else (found, found.swapped()):
        if not oriented.columns and found.rows and found.columns:
            continue
        columns = oriented.columns or (Span(Axis("column"), 1),)
        rows = oriented.rows or (Span(Axis("row"), 1),)
        for column in columns:
            for row in rows:
                yield _arrange(oriented, target, row, column)
            combined = _combine_row_axes(oriented, target, column)
            if combined is not None:
                yield combined


def _combine_row_axes(found: Contraction, target: Target, column: Span) -> ContractPlan | None:
    """Few rows along several axes: one tile has them all, each at its own address."""
    if len(found.rows) < 2:
        return None
    left = _access(found, "left", [s.axis for s in found.rows])
    apart, rows = _separately_boxed(left, found.rows)
    row = Span(Axis("rows"), product(s.size for s in rows))
    few = isinstance(row.size, int) and 0 < row.size <= target.tile_registers - 3
    if len(rows) < 2 or not few or left.load is None:
        return None
    plan = _arrange(replace(found, rows=(row, *apart)), target, row, column)
    if plan.transposed or plan.tiling.blocks != ((row.size, 1),):
        return None
    return replace(plan, contraction=found, left=left, combined=rows)


def _arrange(found: Contraction, target: Target, row: Span, column: Span) -> ContractPlan:
    dtype = found.accumulator.refs[0].dtype
    left, right = _access(found, "left", [row.axis]), _access(found, "right", [column.axis])
    lanes = target.lanes(dtype)
    whole = isinstance(column.size, int) and column.size % lanes == 0
    if not (whole or right.packed or target.has_masked_memory):
        right = replace(right, load=None)
    outer_rows = tuple(s for s in found.rows if s is not row)
    outer_columns = tuple(s for s in found.columns if s is not column)
    batch = found.batch
    if left.load is None:  # rows are staged for one value of the outer rows at a time
        outer_rows, batch = (), (*batch, *outer_rows)
    apart, outer_rows = _separately_boxed(left, outer_rows)
    others, outer_columns = _separately_boxed(right, outer_columns)
    batch = (*batch, *apart, *others)
    stride = 1 if left.load is None else left.coefficient(row.axis)
    transposed = _is_transposed(found, row.axis, column.axis)
    most = min(max_l1_rows(stride, dtype), lanes if transposed else target.vector_registers)
    depth = product(s.size for s in found.reduction)
    outer = product(s.size for s in (*outer_rows, *batch, *outer_columns))
    if not all(isinstance(size, int) for size in (row.size, column.size, depth)):
        most = min(most, UNKNOWN_TILE_ROWS)
    packed = () if right.packed is None else _aligned_widths(right.packed, lanes)
    if right.packed is not None and not packed:
        right, packed = replace(right, load=None, packed=None), ()
    tiling = choose_tiling(target, dtype, row.size, outer, column.size, depth, most, packed)
    plan = ContractPlan(
        found, target, dtype, row, outer_rows, column, outer_columns, batch,
        left, right, transposed, tiling,
    )  # fmt: skip
    return replace(plan, right=replace(right, load=None)) if _is_scattered(plan) else plan


def _separately_boxed(
    access: Access, outer: tuple[Span, ...]
) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
    """The axes of which each value has a box of its own, and the others."""
    leading = () if access.box is None else access.box.leading
    apart = tuple(span for span in outer if span.axis in leading)
    return apart, tuple(span for span in outer if span not in apart)


def _aligned_widths(width: int, lanes: int) -> tuple[int, ...]:
    """The numbers of vectors whose panels do not straddle packed ones."""
    return tuple(v for v in range(1, width // lanes + 1) if width % (v * lanes) == 0)


def _is_transposed(found: Contraction, row: Axis, column: Axis) -> bool:
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
    pages = known(plan.depth) * step // PAGE_BYTES
    rows = known(plan.row.size) * known(product(s.size for s in plan.outer_rows))
    if plan.tiling.width * itemsize <= CACHE_LINE:
        return pages >= NARROW_PAGES and rows >= NARROW_ROWS
    return pages >= WIDE_PAGES and rows >= WIDE_ROWS


def _access(found: Contraction, side: str, axes: list[Axis]) -> Access:
    """Read in place if the value is one load whose address splits; lanes must be neighbours."""
    value: Expr = getattr(found, side)
    axis, in_lanes = axes[-1], side == "right"
    steps, dtype = [s.axis for s in found.reduction], found.accumulator.refs[0].dtype
    along = _contiguous_axis(value, axis, steps, in_lanes)
    if not isinstance(value, Load) or value.where is not None or value.buffer.dtype != dtype:
        return Access(value, None, along)
    offset = _offset(value)
    tangled = {a for _, rest in offset.others for a in axes_of(rest)} & {*axes, *steps}
    packed = packed_panels(offset, axis) if in_lanes else None
    if packed is not None and tangled == {axis}:
        return Access(value, value, along, packed)
    if tangled or (in_lanes and offset.coefficient(axis) != 1):
        return Access(value, None, along)
    box = found.boxes.get(found.aliases.get(value.buffer, value.buffer))
    return Access(value, value, along, None, box)


def _offset(load: Load) -> Affine:
    return flat_offset(load.buffer, load.index)


def _contiguous_axis(value: Expr, axis: Axis, steps: list[Axis], in_lanes: bool) -> Axis:
    """The axis along which most loads find neighbours: `axis` or the last of `steps`."""
    if not steps:
        return axis
    offsets = [_offset(load) for load in loads_of(value)]
    across = sum(offset.coefficient(axis) == 1 for offset in offsets)
    onward = sum(offset.coefficient(steps[-1]) == 1 for offset in offsets)
    if in_lanes:
        return steps[-1] if onward > across else axis
    return axis if across > onward else steps[-1]


def _fill_cycles(plan: ContractPlan) -> float:
    """Cycles of filling the boxes."""
    cost = 0.0
    for box, elements in zip(plan.boxes, plan.box_elements):
        times = known(product(s.size for s in plan.batch))
        if plan.depth_block is not None:
            walked = plan.reduction[: plan.cut + 1]
            steps = known(product(s.size for s in walked if s.axis in box.axes))
            times *= -(-steps // (plan.depth_block if walked[-1].axis in box.axes else 1))
        if plan.chunk_blocks is not None:
            times *= -(-known(plan.block_count) // plan.chunk_blocks)
        if plan.chunk_panels is not None:
            times *= -(-known(plan.all_panels) // plan.chunk_panels)
        cost += 2.0 * times * known(elements) / plan.tiling.lanes
    return cost


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
    cost += _fill_cycles(plan)
    if plan.left.load is None:
        cost += 2.0 * rows * batch * depth / lanes
    if plan.right.load is None:
        price = 2.0 if plan.right.along is plan.column.axis else 4.0
        times = 1 if plan.keeps_panels else batch
        cost += price * columns * outer_columns * times * depth / lanes
    if plan.transposed:
        blocks = -(-rows // max(1, plan.tiling.rows))
        cost += TRANSPOSE_CYCLES * blocks * columns * outer
    elif plan.contraction.stores and columns > 1:
        offset = flat_offset(plan.contraction.stores[0].buffer, plan.contraction.stores[0].index)
        if offset.coefficient(plan.column.axis) != 1:
            cost += SCATTER_CYCLES * rows * columns * outer
    preferred = plan.contraction.lanes is plan.column.axis
    far = FAR_BOX_FACTOR if has_far_boxes(plan) else 1.0
    return cost * (1.0 if preferred else 1.02) * far
