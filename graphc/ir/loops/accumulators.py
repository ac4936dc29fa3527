"""How the accumulators of loops are fed: by which loops, in lanes, in blocks, how often."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphc.ir.loops.ir import LANES, Accumulate, Accumulator, Loop, Stmt

# merging these gives the same bits in whatever groups
ANY_GROUPING = ("max", "min", "any", "all", "argmax", "argmin")


def loops_in(body: Sequence[Stmt]) -> list[Loop]:
    """All loops below, outer before inner."""
    found = []
    for stmt in body:
        if isinstance(stmt, Loop):
            found += [stmt, *loops_in(stmt.body)]
    return found


def updated(loop: Loop) -> tuple[Accumulator, ...]:
    """The accumulators of this loop and of those around it that its body merges into, each once."""
    inner = loops_in(loop.body)
    fed = [s.accumulator for each in (loop, *inner) for s in each.body if isinstance(s, Accumulate)]
    own = {a for each in inner for a in each.accumulators}
    return tuple(a for a in dict.fromkeys(fed) if a not in own)


def feeds(loop: Loop, accumulator: Accumulator) -> bool:
    """True if the body of a loop merges into the accumulator."""
    return accumulator in updated(loop)


def is_laned(loop: Loop, accumulator: Accumulator) -> bool:
    """True if an accumulator of the loop has one running value for each virtual lane."""
    return loop.lanes or any(s.lanes and feeds(s, accumulator) for s in loops_in(loop.body))


def is_blocked(accumulator: Accumulator) -> bool:
    """True if blocks of steps are summed by themselves, which changes bits."""
    name = accumulator.combine.name
    if accumulator.combine.carried:
        return False
    floats = any(ref.dtype.is_float for ref in accumulator.refs)
    return floats and name != "dot" and name not in ANY_GROUPING


def is_direct(loop: Loop, accumulator: Accumulator) -> bool:
    """True if each iteration is one step."""
    fed = [s for s in loop.body if isinstance(s, Accumulate) and s.accumulator is accumulator]
    return len(fed) == 1 and not any(feeds(s, accumulator) for s in loops_in(loop.body))


def lane_steps(
    loop: Loop, accumulator: Accumulator, trips: Callable[[Loop], int | None]
) -> int | None:
    """How many lane steps a loop takes; None where `trips`, its iterations, are not known."""
    steps: int | None = 0
    for stmt in loop.body:
        more: int | None = 0
        if isinstance(stmt, Accumulate) and stmt.accumulator is accumulator:
            more = 1
        elif isinstance(stmt, Loop) and feeds(stmt, accumulator):
            more = lane_steps(stmt, accumulator, trips)
        steps = None if steps is None or more is None else steps + more
    count = trips(loop)
    if steps is None or count is None:
        return None
    return steps * (-(-count // LANES) if loop.lanes else count)
