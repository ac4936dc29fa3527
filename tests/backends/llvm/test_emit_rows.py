"""Rows side by side: the bits of one row after the other, for every number of rows and columns."""

from __future__ import annotations

import re

import numpy as np
import pytest

from graphc.ir.dims import Size
from graphc.ir.loops import ir
from graphc.ir.loops.combine import ANY, ARGMAX, MAX, SUM
from graphc.ir.loops.kernel_interpreter import run_kernel
from graphc.ir.types import bool_, float32, int64
from graphc_llvm.emit_kernel import emit_kernel
from graphc_llvm.emit_prefetch import find_prefetches
from graphc_llvm.target import make_target
from tests.backends.llvm.kernels import M, axes, e, load, number, parallel, ref, store
from tests.backends.llvm.native import Native, fence_is_intact, guarded
from tests.backends.llvm.test_emit_kernel import target_of


def rows_kernel(m: Size, n: Size) -> ir.Kernel:
    """Scratch, a check, a bool and an index between four lane loops over every row."""
    i, j = axes("i j")
    x, t = ir.Buffer("x", float32, (m, n)), ir.Buffer("t", int64, (m,))
    out, sums = ir.Buffer("out", float32, (m, n)), ir.Buffer("sums", float32, (m,))
    where, kept = ir.Buffer("where", int64, (m,)), ir.Buffer("kept", float32, (n,))
    top, place, best = ref("top"), ref("place", int64), ref("best")
    total, odd, label = ref("total"), ref("odd", bool_), ref("label", bool_)
    found = ir.Accumulator(MAX, (top,)), ir.Accumulator(ARGMAX, (best, place))
    added, any_odd = ir.Accumulator(SUM, (total,)), ir.Accumulator(ANY, (odd,))
    at, shifted = load(x, i, j), e.apply("sub", load(x, i, j), top)
    valid = e.apply("lt", load(t, i), ir.extent(n))
    chosen = e.apply("select", odd, e.apply("mul", load(kept, j), total), load(kept, j))
    body = (
        ir.Scratch(kept),
        ir.Check(valid, 3),
        ir.Let(label, e.apply("eq", load(t, i), e.const(1, int64))),
        ir.Loop(
            j, ir.extent(n), ir.SEQUENTIAL,
            (ir.Accumulate(found[0], (at,)), ir.Accumulate(found[1], (at, e.index(j)))),
            found, lanes=True,
        ),
        ir.Loop(
            j, ir.extent(n), ir.SEQUENTIAL,
            (
                store(kept, (j,), shifted),
                ir.Accumulate(added, (e.apply("select", label, at, shifted),)),
                ir.Accumulate(any_odd, (e.apply("lt", at, number(-1.5)),)),
            ),
            (added, any_odd), lanes=True,
        ),
        parallel(j, n, store(out, (i, j), chosen), lanes=True),
        store(sums, (i,), e.apply("add", total, top)),
        store(where, (i,), place),
    )  # fmt: skip
    return ir.Kernel("rows", (x, t), (out, sums, where), (parallel(i, m, *body),))


def arrays_of(m: int, n: int) -> list[np.ndarray]:
    rng = np.random.default_rng(m * 100 + n)
    shapes = ((m, n), (m,), (m, n), (m,), (m,))
    kinds = (np.float32, np.int64, np.float32, np.float32, np.int64)
    arrays = [guarded(shape, kind) for shape, kind in zip(shapes, kinds)]
    arrays[0][...] = rng.normal(size=(m, n))
    arrays[0][rng.random((m, n)) < 0.05] = np.nan
    arrays[0][rng.random((m, n)) < 0.05] = -np.inf
    arrays[0][rng.random((m, n)) < 0.1] = rng.choice([0.0, -0.0])
    arrays[1][...] = rng.integers(0, n, m)
    return arrays


@pytest.mark.parametrize("name", ["host", "avx2", "baseline"])
@pytest.mark.parametrize("n", [1, 7, 16, 64, 100, 600])
def test_rows_have_the_bits_of_the_loop_interpreter(n: int, name: str) -> None:
    generic = Native(rows_kernel(M, n), None, target_of(name))
    for m in (1, 2, 3, 4, 5, 15, 16, 17, 33):
        arrays = arrays_of(m, n)
        want = [a.copy() for a in arrays]
        buffers = rows_kernel(m, n).arguments
        named = dict(zip((b.name for b in buffers), want))
        assert run_kernel(rows_kernel(m, n), named, {}) is None
        special = Native(rows_kernel(m, n), {}, target_of(name))
        for native, threads in ((generic, 1), (generic, 2), (special, 1), (special, 3)):
            for array in arrays[2:]:
                array[...] = 9
            assert native(arrays, {"m": m}, threads) is None
            assert all(fence_is_intact(a) for a in arrays)
            for got, wanted in zip(arrays, want):
                same = got.tobytes() == wanted.tobytes()
                assert same or np.array_equal(got, wanted, equal_nan=True), (m, threads)
                assert (np.signbit(got) == np.signbit(wanted))[~np.isnan(got)].all(), (m, threads)


@pytest.mark.parametrize("m", [3, 16, 21])
def test_only_rows_that_exist_are_checked(m: int) -> None:
    native = Native(rows_kernel(M, 8))
    for bad in (None, 0, m - 1):
        arrays = arrays_of(m, 8)
        if bad is not None:
            arrays[1][bad] = 8
        assert native(arrays, {"m": m}, threads=2) == (None if bad is None else 3)


def test_long_rows_stay_alone() -> None:
    """A block of rows must fit into the L1 cache; each of many rows folds by itself."""
    target = make_target("avx512")
    short, long = (emit_kernel(rows_kernel(64, n), target, {}).module() for n in (64, 4096))
    assert "%row.i = phi" in short
    assert "%row.i = phi" not in long


def test_the_next_row_is_fetched_while_the_heaviest_loop_computes() -> None:
    i, j = axes("i j")
    x, out = ir.Buffer("x", float32, (64, 1024)), ir.Buffer("out", float32, (64, 1024))
    top, total = ref("top"), ref("total")
    first, second = ir.Accumulator(MAX, (top,)), ir.Accumulator(SUM, (total,))
    power = e.apply("exp", e.apply("sub", load(x, i, j), top))
    loops = (
        ir.Loop(j, ir.extent(1024), ir.SEQUENTIAL, (ir.Accumulate(first, (load(x, i, j),)),),
                (first,), lanes=True),
        ir.Loop(j, ir.extent(1024), ir.SEQUENTIAL, (ir.Accumulate(second, (power,)),), (second,),
                lanes=True),
        parallel(j, 1024, store(out, (i, j), e.apply("mul", load(x, i, j), total)), lanes=True),
    )  # fmt: skip
    rows = parallel(i, 64, *loops)
    ahead = find_prefetches(rows, 1)
    assert ahead is not None
    assert ahead.loop is loops[1]
    assert [(p.buffer, p.shift, p.written) for p in ahead.places] == [(x, 1, False), (out, 0, True)]
    text = emit_kernel(ir.Kernel("k", (x,), (out,), (rows,)), make_target("avx512"), {}).module()
    # one line of each for sixteen elements, in vectors of thirty-two
    assert len(re.findall("call void @llvm.prefetch", text)) == 4
