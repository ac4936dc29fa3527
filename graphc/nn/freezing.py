"""Take parameters from the optimisers by their names."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from typing import Any

from graphc import origin as origins
from graphc.errors import ArgumentError
from graphc.frontend.parameter import Parameter


def freeze(what: Any, pattern: str = "*") -> list[Parameter]:
    """Take the parameters whose names match a pattern ("*/conv1/*") from the optimisers.

    `what` is a model, a layer, or a collection of parameters. Returns those that match; none is an
    ArgumentError. It counts for what is built from then on.
    """
    return _set(what, pattern, False, "freeze")


def unfreeze(what: Any, pattern: str = "*") -> list[Parameter]:
    """Give the parameters whose names match a pattern back to the optimisers; see freeze.

    Those that never learn (statistics of a batch norm) stay as they are.
    """
    return _set(what, pattern, True, "unfreeze")


def _set(what: Any, pattern: str, trainable: bool, caller: str) -> list[Parameter]:
    given = getattr(what, "parameters", what)
    given = list(given.values()) if isinstance(given, Mapping) else given
    listed = list(given) if isinstance(given, (list, tuple, set)) else [given]
    if not all(isinstance(p, Parameter) for p in listed):
        raise ArgumentError(
            f"{caller}: needs a model, a layer or parameters, got {what!r:.60}",
            origin=origins.find_origin(),
        )
    found = [p for p in listed if fnmatch.fnmatchcase(p.name, pattern) and p.op.trainable]
    if not found:
        names = ", ".join(p.name for p in listed[:6]) or "none: a model has them after a first call"
        raise ArgumentError(
            f"{caller}: no parameter is called {pattern!r}",
            origin=origins.find_origin(),
            hint=f"there are {names}",
        )
    for parameter in found:
        parameter.trainable = trainable
    return found
