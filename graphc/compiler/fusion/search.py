"""Lower searches: topk and searchsorted.

The best element of every block of a row is found first. The k-th best of those bounds the k best
elements, so only blocks whose best is within it are looked at again, and what is within it there
is sorted. A machine with a thread for every element merges runs instead (`merge_sort.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from graphc.compiler.fusion.kernel_builder import At, KernelBuilder
from graphc.compiler.fusion.keys import WordLayout, encode_key
from graphc.compiler.fusion.loop_writer import ArrayView, LoopWriter, Scalar
from graphc.compiler.fusion.merge_sort import MergeSort
from graphc.compiler.fusion.nests import close_loops, open_loops
from graphc.compiler.fusion.scans import CarriedValue
from graphc.compiler.fusion.sorting import (
    MAX_COUNTED_ELEMENTS,
    expected_length,
    key_row,
    rank,
    sort_words,
    store_word,
)
from graphc.ir.dims import Size, bound, ceildiv, evaluate
from graphc.ir.graph import Node
from graphc.ir.loops.combine import MIN
from graphc.ir.loops.ir import Axis, Stmt
from graphc.ir.ops.sorting import SearchSorted, TopK
from graphc.ir.schedule import Storage
from graphc.ir.types import int64

BLOCK_ELEMENTS = (64, 16)  # of a block, the larger first
MIN_BLOCKS_PER_RESULT = 3  # or blocks save nothing


def lower_topk(node: Node, targets: tuple[Storage, ...], builder: KernelBuilder) -> None:
    """Positions of the k first of the order, row by row."""
    task = TopKTask(node, targets, builder)
    others = open_loops(builder, task.beside)
    if expected_length(task.size) <= MAX_COUNTED_ELEMENTS:
        task.by_counting(others)
    else:
        task.by_blocks(others)
    close_loops(builder, others, task.beside, lanes=False)
    if expected_length(task.size) > MAX_COUNTED_ELEMENTS:
        builder.spread = partial(_merged, node, targets, builder)


def _merged(
    node: Node, targets: tuple[Storage, ...], builder: KernelBuilder, dims: Mapping[str, int]
) -> tuple[Stmt, ...]:
    """The k best of rows of a size that is known by now, by merging."""
    task = TopKTask(node, targets, builder.again())
    size, k = evaluate(task.size, dims), evaluate(task.k, dims)
    return task.by_merging(size, k) if 0 < k <= size else ()


class TopKTask:
    """Which elements of what are wanted, and where their positions go."""

    def __init__(self, node: Node, targets: tuple[Storage, ...], builder: KernelBuilder) -> None:
        op = node.op
        assert isinstance(op, TopK)
        self.targets, self.builder, self.writer = targets, builder, LoopWriter(builder)
        self.source, self.axis, self.k, self.largest = node.inputs[0], op.axis, op.k, op.largest
        shape = self.source.type.shape
        self.size: Size = shape[op.axis]
        self.beside = (*shape[: op.axis], *shape[op.axis + 1 :])

    def at(self, others: At, i: Scalar) -> At:
        """The index of element i of a row."""
        return (*others[: self.axis], i.expr, *others[self.axis :])

    def key(self, others: At, i: Scalar) -> Scalar:
        """The key of an element, smallest for the best."""
        e = self.writer.e
        x = self.builder.at(self.source, self.at(others, i))
        return Scalar(e, encode_key(e, x, self.largest, one_zero=True))

    def store(
        self, others: At, place: Scalar, position: Scalar, where: Scalar | None = None
    ) -> None:
        """Store a position if it is among the first k."""
        for storage in self.targets:
            grid = ArrayView(self.writer, self.builder.buffer(storage))
            grid.put(
                tuple(Scalar(self.writer.e, i) for i in self.at(others, place)), position, where
            )

    def by_counting(self, others: At) -> None:
        """Rank every element by counting; store the first k."""
        w, dtype = self.writer, self.source.type.dtype
        keys = key_row(w, dtype, self.size, lambda i: self.key(others, i))
        with w.loop(self.size, parallel=True) as i:
            place = rank(w, keys, self.size, i)
            self.store(others, place, i, place < w.number(self.k))

    def by_merging(self, size: int, k: int) -> tuple[Stmt, ...]:
        """Merge runs that hold the k best."""
        w, layout = self.writer, WordLayout.of(self.source.type.dtype, True)

        def finish(others: At, place: Scalar, words: list[Scalar]) -> None:
            self.store(others, place, Scalar(w.e, layout.index(w.e, words)))

        return MergeSort(self.builder, self.beside, size, layout, self.key, finish, k).statements()

    # -- blocks -----------------------------------------------------------------------

    def by_blocks(self, others: At) -> None:
        """Choose what may be among the k best, and sort that."""
        w, dtype = self.writer, self.source.type.dtype
        layout = WordLayout.of(dtype, True)
        chosen = [w.scratch("chosen", d, self.size) for d in layout.columns]
        sorted_words = [w.scratch("moved", d, self.size) for d in layout.columns]
        count = self.choose(others, layout, chosen)
        wanted = w.number(self.k)

        def finish(place: Scalar, words: list[Scalar]) -> None:
            position = Scalar(w.e, layout.index(w.e, words))
            self.store(others, place, position, place < wanted)

        sort_words(w, layout, chosen, sorted_words, count, finish)

    def choose(self, others: At, layout: WordLayout, chosen: list[ArrayView]) -> Scalar:
        """Put the words of all elements within the bound into `chosen`; return how many."""
        w = self.writer
        block = self.block_size()
        if block is None:
            with w.loop(self.size, parallel=True) as i:
                store_word(chosen, i, layout.words(w.e, self.key(others, i).expr, i.expr))
            return w.number(self.size)
        blocks = ceildiv(self.size, block)
        best = w.scratch("best", layout.key, blocks)
        with w.loop(blocks) as b:
            best[b] = self.best(others, b * block, block)
        bound = self.kth(best, blocks)
        return self.collect(others, layout, chosen, best, bound, block)

    def best(self, others: At, first: Scalar, block: int) -> Scalar:
        """The smallest key of a block."""
        count = self.left(first, block)
        return self.writer.reduce(MIN, count, lambda i: (self.key(others, first + i),))[0]

    def block_size(self) -> int | None:
        """The elements of a block; None where looking at everything costs as much."""
        most = bound(self.k, low=False)
        for block in BLOCK_ELEMENTS:
            if most is not None and most * block * MIN_BLOCKS_PER_RESULT <= expected_length(
                self.size
            ):
                return block
        return None

    def left(self, first: Scalar, block: int) -> Scalar:
        """How many elements the block from `first` on has."""
        left = self.writer.number(self.size) - first
        return (left < block).choose(left, block)

    def kth(self, best: ArrayView, blocks: Size) -> Scalar:
        """The k-th smallest of the blocks' keys; the largest key where there are fewer blocks."""
        w = self.writer
        layout = WordLayout.of(self.source.type.dtype, False)
        source = [w.scratch("bests", layout.key, blocks)]
        target = [w.scratch("bests_moved", layout.key, blocks)]
        found = w.scratch("bound", layout.key, 1)
        with w.loop(blocks, parallel=True) as i:
            source[0][i] = best[i]
        found[0] = (1 << layout.key.bits) - 1
        last = w.number(self.k) - 1

        def finish(place: Scalar, words: list[Scalar]) -> None:
            found.put(0, words[0], place.equals(last))

        sort_words(w, layout, source, target, w.number(blocks), finish)
        return w.named(found[0], "bound")

    def collect(
        self,
        others: At,
        layout: WordLayout,
        chosen: list[ArrayView],
        best: ArrayView,
        bound: Scalar,
        block: int,
    ) -> Scalar:
        """The words within the bound, in the order of their positions."""
        w = self.writer
        count = w.scratch("count", int64, 1)
        count[0] = 0
        with w.loop(ceildiv(self.size, block)) as b, w.when(best[b] <= bound):
            first = b * block
            with w.loop(self.left(first, block)) as i:
                place = first + i
                key = w.named(self.key(others, place), "key")
                end = w.named(count[0], "end")
                store_word(chosen, end, layout.words(w.e, key.expr, place.expr))
                count[0] = end + (key <= bound).cast(int64)
        return w.named(count[0], "count")


