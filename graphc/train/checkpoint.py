"""Checkpoints for bit-exact resumption of a run."""

from __future__ import annotations

import json
import math
import os
import re
import warnings
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from graphc import origin as origins
from graphc.errors import ArgumentError, FormatError
from graphc.frontend import arguments as argument_checks
from graphc.ir.ops.leaf import RandomBits
from graphc.ir.types import Array
from graphc.train import files
from graphc.train.batches import Steps
from graphc.train.callback import Callback
from graphc.train.monitor import Monitor, check_number
from graphc.train.rollback import finite_parameters, first_broken
from graphc.train.run import Resumed, Run, Within

if TYPE_CHECKING:
    from graphc.frontend.parameter import Parameter
    from graphc.runtime.function import CompiledFunction

_EPOCH = re.compile(r"\{epoch(?::(\d+))?\}")
_NOTE, _ARRAYS = "run", "run/"  # where the file keeps what is no parameter
_WITHIN = "run/within/"  # and what is known of an epoch that is not over


class ModelTrainer(Protocol):
    """What trains a model and can go on with a checkpoint."""

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on with it."""


class TrainedModel(Protocol):
    """A model that was compiled for training (`gx.nn.Sequential`)."""

    @property
    def trainer(self) -> ModelTrainer:
        """What trains it."""
        ...


class Checkpoint(Callback):
    """Save the run after every epoch or, with a `monitor`, after every best one.

    The file has all parameters of the step with the optimiser's state and its learning rate,
    random states, the number of epochs and what the run's callbacks remember. After `restore`
    into a step that was built the same way, `fit` goes on bit for bit as if the run had never
    stopped. An epoch that ends with parameters that are not finite is not saved (a warning says
    so). A step that draws from other random streams, as automatic names of a second build are
    others, goes on with a warning. See graphc.callbacks for `mode`; the best is the best of all
    runs of one step.

    With `every_steps` a file is also written in the middle of an epoch, when so many steps have
    passed since the last one. A run that is resumed from it goes on with the next step: the order
    of arrays is the same, what can be iterated again passes over the batches that are done, and an
    iterator goes on where it stands.

    `{epoch}` in the path, or `{epoch:03}`, stands for the number of epochs: a file for each that is
    saved; `restore` takes the one of the most epochs.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        monitor: str | None = None,
        mode: str = "auto",
        every_steps: int | None = None,
    ) -> None:
        if every_steps is not None:
            check_number("Checkpoint", "every_steps", every_steps, 1, math.inf, whole=True)
        if every_steps is not None and monitor is not None:
            raise ArgumentError(
                f"Checkpoint: {monitor} is known after an epoch, not every {every_steps} steps",
                origin=origins.find_origin(),
                hint="two callbacks, with paths of their own, do both",
            )
        self.path = Path(argument_checks.path("Checkpoint", "path", path))
        self.every_steps = every_steps
        self._written = 0  # steps of the run at the last file
        self.monitor = None if monitor is None else Monitor(monitor, mode, 0.0)
        self._step: Any = lambda: None
        self._watched: list[Parameter] = []
        self._wanted = False

    def begin(self, run: Run) -> None:
        """Forget the runs of another step."""
        self._watched, self._wanted = finite_parameters(run.parameters), False
        self._written = 0
        if self.monitor is not None and self._step() is not run.step:
            self.monitor.reset()
        self._step = weakref.ref(run.step)

    def slice_end(self, run: Run, logs: dict[str, float]) -> None:
        """Write a file in the middle of an epoch."""
        enough = self.every_steps and run.history.steps - self._written >= self.every_steps
        if enough and first_broken(self._watched) is None:
            self._write(run)

    def epoch_end(self, run: Run, logs: dict[str, float]) -> None:
        """Find out whether this epoch is worth a file."""
        broken = first_broken(self._watched)
        if broken is not None:
            text = f"{self.path}: not written, since {broken.name} is not finite"
            warnings.warn(text, RuntimeWarning, stacklevel=2)
        self._wanted = broken is None and (self.monitor is None or self.monitor.improved(logs))

    def epoch_done(self, run: Run) -> None:
        """Write the file, atomically: after `epoch_end` of all callbacks, so with their state."""
        if self._wanted:
            self._write(run)

    @property
    def key(self) -> str:
        """What tells it from other checkpoints of a run."""
        return f"Checkpoint {self.monitor.key}" if self.monitor else "Checkpoint"

    def state(self) -> dict[str, Any]:
        """The best number, and whether this epoch gets a file."""
        return {**self.monitor.state(), "wanted": self._wanted} if self.monitor else {}

    def set_state(self, run: Run, state: Mapping[str, Any]) -> None:
        """The same."""
        if self.monitor and state:
            self.monitor.set_state(state)
            self._wanted = bool(state.get("wanted"))

    def resumed(self, run: Run) -> None:
        """Write the file of the epoch that the run goes on from, if a kill came before that."""
        if self._wanted and not run.running.steps and self._is_behind(run):
            self._write(run)

    def _is_behind(self, run: Run) -> bool:
        path = self._file(run.done)
        try:
            return int(_parse(path, files.read_notes(path))["epochs"]) < run.done
        except (OSError, FormatError):
            return True

    def _write(self, run: Run) -> None:
        seed, count = (int(word) for word in run.step.rng)
        notes = {"seed": str(seed), "step": str(count), "epochs": str(run.step.epochs)}
        plain, arrays = _apart(run.states())
        checks = None if run.checks is None else [int(w) for w in run.checks.function.rng]
        epochs = run.done + run.history.epochs
        about: dict[str, Any] = {
            "epochs": epochs, "callbacks": plain, "validation": checks,
            "streams": drawn_streams(run.step),
        }  # fmt: skip
        if run.running.steps:
            steps = run.running.all()
            about["within"] = {"rates": dict(run.rates)}
            arrays[f"{_WITHIN}sizes"] = steps.sizes
            arrays |= {f"{_WITHIN}values/{name}": v for name, v in steps.values.items()}
        notes[_NOTE] = json.dumps(about)
        file = self._file(epochs + 1 if run.running.steps else epochs)
        files.write(file, run.step, notes, arrays)
        self._written = run.history.steps

    def _file(self, epochs: int) -> Path:
        """The file of an epoch."""
        return Path(_EPOCH.sub(lambda m: f"{epochs:{m[1] or ''}}", str(self.path)))

    @property
    def file(self) -> Path:
        """The file to go on with: of several, that of the most epochs."""
        parts = _EPOCH.split(self.path.name)[::2]  # what stands around the numbers
        if len(parts) == 1:
            return self.path
        wanted = re.compile(r"(\d+)".join(map(re.escape, parts)))
        folder = self.path.parent
        names = sorted(folder.iterdir()) if folder.is_dir() else []
        numbered = [(int(m[1]), p) for p in names if (m := wanted.fullmatch(p.name))]
        if not numbered:
            raise ArgumentError(
                f"restore: there is no file {self.path}", origin=origins.find_origin()
            )
        return max(numbered)[1]

    def restore(self, step: CompiledFunction | TrainedModel) -> None:
        """Set the parameters of a step, its random state and its number of epochs.

        Of a Sequential that is compiled, the step that `fit` trains with.
        The next `fit` of the step goes on with the order of the samples and gives the callbacks
        back what they had: those of the same kind that watch the same number.
        """
        trainer = getattr(step, "trainer", None)
        if trainer is not None:
            trainer.restore(self)
            return
        if not hasattr(step, "resumed"):
            raise ArgumentError(f"restore: needs a compiled step, got {step!r}")
        self._restore(step)  # type: ignore[arg-type]  # has what only a step has

    def _restore(self, step: CompiledFunction) -> None:
        path = self.file
        notes = files.read_notes(path)
        if not {"seed", "step", "epochs", _NOTE} <= set(notes):
            raise FormatError(f"{path}: parameters, but no checkpoint of a training run")
        about = _parse(path, notes)
        arrays = files.load(path, into=step)
        _compare_streams(path, about.get("streams"), drawn_streams(step))
        step.rng[:] = int(notes["seed"]), int(notes["step"])
        step.epochs = int(notes["epochs"])
        checks = about["validation"]
        step.resumed = Resumed(
            int(about["epochs"]),
            _together(about["callbacks"], arrays),
            None if checks is None else (int(checks[0]), int(checks[1])),
            _within(path, about.get("within"), arrays),
        )


