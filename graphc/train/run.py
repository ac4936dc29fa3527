"""A training run as callbacks see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from graphc.frontend.parameter import Parameter
from graphc.runtime.function import CompiledFunction
from graphc.train.batches import RunningMeans, Steps
from graphc.train.feed import Feed
from graphc.train.history import History


class StepTaker(Protocol):
    """What runs steps in place of the batches themselves (`rollback.Rollback`)."""

    seconds: float

    def steps(self, start: int, stop: int) -> tuple[Steps, str]:
        """Do steps start..stop-1; those kept, and what was wrong with the next."""
        ...


@dataclass(frozen=True)
class Within:
    """The steps of an epoch that is not over, and the learning rates that it began with."""

    steps: Steps
    rates: Mapping[str, float]


@dataclass(frozen=True)
class Resumed:
    """What a file says about the run: `fit` of the step that it was restored into goes on there."""

    epochs: int  # finished in that run
    callbacks: Mapping[str, Mapping[str, Any]]
    validation: tuple[int, int] | None  # random state of the validation function
    within: Within | None = None


class Run:
    """A training run as callbacks see it: the step, the data, the history, and `stop`."""

    def __init__(
        self, step: CompiledFunction, batches: Feed, epochs: int, checks: Feed | None = None
    ) -> None:
        self.step, self.batches, self.epochs = step, batches, epochs
        self.checks = checks  # the validation function and its data
        self.history = History()
        self.stopped = False
        self.done = 0  # epochs of the run that this one goes on with
        self.rollback: StepTaker | None = None  # what takes steps back, if a callback asks for it
        self.watchers: list[Any] = []
        self.running = RunningMeans()  # of the present epoch
        self.rates: Mapping[str, float] = {}  # at its first step

    @cached_property
    def parameters(self) -> list[Parameter]:
        """Everything that the step updates: weights, statistics, optimiser state."""
        return [node.handle for node, _ in self.step.graph.updates]

    @property
    def optimizers(self) -> list[Any]:
        """The optimisers behind the step."""
        return _flat(self.step.optimizer)

    def learning_rates(self) -> dict[str, float]:
        """The rates that the next step takes: learning_rate, or of several optimisers
        learning_rate/NAME."""
        parts = [part for optimizer in self.optimizers for part in optimizer.with_rates]
        alone = len(parts) == 1
        rates = {
            "learning_rate" if alone else f"learning_rate/{part.name}": part.current_rate()
            for part in parts
        }
        return {name: rate for name, rate in rates.items() if rate is not None}

    def stop(self, note: str) -> None:
        """End the run after the present slice of steps; the note says why."""
        self.stopped = True
        self.history.note = self.history.note or note

    def keyed(self) -> dict[str, Any]:
        """The callbacks that have a state, by what tells them apart."""
        found: dict[str, Any] = {}
        for watcher in self.watchers:
            if hasattr(watcher, "set_state") and hasattr(watcher, "state"):
                key = getattr(watcher, "key", type(watcher).__name__)
                same = sum(k == key or k.startswith(f"{key} #") for k in found)
                found[f"{key} #{same + 1}" if same else key] = watcher
        return found

    def states(self) -> dict[str, Any]:
        """What the callbacks remember."""
        return {key: watcher.state() for key, watcher in self.keyed().items()}

    def resume(self, resumed: Resumed) -> None:
        """Go on with the run that a checkpoint was written in."""
        self.done = resumed.epochs
        if resumed.within is not None:
            self.running.add(resumed.within.steps)
            self.rates = resumed.within.rates
        if self.checks is not None and resumed.validation is not None:
            self.checks.function.rng[:] = resumed.validation
        for key, watcher in self.keyed().items():
            if key in resumed.callbacks:
                watcher.set_state(self, resumed.callbacks[key])
        for watcher in self.watchers:
            if hasattr(watcher, "resumed"):
                watcher.resumed(self)


def _flat(optimizers: Any) -> list[Any]:
    if isinstance(optimizers, tuple):
        return [o for part in optimizers for o in _flat(part)]
    return [] if optimizers is None else [optimizers]
