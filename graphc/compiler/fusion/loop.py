"""Lower a scan: fuse its body once and assign the storage rows of each iteration.

A carry has two rows that change roles from step to step (or, where the length is known to be
small, no more): a step reads row step % 2 and writes row (step + 1) % 2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from graphc.compiler.fusion.fused import Fused
from graphc.compiler.fusion.kernel_calls import KernelCalls
from graphc.compiler.order.order import order
from graphc.ir.dims import Size
from graphc.ir.graph import Graph, Node
from graphc.ir.loops.ir import Buffer, Kernel
from graphc.ir.ops.loop import Scan
from graphc.ir.schedule import (
    OUTPUT,
    TEMPORARY,
    WINDOW,
    KernelCall,
    LoopCall,
    RowWindow,
    Storage,
    relocate,
)

CARRY_ROWS = 2  # one is read, one written; then they change roles


@dataclass(eq=False)
class _Loop:
    """A loop being lowered; `outside` has the calls of the graph that it is in."""

    outside: KernelCalls
    nodes: list[Node]
    windows: dict[Storage, RowWindow] = field(default_factory=dict)
    before: list[KernelCall] = field(default_factory=list)
    after: list[KernelCall] = field(default_factory=list)
    places: dict[Storage, Storage] = field(default_factory=dict)  # of the body -> outside

    @property
    def op(self) -> Scan:
        """The op of any result."""
        op = self.nodes[0].op
        assert isinstance(op, Scan)
        return op


def lower_loop(
    nodes: list[Node], outside: KernelCalls, fuse_body: Callable[[Graph], Fused]
) -> LoopCall:
    """The call that runs a loop and stores the results that `nodes` are."""
    loop = _Loop(outside, nodes)
    op = loop.op
    outputs = tuple((f"{i}", n) for i, n in enumerate(op.body.outputs))
    body = fuse_body(Graph(op.body.inputs, outputs, name=outside.graph.name))
    _place_inputs(loop, body)
    _place_outputs(loop, body)
    calls = tuple(relocate(c, loop.places) for c in body.calls)
    repeated, barriers = order(calls)
    parts = (*loop.before, *repeated, *loop.after)
    used = {s for c in parts for s in c.arguments}
    windows = {s: w for s, w in loop.windows.items() if s in used}
    count = outside.bytes_of(nodes[0].inputs[-1]) if op.counted else None
    condition = None if op.condition is None else loop.places[body.inputs[op.condition]]
    if condition is not None:
        windows[condition] = loop.windows[condition]
    kernel, arguments = _outside(outside.names.unique("scan"), parts, windows, count)
    flops: Size = 0
    moved: Size = 0
    for call in repeated:
        flops, moved = flops + call.flops * op.length, moved + call.bytes * op.length
    return LoopCall(
        kernel, arguments, tuple(nodes), flops, moved, (), nodes[-1].step_part,
        tuple(loop.before), repeated, tuple(loop.after), barriers, windows, op.length, count,
        condition,
    )  # fmt: skip


def _place_inputs(loop: _Loop, body: Fused) -> None:
    op = loop.op
    for i, (storage, source) in enumerate(zip(body.inputs, loop.nodes[0].inputs)):
        if i < op.carries:
            loop.places[storage] = _carry(loop, i, storage, source)
        elif i < op.carries + op.scanned:
            stack = loop.outside.bytes_of(source)
            loop.places[storage] = _window(loop, storage, RowWindow(stack, 0, op.reverse))
        else:
            loop.places[storage] = loop.outside.bytes_of(source)


def _carry(loop: _Loop, i: int, storage: Storage, start: Node) -> Storage:
    """The rows of a carry: filled before the loop, read by the iterations and after it."""
    outside = loop.outside
    type = storage.type.with_shape((CARRY_ROWS, *storage.type.shape))
    rows = Storage(outside.names.unique(f"carry_{i}"), type, TEMPORARY)
    first = _window(loop, storage, RowWindow(rows))
    loop.before.append(outside.copy_call(start, first))
    for node in loop.nodes:
        if isinstance(node.op, Scan) and node.op.index == i:
            last = replace(first, name=outside.names.unique("last"))
            loop.windows[last] = RowWindow(rows)
            for target in outside.targets.get(node, ()):
                loop.after.append(outside.copy_bytes(last, target))
    return first


def _place_outputs(loop: _Loop, body: Fused) -> None:
    op = loop.op
    for i, storage in enumerate(body.outputs):
        if i < op.carries:
            first = loop.places[body.inputs[i]]
            rows = loop.windows[first].base
            loop.places[storage] = _window(loop, storage, RowWindow(rows, 1))
            continue
        targets = tuple(
            place
            for node in loop.nodes
            if isinstance(node.op, Scan) and node.op.index == i
            for place in loop.outside.targets.get(node, ())
        )
        stack = targets[0] if targets else _unused(loop, storage)
        backward = op.reverse and bool(targets)  # one row is not counted from its end
        loop.places[storage] = _window(loop, storage, RowWindow(stack, 0, backward))
        for other in targets[1:]:
            loop.after.append(loop.outside.copy_bytes(stack, other))


def _unused(loop: _Loop, storage: Storage) -> Storage:
    """One row for a result that nobody reads."""
    type = storage.type.with_shape((1, *storage.type.shape))
    return Storage(loop.outside.names.unique("unused"), type, TEMPORARY)


def _window(loop: _Loop, storage: Storage, window: RowWindow) -> Storage:
    name = loop.outside.names.unique(storage.name)
    result = Storage(name, storage.type, WINDOW, storage.node)
    loop.windows[result] = window
    return result


def _outside(
    name: str,
    calls: tuple[KernelCall, ...],
    windows: Mapping[Storage, RowWindow],
    count: Storage | None,
) -> tuple[Kernel, tuple[Storage, ...]]:
    """A kernel that stands for the loop: what it reads and writes outside, and its statements."""

    def outer(storage: Storage) -> Storage:
        while storage in windows:
            storage = windows[storage].base
        return storage

    read = dict.fromkeys(outer(s) for c in calls for s in c.reads)
    read |= dict.fromkeys([] if count is None else [count])
    written = dict.fromkeys(outer(s) for c in calls for s in c.writes)
    made = {s for s in written if s.role in (TEMPORARY, OUTPUT)}
    buffers = {s: Buffer(s.name, s.type.dtype, s.type.shape) for s in (*read, *written)}
    reads = tuple(buffers[s] for s in read if s not in made)
    writes = tuple(buffers[s] for s in written)
    body = tuple(statement for c in calls for statement in c.kernel.body)
    kernel = Kernel(name, reads, writes, body)
    storage = {b: s for s, b in buffers.items()}
    return kernel, tuple(storage[b] for b in kernel.arguments)
