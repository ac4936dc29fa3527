"""Look for bad data before the first step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc import origin as origins
from graphc.errors import ArgumentError
from graphc.ir.types import Array

SHOWN = 5  # rows, columns or labels that a message names
IMBALANCE = 10.0  # times as many examples of the largest class as of the smallest
SCALES = 1e3  # times as large a deviation of one column as of another


@dataclass(frozen=True)
class Problem:
    """Something about data: what kind, in words, and the rows, columns or labels concerned."""

    kind: str  # "nan", "infinite", "constant", "label", "imbalance", ...
    message: str
    fatal: bool  # whether training cannot succeed with it
    where: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{'error' if self.fatal else 'note'}: {self.message}"


@dataclass(frozen=True)
class Report:
    """What `check` found, the worst first."""

    problems: tuple[Problem, ...]
    examples: int

    @property
    def ok(self) -> bool:
        """Whether nothing was found that training cannot succeed with."""
        return not any(p.fatal for p in self.problems)

    def require(self) -> None:
        """Raise ArgumentError unless it is ok."""
        fatal = [p for p in self.problems if p.fatal]
        if fatal:
            more = f" (and {len(fatal) - 1} more)" if len(fatal) > 1 else ""
            raise ArgumentError(f"bad data: {fatal[0].message}{more}", origin=origins.find_origin())

    def __str__(self) -> str:
        found = [str(p) for p in self.problems] or ["nothing wrong"]
        return "\n".join([f"{self.examples} examples", *found])


def check(x: Any, y: Any = None, classes: int | None = None) -> Report:
    """Report what is wrong with examples x and targets y, at once and with the rows.

    Found are: different numbers of examples, none at all, values that are no numbers, NaN and
    infinity, columns (the last axis of x) that are constant or differ much in scale, labels below
    0 or beyond `classes`, classes without examples or with ten times fewer than another. Integer
    targets of one axis are labels, rows of zeros and a one are one-hot labels.
    """
    x = np.asarray(x)
    problems = [*_numbers("x", x), *_columns(x)]
    count = len(x) if x.ndim else 0
    if not count:
        problems.append(Problem("empty", f"x has no examples: shape {x.shape}", True))
    if y is not None:
        y = np.asarray(y)
        if not y.ndim or len(y) != count:
            other = len(y) if y.ndim else "none"
            problems.append(Problem("count", f"x has {count} examples, y has {other}", True))
        problems += [*_numbers("y", y), *_targets(y, classes)]
    return Report(tuple(sorted(problems, key=lambda p: not p.fatal)), count)


def _numbers(name: str, array: Array) -> Iterator[Problem]:
    """Values that are no finite numbers."""
    if array.dtype.kind not in "biuf":
        message = f"{name} holds {array.dtype}, which are no real numbers"
        yield Problem("dtype", message, True)
        return
    if array.dtype.kind != "f":
        return
    for kind, bad in (("nan", np.isnan(array)), ("infinite", np.isinf(array))):
        if bad.any():
            rows = np.unique(np.nonzero(bad)[0]) if array.ndim else np.zeros(1, np.int64)
            first = tuple(int(i) for i in np.argwhere(bad)[0])
            message = f"{name} has {bad.sum()} {kind} values, the first at {name}{list(first)}"
            yield Problem(kind, f"{message}; rows {_listed(rows)}", True, _ints(rows))


def _columns(x: Array) -> Iterator[Problem]:
    """Columns that say nothing, or much louder than others."""
    if x.ndim < 2 or x.dtype.kind not in "biuf" or len(x) < 2 or not x.size:
        return
    rows = x.reshape(-1, x.shape[-1])
    constant = np.flatnonzero((rows == rows[0]).all(axis=0))
    if len(constant):
        message = f"columns {_listed(constant)} of x are constant: they say nothing"
        yield Problem("constant", message, False, _ints(constant))
    with np.errstate(all="ignore"):
        spread = rows.std(axis=0, dtype=np.float64)
    spread[~np.isfinite(spread)] = 0.0
    moving = spread[spread > 0.0]
    if len(moving) > 1 and moving.max() > SCALES * moving.min():
        wide, narrow = int(spread.argmax()), int(np.where(spread > 0.0, spread, np.inf).argmin())
        message = (
            f"column {wide} of x has a deviation of {spread[wide]:.3g}, column {narrow} of"
            f" {spread[narrow]:.3g}: gx.nn.Standardize makes them alike"
        )
        yield Problem("scale", message, False, (wide, narrow))


def _targets(y: Array, classes: int | None) -> Iterator[Problem]:
    """Labels out of range, and classes with few examples."""
    one_hot = y.ndim == 2 and y.shape[1] > 1 and len(y) and _is_one_hot(y)
    labels = y.argmax(1) if one_hot else y
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or not len(labels):
        return
    known = y.shape[1] if one_hot else classes
    wrong = labels < 0 if known is None else (labels < 0) | (labels >= known)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        until = "" if known is None else f" to {known - 1}"
        message = (
            f"y has {wrong.sum()} labels out of range, the first is y[{row}] = {labels[row]};"
            f" labels are 0{until}"
        )
        yield Problem("label", message, True, _ints(np.flatnonzero(wrong)))
    yield from _balance(labels[~wrong], known)


def _balance(labels: Array, classes: int | None) -> Iterator[Problem]:
    """Classes with no or few examples."""
    if not len(labels) or labels.max() > 10 * len(labels):
        return  # numbers rather than labels
    counts = np.bincount(labels, minlength=classes or 0)
    absent, present = np.flatnonzero(counts == 0), counts[counts > 0]
    if len(absent):
        message = f"no example of classes {_listed(absent)}"
        yield Problem("absent", message, False, _ints(absent))
    if len(present) == 1:
        yield Problem("single", f"all examples are of class {labels[0]}", False, (int(labels[0]),))
    elif present.max() > IMBALANCE * present.min():
        most, least = (
            int(counts.argmax()),
            int(np.where(counts > 0, counts, len(labels) + 1).argmin()),
        )
        message = (
            f"class {most} has {counts[most]} examples, class {least} has {counts[least]}:"
            " class_weight= evens them out"
        )
        yield Problem("imbalance", message, False, (most, least))


def _is_one_hot(y: Array) -> bool:
    return bool(((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all())


def _listed(places: Array) -> str:
    shown = ", ".join(map(str, places[:SHOWN]))
    return f"{shown}, ... ({len(places)} in all)" if len(places) > SHOWN else shown


def _ints(places: Array) -> tuple[int, ...]:
    return tuple(int(i) for i in places)
