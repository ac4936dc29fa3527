"""More distributions: of reals, of whole numbers, of orders."""

from __future__ import annotations

import math
from typing import Any

from graphc.errors import ArgumentError, DTypeError
from graphc.frontend import functions as fn
from graphc.frontend import symbols
from graphc.frontend.autodiff.custom import custom_gradient
from graphc.frontend.functions.operands import fail, one_axis, to_dtype
from graphc.frontend.tensor import Tensor, lift, lift_op
from graphc.frontend.typing import DTypeLike, Shape, TensorLike
from graphc.ir.dims import Poly, Size
from graphc.ir.ops.elementwise_random import BitExact, ExponentialFloat, NormalFloat
from graphc.ir.types import float32, uint32, uint64
from graphc.random.draw import bits, stream, wanted_float
from graphc.random.implicit import gamma_slope

REJECTION_TRIES = 8  # of a gamma variate; all are refused with a probability below 1e-10
ROOT_2 = math.sqrt(2.0)


def exponential(
    shape: Shape, scale: float | Tensor = 1.0, name: str | None = None, dtype: DTypeLike = "float32"
) -> Tensor:
    """Draw exponential variates of mean `scale`, a number or a tensor that broadcasts."""
    drawn = bits(shape, name, "exponential")
    result: Tensor = _standard_exponential(drawn, dtype) * scale
    return result


def _standard_exponential(drawn: Tensor, dtype: DTypeLike, kind: str = "exponential") -> Tensor:
    return fn.astype(lift_op(ExponentialFloat(), drawn), wanted_float(kind, dtype))


def gumbel(
    shape: Shape,
    loc: float | Tensor = 0.0,
    scale: float | Tensor = 1.0,
    name: str | None = None,
    dtype: DTypeLike = "float32",
) -> Tensor:
    """Draw Gumbel variates: what the largest of many logarithms of odds looks like."""
    drawn = bits(shape, name, "gumbel")
    logarithm = lift_op(BitExact("log"), _standard_exponential(drawn, dtype, "gumbel"))
    result: Tensor = loc - logarithm * scale
    return result


def truncated_normal(
    shape: Shape,
    lower: float = -2.0,
    upper: float = 2.0,
    mean: float | Tensor = 0.0,
    std: float | Tensor = 1.0,
    name: str | None = None,
    dtype: DTypeLike = "float32",
) -> Tensor:
    """Draw normal variates between `lower` and `upper` standard deviations from the mean."""
    wanted = wanted_float("truncated_normal", dtype)
    if not lower < upper:
        fail(ArgumentError, f"truncated_normal: {lower} is not below {upper}")
    low, high = math.erf(lower / ROOT_2), math.erf(upper / ROOT_2)
    drawn = fn.astype(bits(shape, name, "truncated_normal") >> 8, float32)
    # the middles of 2**24 intervals: never an end
    unit = (drawn + 0.5) * 2.0**-24
    unit = unit if wanted.bits < 64 else fn.astype(unit, wanted)
    z = lift_op(BitExact("erf_inv"), unit * (high - low) + low) * ROOT_2
    inside = fn.clip(z, float(lower), float(upper))
    result: Tensor = fn.astype(inside, wanted) * std + mean
    return result


def gamma(
    shape: Shape,
    concentration: float | Tensor,
    scale: float | Tensor = 1.0,
    name: str | None = None,
    dtype: DTypeLike = "float32",
) -> Tensor:
    """Draw gamma variates after Marsaglia and Tsang (2000).

    `concentration` and `scale` are positive numbers or tensors that broadcast to the shape. The
    first of `REJECTION_TRIES` candidates that is accepted is taken. The gradient to the
    concentration is that of the quantile with the variate's probability.
    """
    wanted = wanted_float("gamma", dtype)
    first = bits(shape, name, "gamma")
    given = fn.broadcast_to(fn.astype(lift(concentration, wanted), wanted), first.shape)

    @custom_gradient(apart=given.ndim)
    def drawn(a: Tensor) -> Any:
        return _standard_gamma(first, fn.stop_gradient(a)), lambda dy: dy * gamma_slope(a, value)

    value = drawn(given)
    result: Tensor = value * scale
    return result


def _standard_gamma(first: Tensor, given: Tensor) -> Tensor:
    """A variate for every concentration; `first` are the bits of the first candidates."""
    small = given < 1.0
    d = fn.where(small, given + 1.0, given) - 1.0 / 3.0
    c = (1.0 / 3.0) / fn.sqrt(d)
    value = d
    for k in reversed(range(REJECTION_TRIES)):
        candidate, accepted = _candidate(first, k, c, d)
        value = fn.where(accepted, candidate, value)
    # gamma(a) is gamma(a + 1) times a power of a uniform variate
    e = _standard_exponential(stream(first.shape, first.name + "/power"), given.dtype)
    power = lift_op(BitExact("exp"), -e / fn.where(small, given, 1.0))
    return value * fn.where(small, power, 1.0)


