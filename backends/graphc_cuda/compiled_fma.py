"""Fused multiply-add of numpy values by a compiled loop: rounded once, thousands at a time.

numpy has no such function, and the exact one of `NumpyEmitter` takes a dozen passes over its
arrays; a simulated kernel does little else.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from graphc.ir.types import Array

_TEXT = """
declare {type} @llvm.fma.{suffix}({type}, {type}, {type})

define {type} @one_{type}({type} %x, {type} %y, {type} %z) {{
  %r = call {type} @llvm.fma.{suffix}({type} %x, {type} %y, {type} %z)
  ret {type} %r
}}

define void @many_{type}(ptr noalias %xs, ptr noalias %ys, ptr noalias %zs, ptr noalias %rs,
                         i64 %n) {{
entry:
  %some = icmp sgt i64 %n, 0
  br i1 %some, label %loop, label %done
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %xp = getelementptr {type}, ptr %xs, i64 %i
  %yp = getelementptr {type}, ptr %ys, i64 %i
  %zp = getelementptr {type}, ptr %zs, i64 %i
  %rp = getelementptr {type}, ptr %rs, i64 %i
  %x = load {type}, ptr %xp
  %y = load {type}, ptr %yp
  %z = load {type}, ptr %zp
  %r = call {type} @llvm.fma.{suffix}({type} %x, {type} %y, {type} %z)
  store {type} %r, ptr %rp
  %next = add nuw nsw i64 %i, 1
  %more = icmp slt i64 %next, %n
  br i1 %more, label %loop, label %done
done:
  ret void
}}
"""

_FLOAT32, _FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)


def fma(x: Any, y: Any, z: Any) -> Any:
    """Return x * y + z, rounded once; all three are float32, or all float64."""
    dtype = getattr(x, "dtype", _FLOAT64)
    one, many = _compiled(dtype == _FLOAT32)
    shape = _common_shape(x, y, z)
    if shape == ():
        return dtype.type(one(float(x), float(y), float(z)))
    parts = [_filled(v, shape, dtype) for v in (x, y, z)]
    result = np.empty(shape, dtype)
    addresses = [v.__array_interface__["data"][0] for v in (*parts, result)]
    many(*addresses, result.size)
    return result


def _common_shape(x: Any, y: Any, z: Any) -> tuple[int, ...]:
    first, second, third = (getattr(v, "shape", ()) for v in (x, y, z))
    if first == second == third:
        return first
    return np.broadcast_shapes(first, second, third)


def _filled(value: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """The value as a contiguous array of that shape and dtype."""
    found = getattr(value, "dtype", _FLOAT64)
    assert found == dtype or not hasattr(value, "dtype"), f"fma of {dtype} and {found}"
    if getattr(value, "shape", ()) == shape:
        return np.ascontiguousarray(value)
    result = np.empty(shape, dtype)
    result[...] = value
    return result


@cache
def _compiled(is_single: bool) -> tuple[Callable[..., float], Callable[..., None]]:
    """The functions for scalars and for arrays of float32 (else float64)."""
    kind = "float" if is_single else "double"
    engine = _engine()
    number = ctypes.c_float if is_single else ctypes.c_double
    one = ctypes.CFUNCTYPE(number, number, number, number)
    many = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4, ctypes.c_int64)
    address = engine.get_function_address
    return one(address(f"one_{kind}")), many(address(f"many_{kind}"))


@cache
def _engine() -> Any:
    """An execution engine that holds both dtypes; alive as long as the process."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    text = _TEXT.format(type="float", suffix="f32") + _TEXT.format(type="double", suffix="f64")
    module = llvm.parse_assembly(text)
    features = llvm.get_host_cpu_features().flatten()
    target = llvm.Target.from_default_triple()
    machine = target.create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=features, opt=3, jit=True
    )
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    return engine
