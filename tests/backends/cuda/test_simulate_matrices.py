"""Matrix fragments: products of tensor cores, which load_matrix and mma lay out alike."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from graphc_cuda.simulate import EXECUTORS, SimulationError, simulate
from tests.backends.cuda import device_texts as texts
from tests.backends.cuda.executors import HAS_GREENLET, executors

RNG = np.random.default_rng(11)
HALVES = {"mma_bf16": ml_dtypes.bfloat16, "mma_f16": np.float16}


def exact(a: Any, b: Any, c: Any) -> Any:
    """Products and sums of whole numbers are exact in every order."""
    return a.astype("f8") @ b.astype("f8") + c


@pytest.mark.parametrize("function", HALVES)
@executors
def test_products_of_short_floats(executor: str, function: str) -> None:
    half: Any = HALVES[function]
    a = RNG.integers(-16, 16, (2, 16, 16)).astype(half)
    b = RNG.integers(-16, 16, (2, 16, 8)).astype(half)
    c = RNG.integers(-99, 99, (2, 16, 8)).astype("f4")
    d = np.zeros(256, "f4")
    columns = np.ascontiguousarray(b.transpose(0, 2, 1)).view("u2").ravel()
    text = texts.TENSOR_CORE.replace("MMA", function)
    simulate(
        text, "product", 1, 64, [a.view("u2").ravel(), columns, c.ravel(), d], executor=executor
    )
    assert np.array_equal(d.reshape(2, 16, 8), exact(a, b, c))


@executors
@pytest.mark.parametrize("load", ["load_matrix", "load_matrix_transposed"])
def test_threads_hold_pairs_of_rows_or_of_columns(executor: str, load: str) -> None:
    x, y = RNG.integers(0, 2**16, 256).astype("u2"), np.zeros(128, "u4")
    simulate(texts.MATRICES.replace("LOAD", load), "matrices", 1, 32, [x, y], executor=executor)
    matrices = x.reshape(4, 8, 8)
    rows = matrices if load == "load_matrix" else matrices.transpose(0, 2, 1)
    # thread 4 r + c holds elements 2 c and 2 c + 1 of row r
    assert np.array_equal(y.view("u2").reshape(4, 8, 8), rows)


@executors
def test_products_of_tf32(executor: str) -> None:
    a, b = RNG.integers(-512, 512, (16, 8)), RNG.integers(-512, 512, (8, 8))
    c, d = RNG.integers(-99, 99, (16, 8)).astype("f4"), np.zeros(128, "f4")
    arrays = [a.astype("f4").ravel(), b.astype("f4").ravel(), c.ravel(), d]
    simulate(texts.TF32, "product", 1, 32, arrays, executor=executor)
    assert np.array_equal(d.reshape(16, 8), exact(a, b, c))


@pytest.mark.skipif(not HAS_GREENLET, reason="greenlet is not installed")
def test_both_executors_round_alike() -> None:
    a, b = (RNG.standard_normal(n).astype("f4") for n in (128, 64))
    c = RNG.standard_normal(128).astype("f4")
    found = []
    for executor in EXECUTORS:
        d = np.zeros(128, "f4")
        simulate(texts.TF32, "product", 1, 32, [a, b, c, d], executor=executor)
        found.append(d)
    assert np.array_equal(found[0], found[1])
    wanted = exact(a.reshape(16, 8), b.reshape(8, 8), c.reshape(16, 8))
    assert np.abs(found[0].reshape(16, 8) - wanted).max() < 2**-6  # 10 bits of each factor


@executors
@pytest.mark.parametrize(
    ("old", "new", "kind", "part"),
    [
        (
            "    d0, d1",
            "    if lane == 31:\n        return\n    d0, d1",
            "shuffle",
            "names 32 threads",
        ),
        ("mma_tf32(a0", "mma_tf32(a[0]", "type", "takes uint32"),
    ],
)
def test_a_warp_multiplies_whole(executor: str, old: str, new: str, kind: str, part: str) -> None:
    arrays = [np.zeros(n, "f4") for n in (128, 64, 128, 128)]
    with pytest.raises(SimulationError, match=part) as caught:
        simulate(texts.TF32.replace(old, new), "product", 1, 32, arrays, executor=executor)
    assert caught.value.kind == kind


@executors
def test_rows_of_matrices_are_aligned(executor: str) -> None:
    text = texts.TENSOR_CORE.replace("MMA", "mma_f16").replace("row * 24", "row * 20")
    arrays = [np.zeros(n, t) for n, t in ((512, "u2"), (256, "u2"), (256, "f4"), (256, "f4"))]
    with pytest.raises(SimulationError, match="not a multiple of 8"):
        simulate(text, "product", 1, 64, arrays, executor=executor)
