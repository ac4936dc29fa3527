"""The launch of one block that goes through the iterations of a loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from graphc.ir.types import int32
from graphc_cuda.accesses import access_bytes
from graphc_cuda.device.program import (
    THREAD,
    Assign,
    Barrier,
    Comment,
    Declare,
    DeviceArray,
    DeviceKernel,
    For,
    Get,
    Intrinsic,
    Literal,
    Op,
    Put,
    Special,
    Stmt,
    Value,
    Variable,
    literal,
)
from graphc_cuda.launch import KernelNode, Place
from graphc_cuda.lower.same_body import Together
from graphc_cuda.one_block import (
    SHARED_BYTES,
    THREADS,
    is_free,
    saving,
    turns_of,
    without_return,
)

MOST_ARRAYS = 480  # 8 bytes each: a launch has 4 KB for its arguments
LARGEST = 2**31  # elements, beyond which an int32 does not count them


class _Phase(Together):
    """The body of one launch, as a share of a block's work.

    Memory of the block or of a thread is `declared` in front of the loop: launches with barriers
    between them take the same.
    """

    def __init__(
        self,
        kernel: DeviceKernel,
        table: dict[DeviceArray, DeviceArray],
        starts: dict[DeviceArray, Value],
        names: set[str],
        declared: list[DeviceArray],
    ) -> None:
        self.starts, self.declared = starts, declared
        self.own: set[DeviceArray] = set()  # what is in use
        part = Variable(int32, "part", is_index=True)
        self.own_thread: Value = THREAD
        if is_free(kernel):
            self.own_thread = Variable(int32, _fresh("thread", names), is_index=True)
        block = Variable(int32, _fresh("block", names), is_index=True)
        super().__init__((kernel,), [table], block, part, names)

    def _statement(self, s: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        if isinstance(s[0], Barrier):
            return s
        if isinstance(s[0], Declare):
            self._declare(s[0].array)
            return ()
        return super()._statement(s)

    def _declare(self, array: DeviceArray) -> None:
        own = next((a for a in self.declared if a not in self.own and _is_like(a, array)), None)
        if own is None:
            own = replace(array, name=_fresh(array.name, self.names))
            self.declared.append(own)
        self.own.add(own)
        self.tables[0][array], self.starts[array] = own, literal(0)

    def _arrays(self, arrays: tuple[DeviceArray, ...]) -> tuple[DeviceArray, ...]:
        return tuple(self.tables[0][array] for array in arrays)

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


class Looping:
    """Makes the launch of one loop; `run` are its launches in order, `period` an iteration."""

    def __init__(self, name: str, run: Sequence[KernelNode], period: int) -> None:
        self.name, self.run, self.period = name, run, period
        self.steps = len(run) // period
        self.first = run[:period]
        self.step = Variable(int32, "step", is_index=True)
        self.names = {"step", "part"}
        blocks = {n.kernel.block for n in self.first if not is_free(n.kernel)}
        self.threads = max(blocks, default=THREADS)
        self.fits = len(blocks) <= 1 and self._pays()
        self.declared: list[DeviceArray] = []

    def _pays(self) -> bool:
        """Whether a block of so many threads is sooner than the launches."""
        pairs = ((n.grid, n.kernel) for n in self.first)
        return sum(saving(g, k.block, turns_of(k.body), self.threads) for g, k in pairs) > 0

    def node(self) -> KernelNode | None:
        """The launch; None where memory means numbers of several types, or does not suffice."""
        arrays = self._arrays() if self.fits else None
        if arrays is None:
            return None
        lines: list[Stmt] = []
        for number in range(self.period):
            phase = self._phase(number, arrays)
            lines += phase if _meets(phase) else [*phase, Barrier()]
        loop = For(self.step, literal(0), literal(self.steps), literal(1), tuple(lines))
        loop = replace(loop, unroll=1)
        used = tuple(dict.fromkeys(arrays.values()))
        places = {a: p for p, a in arrays.items()}
        written = frozenset(self._of(p, arrays) for n in self.first for p in n.writes)
        form = f"loop: {self.steps} times {self.period} launches in one block"
        note = tuple(dict.fromkeys(line for n in self.first for line in n.kernel.note))
        body: tuple[Stmt, ...] = (*(Declare(a) for a in self.declared), loop)
        kernel = DeviceKernel(self.name, used, body, self.threads, written, written, note, form)
        if kernel.shared_bytes > SHARED_BYTES:
            return None
        arguments = tuple(places[a] for a in used)
        none = (None,) * len(used)
        parts = tuple(self.run)
        return KernelNode(kernel, 1, arguments, self.run[0].call, none, parts, in_turn=True)

    def _arrays(self) -> dict[Place, DeviceArray] | None:
        """An array for every run of bytes that the launches touch, where one type fits it."""
        pieces: list[tuple[Place, list[DeviceArray]]] = []
        widest: dict[DeviceArray, int] = {}
        for node, last in zip(self.first, self.run[-self.period :]):
            widest |= access_bytes(node.kernel)
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
            if size >= LARGEST or any(place.offset % widest[a] for a in held):
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
        node, later = self.run[number], self.run[number + self.period]
        table: dict[DeviceArray, DeviceArray] = {}
        starts: dict[DeviceArray, Value] = {}
        for array, place, after in zip(node.kernel.arrays, node.arguments, later.arguments):
            whole = next(p for p in arrays if p.overlaps(place))
            itemsize = array.dtype.itemsize
            table[array] = arrays[whole]
            first = (place.offset - whole.offset) // itemsize
            starts[array] = self._start(first, (after.offset - place.offset) // itemsize)
        phase = _Phase(node.kernel, table, starts, self.names, self.declared)
        threads = node.kernel.block
        body = phase.block(without_return(node.kernel.body))
        if phase.own_thread is THREAD:
            return self._one_by_one(node, phase, body)
        side = max(1, self.threads // threads)
        lane = Variable(int32, _fresh("turn", self.names), is_index=True)
        assert isinstance(phase.own_block, Variable)
        total = literal(node.grid * threads)
        assert isinstance(phase.own_thread, Variable)
        lines = (
            Assign(phase.own_block, _op("floordiv", lane, literal(threads))),
            Assign(phase.own_thread, _op("mod", lane, literal(threads))),
            *phase.numbers,
            *body,
        )
        comment = Comment(f"{node.kernel.name}: {node.grid} blocks, {side} at a time")
        return [comment, For(lane, THREAD, total, literal(self.threads), lines, 1)]

    @staticmethod
    def _one_by_one(node: KernelNode, phase: _Phase, body: tuple[Stmt, ...]) -> list[Stmt]:
        """What all threads do for one block after the other; they share its memory."""
        assert isinstance(phase.own_block, Variable)
        comment = Comment(f"{node.kernel.name}: {node.grid} blocks, one after the other")
        lines = (*phase.numbers, *body, *[Barrier()] * (not _meets(body)))
        return [comment, For(phase.own_block, literal(0), literal(node.grid), literal(1), lines, 1)]


def _is_like(a: DeviceArray, b: DeviceArray) -> bool:
    """Whether memory is the same but for its name."""
    return (a.dtype, a.size, a.space, a.holds) == (b.dtype, b.size, b.space, b.holds)


def _meets(body: Sequence[Stmt]) -> bool:
    """Whether the last thing that the threads of a block do is to meet."""
    match body[-1] if body else None:
        case Barrier():
            return True
        case For(start=Literal(value=start), stop=Literal(value=stop), body=inner):
            return bool(start < stop) and _meets(inner)
    return False


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
