"""Machine code of device programs: PTX that rounds as IEEE says, assembled and looked at."""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path

import pytest

from graphc.compiler.cache import DiskCache
from graphc.errors import BackendError, UnsupportedError, VerifyError
from graphc.ir.types import float32
from graphc_cuda import assemble as assembling
from graphc_cuda import machine_code
from graphc_cuda.assemble import KernelResources, assemble, disassemble, read_resources
from graphc_cuda.cuda_tools import find_tool
from graphc_cuda.device.program import Program
from graphc_cuda.machine_code import CompiledProgram, compile_program, kernel_occupancy
from graphc_cuda.ptx import compile_to_ptx, ptx_of
from tests.backends.cuda import device_samples as samples
from tests.backends.cuda.scalar_kernels import cases, kernel_of

CAPABILITIES = ((8, 0), (9, 0))
needs_ptxas = pytest.mark.skipif(find_tool("ptxas") is None, reason="ptxas is not installed")
needs_reader = pytest.mark.skipif(
    find_tool("nvdisasm") is None and find_tool("cuobjdump") is None,
    reason="neither nvdisasm nor cuobjdump is installed",
)


@cache
def every_sample() -> Program:
    made = [sample() for sample in samples.SAMPLES]
    functions = tuple(f for p in made for f in p.functions)
    return Program("samples", functions, tuple(k for p in made for k in p.kernels))


@cache
def compiled(capability: tuple[int, int]) -> CompiledProgram:
    return compile_program(every_sample(), capability, DiskCache(None))


@cache
def machine_text(capability: tuple[int, int]) -> dict[str, str]:
    cubin = compiled(capability).assembled.cubin
    assert cubin is not None
    parts = re.split(r"^\.text\.(\w+):", disassemble(cubin), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


@cache
def scalar_program() -> Program:
    every = list(cases())
    names = dict.fromkeys(c.function for c in every)
    kernels = (kernel_of(name, [c for c in every if c.function == name]) for name in names)
    return Program("scalars", (), tuple(kernels))


@cache
def scalar_ptx(capability: tuple[int, int]) -> str:
    return ptx_of(scalar_program(), capability)


# ------------------------------------------------------------------------ PTX


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_nothing_is_called_that_is_not_there(capability: tuple[int, int]) -> None:
    for ptx in (scalar_ptx(capability), ptx_of(every_sample(), capability)):
        assert ".extern .func" not in ptx
        assert "call" not in ptx.replace(".callprototype", "")
        assert f".target sm_{capability[0]}{capability[1]}" in ptx


def test_a_misspelt_function_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    text = machine_code.nvptx_text(samples.copies(), (9, 0))
    wrong = text.replace("cp.async.commit.group", "cp.async.comit.group")
    monkeypatch.setattr(machine_code, "nvptx_text", lambda *_: wrong)
    with pytest.raises(VerifyError, match="comit"):
        compile_program(samples.copies(), (9, 0), DiskCache(None))
    declared = wrong + "declare void @llvm.nvvm.cp.async.comit.group()\n"
    monkeypatch.setattr(machine_code, "nvptx_text", lambda *_: declared)
    with pytest.raises(VerifyError, match="nobody defines"):
        compile_program(samples.copies(), (9, 0), DiskCache(None))


def test_floats_round_as_ieee_says() -> None:
    ptx = scalar_ptx((9, 0))
    for kind in ("f32", "f64"):
        for name in ("add", "sub", "mul", "div", "sqrt", "fma"):
            assert f"{name}.rn.{kind}" in ptx, (name, kind)
    assert not re.findall(r"\b(?:add|sub|mul|mad)\.f(?:32|64)", ptx)
    assert not re.findall(r"\.(?:ftz|approx|full)\b", ptx)


def test_products_and_sums_stay_apart() -> None:
    x, y = samples.X, samples.Y
    got = [samples.Get(float32, x, samples.literal(k)) for k in range(3)]
    product = samples.Op(float32, "mul", (got[0], got[1]))
    body = (samples.Put(y, samples.THREAD, samples.plus(product, got[2])),)
    ptx = ptx_of(samples.kernel("apart", (x, y), body, 32), (9, 0))
    assert "fma" not in ptx
    assert "mul.rn.f32" in ptx
    assert "add.rn.f32" in ptx


def test_refused_text_is_our_mistake() -> None:
    with pytest.raises(VerifyError, match="LLVM refuses a module"):
        compile_to_ptx("define void @f() { ret i32 0 }", (9, 0))


# ------------------------------------------------------------------ machine code


@needs_ptxas
@pytest.mark.parametrize("capability", CAPABILITIES)
def test_every_operation_assembles_without_spills(capability: tuple[int, int]) -> None:
    made = assemble(scalar_ptx(capability), capability)
    assert made.cubin is not None
    assert made.cubin.startswith(b"\x7fELF")
    assert len(made.kernels) == len(scalar_program().kernels)
    for name, facts in made.kernels.items():
        assert (facts.spill_stores, facts.spill_loads) == (0, 0), name
        assert 0 < facts.registers <= 255, name


@needs_ptxas
@pytest.mark.parametrize("capability", CAPABILITIES)
def test_every_intrinsic_assembles_without_spills(capability: tuple[int, int]) -> None:
    for kernel in every_sample().kernels:
        facts = compiled(capability).resources(kernel)
        assert facts is not None
        assert facts.spill_stores == facts.spill_loads == facts.stack == 0, kernel.name
        if kernel.shared_bytes < 48 * 1024:
            assert facts.shared == kernel.shared_bytes
        assert kernel_occupancy(kernel, facts, capability).blocks >= 1


@needs_ptxas
@needs_reader
@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize(
    ("kernel", "wanted"),
    [
        ("vectors", ("LDG.E.128.CONSTANT", "STG.E.128", "MIN.STRONG.GPU")),
        ("copies", (r"LDGSTS.E \[", r"LDGSTS.E.64 \[", "LDGDEPBAR")),
        ("matrices", ("LDGSTS.E.BYPASS.128", r"LDSM.16.M88.4", r"LDSM.16.MT88.4")),
        ("matrices", ("HMMA.16816.F32.BF16", r"HMMA.16816.F32 ", "HMMA.1688.F32.TF32")),
        ("packing", (r"F2FP.BF16(?:.F32)?.PACK_AB", r"F2FP.(?:F16.F32.)?PACK_AB")),
        ("together", ("SHFL", "BAR.SYNC", "LDS")),
    ],
)
def test_instructions_are_the_wanted_ones(
    capability: tuple[int, int], kernel: str, wanted: tuple[str, ...]
) -> None:
    text = machine_text(capability)[kernel]
    assert [w for w in wanted if re.search(w, text) is None] == []


@needs_ptxas
def test_refused_ptx_says_why() -> None:
    with pytest.raises(BackendError, match=r"ptxas refuses a module: .*line 4; fatal.*foo"):
        assemble(".version 7.8\n.target sm_80\n.address_size 64\nfoo", (8, 0))


@needs_ptxas
def test_an_assembler_that_is_too_old_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembling, "_linker", lambda: None)
    assert assemble(".version 99.0\n.target sm_80\n.address_size 64\n", (8, 0)).cubin is None
    assert assemble(ptx_of(samples.copies(), (9, 0)), (99, 9)).cubin is None


