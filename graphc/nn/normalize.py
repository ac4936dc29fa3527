"""Normalisations over axes of one example."""

from __future__ import annotations

from collections.abc import Sequence

from graphc import functions as fn
from graphc.tensor import Tensor, lift
from graphc.types import float32


def layer_norm(
    x: Tensor,
    scale: Tensor | None = None,
    bias: Tensor | None = None,
    axis: int | Sequence[int] = -1,
    epsilon: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon) over `axis`, times scale, plus bias (Ba et al. 2016).

    The variance is that of the population. 16-bit floats are computed in float32.
    """
    x = lift(x)
    wide = fn.astype(x, float32) if x.dtype.bits == 16 else x
    along = axis if isinstance(axis, int) else tuple(axis)
    centred = wide - fn.mean(wide, axis=along, keepdims=True)
    variance = fn.mean(centred * centred, axis=along, keepdims=True)
    y = fn.astype(centred / fn.sqrt(variance + epsilon), x.dtype)
    if scale is not None:
        y = y * scale
    return y if bias is None else y + bias


def rms_norm(
    x: Tensor, scale: Tensor | None = None, axis: int | Sequence[int] = -1, epsilon: float = 1e-6
) -> Tensor:
    """x / sqrt(mean(x^2) + epsilon) over `axis`, times scale (Zhang and Sennrich 2019)."""
    x = lift(x)
    wide = fn.astype(x, float32) if x.dtype.bits == 16 else x
    along = axis if isinstance(axis, int) else tuple(axis)
    square = fn.mean(wide * wide, axis=along, keepdims=True)
    y = fn.astype(wide / fn.sqrt(square + epsilon), x.dtype)
    return y if scale is None else y * scale
