"""Kernels of real programs in the simulator: the bits of the loop interpreter, no race."""

from __future__ import annotations

import numpy as np
import pytest

import graphc as gx
from graphc.ir.graph import Graph
from tests.backends.cuda.kernel_runs import check_kernel
from tests.backends.cuda.op_runs import op_cases, run_case
from tests.backends.cuda.stepwise import run_graph
from tests.backends.llvm import samples
from tests.fuzz.cuda_kernels import check

SEEDS = (*range(24), 686)  # 686: guarded reads of local memory

SAMPLES = [
    samples.axpy, samples.bias, samples.transpose, samples.steps, samples.row_sum,
    samples.column_sum, samples.argmax, samples.softmax, samples.comparisons,
]  # fmt: skip


@pytest.mark.parametrize("part", range(6))
def test_ops_and_their_gradients(part: int) -> None:
    chosen = list(op_cases(every=False))[part::6]
    assert len(chosen) > 10
    for case in chosen:
        run_case(case)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
def test_every_case_of_every_op(part: int) -> None:
    for case in list(op_cases(every=True))[part::8]:
        run_case(case)


@pytest.mark.parametrize("seed", SEEDS)
def test_random_graphs(seed: int) -> None:
    assert check(seed) in ("agrees", "refused", "has no kernel")


@pytest.mark.parametrize("sizes", [(0, 3), (1, 1), (3, 5), (2, 17), (5, 40)])
@pytest.mark.parametrize("make", SAMPLES, ids=lambda f: f.__name__)
def test_hand_written_kernels(make: object, sizes: tuple[int, int]) -> None:
    sample = make()  # type: ignore[operator]
    dims = {"m": sizes[0], "n": sizes[1], "k": 3}
    if sizes[1] >= sample.least:
        check_kernel(sample.kernel, dims, sample.draw)


def test_a_graph_of_no_kernels_is_no_graph() -> None:
    x = gx.input("x", (3,))
    _, steps = run_graph(Graph((x.node,), (("y", (x + 1).node),)), [np.ones(3, np.float32)])
    assert steps.calls == 1
