"""Powers and rounding, element by element."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.ir.loops.scalar import ScalarEmitter
from graphc.ir.ops.base import Array, Elementwise
from graphc.ir.ops.elementwise import Flat
from graphc.ir.ops.elementwise_math import compute
from graphc.ir.ops.leaf import Literal
from graphc.ir.ops.view import BroadcastTo

if TYPE_CHECKING:
    from graphc.frontend.tensor import Tensor


class Pow(Elementwise):
    """x ** y; negative powers of integers are truncated towards 0"""

    name = "pow"
    kinds = "iuf"
    cost = 30
    domain = ((0.3, 3.0), (-2.0, 2.0))

    def vjp(self, z: Tensor, dz: Tensor, x: Tensor, y: Tensor) -> tuple[Any, Any]:
        """y x^(y-1) and z log(x); 0 where y = 0 and where x = 0 < y, the limits there."""
        from graphc.frontend.functions import log, where, zeros_like

        exponent = known_number(y)
        if exponent is None:
            flat = y == 0.0
            dx = where(flat, 0.0, dz * y * lift_pow(x, where(flat, 1.0, y - 1.0)))
        elif exponent == 0.0:
            dx = zeros_like(x)  # x counts, although nothing depends on how large it is
        else:
            dx = dz * (exponent * x ** (exponent - 1.0))
        at_zero = x == 0.0
        dy = where(at_zero, 0.0, dz * z * log(where(at_zero, 1.0, x)))
        return dx, dy

    def evaluate(self, x: Array, y: Array) -> Array:
        """numpy's power; negative powers of integers are truncated: 0 but for x = 1 and -1."""
        if x.dtype.kind not in "iu":
            return compute(np.power, x, y)
        powers = np.power(x, np.maximum(y, 0))
        units = np.where(np.abs(x) == 1, np.where(y % 2 == 0, 1, x), 0)
        return np.where(y < 0, units, powers).astype(x.dtype)

    def emit(self, e: ScalarEmitter[Any], x: Any, y: Any) -> Any:
        """As defined at the loop level."""
        return e.apply("pow", x, y)


def known_number(x: Tensor) -> float | None:
    """The number that stands everywhere in x, if the program says which."""
    op = x.node.op
    if isinstance(op, BroadcastTo):
        op = x.node.inputs[0].op
    return float(op.value) if isinstance(op, Literal) else None


def lift_pow(x: Tensor, y: Tensor) -> Tensor:
    """x ** y without a look at y."""
    from graphc.frontend.tensor import lift_op

    return lift_op(Pow(), x, y)


class Floor(Flat):
    """The largest whole number that is not above x"""

    name = "floor"
    kinds = "f"
    domain = ((-4.0, 4.0),)

    def evaluate(self, x: Array) -> Array:
        """numpy's floor."""
        return compute(np.floor, x)

    def emit(self, e: ScalarEmitter[Any], x: Any) -> Any:
        """One primitive."""
        return e.floor(x)


class Ceil(Flat):
    """The smallest whole number that is not below x"""

    name = "ceil"
    kinds = "f"
    domain = ((-4.0, 4.0),)

    def evaluate(self, x: Array) -> Array:
        """numpy's ceil."""
        return compute(np.ceil, x)

    def emit(self, e: ScalarEmitter[Any], x: Any) -> Any:
        """One primitive."""
        return e.ceil(x)


class Trunc(Flat):
    """x without its fraction"""

    name = "trunc"
    kinds = "f"
    domain = ((-4.0, 4.0),)

    def evaluate(self, x: Array) -> Array:
        """numpy's trunc."""
        return compute(np.trunc, x)

    def emit(self, e: ScalarEmitter[Any], x: Any) -> Any:
        """One primitive."""
        return e.trunc(x)


class Round(Flat):
    """The nearest whole number, the even one of two"""

    name = "round"
    kinds = "f"
    domain = ((-4.0, 4.0),)

    def evaluate(self, x: Array) -> Array:
        """numpy's rint."""
        return compute(np.rint, x)

    def emit(self, e: ScalarEmitter[Any], x: Any) -> Any:
        """One primitive."""
        return e.rint(x)