def _candidate(first: Tensor, k: int, c: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    """The k-th candidate and whether it is accepted."""

    def drawn(what: str) -> Tensor:
        return stream(first.shape, f"{first.name}/{what}_{k}")

    x = first if k == 0 else drawn("first")
    z = fn.astype(lift_op(NormalFloat(), x, drawn("second")), d.dtype)
    root = z * c + 1.0
    positive = root > 0.0
    root = fn.where(positive, root, 1.0)
    v = root * root * root
    bound = z * z * 0.5 + d - d * v + d * lift_op(BitExact("log"), v)
    accepted = -_standard_exponential(drawn("accept"), d.dtype) < bound
    return d * v, positive & accepted


def randint(
    shape: Shape,
    low: int,
    high: int | None = None,
    name: str | None = None,
    dtype: DTypeLike = "int32",
) -> Tensor:
    """Draw integers from low to high - 1 (from 0 to low - 1 when `high` is left out).

    No number is preferred by more than the range over 2**32 (2**64 where it is above 2**16, 2**128
    above 2**32).
    """
    if high is None:
        low, high = 0, low
    wanted = to_dtype("randint", dtype)
    if not wanted.is_integer:
        fail(DTypeError, f"randint: needs an integer dtype, got {wanted.name}")
    least, most = _bounds(wanted.bits, wanted.kind == "i")
    if not least <= low < high <= most + 1:
        fail(ArgumentError, f"randint: {low} to {high - 1} is no range of {wanted.name}")
    count = high - low
    drawn = bits(shape, name, "randint")
    if count <= 2**16:
        place = (fn.astype(drawn, uint64) * count) >> 32
    else:
        other = stream(drawn.shape, drawn.name + "/second")
        place = (fn.astype(drawn, uint64) << 32) | fn.astype(other, uint64)
        place = _below(place, drawn, count)
    found: Tensor = fn.astype(place, wanted)
    return found if low == 0 else found + low


def _below(word: Tensor, drawn: Tensor, count: int) -> Tensor:
    """A number below a count from 64 random bits, and 64 more where these are too few."""
    if count == 2**64:
        return word
    if count <= 2**32 or count & (count - 1) == 0:
        return fn.remainder(word, count)
    more = [
        fn.astype(stream(drawn.shape, f"{drawn.name}/{k}"), uint64) for k in ("third", "fourth")
    ]
    behind = (more[0] << 32) | more[1]
    # the integer part of (word + behind / 2**64) / 2**64 * count
    high, low = _product(word, count)
    carried = low + _product(behind, count)[0]
    return high + fn.astype(carried < low, uint64)


def _product(x: Tensor, y: int) -> tuple[Tensor, Tensor]:
    """The upper and the lower 64 bits of a product of two uint64."""
    x_low, x_high = x & 0xFFFFFFFF, x >> 32
    y_low, y_high = y & 0xFFFFFFFF, y >> 32
    first = x_low * y_low
    second = x_high * y_low + (first >> 32)
    third = x_low * y_high + (second & 0xFFFFFFFF)
    return x_high * y_high + (second >> 32) + (third >> 32), x * y


def _bounds(width: int, signed: bool) -> tuple[int, int]:
    return (-(2 ** (width - 1)), 2 ** (width - 1) - 1) if signed else (0, 2**width - 1)


def categorical(
    logits: TensorLike, axis: int = -1, shape: Shape | None = None, name: str | None = None
) -> Tensor:
    """Draw indices (int64) along an axis with probabilities softmax(logits).

    `shape` is that of the result (default: that of logits without the axis); it ends in it.
    """
    x = lift(logits)
    if not x.dtype.is_float:
        fail(DTypeError, f"categorical: needs floats, got {x.dtype.name}", (x,))
    axis = one_axis("categorical", axis, x.ndim, (x,))
    x = fn.moveaxis(x, axis, -1)
    rows = x.shape[:-1]
    wanted = rows if shape is None else symbols.check_shape("categorical", shape, dims=True)
    if len(wanted) < len(rows) or wanted[len(wanted) - len(rows) :] != rows:
        fail(ArgumentError, f"categorical: the shape {wanted} does not end in {rows}", (x,))
    drawn = bits((*wanted, x.shape[-1]), name, "categorical")
    noise = -lift_op(BitExact("log"), lift_op(ExponentialFloat(), drawn))
    return fn.argmax(fn.astype(x, float32) + noise, axis=-1)


def permutation(x: TensorLike, axis: int = 0, name: str | None = None) -> Tensor:
    """The numbers below a size in random order (int64), or the slices of a tensor along an axis.

    Slices stay as they are: all rows are moved alike.
    """
    if isinstance(x, (int, Poly)) and not isinstance(x, bool):
        return _order(x, name)
    x = lift(x)
    axis = one_axis("permutation", axis, x.ndim, (x,))
    return fn.take(x, _order(x.shape[axis], name), axis=axis)


def _order(size: Size, name: str | None) -> Tensor:
    keys = bits((size,), name, "permutation")
    assert keys.dtype == uint32
    return fn.argsort(keys)
