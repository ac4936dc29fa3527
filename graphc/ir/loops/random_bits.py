"""Counter-based random bits, and floats made of them with integers and unfused arithmetic only.

So every backend makes the same bits, and `plain_log` and its like go on so from there. The
generator is Philox 4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as
1, 2, 3", 2011).
"""

from __future__ import annotations

from typing import Any, Generic

from graphc.ir.loops.elementary_error import erf_inv
from graphc.ir.loops.elementary_exp import exp
from graphc.ir.loops.elementary_log import log
from graphc.ir.loops.formats import Emitter
from graphc.ir.loops.scalar import S
from graphc.ir.types import DType, float32, int32, uint32, uint64

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
PHILOX_ROUNDS = 10

# log(1 + f) = f - f**2 / 2 + f**3 * P(f); sin x = x + x**3 * P(x**2); cos likewise
LOG_F32 = (
    0.3333333134651184, -0.2500081956386566, 0.20001228153705597, -0.16623330116271973,
    0.14201712608337402, -0.13160613179206848, 0.12762437760829926, -0.07634522020816803,
)  # fmt: skip
SIN_F32 = (-0.16666655242443085, 0.008332183584570885, -0.00019517019973136485)
COS_F32 = (0.04166664555668831, -0.0013887343229725957, 2.4438108084723353e-05)
LN2_HIGH, LN2_LOW = 0.693359375, -2.12194440e-4
SQRT_HALF_BITS = 0x3F3504F3
HALF_PI = 1.5707963267948966

Words = tuple[S, S, S, S]


def philox_block(e: Emitter[S], key_lo: S, key_hi: S, step: S, counter: S) -> Words[S]:
    """Return the four uint32 words of block `counter` (uint64) of the stream (key, step).

    Words 0 and 1 of Philox's counter are `counter`, word 2 is `step`, word 3 is 0.
    """
    high = e.cast(e.shr(counter, e.const(32, uint64)), uint32)
    words = (e.cast(counter, uint32), high, step, e.const(0, uint32))
    return philox_words(e, (key_lo, key_hi), words)


def philox_words(e: Emitter[S], key: tuple[S, S], words: Words[S]) -> Words[S]:
    """Return Philox 4x32-10 of a counter of four uint32."""
    first, second = (e.const(m, uint32) for m in MULTIPLIERS)
    a, b, c, d = words
    left, right = key
    for i in range(PHILOX_ROUNDS):
        if i:
            left = e.add(left, e.const(KEY_STEPS[0], uint32))
            right = e.add(right, e.const(KEY_STEPS[1], uint32))
        mixed_a = e.bit_xor(e.bit_xor(e.mulhi(c, second), b), left)
        mixed_c = e.bit_xor(e.bit_xor(e.mulhi(a, first), d), right)
        a, b, c, d = mixed_a, e.mul(c, second), mixed_c, e.mul(a, first)
    return a, b, c, d


def philox(e: Emitter[S], key_lo: S, key_hi: S, step: S, index: S) -> S:
    """Return the uint32 of element `index` (uint64) of the stream (key, step).

    Element i is word (i >> 4) & 3 of block (i >> 6) * 16 + (i & 15): sixteen lanes that make one
    block each make the elements 64 k .. 64 k + 63 in order.
    """
    block = e.shl(e.shr(index, e.const(6, uint64)), e.const(4, uint64))
    counter = e.bit_or(block, e.bit_and(index, e.const(15, uint64)))
    a, b, c, d = philox_block(e, key_lo, key_hi, step, counter)
    word = e.cast(index, uint32)
    zero = e.const(0, uint32)
    odd = e.ne(e.bit_and(word, e.const(16, uint32)), zero)
    upper = e.ne(e.bit_and(word, e.const(32, uint32)), zero)
    return e.select(upper, e.select(odd, d, c), e.select(odd, b, a))


def unit_float(e: Emitter[S], bits: S) -> S:
    """Return the float32 in [0, 1) that the upper 24 bits of a uint32 say."""
    top = e.cast(e.shr(bits, e.const(8, uint32)), float32)
    return e.mul(top, e.const(2.0**-24, float32))


def normal_float(e: Emitter[S], first: S, second: S) -> S:
    """Return a standard normal float32 from two uint32 (Box and Muller, 1958).

    sqrt(-2 log u) cos(2 pi v) with u = (first + 1/2) / 2**32, at most 6.8 in magnitude.
    """
    scaled = e.mul(e.cast(first, float32), e.const(2.0**-32, float32))
    u = e.add(scaled, e.const(2.0**-33, float32))
    radius = e.sqrt(e.mul(e.const(-2.0, float32), _log(e, u)))
    return e.mul(radius, _cos_turns(e, second))


