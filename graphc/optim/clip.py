"""Bound gradients by value, each by its norm, or all by their global norm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from graphc.errors import ArgumentError
from graphc.frontend import functions as fn
from graphc.frontend.tensor import Tensor
from graphc.ir.types import float32, float64
from graphc.linalg.norms import vector_norm
from graphc.optim.transform import Transform


@dataclass(frozen=True)
class Clip:
    """The limits of `minimize`: numbers, schedules or tensors; None for no limit."""

    value: Any = None
    each: Any = None
    norm: Any = None

    def apply(self, gradients: list[Tensor], owner: Transform) -> list[Tensor]:
        """Gradients within the limits at this step of an optimiser."""
        if self.value is not None:
            gradients = clip_by_value(gradients, owner.scalar(self.value))
        if self.each is not None:
            limit = owner.scalar(self.each)
            gradients = [clip_by_global_norm([g], limit)[0] for g in gradients]
        if self.norm is not None:
            gradients = clip_by_global_norm(gradients, owner.scalar(self.norm))
        return gradients


def global_norm(tensors: Sequence[Tensor]) -> Tensor:
    """The Euclidean norm of all elements of all tensors, rank 0; float32 for 16-bit ones."""
    norm, first = _norm(tensors), tensors[0].dtype
    return fn.astype(norm, float32 if first.bits == 16 else first)


def _norm(tensors: Sequence[Tensor]) -> Tensor:
    """The norm as a float64, which holds the squares of all narrower floats."""
    if not tensors:
        raise ArgumentError("global_norm: needs at least one tensor")
    wide = [fn.astype(t, float64) for t in tensors]
    if any(t.dtype == float64 for t in tensors):
        return vector_norm(fn.stack([vector_norm(t) for t in wide]))
    total = fn.sum(wide[0] * wide[0])
    for tensor in wide[1:]:
        total = total + fn.sum(tensor * tensor)
    return fn.sqrt(total)


def clip_by_global_norm(tensors: Sequence[Tensor], limit: float | Tensor) -> list[Tensor]:
    """Scale all tensors by limit / norm where their global norm exceeds the limit."""
    _check(limit, "clip_norm")
    factor = limit / fn.maximum(_norm(tensors), limit)  # exactly 1 below the limit
    wide = [fn.astype(t, float32) if t.dtype.bits == 16 else t for t in tensors]
    return [fn.astype(w * fn.astype(factor, w.dtype), t.dtype) for t, w in zip(tensors, wide)]


def clip_by_value(tensors: Sequence[Tensor], limit: float | Tensor) -> list[Tensor]:
    """Bound every element to [-limit, limit]."""
    _check(limit, "clip_value")
    if isinstance(limit, Tensor):
        ends = [(fn.astype(-limit, t.dtype), fn.astype(limit, t.dtype)) for t in tensors]
        return [fn.clip(t, low, high) for t, (low, high) in zip(tensors, ends)]
    return [fn.clip(t, -limit, limit) for t in tensors]


def _check(limit: float | Tensor, name: str) -> None:
    if not isinstance(limit, Tensor) and not limit > 0:
        raise ArgumentError(f"{name} must be positive, got {limit}")
