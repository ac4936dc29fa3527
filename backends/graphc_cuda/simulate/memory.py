"""Memory as the threads of a chunk see it: arguments, shared and local arrays.

Every access is checked against the bounds; conflicts are looked for in shared arrays, and in the
arguments that the kernel writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

import numpy as np

from graphc.ir.types import Array
from graphc_cuda.simulate.errors import SimulationError, thread_name
from graphc_cuda.simulate.lanes import Lanes, poison
from graphc_cuda.simulate.races import Accesses, Clock, ConflictError
from graphc_cuda.simulate.source import KernelSource

_INDEX = np.dtype(np.int64)
_UNSIGNED = np.dtype(np.uint64)
_greatest = np.maximum.reduce


class VectorArray:
    """Elements that all blocks see (`per_block` 0), or so many of each block of the chunk."""

    def __init__(
        self, source: KernelSource, clock: Clock, name: str, data: Array, size: int,
        is_shared: bool,
    ) -> None:  # fmt: skip
        self.source, self.clock = source, clock
        self.name, self.data, self.size = name, data, size
        self.is_shared = is_shared
        self.accesses: Accesses | None = None
        self.first, self.units = 0, 1  # of `accesses`: where this begins, and those of an element
        self.waiting: Array | None = None  # lines of copies that have not arrived, by element
        self.waiting_count = 0  # of these copies

    # ------------------------------------------------------------ elements

    def load(self, index: Any, lanes: Lanes, line: int) -> Any:
        """Read one element for each lane."""
        element = self.element(index, lanes, line)
        if self.waiting is not None and self.waiting_count:
            self._refuse_waiting(element, lanes, line)
        if self.accesses is not None:
            self._note_read(element, lanes, line)
        return self.data.take(element) if element.__class__ is np.ndarray else self.data[element]

    def load_where(
        self, condition: Any, index: Any, otherwise: Any, lanes: Lanes, line: int
    ) -> Any:
        """Read one element for each lane where the condition holds; a value for the others."""
        return _load_where(self, self.data.dtype, (condition, index, otherwise), lanes, line)

    def store(self, index: Any, value: Any, lanes: Lanes, line: int) -> None:
        """Write one element for each lane."""
        self._check_value(value, line)
        element = self.element(index, lanes, line)
        if self.accesses is not None:
            self._store_noted(element, value, lanes, line)
        elif element.__class__ is np.ndarray or value.__class__ is not np.ndarray:
            self.data[element] = value
        else:
            self.data[element] = value[-1]

    def load_vector(self, index: Any, count: int, lanes: Lanes, line: int) -> tuple[Any, ...]:
        """Read neighbours."""
        self.check_alignment(index, count, lanes, line)
        self.element(index + (count - 1), lanes, line)
        return tuple(self.load(index + j, lanes, line) for j in range(count))

    def store_vector(self, index: Any, values: tuple[Any, ...], lanes: Lanes, line: int) -> None:
        """Write neighbours."""
        self.check_alignment(index, len(values), lanes, line)
        for j, value in enumerate(values):
            self.store(index + j, value, lanes, line)

    def atomic_min(self, index: Any, value: Any, lanes: Lanes, line: int) -> None:
        """Lower elements to values; never a conflict."""
        element = self.element(index, lanes, line)
        if isinstance(value, np.ndarray) and not isinstance(element, np.ndarray):
            value = value.min()
        np.minimum.at(self.data, element, value)

    def element(self, index: Any, lanes: Lanes, line: int) -> Any:
        """Where in `data` an index points, for each lane; it must be inside."""
        if index.__class__ is np.ndarray:
            if index.dtype is not _INDEX:
                index = self._as_index(index, line)
            if _greatest(index.view(_UNSIGNED)) >= self.size:
                wrong = (index < 0) | (index >= self.size)
                self._out_of_bounds(index, int(np.argmax(wrong)), lanes, line)
            if self.is_shared and len(lanes.blocks) > 1:
                return index + lanes.base(self.size)
            return index
        if not 0 <= index < self.size:
            self._out_of_bounds(np.full(lanes.size, index), 0, lanes, line)
        return int(index) + lanes.base(self.size) if self.is_shared else int(index)

    def check_alignment(self, index: Any, count: int, lanes: Lanes, line: int) -> None:
        """Refuse a first index that is not a multiple of the count."""
        if count == 1:
            return
        wrong = np.asarray(index) % count != 0
        if wrong.any():
            which = int(np.argmax(wrong))
            value = np.broadcast_to(index, lanes.size)[which]
            self.fail(
                "alignment",
                f"{count} elements of {self.name} at once begin at {value}, which is not a "
                f"multiple of {count} ({lanes.name(which)})",
                line,
            )

    # -------------------------------------------------------------- checks

    def _as_index(self, index: Array, line: int) -> Array:
        if index.dtype.kind not in "iu":
            self.fail("type", f"{self.name} is indexed by {index.dtype}", line)
        return index.astype(_INDEX)

    def _check_value(self, value: Any, line: int) -> None:
        kind = getattr(value, "dtype", self.data.dtype).kind
        if kind != self.data.dtype.kind and "f" in (kind, self.data.dtype.kind):
            self.fail("type", f"{self.name} holds {self.data.dtype}, not {value.dtype}", line)

    def _out_of_bounds(self, index: Array, which: int, lanes: Lanes, line: int) -> NoReturn:
        self.fail(
            "bounds",
            f"{self.name}[{index[which]}] is outside its {self.size} elements "
            f"({lanes.name(which)})",
            line,
        )

    def fail(self, kind: str, message: str, *lines: int) -> NoReturn:
        """Stop with an error at the lines."""
        raise SimulationError(kind, message, self.source, lines)

    def _refuse_waiting(self, element: Any, lanes: Lanes, line: int) -> None:
        assert self.waiting is not None
        begun = self.waiting.take(element)
        if np.count_nonzero(begun):
            begun = np.broadcast_to(begun, lanes.size)
            which = int(np.argmax(begun != 0))
            inside = int(np.broadcast_to(element, lanes.size)[which]) % self.size
            self.fail(
                "copy",
                f"{self.name}[{inside}] is read before its copy_async has arrived "
                f"({lanes.name(which)})",
                line,
                int(begun[which]),
            )

    # ----------------------------------------------------------- conflicts

    def _noted(self, element: Array) -> Iterable[Array]:
        """Units of the record of accesses, each with one of every lane."""
        if self.units == 1:
            return (element + self.first if self.first else element,)
        return self._units(element)

    def _units(self, element: Array) -> Iterator[Array]:
        for unit in range(self.units):
            yield element * self.units + (self.first + unit)

    def _note_read(self, element: Any, lanes: Lanes, line: int) -> None:
        assert self.accesses is not None
        time = self.clock.tick(line)
        if element.__class__ is not np.ndarray:
            element = np.full(lanes.size, element)
        try:
            for noted in self._noted(element):
                self.accesses.read(noted, lanes, time)
        except ConflictError as conflict:
            self._report(conflict, lanes, line)

    def _store_noted(self, element: Any, value: Any, lanes: Lanes, line: int) -> None:
        accesses, time = self.accesses, self.clock.tick(line)
        assert accesses is not None
        if element.__class__ is not np.ndarray:
            element = np.full(lanes.size, element)

        def changes() -> Array:
            return _differs(self.data.take(element), value)

        try:
            for noted in self._noted(element):
                lost = accesses.write(noted, lanes, time, changes)
        except ConflictError as conflict:
            self._report(conflict, lanes, line)
        self.data[element] = value
        if np.count_nonzero(lost):
            lost &= changes()
        if np.count_nonzero(lost):
            which = int(np.argmax(lost))
            before = accesses.writer(int(noted[which]))
            found = ConflictError(which, int(noted[which]), before, "write after write")
            self._report(found, lanes, line)

    def _report(self, conflict: ConflictError, lanes: Lanes, line: int) -> NoReturn:
        block, thread = divmod(conflict.thread, lanes.threads)
        inside = (conflict.element - self.first) // self.units % self.size
        self.fail(
            "race",
            f"{conflict.how} of {self.name}[{inside}]: nothing orders "
            f"{thread_name(block, thread)} before {lanes.name(conflict.position)}",
            line,
            self.clock.lines[conflict.time],
        )


def _differs(held: Array, value: Any) -> Array:
    """Where memory holds other bits than the value has."""
    unsigned = np.dtype(f"u{held.dtype.itemsize}")
    wanted = np.empty_like(held)
    wanted[:] = value
    result: Array = held.view(unsigned) != wanted.view(unsigned)
    return result


class LocalArray:
    """Elements of each thread: one row for an element, as long as the chunk has threads."""

    def __init__(
        self, source: KernelSource, name: str, size: int, dtype: np.dtype[Any], lanes: Lanes
    ) -> None:
        self.source, self.name, self.size, self.dtype = source, name, size, dtype
        self._width = lanes.threads * len(lanes.blocks)
        self._rows: list[Any] | None = [dtype.type(poison(dtype))] * size
        self._table: Array | None = None  # the rows, once an index has differed between threads

    def load(self, index: Any, lanes: Lanes, line: int) -> Any:
        """Read one element for each lane."""
        self._check(index, lanes, line)
        if isinstance(index, np.ndarray):
            return self._as_table()[index, lanes.ids]
        if self._rows is None:
            return self._as_table()[index].take(lanes.ids)
        row = self._rows[index]
        return row.take(lanes.ids) if isinstance(row, np.ndarray) and not lanes.is_whole else row

    def load_where(
        self, condition: Any, index: Any, otherwise: Any, lanes: Lanes, line: int
    ) -> Any:
        """Read one element for each lane where the condition holds; a value for the others."""
        return _load_where(self, self.dtype, (condition, index, otherwise), lanes, line)

    def store(self, index: Any, value: Any, lanes: Lanes, line: int) -> None:
        """Write one element for each lane."""
        self._check(index, lanes, line)
        value = self.dtype.type(value) if not isinstance(value, np.ndarray) else value
        if isinstance(index, np.ndarray) or self._rows is None:
            self._as_table()[index, lanes.ids] = value
        elif lanes.is_whole:
            self._rows[index] = value
        else:
            row = np.empty(self._width, self.dtype)
            row[:] = self._rows[index]
            row[lanes.ids] = value
            self._rows[index] = row

    def _as_table(self) -> Array:
        if self._table is None:
            assert self._rows is not None
            self._table = np.empty((self.size, self._width), self.dtype)
            for j, row in enumerate(self._rows):
                self._table[j] = row
            self._rows = None
        return self._table

    def _check(self, index: Any, lanes: Lanes, line: int) -> None:
        wrong = (index < 0) | (index >= self.size)
        if np.any(wrong):
            which = int(np.argmax(wrong))
            value = np.broadcast_to(index, lanes.size)[which]
            raise SimulationError(
                "bounds",
                f"{self.name}[{value}] is outside its {self.size} elements ({lanes.name(which)})",
                self.source,
                (line,),
            )


def _load_where(
    array: VectorArray | LocalArray,
    dtype: np.dtype[Any],
    guarded: tuple[Any, Any, Any],
    lanes: Lanes,
    line: int,
) -> Any:
    condition, index, otherwise = guarded
    taken = lanes.branch(condition)
    if taken is None:
        return otherwise
    if taken is lanes:
        return array.load(index, lanes, line)
    place = taken.index
    assert place is not None
    result = np.empty(lanes.size, dtype)
    result[:] = otherwise
    inside = index.take(place) if index.__class__ is np.ndarray else index
    result[place] = array.load(inside, taken, line)
    return result
