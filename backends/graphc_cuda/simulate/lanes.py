"""The threads that are active together: what a branch or a loop narrows.

A value of all active threads is an array with one element for each of them, or a scalar where it
is the same for all. Entering a branch, values are cut down to the threads that take it, so that
nothing inside needs a mask; leaving it, what it has assigned is put back.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from graphc.ir.types import Array

WARP = 32


class Undefined:
    """What a variable holds before anything is assigned to it."""

    def __repr__(self) -> str:
        return "undefined"


UNDEFINED = Undefined()


def poison(dtype: np.dtype[Any]) -> Any:
    """What memory holds before anything is put there: NaN, or all bits set."""
    return np.frombuffer(b"\xff" * dtype.itemsize, dtype if dtype.kind != "b" else np.uint8)[0]


class Lanes:
    """Active threads of a chunk of blocks, in ascending order.

    `ids` are their numbers in the chunk, `index` their positions among the lanes that branched.
    """

    def __init__(self, ids: Array, threads: int, blocks: Array, parent: Lanes | None = None):
        self.ids, self.threads, self.blocks = ids, threads, blocks
        self.size = len(ids)
        self.is_whole = parent is None
        self.index: Array | None = None
        self.outer = 0  # how many lanes branched
        self.checked: list[Any] = []  # masks for which all threads are here
        self._parent = parent
        self._bases: dict[int, Array | int] = {}

    @classmethod
    def whole(cls, threads: int, blocks: Array) -> Lanes:
        """All threads of these blocks."""
        return cls(np.arange(threads * len(blocks)), threads, blocks)

    @cached_property
    def thread(self) -> Array:
        """The number of each thread in its block."""
        if self._parent is not None and self.index is not None:
            return self._parent.thread.take(self.index)
        number: Array = self.ids % self.threads
        return number

    @cached_property
    def slot(self) -> Array:
        """The place of each thread's block in the chunk."""
        if self._parent is not None and self.index is not None:
            return self._parent.slot.take(self.index)
        return self.ids // self.threads

    @cached_property
    def block(self) -> Array:
        """The number of each thread's block in the grid."""
        return self.blocks.take(self.slot)

    @cached_property
    def lane(self) -> Array:
        """The number of each thread in its warp."""
        return self.thread % WARP

    @cached_property
    def warp(self) -> Array:
        """The number of each thread's warp in the chunk."""
        per_block = -(-self.threads // WARP)
        number: Array = self.slot * per_block + self.thread // WARP
        return number

    @cached_property
    def key(self) -> Array:
        """The number of each thread in the launch, from 1."""
        if self._parent is not None and self.index is not None:
            return self._parent.key.take(self.index)
        return self.block * self.threads + self.thread + 1

    @cached_property
    def positions(self) -> Array:
        """The place among the lanes of each thread of the chunk; -1 where it is not active."""
        found = np.full(self.threads * len(self.blocks), -1)
        found[self.ids] = np.arange(self.size)
        return found

    def base(self, size: int) -> Array | int:
        """Where the elements of each thread's block begin, of arrays with so many a block."""
        if len(self.blocks) == 1:
            return 0
        found = self._bases.get(size)
        if found is None:
            found = self._bases[size] = self.slot * size
        return found

    def name(self, position: int) -> str:
        """How messages name the thread at a position."""
        return f"thread {self.thread[position]} of block {self.block[position]}"

    # ---------------------------------------------------------- narrowing

    def pick(self, index: Array) -> Lanes:
        """The lanes at these positions."""
        found = Lanes(self.ids.take(index), self.threads, self.blocks, self)
        found.index, found.outer = index, self.size
        return found

    def branch(self, condition: Any) -> Lanes | None:
        """The lanes where the condition holds: these, some, or None."""
        if condition.__class__ is not np.ndarray:
            return self if condition else None
        count = np.count_nonzero(condition)
        if count == self.size:
            return self
        return self.pick(condition.nonzero()[0]) if count else None

    def take(self, *values: Any) -> list[Any]:
        """Cut values of the lanes that branched down to these lanes."""
        index = self.index
        assert index is not None
        return [v.take(index) if v.__class__ is np.ndarray else v for v in values]

    def merge(self, old: Any, new: Any) -> Any:
        """Put a value of these lanes back among those of the lanes that branched."""
        if new is old or _same_scalar(old, new):
            return old
        if new is UNDEFINED:
            return old
        if old is UNDEFINED:
            dtype = np.result_type(new)
            result = np.full(self.outer, poison(dtype), dtype)
        else:
            result = widened(old, self.outer, np.result_type(old, new))
        result[self.index] = new
        return result

    def select(self, condition: Any, first: Any, second: Any, values: tuple[Any, ...]) -> Any:
        """Evaluate each side for the lanes that take it: functions of lanes and values."""
        taken = self.branch(condition)
        if taken is self:
            return first(self, *values)
        if taken is None:
            return second(self, *values)
        other = self.pick((~condition).nonzero()[0])
        one = first(taken, *taken.take(*values))
        two = second(other, *other.take(*values))
        result = np.empty(self.size, np.result_type(one, two))
        result[taken.index] = one
        result[other.index] = two
        return result


def _same_scalar(old: Any, new: Any) -> bool:
    """Whether two numbers are one; -0.0 is not 0.0."""
    if isinstance(old, np.ndarray) or isinstance(new, np.ndarray):
        return False
    return type(old) is type(new) and bool(old == new) and (bool(old) or repr(old) == repr(new))


def widened(value: Any, size: int, dtype: np.dtype[Any]) -> Array:
    """A new array of that size and dtype that holds the value."""
    if isinstance(value, np.ndarray):
        return value.astype(dtype)
    return np.full(size, value, dtype)


class UniformLoop:
    """A loop whose bounds are the same for all lanes."""

    changed = shrunk = False

    def __init__(self, lanes: Lanes, bounds: range) -> None:
        self.lanes, self.bounds = lanes, bounds

    def __iter__(self) -> Any:
        return iter(self.bounds)

    def park(self, _: int, *values: Any) -> tuple[Any, ...]:
        """Return the values: no lane ever leaves alone."""
        return values

    finish = park


class VaryingLoop:
    """A loop that lanes leave one after the other; those that stay are in `lanes`.

    `changed` says that some have just left: `park` then puts aside what they have assigned, and
    cuts values down to those that stay. `finish` puts everything together again.
    """

    def __init__(self, lanes: Lanes) -> None:
        self.lanes = self._all = lanes
        self.changed = self.shrunk = False
        self._keep: Array | None = None
        self._places = np.arange(lanes.size)  # of those that stay, among all
        self._parked: list[Any] = []
        self._originals: tuple[Any, ...] = ()

    def goes_on(self, condition: Any) -> bool:
        """Whether any lane goes on; notes which ones."""
        stays = self.lanes.branch(condition)
        self.changed = stays is not None and stays is not self.lanes
        if stays is not None and self.changed:
            self._keep = stays.index
            self.lanes = stays
        return stays is not None

    def park(self, assigned: int, *values: Any) -> tuple[Any, ...]:
        """Put aside the assigned values (the first ones); return those of the lanes that stay."""
        if not self.shrunk:
            self.shrunk = True
            self._originals = values[assigned:]
            self._parked = [None] * assigned
        for j in range(assigned):
            self._parked[j] = self._put(self._parked[j], values[j])
        keep = self._keep
        assert keep is not None
        self._places = self._places.take(keep)
        return tuple(v.take(keep) if isinstance(v, np.ndarray) else v for v in values)

    def finish(self, assigned: int, *values: Any) -> tuple[Any, ...]:
        """Return the values of all lanes that began."""
        results = [self._put(self._parked[j], values[j]) for j in range(assigned)]
        return (*results, *self._originals)

    def _put(self, parked: Any, value: Any) -> Any:
        """All lanes' values, with those of the current ones put in place."""
        if value is UNDEFINED:
            return UNDEFINED if parked is None else parked
        if parked is None or parked is UNDEFINED:
            if isinstance(value, np.ndarray) and len(value) == self._all.size:
                return value
            dtype = np.result_type(value)
            parked = np.full(self._all.size, poison(dtype), dtype)
        dtype = np.result_type(parked, value)
        result = parked.astype(dtype)
        result[self._places] = value
        return result


class CountedLoop(VaryingLoop):
    """A loop over a range that differs between lanes."""

    def __init__(self, lanes: Lanes, start: Any, stop: Any, step: Any) -> None:
        super().__init__(lanes)
        self._now = widened(start, lanes.size, np.dtype(np.int64))
        self._stop, self._step = stop, step

    def __iter__(self) -> CountedLoop:
        return self

    def __next__(self) -> Any:
        if not self.goes_on(self._now < self._stop):
            raise StopIteration
        if self.changed:
            keep = self._keep
            assert keep is not None
            self._now = self._now.take(keep)
            self._stop, self._step = (
                v.take(keep) if isinstance(v, np.ndarray) else v for v in (self._stop, self._step)
            )
        now = self._now
        self._now = now + self._step
        return now


def loop_over(lanes: Lanes, start: Any, stop: Any, step: Any) -> UniformLoop | CountedLoop:
    """The loop for k in range(start, stop, step)."""
    if any(isinstance(v, np.ndarray) for v in (start, stop, step)):
        return CountedLoop(lanes, start, stop, step)
    return UniformLoop(lanes, range(int(start), int(stop), int(step)))
