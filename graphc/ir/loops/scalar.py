"""The scalar functions of the loop level, and the vocabulary that spells them out.

`FUNCTIONS` lists every function an `ir.Apply` may name. A *primitive* is a method of
`ScalarEmitter` that every backend implements; the others (exp, tanh, ...) are *defined* in
`graphc.ir.loops.elementary` as programs over the primitives, so that all backends compute the same.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from graphc.ir.types import DType

V = TypeVar("V")


class ScalarEmitter(Protocol[V]):
    """What a backend can do with one scalar (or with one vector of them, lane by lane).

    Arithmetic operands have equal dtypes; comparisons give bool; shifts count in the dtype of the
    shifted value. Floats follow IEEE 754 round-to-nearest; `fma` rounds once where the target has
    it and is mul-then-add elsewhere; nothing else is contracted. Integers wrap around.
    """

    def const(self, value: Any, dtype: DType) -> V: ...
    def dtype(self, x: V) -> DType: ...

    def add(self, x: V, y: V) -> V: ...
    def sub(self, x: V, y: V) -> V: ...
    def mul(self, x: V, y: V) -> V: ...
    def div(self, x: V, y: V) -> V:
        """Floats: IEEE. Integers: truncated; the divisor is never 0 and never overflows."""
        ...

    def rem(self, x: V, y: V) -> V:
        """Integers only, sign of the dividend; the divisor is never 0."""
        ...

    def mulhi(self, x: V, y: V) -> V:
        """The upper half of the product of two uint32."""
        ...

    def fma(self, x: V, y: V, z: V) -> V: ...
    def neg(self, x: V) -> V: ...
    def abs(self, x: V) -> V: ...
    def sqrt(self, x: V) -> V: ...
    def floor(self, x: V) -> V: ...
    def ceil(self, x: V) -> V: ...
    def trunc(self, x: V) -> V: ...
    def rint(self, x: V) -> V:
        """Round half to even."""
        ...

    def lt(self, x: V, y: V) -> V: ...
    def le(self, x: V, y: V) -> V: ...
    def eq(self, x: V, y: V) -> V: ...
    def ne(self, x: V, y: V) -> V:
        """True for NaN against anything; the other comparisons are false."""
        ...

    def logical_and(self, x: V, y: V) -> V: ...
    def logical_or(self, x: V, y: V) -> V: ...
    def logical_not(self, x: V) -> V: ...
    def bit_and(self, x: V, y: V) -> V: ...
    def bit_or(self, x: V, y: V) -> V: ...
    def bit_xor(self, x: V, y: V) -> V: ...
    def shl(self, x: V, y: V) -> V:
        """The shift is below the width."""
        ...

    def shr(self, x: V, y: V) -> V:
        """Arithmetic for signed, logical for unsigned; the shift is below the width."""
        ...

    def select(self, condition: V, x: V, y: V) -> V: ...
    def cast(self, x: V, dtype: DType) -> V:
        """Convert the value. Float to integer saturates and NaN gives 0; to bool is x != 0."""
        ...

    def bitcast(self, x: V, dtype: DType) -> V:
        """The same bits as another dtype of the same width."""
        ...

    def seldom(self, condition: V, function: str, x: V, usual: V) -> V:
        """A defined function of x where the condition holds, else what is usual.

        The condition hardly ever holds: a backend may look whether it does for any lane.
        """
        ...

    def apply(self, function: str, *xs: V) -> V:
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
