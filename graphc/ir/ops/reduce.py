"""Reductions: many elements combined into one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from graphc.ir.dims import product
from graphc.ir.loops import combine as combines
from graphc.ir.loops.ir import Combine
from graphc.ir.loops.scalar import S, ScalarEmitter
from graphc.ir.ops.base import Op, Reduce
from graphc.ir.ops.op import ArrayFunctions, Samples, V
from graphc.ir.types import Array, DType, TensorType, bool_, float32, int32, int64, uint8

R = TypeVar("R", bound=Reduce)


def sampled(cls: type[Reduce], dtypes: tuple[DType, ...]) -> tuple[tuple[Op, Any], ...]:
    """Instances over the last, the first, the middle, all and no axes."""
    choices = ((1,), (0,)), ((0, 1, 2), (0, 2), (1,), (2,), ())
    shapes = ((3, 5), (2, 3, 7))
    return tuple(
        (cls(axes), (TensorType(dtype, shape),))
        for dtype in dtypes
        for shape, some in zip(shapes, choices)
        for axes in some
    )


def spread(f: ArrayFunctions[V], y: V, op: Reduce, x: V) -> V:
    """A reduced value repeated over the reduced axes."""
    kept = tuple(1 if i in op.axes else size for i, size in enumerate(x.shape))
    return f.broadcast_to(f.reshape(y, kept), x.shape)


def widened(e: ScalarEmitter[S], x: S) -> S:
    """16-bit floats as float32: their sums would lose everything but the first terms."""
    dtype = e.dtype(x)
    return e.cast(x, float32) if dtype.is_float and dtype.bits == 16 else x


def wide_dtype(x: Array) -> Any:
    """The numpy dtype to accumulate in."""
    return np.float32 if x.dtype.kind not in "biu" and x.dtype.itemsize == 2 else x.dtype


class Sum(Reduce):
    """The sum; 16-bit floats are added in float32."""

    name = "sum"
    kinds = "iuf"

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """The cotangent for every element."""
        return (spread(f, dy, self, x),)

    def evaluate(self, x: Array) -> Array:
        """numpy's sum."""
        with np.errstate(all="ignore"):
            return np.asarray(np.sum(x, axis=self.axes, dtype=wide_dtype(x)), x.dtype)

    def combine(self) -> Combine:
        """Addition."""
        return combines.SUM

    def emit(self, e: ScalarEmitter[S], x: S, index: S) -> tuple[S, ...]:
        """The element."""
        return (widened(e, x),)

    @classmethod
    def samples(cls) -> Samples:
        """Floats and integers."""
        return sampled(cls, (float32, int32))


class Prod(Reduce):
    """The product; 16-bit floats are multiplied in float32."""

    name = "prod"
    kinds = "iuf"

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """The product of the others, without a division: exact at zeros, in any order."""
        wide = f.widened(x)
        others = product_of_others(f, wide, self.axes)
        return (f.astype(spread(f, f.widened(dy), self, wide) * others, x.dtype),)

    def evaluate(self, x: Array) -> Array:
        """numpy's prod."""
        with np.errstate(all="ignore"):
            return np.asarray(np.prod(x, axis=self.axes, dtype=wide_dtype(x)), x.dtype)

    def combine(self) -> Combine:
        """Multiplication."""
        return combines.PROD

    def emit(self, e: ScalarEmitter[S], x: S, index: S) -> tuple[S, ...]:
        """The element."""
        return (widened(e, x),)

    @classmethod
    def samples(cls) -> Samples:
        """Floats and integers."""
        return sampled(cls, (float32, int32))


