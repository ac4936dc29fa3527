"""Gathers and scatters of rows, and checks of data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from graphc.errors import DTypeError, RuntimeCheckError, ShapeError
from graphc.ir.dims import Size, Sizes
from graphc.ir.loops.scalar import S, ScalarEmitter
from graphc.ir.ops.base import Elementwise, Gather, Op, Scatter
from graphc.ir.ops.failure import filled, out_of_range, with_size
from graphc.ir.ops.op import ArrayFunctions, Samples, V
from graphc.ir.types import Array, TensorType, bool_, float32, int32, int64

Domain = tuple[tuple[float, float], ...]


class Take(Gather):
    """Rows of x: result[i..., rest] = x[indices[i...], rest].

    Negative indices count from the end. Out of range is a checked failure at run time: such a
    row reads as 0 and the step is not committed.
    """

    name = "take"
    domain: ClassVar[Domain] = ((-4.0, 4.0), (-3.0, 2.0))

    def infer(self, x: TensorType, indices: TensorType) -> TensorType:
        """indices.shape + x.shape[1:]."""
        if not indices.dtype.is_integer:
            raise DTypeError(f"take: indices must be integers, got {indices.dtype.name} (input 1)")
        if not x.shape:
            raise ShapeError("take: input 0 has no axis to take from")
        return TensorType(x.dtype, indices.shape + x.shape[1:])

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V, indices: V) -> tuple[V, None]:
        """Scatter-add the cotangent's rows at the same indices."""
        return scatter_to_zeros(f, ScatterAdd(), x, indices, dy), None

    def evaluate(self, x: Array, indices: Array) -> Array:
        """numpy's take."""
        return np.asarray(np.take(x, checked_rows(self.name, indices, len(x)), axis=0))

    @classmethod
    def samples(cls) -> Samples:
        """Rows of 3 at indices of several ranks."""
        shapes: tuple[tuple[Sizes, Sizes], ...] = (
            ((3,), ()), ((3, 5), (7,)), ((3, 2, 4), (2, 2)), ((3, 5), (0,)), ((3, 0), (2,)),
        )  # fmt: skip
        return tuple(
            (cls(), (TensorType(float32, x), TensorType(kind, i)))
            for x, i in shapes
            for kind in (int32, int64)
        )


class ScatterAdd(Scatter):
    """x with rows of `updates` added at `indices`, one after the other in ascending order.

    updates.shape == indices.shape + x.shape[1:]; negative indices count from the end.
    """

    name = "scatter_add"
    domain: ClassVar[Domain] = ((-4.0, 4.0), (-3.0, 2.0), (-4.0, 4.0))

    def infer(self, x: TensorType, indices: TensorType, updates: TensorType) -> TensorType:
        """The type of x."""
        if not indices.dtype.is_integer:
            raise DTypeError(
                f"scatter_add: indices must be integers, got {indices.dtype.name} (input 1)"
            )
        if x.dtype.kind == "b":
            raise DTypeError("scatter_add: needs numbers, got bool (input 0)")
        if updates.dtype != x.dtype:
            raise DTypeError(
                f"scatter_add: dtypes differ: {x.dtype.name} (input 0)"
                f" vs {updates.dtype.name} (input 2)"
            )
        expected = indices.shape + x.shape[1:]
        if updates.shape != expected:
            wanted = TensorType(x.dtype, expected)
            raise ShapeError(f"scatter_add: updates must be {wanted}, got {updates} (input 2)")
        return x

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V, indices: V, u: V) -> tuple[V, None, V]:
        """The cotangent itself, nothing, and its rows."""
        return dy, None, f.apply(Take(), dy, indices)

    def evaluate(self, x: Array, indices: Array, updates: Array) -> Array:
        """numpy's unbuffered add."""
        result = np.array(x)
        np.add.at(result, checked_rows(self.name, indices, len(x)), updates)
        return result

    @classmethod
    def samples(cls) -> Samples:
        """Rows of 3, most of them added to several times."""
        return tuple(
            (cls(), (x, indices, x.with_shape(indices.shape + x.shape[1:])))
            for _, (x, indices) in Take.samples()
        )


@dataclass(frozen=True)
class Guard(Elementwise):
    """x, after recording a failure wherever the condition is false.

    `{x}` and `{index}` in the message become the value and the index that were found.
    """

    name = "guard"
    pure = False
    message: str
    size: Size | None = field(default=None, repr=False)  # {size} in the message; {last} is one less

    def infer(self, x: TensorType, condition: TensorType) -> TensorType:
        """The type of x; the condition is bool of the same shape."""
        self.check_shapes((x, condition))
        if condition.dtype != bool_:
            raise DTypeError(
                f"check: the condition must be bool, got {condition.dtype.name} (input 1)"
            )
        return x

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V, condition: V) -> tuple[V, None]:
        """The identity's."""
        return dy, None

    def evaluate(self, x: Array, condition: Array) -> Array:
        """x; raises where the condition is false."""
        if not np.all(condition):
            raise RuntimeCheckError(filled(with_size(self.message, self.size), x, condition))
        return x

    def emit(self, e: ScalarEmitter[S], x: S, condition: S) -> S:
        """x; the lowering emits the check."""
        return x

    @classmethod
    def samples(cls) -> Samples:
        """A condition beside every kind of dtype."""
        return tuple(
            (cls("failed"), (TensorType(dtype, (3, 5)), TensorType(bool_, (3, 5))))
            for dtype in (float32, int32, bool_)
        )


def checked_rows(name: str, indices: Array, size: int, axis: int | None = None) -> Array:
    """The indices as numpy wants them; raises where one is out of range."""
    text = out_of_range(name, np.asarray(indices), size, axis)
    if text:
        raise RuntimeCheckError(text)
    return np.asarray(indices, np.int64)


def scatter_to_zeros(f: ArrayFunctions[V], op: Op, x: V, indices: V, updates: V) -> V:
    """Updates added up at indices by a scatter, zeros elsewhere: the type of x."""
    return f.astype(f.apply(op, f.zeros_like(f.widened(x)), indices, f.widened(updates)), x.dtype)
