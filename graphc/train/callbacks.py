"""What may happen between epochs: stop early, stop on NaN, lower the rate, write a log."""

from __future__ import annotations

import csv
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphc.errors import ArgumentError, FormatError
from graphc.train import files
from graphc.train.progress import ProgressBar

if TYPE_CHECKING:
    from graphc.function import CompiledFunction
    from graphc.train.fit import Run

__all__ = [
    "CSVLogger", "Callback", "Checkpoint", "EarlyStopping", "ProgressBar", "ReduceOnPlateau",
    "StopOnNaN",
]  # fmt: skip


class Callback:
    """Base of the callbacks; `run` has the step, the history and `stop(note)`."""

    def begin(self, run: Run) -> None:
        """Before the first epoch."""

    def slice_end(self, run: Run, logs: dict[str, float]) -> None:
        """After some steps of an epoch, with the means so far."""

    def epoch_end(self, run: Run, logs: dict[str, float]) -> None:
        """After an epoch and its validation, with what the history just got."""

    def end(self, run: Run) -> None:
        """After the last epoch, also when the run was interrupted."""


class Monitor:
    """Watches one number of the logs for improvement by more than `min_delta`."""

    def __init__(self, name: str, mode: str, min_delta: float) -> None:
        if mode not in ("min", "max"):
            raise ArgumentError(f'mode must be "min" or "max", got {mode!r}')
        self.name, self.sign = name, 1.0 if mode == "min" else -1.0
        self.min_delta, self.best, self.waited = min_delta, math.inf, 0

    def improved(self, logs: dict[str, float]) -> bool:
        """Whether the latest number is the best so far; counts the epochs since that."""
        if self.name not in logs:
            raise ArgumentError(f"monitor: no {self.name} among {', '.join(logs)}")
        value = self.sign * logs[self.name]
        if value < self.best - self.min_delta:
            self.best, self.waited = value, 0
            return True
        self.waited += 1
        return False


class EarlyStopping(Callback):
    """Stop after `patience` epochs without improvement; the best parameters come back."""

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 5,
        min_delta: float = 0.0,
        mode: str = "min",
        restore_best: bool = True,
    ) -> None:
        self.monitor = Monitor(monitor, mode, min_delta)
        self.patience, self.restore_best = patience, restore_best
        self._best: list[tuple[Any, Any]] = []

    def epoch_end(self, run: Run, logs: dict[str, float]) -> None:
        """Remember the best epoch, or stop."""
        if self.monitor.improved(logs):
            self._best = [(p, p.value) for p in run.parameters] if self.restore_best else []
        elif self.monitor.waited >= self.patience:
            run.stop(f"{self.monitor.name} has not improved for {self.patience} epochs")

    def end(self, run: Run) -> None:
        """Put the best parameters back."""
        for parameter, value in self._best:
            parameter.value = value


class StopOnNaN(Callback):
    """Stop as soon as an output's mean is not finite."""

    def slice_end(self, run: Run, logs: dict[str, float]) -> None:
        """Look at the means so far."""
        bad = [name for name, value in logs.items() if not math.isfinite(value)]
        if bad:
            run.stop(f"{bad[0]} is {logs[bad[0]]}: lower the learning rate first")


class ReduceOnPlateau(Callback):
    """Multiply the learning rate by `factor` after `patience` epochs without improvement."""

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 5,
        min_delta: float = 0.0,
        mode: str = "min",
        min_rate: float = 0.0,
    ) -> None:
        self.monitor = Monitor(monitor, mode, min_delta)
        self.factor, self.patience, self.min_rate = factor, patience, min_rate

    def epoch_end(self, run: Run, logs: dict[str, float]) -> None:
        """Count, and lower the rate."""
        if not self.monitor.improved(logs) and self.monitor.waited >= self.patience:
            rate = run.step.optimizer.learning_rate
            rate.value = max(self.min_rate, float(rate.value) * self.factor)
            self.monitor.waited = 0


class CSVLogger(Callback):
    """Write one row per epoch to a CSV file, flushed at once."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._rows: list[dict[str, float]] = []

    def epoch_end(self, run: Run, logs: dict[str, float]) -> None:
        """Write the file anew, so that its header has every name."""
        self._rows.append({"epoch": run.history.epochs, **logs})
        names = list(dict.fromkeys(name for row in self._rows for name in row))
        with self.path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, names)
            writer.writeheader()
            writer.writerows(self._rows)


class Checkpoint(Callback):
    """Save the parameters, optimiser state included, after every epoch or every best one.

    The file also holds the random state and the number of epochs: after `restore` into a step
    that was built the same way, training goes on bit for bit as if it had never stopped.
    """

    def __init__(
        self, path: str | os.PathLike[str], monitor: str | None = None, mode: str = "min"
    ) -> None:
        self.path = Path(path)
        self.monitor = None if monitor is None else Monitor(monitor, mode, 0.0)

    def epoch_end(self, run: Run, logs: dict[str, float]) -> None:
        """Write the file, atomically."""
        if self.monitor is None or self.monitor.improved(logs):
            seed, count = (int(word) for word in run.step.rng)
            notes = {"seed": str(seed), "step": str(count), "epochs": str(run.step.epochs)}
            files.write(self.path, run.parameters, notes)

    def restore(self, step: CompiledFunction) -> None:
        """Set everything that the step updates, its random state and its number of epochs."""
        notes = files.read_notes(self.path)
        if not {"seed", "step", "epochs"} <= set(notes):
            raise FormatError(f"{self.path}: parameters, but no checkpoint of a training run")
        files.load(self.path, into=[node.face for node, _ in step.graph.updates])
        step.rng[:] = int(notes["seed"]), int(notes["step"])
        step.epochs = int(notes["epochs"])
