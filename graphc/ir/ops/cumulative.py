"""Running sums, products and extremes along an axis, and the recurrence behind their gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from graphc.errors import DTypeError, ShapeError
from graphc.ir.dims import Size
from graphc.ir.loops import combine as combines
from graphc.ir.loops.ir import Combine
from graphc.ir.ops.base import Ordered, check_axis, kinds_text
from graphc.ir.ops.gather import scatter_to_zeros
from graphc.ir.ops.indexing import ADD, PutAlong
from graphc.ir.ops.op import ArrayFunctions, Samples, V
from graphc.ir.ops.view import Pad
from graphc.ir.types import Array, TensorType, float32, float64, int32, int64


@dataclass(frozen=True)
class Cumulative(Ordered):
    """result[..., i, ...] combines x[..., 0, ...] to x[..., i, ...] along an axis."""

    axis: int
    kinds: ClassVar[str] = "iuf"
    ufunc: ClassVar[Any]

    def infer(self, x: TensorType) -> TensorType:
        """The type of x."""
        check_axis(self.name, self.axis, x)
        if x.dtype.kind not in self.kinds:
            raise DTypeError(
                f"{self.name}: needs {kinds_text(self.kinds)}, got {x.dtype.name} (input 0)"
            )
        return x

    def evaluate(self, x: Array) -> Array:
        """numpy's accumulate, of floats in float64."""
        wide = x.dtype if x.dtype.kind in "iu" else np.float64
        result = self.ufunc.accumulate(x.astype(wide), axis=self.axis, dtype=wide)
        return np.asarray(result.astype(x.dtype))

    def flops(self, out: TensorType, *types: TensorType) -> Size:
        """One per element."""
        return out.size

    def combine(self) -> Combine:
        """How elements are merged (graphc.ir.loops.combine)."""
        raise NotImplementedError

    @classmethod
    def samples(cls) -> Samples:
        """Every axis, nothing, integers, and a row of several chunks."""
        shapes: tuple[tuple[tuple[int, ...], int], ...] = (
            ((1,), 0), ((17,), 0), ((0,), 0), ((3, 5), 0), ((3, 5), 1), ((2, 7, 33), 1),
            ((2, 1, 5), 1), ((3, 0), 0),
        )  # fmt: skip
        floats = tuple((cls(axis), (TensorType(float32, s),)) for s, axis in shapes)
        others = tuple((cls(0), (TensorType(d, (11, 3)),)) for d in (float64, int32))
        return (*floats, *others, (cls(1), (TensorType(int32, (2, 5003)),)))


class CumulativeSum(Cumulative):
    """Running sums."""

    name = "cumulative_sum"
    ufunc = np.add

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """Running sums from the end."""
        return (f.flip(f.apply(self, f.flip(dy, self.axis)), self.axis),)

    def combine(self) -> Combine:
        """Addition."""
        return combines.SUM


class CumulativeProd(Cumulative):
    """Running products."""

    name = "cumulative_prod"
    ufunc = np.multiply
    domain: ClassVar[tuple[tuple[float, float], ...]] = ((-1.4, 1.4),)

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """The product before x_j times s_j = dy_j + x_(j+1) s_(j+1): nothing is divided."""
        before = shifted(f, y, self.axis, 1, 1.0)
        factors = f.flip(shifted(f, x, self.axis, -1, 0.0), self.axis)
        after = f.apply(Recurrence(self.axis), factors, f.flip(dy, self.axis))
        return (before * f.flip(after, self.axis),)

    def combine(self) -> Combine:
        """Multiplication."""
        return combines.PROD


class CumulativeExtreme(Cumulative):
    """Running extremes; the gradient goes to the first element that attains each."""

    def is_record(self, x: V, before: V) -> V:
        """Whether x is better than the best before it."""
        raise NotImplementedError

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """Each share to where the extreme of that moment stands."""
        worst = self.combine().identities(x.dtype)[0]
        before = shifted(f, y, self.axis, 1, worst)
        record = self.is_record(x, before)
        if x.dtype.is_float:
            first_nan = f.logical_and(x != x, f.logical_not(before != before))
            record = f.logical_or(record, first_nan)
        place = f.where(record, f.iota(x.shape, self.axis, int64), f.literal(0, int64))
        source = f.apply(CumulativeMax(self.axis), place)
        return (scatter_to_zeros(f, PutAlong(ADD, self.axis), x, source, dy),)


