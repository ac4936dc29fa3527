"""Contraction kernels for tests: built from an einsum text, with an epilogue."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from graphc.ir.dims import Dim, Size
from graphc.ir.loops.combine import DOT
from graphc.ir.loops.ir import (
    PARALLEL,
    SEQUENTIAL,
    Accumulate,
    Accumulator,
    Axis,
    Buffer,
    Expr,
    Kernel,
    Load,
    Loop,
    Ref,
    Stmt,
    Store,
    extent,
    index,
)
from graphc.ir.types import DType, float32
from graphc_llvm.target import Target, host_target
from tests.backends.llvm.chains import chain
from tests.backends.llvm.native import Native, fence_is_intact, guarded


@dataclass
class Nest:
    """What an epilogue may use: the sum, and an element of a further buffer by its letters."""

    letters: Mapping[str, Axis]
    extents: Mapping[str, Size]
    total: Ref
    reads: list[Buffer] = field(default_factory=list)
    writes: list[Buffer] = field(default_factory=list)
    made: dict[str, Buffer] = field(default_factory=dict)

    def buffer(self, name: str, letters: str, dtype: DType, written: bool = False) -> Buffer:
        """A buffer whose axes are these letters."""
        if name not in self.made:
            shape = tuple(self.extents[x] for x in letters)
            self.made[name] = Buffer(name, dtype, shape)
            (self.writes if written else self.reads).append(self.made[name])
        return self.made[name]

    def at(self, letters: str) -> tuple[Expr, ...]:
        """The index of the current element."""
        return tuple(index(self.letters[x]) for x in letters)

    def load(self, name: str, letters: str, dtype: DType) -> Load:
        """The current element of a buffer."""
        return Load(dtype, self.buffer(name, letters, dtype), self.at(letters))

    def store(self, name: str, letters: str, value: Expr) -> Store:
        """Write the current element of a buffer."""
        return Store(self.buffer(name, letters, value.dtype, True), self.at(letters), value)


Epilogue = Callable[[Nest, str], Sequence[Stmt]]
Operand = Callable[[Nest, Load], Expr]


def plain(nest: Nest, out: str) -> Sequence[Stmt]:
    """Store the sum."""
    return (nest.store("out", out, nest.total),)


def contraction(
    spec: str,
    sizes: Mapping[str, int],
    dtype: DType = float32,
    dynamic: str = "",
    epilogue: Epilogue = plain,
    left: Operand = lambda nest, load: load,
    right: Operand = lambda nest, load: load,
    order: str | None = None,
) -> Kernel:
    """out[...] = epilogue(sum of left * right); letters in `dynamic` are dims of that name.

    `order` lists the parallel letters, outer first, and then the reduced ones.
    """
    inputs, out = spec.split("->")
    first, second = inputs.split(",")
    reduced = [x for x in dict.fromkeys(first + second) if x not in out]
    order = order or out + "".join(reduced)
    letters = {x: Axis(x) for x in order}
    extents: dict[str, Size] = {x: Dim(x) if x in dynamic else sizes[x] for x in order}
    total = Ref(dtype, "total")
    nest = Nest(letters, extents, total)
    accumulator = Accumulator(DOT, (total,))
    values = left(nest, nest.load("a", first, dtype)), right(nest, nest.load("b", second, dtype))
    body: tuple[Stmt, ...] = (Accumulate(accumulator, values),)
    summed = [x for x in order if x in reduced]
    for x in reversed(summed):
        owned = (accumulator,) if x == summed[0] else ()
        body = (Loop(letters[x], extent(extents[x]), SEQUENTIAL, body, owned),)
    body = (*body, *epilogue(nest, out))
    for x in reversed([x for x in order if x in out]):
        body = (
            Loop(letters[x], extent(extents[x]), PARALLEL, body, lanes=x == order[len(out) - 1]),
        )
    return Kernel("contract", tuple(nest.reads), tuple(nest.writes), body)


def operands(kernel: Kernel, sizes: Mapping[str, int], seed: int = 0) -> dict[str, np.ndarray]:
    """Random arrays for everything that a kernel reads, fenced arrays for what it writes."""
    random, arrays = np.random.default_rng(seed), {}
    for buffer in kernel.arguments:
        shape = [sizes[s.name] if isinstance(s, Dim) else int(str(s)) for s in buffer.shape]
        array = guarded(shape, buffer.dtype.numpy)
        if buffer in kernel.reads:
            array[...] = random.standard_normal(shape)
        arrays[buffer.name] = array
    return arrays


def run(
    kernel: Kernel | Native,
    arrays: Mapping[str, np.ndarray],
    sizes: Mapping[str, int],
    target: Target | None = None,
    known: Mapping[str, int] | None = None,
    threads: int = 1,
) -> dict[str, np.ndarray]:
    """Compile (for `known` sizes, or for all) and run; copies of what was written."""
    native = kernel
    if isinstance(native, Kernel):
        native = Native(native, known, target or host_target())
    fresh = {}
    for name, array in arrays.items():
        fresh[name] = guarded(array.shape, array.dtype)
        fresh[name][...] = array
    native([fresh[b.name] for b in native.kernel.arguments], sizes, threads)
    assert all(fence_is_intact(array) for array in fresh.values())
    return {b.name: fresh[b.name].copy() for b in native.kernel.writes}


def exact(
    spec: str, left: np.ndarray, right: np.ndarray, order: str = "", fused: bool = True
) -> np.ndarray:
    """The chain of a contraction by numpy alone; reduced letters ascend in `order`."""
    inputs, out = spec.split("->")
    first, second = inputs.split(",")
    reduced = [x for x in dict.fromkeys(order + first + second) if x not in out and x in inputs]
    extents = dict(zip(first, left.shape)) | dict(zip(second, right.shape))
    every = [*out, *reduced]
    parts = []
    for array, letters in ((left, first), (right, second)):
        present = [x for x in every if x in letters]
        array = np.transpose(array, [letters.index(x) for x in present])
        array = array.reshape([extents[x] if x in present else 1 for x in every])
        full = [*array.shape[: len(out)], *(extents[x] for x in reduced)]
        depth = int(np.prod([extents[x] for x in reduced], dtype=np.int64))
        parts.append(np.broadcast_to(array, full).reshape(*array.shape[: len(out)], depth))
    return chain(parts[0], parts[1], fused)
