"""Images and the like in other sizes: every axis on its own, from neighbours with fixed weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.errors import ArgumentError, ShapeError
from graphc.frontend import functions as fn
from graphc.frontend.functions.operands import cast, check_count, fail, widened
from graphc.frontend.symbols import constant
from graphc.frontend.tensor import Tensor, lift
from graphc.frontend.typing import TensorLike
from graphc.ir.dims import Poly
from graphc.ir.types import Array
from graphc.nn.windows import CHANNELS_LAST, RANKS, check_layout, per_axis, spatial_axes

REACH = {"linear": 1, "cubic": 2}  # old elements on each side of a new one


def resize(
    x: TensorLike,
    size: Any,
    method: str = "linear",
    align_corners: bool = False,
    antialias: bool = False,
    layout: str = CHANNELS_LAST,
) -> Tensor:
    """x (batch, spatial axes, channels) with its spatial axes in other sizes.

    `size` is an int for every axis, or one for each. `method` is "nearest", "linear" or "cubic"
    (cubic convolution with a = -0.75, Keys 1981). The centres of old and new elements share one
    scale; with `align_corners` those of the first and last elements coincide instead. Elements
    beyond the border are those at the border. `antialias` widens the kernel where an axis shrinks.
    Integers are interpolated in float32 and rounded. Raises ShapeError where a spatial size of x
    is not known.
    """
    x = lift(x)
    check_layout("resize", layout, (x,))
    if x.ndim - 2 not in RANKS:
        fail(ShapeError, f"resize: needs a batch, 1 to 3 spatial axes and channels: {x.type}", (x,))
    if method not in ("nearest", *REACH):
        known = ", ".join(("nearest", *REACH))
        fail(ArgumentError, f"resize: method must be one of {known}, got {method!r}", (x,))
    axes = spatial_axes(layout, x.ndim)
    sizes = per_axis("resize", "size", size, len(axes), 1, (x,))
    for axis in axes:
        if isinstance(x.shape[axis], Poly) or x.shape[axis] == 0:
            why = f"axis {axis} of {x.type} must have a known size that is not 0"
            fail(ShapeError, f"resize: {why}", (x,))
    y: Tensor = x if method == "nearest" else widened(x)
    for axis, wanted in zip(axes, sizes):
        y = along(y, axis, wanted, method, align_corners, antialias)
    return cast(y, x.dtype)


def along(
    x: Tensor, axis: int, wanted: int, method: str, align_corners: bool, antialias: bool
) -> Tensor:
    """x with one axis in another size."""
    old = x.shape[axis]
    assert isinstance(old, int)
    if old == wanted:
        return x
    check_count("resize", wanted)
    if method == "nearest":
        return picked(x, axis, closest(old, wanted, align_corners))
    places = centres(old, wanted, align_corners)
    shrink = min(wanted / old, 1.0) if antialias else 1.0
    index, factor = neighbours(places, REACH[method], shrink)
    if antialias:
        factor = np.where((index < 0) | (index >= old), 0.0, factor)
        factor = factor / factor.sum(-1, keepdims=True)
    return weighted(x, axis, index, factor)


def centres(old: int, new: int, align_corners: bool) -> Array:
    """Where the elements of a new axis lie on the old one."""
    places = np.arange(new, dtype=np.float64)
    if align_corners:
        return places * ((old - 1) / (new - 1)) if new > 1 else places
    return (places + 0.5) * (old / new) - 0.5


def closest(old: int, new: int, align_corners: bool) -> Array:
    """The old elements next to the new ones, in whole numbers.

    Halfway the later one, with `align_corners` the earlier one.
    """
    numbers = np.arange(new, dtype=np.int64)
    if not align_corners:
        return (2 * numbers + 1) * old // (2 * new)
    if new == 1:
        return numbers
    return (2 * numbers * (old - 1) + new - 2) // (2 * (new - 1))


def triangle(t: Array) -> Array:
    """Weights of linear interpolation at a distance."""
    return np.maximum(0.0, 1.0 - np.abs(t))


def cubic(t: Array, a: float = -0.75) -> Array:
    """Weights of cubic convolution at a distance (Keys 1981)."""
    d = np.abs(t)
    near = (a + 2) * d**3 - (a + 3) * d**2 + 1
    far = a * (d**3 - 5 * d**2 + 8 * d - 4)
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


def neighbours(
    places: Array, reach: int, shrink: float = 1.0, a: float = -0.75
) -> tuple[Array, Array]:
    """The neighbours of every coordinate (they may lie outside) and what each of them counts."""
    half = int(np.ceil(reach / shrink))
    index = np.floor(places)[:, None] + np.arange(1 - half, half + 1)
    distance = (index - places[:, None]) * shrink
    return index, cubic(distance, a) if reach == 2 else triangle(distance)


def picked(x: Tensor, axis: int, index: Array) -> Tensor:
    """Elements along an axis; a view where each is repeated equally often."""
    old = x.shape[axis]
    assert isinstance(old, int)
    inside = np.clip(index, 0, old - 1).astype(np.int64)
    factor, rest = divmod(len(inside), old)
    if not rest and (inside == np.arange(len(inside)) // max(1, factor)).all():
        return fn.repeat(x, factor, axis)
    return fn.take(x, constant(inside), axis)


def weighted(x: Tensor, axis: int, index: Array, factor: Array) -> Tensor:
    """The weighted sum of neighbours along an axis; at least one weight is not 0."""
    wide = x if x.dtype.is_float else fn.astype(x, "float32")
    shape = [-1 if i == axis else 1 for i in range(x.ndim)]
    terms = [
        picked(wide, axis, index[:, k])
        * fn.astype(constant(factor[:, k].astype(np.float32).reshape(shape)), wide.dtype)
        for k in range(index.shape[1])
        if factor[:, k].any()
    ]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total if x.dtype.is_float else fn.astype(fn.round(total), x.dtype)
