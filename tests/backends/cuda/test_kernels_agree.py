"""Kernels of real programs in the simulator: the bits of the loop interpreter, no race."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np
import pytest

import graphc as gx
from graphc.errors import GraphcError
from graphc.ir import ops
from graphc.ir.dims import evaluate
from graphc.ir.graph import Graph
from graphc.ir.ops.base import Op
from graphc.testing.cases import Case, cases_of
from tests.backends.cuda.kernel_runs import check_kernel
from tests.backends.cuda.stepwise import run_graph
from tests.backends.llvm import samples
from tests.fuzz.cuda_kernels import check

PER_OP = 2  # cases of every op in the default suite
SEEDS = range(24)
MOST = 4000  # elements of an input

SAMPLES = [
    samples.axpy, samples.bias, samples.transpose, samples.steps, samples.row_sum,
    samples.column_sum, samples.argmax, samples.softmax, samples.comparisons,
]  # fmt: skip


def _ops() -> list[type[Op]]:
    found = {value for value in vars(ops).values() if isinstance(value, type)}
    return sorted((c for c in found if issubclass(c, Op)), key=lambda c: c.__name__)


def _small(case: Case) -> bool:
    return all(np.prod([evaluate(s, {}) for s in t.shape]) <= MOST for t in case.types)


def _cases(every: bool) -> Iterator[Case]:
    """Cases of every op: some that are the same in each run, or all of them."""
    for kind in _ops():
        found = sorted(filter(_small, cases_of(kind)), key=lambda c: zlib.crc32(str(c).encode()))
        yield from found if every else found[:PER_OP]


def _run(case: Case) -> None:
    """An op and its gradient, call by call."""
    arrays = case.arrays()
    inputs, result = case.tensors(arrays)
    outputs = [("y", result)]
    floats = [t for t in inputs if t.dtype.is_float]
    if result.dtype.is_float and floats:
        try:
            gradients = gx.grad(result.sum(), floats)
        except GraphcError:
            gradients = []
        outputs += [(f"g{i}", g) for i, g in enumerate(gradients)]
    definition = gx.compile(inputs, dict(outputs), name="case", target="interpret").graph
    run_graph(definition, arrays)


@pytest.mark.parametrize("part", range(6))
def test_ops_and_their_gradients(part: int) -> None:
    chosen = list(_cases(every=False))[part::6]
    assert len(chosen) > 10
    for case in chosen:
        _run(case)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
def test_every_case_of_every_op(part: int) -> None:
    for case in list(_cases(every=True))[part::8]:
        _run(case)


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
