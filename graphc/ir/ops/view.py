"""Views: the same elements under another index; no data is moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from graphc.errors import ShapeError
from graphc.ir.dims import Size, Sizes, divide_exactly, product
from graphc.ir.loops.ir import Expr, all_of
from graphc.ir.ops.base import View
from graphc.ir.ops.op import ArrayFunctions, Samples, V
from graphc.ir.ops.reduce import Sum
from graphc.ir.types import Array, TensorType, float32, int64

if TYPE_CHECKING:
    from graphc.ir.loops.expression import ExprEmitter

Indices = tuple[Expr, ...]


@dataclass(frozen=True)
class BroadcastTo(View):
    """Repeat along new leading axes and along axes of size 1."""

    name = "broadcast_to"
    shape: Sizes

    def infer(self, x: TensorType) -> TensorType:
        """The shape asked for; x's sizes are the last of them, or 1."""
        missing = len(self.shape) - x.ndim
        if missing < 0:
            raise ShapeError(f"broadcast_to: {x} has more axes than {shape_text(self.shape)}")
        for axis, size in enumerate(x.shape):
            if size != 1 and size != self.shape[axis + missing]:
                raise ShapeError(
                    f"broadcast_to: {size} (axis {axis} of input 0) is neither 1 nor"
                    f" {self.shape[axis + missing]} (axis {axis + missing} of"
                    f" {shape_text(self.shape)})"
                )
        return x.with_shape(self.shape)

    def repeated(self, source: Sizes) -> tuple[int, ...]:
        """The axes of the result along which elements repeat."""
        missing = len(self.shape) - len(source)
        return tuple(
            axis
            for axis, size in enumerate(self.shape)
            if axis < missing or (source[axis - missing] == 1 and size != 1)
        )

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """Sum over the repeated axes."""
        return (f.reshape(f.apply(Sum(self.repeated(x.shape)), dy), x.shape),)

    def evaluate(self, x: Array) -> Array:
        """numpy's broadcast_to."""
        return np.broadcast_to(x, self.shape)  # type: ignore[arg-type]

    def source_index(
        self, e: ExprEmitter, at: Indices, source: TensorType, out: TensorType
    ) -> tuple[Indices, Expr | None]:
        """0 along repeated axes."""
        zero = e.const(0, int64)
        own = at[len(at) - source.ndim :]
        return tuple(zero if s == 1 else i for i, s in zip(own, source.shape)), None

    @classmethod
    def samples(cls) -> Samples:
        """New axes, axes of size 1, both, nothing."""
        shapes: tuple[tuple[Sizes, Sizes], ...] = (
            ((), (3,)), ((5,), (3, 5)), ((3, 1), (3, 4)), ((1, 3, 1), (2, 5, 3, 4)),
            ((3,), (3,)), ((1,), (0,)), ((0, 1), (0, 3)), ((1, 1), (1, 1)),
        )  # fmt: skip
        return tuple((cls(new), (TensorType(float32, old),)) for old, new in shapes)


def shape_text(shape: Sizes) -> str:
    """A shape as in tensor types."""
    return f"[{','.join(map(str, shape))}]"


@dataclass(frozen=True)
class Reshape(View):
    """The same elements in row-major order in another shape of equal size."""

    name = "reshape"
    shape: Sizes

    def infer(self, x: TensorType) -> TensorType:
        """The shape asked for; it has as many elements."""
        if x.size != product(self.shape):
            raise ShapeError(
                f"reshape: {x} has {x.size} elements (input 0) and"
                f" {shape_text(self.shape)} has {product(self.shape)}"
            )
        return x.with_shape(self.shape)

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """Back to the shape of x."""
        return (f.reshape(dy, x.shape),)

    def evaluate(self, x: Array) -> Array:
        """numpy's reshape."""
        return np.reshape(x, self.shape)  # type: ignore[arg-type]

    def source_index(
        self, e: ExprEmitter, at: Indices, source: TensorType, out: TensorType
    ) -> tuple[Indices, Expr | None]:
        """Group by group of axes with equal products; divisions only inside a group."""
        index: list[Expr] = [e.const(0, int64)] * source.ndim
        for old, new in axis_groups(source.shape, out.shape):
            position = flat_index(e, [at[i] for i in new], [out.shape[i] for i in new])
            for axis in reversed(old[1:]):
                index[axis] = e.modulo(position, source.shape[axis])
                position = e.over(position, source.shape[axis])
            if old:
                index[old[0]] = position
        return tuple(index), None

    @classmethod
    def samples(cls) -> Samples:
        """Merging, splitting, both, axes of size 1 and 0."""
        shapes: tuple[tuple[Sizes, Sizes], ...] = (
            ((2, 3, 5), (30,)), ((30,), (2, 3, 5)), ((2, 3, 5), (6, 5)), ((4, 6), (3, 8)),
            ((6, 4), (2, 3, 4)), ((1, 3, 1), (3,)), ((3,), (1, 3, 1)), ((), (1, 1)), ((1,), ()),
            ((0, 3), (0,)), ((0, 3), (7, 0)), ((2, 6, 1, 5), (4, 3, 5)), ((4, 3, 5), (2, 6, 5)),
        )  # fmt: skip
        return tuple((cls(new), (TensorType(float32, old),)) for old, new in shapes)


