"""Defined functions: compiled code has the bits that their definition has in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphc.ir import types as t
from graphc.ir.loops import ir
from graphc.ir.loops.elementary import DEFINITIONS
from graphc.ir.loops.numpy_emitter import NumpyEmitter
from graphc.ir.types import DType
from graphc_llvm.emit_kernel import emit_kernel
from graphc_llvm.target import make_target
from tests.backends.llvm.native import Native, object_code, undefined_symbols
from tests.backends.llvm.test_emit_scalar import (
    COUNT,
    FLOATS,
    INTEGERS,
    TARGETS,
    check,
    elementwise,
    numbers,
    target_of,
)


class WithoutFma(NumpyEmitter):
    """Numpy on a machine that rounds products."""

    def fma(self, x: Any, y: Any, z: Any) -> Any:
        """x * y + z"""
        if (x.dtype.kind == "f" and x.dtype.itemsize == 2) or x.dtype.name == "bfloat16":
            wide = [self.cast(v, t.float32) for v in (x, y, z)]
            return self.cast(self.fma(*wide), self.dtype(x))
        return self.add(self.mul(x, y), z)


BINARY = ("pow", "maximum", "minimum", "floor_div", "remainder")
ON_INTEGERS = ("pow", "maximum", "minimum", "floor_div", "remainder", "sign")
UNARY = ("exp", "exp2", "expm1", "log", "log2", "log1p", "tanh", "sigmoid", "softplus", "sin",
         "cos", "erf", "sign")  # fmt: skip


def arguments(function: str, dtype: DType) -> list[np.ndarray]:
    x, y = numbers(dtype, 0), numbers(dtype, 1)
    if dtype.is_float:
        moderate = np.random.default_rng(2).normal(size=COUNT) * 3
        x = np.where(np.arange(COUNT) % 3 == 0, moderate.astype(dtype.numpy), x)
    elif function in ("floor_div", "remainder"):
        y[y == 0] = 3
        if dtype.kind == "i":
            y[y == -1] = 7
    elif function == "pow":
        y = (np.abs(y.astype(np.float64)) % 9).astype(dtype.numpy)
    return [x, y] if function in BINARY else [x]


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("function", UNARY + BINARY)
def test_defined_function_has_the_bits_of_its_definition(function: str, name: str) -> None:
    emitter = NumpyEmitter() if target_of(name).has_fma else WithoutFma()
    for dtype in FLOATS + (INTEGERS if function in ON_INTEGERS else ()):
        arrays = arguments(function, dtype)
        with np.errstate(all="ignore"):
            want = np.asarray(DEFINITIONS[function](emitter, *arrays))
        check(function, want, arrays, name)


@pytest.mark.parametrize("name", TARGETS)
def test_random_functions(name: str) -> None:
    first, second = numbers(t.uint32, 0), numbers(t.uint32, 1)
    emitter = NumpyEmitter()
    check("unit_float", DEFINITIONS["unit_float"](emitter, first), [first], name)
    check(
        "normal_float", DEFINITIONS["normal_float"](emitter, first, second), [first, second], name
    )


def stream(offset: int, count: int, lanes: bool) -> ir.Kernel:
    """out[i] = philox(key, 5, i + offset)"""
    axis = ir.Axis("i")
    key, out = ir.Buffer("key", t.uint32, (2,)), ir.Buffer("out", t.uint32, (count,))
    words = [ir.Load(t.uint32, key, (ir.const(k),)) for k in range(2)]
    moved = ir.Apply(t.int64, "add", (ir.index(axis), ir.const(offset)))
    number = ir.Apply(t.uint64, "cast", (moved,))
    value = ir.Apply(t.uint32, "philox", (*words, ir.const(5, t.uint32), number))
    body = (ir.Store(out, (ir.index(axis),), value),)
    loop = ir.Loop(axis, ir.extent(count), ir.PARALLEL, body, lanes=lanes)
    return ir.Kernel("stream", (key,), (out,), (loop,))


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("offset", [0, 64, 3, 2**32 - 128, 2**40])
def test_philox_by_blocks_is_philox_by_elements(offset: int, name: str) -> None:
    key = np.array([0xDEADBEEF, 77], np.uint32)
    for count in (1, 63, 64, 200, 1000):
        numbers = np.arange(count, dtype=np.uint64) + np.uint64(offset)
        want = DEFINITIONS["philox"](NumpyEmitter(), key[0], key[1], np.uint32(5), numbers)
        for lanes in (True, False):
            native = Native(stream(offset, count, lanes), {}, target_of(name))
            for threads in (1, 2):
                out = np.zeros(count, np.uint32)
                native([key, out], {}, threads)
                assert (out == want).all(), (count, lanes)


def test_philox_by_blocks_is_cheaper() -> None:
    """Where elements start a block, sixteen counters make 64 of them."""
    target = make_target("avx512")
    kernels = (stream(offset, 4096, True) for offset in (0, 3))
    whole, parts = (emit_kernel(kernel, target, {}).module() for kernel in kernels)
    assert "mul <8 x i64>" in whole
    assert "mul <32 x i64>" not in whole
    assert "mul <32 x i64>" in parts


def test_far_angles_stand_apart() -> None:
    """Code of many operations that is seldom needed is one function, called behind a look."""
    kernel = elementwise("sin", t.float64, [t.float64], True)
    text = emit_kernel(kernel, make_target("avx2"), {}).module()
    head, apart = text.split("define internal", 1)
    assert "far_sin" in apart.splitlines()[0]
    assert len(head) < len(apart)
    assert "@llvm.vector.reduce.or" in (head + apart)


@pytest.mark.parametrize("name", ["avx2", "baseline", "neon"])
def test_no_function_calls_a_library(name: str) -> None:
    for function in UNARY + BINARY + ("sqrt", "floor", "ceil", "trunc", "rint", "fma"):
        for dtype in FLOATS + (INTEGERS if function in ON_INTEGERS else ()):
            arity = 3 if function == "fma" else len(arguments(function, dtype))
            kernel = elementwise(function, dtype, [dtype] * arity, lanes=dtype.bits != 64)
            text = emit_kernel(kernel, make_target(name), {}).module()
            code = object_code(text, make_target(name), jit=False)
            assert not undefined_symbols(code), (function, dtype)


@pytest.mark.parametrize("name", ["avx2", "baseline", "neon"])
def test_no_cast_calls_a_library(name: str) -> None:
    for source in t.ALL_DTYPES:
        for dtype in t.ALL_DTYPES:
            kernel = elementwise("cast", dtype, [source], True)
            text = emit_kernel(kernel, make_target(name), {}).module()
            code = object_code(text, make_target(name), jit=False)
            assert not undefined_symbols(code), (source, dtype)
