"""Show how a run is going: a bar on a terminal, one line per epoch elsewhere."""

from __future__ import annotations

import sys
import time
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphc.train.run import Run


_TIMES = ("seconds", "steps_per_second")


class ProgressBar:
    """A bar with epoch, steps per second, loss and time left; plain lines when not a terminal."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self._stream = stream
        self._bar: Any = None
        self._task: Any = None
        self._start = 0.0

    @property
    def stream(self) -> IO[str]:
        """Where it writes."""
        return self._stream if self._stream is not None else sys.stdout

    def begin(self, run: Run) -> None:
        """Start the bar."""
        self._start = time.perf_counter()
        if not self.stream.isatty():
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[rate]}"),
            TextColumn("{task.fields[text]}"),
            TimeRemainingColumn(),
            console=Console(file=self.stream),
        )
        self._task = self._bar.add_task("epoch 1", total=_total(run), rate="", text="")
        self._bar.start()

    def slice_end(self, run: Run, logs: dict[str, float]) -> None:
        """Move the bar."""
        if self._bar is None:
            return
        seconds = time.perf_counter() - self._start
        self._bar.update(
            self._task,
            total=_total(run),
            completed=run.history.steps,
            description=f"epoch {run.history.epochs + 1}/{run.epochs}",
            rate=f"{run.history.steps / max(seconds, 1e-9):,.0f} steps/s",
            text=_text(logs),
        )

    def epoch_end(self, run: Run, logs: dict[str, float]) -> None:
        """Write the epoch's line."""
        line = f"epoch {run.history.epochs}/{run.epochs}  {_text(logs)}"
        if self._bar is None:
            self.stream.write(line + "\n")
            self.stream.flush()
        else:
            self._bar.update(self._task, completed=run.history.steps, text=_text(logs))

    def end(self, run: Run) -> None:
        """Remove the bar and say why the run ended early, if it did."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        if run.history.note:
            self.stream.write(run.history.note + "\n")
            self.stream.flush()


def _total(run: Run) -> int | None:
    """The number of steps of the run; None in a first epoch of unknown length."""
    return None if run.batches.steps is None else run.epochs * run.batches.steps


def _text(logs: dict[str, float]) -> str:
    shown = {k: v for k, v in logs.items() if k not in _TIMES and "learning_rate" not in k}
    words = [f"{name} {value:.4f}" for name, value in shown.items()]
    return "  ".join(words + ([f"{logs['seconds']:.2f} s"] if "seconds" in logs else []))
