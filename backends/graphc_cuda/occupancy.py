"""How many blocks of a kernel a multiprocessor holds at once.

The rules are those of NVIDIA's occupancy calculator (CUDA C++ Programming Guide, "Compute
Capabilities", tables of technical specifications; CUDA Occupancy Calculator, part of Nsight
Compute): registers are given to warps in units of 256, warps to the four partitions of a
multiprocessor, shared memory in units of 128 bytes with 1 KiB a block for the system.
"""

from __future__ import annotations

from dataclasses import dataclass

WARP = 32
_PARTITIONS = 4  # of a multiprocessor, each with a quarter of its registers
_REGISTER_UNIT = 256
_REGISTERS_PER_THREAD = 8  # the unit in which the assembler counts
_SHARED_UNIT = 128
_SYSTEM_SHARED = 1024  # bytes of every block, from compute capability 8.0 on


@dataclass(frozen=True)
class Multiprocessor:
    """What a multiprocessor has: threads, blocks, 32-bit registers, bytes of shared memory."""

    threads: int
    blocks: int
    registers: int = 65536
    shared: int = 100 * 1024


_MULTIPROCESSORS = {
    (8, 0): Multiprocessor(2048, 32, shared=164 * 1024),
    (8, 6): Multiprocessor(1536, 16),
    (8, 7): Multiprocessor(1536, 16, shared=164 * 1024),
    (8, 9): Multiprocessor(1536, 24),
    (9, 0): Multiprocessor(2048, 32, shared=228 * 1024),
    (10, 0): Multiprocessor(2048, 32, shared=228 * 1024),
    (12, 0): Multiprocessor(1536, 24),
}


@dataclass(frozen=True)
class Occupancy:
    """Blocks of a kernel in a multiprocessor, the share of its warps that they fill, and what
    keeps more away: "threads", "blocks", "registers" or "shared"."""

    blocks: int
    share: float
    bound: str


def multiprocessor(capability: tuple[int, int]) -> Multiprocessor:
    """The multiprocessor of a compute capability; of the nearest older one that is known."""
    known = [c for c in _MULTIPROCESSORS if c <= capability]
    return _MULTIPROCESSORS[max(known, default=(8, 0))]


def occupancy(
    capability: tuple[int, int], block: int, registers: int, shared: int = 0
) -> Occupancy:
    """What fits of a kernel with so many threads a block, registers a thread, bytes a block."""
    has = multiprocessor(capability)
    warps = -(-block // WARP)
    limits = {
        "threads": has.threads // WARP // warps,
        "blocks": has.blocks,
        "registers": _by_registers(has, warps, registers),
        "shared": has.shared // _round_up(shared + _SYSTEM_SHARED, _SHARED_UNIT),
    }
    bound = min(limits, key=lambda name: limits[name])
    blocks = limits[bound]
    return Occupancy(blocks, blocks * warps / (has.threads // WARP), bound)


def registers_for(capability: tuple[int, int], block: int, blocks: int) -> int:
    """The most registers a thread with which so many blocks fit."""
    warps = -(-block // WARP) * blocks
    each = multiprocessor(capability).registers // _PARTITIONS // -(-warps // _PARTITIONS)
    return each // _REGISTER_UNIT * _REGISTER_UNIT // WARP


def _by_registers(has: Multiprocessor, warps: int, registers: int) -> int:
    if registers == 0:
        return has.blocks
    each = _round_up(_round_up(registers, _REGISTERS_PER_THREAD) * WARP, _REGISTER_UNIT)
    per_partition = has.registers // _PARTITIONS // each
    return per_partition * _PARTITIONS // warps


def _round_up(value: int, unit: int) -> int:
    return -(-value // unit) * unit
