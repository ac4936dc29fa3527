"""The language of generated kernels: what each of its names means, in numpy.

Generated text begins with `from graphc_cuda.language import cuda, f32, fma, ...`. Every function
takes scalars and arrays alike: integers wrap around, `fma` rounds once, a float beyond an integer
type saturates, the 16-bit floats are their bits. What belongs to a thread (`cuda.threadIdx`,
barriers, shuffles, shared memory, copies, matrix fragments) has a meaning only while a simulator
runs the text; `graphc_cuda.numba_api` gives the same names to numba.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from graphc.errors import BackendError
from graphc.ir.loops.numpy_emitter import NumpyEmitter
from graphc.ir.types import Array, DType, bfloat16, find_dtype, float16
from graphc_cuda.compiled_fma import fma

inf, nan = float("inf"), float("nan")
_emitter = NumpyEmitter()


# ------------------------------------------------------------------- types


class ElementType:
    """An element type: names the elements of memory, and converts numbers when called."""

    def __init__(self, name: str) -> None:
        found = find_dtype(name)
        assert found is not None
        self.meaning: DType = found
        self.dtype = found.numpy
        self._make = found.numpy.type
        limits = np.iinfo(found.numpy) if found.is_integer else None
        self._low, self._high = (limits.min, limits.max) if limits is not None else (0, 0)

    def __call__(self, x: Any) -> Any:
        """Convert a number: integers wrap around, integers round to floats, bool is 0 or 1."""
        kind = getattr(x, "dtype", None)
        if kind is None:
            return self._from_python(x)
        if kind == self.dtype:
            return x
        if kind.kind != "f":
            return x.astype(self.dtype)
        if not self.meaning.is_float:
            raise TypeError(f"{self.meaning.short}() of a float: use saturate_{self}")
        with np.errstate(all="ignore"):
            return x.astype(self.dtype)

    def _from_python(self, x: float) -> Any:
        if self.meaning.is_integer:
            if isinstance(x, float):
                raise TypeError(f"{self}() of a float: use saturate_{self}")
            inside = self._low <= x <= self._high
            return self._make(x) if inside else _emitter.const(x, self.meaning)
        with np.errstate(all="ignore"):
            return self._make(x)

    def __repr__(self) -> str:
        return self.meaning.short


i8, i16, i32, i64 = (ElementType(name) for name in ("i8", "i16", "i32", "i64"))
u8, u16, u32, u64 = (ElementType(name) for name in ("u8", "u16", "u32", "u64"))
f32, f64 = ElementType("f32"), ElementType("f64")


def typed(x: Any) -> Any:
    """A number of Python as the scalar that its literal stands for: int64 or float64."""
    if hasattr(x, "dtype"):
        return x
    if isinstance(x, bool):
        return np.bool_(x)
    return f64(x) if isinstance(x, float) else i64(x)


def _saturate(to: ElementType) -> Callable[[Any], Any]:
    def saturate(x: Any) -> Any:
        return _emitter.cast(typed(x), to.meaning)

    saturate.__name__ = f"saturate_{to}"
    saturate.__doc__ = f"Round towards zero to {to}: the nearest number it has, 0 for NaN."
    return saturate


def _bitcast(to: ElementType) -> Callable[[Any], Any]:
    def bitcast(x: Any) -> Any:
        return typed(x).view(to.dtype)

    bitcast.__name__ = f"bitcast_{to}"
    bitcast.__doc__ = f"Return the same bits as {to}."
    return bitcast


saturate_i8, saturate_i16, saturate_i32, saturate_i64 = (_saturate(t) for t in (i8, i16, i32, i64))
saturate_u8, saturate_u16, saturate_u32, saturate_u64 = (_saturate(t) for t in (u8, u16, u32, u64))
bitcast_i16, bitcast_u16 = _bitcast(i16), _bitcast(u16)
bitcast_i8, bitcast_u8 = _bitcast(i8), _bitcast(u8)
bitcast_i32, bitcast_u32, bitcast_f32 = _bitcast(i32), _bitcast(u32), _bitcast(f32)
bitcast_i64, bitcast_u64, bitcast_f64 = _bitcast(i64), _bitcast(u64), _bitcast(f64)


# -------------------------------------------------------------- arithmetic


def sqrt(x: Any) -> Any:
    """Return the square root, rounded once."""
    return _emitter.sqrt(typed(x))


def floor(x: Any) -> Any:
    """Round down."""
    return np.floor(x)


def ceil(x: Any) -> Any:
    """Round up."""
    return np.ceil(x)


def trunc(x: Any) -> Any:
    """Round towards zero."""
    return np.trunc(x)


def rint(x: Any) -> Any:
    """Round to the nearest whole number, to the even one of two."""
    return np.rint(x)


def absolute(x: Any) -> Any:
    """Return the absolute value; that of the least integer is itself."""
    return _emitter.abs(x)


def quotient(x: Any, y: Any) -> Any:
    """Divide integers, rounded towards zero."""
    if isinstance(x, int) and isinstance(y, int) and y:
        whole = abs(x) // abs(y)
        return whole if (x < 0) == (y < 0) else -whole
    return _emitter.div(*_pair(x, y))


def remainder(x: Any, y: Any) -> Any:
    """Return what `quotient` leaves: it has the sign of x."""
    if isinstance(x, int) and isinstance(y, int) and y:
        return abs(x) % abs(y) * (-1 if x < 0 else 1)
    return _emitter.rem(*_pair(x, y))


def mulhi(x: Any, y: Any) -> Any:
    """Return the upper half of the product of two uint32."""
    return _emitter.mulhi(x, y)


def min(x: Any, y: Any) -> Any:
    """Return the smaller integer."""
    return _choose(builtins.min, np.minimum, x, y)


def max(x: Any, y: Any) -> Any:
    """Return the larger integer."""
    return _choose(builtins.max, np.maximum, x, y)


def _choose(plain: Callable[..., Any], wide: Callable[..., Any], x: Any, y: Any) -> Any:
    is_plain = isinstance(x, int) and isinstance(y, int)
    return plain(x, y) if is_plain else wide(x, y)


def _pair(x: Any, y: Any) -> tuple[Any, Any]:
    """Both with the dtype of the one that has one; a literal takes that of the other."""
    if not hasattr(x, "dtype"):
        x = y.dtype.type(x) if hasattr(y, "dtype") else i64(x)
    if not hasattr(y, "dtype"):
        y = x.dtype.type(y)
    return x, y


# ------------------------------------------------------------ 16-bit floats


def bf16_to_f32(bits: Any) -> Any:
    """Widen the bits of a bfloat16."""
    return (typed(bits).astype(np.uint32) << np.uint32(16)).view(np.float32)


def f16_to_f32(bits: Any) -> Any:
    """Widen the bits of a float16."""
    return bits.view(np.float16).astype(np.float32)


def f32_to_bf16(x: Any) -> Any:
    """Round to bfloat16 and return its bits."""
    return _narrow(x, bfloat16)


def f64_to_bf16(x: Any) -> Any:
    """Round a float64 once to bfloat16 and return its bits."""
    return _narrow(x, bfloat16)


def f32_to_f16(x: Any) -> Any:
    """Round to float16 and return its bits."""
    return _narrow(x, float16)


def f64_to_f16(x: Any) -> Any:
    """Round a float64 once to float16 and return its bits."""
    return _narrow(x, float16)


def pack_bf16(low: Any, high: Any) -> Any:
    """Round two float32 to bfloat16; the first is in the lower half of the uint32."""
    return _packed(f32_to_bf16(low), f32_to_bf16(high))


def pack_f16(low: Any, high: Any) -> Any:
    """Round two float32 to float16; the first is in the lower half of the uint32."""
    return _packed(f32_to_f16(low), f32_to_f16(high))


def round_tf32(x: Any) -> Any:
    """Round float32 to the 10 bits of TF32's fraction, ties away from 0; the bits as uint32."""
    bits = x.view(np.uint32)
    is_finite = np.isfinite(x)
    rounded = (bits + np.where(is_finite, 0x1000, 0).astype(np.uint32)) & np.uint32(0xFFFFE000)
    return np.where(np.isnan(x), np.uint32(0x7FFFFFFF), rounded)[()]


