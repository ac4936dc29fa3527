"""Callbacks that look inside of a network: distributions, dead units.

Each has a second function compiled from the graph of the step, whose metrics see what the step
would see of some of its data after an epoch; the step itself stays as it is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any

from graphc import origin as origins
from graphc import plot
from graphc.errors import ArgumentError
from graphc.frontend.parameter import Parameter
from graphc.ir.types import Array
from graphc.metrics.distributions import DeadUnits as DeadUnitsMetric
from graphc.metrics.distributions import Histogram, OfOne, histogram
from graphc.train.callback import Callback
from graphc.train.feed import Feed
from graphc.train.fit import run_all
from graphc.train.taps import probe, rectified, taps

if TYPE_CHECKING:
    from graphc.frontend.tensor import Tensor
    from graphc.train.run import Run

Pair = tuple[Array, Array]  # counts and edges


class Probe(Callback):
    """Base of callbacks whose metrics see tensors of the step on its first `samples` samples."""

    def __init__(self, samples: int | None) -> None:
        if samples is not None and samples < 1:
            raise ArgumentError(
                f"{type(self).__name__}: samples must be 1 or more, got {samples}",
                origin=origins.find_origin(),
            )
        self.samples = samples
        self.watched: dict[str, OfOne] = {}
        self._batches: Feed | None = None
        self.seen = 0  # samples

    def tensors(self, run: Run) -> Mapping[str, Tensor]:
        """What to watch, by name."""
        raise NotImplementedError

    def metric(self, name: str) -> OfOne:
        """What watches it."""
        raise NotImplementedError

    def begin(self, run: Run) -> None:
        """Compile the second function."""
        tensors = self.tensors(run)
        self.watched = {name: self.metric(name) for name in tensors}
        self._batches = None
        if not tensors:
            return
        pairs = [(self.watched[name], tensor) for name, tensor in tensors.items()]
        self._batches = run.batches.head(probe(run.step, pairs), self.samples)

    def look(self) -> None:
        """Let the metrics see the samples, from nothing."""
        for metric in self.watched.values():
            metric.reset()
        if self._batches is not None:
            self.seen = run_all(self._batches).samples


class Histograms(Probe):
    """Collect the distributions of parameters, gradients and activations after every epoch.

    `series` has a list for each of `gx.taps(step)`, with a pair (counts, edges) for each of
    `epochs`: what `gx.plot.histograms` takes. Gradients and activations are those on the first
    `samples` samples (None: all). `match` chooses names: "*/gradient", "dense*".
    """

    def __init__(
        self,
        match: str = "*",
        parameters: bool = True,
        gradients: bool = True,
        activations: bool = True,
        samples: int | None = 1024,
        every: int = 1,
    ) -> None:
        super().__init__(samples)
        if every < 1:
            raise ArgumentError(
                f"Histograms: every must be 1 or more epochs, got {every}",
                origin=origins.find_origin(),
            )
        self.match, self.every = match, every
        self._kinds = parameters, gradients, activations
        self.series: dict[str, list[Pair]] = {}
        self.epochs: list[int] = []
        self._values: dict[str, Parameter] = {}  # whose values need no function to be seen

    def tensors(self, run: Run) -> Mapping[str, Tensor]:
        """Those that match."""
        found = taps(run.step, *self._kinds, match=self.match)
        if not found:
            every = ", ".join(taps(run.step, *self._kinds)) or "nothing"
            raise ArgumentError(f"Histograms: nothing is called {self.match!r}: there is {every}")
        self.series = {name: [] for name in found}
        self._values = {n: t for n, t in found.items() if isinstance(t, Parameter)}
        return {name: tensor for name, tensor in found.items() if name not in self._values}

    def metric(self, name: str) -> OfOne:
        """A histogram."""
        return Histogram(name)

    def begin(self, run: Run) -> None:
        """Forget an earlier run."""
        super().begin(run)
        self.epochs = []

    def epoch_end(self, run: Run, logs: dict[str, float]) -> None:
        """Take them all."""
        epoch = run.done + run.history.epochs
        if epoch % self.every:
            return
        self.look()
        self.epochs.append(epoch)
        for name, pairs in self.series.items():
            given = self._values.get(name)
            watching: Any = self.watched.get(name)
            pairs.append(watching.pair if given is None else histogram(given.value))

    def plot(self, path: str | os.PathLike[str] | None = None, title: str = "") -> Any:
        """The picture of them; see gx.plot.histograms."""
        return plot.histograms(self.series, self.epochs, title, path)

    def state(self) -> dict[str, Any]:
        """What was collected."""
        arrays: dict[str, Any] = {"epochs": list(self.epochs)}
        for name, pairs in self.series.items():
            for i, (counts, edges) in enumerate(pairs):
                arrays[f"{i} counts {name}"], arrays[f"{i} edges {name}"] = counts, edges
        return arrays

    def set_state(self, run: Run, state: Mapping[str, Any]) -> None:
        """The same."""
        self.epochs = [int(epoch) for epoch in state["epochs"]]
        for name in self.series:
            self.series[name] = [
                (state[f"{i} counts {name}"], state[f"{i} edges {name}"])
                for i in range(len(self.epochs))
            ]


class DeadUnits(Probe):
    """Say which layers have ReLU units that never fire, with their number.

    After every epoch each ReLU of the step is watched over the whole batches of the data, or of its
    first `samples` samples. A message is written where more than `share` of a layer's units are
    dead, and more than it said last. `found` has the numbers (dead, all) by layer, `messages` what
    was written to `stream` (None: the standard output). `stop_at` is a share at which the run ends.
    """

    def __init__(
        self,
        samples: int | None = None,
        share: float = 0.0,
        stop_at: float | None = None,
        stream: IO[str] | None = None,
    ) -> None:
        super().__init__(samples)
        for word, given in (("share", share), ("stop_at", stop_at)):
            if given is not None and not 0.0 <= given <= 1.0:
                raise ArgumentError(
                    f"DeadUnits: {word} must be in [0, 1], got {given!r}",
                    origin=origins.find_origin(),
                )
        self.share, self.stop_at, self.stream = share, stop_at, stream
        self.found: dict[str, tuple[int, int]] = {}
        self.messages: list[str] = []
        self._said: dict[str, int] = {}

    def tensors(self, run: Run) -> Mapping[str, Tensor]:
        """What the ReLUs give."""
        found = rectified(run.step)
        if not found:
            raise ArgumentError(
                f"DeadUnits: {run.step.name} has no ReLU", origin=origins.find_origin()
            )
        return found

    def metric(self, name: str) -> OfOne:
        """What counts the units."""
        return DeadUnitsMetric(name)

    def begin(self, run: Run) -> None:
        """Forget an earlier run."""
        super().begin(run)
        self.found, self.messages, self._said = {}, [], {}

    def epoch_end(self, run: Run, logs: dict[str, float]) -> None:
        """Count, and speak up."""
        self.look()
        for name, metric in self.watched.items():
            assert isinstance(metric, DeadUnitsMetric)
            dead, count = len(metric.units), metric.count
            self.found[name] = (dead, count)
            if dead > max(self._said.get(name, 0), self.share * count):
                self._said[name] = dead
                self._say(f"{name}: {dead} of {count} units fire for no sample{self._where(run)}")
            if self.stop_at is not None and dead and dead >= self.stop_at * count:
                run.stop(f"{name}: {dead} of {count} units are dead")

    def _where(self, run: Run) -> str:
        epoch = run.done + run.history.epochs
        return f" of {self.seen} after epoch {epoch}: lower the learning rate, or take LeakyReLU"

    def _say(self, text: str) -> None:
        self.messages.append(text)
        stream = self.stream if self.stream is not None else sys.stdout
        if stream is not None:
            stream.write(text + "\n")
            stream.flush()
