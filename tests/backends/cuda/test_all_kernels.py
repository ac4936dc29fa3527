"""Kernels of ops and of steps compile by both routes and assemble; a fixed sample by default.

All of them: `python -m tests.backends.cuda.all_kernels`.
"""

from __future__ import annotations

from itertools import islice

import pytest

from graphc_cuda.cuda_tools import find_tool
from tests.backends.cuda.all_kernels import CAPABILITIES, ROUTES, Row, table
from tests.backends.cuda.kernel_sources import sources

pytestmark = pytest.mark.skipif(find_tool("ptxas") is None, reason="ptxas is not here")
OPS = 8  # of the default suite
PADDING = 1024  # bytes between shared arrays, or of one that LLVM does without
MOST_SPILLED = 48  # bytes of a thread: the assembler trades some for more threads at a time
MOST_REGISTERS = 168  # that leave room for three blocks of 128 threads


def check(rows: list[Row]) -> None:
    """Nothing is refused, hardly anything spills, both routes ask for like shared memory."""
    assert [row for row in rows if "error" in row] == []
    assert max(row["spill_stores"] + row["spill_loads"] for row in rows) <= MOST_SPILLED
    assert max(row["registers"] for row in rows) <= MOST_REGISTERS
    shared: dict[tuple[str, ...], set[int]] = {}
    for row in rows:
        shared.setdefault((row["source"], row["kernel"]), set()).add(row["shared"])
    assert max(max(sizes) - min(sizes) for sizes in shared.values()) < PADDING
    assert len(rows) == len(shared) * len(ROUTES) * len(CAPABILITIES)


def test_kernels_of_ops() -> None:
    check(table(islice(sources("ops"), OPS)))


@pytest.mark.slow
def test_kernels_of_workloads() -> None:
    check(table(sources("workloads")))
