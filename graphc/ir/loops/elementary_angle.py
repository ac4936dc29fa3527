"""Angles modulo a quarter turn: quickly up to `TRIGONOMETRIC_LIMIT`, exactly for all floats.

Near angles are reduced by multiples of pi/2 given in parts of 27 bits (Cody and Waite). Far ones
are multiplied, as integers, by those 192 bits of 2/pi that matter modulo 4 (Payne and Hanek): no
float64 is nearer than 2**-61 to a multiple of pi/2, so some 70 bits of the rest are right.
"""

from __future__ import annotations

from typing import Any

from graphc.ir.loops.formats import FORMATS, Emitter, round_product
from graphc.ir.loops.scalar import S
from graphc.ir.types import DType, float32, float64, int32, int64, uint64

TRIGONOMETRIC_LIMIT = 1e8
TWO_OVER_PI = 0.6366197723675814
# pi / 2; times an integer of 26 bits, all parts but the last are exact
HALF_PI = (1.570796325802803, 9.920935739593517e-10, 5.721188709663575e-18, 1.6446256936324258e-26)

# the bits of 2/pi after the point, behind 64 zeros
_BITS = (
    "0000000000000000"
    "a2f9836e4e441529fc2757d1f534ddc0db6295993c439041fe5163abdebbc561"
    "b7246e3a424dd2e006492eea09d1921cfe1deb1cb129a73ee88235f52ebb4484"
    "e99c7026b45f7e413991d639835339f49c845f8bbdf9283b1ff897ffde05980f"
    "ef2f118b5a0a6d1f6d367ecf27cb09b74f463f669e5fea2d7527bac7ebe5f17b"
    "3d0739f78a5292ea6bfb5fb11f8d5d0856033046fc7b6bab"
)
WORDS = tuple(int(_BITS[i : i + 16], 16) for i in range(0, len(_BITS), 16))
WINDOW_WORDS = 4  # in which 192 bits begin anywhere in the first
LAST_WORD = {float32: 2, float64: 16}  # where the window of the largest number begins
LOW_HALF = 0xFFFFFFFF
HALF_PI_HIGH, HALF_PI_LOW = 1.5707963267948966, 6.123233995736766e-17

Angle = tuple[S, S | None, S]  # the rest, what its rounding lost, and which quarter of a turn


def near_angle(e: Emitter[S], x: S) -> Angle[S]:
    """Return r = |x| - n * pi / 2, what its rounding lost, and n in the low bits of an integer.

    float32 loses nothing that counts: None. Only for |x| up to TRIGONOMETRIC_LIMIT.
    """
    dtype, wide = e.dtype(x), FORMATS[float64]
    magnitude = e.cast(e.abs(x), float64)
    n, bits = round_product(e, wide, magnitude, TWO_OVER_PI)
    first, second, third, fourth = (e.mul(n, e.const(part, float64)) for part in HALF_PI)
    r = e.sub(magnitude, first)
    if dtype == float32:
        r = e.sub(e.sub(r, second), third)
        return e.cast(r, float32), None, e.cast(bits, int32)
    r, error = _difference(e, r, second)
    r, another = _difference(e, r, third)
    error = e.sub(e.add(error, another), fourth)
    total = e.add(r, error)
    return total, e.add(e.sub(r, total), error), bits


def _difference(e: Emitter[S], x: S, y: S) -> tuple[S, S]:
    """Return x - y rounded and the error (Knuth)."""
    total = e.sub(x, y)
    part = e.sub(total, x)
    return total, e.sub(e.sub(x, e.sub(total, part)), e.add(y, part))


def far_angle(e: Emitter[S], x: S) -> Angle[S]:
    """The same beyond TRIGONOMETRIC_LIMIT; NaN for infinity."""
    dtype = e.dtype(x)
    magnitude = e.cast(e.abs(x), float64)
    bits = e.bitcast(magnitude, int64)
    exponent = e.shr(bits, e.const(52, int64))
    fraction = e.bit_and(bits, e.const((1 << 52) - 1, int64))
    mantissa = e.bitcast(e.bit_or(fraction, e.const(1 << 52, int64)), uint64)
    # the first bit of 2/pi whose product with the mantissa is less than 4
    place = e.sub(exponent, e.const(1013, int64))
    turns = _product(e, mantissa, _window(e, place, LAST_WORD[dtype]))
    high, middle, low = (_word(e, pair) for pair in zip(turns[::-2], turns[-2::-2]))
    quarter = e.shr(e.add(high, _u(e, 1 << 61)), _u(e, 62))
    rest = [_joined(e, high, middle, 2), _joined(e, middle, low, 2)]
    r, lost = _times_quarter_turn(e, *rest)
    r = e.add(r, e.sub(magnitude, magnitude))
    number = e.bitcast(quarter, int64)
    if dtype == float32:
        return e.cast(r, float32), None, e.cast(number, int32)
    return r, lost, number


def _u(e: Emitter[S], value: int) -> S:
    return e.const(value, uint64)


def _word(e: Emitter[S], limbs: tuple[S, S]) -> S:
    """64 bits of an upper and a lower half."""
    return e.bit_or(e.shl(limbs[0], _u(e, 32)), limbs[1])


