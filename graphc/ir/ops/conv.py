"""Convolutions and their gradients: contractions in which windows slide over axes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import gcd

import numpy as np

from graphc.errors import DTypeError, ShapeError
from graphc.ir.dims import Size, Sizes, ceildiv, product
from graphc.ir.ops.base import Contract, Op
from graphc.ir.ops.contract import Labels, letters
from graphc.ir.ops.nest import AffineIndex, Label, Nest, at_label, guarded
from graphc.ir.ops.op import ArrayFunctions, Samples, V
from graphc.ir.ops.reduce import wide_dtype
from graphc.ir.ops.view import shape_text
from graphc.ir.ops.window import Window
from graphc.ir.precision import Precision, rounded
from graphc.ir.types import Array, TensorType, bfloat16, float16, float32, int32

Extents = tuple[tuple[Label, Size], ...]


@dataclass(frozen=True)
class Conv(Contract):
    """out[...] = sum of a[...] * b[...] over the labels that `out` lacks, along windows.

    Of the three labels of a window each tensor has one; where the input position lies outside
    the input, the product is left out, whatever the other factor is: a kernel's infinity or NaN
    reaches no result through the padding. With the input, the kernel and the output as its three
    tensors, this is one trilinear form: a convolution and the gradients to its input and its
    kernel differ in which tensor is `out`. `shape` is that of the result. The sum runs over the
    taps first, in the order of the windows, then over the other labels in the order of a and b;
    16-bit floats are summed in float32. `precision` says what float32 operands are rounded to
    before.
    """

    name = "conv"
    a: Labels
    b: Labels
    out: Labels
    windows: tuple[Window, ...]
    shape: Sizes
    precision: Precision | None = field(default=None, repr=False)

    def infer(self, x: TensorType, y: TensorType) -> TensorType:
        """The shape asked for; labels that occur twice have one size."""
        if x.dtype != y.dtype:
            raise DTypeError(
                f"conv: dtypes differ: {x.dtype.name} (input 0) vs {y.dtype.name} (input 1)",
                hint="convert one with astype",
            )
        if x.dtype.kind == "b":
            raise DTypeError("conv: needs numbers, got bool")
        sizes = dict(zip(self.a, x.shape))
        for name, labels, shape in (
            ("input 1", self.b, y.shape),
            ("the result", self.out, self.shape),
        ):
            for axis, (label, size) in enumerate(zip(labels, shape)):
                if sizes.setdefault(label, size) != size:
                    raise ShapeError(
                        f"conv: sizes differ: {sizes[label]} (label {letters((label,))}) vs {size}"
                        f" (axis {axis} of {name})"
                    )
        return TensorType(x.dtype, self.shape)

    def sizes(self, x: TensorType, y: TensorType) -> dict[Label, Size]:
        """The size of every label."""
        return dict(zip(self.a + self.b + self.out, x.shape + y.shape + self.shape))

    @property
    def reduced(self) -> Labels:
        """The labels summed over: the taps, then the others."""
        taps = [w.tap for w in self.windows]
        ends = [label for w in self.windows for label in (w.input, w.tap)]
        others = [label for label in self.a + self.b if label not in ends]
        listed = dict.fromkeys(taps + others)
        return tuple(label for label in listed if label not in self.out and not self._solved(label))

    def _solved(self, label: Label) -> bool:
        """Whether a label's position follows from the two others of its window."""
        return any(label == w.output and w.input in self.out for w in self.windows)

    # -- loops ------------------------------------------------------------------------

    def nests(self, a: TensorType, b: TensorType) -> tuple[Nest, ...]:
        """One nest, but one for each phase of the input of strided windows."""
        sizes = self.sizes(a, b)
        choices = [self._phases(window, sizes) for window in self.windows]
        return tuple(self._nest(sizes, phases) for phases in itertools.product(*choices))

    def _nest(self, sizes: dict[Label, Size], phases: tuple[Phase, ...]) -> Nest:
        extents = sizes | {label: size for phase in phases for label, size in phase.extents}
        places = {label: at_label(label) for label in sizes}
        places |= {label: place for phase in phases for label, place in phase.places}
        out, left, right = (tuple(places[i] for i in x) for x in (self.out, self.a, self.b))
        result = tuple((label, extents[label]) for label in self.out)
        return Nest(result, tuple((i, extents[i]) for i in self.reduced), out, left, right)

    def _phases(self, window: Window, sizes: dict[Label, Size]) -> list[Phase]:
        if window.input not in self.out:
            return [forward_phase(window, sizes)]
        size = sizes[window.input]
        count = min(window.stride, size) if isinstance(size, int) else window.stride
        return [backward_phase(window, sizes, phase) for phase in range(max(1, count))]

    # -- meaning ----------------------------------------------------------------------

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, a: V, b: V) -> tuple[V, V]:
        """Contract the cotangent with the other operand along the same windows."""
        of_a = replace(self, a=self.out, b=self.b, out=self.a, shape=a.shape)
        of_b = replace(self, a=self.a, b=self.out, out=self.b, shape=b.shape)
        return f.apply(of_a, dy, b), f.apply(of_b, a, dy)

    def evaluate(self, a: Array, b: Array) -> Array:
        """One einsum of strided slices for each tap."""
        shape = tuple(map(int, self.shape))  # type: ignore[arg-type]
        dtype = a.dtype
        a, b = rounded(a, self.precision), rounded(b, self.precision)
        a, b = a.astype(wide_dtype(a), copy=False), b.astype(wide_dtype(b), copy=False)
        result = np.zeros(shape, a.dtype)
        sizes = dict(zip(self.a + self.b + self.out, a.shape + b.shape + shape))
        for taps in itertools.product(*(range(sizes[w.tap]) for w in self.windows)):
            x, la = self._along(a, self.a, taps, sizes)
            y, lb = self._along(b, self.b, taps, sizes)
            part, lo = self._along(result, self.out, taps, sizes)
            part += np.einsum(x, list(la), y, list(lb), list(lo))
        return result.astype(dtype, copy=False)

    def _along(
        self, x: Array, labels: Labels, taps: tuple[int, ...], sizes: dict[Label, int]
    ) -> tuple[Array, Labels]:
        """What one tap meets of a tensor; inputs are labelled as the outputs they belong to."""
        key: list[int | slice] = [slice(None)] * len(labels)
        left = list(labels)
        for window, tap in zip(self.windows, taps):
            some = window.outputs(tap, sizes[window.input], sizes[window.output])
            if window.tap in labels:
                key[labels.index(window.tap)] = tap
                left.remove(window.tap)
            elif window.output in labels:
                key[labels.index(window.output)] = slice(some.start, some.stop)
            else:
                axis = labels.index(window.input)
                key[axis] = window.inputs(tap, some)
                left[left.index(window.input)] = window.output
        view: Array = x[(*key, ...)]
        return view, tuple(left)

    def flops(self, out: TensorType, *types: TensorType) -> Size:
        """Two per product; none where a position lies outside, if the sizes are known."""
        x, y = types
        sizes = self.sizes(x, y)
        shares = [self._products(window, sizes) for window in self.windows]
        ends = [label for w in self.windows for label in w.labels]
        others = [size for label, size in sizes.items() if label not in ends]
        return 2 * product(shares) * product(others)

    def _products(self, window: Window, sizes: dict[Label, Size]) -> Size:
        """How often a tap of a window meets an input."""
        inputs, outputs, taps = (sizes[label] for label in window.labels)
        if isinstance(inputs, int) and isinstance(outputs, int) and isinstance(taps, int):
            return sum(len(window.outputs(tap, inputs, outputs)) for tap in range(taps))
        phases = [dict(phase.extents) for phase in self._phases(window, sizes)]
        solved = window.output if window.input in self.out else window.input
        walked = [label for label in window.labels if label != solved]
        total: Size = 0
        for phase in phases:
            total = total + product(phase.get(label, sizes[label]) for label in walked)
        return total

    def attributes(self) -> str:
        """As an einsum string with the equations of the windows and the resulting shape."""
        equations = " ".join(map(equation, self.windows))
        terms = f"{letters(self.a)},{letters(self.b)}->{letters(self.out)}"
        return f"{terms}; {equations}; {shape_text(self.shape)}"

    @classmethod
    def samples(cls) -> Samples:
        """Convolutions and both gradients: strides, dilation, padding, groups, small sizes."""
        found = []
        for window, sizes in _sample_windows():
            for a, b, out in (("nwc", "rck", "nok"), ("nok", "rck", "nwc"), ("nwc", "nok", "rck")):
                found.append(_sample(a, b, out, (window,), sizes))
        two = (_window("hor", 2, 1, 1), _window("wps", 1, 2, 2))
        sizes = dict(zip("nhwcgkoprs", (2, 5, 6, 2, 3, 4, 3, 5, 3, 2)))
        for a, b, out in (
            ("nhwgc", "rscgk", "nopgk"), ("nopgk", "rscgk", "nhwgc"), ("nhwgc", "nopgk", "rscgk"),
            ("nchw", "rsck", "nkop"), ("nhwc", "rsc", "nopc"), ("nopc", "rsc", "nhwc"),
        ):  # fmt: skip
            found.append(_sample(a, b, out, two, sizes))
        op, types = found[0]
        others = (int32, float16, bfloat16)
        return (*found, *((op, tuple(t.with_dtype(d) for t in types)) for d in others))