def drawn_streams(step: CompiledFunction) -> list[str]:
    """The names of the random streams that a function draws from."""
    drawn = [n for n in step.graph.nodes if isinstance(n.op, RandomBits)]
    return sorted({n.name or f"{n.op.stream:016x}" for n in drawn})  # type: ignore[attr-defined]


def _compare_streams(path: Path, stored: list[str] | None, found: list[str]) -> None:
    """Warn where a run would go on with other random numbers than it began with."""
    if stored is None or stored == found:
        return
    other = [(s, f) for s, f in zip(stored, found) if s != f]
    what = f"from {other[0][1]}, not {other[0][0]}" if other else "more or less often"
    warnings.warn(
        f"{path}: this step draws {what}, so the run goes on with other random numbers: give the"
        " layers and draws names, or call gx.seed before the model is built",
        RuntimeWarning,
        stacklevel=4,
    )


def _parse(path: Path, notes: Mapping[str, str]) -> Any:
    """The note about the run; raises FormatError where it is damaged."""
    try:
        about = json.loads(notes[_NOTE])
        numbers = [int(notes[name]) for name in ("seed", "step", "epochs")]
        if not all(0 <= n < 2**64 for n in numbers) or int(about["epochs"]) < 0:
            raise ValueError("a number is out of range")
        return {**about, **{name: about[name] for name in ("callbacks", "validation")}}
    except (ValueError, TypeError, KeyError) as error:
        raise FormatError(f"{path}: the note about the run is damaged: {error}") from error


