"""Kernels of real programs by the direct route: the interpreter's bits, and machine code.

The LLVM text that becomes machine code of a GPU runs on this processor, thread by thread.
"""

from __future__ import annotations

import pytest

from graphc_cuda.assemble import KernelResources, assemble
from graphc_cuda.cuda_tools import find_tool
from graphc_cuda.ptx import compile_to_ptx
from tests.backends.cuda.host_stepwise import HostStepwise
from tests.backends.cuda.op_runs import op_cases, run_case
from tests.fuzz.cuda_kernels import check

pytest.importorskip("greenlet", reason="threads in lock step need greenlet")
needs_ptxas = pytest.mark.skipif(find_tool("ptxas") is None, reason="ptxas is not installed")
EVERY = 4  # of the cases of ops, one in the default suite
SEEDS = range(400, 412)
# the assembler calls a function for float64 division, and saves what is alive around it
SPILLS_AROUND_DIVISION = 32


def machine_code(steps: HostStepwise) -> dict[str, KernelResources]:
    """What the kernels of a program take."""
    return dict(assemble(compile_to_ptx(steps.llvm_text, (9, 0)), (9, 0)).kernels)


@pytest.mark.parametrize("part", range(3))
def test_ops_and_their_gradients(part: int) -> None:
    chosen = list(op_cases(every=False))[1::EVERY][part::3]
    assert len(chosen) > 10
    for case in chosen:
        run_case(case, HostStepwise)


@pytest.mark.parametrize("seed", SEEDS)
def test_random_graphs(seed: int) -> None:
    assert check(seed, HostStepwise) in ("agrees", "refused", "has no kernel")


@needs_ptxas
def test_machine_code_of_ops() -> None:
    chosen = list(op_cases(every=False))[::16]
    for case in chosen:
        steps = run_case(case, HostStepwise)
        assert isinstance(steps, HostStepwise)
        assert machine_code(steps).keys() == {k.name for k in steps.plan.program.kernels}


@pytest.mark.slow
@needs_ptxas
@pytest.mark.parametrize("part", range(8))
def test_every_case_of_every_op(part: int) -> None:
    for case in list(op_cases(every=True))[part::8]:
        steps = run_case(case, HostStepwise)
        assert isinstance(steps, HostStepwise)
        for name, facts in machine_code(steps).items():
            assert facts.spill_stores <= SPILLS_AROUND_DIVISION, (name, str(case))
            assert 0 < facts.registers <= 128, (name, str(case))
