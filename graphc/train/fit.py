"""The training loop."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from graphc import origin as origins
from graphc.errors import ArgumentError
from graphc.frontend.seed import generator
from graphc.runtime.function import CompiledFunction
from graphc.train.batches import RunningMeans, Steps
from graphc.train.feed import Feed, make_feed
from graphc.train.history import History
from graphc.train.preflight import check_run
from graphc.train.progress import ProgressBar
from graphc.train.run import Run

EVENTS = ("begin", "slice_end", "epoch_end", "end")  # the methods of a callback
_SLICE_SECONDS = 0.1  # how long native code runs between looks at the screen and at Ctrl-C


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
    steps_per_epoch: int | None = None,
    prefetch: int = 2,
) -> History:
    """Run a compiled step over the data for some epochs.

    `data` is what `step.run_epoch` takes, or gives batches, made in a thread while steps run: an
    iterable of tuples, lists or dicts (a torch-style loader), a function that returns one for an
    epoch (whose number it gets if it takes an argument), or an iterator. They come in their own
    order and sizes; `shuffle`, `seed` and `batch_size` are for arrays. `steps_per_epoch` ends an
    epoch after so many batches; an iterator needs it to give several epochs. What has a method
    `set_epoch` (or whose `sampler` has) is told the number of the epoch before. `prefetch` batches
    are made ahead; with 0 each is made when its turn comes, in this thread: for data that depend on
    the parameters, or are bound to their thread.
    `validation` is (function, data), whose outputs are logged as val_NAME after every epoch; so are
    the `learning_rate` of its first step, `seconds` (all of it) and `steps_per_second`.
    The order of the samples depends on `seed` and the number of epochs since the run began;
    without a seed it is that of `epochs` calls of `step.run_epoch`. A step that a `Checkpoint` was
    restored into goes on with the run that wrote it.
    A GPU gets the data once for all epochs where nothing can change it on the way: no callback but
    graphc's own, or arrays that are read-only.
    `verbose` None shows progress unless the callbacks do; False is quiet. Ctrl-C ends the run
    between two steps: the parameters are usable and the history so far comes back with
    `interrupted` set. An error (of a callback, of a full disk, of the data) ends the run as well:
    the other callbacks see the end of the epoch first, so that a `Checkpoint` saves it, and the
    history so far is `step.history`.
    """
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 0:
        raise ArgumentError(f"fit: epochs must be an int of 0 or more, got {epochs!r}")
    check_arguments(step, validation, callbacks)
    checks = None
    if validation is not None:
        checks = make_feed(
            *validation, batch_size, epochs=epochs, prefetch=prefetch, what="validation data"
        )
    batches = make_feed(step, data, batch_size, drop_last, steps_per_epoch, epochs, prefetch)
    run = Run(step, batches, epochs, checks)
    run.watchers = _watchers(callbacks, verbose)
    check_run(run)
    step.history = run.history
    unchanged = all(type(w).__module__.startswith("graphc.") for w in run.watchers)
    with ExitStack() as held:
        for batches in [run.batches] if checks is None else [run.batches, checks]:
            held.enter_context(batches.holding(unchanged))
        TrainingLoop(run, shuffle, seed).run()
    return run.history


def check_arguments(step: Any, validation: Any, callbacks: Any) -> None:
    """Raise unless these are what `fit` takes."""
    if not isinstance(step, CompiledFunction):
        raise ArgumentError(f"fit: step must be what gx.compile returns, got {step!r}")
    if not step.graph.updates:
        raise ArgumentError(
            f"fit: {step.name} has no updates, so it would learn nothing",
            origin=origins.find_origin(),
            hint="gx.compile(inputs, loss, updates=optimizer.minimize(loss))",
        )
    if validation is not None:
        check_validation(validation)
    for callback in callbacks:
        if isinstance(callback, type):
            raise ArgumentError(
                f"fit: callbacks are objects, got the class {callback.__name__}",
                hint=f"{callback.__name__}(...)",
            )
        missing = [e for e in EVENTS if not callable(getattr(callback, e, None))]
        if missing:
            raise ArgumentError(
                f"fit: a callback needs the method {missing[0]}, got {callback!r}",
                hint="derive it from gx.callbacks.Callback",
            )


def check_validation(validation: Any, caller: str = "fit") -> None:
    """Raise unless it is a function that learns nothing, and data."""
    pair = isinstance(validation, (tuple, list)) and len(validation) == 2
    if not pair or not isinstance(validation[0], CompiledFunction):
        what = "validation must be (compiled function, arrays)"
        if caller != "fit":
            what, validation = "needs what gx.compile returns", validation[0]
        raise ArgumentError(f"{caller}: {what}, got {validation!r:.80}")
    function = validation[0]
    counts = {p for metric in function.metrics for p in metric.parameters}
    updated = [n.handle for n, _ in function.graph.updates if n.handle not in counts]
    if updated:
        names = ", ".join([p.name for p in updated if p.trainable][:3]) or updated[0].name
        raise ArgumentError(
            f"{caller}: the function {function.name} updates {names}: it would learn from the data"
            if caller != "fit"
            else f"fit: the validation function {function.name} updates {names}:"
            " it would learn from the validation data",
            origin=origins.find_origin(),
            hint='give it gx.compile(inputs, outputs, mode="inference"), without updates',
        )


def _watchers(callbacks: Sequence[Any], verbose: bool | None) -> list[Any]:
    watchers = list(callbacks)
    shown = any(isinstance(w, ProgressBar) for w in watchers)
    wanted = sys.stdout is not None if verbose is None else verbose
    return watchers + ([ProgressBar()] if wanted and not shown else [])


def evaluated(batches: Feed) -> dict[str, float]:
    """The means of the outputs over all batches, and the values of the function's metrics."""
    return counted(batches)[0]


