"""Random sorts as GPU kernels: any dtype, shape, axis, way and order of threads, the same bits.

Half of them have an axis whose size is known at the call alone.
"""

from __future__ import annotations

import numpy as np

import graphc as gx
from tests.backends.cuda.kernel_runs import check_kernel
from tests.backends.cuda.test_sorts import DTYPES, draw_for

LONGEST = 700
BESIDE = 4


def sorted_tensor(x: gx.Tensor, axis: int, k: int, rng: np.random.Generator) -> gx.Tensor:
    """One of the ways to sort."""
    way, down = rng.integers(3), bool(rng.integers(2))
    if way == 0:
        return gx.sort(x, axis=axis, descending=down)
    if way == 1:
        return gx.argsort(x, axis=axis, descending=down)
    return gx.topk(x, k, axis=axis, largest=down)[1]


def check(seed: int) -> str:
    """Compare all kernels of one sort."""
    rng = np.random.default_rng(seed)
    shape = [int(n) for n in rng.integers(1, BESIDE, rng.integers(1, 4))]
    axis = int(rng.integers(len(shape)))
    size = int(rng.choice([rng.integers(1, LONGEST), 1 << rng.integers(10)]))
    k = min(size, int(rng.integers(1, 1 + int(rng.choice([8, size])))))
    dtype, later = str(rng.choice(DTYPES)), bool(rng.integers(2))
    sizes: list[int | gx.Dim] = [*shape]
    sizes[axis] = gx.dim("n", min=k) if later else size
    x = gx.input("x", tuple(sizes), dtype=dtype)
    y = sorted_tensor(x, axis, k, rng)
    kernels = gx.compile([x], [y], target="cuda-simulate").program.schedule.kernels
    for kernel in kernels:
        is_source = kernel.reads and kernel.reads[0].name == "x"
        check_kernel(kernel, {"n": size}, draw_for(dtype) if is_source else None, seed=seed)
    return "merges" if any(k.spread for k in kernels) else "counts"
