"""Contractions against numpy, and bit for bit against the ascending chain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from graphc.ir.types import float32, float64
from graphc_llvm import contract_choose, contract_cut, contract_shape
from graphc_llvm.contract_choose import match
from graphc_llvm.target import host_target, make_target
from tests.backends.llvm.contractions import contraction, exact, operands, run
from tests.backends.llvm.native import Native

EXTENTS = (0, 1, 2, 3, 5, 7, 10, 13, 16, 17, 31, 33, 64, 100, 127, 130)
TRANSPOSITIONS = ("mk,kn->mn", "km,kn->mn", "mk,nk->mn", "km,nk->mn", "mk,kn->nm", "km,nk->nm")


def check(spec, sizes, dtype=float32, target=None, dynamic="", threads=(1,), **options):
    """Compare with the chain bit for bit, with numpy in float64 within its error bound."""
    kernel = contraction(spec, sizes, dtype, dynamic, **options)
    if any(sizes[x] > 1 or x in dynamic for x in spec.split("->")[1]):
        assert match(kernel.body, target or host_target(), None) is not None
    arrays = operands(kernel, sizes)
    fused = (target or host_target()).has_fma
    order = options.get("order") or ""
    expected = exact(spec, arrays["a"], arrays["b"], order, fused)
    wide = [arrays[x].astype(np.float64) for x in "ab"]
    depth = arrays["a"].size / max(1, expected.shape[0] if expected.ndim else 1) + 2
    bound = np.finfo(dtype.numpy).eps * depth * np.einsum(spec, *map(abs, wide))
    native = Native(kernel, None if dynamic else sizes, target)
    for count in threads:
        found = run(native, arrays, sizes, threads=count)["out"]
        assert (abs(found - np.einsum(spec, *wide)) <= bound).all()
        assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("size", EXTENTS)
@pytest.mark.parametrize("letter", "mnk")
def test_every_extent(size, letter):
    sizes = {"m": 9, "n": 21, "k": 11} | {letter: size}
    check("mk,kn->mn", sizes, threads=(1, 2, 3))


@pytest.mark.parametrize("spec", TRANSPOSITIONS)
@pytest.mark.parametrize("size", [(17, 33, 10), (64, 10, 31), (1, 100, 16), (130, 1, 7), (5, 5, 0)])
def test_transpositions(spec, size):
    check(spec, dict(zip("mnk", size)), threads=(1, 3))


@pytest.mark.parametrize("spec", TRANSPOSITIONS)
@pytest.mark.parametrize("dynamic", ["m", "n", "k", "mnk"])
def test_unknown_sizes_give_the_same_bits(spec, dynamic):
    for size in [(0, 3, 4), (2, 3, 0), (1, 1, 1), (29, 17, 33)]:
        check(spec, dict(zip("mnk", size)), dynamic=dynamic, threads=(1, 2))


@pytest.mark.parametrize("spec", TRANSPOSITIONS)
def test_one_generic_variant_serves_all_sizes(spec):
    native = Native(contraction(spec, {}, dynamic="mnk"))
    for place, extent in enumerate(EXTENTS):
        sizes = {"m": extent, "n": EXTENTS[place * 5 % 16], "k": EXTENTS[place * 3 % 13]}
        arrays = operands(native.kernel, sizes)
        found = run(native, arrays, sizes, threads=1 + place % 3)["out"]
        assert found.tobytes() == exact(spec, arrays["a"], arrays["b"]).tobytes()


@pytest.mark.parametrize("isa", ["avx512", "avx2", "baseline"])
@pytest.mark.parametrize("dtype", [float32, float64])
def test_instruction_sets(isa, dtype):
    if isa == "avx512" and host_target().isa != "avx512":
        pytest.skip("no AVX-512 here")
    target = make_target(isa)
    for spec in ("mk,kn->mn", "km,nk->mn", "km,kn->nm"):
        for size in [(3, 5, 4), (33, 37, 19), (17, 10, 24)]:
            check(spec, dict(zip("mnk", size)), dtype, target, threads=(1, 2))
            check(spec, dict(zip("mnk", size)), dtype, target, dynamic="mnk")


@pytest.mark.parametrize(
    ("spec", "order"),
    [
        ("bmk,bkn->bmn", None),
        ("bmk,bkn->mbn", None),
        ("bmk,kn->bmn", None),
        ("bmk,bnk->bnm", None),
        ("mkl,kln->mn", None),
        ("mkl,kln->mn", "mnlk"),
        ("mlk,kln->mn", None),
        ("kmp,kn->mpn", None),
        ("kpm,kn->mpn", None),
        ("mk,kpn->mpn", None),
        ("mk,kpn->mnp", None),
        ("bmk,bkn->bn", None),
        ("bmpk,bnkq->pbmqn", None),
        ("k,kn->n", None),
        ("mk,k->m", None),
        ("bmk,bk->bm", None),
    ],
)
@pytest.mark.parametrize("dynamic", ["", "b", "mk", "bmnkplq"])
def test_many_axes(spec, order, dynamic):
    sizes = {"b": 3, "m": 7, "n": 18, "k": 5, "p": 4, "l": 6, "q": 2}
    letters = {x for x in spec if x.isalpha()}
    check(spec, sizes, dynamic="".join(x for x in dynamic if x in letters), order=order)
    check(spec, sizes | {"b": 1, "l": 1}, order=order, threads=(2,))


@pytest.mark.parametrize("dtype", [float32, float64])
def test_long_chains_are_continued_through_memory(dtype):
    for spec in ("mk,kn->mn", "km,kn->mn", "mk,nk->mn"):
        check(spec, {"m": 19, "n": 37, "k": 4500}, dtype, threads=(1, 3))
        check(spec, {"m": 19, "n": 37, "k": 1100}, dtype, dynamic="k", threads=(1, 3))
    check("mlk,kln->mn", {"m": 9, "n": 20, "k": 70, "l": 70}, dtype)


CHOICES = (
    {"DEPTH_BLOCK": 4, "MAX_CHAIN_STEPS": 8},
    {"DEPTH_BLOCK": 7, "MAX_CHAIN_STEPS": 1, "MAX_PARTIAL_SUM_BYTES": 4096},
    {"MAX_STAGED_BYTES": 512, "ASSUMED_CHUNK_BLOCKS": 1},
    {
        "MAX_STAGED_BYTES": 1,
        "ASSUMED_CHUNK_BLOCKS": 2,
        "DEPTH_BLOCK": 3,
        "MAX_CHAIN_STEPS": 1,
        "MAX_PARTIAL_SUM_BYTES": 1,
    },
    {"NARROW_PAGES": 0, "NARROW_ROWS": 0, "WIDE_PAGES": 0, "WIDE_ROWS": 0},
    {"TRANSPOSE_CYCLES": 0.0, "SCATTER_CYCLES": 0.0},
    {"TRANSPOSE_CYCLES": 1e9, "SCATTER_CYCLES": 0.0},
)


@pytest.mark.parametrize("choices", CHOICES)
@pytest.mark.parametrize("dynamic", ["", "mnk"])
def test_choices_of_the_plan_change_no_bit(choices, dynamic, monkeypatch):
    for name, value in choices.items():
        module = contract_cut if hasattr(contract_cut, name) else contract_choose
        monkeypatch.setattr(module, name, value)
    for spec in ("mk,kn->mn", "km,nk->mn", "mk,nk->nm"):
        check(spec, {"m": 29, "n": 41, "k": 23}, dynamic=dynamic, threads=(1, 3))
    check("bmlk,bkln->bmn", {"b": 2, "m": 9, "n": 20, "k": 5, "l": 6}, threads=(2,))


def test_groups_of_rows_change_no_bit(monkeypatch):
    monkeypatch.setattr(contract_cut, "MIN_BUSY_BLOCKS", 1)
    target = replace(host_target(), l2_bytes=16384)
    found = []
    for spec in ("mk,kn->mn", "mk,nk->mn", "mpk,kn->mpn", "km,kn->mn"):
        sizes = {"m": 1301, "p": 2, "n": 150, "k": 9}
        found.append(match(contraction(spec, sizes).body, target, {}).group)
        check(spec, sizes, target=target, threads=(1, 2, 3))
    monkeypatch.setattr(contract_cut, "MAX_CHAIN_STEPS", 4)
    monkeypatch.setattr(contract_cut, "DEPTH_BLOCK", 5)
    found.append(match(contraction("km,kn->mn", sizes).body, target, {}).group)
    check("km,kn->mn", sizes, target=target, threads=(1, 2, 3))
    assert all(found)


@pytest.mark.parametrize("rows", [1, 2, 5, 8, 14, 16])
@pytest.mark.parametrize("vectors", [1, 2, 3])
def test_shapes_of_tiles_change_no_bit(rows, vectors, monkeypatch):
    only = [contract_shape.Shape(r, v) for r in (1, rows) for v in (1, vectors)]
    monkeypatch.setattr(contract_shape, "candidate_shapes", lambda target: only)
    for spec in ("mk,kn->mn", "km,kn->nm"):
        check(spec, {"m": 29, "n": 41, "k": 23})
        check(spec, {"m": 29, "n": 41, "k": 23}, dynamic="mn", threads=(2,))


@pytest.mark.parametrize("isa", ["host", "avx2", "baseline"])
def test_few_rows_along_several_axes(isa):
    target = host_target() if isa == "host" else make_target(isa)
    sizes = {"m": 3, "p": 3, "q": 2, "n": 37, "k": 11}
    plan = match(contraction("kpm,kn->mpn", sizes).body, target, {})
    assert plan is not None
    if target.has_masked_memory:
        assert [span.size for span in plan.combined] == [3, 3]
    for spec in ("kpm,kn->mpn", "mkp,kn->pmn", "kpm,kn->mnp", "mpk,kn->pmn"):
        for dynamic in ("", "k", "n", "kn"):
            check(spec, sizes, target=target, dynamic=dynamic, threads=(1, 2))
    check("qkpm,kn->mpqn", sizes | {"m": 2}, target=target)


def test_infinities_and_nans_follow_the_chain():
    kernel = contraction("mk,kn->mn", {"m": 4, "n": 20, "k": 6})
    arrays = operands(kernel, {})
    arrays["a"][1, 2], arrays["a"][2, 3], arrays["b"][4, 5] = np.inf, np.nan, -np.inf
    with np.errstate(invalid="ignore"):
        found, expected = run(kernel, arrays, {}, known={})["out"], arrays["a"] @ arrays["b"]
    assert (np.isnan(found) == np.isnan(expected)).all()
    assert (np.isinf(found) == np.isinf(expected)).all()
