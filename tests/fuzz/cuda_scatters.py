"""Random updates at indices as GPU kernels: few compared, many sorted, any order of threads."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import numpy as np

import graphc as gx
from graphc_cuda.lower import mapping, scatters
from tests.backends.cuda.kernel_runs import check_kernel, draw_arrays

MOST_UPDATES, MOST_ROWS, MOST_COLUMNS = 150, 40, 4
WAYS = "add", "set", "multiply", "minimum", "maximum"
DTYPES = "float32", "float64", "int32", "int64", "bfloat16"


def updated(x: Any, i: gx.Tensor, u: gx.Tensor, way: str) -> Any:
    """One of the ways to update rows."""
    names = {"minimum": "min", "maximum": "max"}
    return getattr(x.at[i], names.get(way, way))(u)


def check(seed: int) -> str:
    """Compare all kernels of one update."""
    rng = np.random.default_rng(seed)
    rows, dtype, way = int(rng.integers(1, MOST_ROWS)), rng.choice(DTYPES), str(rng.choice(WAYS))
    columns = tuple(int(n) for n in rng.integers(1, MOST_COLUMNS, rng.integers(3)))
    count = tuple(int(n) for n in rng.integers(1, int(MOST_UPDATES**0.5), rng.integers(1, 3)))
    is_sorted, later = bool(rng.integers(2)), bool(rng.integers(2))
    size = gx.dim("n") if later else count[0]
    x = gx.input("x", (rows, *columns), dtype=str(dtype))
    i = gx.input("i", (size, *count[1:]), dtype="int32")
    u = gx.input("u", (size, *count[1:], *columns), dtype=str(dtype))
    y = updated(x, i, u, way)
    kernels = gx.compile([x, i, u], [y], target="cuda-simulate").program.schedule.kernels
    dims, spill = {"n": count[0]}, int(rng.choice([0, 0, 1]))  # some are outside
    with (
        patch.object(mapping, "SMALL", 0),
        patch.object(scatters, "MIN_UPDATES", 1),
        patch.object(scatters, "MAX_COMPARED", 0 if is_sorted else 1 << 14),
    ):
        for kernel in kernels:
            arrays = draw_arrays(kernel, dims, seed=seed)
            if "i" in arrays:
                found = rng.integers(-rows - spill, rows + spill, arrays["i"].shape)
                arrays["i"][...] = found
            check_kernel(kernel, dims, arrays=arrays, seed=seed)
    return "sorts" if is_sorted else "compares"