def _packed(low: Any, high: Any) -> Any:
    return low.astype(np.uint32) | (high.astype(np.uint32) << np.uint32(16))


def _narrow(x: Any, to: DType) -> Array:
    with np.errstate(all="ignore"):
        return np.asarray(_emitter.cast(typed(x), to)).view(np.uint16)[()]


# ------------------------------------------------------------------ memory


def load_vector2(array: Any, index: Any) -> tuple[Any, ...]:
    """Read two neighbours at once; the first has an even index."""
    return tuple(array[index + j] for j in range(2))


def load_vector4(array: Any, index: Any) -> tuple[Any, ...]:
    """Read four neighbours at once; the index of the first is a multiple of 4."""
    return tuple(array[index + j] for j in range(4))


def load_vector8(array: Any, index: Any) -> tuple[Any, ...]:
    """Read eight neighbours at once; the index of the first is a multiple of 8."""
    return tuple(array[index + j] for j in range(8))


def store_vector2(array: Any, index: Any, *values: Any) -> None:
    """Write two neighbours at once; the first has an even index."""
    for j, value in enumerate(values):
        array[index + j] = value


def store_vector4(array: Any, index: Any, *values: Any) -> None:
    """Write four neighbours at once; the index of the first is a multiple of 4."""
    for j, value in enumerate(values):
        array[index + j] = value


