"""Roll back steps whose results are not finite."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.frontend.parameter import Parameter
from graphc.ir.types import Array
from graphc.origin import FORWARD
from graphc.runtime.bad_values import first_bad_node
from graphc.train.batches import Steps
from graphc.train.feed import Feed

if TYPE_CHECKING:
    from graphc.train.run import Run


def finite_parameters(parameters: Iterable[Parameter]) -> list[Parameter]:
    """Those of floats that hold no inf and no NaN: the ones that should stay so."""
    return [p for p in parameters if p.dtype.is_float and np.isfinite(p.memory).all()]


def first_broken(parameters: Iterable[Parameter]) -> Parameter | None:
    """The first of parameters that holds inf or NaN."""
    return next((p for p in parameters if not np.isfinite(p.memory).all()), None)


class Rollback:
    """Runs steps of a run and ends before the first one that is not finite.

    A step is finite if its outputs of rank 0 are, and everything that it updates (and that was
    finite when the run began). What comes after the last finite step is taken back: parameters,
    optimiser state and random state are put where they were before the slice, and the finite
    steps are done again, so the result does not depend on how the epoch was cut.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._watched = finite_parameters(run.parameters)
        self.seconds = 0.0  # what looking after the last steps took

    def steps(self, start: int, stop: int) -> tuple[Steps, str]:
        """Do steps start..stop-1; those kept, and what was wrong with the next (empty: nothing)."""
        batches = self._run.batches
        begin = time.perf_counter()
        saved = [p.value for p in self._run.parameters], self._run.step.rng.copy()
        middle = time.perf_counter()
        steps = batches.run(start, stop)
        end = time.perf_counter()
        good = _finite_steps(steps)
        fine = good == len(steps.sizes) and first_broken(self._watched) is None
        self.seconds = middle - begin + time.perf_counter() - end
        if fine:
            return steps, ""
        good = self._search(start, good, saved)
        kept = Steps({k: v[:good] for k, v in steps.values.items()}, steps.sizes[:good])
        self._back(start, good, saved)
        what = _bad_output(steps, good)
        if not what:
            what = self._bad_parameter(start + good)
            self._back(start, good, saved)
        return kept, f"{what}{self._where(start + good)}: {self._blame(start + good)}"

    def _search(self, start: int, good: int, saved: Any) -> int:
        """The most steps, at most `good`, that leave the parameters finite."""
        low, high, probe = 0, good + 1, good
        while high - low > 1:
            self._back(start, probe, saved)
            if first_broken(self._watched) is None:
                low = probe
            else:
                high = probe
            probe = high - 1 if high == good else (low + high) // 2  # mostly the last step did it
        return low

    def _back(self, start: int, count: int, saved: Any) -> None:
        """Do the first `count` steps again, from what was saved."""
        for parameter, value in zip(self._run.parameters, saved[0]):
            parameter.value = value
        self._run.step.rng[:] = saved[1]
        if count:
            self._run.batches.run(start, start + count)

    def _bad_parameter(self, step: int) -> str:
        """What a step with finite outputs makes of the parameters."""
        self._run.batches.run(step, step + 1)
        broken = first_broken(self._watched)
        return "an update is not finite" if broken is None else f"{broken.name} is not finite"

    def _blame(self, step: int) -> str:
        """The data of the step where they are not finite, else the node that made the first bad
        value, and the learning rate."""
        parts = self._run.batches.inputs(step)
        bad = _bad_data(self._run.batches, step, parts)
        return bad or f"{self._first_bad(parts)}: lower the learning rate first"

    def _first_bad(self, parts: list[Array]) -> str:
        """The node that made the first bad value of a step, with the user's line."""
        step = self._run.step
        scalars = [n for _, n in step.graph.outputs if not n.type.shape]
        watched = set(self._watched)
        changed = [value for p, value in step.graph.updates if p.handle in watched]
        arrays, dims = step.binding.bind(parts, {})
        found = first_bad_node(step.graph, [*scalars, *changed], arrays, dims, step.rng)
        if found is None:
            return "its inputs are finite"
        node, kind = found
        name = f"{node.name} ({node.op.name})" if node.name else node.op.name
        part = "" if node.step_part == FORWARD else f" in the {node.step_part} pass"
        line = f"{node.origin} `{node.origin.text}`" if node.origin.text else node.origin
        return f"its inputs are finite, the first {kind} is made by {name}{part} in {line}"

    def _where(self, step: int) -> str:
        epoch = self._run.done + self._run.history.epochs + 1
        return f" at step {step + 1} of epoch {epoch} (taken back)"


def _finite_steps(steps: Steps) -> int:
    """How many steps come before the first output that is not finite."""
    bad = np.zeros(len(steps.sizes), bool)
    for values in steps.values.values():
        bad |= ~np.isfinite(values)
    return int(bad.argmax()) if bad.any() else len(bad)


def _bad_output(steps: Steps, step: int) -> str:
    """The first output that is not finite at a step, and its value; empty if all are."""
    for name, values in steps.values.items():
        if step < len(values) and not np.isfinite(values[step]):
            return f"{name} is {values[step]}"
    return ""


def _bad_data(batches: Feed, step: int, parts: list[Array]) -> str:
    """The first input of a step that is not finite, with its row; empty if all are."""
    nodes = batches.function.graph.inputs
    batch = next((n.type.shape[0] for n in nodes if n.type.ndim), None)
    for unwanted in (np.isnan, np.isinf):
        for node, part in zip(nodes, parts):
            if part.dtype.kind in "iub" or not unwanted(part).any():
                continue
            place = np.unravel_index(int(unwanted(part).argmax()), part.shape)
            rows = node.type.ndim and node.type.shape[0] == batch
            number = f" in {batches.place(step, int(place[0]))}" if rows else ""
            return f"input {node.name} holds {part[place]}{number}: clean the data"
    return ""
