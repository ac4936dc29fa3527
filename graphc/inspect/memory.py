"""Where the bytes of a compiled function are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from graphc.compiler.memory.plan import MemoryPlan
from graphc.inspect.names import bytes_text, folds
from graphc.inspect.subject import Subject, program_of, sizes_of
from graphc.ir.dims import Size, evaluate
from graphc.ir.graph import Graph, Node
from graphc.ir.ops.base import Leaf, View
from graphc.ir.schedule import TEMPORARY, KernelCall, Schedule, Storage
from graphc.origin import BACKWARD, FORWARD


@dataclass(frozen=True)
class Memory:
    """Bytes for the sizes `dims`; MB is 10**6 bytes.

    `arena_bytes` holds every intermediate value, and at least `lower_bound_bytes` of them are
    alive at once; `saved_bytes` are forward values kept for the backward half (part of the
    arena); `prepared_bytes` are values computed from parameters alone, kept between calls.
    `timeline` has the bytes alive in each phase, with the names of the kernels in it.
    """

    arena_bytes: int
    lower_bound_bytes: int
    saved_bytes: int
    parameter_bytes: int
    prepared_bytes: int
    timeline: tuple[tuple[str, int], ...]
    dims: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        share = 100 * self.lower_bound_bytes / self.arena_bytes if self.arena_bytes else 100.0
        rows = (
            ("arena", self.arena_bytes, f"  {share:.1f} % of it alive at the peak"),
            ("kept for the backward half", self.saved_bytes, "  part of the arena"),
            ("parameters", self.parameter_bytes, ""),
            ("prepared values", self.prepared_bytes, ""),
        )
        return "\n".join(f"{name:<28}{bytes_text(size):>10}{note}" for name, size, note in rows)


def memory(subject: Subject) -> Memory:
    """The memory of a compiled function at its first sizes."""
    program, dims = program_of(subject), sizes_of(subject)
    return measure(program.schedule, program.plan(dims), dims)


def measure(schedule: Schedule, plan: MemoryPlan, dims: Mapping[str, int]) -> Memory:
    """The memory of a schedule with its plan."""
    names: list[list[str]] = [[] for _ in plan.timeline]
    for phase, call in zip(schedule.phases(), schedule.calls):
        names[phase].append(call.kernel.name)
    return Memory(
        plan.arena_bytes,
        plan.lower_bound_bytes,
        sum(plan.sizes[s] for s in saved_storages(schedule)),
        sum(evaluate(s.type.nbytes, dims) for s in schedule.parameters),
        plan.prepared_bytes,
        tuple((" ".join(mine), live) for mine, live in zip(names, plan.timeline)),
        tuple(dims.items()),
    )


def kept_values(graph: Graph) -> dict[Node, Size]:
    """Forward values that the backward half reads, with their bytes.

    A view is no value of its own: what it looks at is kept. Inputs, parameters and what follows
    from sizes alone are there anyway.
    """
    kept: dict[Node, Size] = {}
    for node in graph.nodes:
        for i in node.inputs if node.step_part == BACKWARD else ():
            source = viewed(i)
            if (
                source.step_part == FORWARD
                and not isinstance(source.op, Leaf)
                and not folds(source)
            ):
                kept[source] = source.type.nbytes
    return kept


def viewed(node: Node) -> Node:
    """What a forward view looks at."""
    while isinstance(node.op, View) and node.step_part == FORWARD:
        node = node.inputs[0]
    return node


def saved_storages(schedule: Schedule) -> tuple[Storage, ...]:
    """Temporaries with forward values that a later kernel reads for the backward half."""
    made: set[Node] = set()
    found: dict[Storage, None] = {}
    for call in schedule.calls:
        mine = set(call.writes)
        for storage in call.reads:
            node = storage.node if storage.role == TEMPORARY and storage not in mine else None
            if node and node.step_part == FORWARD and _feeds_backward(call, node, made):
                found[storage] = None
        made.update(call.nodes)
    return tuple(found)


def saved_nodes(schedule: Schedule) -> dict[Node, Size]:
    """The forward values that are stored for the backward half, with their bytes."""
    return {s.node: s.type.nbytes for s in saved_storages(schedule) if s.node}


def _feeds_backward(call: KernelCall, value: Node, made: set[Node]) -> bool:
    """Whether a backward node of a call reads a value, itself or through what is computed again."""
    reached = {value}
    for node in call.nodes:
        if any(viewed(i) in reached for i in node.inputs):
            if node.step_part == BACKWARD:
                return True
            if node in made:
                reached.add(node)
    return False
