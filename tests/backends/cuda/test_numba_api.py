"""The route through numba: device programs become PTX that ptxas takes, with nothing contracted."""

from __future__ import annotations

import importlib
import re
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import graphc_cuda
from graphc.errors import BackendError
from graphc.installed import install_hint
from graphc_cuda.assemble import KernelResources, assemble
from graphc_cuda.cuda_tools import find_tool
from graphc_cuda.device.program import Program
from graphc_cuda.register_limit import with_blocks
from tests.backends.cuda import statements
from tests.backends.cuda.networks import NETWORKS, plan_for
from tests.backends.cuda.scalar_kernels import ScalarCase, cases, kernel_of

needs_numba = pytest.mark.skipif(
    find_spec("numba_cuda") is None, reason="numba-cuda is not installed"
)
CAPABILITIES = ((8, 0), (9, 0))
PROGRAMS = {
    "matmul": statements.matmul,
    "statements": statements.every_statement,
    "intrinsics": statements.every_intrinsic,
    "names": statements.odd_names,
    "large": statements.large_shared,
}
INSTRUCTIONS = (
    "atom.global.min.u32", "cp.async.cg.shared.global", "cp.async.ca.shared.global",
    "cp.async.commit_group", "cp.async.wait_group 1", "cp.async.wait_group 0",
    "ld.global.v4.f32", "ld.shared.v2.f32", "st.global.v4.f32", "st.shared.v2.f32",
    "st.global.v4.u32", "cvt.rn.bf16x2.f32", "cvt.rn.f16x2.f32", "cvt.rna.tf32.f32",
    "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32",
    "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32",
    "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32",
    "ldmatrix.sync.aligned.m8n8.x4.shared.b16", "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16",
)  # fmt: skip


@cache
def ptx(name: str, capability: tuple[int, int]) -> str:
    return ptx_of(PROGRAMS[name](), capability)


def ptx_of(program: Program, capability: tuple[int, int]) -> str:
    made: str = importlib.import_module("graphc_cuda.numba_api").numba_ptx(program, capability)
    return made


def assembled(text: str, capability: tuple[int, int], program: Program) -> dict[str, Any]:
    """What each kernel takes, by its own name; skips where there is no ptxas."""
    for kernel in program.kernels:
        assert f".entry {kernel.name}(" in text
    assert ".extern .func" not in text
    if find_tool("ptxas") is None:
        pytest.skip("ptxas is not here")
    found = dict(assemble(text, capability).kernels)
    assert set(found) == {kernel.name for kernel in program.kernels}
    return found


@needs_numba
@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_assemble(name: str, capability: tuple[int, int]) -> None:
    program = PROGRAMS[name]()
    facts = assembled(ptx(name, capability), capability, program)
    for kernel in program.kernels:
        found: KernelResources = facts[kernel.name]
        assert found.spill_stores == found.spill_loads == 0
        static = 0 if name == "large" else kernel.shared_bytes
        # what is larger than 48 KiB is asked for at launch
        assert found.shared == static


@needs_numba
def test_intrinsics_are_the_instructions_they_stand_for() -> None:
    text = ptx("intrinsics", (9, 0))
    assert [each for each in INSTRUCTIONS if each not in text] == []


@needs_numba
def test_statements_are_the_instructions_they_stand_for() -> None:
    text = ptx("statements", (9, 0))
    for each in ("bar.sync", "bar.warp.sync", "shfl.sync.idx.b32", "%nctaid.x"):
        assert each in text, each
    assert text.count("shfl.sync") == 7, "64 bits go in two halves"


@needs_numba
def test_products_and_sums_stay_apart() -> None:
    text = ptx_of(statements.product_and_sum(), (9, 0))
    assert re.search(r"mul(\.rn)?\.f32", text)
    assert re.search(r"add(\.rn)?\.f32", text)
    assert "fma" not in text
    assert "fma.rn.f32" in ptx("matmul", (9, 0)), "where it is asked for, it is one operation"


@needs_numba
def test_blocks_have_the_size_of_the_program() -> None:
    text = ptx_of(statements.product_and_sum(block=64), (8, 0))
    assert "\n.maxntid 64\n" in text
    assert ".minnctapersm 3" in with_blocks(text, {"two": 3})


@needs_numba
def test_equal_programs_give_equal_text() -> None:
    first = ptx_of(statements.product_and_sum(), (9, 0))
    assert ptx_of(statements.product_and_sum(), (9, 0)) == first


# -------------------------------------------------- every operation on every dtype


@cache
def groups() -> dict[str, list[ScalarCase]]:
    found: dict[str, list[ScalarCase]] = {}
    for case in cases():
        found.setdefault(case.function, []).append(case)
    return found


def scalar_program(*names: str) -> Program:
    return Program("scalars", (), tuple(kernel_of(name, groups()[name]) for name in names))


@needs_numba
@pytest.mark.parametrize("function", ["abs", "quotient", "saturate", "f64_to_bf16"])
def test_operations_assemble(function: str) -> None:
    program = scalar_program(function)
    assembled(ptx_of(program, (9, 0)), (9, 0), program)


@needs_numba
@pytest.mark.slow
@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize("function", groups())
def test_every_operation_assembles(function: str, capability: tuple[int, int]) -> None:
    program = scalar_program(function)
    assembled(ptx_of(program, capability), capability, program)


@needs_numba
@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_whole_steps_assemble(name: str) -> None:
    program = plan_for(name).program
    assembled(ptx_of(program, (8, 0)), (8, 0), program)


# ------------------------------------------------------------------------ errors


def test_one_module_imports_numba() -> None:
    folder = Path(graphc_cuda.__file__).parent
    pattern = re.compile(r"^\s*(from|import) numba\b", re.MULTILINE)
    found = [p.name for p in folder.rglob("*.py") if pattern.search(p.read_text(encoding="utf-8"))]
    assert found == ["numba_api.py"]


def test_without_numba_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "graphc_cuda.numba_api", raising=False)
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(BackendError, match="numba-CUDA cannot be imported") as caught:
        importlib.import_module("graphc_cuda.numba_api")
    assert caught.value.hint == install_hint("cuda-numba", "numba-cuda[cu13]")


@needs_numba
def test_the_old_numba_cuda_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    api = importlib.import_module("graphc_cuda.numba_api")
    monkeypatch.setattr(api.cuda, "implementation", "Built-in")
    with pytest.raises(BackendError, match="not that of the package numba-cuda"):
        ptx_of(statements.product_and_sum(), (9, 0))


@needs_numba
def test_an_old_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    api = importlib.import_module("graphc_cuda.numba_api")
    monkeypatch.setattr(api, "version", lambda _: "0.9.12")
    with pytest.raises(BackendError, match=r"numba-cuda 0\.9\.12 is too old: 0\.30 is needed"):
        ptx_of(statements.product_and_sum(), (9, 0))


@needs_numba
def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    api = importlib.import_module("graphc_cuda.numba_api")

    def fail() -> None:
        raise OSError("libnvvm.so: cannot open shared object file")

    monkeypatch.setattr(api.nvvm, "NVVM", fail)
    with pytest.raises(BackendError, match=r"lacks a library of CUDA: libnvvm\.so"):
        ptx_of(statements.product_and_sum(), (9, 0))
