"""Joins: several tensors made into one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphc.errors import DTypeError, ShapeError
from graphc.ir.ops.base import Join, check_axis
from graphc.ir.ops.op import ArrayFunctions, Samples, V
from graphc.ir.ops.view import Slice
from graphc.ir.types import Array, TensorType, float32

if TYPE_CHECKING:
    from graphc.ir.dims import Size


class Concat(Join):
    """The inputs, one after the other along `axis`."""

    name = "concat"

    def infer(self, *types: TensorType) -> TensorType:
        """Equal dtypes and sizes, but for the axis joined, whose sizes add up."""
        first = types[0]
        check_axis(self.name, self.axis, first)
        total: Size = 0
        for i, t in enumerate(types):
            if t.dtype != first.dtype:
                raise DTypeError(
                    f"concat: dtypes differ: {first.dtype.name} (input 0)"
                    f" vs {t.dtype.name} (input {i})",
                    hint="convert one with astype",
                )
            if t.ndim != first.ndim:
                raise ShapeError(f"concat: ranks differ: {first} (input 0) vs {t} (input {i})")
            for axis, (expected, size) in enumerate(zip(first.shape, t.shape)):
                if axis != self.axis and size != expected:
                    raise ShapeError(
                        f"concat: sizes differ outside axis {self.axis}: {expected} (axis {axis}"
                        f" of input 0) vs {size} (axis {axis} of input {i})"
                    )
            total = total + t.shape[self.axis]
        return first.with_shape((*first.shape[: self.axis], total, *first.shape[self.axis + 1 :]))

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, *xs: V) -> tuple[V, ...]:
        """Each input's part of the cotangent."""
        parts = []
        start: Size = 0
        for x in xs:
            starts = tuple(start if i == self.axis else 0 for i in range(x.ndim))
            parts.append(f.apply(Slice(starts, x.shape, (1,) * x.ndim), dy))
            start = start + x.shape[self.axis]
        return tuple(parts)

    def evaluate(self, *arrays: Array) -> Array:
        """numpy's concatenate."""
        return np.concatenate(arrays, axis=self.axis)

    @classmethod
    def samples(cls) -> Samples:
        """One, two and three inputs along every axis."""
        a, b, c = (TensorType(float32, (n, 3)) for n in (2, 1, 0))
        d, e = TensorType(float32, (2, 3, 5)), TensorType(float32, (2, 4, 5))
        return (cls(0), (a,)), (cls(0), (a, b, c)), (cls(1), (d, e, d)), (cls(2), (d, d))