def equation(window: Window) -> str:
    """Where the input of a window is, e.g. ``h=2o+r-1``."""
    i, o, t = (letters((label,)) for label in window.labels)
    o = o if window.stride == 1 else f"{window.stride}{o}"
    t = t if window.dilation == 1 else f"{window.dilation}{t}"
    return f"{i}={o}+{t}" + (f"{-window.before:+d}" if window.before else "")


@dataclass(frozen=True)
class Phase:
    """How one window is walked through: extents of its labels and places along its axes."""

    extents: Extents
    places: tuple[tuple[Label, AffineIndex], ...]


def forward_phase(window: Window, sizes: dict[Label, Size]) -> Phase:
    """Loops over outputs and taps; the input's position follows."""
    terms = ((window.output, window.stride), (window.tap, window.dilation))
    place = guarded(terms, -window.before, sizes[window.input], sizes.items())
    return Phase((), ((window.input, place),))


def backward_phase(window: Window, sizes: dict[Label, Size], phase: int) -> Phase:
    """Loops over the inputs stride * q + phase and the taps that meet an output there.

    These taps are step * t + first; the output is q - t * dilation / gcd + offset.
    """
    common = gcd(window.stride, window.dilation)
    step = window.stride // common
    reach = phase + window.before
    firsts = [t for t in range(step) if (reach - window.dilation * t) % window.stride == 0]
    taps = sizes[window.tap]
    count = max(0, -(-(int(taps) - firsts[0]) // step)) if firsts else 0  # type: ignore[arg-type]
    first = firsts[0] if firsts else 0
    offset = (reach - window.dilation * first) // window.stride
    extents = (
        (window.input, ceildiv(sizes[window.input] - phase, window.stride)),
        (window.tap, count),
    )
    terms = ((window.input, 1), (window.tap, -(window.dilation // common)))
    places = (
        (window.input, AffineIndex(((window.input, window.stride),), phase)),
        (window.tap, AffineIndex(((window.tap, step),), first)),
        (window.output, guarded(terms, offset, sizes[window.output], extents)),
    )
    return Phase(extents, places)


# ------------------------------------------------------------------------ samples


def _labels(text: str) -> Labels:
    return tuple(ord(letter) - ord("a") for letter in text)


def _window(text: str, stride: int, dilation: int, before: int) -> Window:
    i, o, t = _labels(text)
    return Window(i, o, t, stride, dilation, before)


def _sample(
    a: str, b: str, out: str, windows: tuple[Window, ...], sizes: dict[str, int]
) -> tuple[Op, tuple[TensorType, ...]]:
    shape = tuple(sizes[letter] for letter in out)
    op = Conv(_labels(a), _labels(b), _labels(out), windows, shape)
    return op, tuple(TensorType(float32, tuple(sizes[i] for i in x)) for x in (a, b))


def _sample_windows() -> Iterator[tuple[Window, dict[str, int]]]:
    """Windows with the sizes n, w, o, r, c, k."""
    for stride, dilation, before, sizes in (
        (1, 1, 0, (2, 7, 5, 3, 3, 4)), (1, 1, 1, (1, 5, 5, 3, 2, 17)),
        (2, 1, 1, (2, 8, 4, 3, 3, 2)), (3, 1, 0, (1, 10, 4, 1, 2, 3)),
        (2, 2, 2, (1, 7, 4, 3, 2, 2)), (2, 4, 3, (1, 9, 4, 2, 2, 2)),
        (1, 1, 3, (1, 1, 4, 4, 2, 3)), (5, 2, 1, (2, 11, 3, 2, 1, 1)),
        (2, 3, 1, (1, 1, 1, 2, 2, 2)), (1, 1, 0, (0, 5, 3, 3, 2, 2)), (1, 1, 0, (2, 4, 4, 1, 0, 2)),
    ):  # fmt: skip
        yield _window("wor", stride, dilation, before), dict(zip("nworck", sizes))
