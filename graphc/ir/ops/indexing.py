"""Gathers and scatters along an axis or of whole rows; first occurrences of indices.

`TakeAlong` and `PutAlong("add")` are each other's transposes, as `Take` and `ScatterAdd` are.
Indices count from the end where negative; out of range is a checked failure at run time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from graphc.errors import DTypeError, ShapeError
from graphc.ir.dims import Size
from graphc.ir.ops.base import Gather, Ordered, Scatter, check_axis, kinds_text
from graphc.ir.ops.gather import ScatterAdd, Take, checked_rows, scatter_to_zeros
from graphc.ir.ops.op import ArrayFunctions, Samples, V
from graphc.ir.types import Array, TensorType, bool_, float32, int32, int64

Domain = tuple[tuple[float, float], ...]

SET, ADD, MUL, MIN, MAX = MODES = ("set", "add", "mul", "min", "max")
_UFUNCS: dict[str, Any] = {ADD: np.add, MUL: np.multiply, MIN: np.minimum, MAX: np.maximum}


def check_indices(name: str, indices: TensorType) -> None:
    """Raise unless the indices are integers."""
    if not indices.dtype.is_integer:
        raise DTypeError(f"{name}: indices must be integers, got {indices.dtype.name} (input 1)")


@dataclass(frozen=True)
class TakeAlong(Gather):
    """result[..., i, ...] = x[..., indices[..., i, ...], ...] along an axis."""

    name = "take_along_axis"
    axis: int
    domain: ClassVar[Domain] = ((-4.0, 4.0), (-3.0, 2.0))

    def infer(self, x: TensorType, indices: TensorType) -> TensorType:
        """The shape of the indices, which is that of x outside the axis."""
        check_indices(self.name, indices)
        check_axis(self.name, self.axis, x)
        check_alike(self.name, self.axis, x, indices)
        return TensorType(x.dtype, indices.shape)

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V, indices: V) -> tuple[V, None]:
        """Scatter-add the cotangents at the same indices."""
        return scatter_to_zeros(f, PutAlong(ADD, self.axis), x, indices, dy), None

    def evaluate(self, x: Array, indices: Array) -> Array:
        """numpy's take_along_axis."""
        return np.take_along_axis(x, checked(self, x, indices), self.axis)

    @classmethod
    def samples(cls) -> Samples:
        """Rows of 3 in several places."""
        return tuple(
            (cls(axis), (TensorType(float32, x), TensorType(kind, i)))
            for axis, x, i in (
                (0, (3,), (7,)), (1, (4, 3), (4, 5)), (0, (3, 5), (2, 5)),
                (1, (2, 3, 5), (2, 7, 5)), (0, (3, 2), (0, 2)), (1, (0, 3), (0, 4)),
            )
            for kind in (int32, int64)
        )  # fmt: skip


def check_alike(name: str, axis: int, x: TensorType, indices: TensorType) -> None:
    """Raise unless the shapes agree outside an axis."""
    if x.ndim != indices.ndim:
        raise ShapeError(f"{name}: ranks differ: {x} (input 0) vs {indices} (input 1)")
    for i, (n, m) in enumerate(zip(x.shape, indices.shape)):
        if i != axis and n != m:
            raise ShapeError(
                f"{name}: sizes differ outside axis {axis}: {n} (axis {i} of input 0)"
                f" vs {m} (axis {i} of input 1)"
            )


def checked(op: TakeAlong | PutAlong, x: Array, indices: Array) -> Array:
    """The indices as numpy wants them; raises where one is out of range."""
    return checked_rows(op.name, indices, x.shape[op.axis], op.axis)


