"""Names of nodes in texts and pictures."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from graphc.ir.dims import Size, evaluate
from graphc.ir.graph import Graph, Node
from graphc.ir.ops import leaf
from graphc.ir.ops.base import Elementwise, View
from graphc.origin import BACKWARD, FORWARD, UPDATE

_PLAIN = re.compile(r"[^\s%=,()\[\]{}\"';:]+")

NodeNames = dict[Node, str]


def name_nodes(graph: Graph) -> NodeNames:
    """A name for every node: what the user called a leaf, else %0, %1, ... part by part.

    So the forward part is numbered the same with and without the rest. Numbers (literals and
    sizes) have no name of their own: they are written where they are used.
    """
    names: NodeNames = {}
    taken: dict[str, int] = {}
    count = 0
    parts = (FORWARD, BACKWARD, UPDATE)
    for node in sorted(all_nodes(graph), key=lambda n: parts.index(n.step_part)):
        if is_number(node):
            names[node] = number_text(node)
        elif is_bound(node):
            name = quote(node.name or str(getattr(node.op, "label", "")) or node.op.name)
            taken[name] = taken.get(name, 0) + 1
            names[node] = name if taken[name] == 1 else f"{name}.{taken[name]}"
        else:
            names[node] = f"%{count}"
            count += 1
    return names


def all_nodes(graph: Graph) -> list[Node]:
    """The nodes in order; inputs and parameters that nothing reads come last."""
    nodes = dict.fromkeys(graph.nodes)
    nodes.update(dict.fromkeys((*graph.inputs, *(p for p, _ in graph.updates))))
    return list(nodes)


def is_bound(node: Node) -> bool:
    """Whether the value is given from outside: an input, a parameter, an array."""
    return isinstance(node.op, (leaf.Input, leaf.Parameter, leaf.Constant))


def is_number(node: Node) -> bool:
    """Whether it is one number that is known, or a size."""
    return isinstance(node.op, (leaf.Literal, leaf.SizeOf))


def folds(node: Node) -> bool:
    """Whether a picture shows it inside its consumers: a number, converted or repeated."""
    while isinstance(node.op, (View, Elementwise)) and len(node.inputs) == 1:
        node = node.inputs[0]
    return is_number(node)


def number_text(node: Node) -> str:
    """The number behind a node that folds; functions of it in the way they are written."""
    match node.op:
        case leaf.Literal(value=value):
            return str(value).lower() if isinstance(value, bool) else repr(value)
        case leaf.SizeOf(size=size):
            return str(size)
        case View():
            return number_text(node.inputs[0])
    inner = number_text(node.inputs[0])
    return inner if node.op.name == "astype" else f"{node.op.name}({inner})"


def quote(name: str) -> str:
    """The name, in quotes with escapes if it holds anything that texts use themselves."""
    return name if _PLAIN.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def bytes_text(size: Size, dims: Mapping[str, int] | None = None) -> str:
    """A number of bytes for people: 1 kB is 1,000 bytes. Sizes that are not known stay as is."""
    if not isinstance(size, int):
        if dims is None:
            return f"{size} B"
        size = evaluate(size, dims)
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= scale:
            return (
                f"{size / scale:.3g} {unit}" if size < 1000 * scale else f"{size // scale:,} {unit}"
            )
    return f"{size} B"


def count_text(count: int, unit: str) -> str:
    """A large count for people: 12.8 MFLOP."""
    for prefix, scale in (("T", 10**12), ("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if count >= scale:
            return f"{count / scale:.3g} {prefix}{unit}"
    return f"{count} {unit}"
