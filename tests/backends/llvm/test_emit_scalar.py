"""Every primitive against numpy, for every dtype, as scalars and as lanes, on three targets."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest

from graphc.ir import types as t
from graphc.ir.loops import ir
from graphc.ir.types import DType
from graphc_llvm.target import Target, host_target, make_target
from tests.backends.llvm.native import Native, fence_is_intact, guarded

FLOATS = (t.float16, t.bfloat16, t.float32, t.float64)
WIDE_FLOATS = (t.float32, t.float64)
INTEGERS = tuple(d for d in t.ALL_DTYPES if d.is_integer)
COUNT = 203  # whole vectors of every width and a rest

TARGETS = ("host", "avx2", "baseline")


@cache
def target_of(name: str) -> Target:
    return host_target() if name == "host" else make_target(name)


def elementwise(function: str, result: DType, inputs: list[DType], lanes: bool) -> ir.Kernel:
    """out[i] = function(x0[i], x1[i], ...)"""
    axis = ir.Axis("i")
    buffers = tuple(ir.Buffer(f"x{k}", d, (COUNT,)) for k, d in enumerate(inputs))
    out = ir.Buffer("out", result, (COUNT,))
    at = (ir.index(axis),)
    value = ir.Apply(result, function, tuple(ir.Load(b.dtype, b, at) for b in buffers))
    loop = ir.Loop(axis, ir.extent(COUNT), ir.PARALLEL, (ir.Store(out, at, value),), lanes=lanes)
    return ir.Kernel(function, buffers, (out,), (loop,))


def run(function: str, result: DType, arrays: list[np.ndarray], name: str) -> np.ndarray:
    """Evaluate as lanes and as scalars: both must agree bit by bit."""
    dtypes = [found for a in arrays if (found := t.find_dtype(a.dtype)) is not None]
    outs = []
    for lanes in (True, False):
        out = guarded((COUNT,), result.numpy)
        kernel = elementwise(function, result, dtypes, lanes)
        Native(kernel, {}, target_of(name))([*arrays, out], {}, threads=2)
        assert fence_is_intact(out)
        outs.append(out)
    assert same_bits(outs[0], outs[1])
    return outs[0]


def same_bits(x: np.ndarray, y: np.ndarray) -> bool:
    """Equal bits, any NaN being equal to any other."""
    if x.dtype.kind in "biu":
        return bool((x == y).all())
    word = np.dtype(f"u{x.dtype.itemsize}")
    with np.errstate(invalid="ignore"):
        both_nan = (x != x) & (y != y)
    return bool(((x.view(word) == y.view(word)) | both_nan).all())


SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, np.inf, -np.inf, np.nan, 0.3, -0.7,
           127.0, 255.0, 256.0, 32768.0, 65504.0, 65519.0, 65520.0, 65536.0, -65536.0, 2.0**31,
           2.0**32, 2.0**63, -(2.0**63), 2.0**64, 1e-5, 6e-8, 2.9e-8, 3e-8, 1e30, -1e30, 8388607.5,
           8388608.5, 4503599627370495.5, 2147483520.0, 1e-40]  # fmt: skip


def numbers(dtype: DType, seed: int) -> np.ndarray:
    """Ordinary and special numbers in another order for each seed."""
    rng = np.random.default_rng(seed)
    if dtype.kind == "b":
        return rng.integers(0, 2, COUNT).astype(bool)
    if dtype.is_integer:
        info = np.iinfo(dtype.numpy)
        values = rng.integers(info.min, info.max, COUNT, dtype.numpy, endpoint=True)
        values[:40] = rng.integers(0, 5, 40)
        values[40:44] = [info.min, info.max, info.max - 1, 1]
        return rng.permutation(values)
    with np.errstate(over="ignore"):
        values = rng.normal(size=COUNT) * 10.0 ** rng.integers(-6, 7, COUNT)
        values[: len(SPECIAL)] = SPECIAL
        return rng.permutation(values).astype(dtype.numpy)


def check(function: str, want: np.ndarray, arrays: list[np.ndarray], name: str) -> None:
    dtype = t.find_dtype(want.dtype)
    assert dtype is not None
    got = run(function, dtype, arrays, name)
    wrong = [i for i in range(COUNT) if not same_bits(got[i : i + 1], want[i : i + 1])][:5]
    detail = [(*(a[i] for a in arrays), got[i], want[i]) for i in wrong]
    assert not wrong, f"{function} {arrays[0].dtype}->{want.dtype}: {detail}"


Case = tuple[str, tuple[DType, ...], int, Callable[..., Any]]


def magnitude(x: np.ndarray) -> np.ndarray:
    return np.where(x < 0, (0 - x).astype(x.dtype), x).astype(x.dtype)


def fma(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    return (x * y + z).astype(x.dtype)


CASES: tuple[Case, ...] = (
    ("add", FLOATS + INTEGERS, 2, np.add),
    ("sub", FLOATS + INTEGERS, 2, np.subtract),
    ("mul", FLOATS + INTEGERS, 2, np.multiply),
    ("div", FLOATS, 2, np.divide),
    ("fma", INTEGERS, 3, fma),
    ("neg", FLOATS, 1, np.negative),
    ("neg", INTEGERS, 1, lambda x: (0 - x).astype(x.dtype)),
    ("abs", FLOATS, 1, np.abs),
    ("abs", INTEGERS, 1, magnitude),
    ("sqrt", FLOATS, 1, np.sqrt),
    ("floor", FLOATS, 1, np.floor),
    ("ceil", FLOATS, 1, np.ceil),
    ("trunc", FLOATS, 1, np.trunc),
    ("rint", FLOATS, 1, np.rint),
    ("lt", FLOATS + INTEGERS, 2, np.less),
    ("le", FLOATS + INTEGERS, 2, np.less_equal),
    ("eq", FLOATS + INTEGERS, 2, np.equal),
    ("ne", FLOATS + INTEGERS, 2, np.not_equal),
    ("logical_and", (t.bool_,), 2, np.logical_and),
    ("logical_or", (t.bool_,), 2, np.logical_or),
    ("logical_not", (t.bool_,), 1, np.logical_not),
    ("bit_and", INTEGERS, 2, np.bitwise_and),
    ("bit_or", INTEGERS, 2, np.bitwise_or),
    ("bit_xor", INTEGERS, 2, np.bitwise_xor),
)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c[0]}{c[2]}{c[1][0].kind}")
def test_primitive_agrees_with_numpy(case: Case, name: str) -> None:
    function, dtypes, arity, reference = case
    for dtype in dtypes:
        arrays = [numbers(dtype, seed) for seed in range(arity)]
        with np.errstate(all="ignore"):
            want = np.asarray(reference(*arrays))
        check(function, want, arrays, name)


@pytest.mark.parametrize("name", TARGETS)
def test_integer_division_truncates(name: str) -> None:
    for dtype in INTEGERS:
        x, y = numbers(dtype, 0), numbers(dtype, 1)
        y[y == 0] = 3
        if dtype.kind == "i":
            y[y == -1] = 7
        exact_x, exact_y = x.astype(object), y.astype(object)
        quotient = [abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
                    for a, b in zip(exact_x, exact_y)]  # fmt: skip
        remainder = [a - q * b for a, b, q in zip(exact_x, exact_y, quotient)]
        check("div", np.array(quotient, dtype.numpy), [x, y], name)
        check("rem", np.array(remainder, dtype.numpy), [x, y], name)


@pytest.mark.parametrize("name", TARGETS)
def test_shifts(name: str) -> None:
    for dtype in INTEGERS:
        x = numbers(dtype, 0)
        y = (np.arange(COUNT) % dtype.bits).astype(dtype.numpy)
        check("shl", np.left_shift(x, y), [x, y], name)
        check("shr", np.right_shift(x, y), [x, y], name)


@pytest.mark.parametrize("name", TARGETS)
def test_mulhi(name: str) -> None:
    x, y = numbers(t.uint32, 0), numbers(t.uint32, 1)
    want = (x.astype(np.uint64) * y.astype(np.uint64)) >> np.uint64(32)
    check("mulhi", want.astype(np.uint32), [x, y], name)


@pytest.mark.parametrize("name", TARGETS)
def test_select(name: str) -> None:
    condition = numbers(t.bool_, 5)
    for dtype in t.ALL_DTYPES:
        x, y = numbers(dtype, 0), numbers(dtype, 1)
        check("select", np.where(condition, x, y), [condition, x, y], name)


@pytest.mark.parametrize("name", TARGETS)
def test_fma_rounds_once_where_the_target_can(name: str) -> None:
    """x * x - x*x rounded: the error of the product, or 0 without fma."""
    for dtype in (t.float32, t.float64):
        x = np.random.default_rng(0).normal(size=COUNT).astype(dtype.numpy)
        z = -(x * x)
        exact = [float(Fraction(float(a)) ** 2 + Fraction(float(c))) for a, c in zip(x, z)]
        want = np.array(exact, dtype.numpy)
        if not target_of(name).has_fma:
            want = np.zeros_like(x)
        check("fma", want, [x, x, z], name)


# ------------------------------------------------------------------ conversions


def converted(x: np.ndarray, dtype: DType) -> np.ndarray:
    """What cast means, computed with exact integers or one rounding."""
    source = t.find_dtype(x.dtype)
    assert source is not None
    if dtype.kind == "b":
        return x != 0
    if source.is_float and dtype.is_integer:
        info = np.iinfo(dtype.numpy)
        wide = [float(v) for v in x]
        whole = [0 if np.isnan(v) else v if np.isinf(v) else int(v) for v in wide]
        return np.array([int(max(info.min, min(info.max, v))) for v in whole], dtype.numpy)
    if not dtype.is_float:
        return x.astype(dtype.numpy)
    if dtype.bits == 16 and source.bits > 16:
        return np.array([round_once(v, dtype) for v in x])
    return x.astype(dtype.numpy)


def round_once(value: Any, dtype: DType) -> Any:
    """Round a number to a 16-bit float: the nearer of its neighbours, or the even one."""
    number = value.item()
    if isinstance(number, float) and not np.isfinite(number):
        return np.array(number).astype(dtype.numpy)[()]
    guess = np.array(np.float32(number)).astype(dtype.numpy).view(np.uint16).item() & 0x7FFF
    largest = 0x7BFF if dtype == t.float16 else 0x7F7F
    exact = abs(Fraction(number))
    best: Any = None
    for bits in range(max(0, guess - 2), min(guess + 3, largest + 2)):
        kept = np.array(bits if bits <= largest else largest, np.uint16).view(dtype.numpy)
        there = Fraction(float(kept))
        if bits > largest:  # where the next number would be
            below = np.array(largest - 1, np.uint16).view(dtype.numpy)
            there += there - Fraction(float(below))
        key = (abs(there - exact), bits & 1)
        best = min(best, (key, bits)) if best else (key, bits)
    sign = 0x8000 if np.signbit(np.float64(number)) else 0
    return np.array(best[1] | sign, np.uint16).view(dtype.numpy)[()]


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("source", t.ALL_DTYPES, ids=str)
def test_cast(source: DType, name: str) -> None:
    for dtype in t.ALL_DTYPES:
        x = numbers(source, 3)
        with np.errstate(all="ignore"):
            check("cast", converted(x, dtype), [x], name)


@pytest.mark.parametrize("name", TARGETS)
def test_casts_to_16_bits_round_once(name: str) -> None:
    """Numbers whose rounding to float32 is a tie for float16 or bfloat16."""
    for dtype, digits in ((t.float16, 10), (t.bfloat16, 7)):
        base = 1.0 + np.arange(COUNT) * 2.0**-digits + 2.0 ** -(digits + 1)
        nudge = np.where(np.arange(COUNT) % 2, 2.0**-40, -(2.0**-40))
        x = np.asarray(base + nudge, np.float64)
        check("cast", converted(x, dtype), [x], name)
    whole = (2**40 + np.arange(COUNT) * 2**32 + 2**32 + (np.arange(COUNT) % 3) - 1).astype(np.int64)
    check("cast", converted(whole, t.bfloat16), [whole], name)
    check("cast", converted(-whole, t.bfloat16), [-whole], name)


@pytest.mark.parametrize("name", TARGETS)
def test_all_16_bit_floats_survive(name: str) -> None:
    """Every float16 and bfloat16 goes to float32 and back unchanged."""
    for dtype in (t.float16, t.bfloat16):
        for start in range(0, 65536, COUNT * 40):
            bits = (start + np.arange(COUNT) * 40).astype(np.uint16)
            x = bits.view(dtype.numpy)
            wide = run("cast", t.float32, [x], name)
            with np.errstate(invalid="ignore"):
                assert same_bits(wide, x.astype(np.float32))
            assert same_bits(run("cast", dtype, [wide], name), x)


@pytest.mark.parametrize("name", TARGETS)
def test_bitcast(name: str) -> None:
    pairs = (
        (t.float32, t.int32), (t.uint32, t.float32), (t.float64, t.uint64), (t.int64, t.float64),
        (t.float16, t.uint16), (t.int16, t.bfloat16), (t.uint8, t.int8),
    )  # fmt: skip
    for source, dtype in pairs:
        x = numbers(source, 1)
        check("bitcast", x.view(dtype.numpy), [x], name)
