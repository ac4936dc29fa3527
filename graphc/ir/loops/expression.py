"""Build loop-level expressions: the `ScalarEmitter` whose values are `ir.Expr`.

Equal applications are one object (within one emitter), and index arithmetic on constants folds,
so what is built is already small.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from graphc.ir.dims import Size
from graphc.ir.loops.ir import Apply, Axis, Const, Expr, Extent, Index, const
from graphc.ir.types import DType, bool_, float32, int64, uint32

COMPARISONS = ("lt", "le", "eq", "ne")


class ExprEmitter:
    """Applies scalar functions to expressions; also index arithmetic (`plus`, `times`, ...)."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Expr] = {}

    # -- values -------------------------------------------------------------------

    def unique(self, key: Hashable, make: Callable[[], Expr]) -> Expr:
        """The one expression with this key."""
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = make()
        return found

    def const(self, value: float, dtype: DType) -> Expr:
        """A literal."""
        key = ("const", dtype, type(value), repr(value))
        return self.unique(key, lambda: const(value, dtype))

    def index(self, axis: Axis) -> Expr:
        """Where a loop is."""
        return self.unique(("index", axis), lambda: Index(int64, axis))

    def extent(self, size: Size) -> Expr:
        """A size as int64."""
        if isinstance(size, int):
            return self.const(size, int64)
        return self.unique(("extent", size), lambda: Extent(int64, size))

    def dtype(self, x: Expr) -> DType:
        """The dtype of a value."""
        return x.dtype

    def apply(self, function: str, *xs: Expr) -> Expr:
        """Apply a function of scalar.FUNCTIONS by name."""
        return self.make(function, result_dtype(function, xs), xs)

    def make(self, function: str, dtype: DType, xs: tuple[Expr, ...]) -> Expr:
        """The one application of a function to these values."""
        key = (function, dtype, *map(id, xs))
        return self.unique(key, lambda: Apply(dtype, function, xs))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *xs: self.apply(name, *xs)

    # -- what is more than an application --------------------------------------------

    def cast(self, x: Expr, dtype: DType) -> Expr:
        """Convert the value."""
        return x if x.dtype == dtype else self.make("cast", dtype, (x,))

    def bitcast(self, x: Expr, dtype: DType) -> Expr:
        """Reinterpret the bits."""
        return x if x.dtype == dtype else self.make("bitcast", dtype, (x,))

    def add(self, x: Expr, y: Expr) -> Expr:
        """x + y; index arithmetic folds."""
        if x.dtype == int64:
            a, b = _int(x), _int(y)
            if a is not None and b is not None:
                return self.const(a + b, int64)
            if a == 0:
                return y
            if b == 0:
                return x
            whole = _undivided(x, y)
            if whole is not None:
                return whole
        return self.make("add", x.dtype, (x, y))

    def sub(self, x: Expr, y: Expr) -> Expr:
        """x - y; index arithmetic folds."""
        if x.dtype == int64 and _int(y) == 0:
            return x
        return self.make("sub", x.dtype, (x, y))

    def mul(self, x: Expr, y: Expr) -> Expr:
        """x * y; index arithmetic folds."""
        if x.dtype == int64:
            a, b = _int(x), _int(y)
            if a is not None and b is not None:
                return self.const(a * b, int64)
            if a == 1:
                return y
            if b == 1:
                return x
            if a == 0 or b == 0:
                return self.const(0, int64)
        return self.make("mul", x.dtype, (x, y))

    # -- index arithmetic ---------------------------------------------------------------

    def plus(self, x: Expr, offset: int) -> Expr:
        """x + offset."""
        return self.add(x, self.const(offset, int64))

    def times(self, x: Expr, factor: Size) -> Expr:
        """x * factor; the factor is a size."""
        return self.mul(x, self.extent(factor))

    def over(self, x: Expr, divisor: Size) -> Expr:
        """x // divisor for x >= 0; the divisor is a positive size."""
        if divisor == 1:
            return x
        return self.make("div", int64, (x, self.extent(divisor)))

    def modulo(self, x: Expr, divisor: Size) -> Expr:
        """x % divisor for x >= 0; the divisor is a positive size."""
        if divisor == 1:
            return self.const(0, int64)
        return self.make("rem", int64, (x, self.extent(divisor)))


def _int(x: Expr) -> int | None:
    return x.value if isinstance(x, Const) and not isinstance(x.value, bool) else None


def _undivided(x: Expr, y: Expr) -> Expr | None:
    """z where x is z // b * b and y is z % b."""
    match x, y:
        case (
            Apply(function="mul", args=(Apply(function="div", args=(z, b)), c)),
            Apply(function="rem", args=(w, d)),
        ) if z is w and b is c is d:
            return z
    return None


def result_dtype(function: str, xs: tuple[Expr, ...]) -> DType:
    """The dtype that a function returns (casts and bitcasts excepted)."""
    if function in COMPARISONS:
        return bool_
    if function == "select":
        return xs[1].dtype
    if function == "philox":
        return uint32
    if function in ("unit_float", "normal_float", "exponential_float"):
        return float32
    return xs[0].dtype


__all__ = ["ExprEmitter", "Extent", "result_dtype"]
