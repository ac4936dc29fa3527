"""Sort with a thread for every element: runs by counting, then merges by rank.

    words of all elements -> runs of 64, each word where the count of smaller ones says
                          -> runs of 128, 256, ...: a word's place is its own in its run and,
                             by binary search, how many words of the sibling come before it
                          -> results

Where the first k are wanted, runs hold no more than those: each merge halves what is left.
Every step is one parallel nest, so that a machine with thousands of threads is busy in each.

Cost of n words: 64 n comparisons, then log2(n / 64) steps in which a word is read, searched for by
log2(run) dependent reads, and written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from graphc.compiler.fusion.kernel_builder import At, KernelBuilder
from graphc.compiler.fusion.keys import WordLayout
from graphc.compiler.fusion.loop_writer import ArrayView, LoopWriter, Scalar
from graphc.compiler.fusion.nests import close_loops, open_loops
from graphc.compiler.fusion.scans import CarriedValue
from graphc.ir.dims import Size
from graphc.ir.loops.combine import SUM
from graphc.ir.loops.ir import Axis, Buffer, Load, Scratch, Stmt
from graphc.ir.types import int32, int64

RUN = 64  # words that are counted against each other


@dataclass
class MergeSort:
    """A sort of rows of a known size, of which the first `kept` are wanted.

    `key` makes the key of an element; `finish` stores what the words at a place stand for.
    """

    builder: KernelBuilder
    beside: tuple[Size, ...]
    size: int
    layout: WordLayout
    key: Callable[[At, Scalar], Scalar]
    finish: Callable[[At, Scalar, list[Scalar]], None]
    kept: int

    def statements(self) -> tuple[Stmt, ...]:
        """Words, runs, merges, results."""
        builder = self.builder
        builder.open()
        self.writer, self.length = LoopWriter(builder), self.size
        self.source, self.target = self._memory("unsorted"), self._memory("merged")
        self._words()
        most = 1 << max(0, self.kept - 1).bit_length()
        width = min(RUN, most)
        self._runs(width)
        while width < self.length:
            following = min(2 * width, most)
            self._merge(width, following)
            width = following
        with self._each(self.kept) as (others, i):
            self.finish(others, i, self._read(others, i))
        return builder.close()

    # -- memory -----------------------------------------------------------------------

    def _memory(self, name: str) -> list[Buffer]:
        shape = (*self.beside, self.size)
        found = [Buffer(self.builder.name(name), d, shape) for d in self.layout.columns]
        for buffer in found:
            self.builder.emit(Scratch(buffer))
        return found

    @contextmanager
    def _each(self, count: int) -> Iterator[tuple[At, Scalar]]:
        """A nest over the first `count` places of all rows."""
        shape = (*self.beside, count)
        at = open_loops(self.builder, shape)
        yield at[:-1], Scalar(self.writer.e, at[-1])
        close_loops(self.builder, at, shape)

    def _read(self, others: At, i: Scalar) -> list[Scalar]:
        """The parts of a word, named."""
        w = self.writer
        return [w.named(ArrayView(w, b, others)[i], "word") for b in self.source]

    def _put(self, others: At, place: Scalar, words: list[Scalar], where: Scalar | None) -> None:
        for buffer, word in zip(self.target, words):
            ArrayView(self.writer, buffer, others).put(place, word, where)

    def _swap(self, length: int) -> None:
        self.source, self.target, self.length = self.target, self.source, length

    # -- steps ------------------------------------------------------------------------

    def _words(self) -> None:
        with self._each(self.size) as (others, i):
            key = self.key(others, i)
            self._put(others, i, self.layout.words(self.writer.e, key.expr, i.expr), None)
        self._swap(self.size)

    def _runs(self, kept: int) -> None:
        """Sort every run of 64 by counting and keep its first words."""
        w, length = self.writer, self.length
        with self._each(length) as (others, i):
            begin = w.named(over(i, RUN) * RUN, "begin")
            words = self._read(others, i)
            place = w.reduce(
                SUM, RUN, lambda j: (self._before(others, begin + j, words[0], i),), lanes=False
            )[0].cast(int64)
            where = place < kept if kept < RUN else None
            self._put(others, over(i, RUN) * kept + place, words, where)
        self._swap(kept_length(length, RUN, kept))

    def _before(self, others: At, j: Scalar, own: Scalar, i: Scalar) -> Scalar:
        """1 if word j comes before word i: of equal ones, if it stands before it."""
        inside = j < self.writer.number(self.length)
        buffer = self.source[0]
        other = Scalar(own.e, Load(buffer.dtype, buffer, (*others, j.expr), inside.expr))
        first = other < own
        if not self.layout.packed:
            first = first | (other.equals(own) & (j < i))
        return (first & inside).cast(int32)

    def _merge(self, width: int, kept: int) -> None:
        """Merge neighbouring runs and keep the first words of each pair."""
        w, length = self.writer, self.length
        with self._each(length) as (others, i):
            pair = over(i, 2 * width)
            begin = w.named(pair * (2 * width), "begin")
            inside = i - begin
            is_left = w.named(inside < width, "is_left")
            words = self._read(others, i)
            sibling = w.named(is_left.choose(begin + width, begin), "sibling")
            passed = self._passed(others, width, sibling, words[0], is_left)
            place = w.named(is_left.choose(inside, inside - width) + passed, "place")
            where = place < kept if kept < 2 * width else None
            self._put(others, pair * kept + place, words, where)
        self._swap(kept_length(length, 2 * width, kept))

    def _passed(
        self, others: At, width: int, sibling: Scalar, own: Scalar, is_left: Scalar
    ) -> Scalar:
        """How many words of the run at `sibling` come before a word of the other run."""
        builder, w, e = self.builder, self.writer, self.writer.e
        passed = CarriedValue(builder, int64, 0, "passed")
        halving = e.index(Axis(builder.name("halving")))
        builder.open()
        shift = e.sub(e.const(width.bit_length() - 1, int64), halving)
        following = Scalar(e, passed.ref) + Scalar(e, e.apply("shl", e.const(1, int64), shift))
        end = sibling + following
        inside = (following <= width) & (end <= w.number(self.length))
        buffer = self.source[0]
        other = Scalar(e, Load(buffer.dtype, buffer, (*others, (end - 1).expr), inside.expr))
        here = other < own
        if not self.layout.packed:
            here = here | (~is_left & other.equals(own))
        passed.set_next((inside & here).choose(following, Scalar(e, passed.ref)).expr)
        passed.close(halving, e.const(width.bit_length(), int64))
        return Scalar(e, passed.ref)


def over(i: Scalar, size: int) -> Scalar:
    """In which part of a size an index lies."""
    return Scalar(i.e, i.e.over(i.expr, size))


def kept_length(length: int, size: int, kept: int) -> int:
    """What is left of `length` words where every `size` leave the first `kept`."""
    return length // size * kept + min(length % size, kept)
