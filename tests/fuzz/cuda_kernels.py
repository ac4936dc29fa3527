"""Random graphs as GPU kernels: every call in the simulator leaves the interpreter's bits."""

from __future__ import annotations

from graphc.errors import ShapeError
from graphc.runtime.specialize import check_sizes, size_checked
from graphc.testing import random_graph
from tests.backends.cuda.stepwise import Stepwise, run_graph
from tests.random_graphs.run import define_sample

OPS = 12  # that are tried


def check(seed: int, kind: type[Stepwise] = Stepwise) -> str:
    """Compare the kernels of one graph."""
    sample = random_graph(seed, OPS)
    graph = define_sample(sample).graph
    try:
        check_sizes(size_checked(graph), sample.dims)
    except ShapeError:
        return "refused"
    _, steps = run_graph(graph, sample.arrays, sample.dims, kind)
    return "agrees" if steps.calls else "has no kernel"
