"""Several kernels as one, whose blocks are divided among them.

Kernels that differ in their arrays and in numbers only share one body: which part a block belongs
to chooses the array at each access, and the numbers beforehand. Others stand side by side.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from graphc.ir.types import bool_, int32
from graphc_cuda.device.program import (
    BLOCK_INDEX,
    THREAD,
    Assign,
    Comment,
    DeviceArray,
    DeviceKernel,
    If,
    Op,
    Select,
    Stmt,
    Value,
    Variable,
    literal,
)
from graphc_cuda.lower.same_body import DifferError, Together, choose


@dataclass(frozen=True, eq=False)
class Part:
    """A kernel on so many blocks; equal `places` of two arrays are the same memory."""

    kernel: DeviceKernel
    grid: int
    places: tuple[Hashable, ...]


def groups_of(parts: Sequence[Part]) -> list[list[int]]:
    """Positions of parts that share a body, in the order of the first of each."""
    found: list[list[int]] = []
    for i, part in enumerate(parts):
        fitting = (g for g in found if _is_like(parts[g[0]].kernel, part.kernel))
        group = next(fitting, None)
        if group is None:
            found.append([i])
        else:
            group.append(i)
    return found


def _is_like(a: DeviceKernel, b: DeviceKernel) -> bool:
    """Whether two kernels differ in arrays and numbers only."""
    if a is b:
        return True
    if a.block != b.block or len(a.arrays) != len(b.arrays) or len(a.body) != len(b.body):
        return False
    alike = all(
        x.dtype == y.dtype and x.holds == y.holds and (x in a.written) == (y in b.written)
        for x, y in zip(a.arrays, b.arrays)
    )
    tables = [{x: x for x in k.arrays} for k in (a, b)]
    try:
        together = Together((a, b), tables, BLOCK_INDEX, Variable(int32, "part"), set())
        together.block(a.body, b.body)
    except DifferError:
        return False
    return alike


def merge_kernels(name: str, parts: Sequence[Part]) -> tuple[DeviceKernel, tuple[Hashable, ...]]:
    """The kernel that does the work of all, and the places of its arrays.

    No part may need what another writes, nor a barrier or memory of the block.
    """
    return _Merging(name, parts).kernel()


class _Merging:
    def __init__(self, name: str, parts: Sequence[Part]) -> None:
        self.name, self.parts = name, parts
        self.size = max(p.kernel.block for p in parts)
        self.names: set[str] = set()  # of variables
        self.tables: list[dict[DeviceArray, DeviceArray]] = []
        self.places: dict[DeviceArray, Hashable] = {}
        self._number_arrays()

    def kernel(self) -> tuple[DeviceKernel, tuple[Hashable, ...]]:
        """Everything."""
        arms, ends = [], []
        start = 0
        for group in groups_of(self.parts):
            arms.append(self._arm([self.parts[i] for i in group], group, start))
            start += sum(self.parts[i].grid for i in group)
            ends.append(start)
        body = arms[-1]
        for arm, end in reversed(list(zip(arms[:-1], ends))):
            body = (If(_below(BLOCK_INDEX, end), arm, body),)
        pairs = list(zip(self.parts, self.tables))
        written = frozenset(t[a] for p, t in pairs for a in p.kernel.written)
        aliased = frozenset(t[a] for p, t in pairs for a in p.kernel.aliased)
        note = tuple(dict.fromkeys(line for p in self.parts for line in p.kernel.note))
        form = f"merged: {len(self.parts)} launches, {len(arms)} bodies"
        made = DeviceKernel(
            self.name, tuple(self.places), body, self.size, written, aliased, note, form
        )
        return made, tuple(self.places.values())

    def _number_arrays(self) -> None:
        """Give every array its own name; what parts only read from one place is one array."""
        shared: dict[Hashable, DeviceArray] = {}
        counts: dict[str, int] = {}
        for part in self.parts:
            table = {}
            for array, place in zip(part.kernel.arrays, part.places):
                key = (place, array.dtype, array.size, array.holds)
                is_read = array not in part.kernel.written | part.kernel.aliased
                if not is_read or key not in shared:
                    made = replace(array, name=_fresh(array.name, counts))
                    self.places[made] = place
                    if is_read:
                        shared[key] = made
                table[array] = shared[key] if is_read else made
            self.tables.append(table)

    def _arm(self, parts: list[Part], numbers: list[int], start: int) -> tuple[Stmt, ...]:
        """What the blocks of parts with one body do; the first of them is block `start`."""
        starts = list(accumulate((p.grid for p in parts), initial=start))
        lines: list[Stmt] = [
            Comment(f"blocks {a} to {b - 1}: {p.kernel.name}")
            for p, a, b in zip(parts, starts, starts[1:])
        ]
        part = Variable(int32, f"part_{numbers[0]}", is_index=True)
        block: Value = BLOCK_INDEX
        if len(parts) > 1:
            number: Value = _found(starts[1:-1])
            lines.append(Assign(part, number))
            first = choose(part, starts[:-1], literal)
            own = Variable(int32, f"block_{numbers[0]}", is_index=True)
            lines.append(Assign(own, Op(int32, "sub", (BLOCK_INDEX, first), is_index=True)))
            block = own
        elif start:
            block = Op(int32, "sub", (BLOCK_INDEX, literal(start)), is_index=True)
        kernels = tuple(p.kernel for p in parts)
        tables = [self.tables[i] for i in numbers]
        together = Together(kernels, tables, block, part, self.names)
        body = together.block(*(k.body for k in kernels))
        body = (*together.numbers, *body)
        if kernels[0].block < self.size:
            body = (If(_below(THREAD, kernels[0].block), body),)
        return (*lines, *body)


def _below(value: Value, stop: int) -> Op:
    return Op(bool_, "lt", (value, literal(stop)))


def _found(stops: Sequence[int], number: int = 0) -> Value:
    """How many of the stops are at or below the block: the part that it belongs to."""
    if not stops:
        return literal(number)
    middle = len(stops) // 2
    low, high = stops[:middle], stops[middle + 1 :]
    return Select(
        int32,
        _below(BLOCK_INDEX, stops[middle]),
        _found(low, number),
        _found(high, number + middle + 1),
        is_index=True,
    )


def _fresh(name: str, counts: dict[str, int]) -> str:
    """The name, with a number where it is taken."""
    wish = name
    while wish in counts:
        counts[name] += 1
        wish = f"{name}_{counts[name]}"
    counts[wish] = 1
    return wish
