"""Operand handling: lift, promote, broadcast, and raise errors that show the operands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn, TypeGuard

import numpy as np

from graphc import origin as origins
from graphc.errors import (
    ArgumentError,
    AxisError,
    DTypeError,
    GraphcError,
    MemoryBudgetError,
    ShapeError,
)
from graphc.frontend.arguments import check_operands
from graphc.frontend.lifting import promote_lifted
from graphc.frontend.tensor import Tensor, lift, lift_op
from graphc.frontend.typing import AxisLike, DTypeLike, Shape, TensorLike
from graphc.ir import graph as graphs
from graphc.ir.arrays import holds_numpy, python_array
from graphc.ir.dims import Dim, Poly, Size, Sizes
from graphc.ir.limits import MAX_ADDRESSABLE_BYTES
from graphc.ir.ops.base import Op
from graphc.ir.ops.elementwise_logic import Cast
from graphc.ir.ops.view import BroadcastTo, shape_text
from graphc.ir.types import DType, find_dtype, float32, promote, weak_dtype


def fail(
    error: type[GraphcError], message: str, tensors: Sequence[Tensor] = (), hint: str | None = None
) -> NoReturn:
    """Raise an error with the operands and the user's line."""
    raise error(
        message,
        operands=graphs.describe(t.node for t in tensors),
        origin=origins.current().origin or origins.find_origin(),
        hint=hint,
    )


# ------------------------------------------------------------------------------- dtypes


def is_weak(value: object) -> TypeGuard[float]:
    """Whether a value is a Python number, which takes the dtype of what it stands beside.

    A np.float64 is a Python float too; np.bool_, np.float32 and the others have dtypes.
    """
    return isinstance(value, (bool, int, float))


def dtype_representative(value: TensorLike) -> Any:
    """What a list or tuple of Python numbers is represented by where dtypes are chosen: one of
    them; any other value as it is."""
    if not isinstance(value, (list, tuple)):
        return value
    array = python_array(value)
    by_kind = {"b": False, "i": 0, "f": 0.0}
    weak_array = array.dtype.name in ("bool", "int32", "int64", "float32")
    return by_kind[array.dtype.kind] if weak_array and not holds_numpy(value) else array


def to_dtype(name: str, dtype: DTypeLike) -> DType:
    """The DType of a name; raises with the choices."""
    found = None if dtype is None else find_dtype(dtype)
    if found is None:
        fail(
            DTypeError,
            f"{name}: no dtype is called {dtype!r}",
            hint="bool, int8-64, uint8-64, float16, bfloat16, float32, float64",
        )
    return found


def cast(x: Tensor, dtype: DType, promotes: bool = False) -> Tensor:
    """Cast x; x itself when it has the dtype."""
    return x if x.dtype == dtype else lift_op(Cast(dtype, promotes), x)


def weak(name: str, value: Any, like: DType | None) -> Tensor:
    """The tensor of a Python number (or a list of them) beside a dtype; raises where an integer
    does not fit."""
    if isinstance(value, (list, tuple)):
        dtype = weak_dtype(dtype_representative(value), like)
        return lift(np.asarray(value).astype(dtype.numpy))
    if isinstance(value, np.generic):
        value = value.item()
    dtype = weak_dtype(value, like)
    if dtype.is_integer:
        bounds = np.iinfo(dtype.numpy)
        if not bounds.min <= value <= bounds.max:
            fail(
                DTypeError,
                f"{name}: {value} does not fit into {dtype.name}",
                hint="convert the tensor beside it to a wider dtype with astype",
            )
    return lift(value, dtype)


def lift_like(name: str, value: TensorLike, x: Tensor) -> Tensor:
    """Lift a value; Python numbers and float arrays take the dtype of x."""
    if is_weak(value):
        return weak(name, value, x.dtype)
    return promote_lifted(name, [lift(value)], x.dtype)[0]