def store_vector8(array: Any, index: Any, *values: Any) -> None:
    """Write eight neighbours at once; the index of the first is a multiple of 8."""
    for j, value in enumerate(values):
        array[index + j] = value


def atomic_min(array: Any, index: Any, value: Any) -> None:
    """Lower an element (uint32) to the value, whatever other threads do."""
    array[index] = np.minimum(array[index], value)


# ------------------------------------------------- what only threads can do


class Kernel:
    """A kernel: the function that every thread runs. It cannot be called like a function."""

    def __init__(self, function: Callable[..., None]) -> None:
        self.function = function
        self.__name__ = function.__name__
        self.__doc__ = function.__doc__

    def __call__(self, *_: Any) -> NoReturn:
        _needs_threads(self.__name__)

    def __getitem__(self, _: Any) -> NoReturn:
        _needs_threads(self.__name__)


class Cuda:
    """The name `cuda` of generated text, as a plain import finds it: kernels, but no threads."""

    def jit(self, function: Callable[..., Any] | None = None, *, device: bool = False) -> Any:
        """Mark a kernel, or (device=True) a function that kernels call."""
        if device:
            return lambda called: called
        assert function is not None
        return Kernel(function)

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        _needs_threads(f"cuda.{name}")


def _needs_threads(name: str) -> NoReturn:
    raise BackendError(
        f"{name} has no meaning outside a GPU thread",
        hint="run the text with graphc_cuda.simulate.simulate, or compile it with numba-cuda",
    )


def _threads_only(name: str, meaning: str) -> Callable[..., Any]:
    def refuse(*_: Any) -> NoReturn:
        _needs_threads(name)

    refuse.__name__, refuse.__doc__ = name, meaning
    return refuse


cuda: Any = Cuda()
copy_async = _threads_only("copy_async", "Begin to copy elements from global to shared memory.")
copy_async_commit = _threads_only("copy_async_commit", "Close a group of copies.")
copy_async_wait = _threads_only("copy_async_wait", "Wait for all groups but the last n.")
mma_bf16 = _threads_only("mma_bf16", "Multiply and add fragments of a warp: m16n8k16, bfloat16.")
mma_f16 = _threads_only("mma_f16", "Multiply and add fragments of a warp: m16n8k16, float16.")
mma_tf32 = _threads_only("mma_tf32", "Multiply and add fragments of a warp: m16n8k8, TF32.")
load_matrix = _threads_only("load_matrix", "Load four 8 x 8 matrices of 16-bit elements.")
load_matrix_transposed = _threads_only(
    "load_matrix_transposed", "Load four 8 x 8 matrices of 16-bit elements, each transposed."
)

__all__ = [
    "ElementType", "Kernel", "absolute", "atomic_min", "bf16_to_f32", "bitcast_f32",
    "bitcast_f64", "bitcast_i8", "bitcast_i16", "bitcast_i32", "bitcast_i64", "bitcast_u8",
    "bitcast_u16", "bitcast_u32", "bitcast_u64", "ceil", "copy_async", "copy_async_commit",
    "copy_async_wait", "cuda", "f16_to_f32", "f32", "f32_to_bf16", "f32_to_f16", "f64",
    "f64_to_bf16", "f64_to_f16", "floor", "fma", "i8", "i16", "i32", "i64", "inf",
    "load_matrix", "load_matrix_transposed", "load_vector2", "load_vector4", "load_vector8",
    "max", "min",
    "mma_bf16", "mma_f16", "mma_tf32", "mulhi", "nan", "pack_bf16", "pack_f16", "quotient",
    "remainder", "rint", "round_tf32", "saturate_i8", "saturate_i16", "saturate_i32",
    "saturate_i64", "saturate_u8", "saturate_u16", "saturate_u32", "saturate_u64", "sqrt",
    "store_vector2", "store_vector4", "store_vector8", "trunc", "typed", "u8", "u16", "u32", "u64",
]  # fmt: skip
