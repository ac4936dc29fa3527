"""How many lanes a loop works on at once: a choice of speed, never of results."""

from __future__ import annotations

from math import prod

from graphc.loops.ir import (
    LANES,
    Apply,
    Expr,
    Load,
    Loop,
    Stmt,
    Store,
    expressions,
    operands,
    walk,
)
from graphc.loops.scalar import PRIMITIVES
from graphc_llvm.contract_index import axes_of
from graphc_llvm.emit_context import Context
from graphc_llvm.target import Target

# beyond this many primitive operations one vector already keeps the units busy
_HEAVY = 40
# registers that the lanes of one value may fill
_REGISTERS = 4
# operations that a loop may be written out as
_WRITTEN_OUT = 32
# so many elements come from one vector of Philox counters
RANDOM_WIDTH = 64
_COSTS = {"div": 4, "sqrt": 6, "rem": 8, "cast": 1, "philox": 16}
_DEFINED_COST = 16
_CHEAP_DEFINED = ("maximum", "minimum", "sign", "unit_float")


def lanes_at_once(loop: Loop, target: Target, trips: int | None) -> int:
    """A multiple of 16: more for light bodies, whose loop would cost as much as they do."""
    weight, itemsize, wide = weigh(loop.body)
    if wide and (trips is None or trips >= RANDOM_WIDTH):
        return RANDOM_WIDTH
    registers, most = _REGISTERS, 4 * LANES
    if holds_loops(loop):
        # each pass over the inner loops reads whole cache lines side by side
        registers, most = target.vector_registers // 4, 8 * LANES
    fitting = min(most, registers * target.vector_bits // (8 * itemsize))
    width = LANES
    while 2 * width <= fitting and 2 * weight * width <= _HEAVY * LANES:
        width *= 2
    while trips is not None and width > max(trips, LANES):
        width //= 2
    return width


def is_tiny(c: Context, loop: Loop) -> bool:
    """True for loops within lanes that are written out: the windows of pooling, say."""
    trips = c.trips(loop)
    inner = [stmt for stmt in walk(loop.body) if isinstance(stmt, Loop)]
    counts = [trips, *(c.trips(each) for each in inner)]
    if any(count is None for count in counts) or any(axes_of(each.extent) for each in inner):
        return False
    times = prod(count for count in counts if count is not None)
    return times * max(1, weigh(loop.body)[0]) <= _WRITTEN_OUT


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
    seen: dict[Expr, None] = {}
    itemsize = 1
    for stmt in walk(body):
        for expr in expressions(stmt):
            _visit(expr, seen)
        if isinstance(stmt, Store):
            itemsize = max(itemsize, stmt.buffer.dtype.itemsize)
    weight, draws = 0, False
    for expr in seen:
        if isinstance(expr, Apply):
            weight += _cost(expr.function)
            draws = draws or expr.function == "philox"
        if isinstance(expr, Load | Apply) and expr.dtype.name != "int64":
            itemsize = max(itemsize, expr.dtype.itemsize)
    return weight, itemsize, draws


def _visit(expr: Expr, seen: dict[Expr, None]) -> None:
    waiting = [expr]
    while waiting:
        current = waiting.pop()
        if current not in seen:
            seen[current] = None
            waiting.extend(() if isinstance(current, Load) else operands(current))


def _cost(function: str) -> int:
    if function in PRIMITIVES or function in _CHEAP_DEFINED:
        return _COSTS.get(function, 1)
    return _COSTS.get(function, _DEFINED_COST)