Group = tuple[list[int], list[int]]


def axis_groups(old: Sizes, new: Sizes) -> list[Group]:
    """Split the axes of two shapes of equal size into the shortest groups of equal products.

    Axes of size 1 are in no group. A group that cannot be told to end goes on to the last axis.
    """
    olds = [i for i, size in enumerate(old) if size != 1]
    news = [i for i, size in enumerate(new) if size != 1]
    if 0 in old:
        return [(olds, news)]
    groups: list[Group] = []
    while olds or news:
        group: Group = ([], [])
        left: Size = 1
        right: Size = 1
        while not group[0] or left != right:
            if news and (not olds or (group[0] and grows_second(left, right))):
                group[1].append(news.pop(0))
                right = right * new[group[1][-1]]
            else:
                group[0].append(olds.pop(0))
                left = left * old[group[0][-1]]
        groups.append(group)
    return groups


def grows_second(left: Size, right: Size) -> bool:
    """Whether the second of two unequal products is the one that must grow."""
    if isinstance(left, int) and isinstance(right, int):
        return right < left
    return divide_exactly(left, right) is not None or divide_exactly(right, left) is None


def flat_index(e: ExprEmitter, at: list[Expr], shape: list[Size]) -> Expr:
    """The row-major position of an index."""
    position: Expr | None = None
    for i, size in zip(at, shape):
        position = i if position is None else e.add(e.times(position, size), i)
    return e.const(0, int64) if position is None else position


@dataclass(frozen=True)
class Permute(View):
    """Axis i of the result is axis `axes[i]` of the input."""

    name = "permute_dims"
    axes: tuple[int, ...]

    def infer(self, x: TensorType) -> TensorType:
        """The sizes in the new order."""
        if sorted(self.axes) != list(range(x.ndim)):
            raise ShapeError(
                f"permute_dims: {self.axes} is no order of the {x.ndim} axes of {x} (input 0)"
            )
        return x.with_shape(tuple(x.shape[i] for i in self.axes))

    @property
    def inverse(self) -> tuple[int, ...]:
        """The order that undoes this one."""
        return tuple(self.axes.index(i) for i in range(len(self.axes)))

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """The inverse order."""
        return (f.permute_dims(dy, self.inverse),)

    def evaluate(self, x: Array) -> Array:
        """numpy's transpose."""
        return np.transpose(x, self.axes)

    def source_index(
        self, e: ExprEmitter, at: Indices, source: TensorType, out: TensorType
    ) -> tuple[Indices, Expr | None]:
        """The same indices in the other order."""
        return tuple(at[i] for i in self.inverse), None

    @classmethod
    def samples(cls) -> Samples:
        """Several ranks."""
        orders: tuple[tuple[int, ...], ...] = (
            (), (0,), (1, 0), (0, 1), (2, 0, 1), (1, 2, 0), (0, 3, 1, 2), (3, 2, 1, 0),
        )  # fmt: skip
        return tuple(
            (cls(axes), (TensorType(float32, (2, 3, 5, 1)[: len(axes)]),)) for axes in orders
        )


