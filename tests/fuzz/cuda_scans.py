"""Random running sums, products and extremes as GPU kernels: whole, in nests, in tiles, in chunks.

Any shape, axis, dtype and order of threads; sizes known before or at the call.
"""

from __future__ import annotations

from unittest.mock import patch

import numpy as np

import graphc as gx
from graphc.compiler.fusion import scans
from graphc_cuda.lower import chains, fission, mapping
from tests.backends.cuda.kernel_runs import check_kernel

LONGEST, BESIDE, NEVER = 300, 5, 1 << 30
WAYS = gx.cumulative_sum, gx.cumulative_prod, gx.cumulative_max, gx.cumulative_min
DTYPES = "float32", "float64", "int32", "uint8"


def check(seed: int) -> str:
    """Compare all kernels of one scan, and of its gradient."""
    rng = np.random.default_rng(seed)
    shape: list[int | str] = [int(n) for n in rng.integers(1, BESIDE, rng.integers(1, 4))]
    axis, size = int(rng.integers(len(shape))), int(rng.integers(1, LONGEST))
    shape[axis] = "n" if rng.integers(2) else size
    dtype, tile = str(rng.choice(DTYPES)), int(rng.choice([0, 5, 20, 33, 512]))
    x = gx.input("x", tuple(shape), dtype=dtype)
    outputs = [WAYS[rng.integers(len(WAYS))](x, axis=axis)]
    if "float" in dtype and rng.integers(2):
        outputs += [gx.grad(gx.sum(outputs[0] ** 2), x)]
    with (
        patch.object(scans, "SCAN_CHUNK_ELEMENTS", int(rng.choice([16, 2048]))),
        patch.object(mapping, "SMALL", 0),
        patch.object(fission, "MIN_TRIPS", 2),
        patch.object(fission, "MIN_TILED_TRIPS", 2 if tile else NEVER),
        patch.object(chains, "TILE", tile or 1),
    ):
        kernels = gx.compile([x], outputs, target="cuda-simulate").program.schedule.kernels
        for kernel in kernels:
            check_kernel(kernel, {"n": size}, seed=seed)
    return "in tiles" if tile else "in nests"
