"""The names of the language that belong to a thread, for one thread at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc_cuda import language
from graphc_cuda.compiled_fma import compiled_fma
from graphc_cuda.simulate.fragments import matrix_places, multiply_fragments
from graphc_cuda.simulate.lanes import WARP, poison
from graphc_cuda.simulate.thread_memory import Records, ThreadArray, poisoned
from graphc_cuda.simulate.thread_state import (
    BARRIER,
    MATRIX,
    SHUFFLE,
    WARP_BARRIER,
    LaunchState,
)

FULL = 0xFFFFFFFF
_BYTES = (4, 8, 16)


class ThreadLanguage:
    """What `cuda` and the functions with an effect mean while a launch runs."""

    def __init__(self, launch: LaunchState) -> None:
        self.launch = launch

    def meanings(self) -> dict[str, Any]:
        """The meanings by name."""
        names = (
            "load_vector2", "load_vector4", "load_vector8", "store_vector2", "store_vector4",
            "store_vector8", "atomic_min", "copy_async", "copy_async_commit", "copy_async_wait",
            "load_matrix", "load_matrix_transposed",
        )  # fmt: skip
        found: dict[str, Any] = {n: getattr(self, n) for n in names}
        for name in ("mma_bf16", "mma_f16", "mma_tf32"):
            found[name] = self._multiplier(name)
        # threads compute without warnings, so they need not be silenced here
        return found | {"cuda": ThreadCuda(self.launch), "fma": compiled_fma().function}

    # -------------------------------------------------------------- memory

    def load_vector2(self, array: ThreadArray, index: Any) -> tuple[Any, ...]:
        """Read two neighbours."""
        return self._load(array, index, 2, self.launch.line())

    def load_vector4(self, array: ThreadArray, index: Any) -> tuple[Any, ...]:
        """Read four neighbours."""
        return self._load(array, index, 4, self.launch.line())

    def load_vector8(self, array: ThreadArray, index: Any) -> tuple[Any, ...]:
        """Read eight neighbours."""
        return self._load(array, index, 8, self.launch.line())

    def store_vector2(self, array: ThreadArray, index: Any, *values: Any) -> None:
        """Write two neighbours."""
        self._store(array, index, values, self.launch.line())

    def store_vector4(self, array: ThreadArray, index: Any, *values: Any) -> None:
        """Write four neighbours."""
        self._store(array, index, values, self.launch.line())

    def store_vector8(self, array: ThreadArray, index: Any, *values: Any) -> None:
        """Write eight neighbours."""
        self._store(array, index, values, self.launch.line())

    def atomic_min(self, array: ThreadArray, index: Any, value: Any) -> None:
        """Lower an element; never a conflict."""
        place = array.place(index, self.launch.line())
        array.data[place] = min(array.data[place], value)

    def _load(self, array: ThreadArray, index: Any, count: int, line: int) -> tuple[Any, ...]:
        array.check_alignment(index, count, line)
        return tuple(array.load(index + j, line) for j in range(count))

    def _store(self, array: ThreadArray, index: Any, values: tuple[Any, ...], line: int) -> None:
        array.check_alignment(index, len(values), line)
        for j, value in enumerate(values):
            array.store(index + j, value, line)

    # -------------------------------------------------------------- copies

    def copy_async(
        self, target: ThreadArray, index: Any, source: ThreadArray, place: Any, count: int
    ) -> None:
        """Read the elements; poison where they will be."""
        line, me = self.launch.line(), self.launch.current
        size = count * target.data.itemsize
        if size not in _BYTES or target.data.dtype != source.data.dtype:
            message = f"copy_async of {count} {target.data.dtype} ({size} bytes)"
            self.launch.refuse("copy", f"{message}: it copies 4, 8 or 16 bytes", line)
        values = self._load(source, place, count, line)
        self._store(target, index, (poison(target.data.dtype),) * count, line)
        target.waiting |= {int(index) + j: line for j in range(count)}
        me.copies.append(_Copy(target, int(index), values, me.committed))

    def copy_async_commit(self) -> None:
        """Close a group."""
        self.launch.current.committed += 1

    def copy_async_wait(self, groups: int) -> None:
        """Let all groups arrive but the last ones."""
        line, me = self.launch.line(), self.launch.current
        due = [c for c in me.copies if c.group < me.committed - groups]
        me.copies = [c for c in me.copies if c not in due]
        for copy in due:
            for j, value in enumerate(copy.values):
                copy.target.waiting.pop(copy.index + j, None)
                copy.target.store(copy.index + j, value, line)

    # ------------------------------------------------------------ matrices

    def load_matrix(self, array: ThreadArray, index: Any) -> tuple[Any, ...]:
        """Load this thread's part of four 8 x 8 matrices."""
        return self._load_matrix(array, index, False)

    def load_matrix_transposed(self, array: ThreadArray, index: Any) -> tuple[Any, ...]:
        """Load this thread's part of four 8 x 8 matrices, each transposed."""
        return self._load_matrix(array, index, True)

    def _load_matrix(self, array: ThreadArray, index: Any, transposed: bool) -> tuple[Any, ...]:
        line, me = self.launch.line(), self.launch.current
        if array.data.dtype != np.uint16 or array.name in self.launch.source.parameters:
            held = f"{array.name} holds {array.data.dtype}"
            message = f"load_matrix reads uint16 in shared memory; {held}"
            self.launch.refuse("type", message, line)
        array.check_alignment(index, 8, line)
        exchange = self.launch.meet(MATRIX, FULL, int(index), line)
        starts = np.array([[exchange.values[lane] for lane in range(WARP)]])
        pairs = []
        for places in matrix_places(starts, transposed):
            low, high = (array.load(place[0, me.lane], line) for place in places)
            pairs.append(np.uint32(low) | np.uint32(high) << np.uint32(16))
        return tuple(pairs)

    def _multiplier(self, name: str) -> Any:
        def multiply(*fragments: Any) -> tuple[Any, ...]:
            line, me = self.launch.line(), self.launch.current
            for value, kind in zip(fragments, [np.uint32] * 6 + [np.float32] * 4):
                if getattr(value, "dtype", None) != kind:
                    message = f"{name} takes {np.dtype(kind)}, not {value!r}"
                    self.launch.refuse("type", message, line)
            exchange = self.launch.meet(MATRIX, FULL, fragments, line)
            if exchange.result is None:
                columns = zip(*(exchange.values[lane] for lane in range(WARP)))
                values = [np.array([column]) for column in columns]
                exchange.result = multiply_fragments(name, values)
            return tuple(part[0, me.lane] for part in exchange.result)

        return multiply