def _joined(e: Emitter[S], high: S, low: S, shift: int) -> S:
    """The upper 64 bits of two words moved up."""
    return e.bit_or(e.shl(high, _u(e, shift)), e.shr(low, _u(e, 64 - shift)))


def _window(e: Emitter[S], place: S, last: int) -> list[S]:
    """Three words of the bits of 2/pi from `place` on, the lowest limbs of 32 bits first."""
    index = e.shr(place, e.const(6, int64))
    words = [_u(e, word) for word in WORDS[: last + WINDOW_WORDS]]
    for step in reversed([1 << k for k in range(last.bit_length())]):
        set_ = e.ne(e.bit_and(index, e.const(step, int64)), e.const(0, int64))
        count = min(len(words), step - 1 + WINDOW_WORDS)
        pairs = [(words[i], words[i + step] if i + step < len(words) else None)
                 for i in range(count)]  # fmt: skip
        words = [here if there is None else e.select(set_, there, here) for here, there in pairs]
    shift = e.bitcast(e.bit_and(place, e.const(63, int64)), uint64)
    back = e.sub(_u(e, 63), shift)
    limbs: list[Any] = []
    for here, following in zip(words[2::-1], words[3:0:-1]):
        behind = e.shr(e.shr(following, _u(e, 1)), back)
        word = e.bit_or(e.shl(here, shift), behind)
        limbs += [e.bit_and(word, _u(e, LOW_HALF)), e.shr(word, _u(e, 32))]
    return limbs


def _product(e: Emitter[S], mantissa: S, limbs: list[S]) -> list[S]:
    """A number of 53 bits times limbs, as many limbs: what is above is whole turns."""
    total, zero = [_u(e, 0)] * len(limbs), _u(e, 0)
    parts = (e.bit_and(mantissa, _u(e, LOW_HALF)), e.shr(mantissa, _u(e, 32)))
    for moved, part in enumerate(parts):
        carry = zero
        for i, limb in enumerate(limbs[: len(limbs) - moved]):
            at = i + moved
            column = e.add(e.add(e.mul(limb, part), total[at]), carry)
            total[at], carry = e.bit_and(column, _u(e, LOW_HALF)), e.shr(column, _u(e, 32))
    return total


def _times_quarter_turn(e: Emitter[S], high: S, low: S) -> tuple[S, S]:
    """pi / 2 times a fraction of 128 bits, which counts as negative from 1/2 on: two floats."""
    negative = e.shr(e.bitcast(high, int64), e.const(63, int64))
    flip = e.bitcast(negative, uint64)
    parts = []
    for word, weight in ((high, -32), (low, -96)):
        word = e.bit_xor(word, flip)
        upper, lower = e.shr(word, _u(e, 32)), e.bit_and(word, _u(e, LOW_HALF))
        parts += [_scaled(e, upper, weight), _scaled(e, lower, weight - 32)]
    first, error = _fast_sum(e, parts[0], parts[1])
    first, another = _fast_sum(e, first, parts[2])
    second = e.add(e.add(error, another), parts[3])
    r, lost = _times_half_pi(e, first, second)
    sign = e.bit_and(negative, e.const(FORMATS[float64].sign_bit, int64))
    turned = [e.bitcast(e.bit_xor(e.bitcast(v, int64), sign), float64) for v in (r, lost)]
    return turned[0], turned[1]


def _scaled(e: Emitter[S], limb: S, weight: int) -> S:
    return e.mul(e.cast(e.bitcast(limb, int64), float64), e.const(2.0**weight, float64))


def _fast_sum(e: Emitter[S], x: S, y: S) -> tuple[S, S]:
    """Return x + y rounded and the error, for x that is 0 or not smaller than y (Dekker)."""
    total = e.add(x, y)
    return total, e.sub(y, e.sub(total, x))


def _times_half_pi(e: Emitter[S], x: S, rest: S) -> tuple[S, S]:
    """(x + rest) * pi / 2 rounded and the error, without an fma (Dekker)."""
    x_high, x_low = _halves(e, x)
    scaled = HALF_PI_HIGH * 134217729.0
    upper = scaled - (scaled - HALF_PI_HIGH)
    pi_high, pi_low = _f(e, upper), _f(e, HALF_PI_HIGH - upper)
    product = e.mul(x, _f(e, HALF_PI_HIGH))
    error = e.sub(e.mul(x_high, pi_high), product)
    error = e.add(e.add(error, e.mul(x_high, pi_low)), e.mul(x_low, pi_high))
    error = e.add(error, e.mul(x_low, pi_low))
    more = e.add(e.mul(x, _f(e, HALF_PI_LOW)), e.mul(rest, _f(e, HALF_PI_HIGH)))
    return _fast_sum(e, product, e.add(error, more))


def _halves(e: Emitter[S], x: S) -> tuple[S, S]:
    scaled = e.mul(x, _f(e, 134217729.0))  # 2**27 + 1
    high = e.sub(scaled, e.sub(scaled, x))
    return high, e.sub(x, high)


def _f(e: Emitter[S], value: float) -> S:
    return e.const(value, float64)


def is_far(e: Emitter[S], x: S) -> S:
    """Whether an angle needs `far_angle`."""
    dtype: DType = e.dtype(x)
    return e.lt(e.const(TRIGONOMETRIC_LIMIT, dtype), e.abs(x))
