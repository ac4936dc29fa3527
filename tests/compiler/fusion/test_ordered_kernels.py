"""The kernels of ordered ops, run by the loop interpreter: its memory shows what is not written,
and it raises for an index outside. Thresholds are lowered so that small arrays take every path."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.compiler.fusion import keys, scans, search, sorting
from graphc.compiler.program import Program
from graphc.ir import ops
from graphc.ir.dims import evaluate
from graphc.ir.loops.kernel_interpreter import run_kernel
from graphc.ir.ops.base import Op, Ordered
from graphc.ir.schedule import Storage
from graphc.testing.cases import Case, dtype_of
from tests.ir.ops.op_cases import CASES, Array
from tests.tolerances import ORDERED

HOMES = ("cumulative", "indexing", "sorting", "gather", "padding", "diagonal")
KINDS = [k for k in ops.ALL_OPS if k.__module__.rpartition(".")[2] in HOMES]
COUNTED, DIGIT = (sorting, "MAX_COUNTED_ELEMENTS"), (keys, "DIGIT_BITS")
LOWERED = {
    "as they are": {},
    "long": {
        COUNTED: 2, DIGIT: 3, (sorting, "MIN_SHARED_ELEMENTS"): 3, (sorting, "ROW_CHUNKS"): 3,
        (scans, "SCAN_CHUNK_ELEMENTS"): 3,
    },
    "by digits": {COUNTED: 2, DIGIT: 5},
    "blocks": {
        (search, "MAX_COUNTED_ELEMENTS"): 2, (search, "BLOCK_ELEMENTS"): (3, 2),
        (search, "MIN_BLOCKS_PER_RESULT"): 1, DIGIT: 5,
    },
}  # fmt: skip
MOST = 310  # elements: more take long here


def run_program(program: Program, inputs: list[Array]) -> list[Array]:
    """The outputs of a program without dims, kernel by kernel in the loop interpreter."""
    arrays: dict[Storage, Array] = dict(zip(program.schedule.inputs, inputs))
    for call in (*program.schedule.prepare, *program.schedule.calls):
        for storage in call.arguments:
            shape = tuple(evaluate(s, {}) for s in storage.type.shape)
            if storage not in arrays:
                poison: Any = np.nan if storage.type.dtype.is_float else 77
                arrays[storage] = np.full(shape, poison, storage.type.dtype.numpy)
        given = {
            b.name: arrays[s].reshape([evaluate(n, {}) for n in b.shape])
            for b, s in zip(call.kernel.arguments, call.arguments)
        }
        assert run_kernel(call.kernel, given, {}) is None
    return [arrays[s] for s in program.schedule.outputs]


def cases_of(kind: type[Op]) -> list[Case]:
    """Small samples."""
    sizes = [(c, sum(int(np.prod(t.shape)) for t in c.types)) for c in CASES]  # type: ignore[arg-type]
    return [c for c, size in sizes if type(c.op) is kind and size <= MOST]


@pytest.mark.parametrize("how", LOWERED)
@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_kernels(kind: type[Op], how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for (module, name), value in LOWERED[how].items():
        monkeypatch.setattr(module, name, value)
    if how != "as they are" and not issubclass(kind, Ordered):
        pytest.skip("one way only")
    for case in cases_of(kind):
        given = case.arrays()
        inputs, y = case.tensors(given)
        (found,) = run_program(gx.compile(inputs, [y]).program, given)
        expected = case.op.evaluate(*given)
        assert dtype_of(found) == dtype_of(expected)
        wide = np.float64 if expected.dtype.kind not in "biu" else expected.dtype
        found, expected = found.astype(wide), expected.astype(wide)
        np.testing.assert_allclose(found, expected, **ORDERED, err_msg=str(case))
