"""The program at each stage of the compiler, as text and as a picture."""

from __future__ import annotations

from dataclasses import replace

from graphc import origin as origins
from graphc.errors import ArgumentError
from graphc.inspect.names import is_bound, is_number
from graphc.ir.graph import Graph
from graphc.origin import FORWARD
from graphc.runtime.inspection import STAGES


def check_stage(stage: object) -> None:
    """Raise ArgumentError unless it is the name of a stage."""
    if not isinstance(stage, str) or stage not in STAGES:
        raise ArgumentError(
            f"stage must be one of {', '.join(STAGES)}, got {stage!r}",
            origin=origins.find_origin(),
        )


def defined_part(graph: Graph) -> Graph:
    """The forward part alone: what it computes for the outputs and for the other parts."""
    outputs = [(name, n) for name, n in graph.outputs if n.step_part == FORWARD]
    forward = [n for n in graph.nodes if n.step_part == FORWARD]
    read = {i for n in forward for i in n.inputs} | {n for _, n in outputs}
    ends = [n for n in forward if n not in read and not is_bound(n) and not is_number(n)]
    outputs += [(n.name or f"value{k}", n) for k, n in enumerate(ends)]
    return replace(graph, outputs=tuple(outputs), updates=(), _order=[])