def exponential_float(e: Emitter[S], bits: S) -> S:
    """Return a standard exponential float32 from a uint32: -log u, u = (bits + 1/2) / 2**32.

    Between 1.2e-10 and 22.9; small ones come from 1 - u, so that they are not multiples of 2**-24.
    """
    half, unit = e.const(2.0**-33, float32), e.const(2.0**-32, float32)
    u = e.add(e.mul(e.cast(bits, float32), unit), half)
    rest = e.sub(e.const(2**32 - 1, uint32), bits)
    gap = e.add(e.mul(e.cast(rest, float32), unit), half)
    near = e.lt(gap, e.const(0.25, float32))
    zero = e.const(0.0, float32)
    small = _log_of_parts(e, zero, e.neg(e.select(near, gap, zero)))
    return e.neg(e.select(near, small, _log(e, u)))


class _Unfused(Generic[S]):
    """The primitives of an emitter, but products are rounded before they are added."""

    def __init__(self, emitter: Emitter[S]) -> None:
        self._emitter = emitter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._emitter, name)

    def fma(self, x: S, y: S, z: S) -> S:
        """x * y + z, rounded twice."""
        return self._emitter.add(self._emitter.mul(x, y), z)


def plain_log(e: Emitter[S], x: S) -> S:
    """The logarithm with the same bits on every backend."""
    result: S = log(_Unfused(e), x)
    return result


def plain_exp(e: Emitter[S], x: S) -> S:
    """The exponential function with the same bits on every backend."""
    result: S = exp(_Unfused(e), x)
    return result


def plain_erf_inv(e: Emitter[S], x: S) -> S:
    """The inverse of the error function with the same bits on every backend."""
    result: S = erf_inv(_Unfused(e), x)
    return result


def _polynomial(e: Emitter[S], x: S, coefficients: tuple[float, ...]) -> S:
    total = e.const(coefficients[-1], float32)
    for c in reversed(coefficients[:-1]):
        total = e.add(e.mul(total, x), e.const(c, float32))
    return total


def _log(e: Emitter[S], u: S) -> S:
    """The logarithm of a normal number in (0, 1], at most 0."""
    shift = e.const(23, int32)
    bits = e.bitcast(u, int32)
    k = e.shr(e.sub(bits, e.const(SQRT_HALF_BITS, int32)), shift)
    mantissa = e.bitcast(e.sub(bits, e.shl(k, shift)), float32)
    return _log_of_parts(e, e.cast(k, float32), e.sub(mantissa, e.const(1.0, float32)))


def _log_of_parts(e: Emitter[S], exponent: S, f: S) -> S:
    """log(2**exponent * (1 + f))."""
    square = e.mul(f, f)
    c = e.mul(e.mul(f, square), _polynomial(e, f, LOG_F32))
    c = e.add(c, e.mul(exponent, e.const(LN2_LOW, float32)))
    low = e.add(f, e.sub(c, e.mul(square, e.const(0.5, float32))))
    return e.add(e.mul(exponent, e.const(LN2_HIGH, float32)), low)


def _cos_turns(e: Emitter[S], bits: S) -> S:
    """cos(2 pi bits / 2**32): the top two bits say the quarter turn nearest to the angle."""

    def integer(value: int, dtype: DType = uint32) -> Any:
        return e.const(value, dtype)

    moved = e.add(bits, integer(1 << 29))
    quarter = e.shr(moved, integer(30))
    rest = e.sub(bits, e.shl(quarter, integer(30)))  # within an eighth of a turn of 0, signed
    angle = e.mul(e.cast(e.bitcast(rest, int32), float32), e.const(HALF_PI * 2.0**-30, float32))
    z = e.mul(angle, angle)
    sine = e.add(angle, e.mul(e.mul(angle, z), _polynomial(e, z, SIN_F32)))
    cosine = e.sub(e.const(1.0, float32), e.mul(z, e.const(0.5, float32)))
    cosine = e.add(cosine, e.mul(e.mul(z, z), _polynomial(e, z, COS_F32)))
    odd = e.ne(e.bit_and(quarter, integer(1)), integer(0))
    value = e.bitcast(e.select(odd, sine, cosine), uint32)
    # cos turns its sign in the quarters 1 and 2: -sin, -cos
    flip = e.bit_and(e.add(quarter, integer(1)), integer(2))
    return e.bitcast(e.bit_xor(value, e.shl(flip, integer(30))), float32)
