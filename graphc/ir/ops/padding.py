"""Views that repeat elements beyond the ends of an axis: padding modes and roll."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from graphc.errors import ArgumentError, ShapeError
from graphc.ir.dims import Size, bound
from graphc.ir.ops.base import View, check_axis
from graphc.ir.ops.op import ArrayFunctions, Samples, V
from graphc.ir.ops.view import Pad
from graphc.ir.types import Array, TensorType, float32, int64

if TYPE_CHECKING:
    from graphc.ir.loops.expression import ExprEmitter
    from graphc.ir.loops.ir import Expr

REFLECT, SYMMETRIC, EDGE, WRAP = EXTENSIONS = ("reflect", "symmetric", "edge", "wrap")


@dataclass(frozen=True)
class Extend(View):
    """An axis with elements of its own before and after it.

    "reflect" mirrors at the end element, "symmetric" behind it, "edge" repeats it, "wrap" goes
    on at the other end. Each element is shown twice at most ("edge": the ends as often as asked).
    """

    name = "extend"
    mode: str
    axis: int
    before: Size
    after: Size

    @staticmethod
    def most(mode: str, size: Size) -> Size | None:
        """The most elements that can be added at either end; None for any number."""
        return None if mode == EDGE else size - 1 if mode == REFLECT else size

    def infer(self, x: TensorType) -> TensorType:
        """The size of the axis grows."""
        check_axis(self.name, self.axis, x)
        if self.mode not in EXTENSIONS:
            raise ArgumentError(f"pad: mode is one of {', '.join(EXTENSIONS)}, got {self.mode!r}")
        size = x.shape[self.axis]
        for width in (self.before, self.after):
            most = self.most(self.mode, size)
            spare = bound(size - 1 if most is None else most - width)
            if width != 0 and (spare is None or spare < 0):
                raise ShapeError(
                    f"pad: {width} elements by {self.mode} of {size} (axis {self.axis} of {x})",
                    hint="say how many there are at least: gx.dim(name, min=...)",
                )
        shape = list(x.shape)
        shape[self.axis] = self.before + size + self.after
        return x.with_shape(tuple(shape))

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """What lies before and after, folded back."""
        size = x.shape[self.axis]
        total = f.narrow(dy, self.axis, self.before, size)
        for width, start, first in (
            (self.before, 0, True), (self.after, self.before + size, False),
        ):  # fmt: skip
            if width != 0:
                total = total + self._folded(f, f.narrow(dy, self.axis, start, width), size, first)
        return (total,)

    def _folded(self, f: ArrayFunctions[V], dy: V, size: Size, first: bool) -> V:
        """The elements of one side at the places that they show."""
        width = dy.shape[self.axis]
        if self.mode == EDGE:
            dy, width = f.sum(dy, axis=self.axis, keepdims=True), 1
        elif self.mode != WRAP:
            dy = f.flip(dy, self.axis)
        skipped = 1 if self.mode == REFLECT else 0
        at_start = first if self.mode != WRAP else not first
        start = skipped if at_start else size - skipped - width
        before = tuple(start if i == self.axis else 0 for i in range(dy.ndim))
        after = tuple(size - start - width if i == self.axis else 0 for i in range(dy.ndim))
        return f.apply(Pad(before, after, (1,) * dy.ndim), dy)

    def evaluate(self, x: Array) -> Array:
        """numpy's pad."""
        widths = [(0, 0)] * x.ndim
        widths[self.axis] = (int(self.before), int(self.after))  # type: ignore[arg-type]
        return np.asarray(np.pad(x, widths, mode=self.mode))  # type: ignore[call-overload]

    def source_index(
        self, e: ExprEmitter, at: tuple[Expr, ...], source: TensorType, out: TensorType
    ) -> tuple[tuple[Expr, ...], Expr | None]:
        """The index, brought back inside at either end."""
        size, zero = source.shape[self.axis], e.const(0, int64)
        i = e.sub(at[self.axis], e.extent(self.before))
        if self.before != 0:
            low = self._below(e, i, size)
            i = e.apply("select", e.apply("lt", i, zero), low, i)
        if self.after != 0:
            high = self._above(e, i, size)
            i = e.apply("select", e.apply("lt", i, e.extent(size)), i, high)
        return (*at[: self.axis], i, *at[self.axis + 1 :]), None

    def _below(self, e: ExprEmitter, i: Expr, size: Size) -> Expr:
        """The source of an index below 0."""
        match self.mode:
            case "reflect":
                return e.sub(e.const(0, int64), i)
            case "symmetric":
                return e.sub(e.const(-1, int64), i)
            case "wrap":
                return e.add(i, e.extent(size))
        return e.const(0, int64)

    def _above(self, e: ExprEmitter, i: Expr, size: Size) -> Expr:
        """The source of an index of at least the size."""
        match self.mode:
            case "reflect":
                return e.sub(e.extent(2 * size - 2), i)
            case "symmetric":
                return e.sub(e.extent(2 * size - 1), i)
            case "wrap":
                return e.sub(i, e.extent(size))
        return e.extent(size - 1)

    @classmethod
    def samples(cls) -> Samples:
        """As far as each goes, on both sides and on one."""
        type, vector = TensorType(float32, (3, 5)), TensorType(float32, (4,))
        return tuple(
            [(cls(mode, 1, 4, 2), (type,)) for mode in EXTENSIONS]
            + [(cls(mode, 0, 0, 2), (type,)) for mode in EXTENSIONS]
            + [(cls(mode, 0, 3, 0), (vector,)) for mode in EXTENSIONS]
            + [(cls(EDGE, 0, 9, 7), (vector,)), (cls(WRAP, 0, 0, 0), (vector,))]
        )


@dataclass(frozen=True)
class Roll(View):
    """Elements moved by 0 <= shift <= size along an axis; what leaves at the end comes in front."""

    name = "roll"
    axis: int
    shift: Size
    domain: ClassVar[tuple[tuple[float, float], ...]] = ()

    def infer(self, x: TensorType) -> TensorType:
        """The type of x."""
        check_axis(self.name, self.axis, x)
        size = x.shape[self.axis]
        slack = 0 if bound(size) else 1  # an axis without elements has nothing to move
        for spare in (bound(self.shift), bound(size - self.shift)):
            if spare is None or spare + slack < 0:
                raise ShapeError(
                    f"roll: axis {self.axis} of {x} may be too short to move by {self.shift}",
                    hint="say how many elements there are at least: gx.dim(name, min=...)",
                )
        return x

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """Moved back."""
        return (f.apply(Roll(self.axis, x.shape[self.axis] - self.shift), dy),)

    def evaluate(self, x: Array) -> Array:
        """numpy's roll."""
        return np.roll(x, int(self.shift), self.axis)  # type: ignore[arg-type]

    def source_index(
        self, e: ExprEmitter, at: tuple[Expr, ...], source: TensorType, out: TensorType
    ) -> tuple[tuple[Expr, ...], Expr | None]:
        """i - shift, from the end where that is negative."""
        i = e.sub(at[self.axis], e.extent(self.shift))
        back = e.add(i, e.extent(source.shape[self.axis]))
        i = e.apply("select", e.apply("lt", i, e.const(0, int64)), back, i)
        return (*at[: self.axis], i, *at[self.axis + 1 :]), None

    @classmethod
    def samples(cls) -> Samples:
        """From nothing to all."""
        type = TensorType(float32, (3, 5))
        cases = [(1, 0), (1, 2), (1, 5), (0, 1)]
        return (
            *((cls(axis, shift), (type,)) for axis, shift in cases),
            (cls(0, 0), (TensorType(float32, (0,)),)),
        )