def counted(batches: Feed) -> tuple[dict[str, float], int]:
    """What `evaluated` gives, and the number of samples."""
    _reset(batches.function)
    running = run_all(batches)
    return running.means() | metric_values(batches.function), running.samples


def run_all(batches: Feed) -> RunningMeans:
    """Call a function on all batches once, in their own order."""
    running, done = RunningMeans(), 0
    with batches.epoch(0, None):
        while not batches.finished(done):
            steps = batches.run(done, sys.maxsize)
            running.add(steps)
            done += len(steps.sizes)
    return running


def metric_values(function: CompiledFunction) -> dict[str, float]:
    """The metrics that are one number, by name."""
    found = {metric.name: metric.value for metric in function.metrics}
    return {name: value for name, value in found.items() if isinstance(value, float)}


def _reset(function: CompiledFunction) -> None:
    for metric in function.metrics:
        metric.reset()


class TrainingLoop:
    """Epochs of slices of steps."""

    def __init__(self, run: Run, shuffle: bool, seed: int | None) -> None:
        self._run, self._shuffle, self._seed = run, shuffle, seed
        self._first = run.step.epochs
        self._slice = 1
        self._seconds = 0.0  # that the steps of this epoch took

    def run(self) -> None:
        """All epochs; Ctrl-C and callbacks may end them early."""
        run = self._run
        self._tell("begin")
        resumed, run.step.resumed = run.step.resumed, None
        if resumed is not None:
            run.resume(resumed)
        try:
            while run.history.epochs < run.epochs and not run.stopped:
                self._epoch()
        except KeyboardInterrupt:
            run.history.interrupted = True
            run.stop(f"interrupted after {run.history.epochs} of {run.epochs} epochs")
        finally:
            run.step.epochs = self._first + run.history.epochs
            self._tell_all(("end",))

    def _epoch(self) -> None:
        run, history, running = self._run, self._run.history, self._run.running
        start, done = time.perf_counter(), running.steps
        if not done:  # else a file was written in the middle of it
            _reset(run.step)
            run.rates = run.learning_rates()
        with run.batches.epoch(self._first + history.epochs, self._order(), done):
            if not self._train(running):
                return
        logs = running.means() | metric_values(run.step) | self._validate() | dict(run.rates)
        logs["seconds"] = time.perf_counter() - start
        logs["steps_per_second"] = (running.steps - done) / max(self._seconds, 1e-9)
        history.add(logs)
        run.running = RunningMeans()
        self._run.step.epochs = self._first + history.epochs
        self._tell_all(("epoch_end", "epoch_done"), logs)

    def _train(self, running: RunningMeans) -> bool:
        """The steps of an epoch; whether they make one."""
        run, done, self._seconds = self._run, running.steps, 0.0
        while not run.stopped and not run.batches.finished(done):
            before = time.perf_counter()
            steps, fault = self._steps(done, done + self._slice)
            run.history.steps += len(steps.sizes)
            if fault:  # this epoch has no end
                run.stop(fault)
                return False
            seconds = time.perf_counter() - before
            self._seconds += seconds
            self._resize(len(steps.sizes), seconds)
            running.add(steps)
            done = running.steps
            run.step.epochs = self._first + run.history.epochs
            self._tell("slice_end", running.so_far)
        if not done:
            run.stop(f"the data ended after {run.history.epochs} of {run.epochs} epochs")
        return done > 0

    def _steps(self, start: int, stop: int) -> tuple[Steps, str]:
        """Some steps, and what is wrong with the one after them, if a callback asks for that."""
        if self._run.rollback is not None:
            return self._run.rollback.steps(start, stop)
        return self._run.batches.run(start, stop), ""

    def _order(self) -> np.random.Generator | None:
        """What the order of the samples is drawn from."""
        if not self._shuffle:
            return None
        done = self._run.history.epochs
        seed, name = self._seed, f"epoch {self._run.done + done}"
        if seed is None:
            seed, name = int(self._run.step.rng[0]), f"epoch {self._first + done}"
        return generator(seed, name)

    def _validate(self) -> dict[str, float]:
        checks = self._run.checks
        if checks is None:
            return {}
        values = evaluated(checks)
        return {f"val_{name}": value for name, value in values.items()}

    def _resize(self, steps: int, seconds: float) -> None:
        """Aim at slices of equal time; at most four times as many steps as the last one.

        They are longer where it takes long to make sure that steps can be taken back.
        """
        care = 0.0 if self._run.rollback is None else self._run.rollback.seconds
        aim = max(_SLICE_SECONDS, 20.0 * care)
        wanted = int(steps * aim / max(seconds - care, 1e-9))
        self._slice = max(1, min(wanted, 4 * steps))

    def _tell(self, event: str, *logs: dict[str, float]) -> None:
        for watcher in self._run.watchers:
            getattr(watcher, event)(self._run, *logs)

    def _tell_all(self, events: tuple[str, ...], *logs: dict[str, float]) -> None:
        """Tell every callback of every event, then raise the first error of any."""
        errors = []
        for event in events:
            given = () if event == "epoch_done" else logs
            for watcher in self._run.watchers:
                try:
                    getattr(watcher, event, _nothing)(self._run, *given)
                except Exception as error:
                    errors.append(error)
        if errors:
            raise errors[0]


def _nothing(run: Run) -> None:
    """`epoch_done` of a callback that is not derived from `Callback`."""
