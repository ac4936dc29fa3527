"""Tensors made from sizes and numbers alone; sizes may be dims."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphc.errors import ArgumentError, ShapeError
from graphc.frontend.functions.logic import where
from graphc.frontend.functions.operands import (
    cast,
    check_count,
    check_sizes,
    expand,
    fail,
    is_weak,
    to_dtype,
    to_shape,
)
from graphc.frontend.tensor import Tensor, constant_of, lift, lift_op, literal
from graphc.frontend.typing import DTypeLike, Shape, TensorLike
from graphc.ir.arrays import python_array
from graphc.ir.dims import Poly, Size, Sizes, ceildiv
from graphc.ir.limits import MAX_ADDRESSABLE_BYTES
from graphc.ir.ops.elementwise_logic import Equal
from graphc.ir.ops.leaf import Iota, SizeOf
from graphc.ir.types import DType, float32, int32, int64, weak_dtype


def asarray(value: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """A tensor from a number, an array or a tensor, converted to `dtype` if one is given."""
    if dtype is None:
        return lift(value) if isinstance(value, (Tensor, Poly)) else constant_of(value)
    kind = to_dtype("asarray", dtype)
    if is_weak(value):
        return literal(value, kind)
    whole = python_array(value, kind) if isinstance(value, (list, tuple)) else value
    return cast(whole if isinstance(whole, Tensor) else constant_of(whole), kind)


def full(shape: Shape, value: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """One value everywhere; without a dtype float32, int32 or bool after the value's type."""
    sizes = to_shape("full", shape)
    check_sizes("full", sizes)
    if not isinstance(value, (bool, int, float)):
        value = lift(value)
        return expand(value if dtype is None else cast(value, to_dtype("full", dtype)), sizes)
    kind = weak_dtype(value, None) if dtype is None else to_dtype("full", dtype)
    return expand(literal(value, kind), sizes)


def zeros(shape: Shape, dtype: DTypeLike = "float32") -> Tensor:
    """Zeros."""
    return full(shape, 0, dtype)


def ones(shape: Shape, dtype: DTypeLike = "float32") -> Tensor:
    """Ones."""
    return full(shape, 1, dtype)


def empty(shape: Shape, dtype: DTypeLike = "float32") -> Tensor:
    """Values that mean nothing: zeros here, so that every run is the same."""
    return full(shape, 0, dtype)


def empty_like(x: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """`empty` in the shape of x."""
    return full_like(x, 0, dtype)


def full_like(x: TensorLike, value: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """One value in the shape (and, without `dtype`, the dtype) of x."""
    x = lift(x)
    return full(x.shape, value, x.dtype if dtype is None else dtype)


def zeros_like(x: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """Zeros in the shape of x."""
    return full_like(x, 0, dtype)


def ones_like(x: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """Ones in the shape of x."""
    return full_like(x, 1, dtype)


def size_as(size: Size, dtype: DType) -> Tensor:
    """A size as a rank-0 tensor."""
    return literal(size, dtype) if isinstance(size, int) else cast(lift_op(SizeOf(size)), dtype)


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: DTypeLike | None = None) -> Tensor:
    """start, start + step, ... below stop; int32 of integers, float32 of floats.

    With one argument it is the stop. Sizes may be dims where the step is an int.
    """
    if stop is None:
        start, stop = 0, start
    bounds = (start, stop, step)
    for bound in bounds:
        check_bound("arange", bound)
    start, stop, step = bounds = tuple(b.item() if isinstance(b, np.generic) else b for b in bounds)
    if step == 0:
        fail(ArgumentError, "arange: the step must not be 0")
    symbolic = any(isinstance(b, Poly) for b in bounds)
    if isinstance(step, Poly):
        fail(ArgumentError, f"arange: the step must be a number, got {step}")
    if symbolic and not all(isinstance(b, (int, Poly)) for b in bounds):
        fail(ArgumentError, "arange: bounds with dims must be whole")
    if symbolic:
        count = ceildiv(stop - start, step) if step > 0 else ceildiv(start - stop, -step)
    else:
        steps = (stop - start) / step
        count = max(0, math.ceil(steps) if math.isfinite(steps) else MAX_ADDRESSABLE_BYTES)
        check_count("arange", count)
    whole = all(isinstance(b, (int, np.integer, Poly)) for b in bounds)
    kind = (int32 if whole else float32) if dtype is None else to_dtype("arange", dtype)
    index = lift_op(Iota((count,), 0, kind if whole else float32))
    if not whole:
        index = cast(index, kind)
    scaled = index if step == 1 else index * step
    return scaled if start == 0 else scaled + number(start, scaled.dtype)


def check_bound(name: str, value: Any) -> None:
    """Raise unless a value is a finite number or a dim."""
    single = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(
        value, bool
    )
    if not isinstance(value, Poly) and not (single and math.isfinite(value)):
        fail(ArgumentError, f"{name}: a bound is a finite number or a dim, got {value!r:.60}")


def number(value: Any, dtype: DType) -> Any:
    """A bound as a number or, with dims, as a rank-0 tensor."""
    return size_as(value, dtype) if isinstance(value, Poly) else value


def linspace(start: float, stop: float, num: int, dtype: DTypeLike = "float32") -> Tensor:
    """`num` values evenly spaced from start to stop, both included."""
    check_bound("linspace", start)
    check_bound("linspace", stop)
    check_count("linspace", num)
    if num < 0:
        fail(ArgumentError, f"linspace: the number of values is 0 or more, got {num}")
    values = np.linspace(float(start), float(stop), num)
    return constant_of(values.astype(to_dtype("linspace", dtype).numpy))


def iota(shape: Sizes, axis: int, dtype: DType) -> Tensor:
    """The index along one axis."""
    return lift_op(Iota(shape, axis, dtype))


def eye(n: Size, m: Size | None = None, k: int = 0, dtype: DTypeLike = "float32") -> Tensor:
    """Ones on the diagonal of an n x m matrix, or on the k-th one above it; zeros elsewhere."""
    shape = (n, n if m is None else m)
    check_sizes("eye", shape)
    rows = iota(shape, 0, int32)
    chosen = lift_op(Equal(), rows if k == 0 else rows + k, iota(shape, 1, int32))
    return cast(chosen, to_dtype("eye", dtype))


def tril(x: TensorLike, k: int = 0) -> Tensor:
    """The lower triangles of matrices, zeros above the k-th diagonal."""
    return triangle("tril", x, k, lower=True)


def triu(x: TensorLike, k: int = 0) -> Tensor:
    """The upper triangles of matrices, zeros below the k-th diagonal."""
    return triangle("triu", x, k, lower=False)


def triangle(name: str, x: TensorLike, k: int, lower: bool) -> Tensor:
    """One side of the k-th diagonal."""
    x = lift(x)
    if x.ndim < 2:
        fail(ShapeError, f"{name}: needs 2 axes or more, got {x.type}", (x,))
    shape = x.shape[-2:]
    diagonal = iota(shape, 0, int64) + k
    columns = iota(shape, 1, int64)
    return where(columns <= diagonal if lower else columns >= diagonal, x, zeros_like(x))
