"""The seven kernels in native code: the bits of the loop interpreter, for any threads."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from graphc.ir.dims import evaluate
from graphc.ir.loops import ir
from graphc.ir.loops.kernel_interpreter import run_kernel
from graphc_llvm.target import host_target
from tests.backends.llvm.native import Native
from tests.ir.loops.seven_convolutions import convolution_with_moments, winograd
from tests.ir.loops.seven_sequences import causal_attention, lstm_step
from tests.ir.loops.seven_training import (
    softmax_cross_entropy,
    sparse_adagrad,
    split_weight_gradient,
)

Array = NDArray[Any]
Case = tuple[Callable[[], ir.Kernel], dict[str, int]]

CASES: tuple[Case, ...] = (
    (convolution_with_moments, {"batch": 2, "height": 3, "width": 4, "channels": 1, "filters": 18}),
    (winograd, {"batch": 1, "height": 5, "width": 3, "channels": 2, "filters": 5}),
    (lstm_step, {"batch": 2, "depth": 3, "units": 19}),
    (causal_attention, {"batch": 2, "time": 6, "depth": 5}),
    (sparse_adagrad, {"batch": 9, "width": 18, "rows": 6}),
    (softmax_cross_entropy, {"batch": 3, "width": 37}),
    (split_weight_gradient, {"batch": 37, "inputs": 2, "outputs": 17}),
)


def arrays_for(kernel: ir.Kernel, dims: dict[str, int]) -> dict[str, Array]:
    """Random arguments: sorted row ids, labels in range, squares that are not negative."""
    random = np.random.default_rng(0)
    arrays = {}
    for buffer in kernel.arguments:
        shape = tuple(evaluate(size, dims) for size in buffer.shape)
        values: Any = random.normal(size=shape)
        if buffer.name == "squares":
            values = np.abs(values)
        elif buffer.name == "order":
            values = random.permutation(shape[0])
        elif buffer.dtype.is_integer:
            values = np.sort(random.integers(0, dims.get("rows", dims["width"]), shape))
        arrays[buffer.name] = np.array(values).astype(buffer.dtype.numpy)
    return arrays


@cache
def interpreted(case: int) -> dict[str, Array]:
    build, dims = CASES[case]
    kernel = build()
    arrays = arrays_for(kernel, dims)
    assert run_kernel(kernel, arrays, dims) is None
    return arrays


@pytest.mark.skipif(not host_target().has_fma, reason="the interpreter's fma rounds once")
@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("case", range(len(CASES)), ids=lambda i: CASES[i][0].__name__)
def test_native_code_has_the_bits_of_the_interpreter(case: int, special: bool) -> None:
    build, dims = CASES[case]
    kernel = build()
    native = Native(kernel, dims if special else None)
    for threads in (1, 3):
        arrays = arrays_for(kernel, dims)
        assert native([arrays[b.name] for b in kernel.arguments], dims, threads) is None
        for buffer in kernel.writes:
            got, wanted = arrays[buffer.name], interpreted(case)[buffer.name]
            assert np.isfinite(wanted).all()
            np.testing.assert_array_equal(got, wanted)
