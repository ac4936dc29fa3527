"""What may happen between epochs: stop early, stop on NaN, lower the rate, write a log.

A callback that watches a number (`monitor`) knows by its name whether it should fall or grow
(`mode="auto"`): the last word that tells does, among them loss, error, mse, mae, rmse, nll,
entropy, perplexity (fall) and accuracy, acc, auc, f1, precision, recall, r2, iou, dice (grow). A
name without such a word is an error until `mode` is "min" or "max".

Every run of `fit` begins afresh, also with callbacks that an earlier run had; after
`Checkpoint.restore` they go on where they were when the file was written.
"""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphc.errors import ArgumentError
from graphc.frontend import arguments as argument_checks
from graphc.train.callback import Callback
from graphc.train.checkpoint import Checkpoint
from graphc.train.monitor import Monitor, check_number
from graphc.train.progress import ProgressBar
from graphc.train.rollback import Rollback
from graphc.train.tensorboard import TensorBoard
from graphc.train.watching import DeadUnits, Histograms

if TYPE_CHECKING:
    from graphc.frontend.parameter import Parameter
    from graphc.train.run import Run

__all__ = [
    "CSVLogger", "Callback", "Checkpoint", "DeadUnits", "EarlyStopping", "Histograms", "JSONLogger",
    "ProgressBar", "ReduceOnPlateau", "StopOnNaN", "TensorBoard",
]  # fmt: skip


class EarlyStopping(Callback):
    """Stop after `patience` epochs without improvement; the best parameters come back.

    See graphc.callbacks for `mode`.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 5,
        min_delta: float = 0.0,
        mode: str = "auto",
        restore_best: bool = True,
    ) -> None:
        self.monitor = Monitor(monitor, mode, min_delta)
        check_number("EarlyStopping", "patience", patience, 0, math.inf, whole=True)
        self.patience, self.restore_best = patience, restore_best
        self._best: list[tuple[Parameter, Any]] = []

    def begin(self, run: Run) -> None:
        """Forget an earlier run."""
        self.monitor.reset()
        self._best = []

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
        self._best = []

    @property
    def key(self) -> str:
        """What tells it from others of its kind."""
        return f"{type(self).__name__} {self.monitor.key}"

    def state(self) -> dict[str, Any]:
        """The best number, and the best parameters in order."""
        best = {f"best/{i}": value for i, (_, value) in enumerate(self._best)}
        return self.monitor.state() | best

    def set_state(self, run: Run, state: Mapping[str, Any]) -> None:
        """The same."""
        self.monitor.set_state(state)
        values = [state[f"best/{i}"] for i in range(len(run.parameters)) if f"best/{i}" in state]
        self._best = list(zip(run.parameters, values)) if self.restore_best else []


class StopOnNaN(Callback):
    """Stop at the first step with an output of rank 0, or an update, that is not finite.

    The parameters are those before that step (it is taken back, in whatever order the
    callbacks are), its epoch does not count, and the note says whether the data or the learning
    rate are to blame, and which operation made the first NaN or infinity. What is updated is
    copied now and then for that, at most ten times a second and a twentieth of the time.
    """

    def begin(self, run: Run) -> None:
        """Let the run take steps back."""
        run.rollback = Rollback(run)


class ReduceOnPlateau(Callback):
    """Multiply the learning rate by `factor` after `patience` epochs without improvement.

    See graphc.callbacks for `mode`. Of several optimisers, and of groups, the rates of all are
    lowered; of a schedule, all its rates from then on (`min_rate` is for rates that are numbers).
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 5,
        min_delta: float = 0.0,
        mode: str = "auto",
        min_rate: float = 0.0,
    ) -> None:
        self.monitor = Monitor(monitor, mode, min_delta)
        check_number("ReduceOnPlateau", "patience", patience, 0, math.inf, whole=True)
        check_number("ReduceOnPlateau", "factor", factor, 0.0, 1.0, whole=False)
        check_number("ReduceOnPlateau", "min_rate", min_rate, 0.0, math.inf, whole=False)
        self.factor, self.patience, self.min_rate = factor, patience, min_rate

    def begin(self, run: Run) -> None:
        """Forget an earlier run; raises where there is no rate to lower."""
        self.monitor.reset()
        if not run.optimizers:
            raise ArgumentError(
                f"ReduceOnPlateau: {run.step.name} has no optimiser whose rate could be lowered"
            )
        for optimizer in self._with_rates(run):
            optimizer.lower_rate(1.0)  # raises where the rate is a tensor

    @staticmethod
    def _with_rates(run: Run) -> list[Any]:
        return [part for optimizer in run.optimizers for part in optimizer.with_rates]

    def epoch_end(self, run: Run, logs: dict[str, float]) -> None:
        """Count, and lower the rate."""
        if not self.monitor.improved(logs) and self.monitor.waited >= self.patience:
            for optimizer in self._with_rates(run):
                optimizer.lower_rate(self.factor, self.min_rate)
            self.monitor.waited = 0

    @property
    def key(self) -> str:
        """What tells it from others of its kind."""
        return f"{type(self).__name__} {self.monitor.key}"

    def state(self) -> dict[str, Any]:
        """The best number and the epochs since."""
        return self.monitor.state()

    def set_state(self, run: Run, state: Mapping[str, Any]) -> None:
        """The same."""
        self.monitor.set_state(state)


class CSVLogger(Callback):
    """Write one row per epoch to a CSV file, flushed at once.

    A run begins the file anew; a resumed one goes on with the rows that it had.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(argument_checks.path(type(self).__name__, "path", path))
        self._rows: list[dict[str, float]] = []

    def begin(self, run: Run) -> None:
        """Forget an earlier run."""
        self._rows = []

    def epoch_end(self, run: Run, logs: dict[str, float]) -> None:
        """Write the file anew, so that its header has every name."""
        self._rows.append({"epoch": run.done + run.history.epochs, **logs})
        names = list(dict.fromkeys(name for row in self._rows for name in row))
        with self.path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, names)
            writer.writeheader()
            writer.writerows(self._rows)

    def state(self) -> dict[str, Any]:
        """The rows."""
        return {"rows": [{k: float(v) for k, v in row.items()} for row in self._rows]}

    def set_state(self, run: Run, state: Mapping[str, Any]) -> None:
        """The same."""
        self._rows = [{**row, "epoch": int(row["epoch"])} for row in state["rows"]]


class JSONLogger(Callback):
    """Write one line of JSON per epoch to a file (JSON Lines), flushed at once.

    A run begins the file anew; a resumed one goes on with the lines that it had. Numbers that are
    not finite are null.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(argument_checks.path(type(self).__name__, "path", path))
        self._lines: list[str] = []

    def begin(self, run: Run) -> None:
        """Forget an earlier run."""
        self._lines = []
        self.path.write_text("", encoding="utf-8")

    def epoch_end(self, run: Run, logs: dict[str, float]) -> None:
        """Add a line."""
        row = {"epoch": run.done + run.history.epochs, **logs}
        finite = {k: v if math.isfinite(v) else None for k, v in row.items()}
        self._lines.append(json.dumps(finite))
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(self._lines[-1] + "\n")

    def state(self) -> dict[str, Any]:
        """The lines."""
        return {"lines": list(self._lines)}

    def set_state(self, run: Run, state: Mapping[str, Any]) -> None:
        """The same, written again."""
        self._lines = list(state["lines"])
        text = "".join(f"{line}\n" for line in self._lines)
        self.path.write_text(text, encoding="utf-8")
