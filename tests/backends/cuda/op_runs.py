"""Cases of the op harness, run call by call."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np

import graphc as gx
from graphc.errors import GraphcError
from graphc.ir import ops
from graphc.ir.dims import evaluate
from graphc.ir.ops.base import Op
from graphc.ir.types import Array
from graphc.testing.cases import Case, cases_of
from tests.backends.cuda.stepwise import Stepwise, run_graph

PER_OP = 2  # cases of every op in the default suite
MOST = 4000  # elements of an input


def _ops() -> list[type[Op]]:
    found = {value for value in vars(ops).values() if isinstance(value, type)}
    return sorted((c for c in found if issubclass(c, Op)), key=lambda c: c.__name__)


def _small(case: Case) -> bool:
    return all(np.prod([evaluate(s, {}) for s in t.shape]) <= MOST for t in case.types)


def op_cases(every: bool) -> Iterator[Case]:
    """Cases of every op: some that are the same in each run, or all of them."""
    for kind in _ops():
        found = sorted(filter(_small, cases_of(kind)), key=lambda c: zlib.crc32(str(c).encode()))
        yield from found if every else found[:PER_OP]


def case_tensors(
    case: Case, arrays: list[Array], number: int = 0
) -> tuple[list[gx.Tensor], list[tuple[str, gx.Tensor]]]:
    """Inputs, and by name the result and its gradients; `number` makes names unique."""
    inputs, result = case.tensors(arrays, number)
    outputs = [("y", result)]
    floats = [t for t in inputs if t.dtype.is_float]
    if result.dtype.is_float and floats:
        try:
            gradients = gx.grad(result.sum(), floats)
        except GraphcError:
            gradients = []
        outputs += [(f"g{i}", g) for i, g in enumerate(gradients)]
    return inputs, outputs


def run_case(case: Case, kind: type[Stepwise] = Stepwise) -> Stepwise:
    """An op and its gradient, call by call."""
    arrays = case.arrays()
    inputs, outputs = case_tensors(case, arrays)
    definition = gx.compile(inputs, dict(outputs), name="case", target="interpret").graph
    return run_graph(definition, arrays, kind=kind)[1]
