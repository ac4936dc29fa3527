"""A loop of known length whose launches are small becomes one launch of one block.

The iterations are found in the plan: launches of the same kernels again and again, on places that
move by the same number of bytes each time. Between two launches the block meets at a barrier.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from graphc.ir.types import bool_, int32
from graphc_cuda.dependencies import find_edges
from graphc_cuda.device.program import (
    GRID_SIZE,
    THREAD,
    WARP,
    Assign,
    Barrier,
    Comment,
    Declare,
    DeviceArray,
    DeviceKernel,
    For,
    Get,
    If,
    Intrinsic,
    Literal,
    Op,
    Put,
    Return,
    Shuffle,
    Special,
    Stmt,
    Value,
    Variable,
    WarpBarrier,
    While,
    bodies,
    literal,
    operands_of,
    values_of,
    walk,
)
from graphc_cuda.launch import KernelNode, LaunchPlan, Node, Place
from graphc_cuda.lower.same_body import Together
from graphc_cuda.merge_launches import launched_kernels

LAUNCH_SECONDS = 2.5e-6  # of a node in a graph
PASS_SECONDS = 0.6e-6  # in which a block of many threads does its share and meets
TURN_SECONDS = 2e-8  # of a loop of a thread that loads what is near
UNKNOWN_TURNS = 16  # where the number depends on values
NEVER = -1.0
THREADS = 512  # of the block
MOST_ARRAYS = 480  # 8 bytes each: a launch has 4 KB for its arguments
MOST_PERIOD = 64
LEAST_STEPS = 4
MOVABLE = ("atomic_min",)  # what a thread does by itself; places of vectors would be aligned
LARGEST = 2**31  # elements, beyond which an int32 does not count them


@dataclass(frozen=True)
class Repeat:
    """Nodes from `start` on: `steps` times the same `period` kernels."""

    start: int
    period: int
    steps: int


def saving(grid: int, threads: int, turns: int) -> float:
    """Seconds that one block saves over a launch, whose threads go through `turns` of loops."""
    passes = -(-grid * threads // THREADS)
    more = (passes - 1) * turns * TURN_SECONDS
    return LAUNCH_SECONDS - passes * PASS_SECONDS - more


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
    known: dict[DeviceKernel, bool] = {}
    turns: dict[DeviceKernel, int] = {}
    for node in nodes:
        if not isinstance(node, KernelNode):
            yield NEVER
            continue
        kernel = node.kernel
        if kernel not in known:
            known[kernel], turns[kernel] = _is_free(kernel), _turns(kernel.body)
        fits = known[kernel] and all(p.size for p in node.arguments)
        yield saving(node.grid, kernel.block, turns[kernel]) if fits else NEVER


def _turns(body: Sequence[Stmt]) -> int:
    """How often a thread goes through the loops inside, about."""
    total = 1
    for stmt in body:
        inside = max((_turns(b) for b in bodies(stmt)), default=0)
        total += inside * _count(stmt)
    return total


def _count(stmt: Stmt) -> int:
    if isinstance(stmt, For):
        ends = (stmt.start, stmt.stop, stmt.step)
        if all(isinstance(x, Literal) for x in ends):
            start, stop, step = (int(x.value) for x in ends if isinstance(x, Literal))
            return len(range(start, stop, step))
    return UNKNOWN_TURNS if isinstance(stmt, (For, While)) else 1


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


def _is_free(kernel: DeviceKernel) -> bool:
    """Whether any warp of a block may do the work of any other."""
    every = list(walk(_without_return(kernel.body)))
    if kernel.block > THREADS or any(isinstance(s, (Barrier, Declare, Return)) for s in every):
        return False
    if kernel.block % WARP and any(isinstance(s, (Shuffle, WarpBarrier)) for s in every):
        return False
    if any(isinstance(s, Intrinsic) and s.function not in MOVABLE for s in every):
        return False
    waiting = [v for s in every for v in values_of(s)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Special) and value.name == GRID_SIZE.name:
            return False
        waiting += operands_of(value)
    return True


def _without_return(body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
    """The same, where a thread that is done goes past the rest: there are barriers after it."""
    for i, stmt in enumerate(body):
        match stmt:
            case If(condition=condition, body=(Return(),), otherwise=()):
                goes_on = Op(bool_, "logical_not", (condition,))
                return (*body[:i], If(goes_on, _without_return(body[i + 1 :])))
    return body


def _strides(a: Node, b: Node) -> list[int]:
    assert isinstance(a, KernelNode)
    assert isinstance(b, KernelNode)
    return [y.offset - x.offset for x, y in zip(a.arguments, b.arguments)]


# ------------------------------------------------------------------ the kernel


def loop_launches(plan: LaunchPlan) -> LaunchPlan:
    """The plan with every such loop as one launch; the same bytes come out."""
    nodes: list[Node] = []
    made: list[DeviceKernel] = []
    commit, last = plan.commit, 0
    for repeat in find_repeats(plan):
        stop = repeat.start + repeat.period * repeat.steps
        run = [n for n in plan.nodes[repeat.start : stop] if isinstance(n, KernelNode)]
        node = _Looping(f"loop{len(made):02d}", run, repeat).node()
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


class _Phase(Together):
    """The body of one launch, as a share of a block's work."""

    def __init__(
        self,
        kernel: DeviceKernel,
        table: dict[DeviceArray, DeviceArray],
        starts: dict[DeviceArray, Value],
        names: set[str],
    ) -> None:
        self.starts = starts
        part = Variable(int32, "part", is_index=True)
        self.own_thread = Variable(int32, _fresh("thread", names), is_index=True)
        block = Variable(int32, _fresh("block", names), is_index=True)
        super().__init__((kernel,), [table], block, part, names)

    def _special(self, value: Special) -> Value:
        return self.own_thread if value.name == THREAD.name else super()._special(value)

    def _get(self, values: tuple[Value, ...], first: Get) -> Value:
        made = super()._get(values, first)
        assert isinstance(made, Get)
        return replace(made, index=_moved(made.index, self.starts[first.array]))

    def _put(self, s: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        first = s[0]
        (made,) = super()._put(s)
        assert isinstance(first, Put)
        assert isinstance(made, Put)
        return (replace(made, index=_moved(made.index, self.starts[first.array])),)

    def _intrinsic(self, s: tuple[Stmt, ...], first: Intrinsic) -> tuple[Stmt, ...]:
        (made,) = super()._intrinsic(s, first)
        assert isinstance(made, Intrinsic)
        operands = list(made.operands)
        for i, array in enumerate(first.operands):
            if isinstance(array, DeviceArray):
                index = operands[i + 1]
                assert isinstance(index, Value)
                operands[i + 1] = _moved(index, self.starts[array])
        return (replace(made, operands=tuple(operands)),)


class _Looping:
    """Makes the launch of one loop; `run` are its launches in order."""

    def __init__(self, name: str, run: Sequence[KernelNode], repeat: Repeat) -> None:
        self.name, self.run, self.repeat = name, run, repeat
        self.first = run[: repeat.period]
        self.step = Variable(int32, "step", is_index=True)
        self.names = {"step", "part"}

    def node(self) -> KernelNode | None:
        """The launch; None where memory means numbers of several types."""
        arrays = self._arrays()
        if arrays is None:
            return None
        lines: list[Stmt] = []
        for number in range(self.repeat.period):
            lines += [*self._phase(number, arrays), Barrier()]
        loop = For(self.step, literal(0), literal(self.repeat.steps), literal(1), tuple(lines))
        loop = replace(loop, unroll=1)
        used = tuple(dict.fromkeys(arrays.values()))
        places = {a: p for p, a in arrays.items()}
        written = frozenset(self._of(p, arrays) for n in self.first for p in n.writes)
        form = f"loop: {self.repeat.steps} times {self.repeat.period} launches in one block"
        note = tuple(dict.fromkeys(line for n in self.first for line in n.kernel.note))
        kernel = DeviceKernel(self.name, used, (loop,), THREADS, written, written, note, form)
        arguments = tuple(places[a] for a in used)
        none = (None,) * len(used)
        parts = tuple(self.run)
        return KernelNode(kernel, 1, arguments, self.run[0].call, none, parts, in_turn=True)

    def _arrays(self) -> dict[Place, DeviceArray] | None:
        """An array for every run of bytes that the launches touch, where one type fits it."""
        pieces: list[tuple[Place, list[DeviceArray]]] = []
        for node, last in zip(self.first, self.run[-self.repeat.period :]):
            for array, *ends in zip(node.kernel.arrays, node.arguments, last.arguments):
                start = min(p.offset for p in ends)
                stop = max(p.offset + p.size for p in ends)
                pieces.append((Place(ends[0].region, start, stop - start), [array]))
        pieces.sort(key=lambda pair: (str(pair[0].region), pair[0].offset))
        joined: list[tuple[Place, list[DeviceArray]]] = []
        for place, held in pieces:
            if joined and joined[-1][0].overlaps(place):
                before, known = joined[-1]
                stop = max(before.offset + before.size, place.offset + place.size)
                size = stop - before.offset
                joined[-1] = (Place(place.region, before.offset, size), [*known, *held])
            else:
                joined.append((place, held))
        found = {}
        for i, (place, held) in enumerate(joined):
            first = held[0]
            if any((a.dtype, a.holds) != (first.dtype, first.holds) for a in held):
                return None
            size = place.size // first.dtype.itemsize
            if size >= LARGEST or place.offset % first.dtype.itemsize:
                return None
            name = f"a{i}"
            self.names.add(name)
            found[place] = DeviceArray(name, first.dtype, size, holds=first.holds)
        return found if len(found) <= MOST_ARRAYS else None

    @staticmethod
    def _of(place: Place, arrays: dict[Place, DeviceArray]) -> DeviceArray:
        return next(a for p, a in arrays.items() if p.overlaps(place))

    def _start(self, first: int, stride: int) -> Value:
        """Where the elements of an iteration start."""
        if not stride:
            return literal(first)
        return _op("add", _op("mul", self.step, literal(stride)), literal(first))

    def _phase(self, number: int, arrays: dict[Place, DeviceArray]) -> list[Stmt]:
        """What the block does for one launch of an iteration."""
        node, later = self.run[number], self.run[number + self.repeat.period]
        table: dict[DeviceArray, DeviceArray] = {}
        starts: dict[DeviceArray, Value] = {}
        for array, place, after in zip(node.kernel.arrays, node.arguments, later.arguments):
            whole = next(p for p in arrays if p.overlaps(place))
            itemsize = array.dtype.itemsize
            table[array] = arrays[whole]
            first = (place.offset - whole.offset) // itemsize
            starts[array] = self._start(first, (after.offset - place.offset) // itemsize)
        phase = _Phase(node.kernel, table, starts, self.names)
        threads = node.kernel.block
        side = THREADS // threads
        body = phase.block(_without_return(node.kernel.body))
        lane = Variable(int32, _fresh("turn", self.names), is_index=True)
        assert isinstance(phase.own_block, Variable)
        total = literal(node.grid * threads)
        lines = (
            Assign(phase.own_block, _op("floordiv", lane, literal(threads))),
            Assign(phase.own_thread, _op("mod", lane, literal(threads))),
            *phase.numbers,
            *body,
        )
        comment = Comment(f"{node.kernel.name}: {node.grid} blocks, {side} at a time")
        return [comment, For(lane, THREAD, total, literal(THREADS), lines, 1)]


def _op(function: str, a: Value, b: Value) -> Op:
    return Op(int32, function, (a, b), is_index=True)


def _moved(index: Value, start: Value) -> Value:
    """An index of an array in a larger one."""
    if isinstance(start, Literal):
        start = literal(start.value, index.dtype)
        return Op(index.dtype, "add", (index, start), is_index=True) if start.value else index
    if index.dtype != start.dtype:
        start = Op(index.dtype, "convert", (start,), is_index=True)
    return Op(index.dtype, "add", (index, start), is_index=True)


def _fresh(wish: str, names: set[str]) -> str:
    name, number = wish, 1
    while name in names:
        number += 1
        name = f"{wish}_{number}"
    names.add(name)
    return name
