"""Long sums of products in pieces: the bits of the interpreter for the kernel that is split."""

from __future__ import annotations

from itertools import pairwise
from math import prod

import pytest

from graphc.ir.loops.contraction.match import recognise
from graphc.ir.loops.ir import Kernel, Scratch
from graphc.ir.loops.kernel_printer import kernel_text
from graphc.ir.types import float64
from graphc_cuda.assemble import assemble
from graphc_cuda.cuda_tools import find_tool
from graphc_cuda.device.program import Program
from graphc_cuda.lower import mapping, split_sums
from graphc_cuda.lower.kernel import lower_kernel
from graphc_cuda.lower.scalars import Functions
from graphc_cuda.ptx import ptx_of
from tests.backends.cuda.kernel_runs import check_kernel, draw_arrays
from tests.backends.cuda.test_contract_tiles import (
    CONVOLUTIONS,
    LOW,
    MATRIX,
    SMALL,
    held,
    only,
    rounded,
)
from tests.backends.llvm.contractions import contraction
from tests.backends.llvm.test_contract_box import dims

MOST_REGISTERS = 168


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every sum that can be split is, and no kernel is one block's affair."""
    monkeypatch.setattr(mapping, "SMALL", 0)
    monkeypatch.setattr(split_sums, "MIN_STEPS", 4)
    monkeypatch.setattr(split_sums, "MIN_PIECE", 2)
    monkeypatch.setattr(split_sums, "GAIN", 1e-9)


def parts_of(kernel: Kernel, sizes: dict[str, int] | None = None) -> int:
    """In how many pieces the sum of a kernel of one nest is."""
    split = split_sums.split_sums(kernel, sizes or {})
    found = [s.buffer.shape[0] for s in split.body if isinstance(s, Scratch)]
    return int(str(found[0])) if found else 1


@pytest.mark.parametrize("spec", ["mk,kn->mn", "km,kn->mn", "km,nk->nm"])
@pytest.mark.parametrize("executor", ["vector", "threads"])
def test_products(spec: str, executor: str, eager: None, monkeypatch: pytest.MonkeyPatch) -> None:
    if executor == "threads":
        pytest.importorskip("greenlet", reason="greenlet is not installed")
    only(monkeypatch, SMALL)
    kernel = contraction(spec, {"m": 17, "n": 19, "k": 36})
    assert parts_of(kernel) > 1
    assert [x.segment.mode for x in check_kernel(kernel, {}, executor=executor)] == [
        "tile",
        "element",
    ]


