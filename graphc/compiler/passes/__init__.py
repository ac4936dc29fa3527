"""The graph passes, in the order in which they run."""

from graphc.compiler.passes.absorb_permutes import absorb_permutes
from graphc.compiler.passes.absorb_sums import absorb_sums
from graphc.compiler.passes.divide_rows import divide_rows
from graphc.compiler.passes.driver import GraphPass, run_passes
from graphc.compiler.passes.fold_constants import fold_constants
from graphc.compiler.passes.hoist_casts import hoist_casts
from graphc.compiler.passes.loops import merge_loops, with_bodies
from graphc.compiler.passes.merge_common import merge_common
from graphc.compiler.passes.pack_parameters import pack_parameters
from graphc.compiler.passes.shift_exponents import shift_exponents
from graphc.compiler.passes.simplify import simplify
from graphc.compiler.passes.stabilise import stabilise
from graphc.ir.graph import Graph


def simplify_bodies(graph: Graph) -> Graph:
    """Run the graph passes on the body of every loop."""
    return with_bodies(graph, lambda body: run_passes(body, GRAPH_PASSES)[0])


GRAPH_PASSES: tuple[GraphPass, ...] = (
    # -- loops first: what they leave out need not be improved --
    merge_loops,
    hoist_casts,
    simplify_bodies,
    # -- say the same thing with fewer nodes --
    merge_common,
    simplify,
    fold_constants,
    merge_common,
    absorb_sums,
    absorb_permutes,
    # -- say it so that nothing overflows, underflows or cancels --
    shift_exponents,
    stabilise,
    # -- and shorten what that has written --
    simplify,
    merge_common,
    # -- and make cheap what is left --
    divide_rows,
    # -- and put what does not change where it is read fast --
    pack_parameters,
)


def table() -> list[tuple[str, str]]:
    """Name and first line of every pass, in order."""
    return [(p.__name__, first_line(p)) for p in GRAPH_PASSES]


def first_line(function: object) -> str:
    """What a function does, in one line."""
    return (function.__doc__ or "").strip().partition("\n")[0]