def test_the_linker_of_this_process_assembles_too() -> None:
    core = assembling._linker()
    if core is None:
        pytest.skip("cuda-core with nvJitLink is not installed")
    made = assembling._by_linker(core, ptx_of(samples.together(), (9, 0)), "sm_90")
    assert made.cubin is not None
    assert made.kernels["together"].registers > 0
    assert made.kernels["together"].shared == 256
    with pytest.raises(BackendError, match=r"nvJitLink refuses a module.*syntax error"):
        assembling._by_linker(core, ".version 7.8\n.target sm_80\n.address_size 64\nfoo", "sm_90")


def test_resources_are_read_from_the_log() -> None:
    log = """ptxas info    : Compiling entry function 'k01_sum' for 'sm_90'
ptxas info    : Function properties for k01_sum
    16 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 40 registers, used 1 barriers, 16 bytes cumulative stack size, 96 bytes smem
ptxas info    : Compiling entry function 'k02' for 'sm_90'
ptxas info    : Function properties for k02
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 8 registers, 352 bytes cmem[0]
"""
    assert read_resources(log) == {
        "k01_sum": KernelResources(40, 8, 12, 16, 96),
        "k02": KernelResources(8),
    }


# -------------------------------------------------------------- without the tools


@pytest.fixture
def no_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembling, "find_tool", lambda name: None)
    monkeypatch.setattr(assembling, "_linker", lambda: None)


@pytest.mark.usefixtures("no_tools")
def test_without_an_assembler_the_driver_takes_the_ptx() -> None:
    made = compile_program(samples.copies(), (9, 0), DiskCache(None))
    assert made.assembled.cubin is None
    assert made.code.image.startswith(b"//")
    assert made.code.image.endswith(b"\0")
    assert made.code.entries == {"copies": "copies"}
    assert made.resources(samples.copies().kernels[0]) is None


@pytest.mark.usefixtures("no_tools")
def test_without_a_reader_there_is_no_text() -> None:
    with pytest.raises(UnsupportedError, match="neither is here") as found:
        disassemble(b"")
    assert found.value.hint == "pip install nvidia-cuda-nvdisasm"


@pytest.mark.usefixtures("no_tools")
def test_newer_gpus_get_what_was_made_for_the_newest_known() -> None:
    made = compile_program(samples.copies(), (12, 0), DiskCache(None))
    assert b".target sm_90" in made.code.image


@pytest.mark.skipif(os.name == "nt", reason="programs have other names there")
def test_tools_are_found_by_path_and_by_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tool = tmp_path / "bin" / "some_tool"
    tool.parent.mkdir()
    tool.write_text("")
    os.chmod(tool, 0o755)
    find_tool.cache_clear()
    monkeypatch.setenv("PATH", str(tool.parent))
    assert find_tool("some_tool") == tool
    find_tool.cache_clear()
    monkeypatch.setenv("PATH", "")
    assert find_tool("some_tool") is None
    find_tool.cache_clear()
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    assert find_tool("some_tool") == tool
    find_tool.cache_clear()


# -------------------------------------------------------------------------- cache


def test_what_was_compiled_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cache_ = DiskCache(tmp_path)
    first = compile_program(samples.copies(), (9, 0), cache_)
    monkeypatch.setattr(machine_code, "compile_to_ptx", lambda *_: pytest.fail("compiled again"))
    assert compile_program(samples.copies(), (9, 0), cache_) == first
    with pytest.raises(pytest.fail.Exception):
        compile_program(samples.copies(), (8, 0), cache_)
    with pytest.raises(pytest.fail.Exception):
        compile_program(samples.branches(), (9, 0), cache_)


def test_another_assembler_compiles_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    compile_program(samples.copies(), (9, 0), DiskCache(tmp_path))
    monkeypatch.setattr(machine_code, "assembler_identity", lambda: "another one")
    compile_program(samples.copies(), (9, 0), DiskCache(tmp_path))
    assert len(list(tmp_path.iterdir())) == 2


def test_a_directory_that_takes_nothing_is_no_failure(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    made = compile_program(samples.copies(), (9, 0), DiskCache(blocked / "inside"))
    assert made.code.image