@pytest.mark.parametrize("steps", [(2, 6), (6, 2), (1, 8), (3, 5), (7, 4)], ids=str)
def test_sums_over_two_axes(
    steps: tuple[int, int], eager: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch, SMALL)
    sizes = {"m": 6, "n": 18, **dict(zip("kl", steps))}
    kernel = contraction("klm,kln->mn", sizes)
    assert parts_of(kernel) > 1
    check_kernel(kernel, {})


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions_and_their_gradients(
    name: str, eager: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A product beyond the edge is left out of every piece, even beside an infinity."""
    only(monkeypatch, SMALL)
    found = []
    for kernel in CONVOLUTIONS[name].kernels(2):
        sizes = dims(kernel, 2)
        arrays = draw_arrays(kernel, sizes)
        for array in arrays.values():
            array.reshape(-1)[[1, 3, 5]] = float("inf"), -0.0, float("nan")
        check_kernel(kernel, sizes, arrays=arrays)
        found.append(split_sums.split_sums(kernel, sizes) is not kernel)
    assert any(found)


@pytest.mark.parametrize("spec", ["k,kn->n", "mk,k->m", "bk,bk->b"])
def test_sums_without_tiles(spec: str, eager: None) -> None:
    sizes = dict.fromkeys("bmn", 5) | {"k": 40}
    kernel = contraction(spec, sizes)
    assert parts_of(kernel) > 1
    check_kernel(kernel, {})


@pytest.mark.parametrize("kind", ["bf16", "tf32"])
def test_matrix_instructions(kind: str, eager: None, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, MATRIX)
    operand = rounded(kind)
    sizes = {"m": 16, "n": 32, "k": 64}
    kernel = contraction("mk,kn->mn", sizes, left=operand, right=operand)
    first, _ = check_kernel(kernel, {})
    assert parts_of(kernel) > 1
    assert "a warp" in str(first.segment)


def test_float64(eager: None, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, SMALL)
    kernel = contraction("km,kn->nm", {"m": 18, "n": 20, "k": 24}, float64)
    assert parts_of(kernel) > 1
    check_kernel(kernel, {})


def test_dims_that_a_call_gives(eager: None, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, SMALL)
    kernel = contraction("km,kn->mn", {"m": 8, "n": 9}, dynamic="k")
    assert parts_of(kernel, {"k": 12}) > 1
    check_kernel(kernel, {"k": 12})
    assert parts_of(kernel, {"k": 13}) == 1


# ------------------------------------------------------------------ the decision


@pytest.mark.parametrize(
    ("sizes", "pieces"),
    [
        ((144, 16, 65536), 128),
        ((128, 10, 512), 16),
        ((1, 1000, 4096), None),
        ((1024, 1024, 1024), 1),
        ((64, 64, 256), 1),
        ((128, 128, 4099), 1),
    ],
    ids=str,
)
def test_how_many(sizes: tuple[int, int, int], pieces: int | None) -> None:
    m, n, k = sizes
    kernel = contraction("km,kn->mn", {"m": m, "n": n, "k": k})
    found = parts_of(kernel)
    assert k % found == 0
    assert found == pieces if pieces is not None else found > 1


def test_ways_are_equal_pieces_in_order() -> None:
    for trips in ((32, 32, 32), (7,), (1, 96), (5, 4, 3)):
        ways = list(split_sums._ways(trips))
        for way in ways:
            assert way.count == prod(trips[: way.whole]) * way.shares
            assert trips[way.whole] % way.shares == 0
            assert prod(trips) >= split_sums.MIN_PIECE * way.count
        assert all(a.count < b.count for a, b in pairwise(ways))


def test_the_split_kernel_can_be_read(eager: None, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, SMALL)
    monkeypatch.setattr(split_sums, "MOST_PIECES", 4)
    kernel = contraction("km,kn->mn", {"m": 8, "n": 9, "k": 12})
    split = split_sums.split_sums(kernel, {})
    assert recognise(split.body[1:2], {}) is not None
    assert kernel_text(split) == (
        """kernel contract(a f32[12,8], b f32[12,9]) -> out f32[8,9]
  scratch total_parts f32[2,8,9]
  parallel piece < 2
    parallel m < 8
      parallel lanes n < 9
        sequential k < 6; total_piece: dot
          t0 = piece * 6 + k
          total_piece dot= a[t0, m], b[t0, n]
        total_parts[piece, m, n] = total_piece
  parallel m < 8
    parallel lanes n < 9
      sequential piece < 2; total: sum
        total sum= total_parts[piece, m, n]
      out[m, n] = total
"""
    )


# ------------------------------------------------------------------ machine code


@pytest.mark.skipif(find_tool("ptxas") is None, reason="ptxas is not installed")
@pytest.mark.parametrize("capability", [(8, 0), (9, 0)])
@pytest.mark.parametrize("kind", ["float32", "bf16", "held"])
def test_registers(kind: str, capability: tuple[int, int]) -> None:
    sizes = {"m": 144, "n": 32, "k": 65536}
    if kind == "held":
        left, right = held("p", "km", LOW["bf16"]), held("q", "kn", LOW["bf16"])
        kernel = contraction("km,kn->mn", sizes, left=left, right=right)
    elif kind == "bf16":
        kernel = contraction("km,kn->mn", sizes, left=rounded(kind), right=rounded(kind))
    else:
        kernel = contraction("km,kn->mn", sizes)
    functions = Functions()
    launches = lower_kernel(kernel, {}, functions, "pieces")
    assert [x.segment.mode for x in launches] == ["tile", "element"]
    program = Program("tiles", functions.listed(), tuple(x.kernel for x in launches))
    for facts in assemble(ptx_of(program, capability), capability).kernels.values():
        assert facts.spill_stores == facts.spill_loads == facts.stack == 0
        assert facts.registers <= MOST_REGISTERS
