"""Kernels in the forms that keep a GPU busy: both routes, no spills."""

from __future__ import annotations

import pytest

import graphc as gx
from graphc_cuda.cuda_tools import find_tool
from graphc_cuda.device.program import Program
from graphc_cuda.plan_launches import plan_launches
from tests.backends.cuda.all_kernels import table

pytestmark = pytest.mark.skipif(find_tool("ptxas") is None, reason="ptxas is not here")
MOST_REGISTERS = 40


def forms() -> Program:
    """Chains in pieces, tiles, neighbours, updates of rows, sums that wait for each other."""
    x, z = gx.input("x", (4096, 512)), gx.input("z", (64, 20000))
    i = gx.input("i", (8192,), dtype="int32")
    u = gx.input("u", (8192, 64))
    table_ = gx.input("table", (3000, 64))
    outputs = [
        gx.sum(x, axis=0), gx.sum(z, axis=1), gx.permute_dims(x, (1, 0)) * 2, gx.exp(x) + 1,
        table_.at[i].add(u), table_.at[i].set(u), gx.cumulative_sum(z, axis=1),
    ]  # fmt: skip
    compiled = gx.compile([x, z, i, u, table_], outputs, target="cuda-simulate")
    return plan_launches(compiled.program, {}).program


def test_nothing_spills() -> None:
    rows = table([("forms", forms)])
    assert [row for row in rows if "error" in row] == []
    assert len({row["kernel"] for row in rows}) >= 12
    assert max(row["spill_stores"] + row["spill_loads"] for row in rows) == 0
    assert max(row["registers"] for row in rows) <= MOST_REGISTERS
