"""Find where promotion widens floats to float64."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from graphc.ir.graph import Node
from graphc.ir.ops.elementwise_logic import Cast
from graphc.ir.ops.loop import Scan
from graphc.ir.types import float64

MAX_SHOWN_LINES = 5  # lines


def widening_lines(nodes: Iterable[Node]) -> list[str]:
    """A note for every line of the program where promotion makes a tensor float64."""
    found: dict[str, str] = {}
    for node in with_bodies(nodes):
        if isinstance(node.op, Cast) and node.op.promotes and node.op.dtype == float64:
            source = node.inputs[0].type
            if source.dtype.is_float and source.shape:
                note = f"{source.dtype.name} becomes float64: {_line(node)}"
                found.setdefault(str(node.origin), note)
    notes = list(found.values())
    more = len(notes) - MAX_SHOWN_LINES
    return notes[:MAX_SHOWN_LINES] + ([f"float64: {more} more lines"] if more > 0 else [])


def with_bodies(nodes: Iterable[Node]) -> Iterator[Node]:
    """Nodes, each before those of its body."""
    for node in nodes:
        yield node
        if isinstance(node.op, Scan):
            yield from with_bodies(node.op.body.nodes)


def _line(node: Node) -> str:
    text = node.origin.text
    return f"{node.origin}  {text}" if text else str(node.origin)
