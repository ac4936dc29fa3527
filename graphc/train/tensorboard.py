"""Logs for TensorBoard: https://www.tensorflow.org/tensorboard."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc import origin as origins
from graphc.errors import ArgumentError, UnsupportedError
from graphc.installed import install_hint
from graphc.metrics.distributions import Histogram
from graphc.train.callback import Callback
from graphc.train.watching import Histograms, Pair

if TYPE_CHECKING:
    from graphc.train.run import Run


class TensorBoard(Callback):
    """Write the logs of every epoch into a directory that TensorBoard shows.

    Numbers of training and validation stand together: loss/training, loss/validation. With
    `histograms` (True, or `gx.callbacks.Histograms(...)`) the distributions of parameters,
    gradients and activations follow; those of `gx.metrics.Histogram` in the step always do. A
    resumed run goes on where it was. Needs tensorboardX:
    pip install 'graphc-compiler[tensorboard]'.
    """

    def __init__(
        self, directory: str | os.PathLike[str], histograms: bool | Histograms = False
    ) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise UnsupportedError(
                f"TensorBoard needs tensorboardX: {error}",
                hint=install_hint("tensorboard", "tensorboardX"),
            ) from error
        if not isinstance(histograms, (bool, Histograms)):
            raise ArgumentError(
                f"TensorBoard: histograms must be True, False or a Histograms, got {histograms!r}",
                origin=origins.find_origin(),
            )
        self.directory = os.fspath(directory)
        self.histograms = Histograms() if histograms is True else histograms or None
        self._open = SummaryWriter
        self._writer: Any = None

    def begin(self, run: Run) -> None:
        """Open the directory."""
        if self.histograms is not None:
            self.histograms.begin(run)
        self._writer = None

    def epoch_end(self, run: Run, logs: dict[str, float]) -> None:
        """Write numbers and distributions."""
        epoch = run.done + run.history.epochs
        if self._writer is None:  # only now it is known where a resumed run goes on
            purged = {"purge_step": epoch} if run.done else {}
            self._writer = self._open(self.directory, **purged)
        for name, value in logs.items():
            if math.isfinite(value):
                self._writer.add_scalar(_tag(name, logs), value, epoch)
        for name, pair in self._distributions(run, logs).items():
            _write(self._writer, name, pair, epoch)
        self._writer.flush()

    def end(self, run: Run) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _distributions(self, run: Run, logs: dict[str, float]) -> dict[str, Pair]:
        own = run.step.metrics + (run.checks.function.metrics if run.checks is not None else ())
        found = {metric.name: metric.pair for metric in own if isinstance(metric, Histogram)}
        if self.histograms is not None:
            before = len(self.histograms.epochs)
            self.histograms.epoch_end(run, logs)
            if len(self.histograms.epochs) > before:
                found |= {name: pairs[-1] for name, pairs in self.histograms.series.items()}
        return found


def _tag(name: str, logs: dict[str, float]) -> str:
    """Where TensorBoard shows a number."""
    if name.startswith("val_"):
        return f"{name.removeprefix('val_')}/validation"
    return f"{name}/training" if f"val_{name}" in logs else name


def _write(writer: Any, name: str, pair: Pair, epoch: int) -> None:
    counts, edges = pair
    middles = (edges[1:] + edges[:-1]) / 2
    writer.add_histogram_raw(
        name,
        min=float(edges[0]), max=float(edges[-1]), num=float(counts.sum()),
        sum=float((counts * middles).sum()), sum_squares=float((counts * middles**2).sum()),
        bucket_limits=[float(edge) for edge in edges[1:]],
        bucket_counts=[float(count) for count in np.asarray(counts)],
        global_step=epoch,
    )  # fmt: skip
