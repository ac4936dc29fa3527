"""Names of arguments that a function does not have."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from graphc import origin as origins
from graphc.errors import ArgumentError

# What other libraries call an argument of ours.
OTHER_NAMES = {
    "bias": "use_bias", "data_format": "layout", "dim": "axis", "dims": "axis", "eps": "epsilon",
    "keepdim": "keepdims", "lr": "learning_rate", "out_channels": "filters",
    "out_features": "units", "p": "rate", "stride": "strides",
}  # fmt: skip


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
    other = OTHER_NAMES.get(unknown, "")
    near = [other] if other in known else get_close_matches(unknown, known, 1)
    raise ArgumentError(
        f"{name}: takes no argument {unknown}",
        origin=origins.current().origin or origins.find_origin(),
        hint=f"did you mean {near[0]}?" if near else f"it takes {', '.join(known) or 'none'}",
    )
