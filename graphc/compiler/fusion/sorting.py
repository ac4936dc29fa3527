"""Lower sorts: short rows by counting, longer ones digit by digit, long ones with all threads.

Every element becomes an unsigned key whose order is the wanted one. A short row's element goes
where the count of smaller ones says. Otherwise stable passes over the keys' digits, from the
lowest to the highest, move the words: counts of every digit, where each digit starts, the move.
A long row is cut into chunks that count and move side by side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from graphc.compiler.fusion.keys import Layout, decoded, encoded
from graphc.compiler.fusion.nests import close_loops, open_loops
from graphc.compiler.fusion.ordered import Running
from graphc.compiler.fusion.values import At, Values
from graphc.compiler.fusion.work import Grid, Number, Work
from graphc.ir.dims import Size, bound, ceildiv, nominal, product
from graphc.ir.graph import Node
from graphc.ir.loops.combine import SUM
from graphc.ir.loops.ir import Axis
from graphc.ir.ops.sorting import ArgSort, Sort
from graphc.ir.schedule import TEMPORARY, Storage
from graphc.ir.types import DType, TensorType, int32, int64

MAX_COUNTED_ELEMENTS = 160  # of a row whose elements are counted against each other
MIN_SHARED_ELEMENTS = 1 << 15  # of a row that is worth being shared by threads
ASSUMED_ELEMENTS = 2048  # of a row of unknown size: between counted and shared
ROW_CHUNKS = 16  # of a row that threads share
MIN_BUSY_ROWS = 16  # rows that keep all threads busy by themselves


def lower_sort(node: Node, targets: tuple[Storage, ...], values: Values) -> None:
    """A sort, or the order that sorts."""
    task = SortTask(node, targets, values)
    size, rows = expected(task.size), nominal(product(task.beside))
    if size >= MIN_SHARED_ELEMENTS and rows < MIN_BUSY_ROWS:
        LongSort(task).lower()
        return
    others = open_loops(values, task.beside)
    if size <= MAX_COUNTED_ELEMENTS:
        by_counting(task, others)
    else:
        by_digits(task, others)
    close_loops(values, others, task.beside, lanes=False)


def expected(size: Size) -> int:
    """How long a row is at most; of unknown sizes, something between short and long."""
    most = bound(size, low=False)
    return ASSUMED_ELEMENTS if most is None else most


class SortTask:
    """What is sorted along which axis, and where the result goes."""

    def __init__(self, node: Node, targets: tuple[Storage, ...], values: Values) -> None:
        op = node.op
        assert isinstance(op, (Sort, ArgSort))
        self.node, self.targets, self.values, self.work = node, targets, values, Work(values)
        self.source, self.axis, self.descending = node.inputs[0], op.axis, op.descending
        self.indices = isinstance(op, ArgSort)
        shape = self.source.type.shape
        self.size: Size = shape[op.axis]
        self.beside = (*shape[: op.axis], *shape[op.axis + 1 :])
        self.layout = Layout.of(self.source.type.dtype, self.indices)

    def at(self, others: At, i: Number) -> At:
        """The index of element i of a row."""
        return (*others[: self.axis], i.expr, *others[self.axis :])

    def element(self, others: At, i: Number) -> Number:
        """Element i of a row."""
        return Number(self.work.e, self.values.at(self.source, self.at(others, i)))

    def key(self, others: At, i: Number) -> Number:
        """The key of element i: for positions the two zeros are one."""
        e = self.work.e
        return Number(e, encoded(e, self.element(others, i).expr, self.descending, self.indices))

    def store(self, others: At, place: Number, value: Number) -> None:
        """Store an element of the result."""
        for storage in self.targets:
            self.values.store(storage, self.at(others, place), value.expr)

    def finish(self, others: At, place: Number, words: list[Number]) -> None:
        """Store what a moved word stands for."""
        e = self.work.e
        if self.indices:
            result = self.layout.index(e, words)
        else:
            result = decoded(e, words[0].expr, self.node.type.dtype, self.descending)
        self.store(others, place, Number(e, result))


def by_counting(task: SortTask, others: At) -> None:
    """Every element goes behind those that are smaller, and those that are equal before it."""
    w = task.work
    keys = key_row(w, task.source.type.dtype, task.size, lambda i: task.key(others, i))
    with w.loop(task.size, side_by_side=True) as i:
        place = rank(w, keys, task.size, i)
        task.store(others, place, i if task.indices else task.element(others, i))


def key_row(w: Work, dtype: DType, size: Size, key: Callable[[Number], Number]) -> list[Grid]:
    """Scratch with the words of a row: one compares them all at once, or in two steps."""
    layout = Layout.of(dtype, True)
    words = [w.scratch("words", d, size) for d in layout.columns]
    with w.loop(size, side_by_side=True) as i:
        put(words, i, layout.words(w.e, key(i).expr, i.expr))
    return words


def rank(w: Work, words: list[Grid], size: Size, i: Number) -> Number:
    """How many words come before word i."""
    own = [w.named(grid[i], "own") for grid in words]

    def before(j: Number) -> tuple[Number]:
        first = words[0][j] < own[0]
        if len(words) > 1:  # a key that is not packed with its index
            first = first | (words[0][j].equals(own[0]) & (words[1][j] < own[1]))
        return (first.cast(int64),)

    return w.reduce(SUM, size, before, lanes=False)[0]


def by_digits(task: SortTask, others: At) -> None:
    """One row at a time, in scratch."""
    w, layout = task.work, task.layout
    source = [w.scratch("words", d, task.size) for d in layout.columns]
    target = [w.scratch("moved", d, task.size) for d in layout.columns]
    with w.loop(task.size, side_by_side=True) as i:
        put(source, i, layout.words(w.e, task.key(others, i).expr, i.expr))
    sort_words(
        w, layout, source, target, w.number(task.size),
        lambda place, words: task.finish(others, place, words),
    )  # fmt: skip


def sort_words(
    w: Work,
    layout: Layout,
    source: list[Grid],
    target: list[Grid],
    count: Number,
    finish: Callable[[Number, list[Number]], None],
) -> None:
    """Sort the first `count` words; the last pass hands them to `finish`."""
    counts = w.scratch("counts", int32, len(layout.digits), layout.buckets)
    each = [Grid(w, counts.buffer, (w.number(d).expr,)) for d in range(len(layout.digits))]
    for grid in each:
        clear(w, grid, layout.buckets)
    with w.loop(count) as i:
        key = w.named(source[0][i], "word")
        for d, grid in enumerate(each):
            add_one(w, grid, layout.digit(w.e, key, d))
    for grid in each:
        starts(w, lambda n: n, grid, layout.buckets)
    for d, grid in enumerate(each):
        deliver = finish if d == len(each) - 1 else partial(put, target)
        with w.loop(count) as i:
            move(w, layout, d, [g[i] for g in source], grid, deliver)
        source, target = target, source


def clear(w: Work, counts: Grid, total: Size) -> None:
    """Zeros everywhere."""
    with w.loop(total, side_by_side=True) as n:
        counts[n] = 0


def add_one(w: Work, counts: Grid, digit: Number) -> Number:
    """Count a digit; return how many there were."""
    slot = w.named(digit, "digit")
    before = w.named(counts[slot], "before")
    counts[slot] = before + 1
    return before


def starts(
    w: Work, place: Callable[[Number], Number | tuple[Number, ...]], counts: Grid, total: Size
) -> None:
    """Turn counts into where each begins: the running total before it."""
    values, e = w.values, w.e
    running = Running(values, int32, 0, "start")
    index = e.index(Axis(values.name("n")))
    values.open()
    at = place(Number(e, index))
    own = counts[at]
    before = Number(e, running.ref)
    running.hand_on((before + own).expr)
    counts[at] = before
    running.close(index, e.extent(total))


def move(
    w: Work,
    layout: Layout,
    digit: int,
    words: list[Number],
    counts: Grid,
    deliver: Callable[[Number, list[Number]], None],
) -> None:
    """Deliver a word to the next place of its digit."""
    words = [w.named(word, "word") for word in words]
    place = add_one(w, counts, layout.digit(w.e, words[0], digit))
    deliver(place.cast(int64), words)


def put(grids: list[Grid], place: Number, words: list[Number]) -> None:
    """Store the parts of a word."""
    for grid, word in zip(grids, words):
        grid[place] = word


@dataclass
class LongSort:
    """Rows that threads share: chunks count and move side by side."""

    task: SortTask

    def lower(self) -> None:
        """Keys, then for every digit: counts of each chunk, where they start, the move."""
        task, layout = self.task, self.task.layout
        self.counts = self._storage("counts", int32, (ROW_CHUNKS, layout.buckets))
        source = [self._storage("words", d, (task.size,)) for d in layout.columns]
        target = [self._storage("moved", d, (task.size,)) for d in layout.columns]
        self._keys(source)
        for d in range(len(layout.digits)):
            self._count(d, source)
            self._start()
            self._move(d, source, target, d == len(layout.digits) - 1)
            source, target = target, source

    def _storage(self, name: str, dtype: object, shape: tuple[Size, ...]) -> Storage:
        type = TensorType(dtype, (*self.task.beside, *shape))  # type: ignore[arg-type]
        return Storage(f"sort_{name}", type, TEMPORARY)

    def _grid(self, storage: Storage, lead: At) -> Grid:
        return Grid(self.task.work, self.task.values.buffer(storage), lead)

    def _keys(self, words: list[Storage]) -> None:
        task, w = self.task, self.task.work
        shape = (*task.beside, task.size)
        at = open_loops(task.values, shape)
        others, i = at[:-1], Number(w.e, at[-1])
        made = task.layout.words(w.e, task.key(others, i).expr, i.expr)
        put([self._grid(s, others) for s in words], i, made)
        close_loops(task.values, at, shape)

    def _open_chunk(self) -> tuple[At, Number, Number]:
        """Loops over rows and chunks; the chunk's first element and its size."""
        task, w = self.task, self.task.work
        at = open_loops(task.values, (*task.beside, ROW_CHUNKS))
        each = w.number(ceildiv(task.size, ROW_CHUNKS))
        first = Number(w.e, at[-1]) * each
        left = w.number(task.size) - first
        return at, first, (left < each).choose(left, each)

    def _close_chunk(self, at: At) -> None:
        close_loops(self.task.values, at, (*self.task.beside, ROW_CHUNKS), lanes=False)

    def _count(self, d: int, source: list[Storage]) -> None:
        w, layout = self.task.work, self.task.layout
        at, first, size = self._open_chunk()
        counts, keys = self._grid(self.counts, at), self._grid(source[0], at[:-1])
        clear(w, counts, layout.buckets)
        with w.loop(size) as i:
            add_one(w, counts, layout.digit(w.e, keys[first + i], d))
        self._close_chunk(at)

    def _start(self) -> None:
        task, w = self.task, self.task.work
        others = open_loops(task.values, task.beside)
        counts, e = self._grid(self.counts, others), w.e

        def place(n: Number) -> tuple[Number, Number]:
            return Number(e, e.modulo(n.expr, ROW_CHUNKS)), Number(e, e.over(n.expr, ROW_CHUNKS))

        starts(w, place, counts, task.layout.buckets * ROW_CHUNKS)
        close_loops(task.values, others, task.beside, lanes=False)

    def _move(self, d: int, source: list[Storage], target: list[Storage], last: bool) -> None:
        task, w = self.task, self.task.work
        at, first, size = self._open_chunk()
        others = at[:-1]
        grids = [self._grid(s, others) for s in target] if not last else []

        def deliver(place: Number, words: list[Number]) -> None:
            if last:
                task.finish(others, place, words)
            else:
                put(grids, place, words)

        with w.loop(size) as i:
            words = [self._grid(s, others)[first + i] for s in source]
            move(w, task.layout, d, words, self._grid(self.counts, at), deliver)
        self._close_chunk(at)
