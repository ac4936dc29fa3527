"""The vector executor: all threads of many blocks at once, in lock step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from graphc.ir.types import Array
from graphc_cuda import language
from graphc_cuda.compiled_fma import compiled_fma
from graphc_cuda.simulate import warps
from graphc_cuda.simulate.asynchronous import Copies
from graphc_cuda.simulate.errors import refuse
from graphc_cuda.simulate.lanes import UNDEFINED, Lanes, VaryingLoop, loop_over, poison
from graphc_cuda.simulate.memory import LocalArray, VectorArray
from graphc_cuda.simulate.overlaps import find_stretches
from graphc_cuda.simulate.races import Accesses, Clock
from graphc_cuda.simulate.source import KernelSource, SourceText
from graphc_cuda.simulate.translate import KernelTranslator, translate_function

_LANES = 1 << 14  # threads at once, about


class Run:
    """One launch: what kernels ask for by `_run`."""

    def __init__(self, source: KernelSource, grid: int, threads: int, check: bool) -> None:
        self.source, self.grid, self.threads, self.check = source, grid, threads, check
        self.clock = Clock(threads)
        self.copies = Copies(self.source)

    def start(self, lanes: Lanes) -> None:
        """Begin with the next chunk of blocks."""
        self.clock.start(lanes)
        self.copies = Copies(self.source)

    def shared(self, name: str, size: int, kind: language.ElementType, lanes: Lanes) -> VectorArray:
        """Memory of each block."""
        total = size * len(lanes.blocks)
        data = np.full(total, poison(kind.dtype), kind.dtype)
        array = VectorArray(self.source, self.clock, name, data, size, True)
        if self.check:
            array.accesses = Accesses(total, self.clock, is_shared=True)
        return array

    def local(self, name: str, size: int, kind: language.ElementType, lanes: Lanes) -> LocalArray:
        """Memory of each thread."""
        return LocalArray(self.source, name, size, kind.dtype, lanes)

    def barrier(self, lanes: Lanes, line: int) -> None:
        """All threads of the block meet."""
        if not lanes.is_whole:
            counts = np.bincount(lanes.slot, minlength=len(lanes.blocks))
            wrong = (counts != 0) & (counts != self.threads)
            if wrong.any():
                slot = int(np.argmax(wrong))
                block = int(lanes.blocks[slot])
                message = f"{counts[slot]} of {self.threads} threads of block {block}"
                refuse("divergence", f"{message} reach this barrier", self.source, line)
        self.clock.meet(lanes, line)

    def warp_barrier(self, mask: Any, lanes: Lanes, line: int) -> None:
        """The threads of the mask meet."""
        warps.check_mask(mask, lanes, self.source, line)
        if self.check:
            self.clock.meet_warp(lanes, mask, line)

    def shuffle(self, mask: Any, value: Any, lane: Any, lanes: Lanes, line: int) -> Any:
        """Return the value of another thread of the warp."""
        return warps.shuffle(mask, value, lane, lanes, self.source, line)

    def multiply(self, name: str, fragments: tuple[Any, ...], lanes: Lanes, line: int) -> Any:
        """Multiply and add matrices that the threads of each warp hold together."""
        return warps.multiply(name, fragments, lanes, self.source, line)

    def load_matrix(self, array: VectorArray, index: Any, lanes: Lanes, line: int) -> Any:
        """Load four matrices for each warp."""
        return warps.load_matrix(array, index, False, lanes, self.source, line)

    def load_matrix_transposed(
        self, array: VectorArray, index: Any, lanes: Lanes, line: int
    ) -> Any:
        """Load four matrices for each warp, each transposed."""
        return warps.load_matrix(array, index, True, lanes, self.source, line)

    def copy_async(self, *arguments: Any) -> None:
        """Begin to copy."""
        self.copies.begin(*arguments)

    def commit(self, lanes: Lanes, _: int) -> None:
        """Close a group of copies."""
        self.copies.commit(lanes)

    def wait(self, groups: int, lanes: Lanes, line: int) -> None:
        """Wait for copies."""
        self.copies.wait(groups, lanes, line)


class VectorText:
    """A text as numpy code, kernel by kernel as they are needed."""

    def __init__(self, source: SourceText) -> None:
        self.source = source
        self._constants: dict[str, str] = {}
        self._names: dict[str, Any] = dict(vars(language)) | _HELPERS
        self._names["fma"] = compiled_fma().function
        self._kernels: dict[str, VectorKernel] = {}
        for function in source.functions:
            if not function.is_kernel:
                self._run(translate_function(function, self._constants), function.name)

    def kernel(self, name: str) -> VectorKernel:
        """The kernel of that name."""
        if name not in self._kernels:
            source = self.source.kernel(name)
            translator = KernelTranslator(source, self._constants)
            text = translator.translate()
            self._run(text, name)
            function, writes = self._names[name], frozenset(translator.stored)
            self._kernels[name] = VectorKernel(source, text, function, writes)
        return self._kernels[name]

    def _run(self, text: str, name: str) -> None:
        for value, constant in self._constants.items():
            if constant not in self._names:
                self._names[constant] = eval(value, self._names)
        exec(compile(text, f"<{name}, vector>", "exec"), self._names)


@dataclass(frozen=True, eq=False)
class VectorKernel:
    """A kernel as numpy code; `text` is that code, `writes` are the parameters it stores to."""

    source: KernelSource
    text: str
    function: Callable[..., None]
    writes: frozenset[str]

    def launch(
        self, grid: int, threads: int, arrays: Sequence[Array], seed: int, check: bool
    ) -> None:
        """Run all blocks, a chunk at a time."""
        run = Run(self.source, grid, threads, check)
        arguments = bind_arguments(run, arrays, self.writes if check else frozenset())
        order = np.arange(grid)
        if seed:
            np.random.default_rng(seed).shuffle(order)
        count = max(1, _LANES // threads)
        with np.errstate(all="ignore"):
            for first in range(0, grid, count):
                lanes = Lanes.whole(threads, order[first : first + count])
                run.start(lanes)
                self.function(run, lanes, *arguments)


def bind_arguments(
    run: Run, arrays: Sequence[Array], writes: frozenset[str]
) -> tuple[VectorArray, ...]:
    """The parameters of the kernel; those that share memory with one it writes are watched."""
    names = run.source.parameters
    found = [VectorArray(run.source, run.clock, n, a, len(a), False) for n, a in zip(names, arrays)]
    for stretch in find_stretches(arrays):
        members = [found[i] for i in stretch.members]
        if not any(m.name in writes for m in members):
            continue
        accesses = Accesses(stretch.size, run.clock, is_shared=False)
        for member in members:
            member.accesses, member.first = accesses, stretch.first(member.data)
            member.units = member.data.itemsize // stretch.unit
    return tuple(found)


def _where(condition: Any, one: Any, two: Any) -> Any:
    if isinstance(condition, np.ndarray):
        return np.where(condition, one, two)
    return one if condition else two


def _blend(condition: Array, new: Any, old: Any) -> Any:
    """The new value where the condition holds, else the old one."""
    return np.where(condition, new, poison(np.result_type(new)) if old is UNDEFINED else old)


def _not(condition: Any) -> Any:
    return ~condition if isinstance(condition, (np.ndarray, np.bool_)) else not condition


def _mod(x: Any, y: Any) -> Any:
    return x - x // y * y


_HELPERS = {
    "UNDEFINED": UNDEFINED, "VaryingLoop": VaryingLoop, "loop_over": loop_over, "_where": _where,
    "_not": _not, "_blend": _blend, "ndarray": np.ndarray, "_mod": _mod,
}  # fmt: skip


@lru_cache(maxsize=64)
def vector_text(source: SourceText) -> VectorText:
    """Translate a text; once."""
    return VectorText(source)
