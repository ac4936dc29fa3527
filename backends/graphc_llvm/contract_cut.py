"""Cut a contraction into blocks, chunks and groups, so that what is used again stays in a cache."""

from __future__ import annotations

from dataclasses import replace

from graphc.ir.dims import product
from graphc.ir.loops.contraction.index import axes_of
from graphc.ir.loops.contraction.match import Span
from graphc_llvm.contract_plan import ContractPlan
from graphc_llvm.contract_shape import known, row_block_count

DEPTH_BLOCK = 256  # steps of a reduction that is cut because it is long, or of unknown length
MAX_CHAIN_STEPS = 4096  # steps that a tile does at once
MAX_PARTIAL_SUM_BYTES = 1024 * 1024  # what the partial sums of one chunk may take
MAX_STAGED_BYTES = 512 * 1024  # what the staged rows of one chunk may take
ASSUMED_CHUNK_BLOCKS = 64  # row blocks of a chunk where the number of rows is not known
MIN_BUSY_BLOCKS = 16  # row blocks that are worth being divided among the threads by themselves
MAX_PANEL_BYTES = 4 * 1024 * 1024  # of panels that are staged once
L2_BOX_BYTES = 512 * 1024  # of a box that stays in the L2 cache
MAX_WHOLE_BOX_BYTES = 4 * 1024 * 1024  # of a box that cannot be divided