def same_dtype(
    name: str, values: Sequence[TensorLike], before: Sequence[Tensor] = ()
) -> list[Tensor]:
    """Tensors of one dtype: the array API's promotion, Python numbers being weak.

    A Python float beside integers makes them float32, a Python number beside bool makes a number.
    Arrays of floats take the float dtype of the tensors beside them. `before` are operands that
    stand before these, for messages.
    """
    kinds = [dtype_representative(v) for v in values]
    check_operands(name, kinds)
    if any(isinstance(v, Poly) for v in values):
        others = [v for v in values if not isinstance(v, Poly)]
        like = same_dtype(name, others, before)[0].dtype if others else None
        values = [lift(v, like) if isinstance(v, Poly) else v for v in values]
        return same_dtype(name, values, before)
    strong = promote_lifted(name, [lift(v) for v, k in zip(values, kinds) if not is_weak(k)])
    dtype = strong[0].dtype if strong else None
    for i, other in enumerate(strong):
        assert dtype is not None
        if other.dtype != dtype:
            found = promote(dtype, other.dtype)
            if found is None:
                fail_dtypes(name, (*before, *strong), dtype, i + len(before))
            dtype = found
    for k in kinds:
        if is_weak(k):
            like = weak_dtype(k.item() if isinstance(k, np.generic) else k, dtype)
            if dtype is None or "biuf".index(like.kind) > "biuf".index(dtype.kind):
                dtype = like
    assert dtype is not None
    left = iter(strong)
    return [
        weak(name, v, dtype) if is_weak(k) else cast(next(left), dtype, promotes=True)
        for v, k in zip(values, kinds)
    ]


def fail_dtypes(name: str, tensors: Sequence[Tensor], dtype: DType, i: int) -> NoReturn:
    """Raise for dtypes without a common promotion."""
    other = tensors[i].dtype
    wanted = max(dtype, other, key=lambda d: ("biuf".index(d.kind), d.bits))
    converted = next(t for t in tensors if t.dtype == (other if wanted == dtype else dtype))
    fail(
        DTypeError,
        f"{name}: no dtype holds both {dtype.name} and {other.name} (input {i})",
        tensors,
        hint=f'convert one: {converted.name or "x"}.astype("{wanted.name}")',
    )


def widened(x: Tensor) -> Tensor:
    """16-bit floats as float32: what is computed in several steps is rounded once."""
    return cast(x, float32) if is_half(x) else x


def is_half(x: Tensor) -> bool:
    """Whether x holds floats of 16 bits."""
    return x.dtype.is_float and x.dtype.bits == 16


