"""The standard combines: how accumulators start and how two of their values merge.

Except for `DOT`, the new values that `merge` takes have the form of the running values, so the
same function merges an element into a running value and two partial results with each other
(an element x enters `ARGMAX` as (x, its index), `MEAN_M2` as (1, x, 0), `LOGSUMEXP` as (x, 1)).
`identities` takes the dtype of the accumulator's first ref.
"""

from __future__ import annotations

from typing import TypeVar

from graphc.ir.loops.elementary import maximum, minimum
from graphc.ir.loops.elementary_exp import exp
from graphc.ir.loops.ir import Combine
from graphc.ir.loops.scalar import S, ScalarEmitter
from graphc.ir.types import DType

V = TypeVar("V")
Values = tuple[S, ...]

LAST_INDEX = 2**63 - 1  # the index of an ARGMAX or ARGMIN over nothing: loses every tie


def lowest(dtype: DType) -> float:
    """The identity of maximum."""
    if dtype.is_float:
        return float("-inf")
    if dtype.kind == "b":
        return False
    return 0 if dtype.kind == "u" else -(1 << (dtype.bits - 1))


def highest(dtype: DType) -> float:
    """The identity of minimum."""
    if dtype.is_float:
        return float("inf")
    if dtype.kind == "b":
        return True
    return (1 << (dtype.bits if dtype.kind == "u" else dtype.bits - 1)) - 1


def _zero(dtype: DType) -> tuple[float]:
    return (0.0 if dtype.is_float else 0,)


def _one(dtype: DType) -> tuple[float]:
    return (1.0 if dtype.is_float else 1,)


def _sum(e: ScalarEmitter[S], running: Values[S], new: Values[S]) -> Values[S]:
    return (e.add(running[0], new[0]),)


def _prod(e: ScalarEmitter[S], running: Values[S], new: Values[S]) -> Values[S]:
    return (e.mul(running[0], new[0]),)


def _max(e: ScalarEmitter[S], running: Values[S], new: Values[S]) -> Values[S]:
    return (maximum(e, running[0], new[0]),)


def _min(e: ScalarEmitter[S], running: Values[S], new: Values[S]) -> Values[S]:
    return (minimum(e, running[0], new[0]),)


def _any(e: ScalarEmitter[S], running: Values[S], new: Values[S]) -> Values[S]:
    return (e.logical_or(running[0], new[0]),)


def _all(e: ScalarEmitter[S], running: Values[S], new: Values[S]) -> Values[S]:
    return (e.logical_and(running[0], new[0]),)


def _dot(e: ScalarEmitter[S], running: Values[S], new: Values[S]) -> Values[S]:
    (total,), (x, y) = running, new
    if e.dtype(total).is_float:
        return (e.fma(x, y, total),)
    return (e.add(total, e.mul(x, y)),)


def _extreme(e: ScalarEmitter[S], better: S, running: Values[S], new: Values[S]) -> Values[S]:
    """Take the better value; at ties, and among NaNs, the lower index."""
    (value, at), (candidate, place) = running, new
    ties = e.eq(candidate, value)
    if e.dtype(value).is_float:
        # NaN is better than every number, and as good as another NaN
        new_nan, old_nan = e.ne(candidate, candidate), e.ne(value, value)
        ties = e.logical_or(ties, e.logical_and(new_nan, old_nan))
        better = e.logical_or(better, e.logical_and(new_nan, e.logical_not(old_nan)))
    taken = e.logical_or(better, e.logical_and(ties, e.lt(place, at)))
    return e.select(taken, candidate, value), e.select(taken, place, at)


def _argmax(e: ScalarEmitter[S], running: Values[S], new: Values[S]) -> Values[S]:
    return _extreme(e, e.lt(running[0], new[0]), running, new)


def _argmin(e: ScalarEmitter[S], running: Values[S], new: Values[S]) -> Values[S]:
    return _extreme(e, e.lt(new[0], running[0]), running, new)


def _mean_m2(e: ScalarEmitter[S], running: Values[S], new: Values[S]) -> Values[S]:
    """Merge moments after Chan, Golub, LeVeque (1979)."""
    (count, mean, m2), (more, other, squares) = running, new
    dtype = e.dtype(count)
    total = e.add(count, more)
    share = e.select(e.eq(total, e.const(0.0, dtype)), total, e.div(more, total))
    difference = e.sub(other, mean)
    step = e.mul(difference, share)
    between = e.mul(e.mul(difference, step), count)
    return total, e.add(mean, step), e.add(e.add(m2, squares), between)


def _logsumexp(e: ScalarEmitter[S], running: Values[S], new: Values[S]) -> Values[S]:
    """Keep (m, l) with log(sum) = m + log(l); the smaller m is rescaled to the larger."""
    (m, weight), (other, more) = running, new
    top, low = maximum(e, m, other), minimum(e, m, other)
    one = e.const(1.0, e.dtype(m))
    # equal infinities have no difference
    factor = e.select(e.eq(low, top), one, exp(e, e.sub(low, top)))
    rises = e.lt(m, other)
    kept, scaled = e.select(rises, more, weight), e.select(rises, weight, more)
    return top, e.add(kept, e.mul(scaled, factor))


def carry(start: float) -> Combine:
    """A loop-carried value that starts at a literal."""
    name = "carry" if not start else f"carry({start})"
    return Combine(name, 1, lambda dtype: (start,), lambda e, running, new: new, carried=True)


SUM = Combine("sum", 1, _zero, _sum)
PROD = Combine("prod", 1, _one, _prod)
MAX = Combine("max", 1, lambda dtype: (lowest(dtype),), _max)
MIN = Combine("min", 1, lambda dtype: (highest(dtype),), _min)
ANY = Combine("any", 1, lambda dtype: (False,), _any)
ALL = Combine("all", 1, lambda dtype: (True,), _all)
DOT = Combine("dot", 1, _zero, _dot)
ARGMAX = Combine("argmax", 2, lambda dtype: (lowest(dtype), LAST_INDEX), _argmax)
ARGMIN = Combine("argmin", 2, lambda dtype: (highest(dtype), LAST_INDEX), _argmin)
MEAN_M2 = Combine("mean_m2", 3, lambda dtype: (0.0, 0.0, 0.0), _mean_m2)
LOGSUMEXP = Combine("logsumexp", 2, lambda dtype: (float("-inf"), 0.0), _logsumexp)

COMBINES = {
    c.name: c
    for c in (SUM, PROD, MAX, MIN, ANY, ALL, DOT, ARGMAX, ARGMIN, MEAN_M2, LOGSUMEXP)
}  # fmt: skip
