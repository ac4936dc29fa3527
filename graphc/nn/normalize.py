"""Normalisations: over axes of one example, over groups of channels, over the batch."""

from __future__ import annotations

from collections.abc import Sequence

from graphc import origin as origins
from graphc.errors import ArgumentError, ShapeError
from graphc.frontend import functions as fn
from graphc.frontend.functions.operands import all_axes, cast, floating, one_axis, widened
from graphc.frontend.tensor import Tensor, lift
from graphc.ir import graph as graphs
from graphc.ir.dims import Size


def layer_norm(
    x: Tensor,
    scale: float | Tensor | None = None,
    bias: float | Tensor | None = None,
    axis: int | Sequence[int] = -1,
    epsilon: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon) over `axis`, times scale, plus bias (Ba et al. 2016).

    The variance is that of the population. 16-bit floats are computed in float32.
    """
    x = floating("layer_norm", x)
    wide = widened(x)
    along = all_axes("layer_norm", axis, x.ndim, (x,))
    centred = wide - fn.mean(wide, axis=along, keepdims=True)
    variance = fn.mean(centred * centred, axis=along, keepdims=True)
    y = fn.astype(centred * (1.0 / fn.sqrt(variance + epsilon)), x.dtype)
    if scale is not None:
        y = y * scale
    return y if bias is None else y + bias


def rms_norm(
    x: Tensor,
    scale: float | Tensor | None = None,
    axis: int | Sequence[int] = -1,
    epsilon: float = 1e-6,
) -> Tensor:
    """x / sqrt(mean(x^2) + epsilon) over `axis`, times scale (Zhang and Sennrich 2019)."""
    x = floating("rms_norm", x)
    wide = widened(x)
    along = all_axes("rms_norm", axis, x.ndim, (x,))
    square = fn.mean(wide * wide, axis=along, keepdims=True)
    y = fn.astype(wide * (1.0 / fn.sqrt(square + epsilon)), x.dtype)
    return y if scale is None else y * scale


def group_norm(
    x: Tensor,
    groups: int,
    scale: float | Tensor | None = None,
    bias: float | Tensor | None = None,
    axis: int = -1,
    epsilon: float = 1e-5,
) -> Tensor:
    """`layer_norm` of every group of channels of every example (Wu and He 2018).

    `axis` is that of the channels; the mean is over a group of them and all axes but the first.
    `scale` and `bias` have one number for each channel.
    """
    x = lift(x)
    place, channels = check_channels("group_norm", x, axis)
    if isinstance(groups, bool) or not isinstance(groups, int) or groups < 1 or channels % groups:
        raise ArgumentError(
            f"group_norm: {channels} channels (axis {place} of {x.type}) do not fall into"
            f" {groups!r} groups",
            operands=graphs.describe((x.node,)),
            origin=origins.find_origin(),
            hint="the number of groups divides the number of channels",
        )
    split = (*x.shape[:place], groups, channels // groups, *x.shape[place + 1 :])
    along = tuple(i for i in range(1, x.ndim + 1) if i != place)
    y = fn.reshape(layer_norm(fn.reshape(x, split), axis=along, epsilon=epsilon), x.shape)
    if scale is not None:
        y = y * spread("group_norm", lift(scale), x, place)
    return y if bias is None else y + spread("group_norm", lift(bias), x, place)


def batch_norm(
    x: Tensor,
    scale: float | Tensor | None = None,
    bias: float | Tensor | None = None,
    axis: int = -1,
    epsilon: float = 1e-5,
    mean: Tensor | None = None,
    variance: Tensor | None = None,
) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon) * scale + bias for every channel (Ioffe, Szegedy 2015).

    `axis` is that of the channels; the other arguments have one number for each of them. Without
    `mean` and `variance` they are those of the batch, the variance that of the population.
    """
    name, x = "batch_norm", lift(x)
    place, _ = check_channels(name, x, axis)
    if (mean is None) != (variance is None):
        raise ArgumentError("batch_norm: needs mean and variance, or none of them")
    wide = widened(x)
    if mean is None or variance is None:
        mean, variance = moments(wide, place)
    # What depends on channels alone is one factor: at inference it depends on parameters alone,
    # and is computed when one of them changes.
    factor = 1.0 / fn.sqrt(spread(name, lift(variance), x, place) + epsilon)
    if scale is not None:
        factor = factor * spread(name, fn.astype(lift(scale), wide.dtype), x, place)
    y = (wide - spread(name, lift(mean), x, place)) * factor
    if bias is not None:
        y = y + spread(name, fn.astype(lift(bias), wide.dtype), x, place)
    return cast(y, x.dtype)


def moments(x: Tensor, channels: int) -> tuple[Tensor, Tensor]:
    """Mean and variance over all axes but that of the channels, in float32 or wider.

    Centred before it is squared: nothing cancels, however large the mean is.
    """
    wide = widened(x)
    others = tuple(i for i in range(x.ndim) if i != channels)
    mean = fn.mean(wide, axis=others)
    centred = wide - spread("moments", mean, x, channels)
    return mean, fn.mean(centred * centred, axis=others)


def spread(name: str, vector: Tensor, x: Tensor, axis: int) -> Tensor:
    """One number for each channel, in a shape that broadcasts along the other axes of x."""
    if vector.shape != (x.shape[axis],):
        raise ShapeError(
            f"{name}: needs one number for each of {x.shape[axis]} channels (axis {axis} of"
            f" {x.type}), got {vector.type}",
            operands=graphs.describe((x.node, vector.node)),
            origin=origins.find_origin(),
        )
    ones = (1,) * (x.ndim - axis - 1)
    return fn.reshape(vector, (*vector.shape, *ones)) if ones else vector


def check_channels(name: str, x: Tensor, axis: int) -> tuple[int, int]:
    """The axis of the channels, not negative, and its size, which must be known."""
    place = one_axis(name, axis, x.ndim, (x,))
    size: Size = x.shape[place]
    if place == 0 or not isinstance(size, int):
        what = "comes after the batch axis" if place == 0 else "has a known size"
        raise ShapeError(
            f"{name}: the channel axis {what}, got axis {place} of {x.type}",
            operands=graphs.describe((x.node,)),
            origin=origins.find_origin(),
        )
    return place, size