def cut(plan: ContractPlan) -> ContractPlan:
    """Cut a long reduction into blocks, and the output so that what is kept stays in cache."""
    if plan.reduction:
        first, inner = plan.reduction[0].size, product(s.size for s in plan.reduction[1:])
        block = max(1, DEPTH_BLOCK // max(1, known(inner)))
        whole = isinstance(first, int) and (
            first <= block or (isinstance(inner, int) and first * inner <= MAX_CHAIN_STEPS)
        )
        if not whole:
            if isinstance(first, int):
                block = -(-first // -(-first // block))
            plan = replace(plan, depth_block=_round_to_units(plan, plan.reduction[0], block))
    plan = _limit_staged_rows(plan)
    return plan if plan.depth_block is None else _limit_output_chunk(plan)


def _round_to_units(plan: ContractPlan, span: Span, steps: int) -> int:
    """Round a number of steps up to what conditions take together."""
    units = [g.per for g in plan.contraction.conditions if g.step is span.axis]
    return max([steps, *(-(-steps // unit) * unit for unit in units)])


def _limit_staged_rows(plan: ContractPlan) -> ContractPlan:
    """Limit the rows that are staged at once."""
    if plan.left.load is not None:
        return plan
    block = known(plan.staged_row_elements) * plan.tiling.rows * plan.dtype.itemsize
    most = max(1, MAX_STAGED_BYTES // max(1, block))
    blocks = row_block_count(plan.tiling, plan.row.size)
    if isinstance(blocks, int) and blocks <= most:
        return plan
    return replace(plan, chunk_blocks=min(most, ASSUMED_CHUNK_BLOCKS))


def _limit_output_chunk(plan: ContractPlan) -> ContractPlan:
    """Limit the partial sums that are kept at once."""
    tile = plan.tiling.rows * plan.tiling.width * plan.dtype.itemsize
    most = max(1, MAX_PARTIAL_SUM_BYTES // tile)
    blocks = plan.chunk_blocks if plan.chunk_blocks is not None else plan.block_count
    panels = plan.all_panels
    if isinstance(blocks, int) and isinstance(panels, int) and blocks * panels <= most:
        return plan
    rows = min(blocks if isinstance(blocks, int) else most, max(1, ASSUMED_CHUNK_BLOCKS // 2), most)
    wide = max(1, most // max(1, rows))
    if isinstance(panels, int):
        wide = max(1, min(wide, panels))
    return replace(plan, chunk_blocks=max(1, rows), chunk_panels=wide)


def grouped(plan: ContractPlan) -> ContractPlan:
    """Divide row blocks among threads, and do a few at a time, if all rows together are far."""
    chunks = (plan.chunk_blocks, plan.chunk_panels) != (None, None)
    if chunks or plan.batch or plan.outer_columns or plan.left.load is None or plan.left.box:
        return plan
    blocks, panels, depth = plan.block_count, plan.all_panels, plan.whole_depth
    if not (isinstance(blocks, int) and isinstance(panels, int) and isinstance(depth, int)):
        return plan
    block = plan.tiling.rows * depth * plan.dtype.itemsize
    right = panels * plan.tiling.width * depth * plan.dtype.itemsize
    near = plan.target.l2_bytes // 2
    if blocks < MIN_BUSY_BLOCKS or panels < 2 or blocks * block <= max(near, 2 * right):
        return plan
    if plan.depth_block is not None:
        return replace(plan, group=blocks)
    return plan if right > near else replace(plan, group=max(1, near // 2 // block))


def keeping_panels(plan: ContractPlan) -> ContractPlan:
    """Stage panels once if each would be staged for several batch elements, chunks or groups."""
    several = bool(plan.batch) or (plan.chunk_blocks, plan.group) != (None, None)
    whole = plan.depth_block is None and plan.chunk_panels is None and not plan.outer_columns
    if plan.right.load is not None or not (several and whole):
        return plan
    moving = {span.axis for span in plan.batch} & axes_of(plan.right.value).keys()
    kept = replace(plan, keeps_panels=True)
    size = kept.right_elements * plan.dtype.itemsize
    small = isinstance(size, int) and size <= MAX_PANEL_BYTES
    return kept if small and not moving and plan.right.box is None else plan


def bounded(plan: ContractPlan) -> ContractPlan | None:
    """Keep the boxes small; None where one is too large or unknown, or not read in place."""
    if len(plan.boxes) < len(plan.contraction.boxes) or not _in_pairs(plan):
        return None
    size = _box_bytes(plan)
    if size is None or size > L2_BOX_BYTES:
        plan = _choose_band(plan) or _shorten_reduction(plan) or plan
        size = _box_bytes(plan)
    for box in plan.boxes:
        # a run through the last two reaches needs all of the last one
        if box.run is not None and box.box_axes[-1].coefficients.keys() & plan.limits.keys():
            return None
    return plan if size is not None and size <= MAX_WHOLE_BOX_BYTES else None


def _in_pairs(plan: ContractPlan) -> bool:
    """Whether the lanes of both operands are neighbours, if they must be."""
    if not plan.contraction.paired:
        return True
    if plan.left.load is None or plan.right.load is None:
        return False
    return plan.left.coefficient(plan.column.axis) == 1


def _shorten_reduction(plan: ContractPlan) -> ContractPlan | None:
    """Cut the reduction so that a block of it needs but a small box."""
    for cut, span in enumerate(plan.reduction):
        if not any(span.axis in box.axes for box in plan.boxes):
            return None
        most = span.size if isinstance(span.size, int) else 1
        if plan.depth_block is not None and plan.cut == cut:
            most = min(most, plan.depth_block)
        for parts in range(1, most + 1):
            block = _round_to_units(plan, span, max(1, -(-most // parts)))
            shorter = replace(plan, cut=cut, depth_block=block)
            size = _box_bytes(shorter)
            if size is None:
                return None
            if size <= L2_BOX_BYTES:
                return _limit_output_chunk(shorter)
    return None


def has_far_boxes(plan: ContractPlan) -> bool:
    """Whether the boxes do not stay in the L2 cache."""
    return (_box_bytes(plan) or 0) > L2_BOX_BYTES


def _box_bytes(plan: ContractPlan) -> int | None:
    total = 0
    for elements in plan.box_elements:
        if not isinstance(elements, int):
            return None
        total += elements * plan.dtype.itemsize
    return total


def _choose_band(plan: ContractPlan) -> ContractPlan | None:
    """Limit the values of the first outer row axis so that the box stays small."""
    whole = plan.depth_block is None and plan.chunk_blocks is None and plan.right.box is None
    if plan.left.box is None or not whole or not plan.outer_rows:
        return None
    first, *others = plan.outer_rows
    each = row_block_count(plan.tiling, plan.row.size) * product(s.size for s in others)
    if first.axis not in plan.left.box.axes or not isinstance(first.size, int):
        return None
    for parts in range(2, first.size + 1):
        band = -(-first.size // parts)
        banded = replace(plan, band=band)
        size = _box_bytes(banded)
        if size is not None and size <= L2_BOX_BYTES and isinstance(each, int):
            return replace(banded, chunk_blocks=band * each)
    return None
