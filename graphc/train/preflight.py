"""What can be known of a run before its first epoch: names that are watched, folders of files."""

from __future__ import annotations

import difflib
from pathlib import Path

from graphc import origin as origins
from graphc.errors import ArgumentError
from graphc.runtime.function import CompiledFunction
from graphc.train.batches import log_name
from graphc.train.monitor import Monitor
from graphc.train.run import Run


def check_run(run: Run) -> None:
    """Raise where a callback watches what no epoch will log, or writes where there is no folder.

    Callbacks of the user's may add numbers to the logs: what stands behind one is not checked.
    """
    known = logged_names(run)
    for watcher in run.watchers:
        path = getattr(watcher, "path", None)
        if isinstance(path, Path) and not path.parent.is_dir():
            raise ArgumentError(
                f"{type(watcher).__name__}: there is no folder {path.parent}",
                origin=origins.find_origin(),
                hint=f"make it: os.makedirs({str(path.parent)!r})",
            )
        if isinstance(path, Path) and path.is_dir():
            raise ArgumentError(
                f"{type(watcher).__name__}: {path} is a folder, not a file",
                origin=origins.find_origin(),
                hint=f"a file in it: {str(path / 'NAME')!r}",
            )
        if not type(watcher).__module__.startswith("graphc."):
            return
        monitor = getattr(watcher, "monitor", None)
        if isinstance(monitor, Monitor) and monitor.name not in known:
            close = difflib.get_close_matches(monitor.name, known, 1)
            raise ArgumentError(
                f"monitor: no {monitor.name} among {', '.join(known)}",
                origin=origins.find_origin(),
                hint=f"did you mean {close[0]}?" if close else None,
            )


def logged_names(run: Run) -> list[str]:
    """The names in the logs of an epoch, in their order."""
    found = _names(run.step)
    if run.checks is not None:
        found += [f"val_{name}" for name in _names(run.checks.function)]
    return [*found, *run.learning_rates(), "seconds", "steps_per_second"]


def scalar_names(function: CompiledFunction) -> list[str]:
    """The names of the outputs of rank 0."""
    outputs = zip(function.structure.paths(), function.graph.outputs)
    return [log_name(path) for path, (_, node) in outputs if not node.type.shape]


def _names(function: CompiledFunction) -> list[str]:
    """The outputs of rank 0, then the metrics."""
    return scalar_names(function) + [m.name for m in function.metrics if not m.result.shape]
