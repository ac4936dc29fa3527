"""Lower sorts: short rows by counting, longer ones digit by digit, long ones with all threads.

Every element becomes an unsigned key whose order is the wanted one. A short row's element goes
where the count of smaller ones says. Otherwise stable passes over the keys' digits, from the
lowest to the highest, move the words: counts of every digit, where each digit starts, the move.
A long row is cut into chunks that count and move in parallel. Rows that are not counted have a
second form for machines with a thread for every element (`merge_sort.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from graphc.compiler.fusion.kernel_builder import At, KernelBuilder
from graphc.compiler.fusion.keys import WordLayout, decode_key, encode_key
from graphc.compiler.fusion.loop_writer import ArrayView, LoopWriter, Scalar
from graphc.compiler.fusion.merge_sort import MergeSort
from graphc.compiler.fusion.nests import close_loops, open_loops
from graphc.compiler.fusion.scans import CarriedValue
from graphc.ir.dims import Size, bound, ceildiv, evaluate, nominal, product
from graphc.ir.graph import Node
from graphc.ir.loops.combine import SUM
from graphc.ir.loops.ir import Axis, Stmt
from graphc.ir.ops.sorting import ArgSort, Sort
from graphc.ir.schedule import TEMPORARY, Storage
from graphc.ir.types import DType, TensorType, int32, int64

MAX_COUNTED_ELEMENTS = 160  # of a row whose elements are counted against each other
MIN_SHARED_ELEMENTS = 1 << 15  # of a row that is worth being shared by threads
ASSUMED_ELEMENTS = 2048  # of a row of unknown size: between counted and shared
ROW_CHUNKS = 16  # of a row that threads share
MIN_BUSY_ROWS = 16  # rows that keep all threads busy by themselves


def lower_sort(node: Node, targets: tuple[Storage, ...], builder: KernelBuilder) -> None:
    """A sort, or the order that sorts."""
    task = SortTask(node, targets, builder)
    lower_rows(task)
    if expected_length(task.size) > MAX_COUNTED_ELEMENTS:
        builder.spread = partial(_merged, node, targets, builder)


def _merged(
    node: Node, targets: tuple[Storage, ...], builder: KernelBuilder, dims: Mapping[str, int]
) -> tuple[Stmt, ...]:
    """A sort of rows of a size that is known by now, by merging."""
    task = SortTask(node, targets, builder.again())
    size = evaluate(task.size, dims)
    if size == 0:
        return ()
    sort = MergeSort(task.builder, task.beside, size, task.layout, task.key, task.finish, size)
    return sort.statements()


def lower_rows(task: SortTask) -> None:
    """The form of a sort that suits its sizes."""
    builder = task.builder
    size, rows = expected_length(task.size), nominal(product(task.beside))
    if size >= MIN_SHARED_ELEMENTS and rows < MIN_BUSY_ROWS:
        SharedSort(task).lower()
        return
    others = open_loops(builder, task.beside)
    if size <= MAX_COUNTED_ELEMENTS:
        by_counting(task, others)
    else:
        by_digits(task, others)
    close_loops(builder, others, task.beside, lanes=False)


def expected_length(size: Size) -> int:
    """How long a row is at most; of unknown sizes, something between short and long."""
    most = bound(size, low=False)
    return ASSUMED_ELEMENTS if most is None else most


class SortTask:
    """What is sorted along which axis, and where the result goes."""

    def __init__(self, node: Node, targets: tuple[Storage, ...], builder: KernelBuilder) -> None:
        op = node.op
        assert isinstance(op, (Sort, ArgSort))
        self.node, self.targets, self.builder, self.writer = (
            node,
            targets,
            builder,
            LoopWriter(builder),
        )
        self.source, self.axis, self.descending = node.inputs[0], op.axis, op.descending
        self.indices = isinstance(op, ArgSort)
        shape = self.source.type.shape
        self.size: Size = shape[op.axis]
        self.beside = (*shape[: op.axis], *shape[op.axis + 1 :])
        self.layout = WordLayout.of(self.source.type.dtype, self.indices)

    def at(self, others: At, i: Scalar) -> At:
        """The index of element i of a row."""
        return (*others[: self.axis], i.expr, *others[self.axis :])

    def element(self, others: At, i: Scalar) -> Scalar:
        """Element i of a row."""
        return Scalar(self.writer.e, self.builder.at(self.source, self.at(others, i)))

    def key(self, others: At, i: Scalar) -> Scalar:
        """The key of element i: for positions the two zeros are one."""
        e = self.writer.e
        return Scalar(e, encode_key(e, self.element(others, i).expr, self.descending, self.indices))

    def store(self, others: At, place: Scalar, value: Scalar) -> None:
        """Store an element of the result."""
        for storage in self.targets:
            self.builder.store(storage, self.at(others, place), value.expr)

    def finish(self, others: At, place: Scalar, words: list[Scalar]) -> None:
        """Store what a moved word stands for."""
        e = self.writer.e
        if self.indices:
            result = self.layout.index(e, words)
        else:
            result = decode_key(e, words[0].expr, self.node.type.dtype, self.descending)
        self.store(others, place, Scalar(e, result))


def by_counting(task: SortTask, others: At) -> None:
    """Counting sort: the position of an element is the number of elements before it."""
    w = task.writer
    keys = key_row(w, task.source.type.dtype, task.size, lambda i: task.key(others, i))
    with w.loop(task.size, parallel=True) as i:
        place = rank(w, keys, task.size, i)
        task.store(others, place, i if task.indices else task.element(others, i))


def key_row(
    w: LoopWriter, dtype: DType, size: Size, key: Callable[[Scalar], Scalar]
) -> list[ArrayView]:
    """Scratch with the words of a row: one compares them all at once, or in two steps."""
    layout = WordLayout.of(dtype, True)
    words = [w.scratch("words", d, size) for d in layout.columns]
    with w.loop(size, parallel=True) as i:
        store_word(words, i, layout.words(w.e, key(i).expr, i.expr))
    return words


def rank(w: LoopWriter, words: list[ArrayView], size: Size, i: Scalar) -> Scalar:
    """How many words come before word i."""
    own = [w.named(grid[i], "own") for grid in words]

    def before(j: Scalar) -> tuple[Scalar]:
        first = words[0][j] < own[0]
        if len(words) > 1:  # a key that is not packed with its index
            first = first | (words[0][j].equals(own[0]) & (words[1][j] < own[1]))
        return (first.cast(int64),)

    return w.reduce(SUM, size, before, lanes=False)[0]


def by_digits(task: SortTask, others: At) -> None:
    """LSD radix sort, one row at a time in scratch."""
    w, layout = task.writer, task.layout
    source = [w.scratch("words", d, task.size) for d in layout.columns]
    target = [w.scratch("moved", d, task.size) for d in layout.columns]
    with w.loop(task.size, parallel=True) as i:
        store_word(source, i, layout.words(w.e, task.key(others, i).expr, i.expr))
    sort_words(
        w, layout, source, target, w.number(task.size),
        lambda place, words: task.finish(others, place, words),
    )  # fmt: skip


def sort_words(
    w: LoopWriter,
    layout: WordLayout,
    source: list[ArrayView],
    target: list[ArrayView],
    count: Scalar,
    finish: Callable[[Scalar, list[Scalar]], None],
) -> None:
    """Sort the first `count` words; the last pass hands them to `finish`."""
    counts = w.scratch("counts", int32, len(layout.digits), layout.buckets)
    each = [ArrayView(w, counts.buffer, (w.number(d).expr,)) for d in range(len(layout.digits))]
    for grid in each:
        fill_zeros(w, grid, layout.buckets)
    with w.loop(count) as i:
        key = w.named(source[0][i], "word")
        for d, grid in enumerate(each):
            add_one(w, grid, layout.digit(w.e, key, d))
    for grid in each:
        exclusive_scan(w, lambda n: n, grid, layout.buckets)
    for d, grid in enumerate(each):
        deliver = finish if d == len(each) - 1 else partial(store_word, target)
        with w.loop(count) as i:
            scatter_word(w, layout, d, [g[i] for g in source], grid, deliver)
        source, target = target, source


def fill_zeros(w: LoopWriter, counts: ArrayView, total: Size) -> None:
    """Fill with zeros."""
    with w.loop(total, parallel=True) as n:
        counts[n] = 0


def add_one(w: LoopWriter, counts: ArrayView, digit: Scalar) -> Scalar:
    """Increment the count of a digit; return the old count."""
    slot = w.named(digit, "digit")
    before = w.named(counts[slot], "before")
    counts[slot] = before + 1
    return before


def exclusive_scan(
    w: LoopWriter,
    place: Callable[[Scalar], Scalar | tuple[Scalar, ...]],
    counts: ArrayView,
    total: Size,
) -> None:
    """Exclusive prefix sum of the digit counts."""
    builder, e = w.builder, w.e
    running = CarriedValue(builder, int32, 0, "start")
    index = e.index(Axis(builder.name("n")))
    builder.open()
    at = place(Scalar(e, index))
    own = counts[at]
    before = Scalar(e, running.ref)
    running.set_next((before + own).expr)
    counts[at] = before
    running.close(index, e.extent(total))


def scatter_word(
    w: LoopWriter,
    layout: WordLayout,
    digit: int,
    words: list[Scalar],
    counts: ArrayView,
    deliver: Callable[[Scalar, list[Scalar]], None],
) -> None:
    """Scatter a word to the next position of its digit."""
    words = [w.named(word, "word") for word in words]
    place = add_one(w, counts, layout.digit(w.e, words[0], digit))
    deliver(place.cast(int64), words)


def store_word(grids: list[ArrayView], place: Scalar, words: list[Scalar]) -> None:
    """Store the parts of a word."""
    for grid, word in zip(grids, words):
        grid[place] = word


@dataclass
class SharedSort:
    """Radix sort of long rows that threads share, chunk by chunk."""

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

    def _grid(self, storage: Storage, lead: At) -> ArrayView:
        return ArrayView(self.task.writer, self.task.builder.buffer(storage), lead)

    def _keys(self, words: list[Storage]) -> None:
        task, w = self.task, self.task.writer
        shape = (*task.beside, task.size)
        at = open_loops(task.builder, shape)
        others, i = at[:-1], Scalar(w.e, at[-1])
        made = task.layout.words(w.e, task.key(others, i).expr, i.expr)
        store_word([self._grid(s, others) for s in words], i, made)
        close_loops(task.builder, at, shape)

    def _open_chunk(self) -> tuple[At, Scalar, Scalar]:
        """Loops over rows and chunks; the chunk's first element and its size."""
        task, w = self.task, self.task.writer
        at = open_loops(task.builder, (*task.beside, ROW_CHUNKS))
        each = w.number(ceildiv(task.size, ROW_CHUNKS))
        first = Scalar(w.e, at[-1]) * each
        left = w.number(task.size) - first
        return at, first, (left < each).choose(left, each)

    def _close_chunk(self, at: At) -> None:
        close_loops(self.task.builder, at, (*self.task.beside, ROW_CHUNKS), lanes=False)

    def _count(self, d: int, source: list[Storage]) -> None:
        w, layout = self.task.writer, self.task.layout
        at, first, size = self._open_chunk()
        counts, keys = self._grid(self.counts, at), self._grid(source[0], at[:-1])
        fill_zeros(w, counts, layout.buckets)
        with w.loop(size) as i:
            add_one(w, counts, layout.digit(w.e, keys[first + i], d))
        self._close_chunk(at)

    def _start(self) -> None:
        task, w = self.task, self.task.writer
        others = open_loops(task.builder, task.beside)
        counts, e = self._grid(self.counts, others), w.e

        def place(n: Scalar) -> tuple[Scalar, Scalar]:
            return Scalar(e, e.modulo(n.expr, ROW_CHUNKS)), Scalar(e, e.over(n.expr, ROW_CHUNKS))

        exclusive_scan(w, place, counts, task.layout.buckets * ROW_CHUNKS)
        close_loops(task.builder, others, task.beside, lanes=False)

    def _move(self, d: int, source: list[Storage], target: list[Storage], last: bool) -> None:
        task, w = self.task, self.task.writer
        at, first, size = self._open_chunk()
        others = at[:-1]
        grids = [self._grid(s, others) for s in target] if not last else []

        def deliver(place: Scalar, words: list[Scalar]) -> None:
            if last:
                task.finish(others, place, words)
            else:
                store_word(grids, place, words)

        with w.loop(size) as i:
            words = [self._grid(s, others)[first + i] for s in source]
            scatter_word(w, task.layout, d, words, self._grid(self.counts, at), deliver)
        self._close_chunk(at)
