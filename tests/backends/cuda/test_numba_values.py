"""What numba makes of operations computes what the loop level means, run on this processor."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from graphc_cuda.device.program import Program
from tests.backends.cuda.host_code import HostCode
from tests.backends.cuda.scalar_kernels import (
    ScalarCase,
    cases,
    expected,
    kernel_of,
    memory_dtype,
    operands,
    same,
)

pytestmark = pytest.mark.skipif(
    find_spec("numba_cuda") is None, reason="numba-cuda is not installed"
)
GROUPS: dict[str, list[ScalarCase]] = {}
for _case in cases():
    GROUPS.setdefault(_case.function, []).append(_case)
QUICK = ("neg", "abs", "quotient", "remainder", "shr", "saturate", "f64_to_bf16", "f64_to_f16")


def check(function: str) -> None:
    """Compare every case of a function with numpy."""
    from tests.backends.cuda.numba_host import numba_host_text

    program = Program("scalars", (), (kernel_of(function, GROUPS[function]),))
    arrays, results = [], []
    for case in GROUPS[function]:
        results.append(np.full(len(operands(case)[0]), 77, memory_dtype(case.gives).numpy))
        arrays += [*map(np.ascontiguousarray, operands(case)), results[-1]]
    HostCode(numba_host_text(program)).run(f"k_{function}", *arrays)
    for case, found in zip(GROUPS[function], results):
        wrong = np.flatnonzero(~same(found, expected(case), case))
        assert len(wrong) == 0, f"{case.name}: {len(wrong)} differ, {found[wrong[:3]]}"


@pytest.mark.parametrize("function", QUICK)
def test_operations(function: str) -> None:
    check(function)


@pytest.mark.slow
@pytest.mark.parametrize("function", sorted(GROUPS.keys() - {*QUICK}))
def test_all_other_operations(function: str) -> None:
    check(function)
