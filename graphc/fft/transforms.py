"""The transforms and their inverses: complex, real and Hermitian, along one axis or several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.errors import ArgumentError, DTypeError, ShapeError, UnsupportedError
from graphc.fft.stages import Complex, Signal, Value, transform
from graphc.frontend import functions as fn
from graphc.frontend.functions.operands import (
    all_axes,
    check_count,
    fail,
    floating,
    one_axis,
    same_dtype,
)
from graphc.frontend.functions.shapes import narrow
from graphc.frontend.tensor import Tensor
from graphc.frontend.typing import AxisLike
from graphc.ir.types import float32, float64

Sizes = Sequence[int] | None

NORMS = ("backward", "ortho", "forward")


def fft(x: Signal, n: int | None = None, axis: int = -1, norm: str = "backward") -> Complex:
    """The discrete Fourier transform of a pair (real, imaginary), or of real numbers.

    `n` elements are taken along the axis, or zeros added. `norm` says which direction divides by
    the size: "backward", "forward", or "ortho" for the root of it in both.
    """
    return pair(along("fft", value("fft", x), n, axis, -1, norm))


def ifft(x: Signal, n: int | None = None, axis: int = -1, norm: str = "backward") -> Complex:
    """The inverse of `fft`."""
    return pair(along("ifft", value("ifft", x), n, axis, 1, norm))


def fftn(
    x: Signal,
    s: Sizes = None,
    axes: AxisLike = None,
    norm: str = "backward",
) -> Complex:
    """The transform along several axes (default: all, or the last ones when sizes are given)."""
    return pair(along_all("fftn", value("fftn", x), s, axes, -1, norm))


def ifftn(
    x: Signal,
    s: Sizes = None,
    axes: AxisLike = None,
    norm: str = "backward",
) -> Complex:
    """The inverse of `fftn`."""
    return pair(along_all("ifftn", value("ifftn", x), s, axes, 1, norm))


def fft2(x: Signal, s: Sizes = None, axes: AxisLike = (-2, -1), norm: str = "backward") -> Complex:
    """The transform along two axes."""
    return fftn(x, s, axes, norm)


def ifft2(x: Signal, s: Sizes = None, axes: AxisLike = (-2, -1), norm: str = "backward") -> Complex:
    """The inverse of `fft2`."""
    return ifftn(x, s, axes, norm)


def rfft(x: Signal, n: int | None = None, axis: int = -1, norm: str = "backward") -> Complex:
    """The first half of the transform of real numbers: n // 2 + 1 elements."""
    x = real("rfft", x)
    found = pair(along("rfft", (x, None), n, axis, -1, norm))
    axis = one_axis("rfft", axis, x.ndim, (x,))
    half = int(found.real.shape[axis]) // 2 + 1  # type: ignore[arg-type]
    return Complex(narrow(found.real, axis, 0, half), narrow(found.imag, axis, 0, half))


