"""Bound gradients by value or by their global norm."""

from __future__ import annotations

from collections.abc import Sequence

from graphc import functions as fn
from graphc.errors import ArgumentError
from graphc.tensor import Tensor
from graphc.types import float32


def global_norm(tensors: Sequence[Tensor]) -> Tensor:
    """The Euclidean norm of all elements of all tensors, rank 0; float32 for 16-bit ones."""
    if not tensors:
        raise ArgumentError("global_norm: needs at least one tensor")
    wide = [fn.astype(t, float32) if t.dtype.bits == 16 else t for t in tensors]
    total = fn.sum(wide[0] * wide[0])
    for tensor in wide[1:]:
        total = total + fn.astype(fn.sum(tensor * tensor), total.dtype)
    return fn.sqrt(total)


def clip_by_global_norm(tensors: Sequence[Tensor], limit: float) -> list[Tensor]:
    """Scale all tensors by limit / norm where their global norm exceeds the limit."""
    if not limit > 0:
        raise ArgumentError(f"clip_norm must be positive, got {limit}")
    norm = global_norm(tensors)
    factor = limit / fn.maximum(norm, limit)  # exactly 1 below the limit
    return [t * fn.astype(factor, t.dtype) for t in tensors]


def clip_by_value(tensors: Sequence[Tensor], limit: float) -> list[Tensor]:
    """Bound every element to [-limit, limit]."""
    if not limit > 0:
        raise ArgumentError(f"clip_value must be positive, got {limit}")
    return [fn.clip(t, -limit, limit) for t in tensors]
