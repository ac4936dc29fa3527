"""Reshaping, broadcasting, reordering of axes; nothing is computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.errors import ArgumentError, ShapeError
from graphc.frontend.functions.operands import (
    all_axes,
    check_sizes,
    common_shape,
    expand,
    fail,
    one_axis,
    shape_text,
    to_shape,
)
from graphc.frontend.tensor import Tensor, lift, lift_op
from graphc.frontend.typing import AxisLike, Shape, TensorLike
from graphc.ir.dims import Size, Sizes, divide_exactly, product
from graphc.ir.ops.view import Permute, Reshape, Slice
from graphc.ir.ops.window import Unfold, Window


def broadcast_to(x: TensorLike, shape: Shape) -> Tensor:
    """x repeated along new leading axes and along axes of size 1."""
    sizes = to_shape("broadcast_to", shape)
    check_sizes("broadcast_to", sizes)
    return expand(lift(x), sizes)


def broadcast_arrays(*xs: TensorLike) -> list[Tensor]:
    """All tensors with the one shape that they broadcast to."""
    tensors = [lift(x) for x in xs]
    if not tensors:
        return []
    shape = common_shape("broadcast_arrays", tensors)
    return [expand(t, shape) for t in tensors]


def broadcast_shapes(*shapes: Any) -> Sizes:
    """The shape that all shapes broadcast to."""
    result: Sizes = ()
    for i, given in enumerate(shapes):
        shape = to_shape("broadcast_shapes", given)
        check_sizes("broadcast_shapes", shape)
        ndim = max(len(shape), len(result))
        a, b = ((1,) * (ndim - len(s)) + s for s in (result, shape))
        for p, q in zip(a, b):
            if p != q and p != 1 and q != 1:
                fail(
                    ShapeError,
                    f"broadcast_shapes: {shape_text(shape)} (input {i}) does not fit"
                    f" {shape_text(result)}: {q} vs {p}",
                )
        result = tuple(q if p == 1 else p for p, q in zip(a, b))
    return result


def reshape(x: TensorLike, shape: Shape) -> Tensor:
    """The same elements in row-major order in another shape; one size may be -1."""
    x = lift(x)
    sizes = to_shape("reshape", shape)
    unknown = [i for i, s in enumerate(sizes) if isinstance(s, int) and s < 0]
    if unknown:
        sizes = with_inferred(x, sizes, unknown)
    return x if x.shape == sizes else lift_op(Reshape(sizes), x)


def with_inferred(x: Tensor, sizes: Sizes, unknown: list[int]) -> Sizes:
    """The shape with the number in place of -1."""
    if len(unknown) > 1 or sizes[unknown[0]] != -1:
        fail(ArgumentError, f"reshape: at most one size may be -1, got {shape_text(sizes)}", (x,))
    axis = unknown[0]
    known = product(s for i, s in enumerate(sizes) if i != axis)
    missing = divide_exactly(x.size, known) if known != 0 else None
    if missing is None:
        fail(
            ShapeError,
            f"reshape: {x.type} has {x.size} elements (input 0), which is no multiple of"
            f" {known}, the product of the other sizes of {shape_text(sizes)}",
            (x,),
        )
    return (*sizes[:axis], missing, *sizes[axis + 1 :])


def permute_dims(x: TensorLike, axes: Sequence[Any]) -> Tensor:
    """Axis i of the result is axis axes[i] of x; all axes must be named once."""
    x = lift(x)
    order = all_axes("permute_dims", tuple(axes), x.ndim, (x,))
    return x if order == tuple(range(x.ndim)) else lift_op(Permute(order), x)


def matrix_transpose(x: TensorLike) -> Tensor:
    """The last two axes swapped."""
    x = lift(x)
    if x.ndim < 2:
        fail(ShapeError, f"matrix_transpose: needs 2 axes or more, got {x.type}", (x,))
    return lift_op(Permute((*range(x.ndim - 2), x.ndim - 1, x.ndim - 2)), x)


def moveaxis(
    x: TensorLike, source: int | Sequence[int], destination: int | Sequence[int]
) -> Tensor:
    """Axes moved to other places; the others keep their order."""
    x = lift(x)
    old = all_axes("moveaxis", source, x.ndim, (x,))
    new = all_axes("moveaxis", destination, x.ndim, (x,))
    if len(old) != len(new):
        fail(ArgumentError, f"moveaxis: {len(old)} axes cannot go to {len(new)} places", (x,))
    rest = [i for i in range(x.ndim) if i not in old]
    for place, axis in sorted(zip(new, old)):
        rest.insert(place, axis)
    return permute_dims(x, rest)


def swapaxes(x: TensorLike, axis1: int, axis2: int) -> Tensor:
    """Two axes swapped."""
    x = lift(x)
    a, b = (one_axis("swapaxes", axis, x.ndim, (x,)) for axis in (axis1, axis2))
    order = list(range(x.ndim))
    order[a], order[b] = b, a
    return permute_dims(x, order)


def expand_dims(x: TensorLike, axis: AxisLike = 0) -> Tensor:
    """New axes of size 1 where the result is to have them."""
    x = lift(x)
    count = len(axis) if isinstance(axis, (tuple, list)) else 1
    places = all_axes("expand_dims", axis, x.ndim + count, (x,))
    sizes = iter(x.shape)
    shape = tuple(1 if i in places else next(sizes) for i in range(x.ndim + count))
    return reshape(x, shape)


def squeeze(x: TensorLike, axis: AxisLike = None) -> Tensor:
    """Without these axes (default: all) of size 1; raises where an axis named has another size."""
    x = lift(x)
    if axis is None:
        axis = tuple(i for i, size in enumerate(x.shape) if size == 1)
    axes = all_axes("squeeze", axis, x.ndim, (x,))
    for i in axes:
        if x.shape[i] != 1:
            fail(ShapeError, f"squeeze: axis {i} of {x.type} has size {x.shape[i]}, not 1", (x,))
    return reshape(x, tuple(size for i, size in enumerate(x.shape) if i not in axes))


def flatten(x: TensorLike, start: int = 0) -> Tensor:
    """The axes from `start` on as one."""
    x = lift(x)
    return reshape(x, (*x.shape[:start], product(x.shape[start:])))


def flip(x: TensorLike, axis: AxisLike = None) -> Tensor:
    """The elements in reverse order along axes (default: all)."""
    t = lift(x)
    axes = [a for a in all_axes("flip", axis, t.ndim, (t,)) if t.shape[a] not in (0, 1)]
    if not axes:
        return t
    starts = tuple(s - 1 if i in axes else 0 for i, s in enumerate(t.shape))
    steps = tuple(-1 if i in axes else 1 for i in range(t.ndim))
    return lift_op(Slice(starts, t.shape, steps), t)


def narrow(x: Tensor, axis: int, start: Size, size: Size) -> Tensor:
    """`size` elements along one axis from `start` on."""
    if start == 0 and size == x.shape[axis]:
        return x
    starts = tuple(start if i == axis else 0 for i in range(x.ndim))
    sizes = tuple(size if i == axis else s for i, s in enumerate(x.shape))
    return lift_op(Slice(starts, sizes, (1,) * x.ndim), x)


def unfold_windows(
    x: Tensor, windows: tuple[Window, ...], sizes: Sizes, taps: tuple[int, ...]
) -> Tensor:
    """What windows see of x: outputs in place of inputs, the taps as new last axes."""
    met = tuple(w.overlap(t) for w, t in zip(windows, taps))
    single = reshape(x, (*x.shape, *(1 for _ in met)))
    return lift_op(Unfold(windows, sizes, taps), broadcast_to(single, (*x.shape, *met)))
