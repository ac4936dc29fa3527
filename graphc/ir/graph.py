"""Nodes and graphs: the compiler's graph-level IR."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from graphc import origin as origins
from graphc.errors import GraphcError, VerifyError
from graphc.ir.types import TensorType
from graphc.origin import Origin

if TYPE_CHECKING:
    from graphc.ir.ops.base import Op


class Node:
    """An op applied to nodes, and the value it makes. Immutable; compared by identity.

    `name` is what the user called it ("" if nothing), `step_part` forward, backward or update,
    `handle` the user's handle on it (a Tensor, made when first asked for).
    """

    __slots__ = ("__weakref__", "handle", "inputs", "name", "op", "origin", "step_part", "type")

    def __init__(
        self,
        op: Op,
        inputs: tuple[Node, ...],
        type: TensorType,
        origin: Origin,
        step_part: str,
        name: str = "",
    ) -> None:
        self.op = op
        self.inputs = inputs
        self.type = type
        self.origin = origin
        self.step_part = step_part
        self.name = name
        self.handle: Any = None

    def __repr__(self) -> str:
        return f"<{self.name or self.op.name} {self.type} {self.origin}>"


def apply(op: Op, *inputs: Node, name: str = "") -> Node:
    """Apply an op: infer the type, or raise an error that shows operands and the user's line."""
    context = origins.current()
    try:
        type = op.infer(*(n.type for n in inputs))
    except GraphcError as error:
        if not error.operands:
            error.operands = describe(inputs)
        if error.origin is None:
            error.origin = context.origin or origins.find_origin()
        raise
    place = context.origin or origins.find_origin()
    node = Node(op, inputs, type, place, context.step_part, name)
    origins.note_created(node)
    return node


def describe(inputs: Iterable[Node]) -> tuple[tuple[str, str, Origin | None], ...]:
    """The operands of an error message."""
    return tuple(
        (f"input {i}", f"{n.name or n.op.name} {n.type}", n.origin) for i, n in enumerate(inputs)
    )


def topological(roots: Iterable[Node]) -> list[Node]:
    """The nodes that the roots need in topological order, which depends on nothing else."""
    order: list[Node] = []
    done: set[Node] = set()
    for root in roots:
        stack: list[tuple[Node, int]] = [(root, 0)]
        while stack:
            node, i = stack.pop()
            if node in done:
                continue
            if i < len(node.inputs):
                stack.append((node, i + 1))
                if node.inputs[i] not in done:
                    stack.append((node.inputs[i], 0))
                continue
            done.add(node)
            order.append(node)
    return order


@dataclass(frozen=True, eq=False)
class Graph:
    """A whole step: inputs, outputs and updates of parameters, as one graph.

    `outputs` are named in the user's order; `updates` pairs a parameter node with its next value.
    """

    inputs: tuple[Node, ...]
    outputs: tuple[tuple[str, Node], ...]
    updates: tuple[tuple[Node, Node], ...] = ()
    name: str = "step"
    _order: list[Node] = field(default_factory=list, repr=False, compare=False)

    @property
    def roots(self) -> tuple[Node, ...]:
        """The nodes whose values leave the graph: outputs, then new parameter values."""
        return tuple(n for _, n in self.outputs) + tuple(n for _, n in self.updates)

    @property
    def nodes(self) -> list[Node]:
        """Every node in a deterministic topological order."""
        if not self._order:
            self._order.extend(topological(self.roots))
        return self._order

    def leaves(self, kind: type[Op]) -> list[Node]:
        """The leaf nodes of one class, in order of first use, unused updated parameters last."""
        found = [n for n in self.nodes if isinstance(n.op, kind)]
        seen = set(found)
        return found + [p for p, _ in self.updates if isinstance(p.op, kind) and p not in seen]

    def users(self) -> dict[Node, list[Node]]:
        """For every node, the nodes that read it, in order."""
        result: dict[Node, list[Node]] = {n: [] for n in self.nodes}
        for n in self.nodes:
            for i in dict.fromkeys(n.inputs):
                result[i].append(n)
        return result

    def map(self, rewrite: Callable[[Node], Node | None]) -> Graph:
        """Rebuild bottom up; `rewrite` sees each node with its new inputs, None keeps it.

        What `rewrite` builds inherits the origin and step part of the node it rewrites.
        """
        new: dict[Node, Node] = {}
        for node in self.nodes:
            with origins.inherit(node.origin, node.step_part):
                candidate = with_inputs(node, tuple(new[i] for i in node.inputs))
                result = rewrite(candidate)
            new[node] = candidate if result is None else result
            if new[node].type != node.type:
                raise VerifyError(f"{node} became {new[node]}: a rewrite may not change the type")
        return self.substitute(new)

    def substitute(self, new: dict[Node, Node]) -> Graph:
        """The same graph with other roots; inputs and updated parameters stay."""
        origins.note_created(new)
        return replace(
            self,
            outputs=tuple((name, new[n]) for name, n in self.outputs),
            updates=tuple((p, new[n]) for p, n in self.updates),
            _order=[],
        )

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)


def with_inputs(node: Node, inputs: tuple[Node, ...]) -> Node:
    """The same op on other inputs; the node itself when nothing changed."""
    if all(a is b for a, b in zip(inputs, node.inputs)):
        return node
    type = node.op.infer(*(n.type for n in inputs))
    return Node(node.op, inputs, type, node.origin, node.step_part, node.name)
