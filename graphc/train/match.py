"""Match arrays of a file to parameters by their names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from graphc.ir import naming

Groups = Mapping[str, list[str]]  # what follows, by the first part of a name


def match_names(wanted: Iterable[str], stored: Iterable[str]) -> dict[str, str]:
    """For every name wanted, that in the file; those without a place there are left out.

    The same names, if all are there. Else names that were numbered because nobody gave any
    (dense_2, adam_1) are matched by their order, scope by scope, if the file has as many of that
    kind: numbers count what the process has built before, which is not a property of the model.
    """
    wanted, stored = list(wanted), list(stored)
    if set(wanted) <= set(stored):
        return {name: name for name in wanted}
    found = _match(wanted, stored, "", "")
    if len(found) == len(wanted):
        return found
    return {name: name for name in wanted if name in set(stored)}


def _match(wanted: list[str], stored: list[str], inside: str, there: str) -> dict[str, str]:
    """Match what follows two scopes."""
    ours, theirs = _grouped(wanted, inside), _grouped(stored, there)
    found: dict[str, str] = {}
    for part, names in ours.items():
        other = _counterpart(part, inside, ours, theirs)
        if other is None:
            continue
        if inside + part in names and there + other in theirs[other]:
            found[inside + part] = there + other
        deeper = _match(names, theirs[other], f"{inside}{part}/", f"{there}{other}/")
        found |= deeper
    return found


def _counterpart(part: str, inside: str, ours: Groups, theirs: Groups) -> str | None:
    """The part of a name in the file that stands where ours does."""
    kind = naming.kind_of(inside + part)
    if kind is None:
        return part if part in theirs else None
    mine = [p for p in ours if naming.kind_of(inside + p) == kind]
    other = [p for p in theirs if p == kind or re.fullmatch(rf"{re.escape(kind)}_\d+", p)]
    if len(mine) != len(other):
        return None
    ranked = dict(zip(sorted(mine, key=_rank), sorted(other, key=_rank)))
    return ranked[part]


def _rank(part: str) -> tuple[int, int]:
    """The order of numbered names; the one without a number is the first."""
    digits = re.search(r"_(\d+)$", part)
    return (0, 0) if digits is None else (1, int(digits[1]))


def _grouped(names: Iterable[str], scope: str) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name in names:
        if name != scope[:-1]:
            groups.setdefault(name[len(scope) :].partition("/")[0], []).append(name)
    return groups
