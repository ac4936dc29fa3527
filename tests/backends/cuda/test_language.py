"""The names of generated kernels mean in numpy what the loop level means."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphc.errors import BackendError
from graphc.ir.loops.numpy_emitter import NumpyEmitter
from graphc_cuda import language

HARD = [
    0.0, -0.0, 1.0, -1.0, 3.0, 1 + 2**-23, 1 - 2**-24, 1 + 2**-12, 2**-126, 2**-149, -(2**-149),
    2**-75, 2**-60, 3.4028235e38, -3.4028235e38, 2**127, np.inf, -np.inf, np.nan, 4097.0,
]  # fmt: skip


def triples(dtype: Any, count: int) -> tuple[Any, ...]:
    rng = np.random.default_rng(7)
    hard = np.array(HARD, dtype)
    grid = [v.ravel() for v in np.meshgrid(hard, hard, hard)]
    wide = [(rng.standard_normal(count) * 2.0 ** rng.integers(-70, 60, count)) for _ in range(3)]
    # the sum nearly cancels, so that a second rounding would show
    x, y = rng.standard_normal((2, count)).astype(dtype)
    z = -(x * y) * (1 + np.finfo(dtype).eps * rng.integers(-2, 3, count).astype(dtype))
    near = (x, y, z.astype(dtype))
    return tuple(np.concatenate([g, w.astype(dtype), n]) for g, w, n in zip(grid, wide, near))


def same(found: Any, wanted: Any) -> bool:
    found, wanted = np.atleast_1d(found), np.atleast_1d(wanted)
    unsigned = f"u{found.dtype.itemsize}"
    equal = found.view(unsigned) == wanted.view(unsigned)
    return found.dtype == wanted.dtype and bool(
        np.all(equal | (np.isnan(found) & np.isnan(wanted)))
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fma_rounds_once(dtype: Any) -> None:
    x, y, z = triples(dtype, 20_000 if dtype is np.float32 else 2_000)
    assert same(language.fma(x, y, z), NumpyEmitter().fma(x, y, z))


def test_fma_of_float32_is_not_a_float64_sum_rounded_again() -> None:
    # x * y is 2**36 - 2**-10: the sum lies just below the middle of two float32, an odd one and
    # its even neighbour above; float64 rounds it up to that middle
    x, y, z = np.float32(1 + 2**-23), np.float32(2**36 - 2**13), np.float32(2**60 + 2**37)
    assert float(x) * float(y) < 2**36
    assert float(x) * float(y) + float(z) == float(z) + 2**36
    assert np.float32(float(x) * float(y) + float(z)) == np.float32(2**60 + 2**38)
    assert language.fma(x, y, z) == z


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fma_takes_scalars_and_arrays(dtype: Any) -> None:
    x, y, z = triples(dtype, 100)
    whole = language.fma(x, y, z)
    scalars = np.array([language.fma(*v) for v in zip(x[::97], y[::97], z[::97])])
    assert same(scalars, whole[::97])
    assert same(language.fma(x, dtype(1.5), z), language.fma(x, np.full_like(x, 1.5), z))
    assert same(language.fma(x[::2], y[::2], dtype(1)), language.fma(x, y, np.ones_like(z))[::2])


def test_literals_of_float64() -> None:
    assert language.fma(0.5, 4.0, 1.0) == 3.0
    assert language.fma(0.5, np.float64(4.0), 1.0).dtype == np.float64


def test_integers_wrap_around() -> None:
    assert language.u32(-1) == 2**32 - 1
    assert language.i32(2**31) == -(2**31)
    assert language.u8(np.int64(511)) == 255
    values = np.array([300, -1], np.int64)
    assert language.u8(values).tolist() == [44, 255]
    assert language.i64(2**63) == -(2**63)
    assert language.f32(np.bool_(True)).dtype == np.float32


def test_floats_become_integers_by_saturation_alone() -> None:
    values = np.array([np.nan, 1e30, -1e30, -1.9, 255.5], np.float32)
    assert language.saturate_i32(values).tolist() == [0, 2**31 - 1, -(2**31), -1, 255]
    assert language.saturate_u8(values).tolist() == [0, 255, 0, 0, 255]
    with pytest.raises(TypeError, match="saturate_i32"):
        language.i32(values)
    with pytest.raises(TypeError, match="saturate_u8"):
        language.u8(1.5)


def test_division_rounds_towards_zero() -> None:
    x, y = np.array([7, -7, 7, -7], np.int32), np.array([2, 2, -2, -2], np.int32)
    assert language.quotient(x, y).tolist() == [3, -3, -3, 3]
    assert language.remainder(x, y).tolist() == [1, -1, 1, -1]
    for x, y in ((7, 2), (-7, 2), (7, -2), (-7, -2), (6, 3), (0, 5)):
        assert language.quotient(x, y) == language.quotient(np.int64(x), np.int64(y))
        assert language.remainder(x, y) == language.remainder(np.int64(x), np.int64(y))
    assert language.mulhi(np.uint32(2**31), np.uint32(6)) == 3


def test_extremes() -> None:
    assert language.min(3, 5) == 3
    assert type(language.max(3, 5)) is int
    assert language.max(np.array([1, 9]), 4).tolist() == [4, 9]


def test_bits_of_short_floats() -> None:
    x = np.array([1.0, -2.5, 3.14159, 1e-40, 65519.9, np.inf], np.float32)
    assert language.bf16_to_f32(language.f32_to_bf16(x))[:2].tolist() == [1.0, -2.5]
    assert same(language.f16_to_f32(language.f32_to_f16(x)), x.astype(np.float16).astype("f4"))
    # 1 + 2**-8 is halfway; float64 sees that it is above
    assert language.f64_to_bf16(np.float64(1 + 2**-8 + 2**-40)) == 0x3F81
    assert language.f32_to_bf16(np.float32(1 + 2**-8)) == 0x3F80
    assert language.pack_bf16(np.float32(1.0), np.float32(-2.0)) == 0xC000_3F80
    assert language.pack_f16(np.float32(1.0), np.float32(-2.0)) == 0xC000_3C00


def test_tf32_rounds_ties_away_from_zero() -> None:
    x = np.array([1 + 2**-11, -(1 + 2**-11), 1 + 2**-11 - 2**-20, np.inf], np.float32)
    found = language.round_tf32(x).view(np.float32)
    assert found.tolist() == [1 + 2**-10, -(1 + 2**-10), 1.0, np.inf]
    assert np.isnan(language.round_tf32(np.float32(np.nan)).view(np.float32))


def test_bitcast_keeps_bits() -> None:
    assert language.bitcast_u32(np.float32(1.0)) == 0x3F80_0000
    assert language.bitcast_f32(np.array([0x3F80_0000], np.uint32)).tolist() == [1.0]
    assert language.bitcast_i64(1.0) == 0x3FF0_0000_0000_0000


def test_a_kernel_is_not_called_like_a_function() -> None:
    @language.cuda.jit(device=True)
    def twice(x: Any) -> Any:
        return x + x

    @language.cuda.jit
    def k00_copy(x: Any) -> None:
        x[language.cuda.threadIdx.x] = 1.0

    assert twice(4) == 8
    with pytest.raises(BackendError, match="k00_copy has no meaning outside a GPU thread"):
        k00_copy(np.zeros(1))
    with pytest.raises(BackendError, match="simulate"):
        k00_copy[1, 32](np.zeros(1))
    with pytest.raises(BackendError, match=r"cuda\.syncthreads"):
        language.cuda.syncthreads()
    with pytest.raises(BackendError, match="mma_bf16"):
        language.mma_bf16(1)