def scattered(op: Op, x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    """x with updates added to it (or multiplied) by a scatter; 16-bit floats are rounded once."""
    return cast(lift_op(op, widened(x), indices, widened(updates)), x.dtype)


def floating(name: str, x: TensorLike) -> Tensor:
    """A float tensor; Python ints become float32, integer tensors are refused."""
    if isinstance(x, Poly):
        return lift(x, float32)
    if is_weak(x):
        return lift(float(x), float32)
    check_operands(name, (x,))
    tensor = lift(x)
    if not tensor.dtype.is_float:
        fail(
            DTypeError,
            f"{name}: needs floats, got {tensor.dtype.name} (input 0)",
            (tensor,),
            hint=f'convert it: {tensor.name or "x"}.astype("float32")',
        )
    return tensor


# ------------------------------------------------------------------------------- shapes


def expand(x: Tensor, shape: Sizes) -> Tensor:
    """x broadcast to a shape; x itself when it has it."""
    return x if x.type.shape == shape else lift_op(BroadcastTo(shape), x)


def common_shape(name: str, tensors: Sequence[Tensor]) -> Sizes:
    """The shape that all broadcast to; sizes are equal as polynomials, or 1."""
    first = tensors[0].type.shape
    if all(t.type.shape == first for t in tensors):
        return first
    ndim = max(t.ndim for t in tensors)
    shape: list[Size] = [1] * ndim
    source = [0] * ndim
    for i, t in enumerate(tensors):
        for axis, size in enumerate(t.shape, ndim - t.ndim):
            if size == 1 or size == shape[axis]:
                continue
            if shape[axis] != 1:
                fail_sizes(name, tensors, (source[axis], i), axis - ndim)
            shape[axis], source[axis] = size, i
    return tuple(shape)


def fail_sizes(name: str, tensors: Sequence[Tensor], pair: tuple[int, int], axis: int) -> NoReturn:
    """Raise for two sizes that do not broadcast on one axis (counted from the last, -1)."""
    i, j = pair
    x, y = tensors[i], tensors[j]
    fail(
        ShapeError,
        f"{name}: shapes do not broadcast: {x.type} vs {y.type}: "
        f"{x.shape[axis]} (axis {x.ndim + axis} of input {i}) vs"
        f" {y.shape[axis]} (axis {y.ndim + axis} of input {j})",
        tensors,
        hint=broadcast_hint(pair, x.shape, y.shape),
    )


def broadcast_hint(pair: tuple[int, int], x: Sizes, y: Sizes) -> str | None:
    """A hint that would make two shapes broadcast, if there is a common one."""
    for i, a, b in ((pair[1], y, x), (pair[0], x, y)):
        if len(a) >= 2 and are_broadcastable((*a[:-2], a[-1], a[-2]), b):
            return f"input {i} fits transposed: .mT"
        for axis in range(len(a), 0, -1):
            if len(a) < len(b) and are_broadcastable((*a[:axis], 1, *a[axis:]), b):
                return (
                    f"input {i} fits with an axis of size 1 at {axis}: keepdims=True where it was"
                    f" reduced, or gx.expand_dims(x, {axis})"
                )
    unequal = [s for p, q in zip(reversed(x), reversed(y)) if p != q for s in (p, q)]
    if any(isinstance(s, Poly) for s in unequal):
        return "symbolic sizes are equal when they are the same polynomial of the same dims"
    return None


def are_broadcastable(a: Sizes, b: Sizes) -> bool:
    """Whether two shapes broadcast."""
    pairs = zip(reversed(a), reversed(b))
    return all(p == q or 1 in (p, q) for p, q in pairs if not (p != q and 0 in (p, q)))


def apply_broadcast(op: Op, *values: TensorLike) -> Tensor:
    """Apply an op to operands promoted to one dtype and broadcast to one shape."""
    tensors = same_dtype(op.name, values)
    shape = common_shape(op.name, tensors)
    return lift_op(op, *(expand(t, shape) for t in tensors))


# --------------------------------------------------------------------------------- axes


def one_axis(name: str, axis: AxisLike, ndim: int, x: Sequence[Tensor] = ()) -> int:
    """An axis counted from the front; raises where there is none."""
    if isinstance(axis, bool) or not isinstance(axis, (int, np.integer)):
        fail(ArgumentError, f"{name}: an axis is an int, got {axis!r}", x)
    if not -ndim <= axis < ndim:
        text = f" of {x[0].type}" if x and x[0].ndim == ndim else ""
        fail(
            AxisError,
            f"{name}: axis {axis} is out of range{text}: there are {ndim} axes",
            x,
            hint=f"axes are {-ndim} to {ndim - 1}" if ndim else "it has rank 0",
        )
    return int(axis) % ndim


def all_axes(name: str, axis: AxisLike, ndim: int, x: Sequence[Tensor] = ()) -> tuple[int, ...]:
    """Axes from None (all), an int or a sequence, in the order given; raises on duplicates."""
    if axis is None:
        return tuple(range(ndim))
    given = tuple(axis) if isinstance(axis, (tuple, list)) else (axis,)
    axes = tuple(one_axis(name, a, ndim, x) for a in given)
    for i, a in enumerate(axes):
        if a in axes[:i]:
            fail(AxisError, f"{name}: axis {a} is given twice in {axis}", x)
    return axes


def to_shape(name: str, shape: Shape) -> Sizes:
    """The sizes of a shape argument: an int, a dim or a sequence of them (a str names a dim)."""
    given = (shape,) if isinstance(shape, (int, np.integer, Poly, str)) else shape
    if not isinstance(given, (tuple, list)):
        fail(ShapeError, f"{name}: a shape is a tuple of sizes, got {shape!r}")
    sizes: list[Size] = []
    for axis, size in enumerate(given):
        if isinstance(size, (str, Poly)):
            sizes.append(Dim(size) if isinstance(size, str) else size)
        elif isinstance(size, (int, np.integer)) and not isinstance(size, bool):
            sizes.append(int(size))
        else:
            fail(ShapeError, f"{name}: sizes are ints or dims, got {size!r} (axis {axis})")
    return tuple(sizes)


def check_count(name: str, count: int) -> None:
    """Raise where no machine holds so many numbers."""
    if 8 * count >= MAX_ADDRESSABLE_BYTES:
        fail(MemoryBudgetError, f"{name}: {count} elements are more than an address can count")


def check_sizes(name: str, shape: Sizes) -> None:
    """Raise where a size is negative."""
    for axis, size in enumerate(shape):
        if isinstance(size, int) and size < 0:
            fail(ShapeError, f"{name}: sizes are 0 or more, got {size} (axis {axis})")


__all__ = [
    "all_axes",
    "apply_broadcast",
    "cast",
    "check_count",
    "check_sizes",
    "common_shape",
    "expand",
    "fail",
    "fail_dtypes",
    "floating",
    "is_half",
    "is_weak",
    "lift_like",
    "one_axis",
    "promote_lifted",
    "same_dtype",
    "scattered",
    "shape_text",
    "to_dtype",
    "to_shape",
    "weak",
    "widened",
]  # fmt: skip
