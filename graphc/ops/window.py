"""Windows that slide along axes, and the views that show what they see."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.errors import ShapeError
from graphc.loops.ir import Expr, all_of
from graphc.ops.base import Array, View
from graphc.ops.nest import Label, guarded
from graphc.ops.view import Indices, Samples, Sizes
from graphc.types import TensorType, float32, int64

if TYPE_CHECKING:
    from graphc.loops.expression import ExprEmitter
    from graphc.tensor import Tensor


@dataclass(frozen=True)
class Window:
    """Three labels of one spatial axis: input = stride * output + dilation * tap - before."""

    input: Label
    output: Label
    tap: Label
    stride: int = 1
    dilation: int = 1
    before: int = 0

    @property
    def labels(self) -> tuple[Label, Label, Label]:
        """The three labels."""
        return self.input, self.output, self.tap

    def outputs(self, tap: int, inputs: int, outputs: int) -> range:
        """The outputs for which the input that a tap meets exists."""
        start = self.dilation * tap - self.before
        first = max(0, -(start // self.stride))
        last = min(outputs - 1, (inputs - 1 - start) // self.stride)
        return range(first, max(first, last + 1))

    def inputs(self, tap: int, outputs: range) -> slice:
        """The inputs that a tap meets for these outputs."""
        start = self.dilation * tap - self.before + self.stride * outputs.start
        return slice(start, start + self.stride * len(outputs), self.stride)


@dataclass(frozen=True)
class Slide(View):
    """result[..., o, ..., t] = x[..., stride * o + dilation * t - before, ..., t]; 0 outside.

    The labels of the windows are axes: the one that becomes outputs, and that of the taps, of
    which x has one per window. `sizes` are the numbers of outputs.
    """

    name = "slide"
    windows: tuple[Window, ...]
    sizes: Sizes

    def infer(self, x: TensorType) -> TensorType:
        """Outputs in place of inputs."""
        return x.with_shape(replaced("slide", x, self.windows, self.sizes))

    def vjp(self, y: Tensor, dy: Tensor, x: Tensor) -> tuple[Tensor]:
        """Every element back to where it was seen."""
        from graphc.tensor import lift_op

        sizes = tuple(x.shape[w.input] for w in self.windows)
        return (lift_op(SlideBack(self.windows, sizes), dy),)

    def evaluate(self, x: Array) -> Array:
        """Strided slices, one assignment for each tap."""
        result = np.zeros(concrete_shape(x, self.windows, self.sizes), x.dtype)
        for seen, shown in slices(self.windows, x.shape, result.shape):
            result[shown] = x[seen]
        return result

    def source_index(
        self, e: ExprEmitter, at: Indices, source: TensorType, out: TensorType
    ) -> tuple[Indices, Expr | None]:
        """The position of the tap, where it is inside."""
        index, inside = list(at), []
        for w in self.windows:
            extents = ((w.output, out.shape[w.output]), (w.tap, out.shape[w.tap]))
            terms = ((w.output, w.stride), (w.tap, w.dilation))
            place = guarded(terms, -w.before, source.shape[w.input], extents)
            moved = e.add(e.times(at[w.output], w.stride), e.times(at[w.tap], w.dilation))
            index[w.input] = moved = e.plus(moved, -w.before)
            if place.size is not None:
                inside += [e.le(e.const(0, int64), moved), e.lt(moved, e.extent(place.size))]
        return tuple(index), all_of(inside)

    @classmethod
    def samples(cls) -> Samples:
        """Strides, dilation, windows that reach outside, nothing."""
        return tuple(
            (cls(windows, outputs), (TensorType(float32, inputs),))
            for windows, inputs, outputs in _sample_windows()
        )


@dataclass(frozen=True)
class SlideBack(View):
    """result[..., i, ..., t] = x[..., o, ..., t] where i = stride * o + dilation * t - before.

    0 where there is no such o. The transpose of `Slide`; `sizes` are the numbers of inputs.
    """

    name = "slide_back"
    windows: tuple[Window, ...]
    sizes: Sizes

    def infer(self, x: TensorType) -> TensorType:
        """Inputs in place of outputs."""
        return x.with_shape(replaced("slide_back", x, self.windows, self.sizes))

    def vjp(self, y: Tensor, dy: Tensor, x: Tensor) -> tuple[Tensor]:
        """What the windows see."""
        from graphc.tensor import lift_op

        sizes = tuple(x.shape[w.output] for w in self.windows)
        return (lift_op(Slide(self.windows, sizes), dy),)

    def evaluate(self, x: Array) -> Array:
        """Strided slices, one assignment for each tap."""
        result = np.zeros(concrete_shape(x, self.windows, self.sizes), x.dtype)
        for seen, shown in slices(self.windows, result.shape, x.shape):
            result[seen] = x[shown]
        return result

    def source_index(
        self, e: ExprEmitter, at: Indices, source: TensorType, out: TensorType
    ) -> tuple[Indices, Expr | None]:
        """(i + before - dilation * t) / stride, where that is whole and inside."""
        index, inside, zero = list(at), [], e.const(0, int64)
        for w in self.windows:
            moved = e.sub(e.plus(at[w.input], w.before), e.times(at[w.tap], w.dilation))
            inside.append(e.le(zero, moved))
            if w.stride != 1:
                inside.append(e.eq(e.modulo(moved, w.stride), zero))
                moved = e.over(moved, w.stride)
            inside.append(e.lt(moved, e.extent(source.shape[w.output])))
            index[w.output] = moved
        return tuple(index), all_of(inside)

    @classmethod
    def samples(cls) -> Samples:
        """The transposes of the samples of `Slide`."""
        found = []
        for windows, inputs, outputs in _sample_windows():
            shown = replaced("slide", TensorType(float32, inputs), windows, outputs)
            sizes = tuple(inputs[w.input] for w in windows)
            found.append((cls(windows, sizes), (TensorType(float32, shown),)))
        return tuple(found)


# ------------------------------------------------------------------------ helpers


def replaced(name: str, x: TensorType, windows: tuple[Window, ...], sizes: Sizes) -> Sizes:
    """The shape of x with other sizes along the axes that slide."""
    shape = list(x.shape)
    for w, size in zip(windows, sizes):
        if isinstance(size, int) and size < 0:
            raise ShapeError(f"{name}: {size} positions along axis {w.input} of {x} (input 0)")
        shape[w.input] = size
    return tuple(shape)


def concrete_shape(x: Array, windows: tuple[Window, ...], sizes: Sizes) -> tuple[int, ...]:
    """The same as integers."""
    shape = list(x.shape)
    for w, size in zip(windows, sizes):
        shape[w.input] = int(size)  # type: ignore[arg-type]
    return tuple(shape)


def slices(
    windows: tuple[Window, ...], inputs: tuple[int, ...], outputs: tuple[int, ...]
) -> Iterator[tuple[Any, Any]]:
    """For each choice of taps, the key of what is seen and that of where it is shown."""
    for taps in itertools.product(*(range(inputs[w.tap]) for w in windows)):
        seen: list[Any] = [slice(None)] * len(inputs)
        shown = list(seen)
        for w, tap in zip(windows, taps):
            some = w.outputs(tap, inputs[w.input], outputs[w.output])
            seen[w.input], shown[w.output] = w.inputs(tap, some), slice(some.start, some.stop)
            seen[w.tap] = shown[w.tap] = tap
        yield tuple(seen), tuple(shown)


def _sample_windows() -> Iterator[tuple[tuple[Window, ...], tuple[int, ...], tuple[int, ...]]]:
    """Windows, the shape of the input with its taps, the numbers of outputs."""
    yield (Window(1, 1, 3, 1, 1, 0),), (2, 7, 3, 3), (5,)
    yield (Window(1, 1, 3, 2, 1, 1),), (2, 7, 3, 3), (4,)
    yield (Window(0, 0, 1, 2, 3, 2),), (5, 2), (4,)
    yield (Window(0, 0, 1, 5, 1, 0),), (11, 2), (3,)
    yield (Window(0, 0, 1, 1, 1, 3),), (1, 4), (4,)
    yield (Window(1, 1, 4, 2, 1, 0), Window(2, 2, 5, 1, 2, 1)), (2, 6, 5, 3, 2, 3), (3, 3)
    yield (Window(0, 0, 1, 1, 1, 1),), (0, 3), (1,)
    yield (Window(0, 0, 1, 1, 1, 0),), (3, 2), (0,)
