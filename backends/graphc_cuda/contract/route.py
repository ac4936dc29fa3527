"""How an operand comes from global to shared memory: in which direction, how much at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

from graphc.ir.dims import product
from graphc.ir.loops.contraction.index import Affine, affine, axes_of, flat_offset, loads_of
from graphc.ir.loops.contraction.match import Span
from graphc.ir.loops.ir import Apply, Axis, Expr, Load
from graphc.ir.types import DType
from graphc_cuda.contract.find import known

VECTOR_BYTES = 16  # of one access to memory
MIN_COPY_BYTES = 4  # of an asynchronous one


@dataclass(frozen=True)
class Route:
    """How the threads of a block bring an operand.

    Threads next to each other take neighbours `along_steps`, or along lines; each takes `vector`
    neighbours at once, reading those of `loads` together. An operand that `is_copied` is in memory
    as it is wanted, and goes past the registers. Where `by_line`, shared memory holds the steps of
    a line next to each other; else the lines of a step.
    """

    along_steps: bool
    vector: int
    loads: tuple[Load, ...]
    is_copied: bool
    by_line: bool

    @property
    def is_straight(self) -> bool:
        """Whether neighbours stay neighbours on the way."""
        return self.along_steps == self.by_line


@dataclass(frozen=True)
class Extents:
    """The axes of an operand: its lines and its steps; lines and steps of a tile."""

    lines: tuple[Span, ...]
    steps: tuple[Span, ...]
    width: int
    depth: int


def find_route(
    value: Expr, dtype: DType, extents: Extents, by_line: bool | None, is_near: bool = False
) -> Route:
    """The widest route for a value that is held as `dtype`; `by_line` None: as memory has it.

    What `is_near`, in memory of the block, goes through registers.
    """
    along = _is_along_steps(value, extents)
    by_line = along if by_line is None else by_line
    plain = isinstance(value, Load) and value.where is None and value.dtype == dtype
    most = VECTOR_BYTES // dtype.itemsize
    if plain and isinstance(value, Load) and not is_near:
        vector = most if along == by_line and _is_run(value, extents, along, most) else 1
        if vector * dtype.itemsize >= MIN_COPY_BYTES:
            return Route(along, vector, (), True, by_line)
    vector = min(most, 4)  # values of one load or store
    loads = tuple(x for x in loads_of(value) if _is_run(x, extents, along, vector))
    return Route(along, vector if loads else 1, loads, False, by_line)


def _is_along_steps(value: Expr, extents: Extents) -> bool:
    """Whether steps are nearer to each other in memory than lines are."""
    loads = loads_of(value)
    if not extents.lines or not extents.steps or not loads:
        return not extents.lines
    offset = flat_offset(loads[0].buffer, loads[0].index)
    spans = extents.lines[-1], extents.steps[-1]
    line, step = (abs(_stride(offset, span.axis)) for span in spans)
    return step > 0 and (line == 0 or step < line)


def _stride(offset: Affine, axis: Axis) -> int:
    """How far an offset moves between most neighbours along an axis, also one that is split."""
    return known(offset.coefficient(axis)) + sum(
        known(c) * _moves(e, axis) for c, e in offset.others
    )


def _moves(index: Expr, axis: Axis) -> int:
    """How far a quotient or a rest moves between most neighbours; 0 for what is neither."""
    match index:
        case Apply(function="rem" | "div" as function, args=(x, by)):
            size = affine(by)
            moved = _stride(affine(x), axis)
            if not size.is_constant or abs(moved) >= known(size.constant):
                return 0
            return moved if function == "rem" else 0
    return 0


def _is_run(load: Load, extents: Extents, along_steps: bool, vector: int) -> bool:
    """Whether neighbours are read as one, from a multiple of their number on."""
    spans, tile = extents.lines, extents.width
    if along_steps:
        spans, tile = extents.steps, extents.depth
    if not spans or vector * load.dtype.itemsize > VECTOR_BYTES:
        return False
    axis = spans[-1].axis
    if load.where is not None and axis in axes_of(load.where):
        return False
    offset = flat_offset(load.buffer, load.index)
    if known(product(load.buffer.shape)) % vector:  # of such buffers one may begin anywhere
        return False
    others = [other for other in offset.axes if other is not axis]
    return gcd(_run(offset, spans[-1], others), tile) % vector == 0


def _run(offset: Affine, span: Span, others: Sequence[Axis]) -> int:
    """How many neighbours along an axis start at a multiple of their number."""
    if offset.others or offset.coefficient(span.axis) != 1:
        return 1
    return gcd(*map(known, (offset.constant, span.size, *map(offset.coefficient, others))))
