"""Learning rates as functions of the step: pass one as `learning_rate` of an optimiser.

Each function here returns a schedule: from the number of steps taken (rank-0 int64, 0 at first)
to the rate (rank-0 float64), compiled into the step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from graphc.errors import ArgumentError
from graphc.frontend import functions as fn
from graphc.frontend.arguments import amount, check_all
from graphc.frontend.tensor import Tensor, literal
from graphc.ir.types import float64

Schedule = Callable[[Tensor], Tensor]


def constant(rate: float) -> Schedule:
    """The same rate always."""
    return lambda step: literal(rate, float64)


def exponential(rate: float, decay: float, steps: int = 1) -> Schedule:
    """rate * decay^(step / steps)."""
    _positive("exponential", steps=steps, decay=decay)
    return lambda step: rate * fn.exp(_float(step) * (math.log(decay) / steps))


def staircase(rate: float, decay: float, steps: int) -> Schedule:
    """rate * decay^floor(step / steps)."""
    _positive("staircase", steps=steps, decay=decay)
    return lambda step: rate * fn.exp(fn.floor(_float(step) / steps) * math.log(decay))


def inverse_time(rate: float, decay: float, steps: int = 1) -> Schedule:
    """rate / (1 + decay * step / steps)."""
    _positive("inverse_time", steps=steps)
    _not_negative("inverse_time", decay=decay)
    return lambda step: rate / (1.0 + _float(step) * (decay / steps))


def linear(start: float, end: float, steps: int) -> Schedule:
    """From start to end in equal moves over `steps`, then end."""
    _positive("linear", steps=steps)
    _not_negative("linear", start=start, end=end)
    return lambda step: start + (end - start) * _share(step, steps)


def cosine(rate: float, steps: int, end: float = 0.0, warmup: int = 0) -> Schedule:
    """Half a cosine from rate to end over `steps` (Loshchilov and Hutter 2017).

    The first `warmup` of them rise linearly from rate / warmup to the rate.
    """
    _positive("cosine", steps=steps)
    _not_negative("cosine", end=end)
    if not 0 <= warmup < steps:
        raise ArgumentError(f"schedules.cosine: warmup must be in [0, {steps}), got {warmup}")

    def schedule(step: Tensor) -> Tensor:
        share = fn.clip((_float(step) - warmup) / (steps - warmup), 0.0, 1.0)
        down = end + (rate - end) * 0.5 * (1.0 + fn.cos(math.pi * share))
        if not warmup:
            return down
        return fn.where(step < warmup, rate * (_float(step) + 1.0) / warmup, down)

    return schedule


def polynomial(start: float, end: float, steps: int, power: float = 1.0) -> Schedule:
    """(start - end) * (1 - step / steps)^power + end over `steps`, then end."""
    _positive("polynomial", steps=steps, power=power)
    _not_negative("polynomial", start=start, end=end)
    return lambda step: end + (start - end) * (1.0 - _share(step, steps)) ** power


def warmup(rate: float | Schedule, steps: int, start: float = 0.0) -> Schedule:
    """From `start` to the rate in equal moves over `steps`, then the rate, or another schedule.

    A schedule begins with its first rate after the warm-up.
    """
    _positive("warmup", steps=steps)
    _not_negative("warmup", start=start)
    after = rate if callable(rate) else constant(amount("warmup", "rate", rate))

    def schedule(step: Tensor) -> Tensor:
        later = after(fn.maximum(step - steps, 0))
        return fn.where(step < steps, start + (later - start) * _share(step, steps), later)

    return schedule


def one_cycle(
    rate: float, steps: int, rise: float = 0.3, start: float = 25.0, end: float = 1e4
) -> Schedule:
    """One rise and one fall over `steps`, half a cosine each (Smith and Topin 2018).

    From rate / start to the rate in the share `rise` of the steps, then down to
    rate / start / end, where it stays.
    """
    _positive("one_cycle", steps=steps, start=start, end=end)
    if not 0.0 < rise < 1.0:
        raise ArgumentError(f"schedules.one_cycle: rise must be in (0, 1), got {rise}")
    first, last = rate / start, rate / start / end
    top = rise * steps - 1.0
    if top <= 0.0 or steps - 1.0 - top <= 0.0:
        raise ArgumentError(f"schedules.one_cycle: {steps} steps are too few for rise={rise}")

    def schedule(step: Tensor) -> Tensor:
        up = _wave(first, rate, _float(step) / top)
        down = _wave(rate, last, (_float(step) - top) / (steps - 1.0 - top))
        return fn.where(_float(step) <= top, up, down)

    return schedule


def cyclical(low: float, high: float, steps: int, decay: float = 1.0) -> Schedule:
    """Up and down between two rates, `steps` in each direction (Smith 2017).

    The distance between the two is multiplied by `decay` after every cycle: 1 is "triangular",
    0.5 "triangular2" of the paper.
    """
    _positive("cyclical", steps=steps, decay=decay)
    _not_negative("cyclical", low=low, high=high)

    def schedule(step: Tensor) -> Tensor:
        cycle = fn.floor(_float(step) / (2 * steps))
        place = fn.abs(_float(step) / steps - 2.0 * cycle - 1.0)  # 1 at the ends, 0 at the top
        return low + (high - low) * (1.0 - place) * fn.exp(cycle * math.log(decay))

    return schedule


def piecewise(boundaries: Sequence[int], rates: Sequence[float]) -> Schedule:
    """rates[i] until step boundaries[i], the last rate after the last boundary."""
    if len(rates) != len(boundaries) + 1 or list(boundaries) != sorted(boundaries):
        raise ArgumentError(
            "schedules.piecewise: needs ascending boundaries and one rate more than boundaries,"
            f" got {list(boundaries)} and {list(rates)}"
        )
    for i, rate in enumerate(rates):
        amount("piecewise", f"rates[{i}]", rate)

    def schedule(step: Tensor) -> Tensor:
        result = literal(rates[-1], float64)
        for boundary, rate in zip(reversed(boundaries), reversed(rates[:-1])):
            result = fn.where(step < boundary, literal(rate, float64), result)
        return result

    return schedule


def _wave(start: float, end: float, share: Tensor) -> Tensor:
    """Half a cosine from start to end."""
    return end + (start - end) * 0.5 * (1.0 + fn.cos(math.pi * fn.clip(share, 0.0, 1.0)))


def _float(step: Tensor) -> Tensor:
    return fn.astype(step, float64)


def _share(step: Tensor, steps: int) -> Tensor:
    return fn.clip(_float(step) / steps, 0.0, 1.0)


def _positive(name: str, **values: float) -> None:
    for label, value in values.items():
        if not value > 0:
            raise ArgumentError(f"schedules.{name}: {label} must be positive, got {value}")


def _not_negative(name: str, **values: float) -> None:
    for label, value in values.items():
        if not value >= 0:
            raise ArgumentError(f"schedules.{name}: {label} must not be negative, got {value}")


__all__ = [
    "constant", "cosine", "cyclical", "exponential", "inverse_time", "linear", "one_cycle",
    "piecewise", "polynomial", "staircase", "warmup",
]  # fmt: skip

check_all(globals(), __all__)