def product_of_others(f: ArrayFunctions[V], x: V, axes: tuple[int, ...]) -> V:
    """For every element, the product over `axes` of all elements but itself."""
    kept = tuple(i for i in range(x.ndim) if i not in axes)
    order = kept + axes
    count = product(x.shape[i] for i in axes)
    rows = tuple(x.shape[i] for i in kept)
    flat = f.reshape(f.permute_dims(x, order), (*rows, count))
    others = by_halves(f, flat) if isinstance(count, int) else by_pairs(f, flat)
    back = tuple(order.index(i) for i in range(x.ndim))
    return f.permute_dims(f.reshape(others, tuple(x.shape[i] for i in order)), back)


def by_halves(f: ArrayFunctions[V], x: V) -> V:
    """The products of the others along the last axis, with a tree of products: O(n)."""
    n = int(x.shape[-1])  # type: ignore[arg-type]
    if n <= 1:
        return f.ones_like(x)
    half = n // 2
    a, b, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
    above = by_halves(f, f.concat([a * b, rest], axis=-1))
    outside = above[..., :half]
    return f.concat([outside * b, outside * a, above[..., half:]], axis=-1)


def by_pairs(f: ArrayFunctions[V], x: V) -> V:
    """The products of the others along a last axis of unknown size n: O(n^2)."""
    n = x.shape[-1]
    square = f.broadcast_to(f.expand_dims(x, -2), (*x.shape, n))
    others = f.where(f.eye(n, dtype=bool_), 1.0, square)
    return f.apply(Prod((x.ndim,)), others)


def extreme_contribution(f: ArrayFunctions[V], y: V, dy: V, op: Reduce, x: V) -> V:
    """The cotangent divided evenly among the elements that equal the extreme (or are NaN)."""
    chosen = x == spread(f, y, op, x)
    if x.dtype.is_float:
        chosen = chosen | (x != x)
    dy = f.widened(dy)
    share = dy / f.apply(Sum(op.axes), f.astype(chosen, dy.dtype))
    return f.choose(chosen, spread(f, f.astype(share, x.dtype), op, x), 0.0)


@dataclass(frozen=True)
class Max(Reduce):
    """The largest element, NaN if there is one; ties share the gradient evenly.

    With `shift` it is what softmax and its kin take off the elements, so of none it is the least.
    """

    name = "max"
    kinds = "iuf"
    empty = False
    shift: bool = field(default=False, repr=False, compare=False)

    @property
    def takes_nothing(self) -> bool:
        """As a shift."""
        return self.shift

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """To the largest."""
        return (extreme_contribution(f, y, dy, self, x),)

    def evaluate(self, x: Array) -> Array:
        """numpy's max."""
        with np.errstate(all="ignore"):
            if self.shift:
                return np.asarray(np.max(x, axis=self.axes, initial=-np.inf))
            return np.asarray(np.max(x, axis=self.axes))

    def combine(self) -> Combine:
        """Maximum."""
        return combines.MAX

    @classmethod
    def samples(cls) -> Samples:
        """Floats and integers."""
        return sampled(cls, (float32, int32))


class FirstMax(Reduce):
    """The largest element, NaN if there is one; the first of several gets the gradient."""

    name = "first_max"
    kinds = "iuf"
    empty = False

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """To the first of the largest (or NaN); its position is kept in few bytes."""
        kept = tuple(s if i in self.axes else 1 for i, s in enumerate(x.shape))
        count = product(kept)
        dtype = uint8 if isinstance(count, int) and count < 256 else int32
        own = f.broadcast_to(f.reshape(f.arange(count, dtype=dtype), kept), x.shape)
        largest = (x == spread(f, y, self, x)) | (x != x)
        places = f.where(largest, own, f.literal(np.iinfo(dtype.numpy).max, dtype))
        first = f.apply(Min(self.axes), places)
        return (f.choose(spread(f, first, self, x) == own, spread(f, dy, self, x), 0.0),)

    def evaluate(self, x: Array) -> Array:
        """numpy's max."""
        with np.errstate(all="ignore"):
            return np.asarray(np.max(x, axis=self.axes))

    def combine(self) -> Combine:
        """Maximum."""
        return combines.MAX

    @classmethod
    def samples(cls) -> Samples:
        """Floats and integers."""
        return sampled(cls, (float32, int32))


