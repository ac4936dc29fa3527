"""Fused multiply-add of numpy values: rounded once, thousands at a time, as a numpy function.

numpy has no such function, and the exact one of `NumpyEmitter` takes a dozen passes over its
arrays; a simulated kernel does little else. So a loop compiled by LLVM becomes a ufunc.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import Any

import numpy as np

_TEXT = """
declare {type} @llvm.fma.{suffix}({type}, {type}, {type})

define void @fma_{suffix}(ptr %arguments, ptr %sizes, ptr %strides, ptr %unused) {{
entry:
  %a = load ptr, ptr %arguments
  %b.at = getelementptr ptr, ptr %arguments, i64 1
  %b = load ptr, ptr %b.at
  %c.at = getelementptr ptr, ptr %arguments, i64 2
  %c = load ptr, ptr %c.at
  %r.at = getelementptr ptr, ptr %arguments, i64 3
  %r = load ptr, ptr %r.at
  %n = load i64, ptr %sizes
  %a.step = load i64, ptr %strides
  %b.step.at = getelementptr i64, ptr %strides, i64 1
  %b.step = load i64, ptr %b.step.at
  %c.step.at = getelementptr i64, ptr %strides, i64 2
  %c.step = load i64, ptr %c.step.at
  %r.step.at = getelementptr i64, ptr %strides, i64 3
  %r.step = load i64, ptr %r.step.at
  %some = icmp sgt i64 %n, 0
  br i1 %some, label %loop, label %done
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %a.offset = mul i64 %i, %a.step
  %b.offset = mul i64 %i, %b.step
  %c.offset = mul i64 %i, %c.step
  %r.offset = mul i64 %i, %r.step
  %a.place = getelementptr i8, ptr %a, i64 %a.offset
  %b.place = getelementptr i8, ptr %b, i64 %b.offset
  %c.place = getelementptr i8, ptr %c, i64 %c.offset
  %r.place = getelementptr i8, ptr %r, i64 %r.offset
  %x = load {type}, ptr %a.place
  %y = load {type}, ptr %b.place
  %z = load {type}, ptr %c.place
  %result = call {type} @llvm.fma.{suffix}({type} %x, {type} %y, {type} %z)
  store {type} %result, ptr %r.place
  %next = add nuw nsw i64 %i, 1
  %more = icmp slt i64 %next, %n
  br i1 %more, label %loop, label %done
done:
  ret void
}}
"""

# PyUFunc_FromFuncAndData(loops, data, types, kinds, inputs, outputs, identity, name, doc, 0):
# the second entry of numpy's table of functions for ufuncs, in every version of it
_POINTER = ctypes.c_void_p
_MAKE = ctypes.PYFUNCTYPE(
    ctypes.py_object, _POINTER, _POINTER, _POINTER, *[ctypes.c_int] * 4, *[ctypes.c_char_p] * 2,
    ctypes.c_int,
)  # fmt: skip
_NO_IDENTITY = -1


class CompiledFma:
    """The ufunc, and what it points to, which must live as long."""

    def __init__(self) -> None:
        self._engine = _engine()
        addresses = [self._engine.get_function_address(f"fma_{s}") for s in ("f32", "f64")]
        self._loops = (_POINTER * 2)(*addresses)
        self._data = (_POINTER * 2)()
        single, double = np.dtype(np.float32).num, np.dtype(np.float64).num
        self._types = ctypes.create_string_buffer(bytes([single] * 4 + [double] * 4), 8)
        self._name, self._doc = b"fma", b"x * y + z, rounded once"
        make = _MAKE(_table()[1])
        self.function: Any = make(
            ctypes.addressof(self._loops), ctypes.addressof(self._data),
            ctypes.addressof(self._types), 2, 3, 1, _NO_IDENTITY, self._name, self._doc, 0,
        )  # fmt: skip


@cache
def compiled_fma() -> CompiledFma:
    """The ufunc fma, compiled once; it warns as numpy does."""
    return CompiledFma()


def fma(x: Any, y: Any, z: Any) -> Any:
    """Return x * y + z, rounded once; all three are float32, or all float64."""
    with np.errstate(all="ignore"):
        return compiled_fma().function(x, y, z)


def _table() -> Any:
    """numpy's functions for ufuncs, as other languages find them."""
    names = ("numpy._core._multiarray_umath", "numpy.core._multiarray_umath")  # since 2.0, before
    module = next(sys.modules[name] for name in names if name in sys.modules)
    capsule = module._UFUNC_API
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = _POINTER, [ctypes.py_object, ctypes.c_char_p]
    return ctypes.cast(get(capsule, None), ctypes.POINTER(_POINTER))


def _engine() -> Any:
    """An execution engine that holds the loops."""
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