@dataclass(frozen=True)
class Put(Scatter):
    """x with updates put at indices, one after the other in ascending order.

    `mode` says what becomes of what is there: it is set, or the update is added, multiplied, or
    the smaller (larger) one stays. Of several that are set at one place the last one stays.
    """

    mode: str

    def check(self, x: TensorType, indices: TensorType, updates: TensorType, shape: Any) -> None:
        """Raise unless dtypes fit and the updates have the wanted shape."""
        check_indices(self.name, indices)
        if updates.dtype != x.dtype:
            raise DTypeError(
                f"{self.name}: dtypes differ: {x.dtype.name} (input 0)"
                f" vs {updates.dtype.name} (input 2)",
                hint="convert the updates with astype",
            )
        if self.mode != SET and x.dtype.kind == "b":
            wanted = kinds_text("iuf")
            raise DTypeError(f"{self.name}: {self.mode} needs {wanted}, got bool (input 0)")
        if updates.shape != shape:
            wanted = str(TensorType(x.dtype, shape))
            raise ShapeError(f"{self.name}: updates must be {wanted}, got {updates} (input 2)")

    def put(self, f: ArrayFunctions[V], mode: str, x: V, indices: V, updates: V) -> V:
        """The same with another mode."""
        raise NotImplementedError

    def take(self, f: ArrayFunctions[V], x: V, indices: V) -> V:
        """What is at the indices."""
        raise NotImplementedError

    def is_last(self, f: ArrayFunctions[V], x: V, indices: V, updates: V) -> V:
        """Whether an update is the last one at its place."""
        raise NotImplementedError

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V, indices: V, u: V) -> tuple[V, None, V]:
        """By mode; extremes share evenly, products are exact at zeros."""
        match self.mode:
            case "set":
                return self._vjp_set(f, dy, x, indices, u)
            case "add":
                return dy, None, self.take(f, dy, indices)
        wide = [f.widened(t) for t in (dy, x, u)]  # counts, products and shares are rounded once
        if self.mode == "mul":
            for_x, _, for_u = self._vjp_mul(f, wide[0], wide[1], indices, wide[2])
        else:
            for_x, _, for_u = self._vjp_extreme(f, f.widened(y), wide[0], wide[1], indices, wide[2])
        return f.astype(for_x, x.dtype), None, f.astype(for_u, u.dtype)

    def _vjp_set(self, f: ArrayFunctions[V], dy: V, x: V, indices: V, u: V) -> tuple[V, None, V]:
        kept = self.put(f, SET, dy, indices, f.zeros_like(u))
        return kept, None, f.where(self.is_last(f, x, indices, u), self.take(f, dy, indices), 0.0)

    def _vjp_mul(self, f: ArrayFunctions[V], dy: V, x: V, indices: V, u: V) -> tuple[V, None, V]:
        """The product of the others at one place: of those that are not 0, if none of them is."""
        zero = u == 0
        some = f.where(zero, 1.0, u)
        factors = self.put(f, MUL, f.ones_like(x), indices, some)
        zeros = self.put(f, ADD, f.zeros_like(x), indices, f.astype(zero, x.dtype))
        for_x = f.where(zeros == 0, dy * factors, 0.0)
        others = self.take(f, zeros, indices) - f.astype(zero, x.dtype)
        shares = self.take(f, dy * x * factors, indices) / some
        return for_x, None, f.where(others == 0, shares, 0.0)

    def _vjp_extreme(
        self, f: ArrayFunctions[V], y: V, dy: V, x: V, indices: V, u: V
    ) -> tuple[V, None, V]:
        mine, theirs = x == y, u == self.take(f, y, indices)
        if x.dtype.is_float:  # an extreme that is NaN is that of the NaNs
            mine, theirs = mine | (x != x), theirs | (u != u)
        mine, theirs = f.astype(mine, x.dtype), f.astype(theirs, x.dtype)
        contribution = dy / self.put(f, ADD, mine, indices, theirs)
        return contribution * mine, None, self.take(f, contribution, indices) * theirs


@dataclass(frozen=True)
class PutAlong(Put):
    """x with updates put along an axis: at x[..., indices[..., i, ...], ...]."""

    name = "put_along_axis"
    axis: int
    domain: ClassVar[Domain] = ((-4.0, 4.0), (-3.0, 2.0), (-4.0, 4.0))

    def infer(self, x: TensorType, indices: TensorType, updates: TensorType) -> TensorType:
        """The type of x."""
        check_axis(self.name, self.axis, x)
        check_alike(self.name, self.axis, x, indices)
        self.check(x, indices, updates, indices.shape)
        return x

    def put(self, f: ArrayFunctions[V], mode: str, x: V, indices: V, updates: V) -> V:
        """Along the same axis."""
        return f.apply(PutAlong(mode, self.axis), x, indices, updates)

    def take(self, f: ArrayFunctions[V], x: V, indices: V) -> V:
        """Along the same axis."""
        return f.apply(TakeAlong(self.axis), x, indices)

    def is_last(self, f: ArrayFunctions[V], x: V, indices: V, updates: V) -> V:
        """By the number along the axis of the last update at each place."""
        number = f.iota(indices.shape, self.axis, int64)
        last = self.put(f, SET, f.zeros(x.shape, int64), indices, number)
        return self.take(f, last, indices) == number

    def evaluate(self, x: Array, indices: Array, updates: Array) -> Array:
        """numpy's assignment, or an unbuffered function."""
        result = np.array(x)
        places: list[Any] = list(np.indices(indices.shape, sparse=True))
        places[self.axis] = checked(self, x, indices)
        apply_at(result, tuple(places), updates, self.mode)
        return result

    @classmethod
    def samples(cls) -> Samples:
        """Every mode; several updates at one place."""
        cases = [
            (TakeAlong.samples()[n], mode)
            for mode in MODES
            for n in ((0, 3, 4, 7, 8, 10) if mode == ADD else (1, 2, 6))
        ]
        floats = [
            (cls(mode, op.axis), (x, indices, x.with_shape(indices.shape)))  # type: ignore[attr-defined]
            for (op, (x, indices)), mode in cases
        ]
        x, i = TensorType(bool_, (4, 3)), TensorType(int32, (4, 2))
        return (*floats, (cls(SET, 1), (x, i, x.with_shape(i.shape))))


