"""Machine code of tiles: no spills, few instructions beside those that multiply."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import pytest

from graphc.ir.loops.ir import Kernel
from graphc.ir.types import bfloat16
from graphc_cuda.assemble import KernelResources, assemble, disassemble
from graphc_cuda.contract import shape
from graphc_cuda.contract.shape import MatrixTile, Tile
from graphc_cuda.cuda_tools import find_tool
from graphc_cuda.device.program import Program
from graphc_cuda.lower.kernel import lower_kernel
from graphc_cuda.lower.scalars import Functions
from graphc_cuda.ptx import ptx_of
from tests.backends.cuda.test_contract_tiles import held, only, rounded
from tests.backends.llvm.contractions import contraction
from tests.backends.llvm.test_contract_box import Case, dims

HOPPER = (9, 0)
MOST_REGISTERS = 128  # two blocks of 256 threads a multiprocessor
MOST_OF_FRAGMENTS = 168  # with 64 sums and operands of two steps on their way
# multiply-adds among all instructions of a kernel, loops and epilogue together
LEAST_SHARE = 2 / 3
LEAST_PADDED_SHARE = 3 / 8
LARGE = {"m": 1024, "n": 1024, "k": 1024}

pytestmark = pytest.mark.skipif(find_tool("ptxas") is None, reason="ptxas is not installed")
needs_reader = pytest.mark.skipif(
    find_tool("nvdisasm") is None and find_tool("cuobjdump") is None,
    reason="neither nvdisasm nor cuobjdump is installed",
)


def assembled(kernel: Kernel, sizes: dict[str, int] | None = None) -> tuple[KernelResources, bytes]:
    """What the machine code of the launch with the tiles takes, and the code."""
    functions = Functions()
    launches = lower_kernel(kernel, sizes or {}, functions, "tile")
    (launch,) = (x for x in launches if x.segment.tile is not None)  # not what adds pieces
    program = Program("tiles", functions.listed(), (launch.kernel,))
    made = assemble(ptx_of(program, HOPPER), HOPPER)
    assert made.cubin is not None
    (facts,) = made.kernels.values()
    return facts, made.cubin


def check(facts: KernelResources, most: int) -> None:
    assert facts.spill_stores == facts.spill_loads == facts.stack == 0
    assert facts.registers <= most


def operations(cubin: bytes) -> Counter[str]:
    """How often each instruction stands in the text, by the first part of its name."""
    found = re.findall(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z]\w*)", disassemble(cubin))
    return Counter(found)


@pytest.mark.parametrize("spec", ["mk,kn->mn", "km,nk->mn"])
@pytest.mark.parametrize("tile", shape.TILES[:5], ids=str)
def test_tiles_stay_in_registers(tile: Tile, spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, tile)
    facts, _ = assembled(contraction(spec, LARGE))
    check(facts, MOST_REGISTERS)


@pytest.mark.parametrize("kind", ["bf16", "fp16", "tf32"])
@pytest.mark.parametrize("tile", shape.MATRIX_TILES[:4:3], ids=str)
def test_fragments_stay_in_registers(
    tile: MatrixTile, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch, replace(tile, depth=32))
    operand = rounded(kind)
    facts, _ = assembled(contraction("mk,nk->mn", LARGE, left=operand, right=operand))
    check(facts, MOST_OF_FRAGMENTS)


@needs_reader
def test_most_instructions_multiply(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, shape.TILES[0])
    _, cubin = assembled(contraction("mk,kn->mn", LARGE))
    found = operations(cubin)
    assert found["FFMA"] == 1024
    assert found["LDGSTS"] > 0
    assert found["LDG"] == 0
    assert 1024 / found.total() > LEAST_SHARE


@needs_reader
@pytest.mark.parametrize("direction", range(2))
def test_padding_costs_little(direction: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where channels fill the steps of a tile, conditions are asked once for all of them."""
    only(monkeypatch, shape.TILES[3])
    case = Case((28, 28, 64), (3, 3, 64, 64), {"padding": "same"})
    kernel = case.kernels(32)[direction]
    facts, cubin = assembled(kernel, dims(kernel, 32))
    check(facts, MOST_REGISTERS // 2)
    assert operations(cubin)["FFMA"] == 256
    assert 256 / operations(cubin).total() > LEAST_PADDED_SHARE


@needs_reader
def test_matrices_come_past_the_registers(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, shape.MATRIX_TILES[0])
    left, right = held("p", "mk", bfloat16), held("q", "kn", bfloat16)
    found = operations(assembled(contraction("mk,kn->mn", LARGE, left=left, right=right))[1])
    assert found["HMMA"] == 32
    assert found["LDSM"] == 12
    assert found["LDG"] == 0
    assert found["LDGSTS"] > 0
