"""The scalar functions of the loop-level IR, and the primitives that they are built from.

`FUNCTIONS` lists every function an `ir.Apply` may name. A *primitive* is a method of
`ScalarEmitter` that every backend implements; the others (exp, tanh, ...) are *defined* in
`graphc.ir.loops.elementary` as programs over the primitives, so that all backends compute the same.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

from graphc.ir.types import DType

S = TypeVar("S")  # one scalar, or one vector of them


class ScalarEmitter(Protocol[S]):
    """What a backend can do with one scalar (or with one vector of them, lane by lane).

    Arithmetic operands have equal dtypes; comparisons give bool; shifts count in the dtype of the
    shifted value. Floats follow IEEE 754 round-to-nearest; `fma` rounds once where the target has
    it and is mul-then-add elsewhere; nothing else is contracted. Integers wrap around.
    """

    def const(self, value: float, dtype: DType) -> S: ...
    def dtype(self, x: S) -> DType: ...

    def add(self, x: S, y: S) -> S: ...
    def sub(self, x: S, y: S) -> S: ...
    def mul(self, x: S, y: S) -> S: ...
    def div(self, x: S, y: S) -> S:
        """Floats: IEEE. Integers: truncated; the divisor is never 0 and never overflows."""
        ...

    def rem(self, x: S, y: S) -> S:
        """Integers only, sign of the dividend; the divisor is never 0."""
        ...

    def mulhi(self, x: S, y: S) -> S:
        """The upper half of the product of two uint32."""
        ...

    def fma(self, x: S, y: S, z: S) -> S: ...
    def neg(self, x: S) -> S: ...
    def abs(self, x: S) -> S: ...
    def sqrt(self, x: S) -> S: ...
    def floor(self, x: S) -> S: ...
    def ceil(self, x: S) -> S: ...
    def trunc(self, x: S) -> S: ...
    def rint(self, x: S) -> S:
        """Round half to even."""
        ...

    def lt(self, x: S, y: S) -> S: ...
    def le(self, x: S, y: S) -> S: ...
    def eq(self, x: S, y: S) -> S: ...
    def ne(self, x: S, y: S) -> S:
        """True for NaN against anything; the other comparisons are false."""
        ...

    def logical_and(self, x: S, y: S) -> S: ...
    def logical_or(self, x: S, y: S) -> S: ...
    def logical_not(self, x: S) -> S: ...
    def bit_and(self, x: S, y: S) -> S: ...
    def bit_or(self, x: S, y: S) -> S: ...
    def bit_xor(self, x: S, y: S) -> S: ...
    def shl(self, x: S, y: S) -> S:
        """The shift is below the width."""
        ...

    def shr(self, x: S, y: S) -> S:
        """Arithmetic for signed, logical for unsigned; the shift is below the width."""
        ...

    def select(self, condition: S, x: S, y: S) -> S: ...
    def cast(self, x: S, dtype: DType) -> S:
        """Convert the value. Float to integer saturates and NaN gives 0; to bool is x != 0."""
        ...

    def bitcast(self, x: S, dtype: DType) -> S:
        """The same bits as another dtype of the same width."""
        ...

    def select_unlikely(self, condition: S, function: str, x: S, usual: S) -> S:
        """A defined function of x where the condition holds (unlikely), else `usual`.

        The condition hardly ever holds: a backend may look whether it does for any lane.
        """
        ...

    def apply(self, function: str, *xs: S) -> S:
        """Any function of `FUNCTIONS` by its name, primitive or defined."""
        ...


PRIMITIVES = (
    "add", "sub", "mul", "div", "rem", "mulhi", "fma", "neg", "abs", "sqrt", "floor", "ceil",
    "trunc", "rint", "lt", "le", "eq", "ne", "logical_and", "logical_or", "logical_not",
    "bit_and", "bit_or", "bit_xor", "shl", "shr", "select", "cast", "bitcast",
)  # fmt: skip

# Defined in graphc.ir.loops.elementary: the name is the function's name there.
DEFINED = (
    "exp", "exp2", "expm1", "log", "log2", "log1p", "tanh", "sigmoid", "softplus", "sin", "cos",
    "far_sin", "far_cos", "erf", "pow", "maximum", "minimum", "sign", "floor_div", "remainder",
    "atan", "atan2", "asin", "acos", "sinh", "cosh", "asinh", "acosh", "atanh", "erfc", "erf_inv",
    "lgamma", "digamma", "hypot", "copysign", "nextafter",
    # (y, n, integer with n in its low bits) -> y * 2**n
    "times_power",
    # uint32 bits of a counter-based stream: (key_lo, key_hi, step u32, element index u64)
    "philox",
    # uint32 bits -> float in [0, 1)
    "unit_float",
    # two uint32 -> a standard normal variate
    "normal_float",
    # uint32 -> a standard exponential variate
    "exponential_float",
    # log, exp and erf_inv of random numbers, without fma
    "plain_log", "plain_exp", "plain_erf_inv",
)  # fmt: skip

FUNCTIONS = PRIMITIVES + DEFINED
