"""Whole kernels against numpy: shapes, threads, variants and targets must not change bits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest

from graphc.ir.dims import evaluate
from graphc.ir.loops import ir
from graphc.ir.loops.kernel_interpreter import run_kernel
from graphc.ir.types import ALL_DTYPES, DType, bfloat16, float32, int8, int16, int32, int64, uint8
from graphc_llvm.emit_kernel import emit_kernel
from graphc_llvm.target import Target, host_target, make_target
from tests.backends.llvm.kernels import M, N, axes, e, load, number, parallel, store
from tests.backends.llvm.native import (
    Native,
    fence_is_intact,
    guarded,
    object_code,
    undefined_symbols,
    walled,
)
from tests.backends.llvm.samples import SAMPLES, Sample, axpy, of_dtype, row_sum

SHAPES = (
    (3, 5), (1, 1), (0, 4), (4, 0), (2, 16), (5, 17), (7, 15), (2, 63), (3, 64), (2, 65), (16, 10),
    (33, 3), (65, 66), (300, 20), (2, 257), (3, 1000), (1, 4097), (2, 9000), (1025, 2),
)  # fmt: skip

Maker = Callable[[], Sample]


@cache
def target_of(name: str) -> Target:
    return host_target() if name == "host" else make_target(name)


def shapes(sample: Sample) -> list[tuple[int, int]]:
    return [(m, n) for m, n in SHAPES if n >= sample.least]


def inputs(sample: Sample, sizes: Mapping[str, int]) -> list[np.ndarray]:
    """Random arrays for a kernel's arguments; outputs are filled with noise."""
    rng = np.random.default_rng(sum(sizes.values()))
    arrays = []
    for buffer in sample.kernel.arguments:
        shape = [evaluate(size, sizes) for size in buffer.shape]
        array = guarded(shape, buffer.dtype.numpy)
        if buffer in sample.kernel.reads:
            array[...] = _draw(sample, buffer, rng, tuple(shape), sizes)
        arrays.append(array)
    return arrays


def _draw(sample: Sample, buffer: ir.Buffer, rng: Any, shape: Any, sizes: Any) -> Any:
    if sample.draw is not None:
        return sample.draw(rng, shape)
    if buffer.dtype.kind == "b":
        return rng.integers(0, 2, shape)
    if buffer.dtype.is_integer:
        return rng.integers(0, max(1, sizes["n"]), shape)
    return rng.normal(size=shape)


def run(
    sample: Sample, native: Native, sizes: Mapping[str, int], threads: int = 1
) -> list[np.ndarray]:
    """The outputs of a kernel."""
    arrays = inputs(sample, sizes)
    assert native(arrays, sizes, threads) is None
    assert all(fence_is_intact(a) for a in arrays)
    arguments = sample.kernel.arguments
    return [a for a, b in zip(arrays, arguments) if b in sample.kernel.writes]


def expected(sample: Sample, sizes: Mapping[str, int]) -> list[Any]:
    """What numpy makes of the same inputs, in the order of the arguments."""
    kernel, arrays = sample.kernel, inputs(sample, sizes)
    read = [a for a, b in zip(arrays, kernel.arguments) if b in kernel.reads]
    with np.errstate(all="ignore"):
        results = dict(zip(kernel.writes, sample.reference(*read)))
    return [results[b] for b in kernel.arguments if b in results]


def agree(got: np.ndarray, want: Any, tolerance: float) -> bool:
    """Equal, up to a share of the largest number; NaN in `want` is where nothing was written."""
    want = np.asarray(want)
    assert got.shape == want.shape
    if want.dtype.kind != "f":
        return bool((got == want).all())
    written = ~np.isnan(want)
    assert (got[~written].view(np.uint32) == 0xA5A5A5A5).all()
    if tolerance == 0:
        return bool((got[written] == want[written]).all())
    finite = np.isfinite(want)
    assert (got[written & ~finite] == want[written & ~finite]).all()
    scale = max(1.0, float(np.abs(want[finite]).max(initial=0)))
    return bool((np.abs(got[finite] - want[finite]) <= tolerance * scale).all())


def bits(arrays: list[np.ndarray]) -> list[bytes]:
    return [a.tobytes() for a in arrays]


@cache
def generic(maker: Maker, name: str) -> Native:
    return Native(maker().kernel, None, target_of(name))


@pytest.mark.parametrize("maker", SAMPLES, ids=lambda m: m.__name__)
def test_generic_kernels_agree_with_numpy(maker: Maker) -> None:
    sample, native = maker(), generic(maker, "host")
    for m, n in shapes(sample):
        sizes = {"m": m, "n": n, "k": 1 + (m * n) % 29}
        got, want = run(sample, native, sizes), expected(sample, sizes)
        for a, b in zip(got, want):
            assert agree(a, b, sample.tolerance), (m, n)


