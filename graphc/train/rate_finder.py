"""Which learning rate to begin with: the loss while the rate grows from step to step."""

from __future__ import annotations

import math
import os
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np

from graphc import origin as origins
from graphc import plot
from graphc.errors import ArgumentError, UnsupportedError
from graphc.frontend.parameter import Parameter
from graphc.frontend.seed import generator
from graphc.ir.types import Array
from graphc.train.batches import Steps
from graphc.train.feed import Feed, make_feed
from graphc.train.fit import check_arguments
from graphc.train.preflight import scalar_names
from graphc.train.run import Run

_MEMORY = 0.8  # of the running mean that tells whether the loss has gone up
_HIGHEST, _MOST = 1e30, 10_000  # rate, and steps
_WINDOW = 20  # the smoothed curve looks at this part of the steps to either side


@dataclass(frozen=True, eq=False)
class RateSweep:
    """The losses of a sweep over learning rates, step by step.

    `suggestion` is the rate at which the smoothed loss falls most steeply for the exponent of the
    rate (None where it never falls), `divergence` the one from which on it is worse than at the
    start (None where there is none).
    """

    rates: Array
    losses: Array
    smooth: Array
    suggestion: float | None
    divergence: float | None

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """The picture of it; see gx.plot.rate_sweep."""
        return plot.rate_sweep(
            self.rates, self.losses, self.smooth, self.suggestion, self.divergence, path=path
        )

    def _repr_png_(self) -> bytes | None:
        try:
            picture: bytes = self.plot()._repr_png_()
        except UnsupportedError:  # no Matplotlib: the text is shown
            return None
        return picture

    def __repr__(self) -> str:
        found = "nothing" if self.suggestion is None else f"{self.suggestion:.2g}"
        ends = "" if self.divergence is None else f", diverges from {self.divergence:.2g}"
        return (
            f"<RateSweep of {len(self.rates)} steps from {self.rates[0]:.2g} to"
            f" {self.rates[-1]:.2g}: suggests {found}{ends}>"
        )


def lr_find(
    step: Any,
    data: Any,
    batch_size: int = 32,
    low: float = 1e-7,
    high: float = 10.0,
    steps: int = 100,
    monitor: str = "loss",
    seed: int = 0,
) -> RateSweep:
    """Train while the learning rate grows from `low` to `high`, and suggest one (Smith 2017).

    `step` and `data` are those of `fit`, or a compiled `Sequential` and [x, y] or batches of these.
    The sweep ends where the output `monitor` has grown far above its best. Afterwards parameters,
    optimiser state, rates and random state are what they were, bit for bit. The rate must be a
    number: a schedule cannot be set from outside, and an ArgumentError says so. With several
    optimisers the rates keep their ratios, and the sweep is that of the first one.
    """
    if hasattr(step, "trainer"):
        step, data = step.trainer.step_for(data)
    check_arguments(step, None, ())
    _check_range(low, high, steps)
    run = Run(step, make_feed(step, data, batch_size), 1)
    rates = _rates(run)
    name = _loss_name(run, monitor)
    wanted = np.geomspace(float(low), float(high), steps)
    with put_back(run, rates), closing(_single_steps(run.batches, seed)) as one_by_one:
        found = _sweep(one_by_one, rates, name, wanted)
    return _judged(wanted, np.array(found))


@contextmanager
def put_back(run: Run, rates: list[Parameter]) -> Iterator[None]:
    """Restore afterwards whatever steps change."""
    changed = list(dict.fromkeys([*run.parameters, *rates]))
    saved = [(parameter, parameter.value) for parameter in changed]
    random, epochs = run.step.rng.copy(), run.step.epochs
    try:
        yield
    finally:
        for parameter, value in saved:
            parameter.value = value
        run.step.rng[:] = random
        run.step.epochs = epochs


def _single_steps(batches: Feed, seed: int) -> Generator[Steps, None, None]:
    """Step after step, epoch after epoch."""
    for epoch in count():
        done = 0
        with batches.epoch(epoch, generator(seed, f"sweep {epoch}")):
            while not batches.finished(done):
                yield batches.run(done, done + 1)
                done += 1
        if not done:
            return


