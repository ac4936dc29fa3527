"""Sliding windows along axes: unfold (im2col) and fold (col2im) as views."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from math import gcd
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.errors import ShapeError
from graphc.ir.dims import Sizes
from graphc.ir.loops.ir import Expr, all_of
from graphc.ir.ops.base import View
from graphc.ir.ops.nest import Label, guarded
from graphc.ir.ops.op import ArrayFunctions, Samples, V
from graphc.ir.ops.view import Indices
from graphc.ir.types import Array, TensorType, float32, int64

if TYPE_CHECKING:
    from graphc.ir.loops.expression import ExprEmitter


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

    @property
    def step(self) -> int:
        """The distance of the taps that meet one input at different outputs."""
        return self.stride // gcd(self.stride, self.dilation)

    def overlap(self, taps: int) -> int:
        """The largest number of taps that may read one input."""
        return -(-taps // self.step)

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
class Unfold(View):
    """result[..., o, ..., t] = x[..., stride * o + dilation * t - before, ..., t // step].

    0 where there is no such input. The labels of the windows are axes: the one that becomes
    outputs, and that of the `taps`. Of the taps that meet one input at different outputs, only
    every `step`-th is of interest, so x has as many entries along the axis of the taps as meet
    one input; broadcast along it, x is what the windows see. `sizes` are the numbers of outputs.
    """

    name = "slide"
    windows: tuple[Window, ...]
    sizes: Sizes
    taps: tuple[int, ...]

    def infer(self, x: TensorType) -> TensorType:
        """Outputs in place of inputs, taps in place of overlaps."""
        for window, taps in zip(self.windows, self.taps):
            if x.shape[window.tap] != window.overlap(taps):
                raise ShapeError(
                    f"slide: {window.overlap(taps)} of {taps} taps meet one input, not"
                    f" {x.shape[window.tap]} (axis {window.tap} of {x}, input 0)"
                )
        return x.with_shape(with_window_sizes(x.shape, self.windows, self.sizes, self.taps))

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """Fold every element back to its position."""
        sizes = tuple(x.shape[w.input] for w in self.windows)
        return (f.apply(Fold(self.windows, sizes), dy),)

    def evaluate(self, x: Array) -> Array:
        """Strided slices, one assignment for each tap."""
        shape = with_window_sizes(x.shape, self.windows, self.sizes, self.taps)
        result = np.zeros(tuple(map(int, shape)), x.dtype)  # type: ignore[arg-type]
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
            index[w.tap] = e.over(at[w.tap], w.step)
            if place.size is not None:
                inside += [e.le(e.const(0, int64), moved), e.lt(moved, e.extent(place.size))]
        return tuple(index), all_of(inside)

    @classmethod
    def samples(cls) -> Samples:
        """Strides, dilation, windows that reach outside, nothing."""
        found = []
        for windows, inputs, outputs, taps in _sample_windows():
            met = tuple(w.overlap(t) for w, t in zip(windows, taps))
            shape = with_window_sizes(
                (*inputs, *met), windows, tuple(inputs[w.input] for w in windows), met
            )
            found.append((cls(windows, outputs, taps), (TensorType(float32, shape),)))
        return tuple(found)


@dataclass(frozen=True)
class Fold(View):
    """result[..., i, ..., u] = x[..., o, ..., t] where i = stride * o + dilation * t - before.

    t is the u-th of the taps that meet i; 0 where there is no such output. The transpose of
    `Unfold`; `sizes` are the numbers of inputs.
    """

    name = "slide_back"
    windows: tuple[Window, ...]
    sizes: Sizes

    def infer(self, x: TensorType) -> TensorType:
        """Inputs in place of outputs, overlaps in place of taps."""
        return x.with_shape(
            with_window_sizes(x.shape, self.windows, self.sizes, self._overlaps(x.shape))
        )

    def _overlaps(self, shape: Sizes) -> tuple[int, ...]:
        return tuple(w.overlap(int(shape[w.tap])) for w in self.windows)  # type: ignore[arg-type]

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """Unfold the cotangent."""
        sizes = tuple(x.shape[w.output] for w in self.windows)
        taps = tuple(int(x.shape[w.tap]) for w in self.windows)  # type: ignore[arg-type]
        return (f.apply(Unfold(self.windows, sizes, taps), dy),)

    def evaluate(self, x: Array) -> Array:
        """Strided slices, one assignment for each tap."""
        shape = with_window_sizes(x.shape, self.windows, self.sizes, self._overlaps(x.shape))
        result = np.zeros(tuple(map(int, shape)), x.dtype)  # type: ignore[arg-type]
        for seen, shown in slices(self.windows, result.shape, x.shape):
            result[seen] = x[shown]
        return result

    def source_index(
        self, e: ExprEmitter, at: Indices, source: TensorType, out: TensorType
    ) -> tuple[Indices, Expr | None]:
        """The tap by what remains of the position, then the output."""
        index, inside, zero = list(at), [], e.const(0, int64)
        for w in self.windows:
            taps, common = source.shape[w.tap], w.stride // w.step
            moved = e.plus(at[w.input], w.before)
            if common != 1:
                inside.append(e.eq(e.modulo(moved, common), zero))
            whole, first = e.over(moved, common), e.const(0, int64)
            if w.step != 1:
                inverse = pow(w.dilation // common, -1, w.step)
                first = e.modulo(e.times(whole, inverse), w.step)
            tap = e.add(e.times(at[w.tap], w.step), first)
            left = e.sub(whole, e.times(tap, w.dilation // common))
            inside.append(e.le(zero, left))
            index[w.output], index[w.tap] = e.over(left, w.step), tap
            inside.append(e.lt(index[w.output], e.extent(source.shape[w.output])))
            if not isinstance(taps, int) or taps % w.step:
                inside.append(e.lt(tap, e.extent(taps)))
        return tuple(index), all_of(inside)

    @classmethod
    def samples(cls) -> Samples:
        """The transposes of the samples of `Unfold`."""
        found = []
        for windows, inputs, outputs, taps in _sample_windows():
            shape = with_window_sizes((*inputs, *taps), windows, outputs, taps)
            sizes = tuple(inputs[w.input] for w in windows)
            found.append((cls(windows, sizes), (TensorType(float32, shape),)))
        return tuple(found)


# ------------------------------------------------------------------------ helpers


def with_window_sizes(
    shape: Sizes, windows: tuple[Window, ...], sizes: Sizes, taps: tuple[int, ...]
) -> Sizes:
    """A shape with other sizes along the axes that slide and those of the taps."""
    new = list(shape)
    for w, size, tap in zip(windows, sizes, taps):
        new[w.input], new[w.tap] = size, tap
    return tuple(new)


def slices(
    windows: tuple[Window, ...], inputs: tuple[int, ...], outputs: tuple[int, ...]
) -> Iterator[tuple[Any, Any]]:
    """For each choice of taps, the key of what is seen and that of where it is shown."""
    for taps in itertools.product(*(range(outputs[w.tap]) for w in windows)):
        seen: list[Any] = [slice(None)] * len(inputs)
        shown = list(seen)
        for w, tap in zip(windows, taps):
            some = w.outputs(tap, inputs[w.input], outputs[w.output])
            seen[w.input], shown[w.output] = w.inputs(tap, some), slice(some.start, some.stop)
            seen[w.tap], shown[w.tap] = tap // w.step, tap
        yield tuple(seen), tuple(shown)


Shape = tuple[int, ...]


def _sample_windows() -> Iterator[tuple[tuple[Window, ...], Shape, Shape, Shape]]:
    """Windows, the shape of the input, the numbers of outputs and of taps."""
    yield (Window(1, 1, 3, 1, 1, 0),), (2, 7, 3), (5,), (3,)
    yield (Window(1, 1, 3, 2, 1, 1),), (2, 7, 3), (4,), (3,)
    yield (Window(0, 0, 1, 2, 3, 2),), (5,), (4,), (2,)
    yield (Window(0, 0, 1, 4, 6, 3),), (15,), (4,), (3,)
    yield (Window(0, 0, 1, 3, 2, 1),), (9,), (4,), (5,)
    yield (Window(0, 0, 1, 5, 1, 0),), (11,), (3,), (2,)
    yield (Window(0, 0, 1, 1, 1, 3),), (1,), (4,), (4,)
    yield (Window(1, 1, 4, 2, 1, 0), Window(2, 2, 5, 1, 2, 1)), (2, 6, 5, 3), (3, 3), (2, 3)
    yield (Window(0, 0, 1, 1, 1, 1),), (0,), (1,), (3,)
    yield (Window(0, 0, 1, 1, 1, 0),), (3,), (0,), (2,)