class PutRows(Put):
    """x with rows put at indices of any rank: updates.shape == indices.shape + x.shape[1:]."""

    name = "put_rows"
    domain: ClassVar[Domain] = ((-4.0, 4.0), (-3.0, 2.0), (-4.0, 4.0))

    def infer(self, x: TensorType, indices: TensorType, updates: TensorType) -> TensorType:
        """The type of x."""
        if not x.shape:
            raise ShapeError("put_rows: input 0 has no axis to put rows into")
        self.check(x, indices, updates, indices.shape + x.shape[1:])
        return x

    def put(self, f: ArrayFunctions[V], mode: str, x: V, indices: V, updates: V) -> V:
        """Rows."""
        op = ScatterAdd() if mode == ADD else PutRows(mode)
        return f.apply(op, x, indices, updates)

    def take(self, f: ArrayFunctions[V], x: V, indices: V) -> V:
        """Rows."""
        return f.apply(Take(), x, indices)

    def is_last(self, f: ArrayFunctions[V], x: V, indices: V, updates: V) -> V:
        """By the number of the last update of each row."""
        count = indices.size
        number = f.reshape(f.iota((count,), 0, int64), indices.shape)
        last = self.put(f, SET, f.zeros((x.shape[0],), int64), indices, number)
        here = self.take(f, last, indices) == number
        columns = (1,) * (updates.ndim - indices.ndim)
        return f.broadcast_to(f.reshape(here, indices.shape + columns), updates.shape)

    def evaluate(self, x: Array, indices: Array, updates: Array) -> Array:
        """numpy's assignment, or an unbuffered function."""
        result = np.array(x)
        apply_at(result, (checked_rows(self.name, indices, len(x)),), updates, self.mode)
        return result

    @classmethod
    def samples(cls) -> Samples:
        """Every mode but add, which is `ScatterAdd`."""
        return tuple(
            (cls(mode), (x, indices, x.with_shape(indices.shape + x.shape[1:])))
            for mode in MODES
            if mode != ADD
            for _, (x, indices) in Take.samples()[:6:2]
        )


def apply_at(result: Array, places: tuple[Array, ...], updates: Array, mode: str) -> None:
    """Put updates into an array, one after the other."""
    if mode == SET:
        flat = [np.broadcast_to(p, updates.shape[: p.ndim]).reshape(-1) for p in places]
        rows = updates.reshape(flat[0].size, *result.shape[len(places) :])
        for k in range(flat[0].size):
            result[tuple(p[k] for p in flat)] = rows[k]
        return
    with np.errstate(all="ignore"):
        _UFUNCS[mode].at(result, places, updates)


@dataclass(frozen=True)
class FirstOccurrence(Ordered):
    """result[k] = the least j with indices[j] == indices[k]; indices count from 0 to size - 1.

    Negative indices count from the end.
    """

    name = "first_same"
    indices = 0
    size: Size
    domain: ClassVar[Domain] = ((-5.0, 4.0),)

    def infer(self, indices: TensorType) -> TensorType:
        """int64 for every index."""
        if not indices.dtype.is_integer:
            raise DTypeError(f"first_same: needs integers, got {indices.dtype.name} (input 0)")
        if indices.ndim != 1:
            raise ShapeError(f"first_same: needs one axis, got {indices} (input 0)")
        return indices.with_dtype(int64)

    @property
    def differentiable(self) -> bool:
        """Indices have no gradient."""
        return False

    def evaluate(self, indices: Array) -> Array:
        """numpy's unique."""
        size = int(self.size)  # type: ignore[arg-type]
        rows = checked_rows(self.name, indices, size) % max(size, 1)
        _, first, inverse = np.unique(rows, return_index=True, return_inverse=True)
        return np.asarray(first[inverse.reshape(-1)], np.int64)

    @classmethod
    def samples(cls) -> Samples:
        """Few and many of 5."""
        return tuple(
            (cls(5), (TensorType(kind, (n,)),)) for n in (0, 1, 17) for kind in (int32, int64)
        )
