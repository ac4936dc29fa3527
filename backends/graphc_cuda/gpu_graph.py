"""A launch plan on a GPU: one CUDA graph, or several with loops between them.

Nodes and edges of the plan become nodes and edges of the graph, which is made once and launched in
every step. A loop whose number of iterations is known on the device only stands between two graphs:
the host launches its kernels one by one and reads the count or the condition between iterations.
(Drivers from 12.4 on have WHILE nodes, which need a kernel of their own that sets the condition.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from weakref import WeakSet

import numpy as np

from graphc.ir.types import Array
from graphc_cuda.device_api import Memory
from graphc_cuda.driver import DriverCallError
from graphc_cuda.driver_launch import Handle, Launch
from graphc_cuda.gpu_memory import GpuMemory
from graphc_cuda.gpu_queue import GpuQueue
from graphc_cuda.launch import (
    DynamicLoop,
    FillNode,
    KernelNode,
    LaunchPlan,
    LibraryNode,
    Node,
    Place,
    Region,
)
from graphc_cuda.library.cublaslt import CublasLt, PreparedProduct
from graphc_cuda.library.product import Product

Single = KernelNode | FillNode | LibraryNode  # what a node of a graph stands for


class Bound:
    """What the nodes of a plan are on given memory."""

    def __init__(
        self,
        queue: GpuQueue,
        functions: Mapping[str, tuple[Handle, int]],
        memories: Mapping[Region, GpuMemory],
    ) -> None:
        self._queue, self._functions = queue, functions
        self.memories = dict(memories)
        self._launches: dict[KernelNode, Launch] = {}
        self._products: dict[Product, PreparedProduct] = {}

    def address(self, place: Place) -> int:
        """Where a place is; one without bytes may be in no region."""
        if place.size == 0 and place.region not in self.memories:
            return 0
        memory = self.memories[place.region]
        assert place.offset + place.size <= memory.nbytes, f"{place} of {memory.nbytes} bytes"
        return memory.address + place.offset

    def launch(self, node: KernelNode) -> Launch:
        """The launch of a node, which keeps its arguments in one place."""
        if node not in self._launches:
            addresses = [self.address(p) for p in node.arguments]
            function, shared = self._functions[node.kernel.name]
            block = node.kernel.block
            self._launches[node] = Launch.of(function, node.grid, block, shared, addresses)
        return self._launches[node]

    def fill(self, node: FillNode) -> tuple[int, int, int]:
        """Address, value and bytes."""
        return self.address(node.place), node.value, node.place.size

    def multiply(self, node: LibraryNode) -> None:
        """Queue a product, or add it to what is captured."""
        if node.product not in self._products:
            self._products[node.product] = self._queue.library(CublasLt).prepare(node.product)
        addresses = tuple(self.address(p) for p in node.arguments)
        self._products[node.product].run(addresses, int(self._queue.stream))

    def captured(self, node: LibraryNode) -> Handle:
        """A product as a graph of its own."""
        return self._queue.driver.capture(self._queue.stream, lambda: self.multiply(node))

    def move(self, memories: Mapping[Region, GpuMemory]) -> None:
        """Other memory for some regions, in all launches that there are."""
        self.memories.update(memories)
        for node, launch in self._launches.items():
            launch.addresses[:] = [self.address(p) for p in node.arguments]

    def run(self, node: Node) -> None:
        """Queue one node by itself."""
        driver, stream = self._queue.driver, self._queue.stream
        match node:
            case KernelNode():
                driver.launch(self.launch(node), stream)
            case FillNode():
                driver.fill(*self.fill(node), stream)
            case LibraryNode():
                self.multiply(node)
            case DynamicLoop():
                self._loop(node)

    def _loop(self, loop: DynamicLoop) -> None:
        """As many iterations as the device says, which the host asks."""
        most = loop.most
        if loop.count is not None:
            most = max(0, min(most, int(self._read(loop.count, np.zeros(1, np.int64)))))
        done = 0
        self._run_all(loop.before)
        while done < most and self._goes_on(loop, done):
            self._run_all(loop.iteration(done, most))
            done += 1
        if loop.after:
            self._run_all(loop.after[done])

    def _run_all(self, nodes: Sequence[Node]) -> None:
        for node in nodes:
            self.run(node)

    def _goes_on(self, loop: DynamicLoop, step: int) -> bool:
        if not loop.conditions:
            return True
        return bool(self._read(loop.conditions[step], np.zeros(1, np.uint8)))

    def _read(self, place: Place, value: Array) -> int:
        self._queue.download(value, self.address(place))
        return int(value[0])


class Graph:
    """A run of nodes without loops, as a CUDA graph."""

    def __init__(
        self,
        queue: GpuQueue,
        bound: Bound,
        nodes: Sequence[Single],
        edges: Sequence[tuple[int, int]],
    ) -> None:
        self._queue, self._bound = queue, bound
        self._nodes: list[tuple[Single, Handle]] = []
        before: dict[int, list[int]] = {}
        for earlier, later in edges:
            before.setdefault(later, []).append(earlier)
        self._graph = queue.driver.graph()
        for i, node in enumerate(nodes):
            after = [self._nodes[j][1] for j in before.get(i, ())]
            self._nodes.append((node, self._add(node, after)))
        self._executable = queue.driver.instantiate(self._graph)

    def _add(self, node: Single, after: Sequence[Handle]) -> Handle:
        driver = self._queue.driver
        if isinstance(node, KernelNode):
            return driver.add_kernel(self._graph, after, self._bound.launch(node))
        if isinstance(node, LibraryNode):
            child = self._bound.captured(node)
            made = driver.add_child(self._graph, after, child)
            driver.forget_graph(child)
            return made
        return driver.add_fill(self._graph, after, self._bound.fill(node), self._queue.context)

    def run(self) -> None:
        """Queue all nodes."""
        self._queue.driver.launch_graph(self._executable, self._queue.stream)

    def move(self, regions: frozenset[Region]) -> None:
        """Tell the graph where regions are now."""
        driver = self._queue.driver
        for node, handle in self._nodes:
            places = (*node.reads, *node.writes)
            if not regions & {p.region for p in places}:
                continue
            if isinstance(node, KernelNode):
                driver.change_kernel(self._executable, handle, self._bound.launch(node))
            elif isinstance(node, LibraryNode):
                child = self._bound.captured(node)
                driver.change_child(self._executable, handle, child)
                driver.forget_graph(child)
            else:
                fill = self._bound.fill(node)
                driver.change_fill(self._executable, handle, fill, self._queue.context)

    def release(self) -> None:
        """Give it back."""
        self._queue.driver.destroy_graph(self._graph, self._executable)


class GpuExecutable:
    """A plan on memory: graphs and loops in order."""

    def __init__(
        self,
        queue: GpuQueue,
        plan: LaunchPlan,
        functions: Mapping[str, tuple[Handle, int]],
        memories: Mapping[Region, Memory],
    ) -> None:
        self.plan = plan
        self._queue, self._released = queue, False
        self._bound = Bound(queue, functions, _checked(plan, memories))
        chain = [(i, i + 1) for i in range(len(plan.prepare) - 1)]
        self._prepare = self._parts(plan.prepare, chain)
        self._step = self._parts(plan.nodes, plan.edges)
        self._done = queue.driver.event()
        self._timed: list[Handle] = []
        self._used: WeakSet[GpuMemory] = WeakSet()
        self._use(self._bound.memories)

    def _parts(
        self, nodes: Sequence[Node], edges: Sequence[tuple[int, int]]
    ) -> list[Graph | DynamicLoop]:
        """Graphs of the nodes between loops; one part waits for all of the one before."""
        parts: list[Graph | DynamicLoop] = []
        start = 0
        run: list[Single] = []
        for i, node in enumerate((*nodes, None)):
            if isinstance(node, (KernelNode, FillNode, LibraryNode)):
                run.append(node)
                continue
            inside = [(a - start, b - start) for a, b in edges if start <= a and b < i]
            if run:
                parts.append(Graph(self._queue, self._bound, run, inside))
            if node is not None:
                parts.append(node)
            start, run = i + 1, []
        return parts

    def prepare(self) -> None:
        """Run what depends on parameters alone."""
        self._run(self._prepare)

    def launch(self) -> None:
        """Run all nodes."""
        self._run(self._step)

    def _run(self, parts: Sequence[Graph | DynamicLoop]) -> None:
        self._queue.follow_uploads()
        try:
            for part in parts:
                part.run() if isinstance(part, Graph) else self._bound.run(part)
        finally:  # an interrupted loop has used the memory too
            self._queue.driver.record(self._done, self._queue.stream)

    def rebind(self, memories: Mapping[Region, Memory]) -> None:
        """Use other memory for some regions; launches that are queued keep theirs."""
        self._queue.use()
        checked = _checked(self.plan, memories, only=True)
        moved = {r: m for r, m in checked.items() if m.address != self._bound.memories[r].address}
        if not moved:
            return
        self._use(moved)  # what is left stays in use until what is queued is done
        self._bound.move(moved)
        for part in (*self._prepare, *self._step):
            if isinstance(part, Graph):
                part.move(frozenset(moved))

    def _use(self, memories: Mapping[Region, GpuMemory]) -> None:
        for memory in memories.values():
            memory.use_until(self._done)
            self._used.add(memory)

    def profile(self) -> list[float]:
        """Run the nodes one by one; seconds of each."""
        self._queue.follow_uploads()
        driver, stream = self._queue.driver, self._queue.stream
        while len(self._timed) <= len(self.plan.nodes):
            self._timed.append(driver.event(timed=True))
        driver.record(self._timed[0], stream)
        for node, event in zip(self.plan.nodes, self._timed[1:]):
            self._bound.run(node)
            driver.record(event, stream)
        driver.record(self._done, stream)
        self._queue.synchronize()
        pairs = zip(self._timed, self._timed[1:])
        return [driver.seconds(a, b) for a, b in pairs]

    def release(self) -> None:
        """Give the graphs back when the device is idle; a second time does nothing."""
        if self._released:
            return
        self._released = True
        self._queue.drain()
        for memory in list(self._used):
            memory.forget(self._done)
        with suppress(DriverCallError):  # after a fault everything is lost anyway
            for part in (*self._prepare, *self._step):
                if isinstance(part, Graph):
                    part.release()
            for event in (self._done, *self._timed):
                self._queue.driver.destroy_event(event)


def _checked(
    plan: LaunchPlan, memories: Mapping[Region, Memory], only: bool = False
) -> dict[Region, GpuMemory]:
    """Memory for every region, large enough; `only` some regions may be given."""
    missing = [str(r) for r in plan.regions if r not in memories]
    assert only or not missing, f"no memory for {', '.join(missing)}"
    found = {}
    for region, memory in memories.items():
        assert isinstance(memory, GpuMemory)
        needed = plan.regions[region]
        assert memory.nbytes >= needed, f"{region}: {memory.nbytes} of {needed} bytes"
        found[region] = memory
    return found