def irfft(x: Signal, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """The inverse of `rfft`, of n elements (default: an even number)."""
    v = value("irfft", x)
    axis = one_axis("irfft", axis, v[0].ndim, (v[0],))
    if n is None:
        n = 2 * (known_size("irfft", v[0], axis) - 1)
    return along("irfft", mirrored(v, n, axis), n, axis, 1, norm)[0]


def rfftn(
    x: Signal,
    s: Sizes = None,
    axes: AxisLike = None,
    norm: str = "backward",
) -> Complex:
    """The transform of real numbers along several axes; half of it along the last one."""
    x = real("rfftn", x)
    sizes, chosen = sizes_and_axes("rfftn", x, s, axes)
    first = rfft(x, sizes[-1], chosen[-1], norm)
    return pair(along_all("rfftn", first, sizes[:-1], chosen[:-1], -1, norm))


def irfftn(
    x: Signal,
    s: Sizes = None,
    axes: AxisLike = None,
    norm: str = "backward",
) -> Tensor:
    """The inverse of `rfftn`."""
    v = value("irfftn", x)
    sizes, chosen = sizes_and_axes("irfftn", v[0], s, axes)
    last = sizes[-1] if s is not None else None
    return irfft(along_all("irfftn", v, sizes[:-1], chosen[:-1], 1, norm), last, chosen[-1], norm)


def rfft2(x: Signal, s: Sizes = None, axes: AxisLike = (-2, -1), norm: str = "backward") -> Complex:
    """The transform of real numbers along two axes."""
    return rfftn(x, s, axes, norm)


def irfft2(x: Signal, s: Sizes = None, axes: AxisLike = (-2, -1), norm: str = "backward") -> Tensor:
    """The inverse of `rfft2`."""
    return irfftn(x, s, axes, norm)


def hfft(x: Signal, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """The transform, which is real, of what is Hermitian and given by its first half."""
    re, im = value("hfft", x)
    swapped = {"backward": "forward", "forward": "backward"}.get(norm, norm)
    return irfft((re, None if im is None else -im), n, axis, swapped)


def ihfft(x: Signal, n: int | None = None, axis: int = -1, norm: str = "backward") -> Complex:
    """The inverse of `hfft`."""
    swapped = {"backward": "forward", "forward": "backward"}.get(norm, norm)
    found = rfft(real("ihfft", x), n, axis, swapped)
    return Complex(found.real, -found.imag)


# --------------------------------------------------------------------------- machinery


def value(name: str, x: Any) -> Value:
    """A pair of tensors of one type, or a real tensor."""
    if not isinstance(x, (tuple, list)):
        return real(name, x), None
    if len(x) != 2:
        fail(ArgumentError, f"{name}: needs a pair (real, imaginary), got {len(x)} parts")
    if x[1] is None:
        return real(name, x[0]), None
    re, im = same_dtype(name, [real(name, v) for v in x])
    if re.shape != im.shape:
        fail(ShapeError, f"{name}: shapes differ: {re.type} (real) vs {im.type} (imaginary)")
    return re, im


def real(name: str, x: Any) -> Tensor:
    """A tensor of float32 or float64."""
    t = floating(name, x)
    if t.dtype not in (float32, float64):
        fail(DTypeError, f"{name}: needs float32 or float64, got {t.dtype.name} (input 0)", (t,))
    return t


def pair(x: Value) -> Complex:
    """The value with an imaginary part."""
    return Complex(x[0], fn.zeros_like(x[0]) if x[1] is None else x[1])


def known_size(name: str, x: Tensor, axis: int) -> int:
    """The number of elements along an axis, which must be known."""
    size = x.shape[axis]
    if not isinstance(size, int):
        fail(UnsupportedError, f"{name}: the size {size} of axis {axis} must be known", (x,))
    return size


def along(name: str, x: Value, n: int | None, axis: int, sign: int, norm: str) -> Value:
    """The transform along one axis."""
    axis = one_axis(name, axis, x[0].ndim, (x[0],))
    size = known_size(name, x[0], axis)
    n = size if n is None else n
    check_count(name, n)
    if n < 1:
        fail(ShapeError, f"{name}: needs one element or more, got {n} (axis {axis})", (x[0],))
    if norm not in NORMS:
        fail(ArgumentError, f"{name}: norm is one of {', '.join(NORMS)}, got {norm!r}", (x[0],))

    def last(t: Tensor) -> Tensor:
        return fn.moveaxis(resized(t, axis, n), axis, -1)

    moved = last(x[0]), None if x[1] is None else last(x[1])
    re, im = transform(moved, n, sign)
    divides = norm == ("backward" if sign > 0 else "forward")
    factor = 1.0 / n if divides else n**-0.5 if norm == "ortho" else 1.0

    def finish(t: Tensor) -> Tensor:
        return fn.moveaxis(t if factor == 1.0 else t * factor, -1, axis)

    return finish(re), None if im is None else finish(im)


def along_all(
    name: str, x: Value, s: Sequence[int] | None, axes: AxisLike, sign: int, norm: str
) -> Value:
    """The transform along several axes, the last one first."""
    sizes, chosen = sizes_and_axes(name, x[0], s, axes)
    for size, axis in reversed(list(zip(sizes, chosen))):
        x = along(name, x, size, axis, sign, norm)
    return x


def sizes_and_axes(
    name: str, x: Tensor, s: Sequence[int] | None, axes: AxisLike
) -> tuple[list[int], tuple[int, ...]]:
    """The sizes to transform and their axes."""
    if axes is None and s is not None:
        axes = tuple(range(-len(s), 0))
    chosen = all_axes(name, axes, x.ndim, (x,))
    if s is not None and len(s) != len(chosen):
        fail(ArgumentError, f"{name}: {len(s)} sizes for {len(chosen)} axes", (x,))
    sizes = list(s) if s is not None else [known_size(name, x, a) for a in chosen]
    return sizes, chosen


def resized(x: Tensor, axis: int, n: int) -> Tensor:
    """The first n elements along an axis, zeros behind them where there are fewer."""
    size = known_size("fft", x, axis)
    if n <= size:
        return narrow(x, axis, 0, n)
    return fn.pad(x, tuple((0, n - size if i == axis else 0) for i in range(x.ndim)))


def mirrored(x: Value, n: int, axis: int) -> Value:
    """The whole of a Hermitian sequence of n elements from its first n // 2 + 1."""
    count = n // 2 + 1
    back = (n - 1) // 2

    def whole(t: Tensor, sign: float) -> Tensor:
        half = resized(t, axis, count)
        other = fn.flip(narrow(half, axis, 1, back), axis=axis) if back else None
        return half if other is None else fn.concat([half, other * sign], axis=axis)

    return whole(x[0], 1.0), None if x[1] is None else whole(x[1], -1.0)