class CumulativeMax(CumulativeExtreme):
    """Running maxima; NaN from the first NaN on."""

    name = "cumulative_max"
    ufunc = np.maximum

    def is_record(self, x: V, before: V) -> V:
        """Larger."""
        return x > before

    def combine(self) -> Combine:
        """Maximum."""
        return combines.MAX


class CumulativeMin(CumulativeExtreme):
    """Running minima; NaN from the first NaN on."""

    name = "cumulative_min"
    ufunc = np.minimum

    def is_record(self, x: V, before: V) -> V:
        """Smaller."""
        return x < before

    def combine(self) -> Combine:
        """Minimum."""
        return combines.MIN


@dataclass(frozen=True)
class Recurrence(Ordered):
    """y_i = a_i y_(i-1) + b_i along an axis, y_(-1) = 0."""

    name = "recurrence"
    axis: int
    domain: ClassVar[tuple[tuple[float, float], ...]] = ((-1.2, 1.2), (-3.0, 3.0))

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        """The one type of both."""
        check_axis(self.name, self.axis, a)
        if a.shape != b.shape:
            raise ShapeError(f"recurrence: shapes differ: {a} (input 0) vs {b} (input 1)")
        if a.dtype != b.dtype or a.dtype.kind == "b":
            raise DTypeError(f"recurrence: needs one dtype of numbers, got {a} and {b}")
        return a

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, a: V, b: V) -> tuple[V, V]:
        """g_i = dy_i + a_(i+1) g_(i+1), the same recurrence from the end; y before it for a."""
        factors = f.flip(shifted(f, a, self.axis, -1, 0.0), self.axis)
        g = f.flip(f.apply(self, factors, f.flip(dy, self.axis)), self.axis)
        return g * shifted(f, y, self.axis, 1, 0.0), g

    def evaluate(self, a: Array, b: Array) -> Array:
        """Step by step."""
        factors, terms = np.moveaxis(a, self.axis, 0), np.moveaxis(b, self.axis, 0)
        result = np.array(terms)
        for i in range(1, len(result)):
            result[i] += factors[i] * result[i - 1]
        return np.moveaxis(result, 0, self.axis)

    def flops(self, out: TensorType, *types: TensorType) -> Size:
        """Two per element."""
        return 2 * out.size

    @classmethod
    def samples(cls) -> Samples:
        """Every axis, nothing, integers."""
        shapes: tuple[tuple[tuple[int, ...], int], ...] = (
            ((1,), 0), ((17,), 0), ((0,), 0), ((3, 5), 0), ((3, 5), 1), ((2, 7, 33), 1),
        )  # fmt: skip
        floats = tuple((cls(axis), (TensorType(float32, s),) * 2) for s, axis in shapes)
        return (*floats, (cls(0), (TensorType(int32, (11, 3)),) * 2))


def shifted(f: ArrayFunctions[V], x: V, axis: int, by: int, fill: float) -> V:
    """x moved along an axis by one (by = 1: to the back, -1: to the front), `fill` coming in."""
    size = x.shape[axis]
    if size == 0:
        return x
    width = tuple(1 if i == axis else 0 for i in range(x.ndim))
    none = (0,) * x.ndim
    before, after = (width, none) if by > 0 else (none, width)
    pad = Pad(before, after, (1,) * x.ndim)
    if isinstance(size, int):
        moved = f.apply(pad, f.narrow(x, axis, 0 if by > 0 else 1, size - 1))
    else:  # there may be no element to leave out first
        moved = f.narrow(f.apply(pad, x), axis, 0 if by > 0 else 1, size)
    if not fill:
        return moved
    edge = f.iota(x.shape, axis, int64) == (0 if by > 0 else size - 1)
    return f.choose(edge, f.literal(fill, x.dtype), moved)
