"""Run one loop-level kernel through the lowering and the simulator, beside the interpreter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from graphc.ir.dims import evaluate
from graphc.ir.loops.ir import Buffer, Kernel
from graphc.ir.loops.kernel_interpreter import run_kernel
from graphc.ir.types import Array
from graphc_cuda.device.program import Program
from graphc_cuda.launch import NO_FAILURE
from graphc_cuda.lower.kernel import lower_kernel
from graphc_cuda.lower.launches import LoweredLaunch, Work
from graphc_cuda.lower.rewriting import stored
from graphc_cuda.lower.scalars import Functions
from graphc_cuda.lower.split_sums import split_sums
from graphc_cuda.print_numba import numba_text
from graphc_cuda.simulate import simulate
from tests.backends.cuda.stepwise import has_matrices, same_bits, same_sums

Draw = Callable[[np.random.Generator, tuple[int, ...]], Any]


def draw_arrays(
    kernel: Kernel, dims: Mapping[str, int], draw: Draw | None = None, seed: int = 0
) -> dict[str, Array]:
    """Values for all buffers of a kernel."""
    rng = np.random.default_rng(seed)
    found: dict[str, Array] = {}
    for buffer in kernel.arguments:
        shape = tuple(evaluate(s, dims) for s in buffer.shape)
        if draw is not None and buffer in kernel.reads:
            values = np.asarray(draw(rng, shape))
        elif buffer.dtype.is_float:
            values = rng.standard_normal(shape)
        else:
            values = rng.integers(0, 3, shape)
        found[buffer.name] = np.array(values, order="C").astype(buffer.dtype.numpy).reshape(shape)
    return found


def check_kernel(
    kernel: Kernel,
    dims: Mapping[str, int],
    draw: Draw | None = None,
    arrays: Mapping[str, Array] | None = None,
    executor: str = "vector",
    seed: int = 0,
) -> tuple[LoweredLaunch, ...]:
    """Compare the bits that both leave, the threads in an order of `seed`; returns the launches."""
    given = dict(arrays) if arrays is not None else draw_arrays(kernel, dims, draw)
    expected = {name: np.array(a) for name, a in given.items()}
    code = run_kernel(split_sums(kernel, dims), expected, dims)
    functions = Functions()
    launches = lower_kernel(kernel, dims, functions, f"k_{kernel.name}")
    program = Program("kernel", functions.listed(), tuple(x.kernel for x in launches))
    text = numba_text(program)
    status = np.array([NO_FAILURE], np.uint32)
    work: dict[Work, Array] = {}
    for launch in launches:
        memory = [
            _memory(source, array.size, array.dtype.numpy, given, work, status)
            for source, array in zip(launch.sources, launch.kernel.arrays)
        ]
        simulate(text, launch.kernel.name, launch.grid, launch.kernel.block, memory, seed, executor)
    assert int(status[0]) == (NO_FAILURE if code is None else code)
    for buffer in _results(kernel, dims):
        same = same_sums if any(has_matrices(x.kernel) for x in launches) else same_bits
        same(given[buffer.name], expected[buffer.name], f"{kernel.name}: {buffer}")
    return launches


def _results(kernel: Kernel, dims: Mapping[str, int]) -> list[Buffer]:
    """What is written, but for what the first of two bodies alone needs while it works."""
    spread = kernel.spread(dims) if kernel.spread is not None else ()
    if not spread:
        return list(kernel.writes)
    return [b for b in kernel.writes if b not in kernel.reads or b in stored(spread)]


def _memory(
    source: Buffer | Work | str,
    size: int,
    dtype: np.dtype[Any],
    given: Mapping[str, Array],
    work: dict[Work, Array],
    status: Array,
) -> Array:
    if isinstance(source, Buffer):
        return given[source.name].reshape(-1).view(dtype)
    if isinstance(source, Work):
        return work.setdefault(source, np.full(size, 77, dtype))
    return status
