"""Small launches that do not depend on each other become one: a launch costs more than its work.

What is merged follows from the plan alone (`merged_positions`). Launches of one level, which no
path connects, are merged before the commit and after it, never across; a loop of the host stays as
it is, and so do launches whose threads meet at barriers, and checks.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace

from graphc_cuda.dependencies import find_edges
from graphc_cuda.device.program import (
    WARP,
    Barrier,
    Declare,
    DeviceKernel,
    Program,
    Special,
    operands_of,
    values_of,
    walk,
)
from graphc_cuda.launch import STATUS, DynamicLoop, KernelNode, LaunchPlan, Node, Place
from graphc_cuda.lower.merged import Part, groups_of, merge_kernels

MOST_BLOCKS = 128  # of a launch that is small: about one for each multiprocessor
MOST_ARRAYS = 480  # of 8 bytes each: a launch has 4 KB for its arguments
MOST_BODIES = 4  # that differ: more would make one kernel of the whole step
MOST_PARTS = 64


def merge_launches(plan: LaunchPlan) -> LaunchPlan:
    """The plan with its small independent launches merged; the same bytes come out."""
    chosen = merged_positions(plan)
    if not chosen:
        return plan
    levels = _levels(plan)
    merging = _Merging()
    group_of = {i: group for group in chosen for i in group}
    placed: list[tuple[tuple[int, int], Node]] = []
    for i, node in enumerate(plan.nodes):
        group = group_of.get(i, (i,))
        if group[0] != i:
            continue
        launches = [n for n in (plan.nodes[j] for j in group) if isinstance(n, KernelNode)]
        made = merging.node(launches) if len(group) > 1 else node
        placed.append((levels[i], made))
    nodes = tuple(node for _, node in sorted(placed, key=lambda pair: pair[0]))
    commit = sum(level[0] == 0 for level, _ in placed)
    kernels = merging.kernels.values()
    program = launched_kernels(plan.program, kernels, (*plan.prepare, *nodes))
    return replace(plan, program=program, nodes=nodes, edges=find_edges(nodes), commit=commit)


def merged_positions(plan: LaunchPlan) -> tuple[tuple[int, ...], ...]:
    """The decision: positions of nodes that become one launch, in groups of two or more."""
    waiting: dict[tuple[int, int], list[int]] = {}
    for i, level in enumerate(_levels(plan)):
        if _is_small(plan.nodes[i]):
            waiting.setdefault(level, []).append(i)
    found = [group for level in sorted(waiting) for group in _packed(plan.nodes, waiting[level])]
    return tuple(group for group in found if len(group) > 1)


def _levels(plan: LaunchPlan) -> list[tuple[int, int]]:
    """For every node whether it commits, and a level that is above those of what comes before.

    Small launches that nothing waits for, such as updates, share the last level of any of them.
    """
    levels: list[tuple[int, int]] = []
    before: list[list[int]] = [[] for _ in plan.nodes]
    for a, b in plan.edges:
        before[b].append(a)
    for i, earlier in enumerate(before):
        side = int(i >= plan.commit)
        mine = [levels[a][1] + 1 for a in earlier if levels[a][0] == side]
        levels.append((side, max(mine, default=0)))
    awaited = {a for a, _ in plan.edges}
    ends = [i for i, node in enumerate(plan.nodes) if i not in awaited and _is_small(node)]
    for side in (0, 1):
        last = max((levels[i] for i in ends if levels[i][0] == side), default=(side, 0))
        for i in ends:
            levels[i] = last if levels[i][0] == side else levels[i]
    return levels


def _is_small(node: Node) -> bool:
    """Whether a launch may be a part of another."""
    if not isinstance(node, KernelNode) or node.grid > MOST_BLOCKS or node.kernel.block % WARP:
        return False
    if any(place.region.role == STATUS for place in node.writes):
        return False
    return _is_free(node.kernel)


def _is_free(kernel: DeviceKernel) -> bool:
    """Whether blocks need neither barriers, nor memory of their own, nor the grid's size."""
    for stmt in walk(kernel.body):
        if isinstance(stmt, (Barrier, Declare)):
            return False
        waiting = list(values_of(stmt))
        while waiting:
            value = waiting.pop()
            if isinstance(value, Special) and value.name == "blocks":
                return False
            waiting += operands_of(value)
    return True


def _packed(nodes: Sequence[Node], positions: Sequence[int]) -> list[tuple[int, ...]]:
    """Launches of one level in groups within the limits, those with one body first."""
    launches = [n for n in (nodes[i] for i in positions) if isinstance(n, KernelNode)]
    bodies = groups_of([_part(n) for n in launches])
    found: list[tuple[int, ...]] = []
    group: list[int] = []
    arrays = bodies_in = 0
    for body in sorted(bodies, key=len, reverse=True):
        bodies_in += 1
        for i in body:
            size = len(launches[i].arguments)
            if group and _is_full(arrays + size, len(group), bodies_in):
                found.append(tuple(sorted(group)))
                group, arrays, bodies_in = [], 0, 1
            group.append(positions[i])
            arrays += size
    return [*found, tuple(sorted(group))]


def _is_full(arrays: int, parts: int, bodies: int) -> bool:
    return arrays > MOST_ARRAYS or parts >= MOST_PARTS or bodies > MOST_BODIES


def _part(node: KernelNode) -> Part:
    return Part(node.kernel, node.grid, node.arguments)


class _Merging:
    """Makes merged launches; those that are alike share code."""

    def __init__(self) -> None:
        self.kernels: dict[Hashable, DeviceKernel] = {}

    def node(self, parts: Sequence[KernelNode]) -> KernelNode:
        """One launch for all."""
        numbers: dict[Place, int] = {}
        places = [p for part in parts for p in part.arguments]
        same = tuple(numbers.setdefault(p, len(numbers)) for p in places)
        key = (tuple((p.kernel, p.grid) for p in parts), same)
        name = f"m{len(self.kernels):02d}_{_plain(parts[0].kernel.name)}_and_{len(parts) - 1}"
        made, chosen = merge_kernels(name, [_part(p) for p in parts])
        kernel = self.kernels.setdefault(key, made)
        arguments = tuple(p for p in chosen if isinstance(p, Place))
        by_place = {p: s for part in parts for p, s in zip(part.arguments, part.storages)}
        storages = tuple(by_place.get(p) for p in arguments)
        grid = sum(p.grid for p in parts)
        return KernelNode(kernel, grid, arguments, parts[0].call, storages, tuple(parts))


def _plain(name: str) -> str:
    """What a kernel computes, without its number."""
    return name.partition("_")[2] or name


def launched_kernels(
    program: Program, made: Iterable[DeviceKernel], nodes: Sequence[Node]
) -> Program:
    """The kernels that are launched still, then those that were made."""
    used: set[DeviceKernel] = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if isinstance(node, KernelNode):
            used.add(node.kernel)
        elif isinstance(node, DynamicLoop):
            waiting += node.every
    kept = tuple(k for k in program.kernels if k in used)
    return replace(program, kernels=(*kept, *made))