@pytest.mark.parametrize("maker", SAMPLES, ids=lambda m: m.__name__)
def test_variants_and_threads_give_equal_bits(maker: Maker) -> None:
    sample = maker()
    for m, n in shapes(sample)[::2]:
        sizes = {"m": m, "n": n, "k": 1 + (m * n) % 29}
        want = bits(run(sample, generic(maker, "host"), sizes))
        special = Native(sample.kernel, sizes)
        assert bits(run(sample, special, sizes)) == want, (m, n)
        for threads in (2, 3):
            assert bits(run(sample, special, sizes, threads)) == want, (m, n)
            assert bits(run(sample, generic(maker, "host"), sizes, threads)) == want, (m, n)


@pytest.mark.parametrize("maker", SAMPLES, ids=lambda m: m.__name__)
def test_instruction_sets_give_equal_bits(maker: Maker) -> None:
    """AVX2 has fma as the host does; the baseline has none, but must be right."""
    sample = maker()
    for m, n in ((3, 5), (5, 17), (7, 65), (3, 300), (2, 4200)):
        sizes = {"m": m, "n": n, "k": 3 + n % 5}
        if host_target().has_fma:
            want = bits(run(sample, generic(maker, "host"), sizes))
            assert bits(run(sample, generic(maker, "avx2"), sizes)) == want, (m, n)
        got, expect = run(sample, generic(maker, "baseline"), sizes), expected(sample, sizes)
        for a, b in zip(got, expect):
            assert agree(a, b, sample.tolerance), (m, n)


@pytest.mark.parametrize("maker", SAMPLES, ids=lambda m: m.__name__)
def test_kernels_have_the_bits_of_the_loop_interpreter(maker: Maker) -> None:
    sample = maker()
    for m, n, k in ((1, 1, 1), (3, 5, 2), (2, 18, 3), (17, 16, 3), (1, 70, 2), (18, 33, 1)):
        sizes = {"m": m, "n": n, "k": k}
        arrays = inputs(sample, sizes)
        arguments = sample.kernel.arguments
        assert (
            run_kernel(sample.kernel, dict(zip((b.name for b in arguments), arrays)), sizes) is None
        )
        want = [a for a, b in zip(arrays, arguments) if b in sample.kernel.writes]
        assert bits(run(sample, generic(maker, "host"), sizes, threads=2)) == bits(want), sizes


@pytest.mark.parametrize("name", ["host", "avx2", "baseline"])
@pytest.mark.parametrize("dtype", ALL_DTYPES, ids=str)
def test_every_dtype_has_the_bits_of_the_loop_interpreter(dtype: DType, name: str) -> None:
    kernel = of_dtype(dtype)
    for m, n in ((1, 3), (3, 16), (2, 21), (18, 35), (1, 70)):
        sizes, rng = {"m": m, "n": n}, np.random.default_rng(m * n)
        arrays = [
            guarded([evaluate(s, sizes) for s in b.shape], dtype.numpy) for b in kernel.arguments
        ]
        for array in arrays[:2]:
            drawn = rng.integers(0, 2 if dtype.kind == "b" else 100, array.shape)
            array[...] = rng.normal(size=array.shape) if dtype.is_float else drawn
        wanted = [a.copy() for a in arrays]
        assert (
            run_kernel(kernel, dict(zip((b.name for b in kernel.arguments), wanted)), sizes) is None
        )
        for native in (
            Native(kernel, None, target_of(name)),
            Native(kernel, sizes, target_of(name)),
        ):
            assert native(arrays, sizes, threads=2) is None
            assert bits(arrays) == bits(wanted), sizes
            assert all(fence_is_intact(a) for a in arrays)


@pytest.mark.parametrize("after", [True, False])
@pytest.mark.parametrize("maker", SAMPLES, ids=lambda m: m.__name__)
def test_nothing_outside_the_buffers_is_touched(maker: Maker, after: bool) -> None:
    sample = maker()
    for m, n in ((3, 5), (5, 17), (33, 70), (2, 1000)):
        sizes = {"m": m, "n": n, "k": 7}
        arrays = []
        for given, buffer in zip(inputs(sample, sizes), sample.kernel.arguments):
            array = walled(given.shape, buffer.dtype.numpy, after)
            array[...] = given
            arrays.append(array)
        for native in (generic(maker, "host"), Native(sample.kernel, sizes)):
            assert native(arrays, sizes) is None


