"""Choose the vector width of a loop; it affects speed, never results."""

from __future__ import annotations

from math import prod

from graphc.ir.dims import evaluate
from graphc.ir.loops.contraction.index import Affine, axes_of, flat_offset, loads_of
from graphc.ir.loops.ir import (
    LANES,
    Apply,
    Axis,
    Buffer,
    Expr,
    Index,
    Let,
    Load,
    Loop,
    Ref,
    Stmt,
    Store,
    expressions,
    exprs_in,
    operands,
    walk,
    walk_exprs,
)
from graphc.ir.loops.scalar import PRIMITIVES
from graphc_llvm.emit_context import EmitContext

# beyond this many primitive operations one vector already keeps the units busy
_HEAVY_OPERATIONS = 40
# registers that the lanes of one value may fill
_MAX_REGISTERS = 4
# up to this stride, elements are shuffled out of whole vectors
MAX_SHUFFLED_STRIDE = 4
# so many elements come from one vector of Philox counters, four words each
RANDOM_WIDTH = 4 * LANES
_COSTS = {"div": 4, "sqrt": 6, "rem": 8, "cast": 1, "philox": 16}
_DEFINED_COST = 16
_CHEAP_DEFINED = ("maximum", "minimum", "sign", "unit_float")


def lanes_at_once(c: EmitContext, loop: Loop, trips: int | None) -> int:
    """A multiple of 16: more for light bodies, whose loop would cost as much as they do.

    Where elements are apart, every lane is read or written by itself: more lanes save nothing.
    """
    weight, itemsize, wide = weigh(loop.body)
    if wide and (trips is None or trips >= RANDOM_WIDTH) and c.unroll.tiles:
        return RANDOM_WIDTH
    if count_strided(c, loop.body, loop.axis):
        return LANES
    target, registers, most = c.target, _MAX_REGISTERS, 4 * LANES
    if holds_loops(loop):
        # each pass over the inner loops reads whole neighbouring cache lines
        registers, most = target.vector_registers // 4, 8 * LANES
    most = min(most, c.unroll.lanes)
    fitting = min(most, registers * target.vector_bits // (8 * itemsize))
    width = LANES
    while 2 * width <= fitting and 2 * weight * width <= _HEAVY_OPERATIONS * LANES:
        width *= 2
    while trips is not None and width > max(trips, LANES):
        width //= 2
    return width


def is_tiny(c: EmitContext, loop: Loop) -> bool:
    """True for loops within lanes that are written out: the windows of pooling, say."""
    trips = c.trips(loop)
    inner = [stmt for stmt in walk(loop.body) if isinstance(stmt, Loop)]
    counts = [trips, *(c.trips(each) for each in inner)]
    if any(count is None for count in counts) or any(axes_of(each.extent) for each in inner):
        return False
    times = prod(count for count in counts if count is not None)
    assert c.lane is not None
    each = weigh(loop.body)[0] + c.lane.width * count_strided(c, loop.body, c.lane.axis)
    return times * max(1, each) <= c.unroll.written_out


def count_strided(c: EmitContext, body: tuple[Stmt, ...], axis: Axis) -> int:
    """The number of loads and stores that are strided along an axis."""
    places: dict[Buffer, dict[tuple[Expr, ...], None]] = {}
    inside: set[str] = set()
    for stmt in walk(body):
        if isinstance(stmt, Let):
            inside.add(stmt.ref.name)
        if isinstance(stmt, Store):
            places.setdefault(stmt.buffer, {})[stmt.index] = None
        for load in (load for expr in expressions(stmt) for load in loads_of(expr)):
            places.setdefault(load.buffer, {})[load.index] = None
    forms = [flat_offset(buffer, index) for buffer, found in places.items() for index in found]
    return sum(_is_strided(c, form, axis, inside) for form in forms)


def _is_strided(c: EmitContext, form: Affine, axis: Axis, inside: set[str]) -> bool:
    for e in walk_exprs(expr for _, expr in form.others):
        if isinstance(e, Index) and e.axis == axis:
            return True
        if isinstance(e, Ref) and e.name in inside:
            return True
    stride = form.coefficient(axis)
    if not isinstance(stride, int) and c.sizes is not None:
        stride = evaluate(stride, c.sizes)
    return not isinstance(stride, int) or not -1 <= stride <= MAX_SHUFFLED_STRIDE


def holds_loops(loop: Loop) -> bool:
    """True if every vector of a loop walks through loops of its own."""
    return any(isinstance(stmt, Loop) for stmt in loop.body)


def narrow_width(trips: int) -> int:
    """The power of two that holds all of a short loop."""
    width = 1
    while width < trips:
        width *= 2
    return width


def weigh(body: tuple[Stmt, ...]) -> tuple[int, int, bool]:
    """The operations of one iteration, the widest element's size, whether it draws bits."""
    stores = (stmt for stmt in walk(body) if isinstance(stmt, Store))
    itemsize = max((s.buffer.dtype.itemsize for s in stores), default=1)
    weight, draws = 0, False
    for expr in exprs_in(body, _computed_from):
        if isinstance(expr, Apply):
            weight += _cost(expr.function)
            draws = draws or expr.function == "philox"
        if isinstance(expr, Load | Apply) and expr.dtype.name != "int64":
            itemsize = max(itemsize, expr.dtype.itemsize)
    return weight, itemsize, draws


def _computed_from(expr: Expr) -> tuple[Expr, ...]:
    """The operands of an operation; addresses are not counted."""
    return () if isinstance(expr, Load) else operands(expr)


def _cost(function: str) -> int:
    if function in PRIMITIVES or function in _CHEAP_DEFINED:
        return _COSTS.get(function, 1)
    return _COSTS.get(function, _DEFINED_COST)