class Min(Reduce):
    """The smallest element, NaN if there is one; ties share the gradient evenly."""

    name = "min"
    kinds = "iuf"
    empty = False

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """To the smallest."""
        return (extreme_contribution(f, y, dy, self, x),)

    def evaluate(self, x: Array) -> Array:
        """numpy's min."""
        with np.errstate(all="ignore"):
            return np.asarray(np.min(x, axis=self.axes))

    def combine(self) -> Combine:
        """Minimum."""
        return combines.MIN

    @classmethod
    def samples(cls) -> Samples:
        """Floats and integers."""
        return sampled(cls, (float32, int32))


class PiecewiseConstantReduce(Reduce):
    """A reduction whose gradient is 0 or undefined everywhere."""

    @property
    def differentiable(self) -> bool:
        """Flat between jumps."""
        return False


class Any_(PiecewiseConstantReduce):  # noqa: N801
    """Whether at least one element is true."""

    name = "any"
    kinds = "b"

    def evaluate(self, x: Array) -> Array:
        """numpy's any."""
        return np.asarray(np.any(x, axis=self.axes))

    def combine(self) -> Combine:
        """Logical or."""
        return combines.ANY

    @classmethod
    def samples(cls) -> Samples:
        """Truth values."""
        return sampled(cls, (bool_,))


class All(PiecewiseConstantReduce):
    """Whether all elements are true."""

    name = "all"
    kinds = "b"

    def evaluate(self, x: Array) -> Array:
        """numpy's all."""
        return np.asarray(np.all(x, axis=self.axes))

    def combine(self) -> Combine:
        """Logical and."""
        return combines.ALL

    @classmethod
    def samples(cls) -> Samples:
        """Truth values."""
        return sampled(cls, (bool_,))


class ArgReduce(PiecewiseConstantReduce):
    """The position of an extreme along the reduced axes, counted in row-major order."""

    kinds = "iuf"
    empty = False

    def result_dtype(self, dtype: DType) -> DType:
        """Positions are int64."""
        return int64

    def emit(self, e: ScalarEmitter[S], x: S, index: S) -> tuple[S, ...]:
        """The element and where it is."""
        return x, index

    def finish(self, e: ScalarEmitter[S], values: tuple[S, ...]) -> S:
        """Where the extreme is."""
        return values[1]

    def rows(self, x: Array) -> Array:
        """The array with all reduced axes as one last axis."""
        last = tuple(range(x.ndim - len(self.axes), x.ndim))
        moved = np.moveaxis(x, self.axes, last)
        count = int(np.prod([x.shape[a] for a in self.axes], dtype=np.int64))
        return moved.reshape(*moved.shape[: x.ndim - len(self.axes)], count)


class ArgMax(ArgReduce):
    """Where the largest element is, the first of several; the first NaN if there is one."""

    name = "argmax"

    def evaluate(self, x: Array) -> Array:
        """numpy's argmax."""
        return np.asarray(np.argmax(self.rows(x), axis=-1), np.int64)

    def combine(self) -> Combine:
        """Value and index."""
        return combines.ARGMAX

    @classmethod
    def samples(cls) -> Samples:
        """Floats and integers."""
        return sampled(cls, (float32, int32))


class ArgMin(ArgReduce):
    """Where the smallest element is, the first of several; the first NaN if there is one."""

    name = "argmin"

    def evaluate(self, x: Array) -> Array:
        """numpy's argmin."""
        return np.asarray(np.argmin(self.rows(x), axis=-1), np.int64)

    def combine(self) -> Combine:
        """Value and index."""
        return combines.ARGMIN

    @classmethod
    def samples(cls) -> Samples:
        """Floats and integers."""
        return sampled(cls, (float32, int32))