@pytest.mark.parametrize("dtype", [int8, int16, uint8, bfloat16], ids=str)
def test_a_single_lane_at_the_end_is_stored_as_narrow_as_it_is(dtype: DType) -> None:
    i, j = axes("i j")
    for n in (1, 17, 33, 65):
        wide = float32 if dtype.is_float else int32
        x, out = ir.Buffer("x", wide, (3, n)), ir.Buffer("out", dtype, (3, n))
        row = store(out, (i, j), e.cast(load(x, i, j), dtype))
        along = ir.Loop(j, ir.extent(n), ir.SEQUENTIAL, (row,), lanes=True)
        kernel = ir.Kernel("narrow", (x,), (out,), (parallel(i, 3, along),))
        arrays = [guarded([3, n], x.dtype.numpy), guarded([3, n], dtype.numpy)]
        arrays[0][...] = np.arange(3 * n).reshape(3, n) % 50
        assert Native(kernel, {})(arrays, {}) is None
        assert (arrays[1] == arrays[0].astype(dtype.numpy)).all()
        assert fence_is_intact(arrays[1]), n


@pytest.mark.parametrize(
    "shape", [(7,), (64,), (1000,), (3, 4, 5), (2, 3, 17), (70, 2, 3, 4)], ids=str
)
def test_constant_shapes_of_any_rank(shape: tuple[int, ...]) -> None:
    sample = axpy(shape)
    for threads in (1, 2, 5):
        sizes = {"m": 0, "n": 0}
        got = run(sample, Native(sample.kernel, {}), sizes, threads)
        assert (got[0] == expected(sample, sizes)[0]).all()


def test_sum_without_lanes_adds_in_blocks() -> None:
    sample = row_sum(lanes=False)
    for n in (1, 255, 256, 257, 1000):
        sizes = {"m": 3, "n": n}
        for native in (Native(sample.kernel, None), Native(sample.kernel, sizes)):
            assert (run(sample, native, sizes)[0] == expected(sample, sizes)[0]).all()


def test_text_is_deterministic() -> None:
    for maker in SAMPLES:
        texts = {Native(maker().kernel, {"m": 5, "n": 70, "k": 9}).text for _ in range(2)}
        assert len(texts) == 1


# ------------------------------------------------------------------ checks


def check_rows(lanes: bool) -> ir.Kernel:
    """Copy x; code 7 unless all labels are in [0, n), code 3 unless x[i] < 10."""
    labels, x = ir.Buffer("labels", int64, (M, N)), ir.Buffer("x", float32, (M,))
    out = ir.Buffer("out", float32, (M, N))
    i, j = axes("i j")
    label = load(labels, i, j)
    inside = e.logical_and(e.le(number(0, int64), label), e.lt(label, e.extent(N)))
    body = (ir.Check(inside, 7), store(out, (i, j), load(x, i)))
    small = ir.Check(e.lt(load(x, i), number(10.0)), 3)
    nest = parallel(i, M, small, parallel(j, N, *body, lanes=lanes))
    return ir.Kernel("check_rows", (labels, x), (out,), (nest,))


@pytest.mark.parametrize("lanes", [True, False])
@pytest.mark.parametrize("n", [5, 16, 70])
def test_checks_report_the_smallest_code(lanes: bool, n: int) -> None:
    native = Native(check_rows(lanes), None)
    sizes = {"m": 4, "n": n}

    def status(at: int | None, value: float) -> int | None:
        labels = np.arange(4 * n).reshape(4, n) % n
        x = np.zeros(4, np.float32)
        if at is not None:
            labels[2, at] = -1 if at % 2 else n
        x[3] = value
        return native([labels, x, guarded((4, n), np.float32)], sizes, threads=2)

    assert status(None, 1.0) is None
    assert [status(at, 1.0) for at in (0, 1, n - 1)] == [7, 7, 7]
    assert status(None, 10.0) == 3
    assert status(None, np.nan) == 3
    assert status(n - 1, 10.0) == 3


# ------------------------------------------------------------------ other targets


@pytest.mark.parametrize("name", ["avx512", "avx2", "baseline", "neon"])
def test_objects_need_only_the_barrier(name: str) -> None:
    for maker in SAMPLES:
        for sizes in (None, {"m": 5, "n": 33, "k": 7}):
            emitted = emit_kernel(maker().kernel, make_target(name), sizes)
            code = object_code(emitted.module(), make_target(name), jit=False)
            wanted = undefined_symbols(code)
            assert wanted <= {"graphc_barrier"}, (maker.__name__, wanted)
