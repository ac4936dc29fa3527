"""Random updates at indices as GPU kernels: few compared, many sorted, any order of threads.

Rows of a table, or along an axis, where each of the other places has indices of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import numpy as np

import graphc as gx
from graphc_cuda.lower import mapping, scatters
from tests.backends.cuda.kernel_runs import check_kernel, draw_arrays

MOST_UPDATES, MOST_ROWS, MOST_COLUMNS = 150, 40, 4
WAYS = {"set": "set", "add": "add", "mul": "multiply", "min": "min", "max": "max"}
DTYPES = "float32", "float64", "int32", "int64", "bfloat16"


@dataclass
class Drawn:
    """An update: its inputs, its result, the rows that there are, and sizes of the call."""

    inputs: list[gx.Tensor]
    result: Any
    rows: int
    dims: dict[str, int]


def of_rows(rng: np.random.Generator) -> Drawn:
    """Updates of rows, all columns of each."""
    rows, dtype, way = int(rng.integers(1, MOST_ROWS)), str(rng.choice(DTYPES)), _way(rng)
    columns = tuple(int(n) for n in rng.integers(1, MOST_COLUMNS, rng.integers(3)))
    count = tuple(int(n) for n in rng.integers(1, int(MOST_UPDATES**0.5), rng.integers(1, 3)))
    size = gx.dim("n") if rng.integers(2) else count[0]
    x = gx.input("x", (rows, *columns), dtype=dtype)
    i = gx.input("i", (size, *count[1:]), dtype="int32")
    u = gx.input("u", (size, *count[1:], *columns), dtype=dtype)
    return Drawn([x, i, u], getattr(x.at[i], WAYS[way])(u), rows, {"n": count[0]})


def along_axis(rng: np.random.Generator) -> Drawn:
    """Updates along an axis."""
    rows, dtype, way = int(rng.integers(1, MOST_ROWS)), str(rng.choice(DTYPES)), _way(rng)
    shape: list[Any] = [int(n) for n in rng.integers(1, MOST_COLUMNS, rng.integers(1, 4))]
    axis, count = int(rng.integers(len(shape))), int(rng.integers(1, MOST_UPDATES // 2))
    table = [*shape[:axis], rows, *shape[axis + 1 :]]
    shape[axis] = gx.dim("n") if rng.integers(2) else count
    x, u = gx.input("x", tuple(table), dtype=dtype), gx.input("u", tuple(shape), dtype=dtype)
    i = gx.input("i", tuple(shape), dtype="int32")
    return Drawn([x, i, u], gx.put_along_axis(x, i, u, axis, way), rows, {"n": count})


def _way(rng: np.random.Generator) -> str:
    return str(rng.choice(list(WAYS)))


def check(seed: int) -> str:
    """Compare all kernels of one update."""
    rng = np.random.default_rng(seed)
    drawn = of_rows(rng) if rng.integers(3) else along_axis(rng)
    is_sorted, spill = bool(rng.integers(2)), int(rng.choice([0, 0, 1]))  # some are outside
    compiled = gx.compile(drawn.inputs, [drawn.result], target="cuda-simulate")
    with (
        patch.object(mapping, "SMALL", 0),
        patch.object(scatters, "MIN_UPDATES", 1),
        patch.object(scatters, "MIN_UPDATES_OF_ROWS", 1),
        patch.object(scatters, "MAX_COMPARED", 0 if is_sorted else 1 << 14),
    ):
        for kernel in compiled.program.schedule.kernels:
            arrays = draw_arrays(kernel, drawn.dims, seed=seed)
            if "i" in arrays:
                most = drawn.rows + spill
                arrays["i"][...] = rng.integers(-most, most, arrays["i"].shape)
            check_kernel(kernel, drawn.dims, arrays=arrays, seed=seed)
    return "sorts" if is_sorted else "compares"