def _within(path: Path, about: Any, arrays: Mapping[str, Array]) -> Within | None:
    """The steps of an epoch that was not over."""
    if about is None:
        return None
    start = f"{_WITHIN}values/"
    values = {n.removeprefix(start): a for n, a in arrays.items() if n.startswith(start)}
    sizes = arrays.get(f"{_WITHIN}sizes")
    if sizes is None or any(len(a) != len(sizes) for a in values.values()):
        raise FormatError(f"{path}: the note about the run is damaged: steps are missing")
    try:
        rates = {str(name): float(rate) for name, rate in about["rates"].items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{path}: the note about the run is damaged: {error}") from error
    return Within(Steps(values, sizes), rates)


def _apart(
    states: Mapping[str, Mapping[str, Any]],
) -> tuple[dict[str, dict[str, Any]], dict[str, Array]]:
    """States of callbacks without their arrays, and the arrays by name."""
    plain: dict[str, dict[str, Any]] = {}
    arrays: dict[str, Array] = {}
    for number, (key, state) in enumerate(states.items()):
        plain[key] = {k: v for k, v in state.items() if not isinstance(v, np.ndarray)}
        for name, value in state.items():
            if isinstance(value, np.ndarray):
                arrays[f"{_ARRAYS}{number}/{name}"] = value
    return plain, arrays


def _together(
    plain: Mapping[str, Mapping[str, Any]], arrays: Mapping[str, Array]
) -> dict[str, dict[str, Any]]:
    """The states that `_apart` took apart."""
    states = {key: dict(state) for key, state in plain.items()}
    for number, state in enumerate(states.values()):
        start = f"{_ARRAYS}{number}/"
        state |= {n.removeprefix(start): a for n, a in arrays.items() if n.startswith(start)}
    return states
