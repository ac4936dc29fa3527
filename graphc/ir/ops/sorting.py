"""Sorts and searches. NaN is larger than every number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.ir.dims import Size, bound
from graphc.ir.ops.base import Ordered, check_axis
from graphc.ir.ops.indexing import ADD, PutAlong
from graphc.ir.ops.op import ArrayFunctions, Samples, V
from graphc.ir.types import (
    Array,
    DType,
    TensorType,
    bool_,
    float16,
    float32,
    float64,
    int8,
    int32,
    int64,
    uint32,
)

LONG_SHAPES: tuple[tuple[tuple[int, ...], int], ...] = (
    ((3, 300), 1), ((200, 2), 0), ((1, 40011), 1), ((9000,), 0),
)  # fmt: skip
BOTH_WAYS = False, True
SAMPLE_DTYPES: tuple[DType, ...] = (bool_, int8, int64, uint32, float16, float64)


@dataclass(frozen=True)
class Sort(Ordered):
    """The elements along an axis in ascending (descending) order."""

    name = "sort"
    axis: int
    descending: bool = False

    def infer(self, x: TensorType) -> TensorType:
        """The type of x."""
        check_axis(self.name, self.axis, x)
        return x

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """Every share back to where its element was."""
        order = f.apply(ArgSort(self.axis, self.descending), x)
        return (f.apply(PutAlong(ADD, self.axis), f.zeros_like(x), order, dy),)

    def evaluate(self, x: Array) -> Array:
        """numpy's stable sort."""
        return np.take_along_axis(x, order_of(x, self.axis, self.descending), self.axis)

    def flops(self, out: TensorType, *types: TensorType) -> Size:
        """A few operations for every digit of every key."""
        return out.size * 6 * max(1, out.dtype.bits // 8)

    @classmethod
    def samples(cls) -> Samples:
        """Short, medium and long rows along every axis; every kind of dtype.

        Long rows have integers: close floats change places while a gradient is measured.
        """
        short: tuple[tuple[tuple[int, ...], int], ...] = (
            ((1,), 0), ((0,), 0), ((17,), 0), ((3, 0), 1), ((0, 3), 1), ((7, 3), 0), ((2, 3, 5), 1),
        )  # fmt: skip
        return tuple(
            [(cls(axis), (TensorType(float32, shape),)) for shape, axis in short]
            + [(cls(1, True), (TensorType(float32, (4, 9)),))]
            + [(cls(axis, True), (TensorType(int32, shape),)) for shape, axis in LONG_SHAPES]
            + [(cls(0, down), (TensorType(d, (33,)),)) for d in SAMPLE_DTYPES for down in BOTH_WAYS]
            + [(cls(0), (TensorType(d, (n,)),)) for d in SAMPLE_DTYPES[:-1] for n in (300, 9000)]
        )


@dataclass(frozen=True)
class ArgSort(Ordered):
    """Where the elements of the sorted axis are; equal ones in the order they have."""

    name = "argsort"
    axis: int
    descending: bool = False

    def infer(self, x: TensorType) -> TensorType:
        """int64 in the shape of x."""
        check_axis(self.name, self.axis, x)
        return x.with_dtype(int64)

    @property
    def differentiable(self) -> bool:
        """Indices have no gradient."""
        return False

    def evaluate(self, x: Array) -> Array:
        """numpy's stable argsort."""
        return order_of(x, self.axis, self.descending)

    def flops(self, out: TensorType, *types: TensorType) -> Size:
        """A few operations for every digit of every key."""
        return out.size * 8 * max(1, types[0].dtype.bits // 8)

    @classmethod
    def samples(cls) -> Samples:
        """Those of `Sort`, and long rows of floats."""
        some = tuple((cls(op.axis, op.descending), types) for op, types in Sort.samples())  # type: ignore[attr-defined]
        dtypes = float32, float64
        floats = [(axis, TensorType(d, shape)) for d in dtypes for shape, axis in LONG_SHAPES]
        return some + tuple((cls(axis, down), (t,)) for axis, t in floats for down in BOTH_WAYS)


def order_of(x: Array, axis: int, descending: bool) -> Array:
    """The stable order of an axis, NaN being larger than every number."""
    if x.dtype.kind not in "biuf":
        x = x.astype(np.float32)
    if not descending:
        return np.asarray(np.argsort(x, axis=axis, kind="stable"), np.int64)
    # sorted backwards, equal elements keep their order
    behind = np.argsort(np.flip(x, axis), axis=axis, kind="stable")
    return np.asarray(x.shape[axis] - 1 - np.flip(behind, axis), np.int64)


@dataclass(frozen=True)
class TopK(Ordered):
    """Where the first k elements of the sorted axis are: the largest in descending order."""

    name = "topk"
    k: Size
    axis: int
    largest: bool = True

    def infer(self, x: TensorType) -> TensorType:
        """int64, k along the axis."""
        check_axis(self.name, self.axis, x)
        size = x.shape[self.axis]
        if isinstance(self.k, int) and self.k < 0:
            raise ArgumentError(f"topk: k is 0 or more, got {self.k}")
        spare = bound(size - self.k)
        if isinstance(size, int) and isinstance(self.k, int) and self.k > size:
            raise ShapeError(f"topk: k = {self.k} of {size} elements (axis {self.axis} of {x})")
        if spare is None or spare < 0:
            raise ShapeError(
                f"topk: axis {self.axis} of {x} may have fewer than {self.k} elements",
                hint="say how many it has at least: gx.dim(name, min=...)",
            )
        return TensorType(int64, (*x.shape[: self.axis], self.k, *x.shape[self.axis + 1 :]))

    @property
    def differentiable(self) -> bool:
        """Indices have no gradient."""
        return False

    def evaluate(self, x: Array) -> Array:
        """The front of the order."""
        order = order_of(x, self.axis, self.largest)
        return np.take(order, np.arange(int(self.k)), axis=self.axis)  # type: ignore[arg-type]

    def flops(self, out: TensorType, *types: TensorType) -> Size:
        """A comparison of every element, and a sort of what is chosen."""
        return types[0].size * 4 + out.size * 64

    @classmethod
    def samples(cls) -> Samples:
        """None, one, all; short and long rows; both directions."""
        cases: tuple[tuple[int, int, tuple[int, ...], DType], ...] = (
            (0, 0, (5,), float32), (1, 0, (1,), float32), (3, 1, (4, 9), float32),
            (9, 1, (4, 9), float32), (2, 0, (7, 3), float32), (5, 1, (2, 300), float32),
            (300, 1, (2, 300), float32), (10, 0, (5000,), float32), (7, 1, (3, 700), int8),
            (3, 0, (1000,), float64), (20, 0, (9000,), bool_), (4, 0, (900, 2), float16),
        )  # fmt: skip
        return tuple(
            (cls(k, axis, largest), (TensorType(dtype, shape),))
            for k, axis, shape, dtype in cases
            for largest in (True, False)
        )


@dataclass(frozen=True)
class SearchSorted(Ordered):
    """How many elements of a sorted vector come before each value (or are equal to it, `right`)."""

    name = "searchsorted"
    right: bool = False
    domain: ClassVar[tuple[tuple[float, float], ...]] = ((1.0, 1.0), (-3.0, 3.0))

    def infer(self, x: TensorType, values: TensorType) -> TensorType:
        """int64 for every value."""
        if x.ndim != 1:
            raise ShapeError(f"searchsorted: needs a sorted vector, got {x} (input 0)")
        if x.dtype != values.dtype:
            raise DTypeError(
                f"searchsorted: dtypes differ: {x.dtype.name} (input 0)"
                f" vs {values.dtype.name} (input 1)",
                hint="convert one with astype",
            )
        return values.with_dtype(int64)

    @property
    def differentiable(self) -> bool:
        """Indices have no gradient."""
        return False

    def evaluate(self, x: Array, values: Array) -> Array:
        """numpy's searchsorted."""
        if x.dtype.kind not in "biuf":
            x, values = x.astype(np.float32), values.astype(np.float32)
        return np.asarray(
            np.searchsorted(x, values, side="right" if self.right else "left"), np.int64
        )

    def flops(self, out: TensorType, *types: TensorType) -> Size:
        """Some steps of halving."""
        return out.size * 32

    @classmethod
    def samples(cls) -> Samples:
        """Vectors of several lengths."""
        return tuple(
            (cls(right), (TensorType(float32, (n,)), TensorType(float32, shape)))
            for n, shape in ((0, (3,)), (1, ()), (16, (4, 5)), (17, (33,)))
            for right in (False, True)
        )
