"""Blocks in a multiprocessor: cases worked out by hand from the tables of the guide."""

from __future__ import annotations

import pytest

from graphc_cuda.occupancy import Occupancy, multiprocessor, occupancy, registers_for


@pytest.mark.parametrize(
    ("capability", "block", "registers", "shared", "wanted"),
    [
        # 2048 threads
        ((9, 0), 256, 32, 0, Occupancy(8, 1.0, "threads")),
        ((8, 0), 1024, 32, 0, Occupancy(2, 1.0, "threads")),
        # 32 blocks of one warp
        ((9, 0), 32, 16, 0, Occupancy(32, 0.5, "blocks")),
        # 65 registers count as 72: 7 warps in a quarter of 16384, 28 in all
        ((9, 0), 256, 65, 0, Occupancy(3, 0.375, "registers")),
        ((9, 0), 128, 255, 0, Occupancy(2, 0.125, "registers")),
        ((8, 0), 256, 128, 0, Occupancy(2, 0.25, "registers")),
        # 228 KiB and 164 KiB, 1 KiB of each block for the system
        ((9, 0), 128, 32, 48 * 1024, Occupancy(4, 0.25, "shared")),
        ((8, 0), 128, 32, 48 * 1024, Occupancy(3, 0.1875, "shared")),
        ((9, 0), 128, 32, 227 * 1024, Occupancy(1, 0.0625, "shared")),
        ((9, 0), 128, 32, 228 * 1024, Occupancy(0, 0.0, "shared")),
        # 1536 threads, 100 KiB
        ((8, 6), 256, 32, 0, Occupancy(6, 1.0, "threads")),
        ((12, 0), 256, 32, 33 * 1024, Occupancy(2, 1 / 3, "shared")),
        # a warp that is not full counts whole
        ((9, 0), 33, 32, 0, Occupancy(32, 1.0, "threads")),
    ],
)
def test_occupancy(
    capability: tuple[int, int], block: int, registers: int, shared: int, wanted: Occupancy
) -> None:
    assert occupancy(capability, block, registers, shared) == wanted


def test_an_unknown_capability_is_like_the_one_before() -> None:
    assert multiprocessor((9, 9)) == multiprocessor((9, 0))
    assert multiprocessor((7, 5)) == multiprocessor((8, 0))


@pytest.mark.parametrize("block", [32, 96, 128, 256, 1024])
@pytest.mark.parametrize("blocks", [1, 2, 3, 4])
def test_so_many_registers_let_so_many_blocks_in(block: int, blocks: int) -> None:
    if block * blocks > 2048:
        return
    most = registers_for((9, 0), block, blocks)
    assert occupancy((9, 0), block, most).blocks >= blocks
    after = occupancy((9, 0), block, most + 1)
    assert after.blocks < blocks or after.bound != "registers" or most >= 255
