"""What a call of the library does to the sums of a product before it stores them.

    d = bias + sums,   relu(bias + sums),   gelu(bias + sums)       each also without the bias

`gelu` is the form with tanh, and the bias has an element for every column of the user's result. The
library has gradients too. They are no part of what one kernel computes here: `relu`'s wants a mask
of bits that a forward call has stored, in a form of the library's own, and gradients of biases are
sums, which share a kernel with the update of the bias.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from graphc.ir.loops.contraction.index import flat_offset
from graphc.ir.loops.contraction.match import Span
from graphc.ir.loops.ir import Apply, Const, Expr, Load
from graphc.ir.types import Array, float32
from graphc_cuda.contract.find import known

NONE, RELU, GELU = "", "relu", "gelu"
CUBIC, SCALE = 0.044715, math.sqrt(2.0 / math.pi)  # of the form of gelu with tanh


@dataclass(frozen=True)
class Epilogue:
    """A function of the sums, after a bias was added to them or not."""

    function: str = NONE
    has_bias: bool = False

    def __str__(self) -> str:
        words = ["bias"] * self.has_bias + [self.function] * bool(self.function)
        return " ".join(words)

    def apply(self, sums: Array, bias: Array | None) -> Array:
        """What is stored; `bias` has an element for every row of the matrices in columns."""
        if bias is not None:
            sums = sums + bias[:, None]
        if self.function == RELU:
            return np.where(sums <= 0, np.zeros_like(sums), sums)
        if self.function == GELU:
            step = np.tanh((sums + CUBIC * (sums * sums * sums)) * SCALE)
            sums = (0.5 * sums * (1.0 + step)).astype(sums.dtype)
        return sums


PLAIN = Epilogue()


def find_epilogue(value: Expr, total: Expr, across: Span) -> tuple[Epilogue, Load | None] | None:
    """The epilogue that a stored value is of the sums, with its bias along an axis."""
    function = NONE
    for name, inner in ((RELU, _of_relu(value)), (GELU, _of_gelu(value))):
        if inner is not None:
            function, value = name, inner
    if value == total:
        return Epilogue(function), None
    match value:
        case Apply(function="add", args=(first, Load() as bias)) if first == total:
            return (Epilogue(function, True), bias) if _is_bias(bias, across) else None
        case Apply(function="add", args=(Load() as bias, second)) if second == total:
            return (Epilogue(function, True), bias) if _is_bias(bias, across) else None
    return None


def _is_bias(load: Load, across: Span) -> bool:
    """Whether a value is a vector along an axis, and nothing but that."""
    at = flat_offset(load.buffer, load.index)
    plain = load.where is None and load.dtype == float32 and not at.others
    return plain and set(at.axes) == {across.axis} and known(at.coefficient(across.axis)) == 1


def _of_relu(value: Expr) -> Expr | None:
    """What an expression is `relu` of."""
    match value:
        case Apply(
            function="select",
            args=(Apply(function="le", args=(x, Const(value=0))), Const(value=0), y),
        ):
            return x if x == y else None
    return None


def _of_gelu(value: Expr) -> Expr | None:
    """What an expression is the form of `gelu` with tanh of."""
    match value:
        case Apply(
            function="mul",
            args=(
                Apply(function="mul", args=(Const(value=half), x)),
                Apply(function="add", args=(Const(value=one), Apply(function="tanh", args=(t,)))),
            ),
        ) if (half, one) == (0.5, 1.0):
            return x if _is_inner(t, x) else None
    return None


def _is_inner(value: Expr, x: Expr) -> bool:
    """Whether an expression is what tanh is taken of."""
    match value:
        case Apply(
            function="mul",
            args=(
                Apply(
                    function="add",
                    args=(first, Apply(function="mul", args=(Const(value=cubic), cube))),
                ),
                Const(value=scale),
            ),
        ):
            near = (math.isclose(*p, rel_tol=1e-6) for p in ((cubic, CUBIC), (scale, SCALE)))
            return all(near) and first == x and _is_cube(cube, x)
    return False


def _is_cube(value: Expr, x: Expr) -> bool:
    match value:
        case Apply(function="mul", args=(Apply(function="mul", args=(a, b)), c)):
            return a == x and b == x and c == x
    return False
