"""Run generated kernels without a GPU: the text that people read, with every access checked.

Two executors run it. `vector` computes all threads of many blocks at once with numpy; `threads`
runs the plain Python text, one thread after the other from barrier to barrier, so that a
breakpoint or a print in it works. Both report accesses out of bounds, conflicting accesses that no
barrier orders, barriers that only part of a block reaches, and shuffles with threads that are
not there.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc.errors import ArgumentError
from graphc.ir.types import Array
from graphc_cuda.simulate.errors import SimulationError
from graphc_cuda.simulate.source import parse
from graphc_cuda.simulate.threads import run_threads
from graphc_cuda.simulate.vector import vector_text

VECTOR, THREADS = EXECUTORS = ("vector", "threads")


def simulate(
    text: str,
    kernel: str,
    grid: int,
    block: int,
    arrays: Sequence[Array],
    seed: int = 0,
    executor: str = VECTOR,
    check: bool = True,
) -> None:
    """Launch a kernel of a text: `grid` blocks of `block` threads on flat arrays, by position.

    `seed` permutes the order of blocks and threads; without `check`, conflicting accesses are
    not looked for.
    """
    if executor not in EXECUTORS:
        raise ArgumentError(f"no executor {executor!r}", hint=f"there are {', '.join(EXECUTORS)}")
    source = parse(text)
    wanted = source.kernel(kernel).parameters
    if len(wanted) != len(arrays):
        names = ", ".join(wanted)
        raise ArgumentError(f"{kernel} takes {len(wanted)} arrays ({names}), not {len(arrays)}")
    if executor == THREADS:
        run_threads(source, kernel, grid, block, arrays, seed, check)
        return
    vector_text(source).kernel(kernel).launch(grid, block, arrays, seed, check)


__all__ = ["EXECUTORS", "SimulationError", "simulate"]
