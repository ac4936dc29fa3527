"""Limits on the code size of a kernel: unroll less where it would exceed them.

What LLVM needs grows faster than the text. Lanes, loops that are written out, rows in one block
and register tiles multiply what a kernel says: each of them is chosen where it stands, without
knowing what surrounds it. So the lines are counted while they are written. A kernel that has more
than its limit is emitted again with a smaller budget; the bits are the same with any.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from graphc.ir.loops.ir import (
    LANES,
    Apply,
    Expr,
    Kernel,
    Loop,
    exprs_in,
    walk,
)
from graphc.ir.loops.scalar import PRIMITIVES

# lines of any kernel, and for each operation of it: what ordinary kernels need at most
MIN_LINES, LINES_PER_OPERATION = 2500, 16
# kernels of products have so many times as much: each of their tiles ends with what follows them
TILED_FACTOR = 3
# what functions that are programs over the primitives count as, and the random bits
DEFINED_WEIGHT, RANDOM_WEIGHT = 12, 40


@dataclass(frozen=True)
class UnrollBudget:
    """How far a kernel may be unrolled and vectorised.

    `lanes` is the most that a loop works on at once, `written_out` the operations of a loop
    within lanes that becomes straight code, `rows` how many make a block.
    """

    lanes: int = 8 * LANES
    written_out: int = 32
    rows: int = LANES
    transposes: bool = True
    tiles: bool = True


UNROLL_BUDGETS = (
    UnrollBudget(),
    UnrollBudget(lanes=2 * LANES, written_out=8),
    UnrollBudget(lanes=LANES, written_out=0, rows=4, transposes=False),
    UnrollBudget(lanes=LANES, written_out=0, rows=0, transposes=False, tiles=False),
)


def max_lines(kernel: Kernel) -> int:
    """How many lines a kernel may have."""
    statements = list(walk(kernel.body))
    operations = len(statements) + sum(map(_weight, exprs_in(kernel.body)))
    lines = MIN_LINES + LINES_PER_OPERATION * operations
    loops = (stmt for stmt in statements if isinstance(stmt, Loop))
    tiled = any(a.combine.name == "dot" for loop in loops for a in loop.accumulators)
    return lines * TILED_FACTOR if tiled else lines


def _weight(expr: Expr) -> int:
    return _function_weight(expr.function) if isinstance(expr, Apply) else 1


@cache
def _function_weight(function: str) -> int:
    if function == "philox":
        return RANDOM_WEIGHT
    return 1 if function in PRIMITIVES else DEFINED_WEIGHT
