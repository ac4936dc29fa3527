"""Names of arguments that a function does not have."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping

from graphc import elsewhere
from graphc import origin as origins
from graphc.errors import ArgumentError


def check_keywords(
    name: str, parameters: Mapping[str, inspect.Parameter], given: Iterable[str]
) -> None:
    """Raise at a keyword that a function does not take, with the one that may be meant."""
    unknown = next((word for word in given if word not in parameters), None)
    if unknown is None or any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    known = [
        word
        for word, p in parameters.items()
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and word not in ("self", "cls")
    ]
    meant = elsewhere.argument(unknown, known)
    raise ArgumentError(
        f"{name}: takes no argument {unknown}",
        origin=origins.current().origin or origins.find_origin(),
        hint=f"did you mean {meant}?" if meant else f"it takes {', '.join(known) or 'none'}",
    )
