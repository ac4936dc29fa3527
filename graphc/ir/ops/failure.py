"""The text of a failed check: a template with places for the value and where it is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from graphc.ir.dims import Size

if TYPE_CHECKING:
    from graphc.ir.graph import Node

_FIELD = re.compile(r"\{(x|index)(?::([^{}]*))?\}")

# What messages of ours end with; those who do not know the values leave it out.
VALUE = ": {x}"
PLACE = " at {index}"


def has_fields(message: str) -> bool:
    """Whether a message asks for {x} or {index}."""
    return _FIELD.search(message) is not None


def without_values(message: str) -> str:
    """The message for those who do not know the values."""
    shorter = message.removesuffix(VALUE).removesuffix(PLACE)
    if not has_fields(shorter):
        return shorter
    return _FIELD.sub(lambda match: f"<{match[1]}>", message)


def with_size(message: str, size: Size | None) -> str:
    """The message with a size for {size}, and the last index of an axis for {last}."""
    if size is None:
        return message
    last = size - 1 if isinstance(size, int) else f"{size} - 1"
    return message.replace("{size}", str(size)).replace("{last}", str(last))


def filled(message: str, x: NDArray[Any], condition: NDArray[Any]) -> str:
    """The message with the first value of x where the condition is false, and its index.

    Where the message has {x} and no {index}, the index follows the value.
    """
    if not has_fields(message):
        return message
    flat = int(np.argmin(np.asarray(condition)))
    place = tuple(int(i) for i in np.unravel_index(flat, np.shape(x)))
    if not place:
        message = message.removesuffix(PLACE)
    follows = f" at {list(place)}" if place and "{index" not in message else ""

    def field(match: re.Match[str]) -> str:
        return str(list(place)) if match[1] == "index" else _value(x[place], match[2]) + follows

    return _FIELD.sub(field, message)


def _value(value: Any, spec: str | None) -> str:
    try:
        return format(value.item(), spec) if spec else str(value)
    except (ValueError, TypeError):  # a format that the value does not have
        return str(value)


# ------------------------------------------------------------------ indices that are data


def out_of_range(name: str, indices: NDArray[Any], size: int, axis: int | None = None) -> str:
    """The message about the first index that an axis does not have; empty if there is none."""
    if indices.dtype == np.uint64:  # compared as they are: int64 does not hold them
        wrong = indices >= np.uint64(size)
    else:
        wrong = (indices.astype(np.int64) < -size) | (indices.astype(np.int64) >= size)
    if not np.any(wrong):
        return ""
    which = "an axis" if axis is None else f"axis {axis}"
    legal = f" ({-size} to {size - 1})" if size else ""
    place = PLACE if indices.ndim else ""
    text = f"{name}: index {{x}}{place} is out of range for {which} of size {size}{legal}"
    return filled(text, indices, np.logical_not(wrong))


def indexed_size(node: Node) -> Size:
    """The size of the axis that the indices of a node name."""
    own: Size | None = getattr(node.op, "size", None)
    return node.inputs[0].type.shape[getattr(node.op, "axis", 0)] if own is None else own


def indexed_axis(node: Node) -> int | None:
    """That axis, in the tensor whose axes were put in order for an op that takes rows."""
    if hasattr(node.op, "size"):
        return None
    table = node.inputs[0]
    if hasattr(node.op, "axis"):
        return int(node.op.axis)
    return int(table.op.axes[0]) if table.op.name == "permute_dims" else 0  # type: ignore[attr-defined]