@dataclass(frozen=True)
class Slice(View):
    """result[i, ...] = x[starts[0] + i * steps[0], ...] for i below sizes[0]; steps are not 0."""

    name = "slice"
    starts: Sizes
    sizes: Sizes
    steps: tuple[int, ...]

    def infer(self, x: TensorType) -> TensorType:
        """The sizes; they must lie inside x."""
        for axis, (start, size, step) in enumerate(zip(self.starts, self.sizes, self.steps)):
            if isinstance(size, int) and size < 0:
                raise ShapeError(f"slice: {size} elements (axis {axis}) of {x} (input 0)")
            if size == 0:
                continue
            first, last = start, start + (size - 1) * step
            for end in (first, last):
                if isinstance(end, int) and end < 0:
                    raise ShapeError(f"slice: index {end} (axis {axis}) is before {x} (input 0)")
                beyond = x.shape[axis] - end
                if isinstance(beyond, int) and beyond <= 0:
                    raise ShapeError(f"slice: index {end} (axis {axis}) is beyond {x} (input 0)")
        return x.with_shape(self.sizes)

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """Zeros elsewhere."""
        backwards = tuple(axis for axis, step in enumerate(self.steps) if step < 0)
        lasts = tuple(s + (n - 1) * k for s, n, k in zip(self.starts, self.sizes, self.steps))
        low = tuple(a if k > 0 else b for a, b, k in zip(self.starts, lasts, self.steps))
        high = tuple(b if k > 0 else a for a, b, k in zip(self.starts, lasts, self.steps))
        after = tuple(n - h - 1 for n, h in zip(x.shape, high))
        steps = tuple(abs(k) for k in self.steps)
        return (f.apply(Pad(low, after, steps), f.flip(dy, backwards)),)

    def evaluate(self, x: Array) -> Array:
        """numpy's indexing with explicit positions."""
        self.infer(TensorType(float32, x.shape))
        for axis, (start, size, step) in enumerate(zip(self.starts, self.sizes, self.steps)):
            positions = int(start) + np.arange(int(size)) * step  # type: ignore[arg-type]
            x = np.take(x, positions, axis=axis)
        return x

    def source_index(
        self, e: ExprEmitter, at: Indices, source: TensorType, out: TensorType
    ) -> tuple[Indices, Expr | None]:
        """start + i * step."""
        parts = zip(at, self.starts, self.steps)
        return tuple(e.add(e.times(i, k), e.extent(start)) for i, start, k in parts), None

    @classmethod
    def samples(cls) -> Samples:
        """Steps of both signs, nothing, everything."""
        type = TensorType(float32, (7, 5))
        return (
            (cls((1, 0), (3, 5), (1, 1)), (type,)),
            (cls((6, 0), (4, 2), (-2, 3)), (type,)),
            (cls((0, 4), (7, 5), (1, -1)), (type,)),
            (cls((2, 1), (0, 1), (1, 2)), (type,)),
            (cls((), (), ()), (TensorType(float32, ()),)),
        )


@dataclass(frozen=True)
class Pad(View):
    """Zeros around and between: x[i] lies at before + i * step; the transpose of `Slice`.

    The size of an axis is before + (n - 1) * step + 1 + after.
    """

    name = "pad"
    before: Sizes
    after: Sizes
    steps: tuple[int, ...]

    def infer(self, x: TensorType) -> TensorType:
        """The padded sizes."""
        shape = tuple(
            b + (n - 1) * k + 1 + a
            for b, n, k, a in zip(self.before, x.shape, self.steps, self.after)
        )
        for axis, (b, a, size) in enumerate(zip(self.before, self.after, shape)):
            wrong = [p for p in (b, size) if isinstance(p, int) and p < 0]
            if x.shape[axis] != 0 and isinstance(a, int) and a < 0:
                wrong.append(a)
            if wrong:
                raise ShapeError(
                    f"pad: {wrong[0]} (axis {axis} of input 0) is negative",
                    hint=f"what is named or put lies inside the {size} elements of the axis",
                )
        return x.with_shape(shape)

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """The slice that holds x."""
        return (f.apply(Slice(self.before, x.shape, self.steps), dy),)

    def evaluate(self, x: Array) -> Array:
        """Assignment into zeros."""
        shape = self.infer(TensorType(float32, x.shape)).shape
        result = np.zeros(tuple(map(int, shape)), x.dtype)  # type: ignore[arg-type]
        if x.size:
            places = [
                int(b) + np.arange(n) * k  # type: ignore[arg-type]
                for b, n, k in zip(self.before, x.shape, self.steps)
            ]
            result[np.ix_(*places)] = x
        return result

    def source_index(
        self, e: ExprEmitter, at: Indices, source: TensorType, out: TensorType
    ) -> tuple[Indices, Expr | None]:
        """(i - before) / step, where that is whole and inside."""
        zero = e.const(0, int64)
        index: list[Expr] = []
        inside: list[Expr] = []
        for axis, (i, start, step) in enumerate(zip(at, self.before, self.steps)):
            if source.shape[axis] == out.shape[axis] and start == 0 and step == 1:
                index.append(i)
                continue
            moved = e.sub(i, e.extent(start))
            if start != 0:
                inside.append(e.le(zero, moved))
            if step != 1:
                inside.append(e.eq(e.modulo(moved, step), zero))
                moved = e.over(moved, step)
            inside.append(e.lt(moved, e.extent(source.shape[axis])))
            index.append(moved)
        return tuple(index), all_of(inside)

    @classmethod
    def samples(cls) -> Samples:
        """Around, between, nothing at all."""
        type = TensorType(float32, (3, 5))
        return (
            (cls((1, 0), (2, 0), (1, 1)), (type,)),
            (cls((0, 2), (1, 0), (2, 3)), (type,)),
            (cls((0, 0), (0, 0), (1, 1)), (type,)),
            (cls((2, 1), (0, 1), (1, 2)), (TensorType(float32, (0, 5)),)),
            (cls((1,), (5,), (4,)), (TensorType(float32, (0,)),)),
            (cls((), (), ()), (TensorType(float32, ()),)),
        )
