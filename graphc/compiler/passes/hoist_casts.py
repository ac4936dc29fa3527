"""Convert what all iterations of a loop read to shorter floats once, before the loop."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from graphc import origin as origins
from graphc.ir.graph import Graph, Node, apply
from graphc.ir.ops.base import View
from graphc.ir.ops.elementwise_logic import Cast
from graphc.ir.ops.leaf import Input
from graphc.ir.ops.loop import Body, Scan, loop_key
from graphc.ir.rebuild import rebuild
from graphc.ir.types import DType

Loops = dict[tuple[Any, ...], "Hoisted"]


@dataclass(frozen=True)
class Hoisted:
    """A body that reads converted values: which of the loop's inputs, and their dtypes."""

    body: Body
    converted: tuple[tuple[int, DType], ...]


def hoist_casts(graph: Graph) -> Graph:
    """Convert what all iterations of a loop read to shorter floats once, before the loop."""
    loops = hoisted_loops(graph.nodes)
    if not loops:
        return graph
    made: dict[Node, Node] = {}
    before: dict[tuple[Any, ...], tuple[Node, ...]] = {}
    for node in graph.nodes:
        op, inputs = node.op, tuple(made[i] for i in node.inputs)
        key = loop_key(node) if isinstance(op, Scan) else ()
        if isinstance(op, Scan) and key in loops:
            if key not in before:
                with origins.inherit(node.origin, node.step_part):
                    casts = loops[key].converted
                    before[key] = tuple(apply(Cast(dtype), inputs[i]) for i, dtype in casts)
            end = len(inputs) - op.counted
            op = replace(op, body=loops[key].body)
            inputs = (*inputs[:end], *before[key], *inputs[end:])
        same = op is node.op and all(a is b for a, b in zip(inputs, node.inputs))
        kept = (node.type, node.origin, node.step_part, node.name)
        made[node] = node if same else Node(op, inputs, *kept)
    return graph.substitute(made)


def hoisted_loops(nodes: Iterable[Node]) -> Loops:
    """The loops that convert what all iterations read, where all results share a body."""
    bodies: dict[tuple[Any, ...], list[Scan]] = {}
    for node in nodes:
        if isinstance(node.op, Scan):
            bodies.setdefault(loop_key(node), []).append(node.op)
    found: Loops = {}
    for key, ops in bodies.items():
        shared = all(op.body is ops[0].body for op in ops)
        hoisted = hoist_from(ops[0]) if shared else None
        if hoisted is not None:
            found[key] = hoisted
    return found


def hoist_from(op: Scan) -> Hoisted | None:
    """The body of a loop without its conversions of constants; None if it has none."""
    body, first = op.body, op.carries + op.scanned
    places = {node: i for i, node in enumerate(body.inputs) if i >= first}
    made: dict[tuple[int, DType], Node] = {}

    def converted(node: Node) -> Node | None:
        if not isinstance(node.op, Cast) or not _shortens(node):
            return None
        views, base = [], node.inputs[0]
        while isinstance(base.op, View):
            views.append(base.op)
            base = base.inputs[0]
        if base not in places:
            return None
        key = places[base], node.op.dtype
        if key not in made:
            name = f"{base.name}_{node.op.dtype.short}"
            made[key] = apply(Input(name, base.type.with_dtype(node.op.dtype)), name=name)
        result = made[key]
        for view in reversed(views):
            result = apply(view, result)
        return result

    new = rebuild(body.outputs, converted)
    if not made:
        return None
    inputs = (*body.inputs, *made.values())
    return Hoisted(Body(inputs, tuple(new[n] for n in body.outputs)), tuple(made))


def _shortens(node: Node) -> bool:
    """Whether a conversion is to a shorter float."""
    old, new = node.inputs[0].type.dtype, node.type.dtype
    return old.is_float and new.is_float and new.bits < old.bits
