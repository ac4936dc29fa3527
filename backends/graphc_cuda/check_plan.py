"""Verify a launch plan as data: places, edges, and what was written where before it is read.

Nothing here knows how plans are made. `check_nodes` is linear and runs in every compilation,
`check_order` and `check_bytes` look at every pair of accesses that meet.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from graphc.errors import VerifyError
from graphc_cuda.accesses import Access, access_bytes, accesses
from graphc_cuda.device.program import DeviceArray, DeviceKernel
from graphc_cuda.launch import (
    CONSTANT,
    INPUT,
    PARAMETER,
    RNG,
    STATUS,
    DynamicLoop,
    FillNode,
    KernelNode,
    LaunchPlan,
    LibraryNode,
    Node,
    Place,
    Region,
)
from graphc_cuda.library.product import ALIGNMENT

MAX_THREADS = 1024  # of a block, on every GPU
MAX_GRID = 2**31 - 1
GIVEN = (INPUT, PARAMETER, CONSTANT, RNG)  # regions that hold something before the step
LASTING = (PARAMETER, RNG)  # what outlives the step


def check_plan(plan: LaunchPlan) -> None:
    """Raise VerifyError unless the plan is right in every way that can be told from it."""
    check_nodes(plan)
    check_order(plan)
    check_bytes(plan)


# ------------------------------------------------------------------ every node by itself


def check_nodes(plan: LaunchPlan) -> None:
    """Raise VerifyError for a node that no device can run, or that writes too early."""
    known = {k.name for k in plan.program.kernels}
    _ensure(len(known) == len(plan.program.kernels), f"{plan.name}: kernels share a name")
    looked: dict[DeviceKernel, dict[DeviceArray, Access]] = {}
    for where, node in _every(plan):
        for place in _places(node):
            _check_place(plan, where, place)
        if isinstance(node, KernelNode):
            _ensure(node.kernel.name in known, f"{where}: the program has no such kernel")
            _check_launch(where, node)
            if node.kernel not in looked:
                looked[node.kernel] = accesses(node.kernel)
                _check_written(where, node.kernel, looked[node.kernel])
        elif isinstance(node, LibraryNode):
            _check_product(where, node)
    _check_commit(plan, looked)


def _every(plan: LaunchPlan) -> Iterator[tuple[str, Node]]:
    """All nodes, those inside loops too, with words that say which one it is."""
    for part, nodes in (("prepare", plan.prepare), ("node", plan.nodes)):
        for i, node in enumerate(nodes):
            for each in _inside(node):
                name = each.kernel.name if isinstance(each, KernelNode) else type(each).__name__
                yield f"{plan.name}: {part} {i} ({name})", each


def _inside(node: Node) -> Iterator[Node]:
    """The node, and what it runs."""
    yield node
    if isinstance(node, DynamicLoop):
        for inner in node.every:
            yield from _inside(inner)


def _places(node: Node) -> tuple[Place, ...]:
    return (*node.reads, *node.writes)


def _check_place(plan: LaunchPlan, where: str, place: Place) -> None:
    if place.size == 0:
        return  # a region without bytes is not in the plan
    size = plan.regions.get(place.region)
    _ensure(size is not None, f"{where}: {place} is in no region of the plan")
    inside = min(place.offset, place.size) >= 0 and place.offset + place.size <= (size or 0)
    _ensure(inside, f"{where}: {place} is not inside its region of {size} bytes")


def _check_launch(where: str, node: KernelNode) -> None:
    arrays = node.kernel.arrays
    _ensure(1 <= node.grid <= MAX_GRID, f"{where}: a grid of {node.grid} blocks")
    threads = node.kernel.block
    _ensure(1 <= threads <= MAX_THREADS, f"{where}: blocks of {threads} threads")
    _ensure(
        len(arrays) == len(node.arguments),
        f"{where}: {len(node.arguments)} places for {len(arrays)} arrays",
    )
    widest = access_bytes(node.kernel)
    for array, place in zip(arrays, node.arguments):
        _ensure(array.nbytes <= place.size, f"{where}: {array.name} has more bytes than {place}")
        _ensure(
            place.offset % widest[array] == 0,
            f"{where}: {array.name} ({array.dtype.name}) is not aligned at {place}",
        )


def _check_product(where: str, node: LibraryNode) -> None:
    """What it reads is where it finds it, and the result is in no byte of what else it touches."""
    sizes, places = node.product.nbytes, (*node.arguments[:3], *node.arguments[4:])
    _ensure(len(sizes) == len(places), f"{where}: {len(places)} places for {len(sizes)} arrays")
    for nbytes, place in zip(sizes, places):
        _ensure(nbytes == place.size, f"{where}: a matrix of {nbytes} bytes at {place}")
        _ensure(place.offset % ALIGNMENT == 0, f"{where}: a matrix is not aligned at {place}")
    c, space = node.arguments[2:4]
    apart = not any(c.overlaps(x) or space.overlaps(x) for x in node.reads)
    _ensure(apart and not c.overlaps(space), f"{where}: writes over what it reads at {c}")


def _check_written(where: str, kernel: DeviceKernel, found: dict[DeviceArray, Access]) -> None:
    for array, access in found.items():
        changed = bool(access & (Access.WRITE | Access.LOWER))
        _ensure(not changed or array in kernel.written, f"{where}: writes {array.name} untold")


def _check_commit(plan: LaunchPlan, looked: dict[DeviceKernel, dict[DeviceArray, Access]]) -> None:
    _ensure(0 <= plan.commit <= len(plan.nodes), f"{plan.name}: commits from {plan.commit} on")
    may_fail = any(Access.LOWER in a for found in looked.values() for a in found.values())
    for i, node in enumerate(plan.nodes):
        if not any(p.region.role in LASTING for p in node.writes):
            continue
        _ensure(i >= plan.commit, f"{plan.name}: node {i} writes what lasts before {plan.commit}")
        asks = any(p.region.role == STATUS for p in node.reads)
        _ensure(asks or not may_fail, f"{plan.name}: node {i} does not ask whether a check failed")


# ------------------------------------------------------------------------- edges


@dataclass(frozen=True)
class _Use:
    """Bytes that a node touches."""

    node: int
    place: Place
    access: Access

    def disturbs(self, other: _Use) -> bool:
        """Whether the order of the two matters, given that they meet."""
        both = self.access | other.access
        return both != Access.READ and both != Access.LOWER


def check_order(plan: LaunchPlan) -> None:
    """Raise VerifyError for an edge too many, or two nodes that meet without a path."""
    reach = _reach(plan)
    _check_reduction(plan, reach)
    uses: dict[Region, list[_Use]] = {}
    for i, node in enumerate(plan.nodes):
        if isinstance(node, KernelNode) and not node.in_turn:
            _check_parts(f"{plan.name}: node {i} ({node.kernel.name})", node)
        for place, access in _uses(node):
            uses.setdefault(place.region, []).append(_Use(i, place, access))
    for found in uses.values():
        for a, b in _meeting(found):
            first, last = sorted((a.node, b.node))
            ordered = first == last or bool(reach[last] >> first & 1)
            _ensure(
                ordered or not a.disturbs(b),
                f"{plan.name}: no path from node {first} to {last}, which meet at"
                f" {a.place} and {b.place}",
            )


def _check_parts(where: str, node: KernelNode) -> None:
    """No part of a merged launch needs what another one writes."""
    uses: dict[Region, list[_Use]] = {}
    for i, part in enumerate(node.parts):
        for place, access in _of_launch(part):
            uses.setdefault(place.region, []).append(_Use(i, place, access))
    for found in uses.values():
        for a, b in _meeting(found):
            apart = a.node == b.node or not a.disturbs(b)
            _ensure(apart, f"{where}: parts {a.node} and {b.node} meet at {a.place} and {b.place}")


def _reach(plan: LaunchPlan) -> list[int]:
    """For every node the set of those before it, as bits."""
    before: list[list[int]] = [[] for _ in plan.nodes]
    for a, b in plan.edges:
        _ensure(0 <= a < b < len(plan.nodes), f"{plan.name}: edge {(a, b)} is none")
        before[b].append(a)
    reach: list[int] = []
    for nodes in before:
        found = 0
        for a in nodes:
            found |= reach[a] | 1 << a
        reach.append(found)
    return reach


def _check_reduction(plan: LaunchPlan, reach: Sequence[int]) -> None:
    _ensure(len(set(plan.edges)) == len(plan.edges), f"{plan.name}: an edge stands there twice")
    after: list[list[int]] = [[] for _ in plan.nodes]
    for a, b in plan.edges:
        after[b].append(a)
    for b, nodes in enumerate(after):
        for a in nodes:
            longer = any(reach[c] >> a & 1 for c in nodes)
            _ensure(not longer, f"{plan.name}: edge {(a, b)} follows from others")


def _uses(node: Node) -> list[tuple[Place, Access]]:
    """What a node does where."""
    if isinstance(node, FillNode):
        return [(node.place, Access.WRITE)]
    if isinstance(node, KernelNode):
        return _of_launch(node)
    if isinstance(node, LibraryNode):
        read = [(p, Access.READ) for p in node.reads]
        return [*read, *((p, Access.WRITE) for p in node.writes)]
    own = [*node.conditions, *([] if node.count is None else [node.count])]
    return [(p, Access.READ) for p in own] + [u for n in node.every for u in _uses(n)]


def _of_launch(node: KernelNode) -> list[tuple[Place, Access]]:
    table = accesses(node.kernel)
    pairs = zip(node.kernel.arrays, node.arguments)
    return [(p, table[a]) for a, p in pairs if p.size and table[a]]


def _meeting(uses: list[_Use]) -> Iterator[tuple[_Use, _Use]]:
    """Pairs that have a byte in common."""
    active: list[_Use] = []
    for use in sorted(uses, key=lambda u: u.place.offset):
        active = [u for u in active if u.place.offset + u.place.size > use.place.offset]
        yield from ((u, use) for u in active)
        active.append(use)


# ------------------------------------------------------------------- written before read


class _Written:
    """Bytes of all regions that hold something."""

    def __init__(self) -> None:
        self._pieces: dict[Region, list[tuple[int, int]]] = {}

    def add(self, region: Region, start: int, stop: int) -> None:
        """From now on these bytes hold something."""
        pieces = self._pieces.setdefault(region, [])
        apart = [p for p in pieces if p[1] < start or p[0] > stop]
        near = [p for p in pieces if p[1] >= start and p[0] <= stop]
        joined = (min([start, *(a for a, _ in near)]), max([stop, *(b for _, b in near)]))
        self._pieces[region] = sorted([*apart, joined])

    def holds(self, region: Region, start: int, stop: int) -> bool:
        """Whether all of these bytes hold something."""
        pieces = self._pieces.get(region, [])
        i = bisect_right(pieces, start, key=lambda piece: piece[0]) - 1
        return stop <= start or (i >= 0 and pieces[i][0] <= start and stop <= pieces[i][1])

    def copy(self) -> _Written:
        """The same bytes, to go on from."""
        found = _Written()
        found._pieces = {region: list(pieces) for region, pieces in self._pieces.items()}
        return found

    def common(self, other: _Written) -> _Written:
        """Bytes that hold something in both."""
        found = _Written()
        for region, pieces in self._pieces.items():
            for a, b in pieces:
                for c, d in other._pieces.get(region, []):
                    if max(a, c) < min(b, d):
                        found.add(region, max(a, c), min(b, d))
        return found


def check_bytes(plan: LaunchPlan) -> None:
    """Raise VerifyError where a kernel reads bytes that nobody has written.

    An argument that the kernel both reads and writes is left out: it may be its own scratch. A
    launch that stands for others reads and writes what they do, one after the other.
    """
    written = _Written()
    for region, size in plan.regions.items():
        if region.role in GIVEN:
            written.add(region, 0, size)
    for i, node in enumerate((*plan.prepare, *plan.nodes)):
        written = _after(f"{plan.name}: node {i - len(plan.prepare)}", node, written)


def _after(where: str, node: Node, written: _Written) -> _Written:
    """What holds something after a node."""
    if isinstance(node, FillNode):
        written.add(node.place.region, node.place.offset, node.place.offset + node.place.size)
        return written
    if isinstance(node, DynamicLoop):
        return _after_loop(where, node, written)
    if isinstance(node, LibraryNode):
        for place in node.reads:
            _check_read(f"{where} ({node.name})", place, place.size, written)
        result = node.arguments[2]
        written.add(result.region, result.offset, result.offset + result.size)
        return written
    _check_covered(where, node)
    for launch in node.single:
        _after_launch(where, launch, written)
    return written


def _check_covered(where: str, node: KernelNode) -> None:
    """What a launch stands for touches its arguments only, and writes those that it writes."""
    reads = {p for part in node.parts for p in part.reads if p.size}
    writes = {p for part in node.parts for p in part.writes if p.size}
    for places, mine in ((reads, node.reads), (writes, node.writes)):
        for place in places:
            found = any(_is_inside(place, m) for m in mine)
            _ensure(found, f"{where}: {place} of a part is in none of its places")


def _is_inside(place: Place, other: Place) -> bool:
    end = other.offset + other.size
    same = place.region == other.region
    return same and other.offset <= place.offset and place.offset + place.size <= end


def _after_launch(where: str, node: KernelNode, written: _Written) -> None:
    """Check what one launch reads, then add what it writes."""
    table = accesses(node.kernel)
    pairs = list(zip(node.kernel.arrays, node.arguments))
    for array, place in pairs:
        if table[array] in (Access.READ, Access.LOWER):
            _check_read(f"{where} ({node.kernel.name}, {array.name})", place, array.nbytes, written)
    for array, place in pairs:
        if Access.WRITE in table[array]:
            written.add(place.region, place.offset, place.offset + array.nbytes)


def _after_loop(where: str, loop: DynamicLoop, written: _Written) -> _Written:
    """What holds something after any number of iterations that there can be."""
    if loop.count is not None:
        _check_read(f"{where} (count)", loop.count, loop.count.size, written)
    written = _after_all(where, loop.before, written)
    ends = []
    if loop.turns:  # the places of a step depend on how many there are
        for steps in sorted({0, min(1, loop.most), loop.most}):
            ends.append(_after_steps(where, loop, steps, written.copy())[-1])
    else:
        ends = _after_steps(where, loop, loop.most, written)
    if loop.count is None and not loop.conditions:
        ends = ends[-1:]
    found = ends[0]
    for end in ends[1:]:
        found = found.common(end)
    return found


def _after_steps(where: str, loop: DynamicLoop, steps: int, written: _Written) -> list[_Written]:
    """What holds something where a loop ends, after none of its steps, after one, ..., after all.

    A loop with `turns` ends after all only.
    """
    ends = []
    for step in range(steps + 1):
        if step == steps or not loop.turns:
            rest = loop.after[step] if loop.after else ()
            ends.append(_after_all(f"{where} after {step}", rest, written.copy()))
        if step < steps:
            for condition in loop.conditions[step : step + 1]:
                _check_read(f"{where} (condition {step})", condition, 1, written)
            nodes = loop.iteration(step, steps)
            written = _after_all(f"{where} iteration {step}", nodes, written)
    return ends


def _after_all(where: str, nodes: Sequence[Node], written: _Written) -> _Written:
    for node in nodes:
        written = _after(where, node, written)
    return written


def _check_read(where: str, place: Place, nbytes: int, written: _Written) -> None:
    holds = written.holds(place.region, place.offset, place.offset + nbytes)
    _ensure(holds, f"{where} reads {place}, which nobody has written")


def _ensure(holds: bool, text: str) -> None:
    if not holds:
        raise VerifyError(text)