def lower_search(node: Node, targets: tuple[Storage, ...], builder: KernelBuilder) -> None:
    """Binary search in a sorted vector, for many values in parallel."""
    op, (x, wanted) = node.op, node.inputs
    assert isinstance(op, SearchSorted)
    (size,) = x.type.shape
    at = open_loops(builder, node.type.shape)
    w, e = LoopWriter(builder), builder.e
    value = w.named(Scalar(e, builder.at(wanted, at)), "value")
    steps = (bound(size, low=False) or (1 << 40) - 1).bit_length()
    passed = CarriedValue(builder, int64, 0, "passed")
    index = e.index(Axis(builder.name("halving")))
    builder.open()
    shift = e.sub(e.const(steps - 1, int64), index)
    following = Scalar(e, passed.ref) + Scalar(e, e.apply("shl", e.const(1, int64), shift))
    inside = following <= w.number(size)
    element = Scalar(e, builder.at(x, ((following - 1).expr,), inside.expr))
    here = ~comes_before(value, element) if op.right else comes_before(element, value)
    passed.set_next((inside & here).choose(following, Scalar(e, passed.ref)).expr)
    passed.close(index, e.const(steps, int64))
    for storage in targets:
        builder.store(storage, at, passed.ref)
    close_loops(builder, at, node.type.shape)


def comes_before(x: Scalar, y: Scalar) -> Scalar:
    """x < y, NaN being larger than every number."""
    if not x.expr.dtype.is_float:
        return x < y
    return (x < y) | (~y.equals(y) & x.equals(x))