def _sweep(
    one_by_one: Iterator[Steps], rates: list[Parameter], name: str, wanted: Array
) -> list[float]:
    """The loss at each rate, up to where it diverges."""
    first = [float(rate.value) for rate in rates]
    ratios = [value / first[0] if first[0] else 1.0 for value in first]
    found: list[float] = []
    mean, best, start = 0.0, math.inf, 0.0
    for i, wanted_rate in enumerate(wanted):
        for rate, ratio in zip(rates, ratios):
            rate.value = np.asarray(wanted_rate * ratio, rate.dtype.numpy)
        with np.errstate(all="ignore"):
            steps = next(one_by_one, None)
        if steps is None:
            raise ArgumentError(
                f"lr_find: the data ended after {i} of {len(wanted)} steps",
                origin=origins.find_origin(),
                hint="give a function that returns the iterator: it is called for every epoch",
            )
        found.append(float(steps.values[name][0]))
        mean = _MEMORY * mean + (1.0 - _MEMORY) * found[-1]
        now = mean / (1.0 - _MEMORY ** (i + 1))
        start = now if not i else start
        best = min(best, now)
        if not math.isfinite(now) or now > best + 3.0 * max(start - best, 0.25 * abs(start)):
            break
    return found


def _judged(wanted: Array, losses: Array) -> RateSweep:
    """What the losses say."""
    rates = wanted[: len(losses)]
    if not np.isfinite(losses[0]):
        raise ArgumentError(
            f"lr_find: the loss is {losses[0]} at the smallest rate, {rates[0]:.2g}",
            origin=origins.find_origin(),
            hint="gx.data.check looks for NaN in the data",
        )
    start = float(np.median(losses[: max(len(wanted) // _WINDOW, 1)]))
    room = max(start - float(np.nanmin(losses)), 0.25 * abs(start))
    smooth = _smoothed(np.nan_to_num(np.clip(losses, None, start + room), nan=start + room))
    lowest = int(np.argmin(smooth))
    worse = np.flatnonzero(smooth[lowest:] > start)
    divergence = None if len(losses) == len(wanted) else float(rates[-1])
    if len(worse) and len(smooth) - lowest - worse[0] == len(worse):  # and it stays so
        divergence = float(rates[lowest + worse[0]])
    return RateSweep(rates, losses, smooth, _steepest(rates, smooth, start), divergence)


def _smoothed(losses: Array) -> Array:
    """Means over the neighbours, weighted by a Gauss curve."""
    reach = max(len(losses) // _WINDOW, 1)
    away = np.arange(len(losses))[:, None] - np.arange(len(losses))
    weights = np.exp(-0.5 * (away / reach) ** 2)
    smooth: Array = (weights * losses).sum(axis=1) / weights.sum(axis=1)
    return smooth


def _steepest(rates: Array, smooth: Array, start: float) -> float | None:
    """The rate before the lowest loss at which it falls most steeply."""
    lowest = int(np.argmin(smooth))
    if lowest < 2 or not smooth[lowest] < start:
        return None
    slopes = np.gradient(smooth[: lowest + 1], np.log(rates[: lowest + 1]))
    place = int(np.argmin(slopes))
    return float(rates[place]) if slopes[place] < 0 else None


def _rates(run: Run) -> list[Parameter]:
    """The learning rates of all optimisers, which must be numbers."""
    parts = [part for optimizer in run.optimizers for part in optimizer.with_rates]
    if not parts:
        raise ArgumentError(
            f"lr_find: {run.step.name} has no optimiser whose rate could be set",
            origin=origins.find_origin(),
        )
    found = []
    for part in parts:
        try:
            rate: Parameter = part.learning_rate
        except ArgumentError as error:
            raise ArgumentError(
                f"lr_find: {error.message}",
                origin=origins.find_origin(),
                hint="compile a step with a number as learning_rate for the sweep, and give the"
                " schedule what it suggests",
            ) from None
        if rate.ndim:
            raise ArgumentError(
                f"lr_find: {part.name} has a learning rate for each of {rate.shape[0]} members",
                origin=origins.find_origin(),
                hint="sweep with one member, or compare the members' losses",
            )
        found.append(rate)
    return found


def _loss_name(run: Run, monitor: str) -> str:
    """The output that is the loss."""
    names = scalar_names(run.step)
    if monitor not in names:
        raise ArgumentError(
            f"lr_find: no {monitor} of rank 0 among the outputs of {run.step.name}:"
            f" {', '.join(names) or 'none'}",
            origin=origins.find_origin(),
            hint='name it: monitor="..."',
        )
    return monitor


def _check_range(low: float, high: float, steps: int) -> None:
    if not 0 < low < high < _HIGHEST:
        raise ArgumentError(
            f"lr_find: needs 0 < low < high < {_HIGHEST:g}, got {low} and {high}",
            origin=origins.find_origin(),
        )
    if not 10 <= steps <= _MOST:
        raise ArgumentError(
            f"lr_find: steps must be 10 to {_MOST}, got {steps}", origin=origins.find_origin()
        )
