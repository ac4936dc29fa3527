"""Sums of products: every matrix product, batched, transposed or of higher rank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from graphc.errors import DTypeError, ShapeError
from graphc.ir.dims import Size, product
from graphc.ir.ops.base import Contract
from graphc.ir.ops.nest import Nest, at_label
from graphc.ir.ops.op import ArrayFunctions, Samples, V
from graphc.ir.ops.reduce import wide_dtype
from graphc.ir.precision import Precision, rounded
from graphc.ir.types import Array, TensorType, bfloat16, float16, float32, int32

Labels = tuple[int, ...]


@dataclass(frozen=True)
class Dot(Contract):
    """out[...] = sum over the labels that `out` lacks of a[...] * b[...].

    ``a``, ``b`` and ``out`` label the axes. Every label of `out` is in a or b; a label missing
    from `out` is in both and is summed over, in ascending order of its position in `a`; 16-bit
    floats are summed in float32. `precision` says what float32 operands are rounded to before.
    """

    name = "dot"
    a: Labels
    b: Labels
    out: Labels
    precision: Precision | None = field(default=None, repr=False)

    def infer(self, x: TensorType, y: TensorType) -> TensorType:
        """Labels that occur twice have one size; both operands have one dtype."""
        if x.dtype != y.dtype:
            raise DTypeError(
                f"matmul: dtypes differ: {x.dtype.name} (input 0) vs {y.dtype.name} (input 1)",
                hint="convert one with astype",
            )
        if x.dtype.kind == "b":
            raise DTypeError("matmul: needs numbers, got bool")
        sizes = self.sizes(x, y)
        return TensorType(x.dtype, tuple(sizes[label] for label in self.out))

    def sizes(self, x: TensorType, y: TensorType) -> dict[int, Size]:
        """The size of every label."""
        sizes = dict(zip(self.a, x.shape))
        for axis, (label, size) in enumerate(zip(self.b, y.shape)):
            if sizes.setdefault(label, size) != size:
                other = self.a.index(label)
                raise ShapeError(
                    f"matmul: inner sizes differ: {sizes[label]} (axis {other} of input 0)"
                    f" vs {size} (axis {axis} of input 1)"
                )
        return sizes

    @property
    def reduced(self) -> Labels:
        """The labels summed over, in the order of their axes in `a`."""
        return tuple(label for label in self.a if label not in self.out)

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, a: V, b: V) -> tuple[V, V]:
        """Contract the cotangent with the other operand."""
        da = f.apply(Dot(self.out, self.b, self.a, self.precision), dy, b)
        db = f.apply(Dot(self.a, self.out, self.b, self.precision), a, dy)
        return da, db

    def evaluate(self, a: Array, b: Array) -> Array:
        """numpy's einsum."""
        a, b = rounded(a, self.precision), rounded(b, self.precision)
        x, y = a.astype(wide_dtype(a), copy=False), b.astype(wide_dtype(b), copy=False)
        result = np.einsum(x, list(self.a), y, list(self.b), list(self.out))
        return np.asarray(result, dtype=a.dtype)

    def nests(self, a: TensorType, b: TensorType) -> tuple[Nest, ...]:
        """One nest; every label is its own position."""
        sizes = self.sizes(a, b)
        result, reduced = (
            tuple((label, sizes[label]) for label in labels) for labels in (self.out, self.reduced)
        )
        out, left, right = (tuple(map(at_label, x)) for x in (self.out, self.a, self.b))
        return (Nest(result, reduced, out, left, right),)

    def flops(self, out: TensorType, *types: TensorType) -> Size:
        """Two per product."""
        x, y = types
        return 2 * product(self.sizes(x, y).values())

    @classmethod
    def samples(cls) -> Samples:
        """Plain, transposed, batched, by vectors, over several labels and over none of size 0."""
        forms: tuple[tuple[Labels, Labels, Labels, tuple[Size, ...]], ...] = (
            ((0, 1), (1, 2), (0, 2), (3, 5, 7)),
            ((1, 0), (2, 1), (2, 0), (3, 5, 7)),
            ((0, 1), (1,), (0,), (17, 33)),
            ((0, 1), (0, 2), (1, 2), (4, 3, 2)),
            ((3, 0, 1), (3, 1, 2), (3, 0, 2), (2, 3, 4, 2)),
            ((0, 1, 2), (2, 1, 3), (3, 0), (2, 3, 4, 5)),
            ((0, 1), (1, 2), (0, 2), (2, 0, 3)),
            ((0, 1), (1, 2), (0, 2), (0, 3, 2)),
            ((0, 1), (1, 2), (0, 2), (1, 1, 1)),
        )  # fmt: skip
        # so many terms that a sum in 16 bits is far off
        long = ((0, 1), (1, 2), (0, 2), (3, 401, 7))
        chosen = [(form, t) for form in forms for t in (float32, int32)]
        chosen += [(long, float16), (long, bfloat16)]
        return tuple(
            (cls(a, b, out), tuple(TensorType(t, tuple(n[i] for i in x)) for x in (a, b)))
            for (a, b, out, n), t in chosen
        )

    def attributes(self) -> str:
        """As an einsum string."""
        return f"{letters(self.a)},{letters(self.b)}->{letters(self.out)}"


def letters(labels: Sequence[int]) -> str:
    """Labels as the letters of an einsum string."""
    return "".join(chr(ord("a") + label) for label in labels)