@dataclass(frozen=True, eq=False)
class _Copy:
    """A copy on its way."""

    target: ThreadArray
    index: int
    values: tuple[Any, ...]
    group: int


class ThreadCuda:
    """The name `cuda` while a launch runs."""

    def __init__(self, launch: LaunchState) -> None:
        self._launch = launch
        self.shared, self.local = _Space(launch, True), _Space(launch, False)

    @property
    def threadIdx(self) -> Any:  # noqa: N802
        """The number of the thread in its block."""
        return _Coordinate(self._launch.current.thread)

    @property
    def blockIdx(self) -> Any:  # noqa: N802
        """The number of the block."""
        return _Coordinate(self._launch.current.block)

    @property
    def blockDim(self) -> Any:  # noqa: N802
        """How many threads a block has."""
        return _Coordinate(self._launch.count)

    @property
    def gridDim(self) -> Any:  # noqa: N802
        """How many blocks there are."""
        return _Coordinate(self._launch.grid)

    def syncthreads(self) -> None:
        """All threads of the block meet."""
        self._launch.meet(BARRIER, 0, None, self._launch.line())

    def syncwarp(self, mask: Any = FULL) -> None:
        """The threads of the mask meet."""
        self._launch.meet(WARP_BARRIER, mask, None, self._launch.line())

    def shfl_sync(self, mask: Any, value: Any, lane: Any) -> Any:
        """Return the value of another thread of the warp."""
        line, me = self._launch.line(), self._launch.current
        named = int(lane)
        if int(mask) >> me.lane & 1 and not (0 <= named < WARP and int(mask) >> named & 1):
            name = f"thread {me.thread} of block {me.block}"
            message = f"{name} reads from lane {named}, which is not in its mask {int(mask):#x}"
            self._launch.refuse("shuffle", message, line)
        return self._launch.meet(SHUFFLE, mask, value, line).values[named]


@dataclass(frozen=True)
class _Coordinate:
    """One dimension."""

    x: int


class _Space:
    """Shared or local memory."""

    def __init__(self, launch: LaunchState, is_shared: bool) -> None:
        self._launch, self._is_shared = launch, is_shared

    def array(self, size: int, kind: language.ElementType) -> ThreadArray:
        """Elements that nobody has written."""
        launch, line = self._launch, self._launch.line()
        if self._is_shared and line in launch.shared:
            held: ThreadArray = launch.shared[line]
            return held
        name = launch.source.text[line - 1].partition("=")[0].strip()
        records = Records(launch.check) if self._is_shared else None
        made = ThreadArray(launch, name, poisoned(size, kind.dtype), records)
        if self._is_shared:
            launch.shared[line] = made
        return made
