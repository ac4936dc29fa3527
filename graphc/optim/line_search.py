"""The strong Wolfe line search, a loop inside the step."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from graphc.frontend import functions as fn
from graphc.frontend.functions.control import while_loop
from graphc.frontend.tensor import Tensor, literal
from graphc.ir.types import DType, int64

Along = Callable[[Tensor], tuple[Tensor, Tensor]]  # value and slope at a distance

BRACKETING, ZOOMING, DONE = 0, 1, 2


class Point(NamedTuple):
    """A distance along the line, with the value and the slope there."""

    t: Tensor
    value: Tensor
    slope: Tensor


class Search(NamedTuple):
    """The state of a search: its phase, the ends of the interval, the distance tried next."""

    phase: Tensor
    tried: Tensor
    low: Point
    high: Point
    trial: Tensor


def strong_wolfe(
    along: Along, start: Point, first: Tensor, c1: float, c2: float, max_evaluations: int
) -> tuple[Tensor, Tensor]:
    """A distance that decreases the value and flattens the slope, and how many were tried.

    value(t) <= value(0) + c1 t slope(0) and |slope(t)| <= c2 |slope(0)| (Nocedal and Wright 2006,
    algorithms 3.5 and 3.6, cubic interpolation). After `max_evaluations` the best distance so
    far; 0 where nothing is lower. What is not a number counts as too high.
    """

    def condition(s: Search) -> Tensor:
        return (s.phase != DONE) & (s.tried < max_evaluations)

    def body(s: Search) -> Search:
        here = Point(s.trial, *along(s.trial))
        enough = here.value <= start.value + c1 * here.t * start.slope
        lower = (here.value < s.low.value) | (s.tried == 0)
        good = enough & lower & ~fn.isnan(here.slope)
        flat = good & (fn.abs(here.slope) <= -c2 * start.slope)
        zooming = s.phase == ZOOMING
        turned = good & _turns(s, here, zooming)
        high = _choose(good, _choose(turned, s.low, s.high), here)
        low = _choose(good, here, s.low)
        bracketed = zooming | ~good | turned
        inside = interpolated(low, high)
        outside = here.t + 4.0 * (here.t - s.low.t)
        trial = fn.where(bracketed, inside, outside)
        narrow = bracketed & (fn.abs(high.t - low.t) * fn.abs(low.slope) <= _tiny(start))
        phase = fn.where(flat | narrow, DONE, fn.where(bracketed, ZOOMING, BRACKETING))
        return Search(fn.astype(phase, int64), s.tried + 1, low, high, trial)

    zero = literal(0, int64)
    last = while_loop(condition, body, Search(zero, zero, start, start, first), max_evaluations + 1)
    return last.low.t, last.tried


def interpolated(low: Point, high: Point) -> Tensor:
    """The minimum of the cubic through two points with their slopes, well inside; else between."""
    width = high.t - low.t
    d1 = low.slope + high.slope - 3.0 * (high.value - low.value) / width
    square = d1 * d1 - low.slope * high.slope
    root = fn.sign(width) * fn.sqrt(fn.maximum(square, 0.0))
    t = high.t - width * (high.slope + root - d1) / (high.slope - low.slope + 2.0 * root)
    share = (t - low.t) / width
    usable = (square >= 0.0) & fn.isfinite(share)
    share = fn.where(usable, fn.clip(fn.where(usable, share, 0.5), 0.1, 0.9), 0.5)
    return low.t + share * width


def _turns(s: Search, here: Point, zooming: Tensor) -> Tensor:
    """Whether the interval lies on the side that the old low end is on."""
    onward = fn.where(zooming, here.slope * (s.high.t - s.low.t), here.slope)
    return onward >= 0.0


def _choose(condition: Tensor, a: Point, b: Point) -> Point:
    return Point(*(fn.where(condition, x, y) for x, y in zip(a, b)))


def _tiny(start: Point) -> Tensor:
    """What a value cannot resolve."""
    return fn.abs(start.value) * _eps(start.value.dtype)


def _eps(dtype: DType) -> float:
    return 1e-16 if dtype.bits == 64 else 6e-8
