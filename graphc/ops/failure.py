"""The text of a failed check: a template with places for the value and where it is."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

_FIELD = re.compile(r"\{(x|index)(?::([^{}]*))?\}")


def has_fields(message: str) -> bool:
    """Whether a message asks for {x} or {index}."""
    return _FIELD.search(message) is not None


def without_values(message: str) -> str:
    """The message for those who do not know the values."""
    return _FIELD.sub(lambda match: f"<{match[1]}>", message)


def filled(message: str, x: NDArray[Any], condition: NDArray[Any]) -> str:
    """The message with the first value of x where the condition is false, and its index.

    Where the message has {x} and no {index}, the index follows the value.
    """
    if not has_fields(message):
        return message
    flat = int(np.argmin(np.asarray(condition)))
    place = tuple(int(i) for i in np.unravel_index(flat, np.shape(x)))
    index = f"[{', '.join(map(str, place))}]"
    follows = f" at {index}" if place and "{index" not in message else ""

    def field(match: re.Match[str]) -> str:
        return index if match[1] == "index" else _value(x[place], match[2]) + follows

    return _FIELD.sub(field, message)


def _value(value: Any, spec: str | None) -> str:
    try:
        return format(value.item(), spec) if spec else str(value)
    except (ValueError, TypeError):  # a format that the value does not have
        return str(value)
