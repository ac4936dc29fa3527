"""Random graphs: 5 to 40 ops of all families over a few inputs, from one seed."""

from __future__ import annotations

from graphc.testing import basic_ops, exact_ops, rounding_ops
from graphc.testing.graph_maker import Maker, RandomGraph, Step

# What to draw, seed by seed: a dtype, and what is special about the values.
KINDS = (
    ("float32", ""), ("float64", ""), ("float32", "trains"), ("float32", "wild"),
    ("float32", "integral"), ("float32", ""), ("float16", ""), ("float64", "trains"),
    ("bfloat16", ""), ("float64", "integral"), ("float64", "wild"), ("float32", "trains"),
)  # fmt: skip


def random_graph(seed: int, count: int | None = None) -> RandomGraph:
    """Draw a graph of a kind that depends on the seed, with arrays for its inputs.

    Where `exact`, every correct evaluation gives the same bits; where `wild`, NaN and infinities
    occur; where there are `updates`, `reset` gives the parameters their first values again.
    `count` is the number of ops that are tried. One seed always draws the same graph.
    """
    dtype, kind = KINDS[seed % len(KINDS)]
    maker = Maker(seed, dtype, kind == "integral", kind == "wild", kind == "trains")
    return maker.draw(steps_for(maker), count)


def steps_for(maker: Maker) -> tuple[Step, ...]:
    """The ops that may be drawn for the values of a maker."""
    steps: tuple[Step, ...] = basic_ops.EXACT + exact_ops.EXACT
    if not maker.integral:
        steps += basic_ops.SMOOTH + exact_ops.SMOOTH + rounding_ops.SMOOTH
    if maker.wild:  # 0 times infinity in the padding of a window: the interpreter leaves it out
        steps = tuple(s for s in steps if s not in rounding_ops.WINDOWS)
    return steps
