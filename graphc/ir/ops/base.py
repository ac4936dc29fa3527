"""The families of ops, which share machinery; there is one class per op.

An op class says everything about itself: the type rule (`infer`), the numpy meaning
(`evaluate`), the gradient (`vjp`), the cost (`flops`), and how one element is computed at the
loop level (`emit`, `source_index`, ...). Its dataclass fields are its static attributes, so
equal ops compare equal and may be merged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from graphc.errors import AxisError, DTypeError, ShapeError
from graphc.ir.dims import Size
from graphc.ir.ops.op import Op
from graphc.ir.types import Array, DType, TensorType, bool_

if TYPE_CHECKING:
    from graphc.ir.loops.expression import ExprEmitter
    from graphc.ir.loops.ir import Combine, Expr
    from graphc.ir.loops.scalar import S, ScalarEmitter
    from graphc.ir.ops.nest import Nest


class Leaf(Op):
    """A value that comes from outside or from the sizes: input, parameter, literal, iota."""


class Elementwise(Op):
    """A scalar function of operands of equal shapes (the operators on Tensor broadcast).

    The default type rule: all operands have one dtype out of `kinds`, and so has the result.
    """

    kinds: ClassVar[str] = "biuf"
    cost: ClassVar[int] = 1
    domain: ClassVar[tuple[tuple[float, float], ...]] = ()  # where tests draw the inputs from

    def infer(self, *types: Any, **_: Any) -> TensorType:
        """One shape, one dtype."""
        self.check_shapes(types)
        self.check_dtypes(types)
        result: TensorType = types[0]
        return result

    def check_shapes(self, types: tuple[TensorType, ...]) -> None:
        """Raise unless all shapes are equal."""
        for i, t in enumerate(types[1:], 1):
            if t.shape != types[0].shape:
                raise ShapeError(
                    f"{self.name}: shapes differ: {types[0]} (input 0) vs {t} (input {i})"
                )

    def check_dtypes(self, types: tuple[TensorType, ...]) -> None:
        """Raise unless all dtypes are one of `kinds`."""
        for i, t in enumerate(types):
            if t.dtype != types[0].dtype:
                raise DTypeError(
                    f"{self.name}: dtypes differ: {types[0].dtype.name} (input 0)"
                    f" vs {t.dtype.name} (input {i})",
                    hint="convert one with astype",
                )
            if t.dtype.kind not in self.kinds:
                raise DTypeError(
                    f"{self.name}: needs {kinds_text(self.kinds)}, got {t.dtype.name} (input {i})"
                )

    def flops(self, out: TensorType, *types: TensorType) -> Size:
        """`cost` per element."""
        return out.size * self.cost

    def emit(self, e: ScalarEmitter[S], /, *xs: Any, **_: Any) -> S:
        """The scalar function over the vocabulary every backend has."""
        raise NotImplementedError


class Comparison(Elementwise):
    """An elementwise op whose result is bool."""

    def infer(self, *types: TensorType) -> TensorType:
        """One shape, one dtype; the result is bool."""
        return super().infer(*types).with_dtype(bool_)

    @property
    def differentiable(self) -> bool:
        """Comparisons have zero gradient."""
        return False


@dataclass(frozen=True)
class Reduce(Op):
    """Combine elements over `axes` (sorted, non-negative), which disappear from the shape."""

    axes: tuple[int, ...]
    kinds: ClassVar[str] = "biuf"
    empty: ClassVar[bool] = True  # False: reducing nothing is an error (max, argmax)

    def infer(self, x: TensorType) -> TensorType:
        """The shape without the reduced axes."""
        if x.dtype.kind not in self.kinds:
            wanted = kinds_text(self.kinds)
            raise DTypeError(f"{self.name}: needs {wanted}, got {x.dtype.name} (input 0)")
        for axis in self.axes:
            check_axis(self.name, axis, x)
            if not self.takes_nothing and x.shape[axis] == 0:
                raise ShapeError(f"{self.name}: axis {axis} of {x} (input 0) is empty")
        shape = tuple(s for i, s in enumerate(x.shape) if i not in self.axes)
        return TensorType(self.result_dtype(x.dtype), shape)

    @property
    def takes_nothing(self) -> bool:
        """Whether there is a result where nothing is reduced."""
        return self.empty

    def result_dtype(self, dtype: DType) -> DType:
        """The dtype of the result."""
        return dtype

    def flops(self, out: TensorType, *types: TensorType) -> Size:
        """One per element read."""
        return types[0].size

    def combine(self) -> Combine:
        """How values are merged (graphc.ir.loops.combine)."""
        raise NotImplementedError

    def emit(self, e: ScalarEmitter[S], x: S, index: S) -> tuple[S, ...]:
        """The values merged for one element; `index` is its position along the reduced axes."""
        return (x,)

    def finish(self, e: ScalarEmitter[S], values: tuple[S, ...]) -> S:
        """The result from the merged values."""
        return values[0]


class View(Op):
    """The same elements under another index; moves no data."""

    def source_index(
        self, e: ExprEmitter, at: tuple[Expr, ...], source: TensorType, out: TensorType
    ) -> tuple[tuple[Expr, ...], Expr | None]:
        """Where element `at` of the result is in the source, and the condition under which it is
        there at all (None: always; elsewhere the result is 0)."""
        raise NotImplementedError


@dataclass(frozen=True)
class Join(Op):
    """Several inputs, one after the other along `axis`."""

    axis: int


class Contract(Op):
    """A sum of products of the elements of two operands.

    `nests` says which products: the loops, and where each of them finds its two factors and puts
    the sum. Together the nests fill the result once.
    """

    def nests(self, a: TensorType, b: TensorType) -> tuple[Nest, ...]:
        """The loops that compute the result of operands of these types."""
        raise NotImplementedError


class Ordered(Op):
    """A function of whole rows in their order: running sums, sorts, searches."""


class Gather(Op):
    """Elements at indices that are data."""

    indices = 1


class Scatter(Op):
    """Elements put or added at indices that are data, in ascending order of the updates."""

    indices = 1


# ------------------------------------------------------------------------ helpers


def kinds_text(kinds: str) -> str:
    """The dtype kinds of an error message."""
    words = {"b": "bool", "i": "integers", "u": "unsigned integers", "f": "floats"}
    if kinds == "iu" or kinds == "iuf":
        words["u"] = ""
    return " or ".join(words[k] for k in kinds if words[k])


def check_axis(name: str, axis: int, x: TensorType) -> None:
    """Raise unless 0 <= axis < x.ndim."""
    if not 0 <= axis < x.ndim:
        raise AxisError(f"{name}: axis {axis} is out of range for {x}, which has {x.ndim} axes")


def known(sizes: tuple[Size, ...]) -> tuple[int, ...] | None:
    """The sizes when all are integers, else None."""
    integers = tuple(s for s in sizes if isinstance(s, int))
    return integers if len(integers) == len(sizes) else None


def numpy_unary(function: Callable[..., Any]) -> Callable[..., Array]:
    """A numpy function as `evaluate`, silent about NaN and infinities."""

    def evaluate(self: Op, *arrays: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(function(*arrays))

    return evaluate


__all__ = [
    "Comparison", "Contract", "Elementwise", "Gather", "Join", "Leaf", "Op", "Ordered",
    "Reduce", "Scatter", "View", "check_axis", "kinds_text", "known", "numpy_unary",
]  # fmt: skip
