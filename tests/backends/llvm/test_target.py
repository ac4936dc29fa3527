"""Facts about targets, and that the code made for each keeps to them."""

from __future__ import annotations

import platform
import re
from dataclasses import replace
from pathlib import Path

import llvmlite.binding as llvm
import pytest

from graphc.ir.types import bool_, float32, float64, int8
from graphc_llvm.emit_kernel import emit_kernel
from graphc_llvm.target import Target, host_target, make_target
from tests.backends.llvm.contractions import contraction
from tests.backends.llvm.native import machine

NAMES = ("avx512", "avx2", "baseline", "neon", "riscv64", "wasm32")


def assembly(target: Target, dtype=float32, sizes=None, **options) -> str:
    sizes = sizes or {"m": 24, "n": 50, "k": 40}
    kernel = contraction("mk,kn->mn", sizes, dtype, **options)
    emitted = emit_kernel(kernel, target, None)
    module = llvm.parse_assembly(emitted.module())
    module.verify()
    return machine(target).emit_assembly(module)


def function(text: str, name: str) -> str:
    """The lines of one function of an assembly text."""
    return re.search(rf"^{name}\w*:\n(.*?)^\.Lfunc_end", text, re.M | re.S).group(1)


def innermost(text: str) -> str:
    """The longest loop of a function that has no label inside."""
    lines, loops = text.splitlines(), [""]
    for start, line in enumerate(lines):
        label = re.match(r"(\.LBB\w+):", line)
        for end in range(start + 1, len(lines) if label else 0):
            if lines[end].startswith(".LBB"):
                break
            if lines[end].split()[-1:] == [label.group(1)]:
                loops.append("\n".join(lines[start:end]))
    return max(loops, key=len)


@pytest.mark.parametrize(
    ("name", "lanes", "fma"),
    [("avx512", 16, True), ("avx2", 8, True), ("baseline", 4, False), ("neon", 4, True)],
)
def test_named_targets(name, lanes, fma):
    target = make_target(name)
    assert target.has_fma == fma
    assert (target.lanes(float32), target.lanes(float64)) == (lanes, lanes // 2)
    assert (target.lanes(int8), target.lanes(bool_)) == (4 * lanes, 4 * lanes)
    assert target.tile_registers == target.vector_registers - (1 if fma else 2)


def test_triples_get_the_oldest_instruction_set():
    assert make_target("x86_64-pc-windows-msvc") == replace(
        make_target("baseline"), triple="x86_64-pc-windows-msvc"
    )
    assert make_target("aarch64-apple-darwin").isa == "neon"


@pytest.mark.parametrize("name", ["pentium", "pdp11-dec-none", ""])
def test_unknown_targets_are_refused(name):
    with pytest.raises(ValueError, match=f"no target '{name}'.*avx2"):
        make_target(name)


def test_the_host_is_what_the_system_says():
    target = host_target()
    assert target == host_target()
    assert target.triple.split("-")[0] in (platform.machine(), "arm64", "aarch64")
    info = Path("/proc/cpuinfo")
    if platform.machine() == "x86_64" and info.exists():
        flags = re.search(r"^flags\s*:(.*)$", info.read_text(), re.M).group(1).split()
        assert target.has_fma == ("fma" in flags and "avx2" in flags)
        assert (target.isa == "avx512") <= ("avx512f" in flags)
    assert 4096 <= target.l1_bytes <= target.l2_bytes


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [float32, float64])
@pytest.mark.parametrize("dynamic", ["", "mnk"])
def test_no_target_needs_a_library(name, dtype, dynamic):
    text = assembly(make_target(name), dtype, dynamic=dynamic)
    assert not re.search(r"\bfmaf?\b", text)
    assert not re.search(r"\b(call|callq|bl|jal)\s+\w*(mem|fma|float|ext|trunc)\w*", text)


@pytest.mark.parametrize(
    ("name", "multiply", "stack"),
    [
        ("avx512", r"vfmadd\w+ps.*zmm", r"%rsp"),
        ("avx2", r"vfmadd\w+ps.*ymm", r"%rsp"),
        ("baseline", r"mulps", r"%rsp.*xmm|xmm.*%rsp"),
        ("neon", r"fmla", r"\bsp\b"),
    ],
)
def test_tiles_stay_in_registers(name, multiply, stack):
    target = make_target(name)
    lanes = target.lanes(float32)
    text = assembly(target, sizes={"m": 24, "n": 6 * lanes, "k": 40})
    loop = innermost(function(text, "contract_tile"))
    assert len(re.findall(multiply, loop)) >= 8
    assert not re.search(stack, loop)
