"""Many updates at places that data decides: their keys are sorted, then each place is a piece.

    keys[k] = row(k), or -1 where it is outside
    words (key, k) in order, by merging (`merge_sort.py`)   -> order[t], place[t]
    t is the first of its place: length[t] by binary search
    parallel t, i: if t is the first, y[place, i] + u[order[t], i] + u[order[t + 1], i] + ...

The sort is stable, so updates of one place keep their order.

Cost of n updates: the sort (64 n comparisons, log2(n / 64) steps of log2(n) reads each), log2(n)
reads for the lengths, then each update is read once.
"""

from __future__ import annotations

from graphc.compiler.fusion.checks import Checks
from graphc.compiler.fusion.kernel_builder import At, KernelBuilder
from graphc.compiler.fusion.keys import WordLayout
from graphc.compiler.fusion.loop_writer import Scalar
from graphc.compiler.fusion.merge_sort import MergeSort
from graphc.compiler.fusion.scans import CarriedValue
from graphc.ir.loops.ir import Axis, Expr, Let, Load, Scratch, Stmt, Store, const
from graphc.ir.schedule import RNG, Storage
from graphc.ir.types import TensorType, int32, int64, uint32
from graphc_cuda.lower.rewriting import Names
from graphc_cuda.lower.updates import SpreadUpdates

OUTSIDE = (1 << 32) - 1  # the key of an update outside: -1, behind all others


class _Statements(KernelBuilder):
    """Builds statements for a kernel that is there already."""

    def __init__(self, names: Names) -> None:
        rng = Storage("rng", TensorType(uint32, (4,)), RNG)
        super().__init__(lambda node: None, rng, Checks())
        self._given = names

    def name(self, wanted: str) -> str:
        """A name that the kernel does not have."""
        return self._given.new(wanted)


class SortedUpdates(SpreadUpdates):
    """Keys in order, and the updates of a place beside each other."""

    def statements(self) -> list[Stmt]:
        """Keys, their order, the updates."""
        self.order, self.places = self.memory("order", int32), self.memory("place", uint32)
        return [
            self.place_keys(),
            *self._sort(),
            *(self._merged() if self.updates.merges else self._last()),
        ]

    def _sort(self) -> list[Stmt]:
        """The numbers of updates and their keys in the order of the keys."""
        builder, layout = _Statements(self.names), WordLayout.of(uint32, True)
        e = builder.e

        def key(_: At, i: Scalar) -> Scalar:
            return Scalar(e, e.bitcast(Load(int32, self.keys, (i.expr,)), uint32))

        def finish(_: At, t: Scalar, words: list[Scalar]) -> None:
            number = e.cast(layout.index(e, words), int32)
            builder.emit(Store(self.order, (t.expr,), number))
            builder.emit(Store(self.places, (t.expr,), layout.key_of(e, words)))

        count = self.updates.count
        found = MergeSort(builder, (), count, layout, key, finish, count).statements()
        self.scratch += [s for s in found if isinstance(s, Scratch)]
        return [s for s in found if not isinstance(s, Scratch)]

    def _place(self, t: Expr, where: Expr | None = None) -> Load:
        return Load(uint32, self.places, (t,), where)

    def _differs(self, other: Expr, exists: Expr) -> Expr:
        """Whether a neighbour is not there, or of another place."""
        e = self.e
        differs = e.apply("ne", self._place(self.at), self._place(other, exists))
        return e.apply("logical_or", e.apply("logical_not", exists), differs)

    def _number(self, t: Expr) -> Expr:
        return self.e.cast(Load(int32, self.order, (t,)), int64)

    # -- overwriting --------------------------------------------------------------

    def _last(self) -> list[Stmt]:
        """The last update of every place."""
        e, number = self.e, self.ref("number", int64)
        following = e.plus(self.at, 1)
        is_last = self._differs(following, e.apply("lt", following, const(self.updates.count)))
        return [self.columns([Let(number, self._number(self.at)), self.put(number, is_last)])]

    # -- merging ------------------------------------------------------------------

    def _merged(self) -> list[Stmt]:
        """How many updates each place has, noted at its first; then each place."""
        e, at = self.e, self.at
        length, number = self.memory("length", int32), self.ref("number", int64)
        is_first = self._differs(e.plus(at, -1), e.apply("lt", const(0), at))
        is_inside = e.apply("ne", self._place(at), e.const(OUTSIDE, uint32))
        counted = e.apply("logical_and", is_first, is_inside)
        search, same = self._count_same()
        none = e.const(0, int32)
        noted = Store(length, (at,), e.apply("select", counted, e.cast(same, int32), none))
        count = e.cast(Load(int32, length, (at,)), int64)
        chain = self.chain(number, count, lambda t: self._number(e.add(at, t)))
        known = Let(number, self._number(at))
        return [self.each([*search, noted]), self.columns([known, *chain])]

    def _count_same(self) -> tuple[tuple[Stmt, ...], Expr]:
        """By binary search, how many updates from here on are of the same place."""
        builder, count = _Statements(self.names), self.updates.count
        e, steps = builder.e, count.bit_length()
        builder.open()
        same = CarriedValue(builder, int64, 0, "same")
        halving = e.index(Axis("halving"))
        builder.open()
        shift = e.sub(e.const(steps - 1, int64), halving)
        following = e.add(same.ref, e.apply("shl", const(1), shift))
        end = e.add(self.at, following)
        inside = e.apply("le", end, const(count))
        equal = e.apply("eq", self._place(e.plus(end, -1), inside), self._place(self.at))
        here = e.apply("logical_and", inside, equal)
        same.set_next(e.apply("select", here, following, same.ref))
        same.close(halving, const(steps))
        return builder.close(), same.ref
