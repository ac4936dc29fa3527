"""Printed operations compute what the loop level means: the LLVM text runs on this processor."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from graphc_cuda.device import program as device
from graphc_cuda.device.program import Program
from graphc_cuda.print_nvptx import nvptx_text
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


@cache
def groups() -> dict[str, list[ScalarCase]]:
    found: dict[str, list[ScalarCase]] = {}
    for case in cases():
        found.setdefault(case.function, []).append(case)
    return found


@cache
def program() -> Program:
    return Program("scalars", (), tuple(kernel_of(name, group) for name, group in groups().items()))


@cache
def host() -> HostCode:
    return HostCode(nvptx_text(program(), (9, 0)))


def test_every_operation_has_a_case() -> None:
    assert set(groups()) == {*device.OPERATIONS, "select"}


@pytest.mark.parametrize("function", groups())
def test_operation_on_every_dtype(function: str) -> None:
    group = groups()[function]
    arrays, results = [], []
    for case in group:
        ins = [np.ascontiguousarray(x) for x in operands(case)]
        out = np.full(len(ins[0]), 77, memory_dtype(case.gives).numpy)
        arrays += [*ins, out]
        results.append(out)
    host().run(f"k_{function}", *arrays)
    for case, found in zip(group, results):
        wrong = np.flatnonzero(~same(found, expected(case), case))
        first = [
            (x[wrong[:3]], found[wrong[:3]], expected(case)[wrong[:3]]) for x in operands(case)
        ]
        assert len(wrong) == 0, f"{case.name}: {len(wrong)} differ, such as {first}"
