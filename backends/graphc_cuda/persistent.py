"""A loop of known length whose launches are small becomes one launch of one block.

The iterations are found in the plan: launches of the same kernels again and again, on places that
move by the same number of bytes each time. Between two launches the block meets at a barrier.

Launches whose threads need nothing of each other are spread over the block. Those of blocks with
barriers and memory of their own, such as tiles, are run block after block by as many threads as
one has; a loop has such blocks of one size only. Blocks of a grid could share a loop that is too
much for one: the driver takes cooperative launches in graphs, but a barrier of the grid needs a GPU
to try.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from graphc_cuda.dependencies import find_edges
from graphc_cuda.device.program import DeviceKernel
from graphc_cuda.launch import KernelNode, LaunchPlan, Node
from graphc_cuda.loop_kernel import Looping
from graphc_cuda.merge_launches import launched_kernels
from graphc_cuda.one_block import saving, turns_of, width_of

NEVER = -1.0
MOST_PERIOD = 64
LEAST_STEPS = 4


@dataclass(frozen=True)
class Repeat:
    """Nodes from `start` on: `steps` times the same `period` kernels."""

    start: int
    period: int
    steps: int


def find_repeats(plan: LaunchPlan) -> list[Repeat]:
    """The loops that become one launch, in order."""
    savings = list(accumulate(_savings(plan.nodes), initial=0.0))
    found, i = [], 0
    while i < len(plan.nodes):
        stop = plan.commit if i < plan.commit else len(plan.nodes)
        repeat = _first(plan.nodes, savings, i, stop)
        if repeat is None:
            i += 1
            continue
        found.append(repeat)
        i = repeat.start + repeat.period * repeat.steps
    return found


def _savings(nodes: Sequence[Node]) -> Iterator[float]:
    """What each node saves in a loop; one that cannot be in it costs more than all others save."""
    known: dict[DeviceKernel, int] = {}
    turns: dict[DeviceKernel, int] = {}
    for node in nodes:
        if not isinstance(node, KernelNode):
            yield NEVER
            continue
        kernel = node.kernel
        if kernel not in known:
            known[kernel], turns[kernel] = width_of(kernel), turns_of(kernel.body)
        width = known[kernel] if all(p.size for p in node.arguments) else 0
        yield saving(node.grid, kernel.block, turns[kernel], width) if width else NEVER


def _first(nodes: Sequence[Node], savings: Sequence[float], start: int, stop: int) -> Repeat | None:
    """The shortest period that repeats often enough from a node on, and pays."""
    for period in range(1, min(MOST_PERIOD, (stop - start) // LEAST_STEPS) + 1):
        if savings[start + period] <= savings[start]:
            continue
        steps = 1
        while start + (steps + 1) * period <= stop and _moves(nodes, start, period, steps):
            steps += 1
        if steps >= LEAST_STEPS:
            return Repeat(start, period, steps)
    return None


def _moves(nodes: Sequence[Node], start: int, period: int, step: int) -> bool:
    """Whether iteration `step` is the one before, moved as the second is from the first."""
    for j in range(start, start + period):
        first, second = nodes[j], nodes[j + period]
        before, node = nodes[j + (step - 1) * period], nodes[j + step * period]
        if not _is_alike(first, node):
            return False
        pairs = [_strides(a, b) for a, b in ((first, second), (before, node))]
        if pairs[0] != pairs[1]:
            return False
    return True


def _is_alike(a: Node, b: Node) -> bool:
    if not (isinstance(a, KernelNode) and isinstance(b, KernelNode)):
        return False
    if a.kernel is not b.kernel or a.grid != b.grid:
        return False
    return all(p.region == q.region for p, q in zip(a.arguments, b.arguments))


def _strides(a: Node, b: Node) -> list[int]:
    assert isinstance(a, KernelNode)
    assert isinstance(b, KernelNode)
    return [y.offset - x.offset for x, y in zip(a.arguments, b.arguments)]


def loop_launches(plan: LaunchPlan) -> LaunchPlan:
    """The plan with every such loop as one launch; the same bytes come out."""
    nodes: list[Node] = []
    made: list[DeviceKernel] = []
    commit, last = plan.commit, 0
    for repeat in find_repeats(plan):
        stop = repeat.start + repeat.period * repeat.steps
        run = [n for n in plan.nodes[repeat.start : stop] if isinstance(n, KernelNode)]
        node = Looping(f"loop{len(made):02d}", run, repeat.period).node()
        if node is None:
            continue
        nodes += [*plan.nodes[last : repeat.start], node]
        made.append(node.kernel)
        commit -= stop - repeat.start - 1 if stop <= plan.commit else 0
        last = stop
    if not made:
        return plan
    nodes += plan.nodes[last:]
    every = tuple(nodes)
    program = launched_kernels(plan.program, made, (*plan.prepare, *every))
    return replace(plan, program=program, nodes=every, edges=find_edges(every), commit=commit)
