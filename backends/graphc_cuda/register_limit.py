"""Kernels that hardly miss one more block in a multiprocessor are assembled with fewer registers.

The assembler does not look beyond the number that it likes; a few registers more than a share of
all can halve what runs at once. PTX says how many blocks have to fit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from graphc_cuda.assemble import Assembled, KernelResources
from graphc_cuda.occupancy import occupancy, registers_for

SQUEEZE = 16  # registers that a kernel may be asked to do without
ENOUGH = 0.5  # of the warps: more of them hide little more

Assembler = Callable[[str], Assembled]


@dataclass(frozen=True)
class KernelShape:
    """The symbol of a kernel, threads of a block, and bytes of shared memory that it asks for."""

    symbol: str
    block: int
    shared: int


def fit_registers(
    ptx: str, kernels: Sequence[KernelShape], capability: tuple[int, int], assemble: Assembler
) -> Assembled:
    """The machine code of PTX; one more block of a kernel where that costs it no spills."""
    made = assemble(ptx)
    wanted = {
        kernel.symbol: blocks
        for kernel in kernels
        if kernel.symbol in made.kernels
        for blocks in _one_more(kernel, made.kernels[kernel.symbol], capability)
    }
    if not wanted:
        return made
    tried = assemble(with_blocks(ptx, wanted))
    good = {
        symbol: blocks
        for symbol, blocks in wanted.items()
        if tried.kernels[symbol].spill_stores <= made.kernels[symbol].spill_stores
    }
    if good == wanted:
        return tried
    return assemble(with_blocks(ptx, good)) if good else made


def _one_more(
    kernel: KernelShape, facts: KernelResources, capability: tuple[int, int]
) -> Iterator[int]:
    """The number of blocks to ask for, if it is worth asking."""
    shared = max(facts.shared, kernel.shared)
    now = occupancy(capability, kernel.block, facts.registers, shared)
    limit = registers_for(capability, kernel.block, now.blocks + 1)
    misses_few = limit < facts.registers <= limit + SQUEEZE
    fits = occupancy(capability, kernel.block, limit, shared).blocks > now.blocks
    if now.share < ENOUGH and misses_few and fits:
        yield now.blocks + 1


def with_blocks(ptx: str, wanted: Mapping[str, int]) -> str:
    """PTX that says how many blocks of some kernels have to fit in a multiprocessor."""
    for symbol, blocks in wanted.items():
        head = rf"(\.entry {re.escape(symbol)}\([^)]*\)\s*\.maxntid \d+\n)"
        ptx, found = re.subn(head, rf"\g<1>.minnctapersm {blocks}\n", ptx)
        assert found == 1, f"{symbol} has no head"
    return ptx
