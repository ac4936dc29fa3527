"""The training loop."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

from graphc.errors import ArgumentError
from graphc.function import CompiledFunction
from graphc.tensor import Parameter
from graphc.train.batches import Batches, Running
from graphc.train.history import History
from graphc.train.progress import ProgressBar

EVENTS = ("begin", "slice_end", "epoch_end", "end")  # the methods of a callback
_SLICE_SECONDS = 0.1  # how long native code runs between looks at the screen and at Ctrl-C


class Run:
    """A training run as callbacks see it: the step, the data, the history, and `stop`."""

    def __init__(self, step: CompiledFunction, batches: Batches, epochs: int) -> None:
        self.step, self.batches, self.epochs = step, batches, epochs
        self.history = History()
        self.stopped = False

    @property
    def parameters(self) -> list[Parameter]:
        """Everything that the step updates: weights, statistics, optimiser state."""
        return [node.face for node, _ in self.step.graph.updates]

    def stop(self, note: str) -> None:
        """End the run after the present slice of steps; the note says why."""
        self.stopped = True
        self.history.note = self.history.note or note


def fit(
    step: CompiledFunction,
    data: Any,
    epochs: int = 1,
    batch_size: int = 32,
    validation: tuple[CompiledFunction, Any] | None = None,
    callbacks: Sequence[Any] = (),
    shuffle: bool = True,
    drop_last: bool = False,
    seed: int | None = None,
    verbose: bool | None = None,
) -> History:
    """Run a compiled step over the data for some epochs.

    `data` is what `step.run_epoch` takes; `validation` is (function, data), whose outputs are
    logged as val_NAME after every epoch; so are `seconds` (all of it) and `steps_per_second`.
    Without a seed the order of the samples is that of `epochs` calls of `step.run_epoch`.
    `verbose` None shows progress unless the callbacks do; False is quiet. Ctrl-C ends the run
    between two steps: the parameters are usable and the history so far comes back with
    `interrupted` set.
    """
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 0:
        raise ArgumentError(f"fit: epochs must be an int of 0 or more, got {epochs!r}")
    check_arguments(step, validation, callbacks)
    run = Run(step, Batches(step, data, batch_size, drop_last), epochs)
    checks = None if validation is None else Batches(*validation, batch_size)
    loop = Loop(run, checks, _watchers(callbacks, verbose), shuffle, seed)
    loop.run()
    return run.history


def check_arguments(step: Any, validation: Any, callbacks: Any) -> None:
    """Raise unless these are what `fit` takes."""
    if not isinstance(step, CompiledFunction):
        raise ArgumentError(f"fit: step must be what gx.compile returns, got {step!r}")
    if validation is not None:
        pair = isinstance(validation, (tuple, list)) and len(validation) == 2
        if not pair or not isinstance(validation[0], CompiledFunction):
            raise ArgumentError(
                f"fit: validation must be (compiled function, arrays), got {validation!r:.80}"
            )
    for callback in callbacks:
        missing = [e for e in EVENTS if not callable(getattr(callback, e, None))]
        if missing:
            raise ArgumentError(
                f"fit: a callback needs the method {missing[0]}, got {callback!r}",
                hint="derive it from gx.callbacks.Callback",
            )


def _watchers(callbacks: Sequence[Any], verbose: bool | None) -> list[Any]:
    watchers = list(callbacks)
    shown = any(isinstance(w, ProgressBar) for w in watchers)
    wanted = sys.stdout is not None if verbose is None else verbose
    return watchers + ([ProgressBar()] if wanted and not shown else [])


class Loop:
    """Epochs of slices of steps."""

    def __init__(
        self,
        run: Run,
        checks: Batches | None,
        watchers: list[Any],
        shuffle: bool,
        seed: int | None,
    ) -> None:
        self._run, self._checks, self._watchers = run, checks, watchers
        self._shuffle, self._seed = shuffle, seed
        self._first = run.step.epochs
        self._slice = 1

    def run(self) -> None:
        """All epochs; Ctrl-C and callbacks may end them early."""
        self._tell("begin")
        try:
            while self._run.history.epochs < self._run.epochs and not self._run.stopped:
                self._epoch()
        except KeyboardInterrupt:
            self._run.history.interrupted = True
            done = self._run.history.epochs
            self._run.stop(f"interrupted after {done} of {self._run.epochs} epochs")
        finally:
            self._run.step.epochs = self._first + self._run.history.epochs
            self._tell("end")

    def _epoch(self) -> None:
        history, batches = self._run.history, self._run.batches
        start = time.perf_counter()
        running, order = Running(), self._order()
        done, training = 0, 0.0
        while done < batches.steps and not self._run.stopped:
            stop = min(done + self._slice, batches.steps)
            before = time.perf_counter()
            running.add(batches.run(order, done, stop))
            seconds = time.perf_counter() - before
            training += seconds
            self._resize(stop - done, seconds)
            history.steps += stop - done
            done = stop
            self._tell("slice_end", running.so_far)
        logs = running.means()
        if self._checks is not None:
            logs |= self._validate(self._checks)
        logs["seconds"] = time.perf_counter() - start
        logs["steps_per_second"] = done / max(training, 1e-9)
        history.add(logs)
        self._run.step.epochs = self._first + history.epochs
        self._tell("epoch_end", logs)

    def _order(self) -> Any:
        done = self._run.history.epochs
        seed, name = self._seed, f"epoch {done}"
        if seed is None:
            seed, name = int(self._run.step.rng[0]), f"epoch {self._first + done}"
        return self._run.batches.order(seed, name, self._shuffle)

    def _validate(self, checks: Batches) -> dict[str, float]:
        values = checks.run(None, 0, checks.steps).means()
        return {f"val_{name}": value for name, value in values.items()}

    def _resize(self, steps: int, seconds: float) -> None:
        """Aim at slices of equal time; at most four times as many steps as the last one."""
        wanted = int(steps * _SLICE_SECONDS / max(seconds, 1e-9))
        self._slice = max(1, min(wanted, 4 * steps))

    def _tell(self, event: str, *logs: dict[str, float]) -> None:
        for watcher in self._watchers:
            getattr(watcher, event)(self._run, *logs)
