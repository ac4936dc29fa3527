"""The graph passes, in the order in which they run."""

from graphc.passes.driver import GraphPass

GRAPH_PASSES: tuple[GraphPass, ...] = ()
