"""Split off calls that depend on parameters alone.

It runs when a parameter has changed instead of at every call. A parameter that the function
itself updates changes at every call, so nothing that reads it is split off. Neither is what checks
its operands, since every call has to fail then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from graphc.compiler.order.order import order
from graphc.ir.graph import Graph, Node
from graphc.ir.loops.ir import Check, walk
from graphc.ir.schedule import (
    CONSTANT,
    PARAMETER,
    PREPARED,
    TEMPORARY,
    KernelCall,
    Storage,
    every_call,
    relocate,
)  # fmt: skip


def split_prepare(
    graph: Graph, calls: Sequence[KernelCall]
) -> tuple[tuple[KernelCall, ...], list[KernelCall]]:
    """Return the prepare calls in order, and the other calls.

    A temporary that a prepare call makes and another call reads becomes PREPARED.
    """
    updated = {p for p, _ in graph.updates}
    makers = {s: c for c in calls for s in c.writes if s.role != PARAMETER}
    fixed: dict[KernelCall, bool] = {}
    for call in topological_calls(calls, makers):
        # what a call adds to in place it both reads and makes
        given = [s for s in call.reads if makers.get(s) is not call]
        fixed[call] = all(_is_fixed(s, updated, makers, fixed) for s in given) and all(
            s.role == TEMPORARY for s in call.writes
        )
        fixed[call] &= not any(map(checks, every_call([call])))
    early = [c for c in calls if fixed[c]]
    late = [c for c in calls if not fixed[c]]
    if not early:
        return (), late
    kept = {s for c in late for s in c.reads if s in makers and fixed[makers[s]]}
    renamed = {s: replace(s, role=PREPARED) for s in kept}
    prepare, _ = order([relocate(c, renamed) for c in early])
    return prepare, [relocate(c, renamed) for c in late]


def checks(call: KernelCall) -> bool:
    """Whether a call records failures."""
    return any(isinstance(s, Check) for s in walk(call.kernel.body))


def _is_fixed(
    storage: Storage,
    updated: set[Node],
    makers: dict[Storage, KernelCall],
    fixed: dict[KernelCall, bool],
) -> bool:
    if storage.role == PARAMETER:
        return storage.node is not None and storage.node not in updated
    if storage.role == CONSTANT:
        return True
    return storage.role == TEMPORARY and storage in makers and fixed.get(makers[storage], False)


def topological_calls(
    calls: Sequence[KernelCall], makers: dict[Storage, KernelCall]
) -> list[KernelCall]:
    """The calls in topological order.

    Calls that wait for each other stand in any order here: `order` names and refuses them.
    """
    order: list[KernelCall] = []
    done: set[KernelCall] = set()
    for root in calls:
        stack = [(root, iter(root.reads))]
        opened = {root}
        while stack:
            call, reads = stack[-1]
            needed = next((makers[s] for s in reads if s in makers and makers[s] not in done), None)
            if needed is None or needed in opened:
                if needed is None:
                    stack.pop()
                    if call not in done:
                        done.add(call)
                        order.append(call)
                continue
            opened.add(needed)
            stack.append((needed, iter(needed.reads)))
    return order
