"""Compare two graphs, as text."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

from graphc.compiler.passes.merge_common import op_key
from graphc.inspect.dot import graph_of
from graphc.inspect.graph_printer import expression
from graphc.inspect.names import NodeNames, all_nodes, is_bound, is_number, name_nodes, number_text
from graphc.inspect.subject import program_of
from graphc.ir.graph import Graph, Node
from graphc.ir.ops import leaf

Pairs = dict[Node, Node]


def diff_graphs(first: object, second: object) -> str:
    """Compare tensors, updates or compiled functions: what only one has, and what changed.

    Inputs and parameters correspond by name, values by op and inputs; what is left, from the
    outputs and updates on, by op alone. Of compiled functions the graphs as defined are compared.
    """
    one, two = (_graph(x) for x in (first, second))
    pairs = match(one, two)
    names, others = name_nodes(one), name_nodes(two)
    mine, theirs = ([n for n in all_nodes(g) if not is_number(n)] for g in (one, two))
    changed = [(a, pairs[a], _change(a, pairs[a], pairs)) for a in mine if a in pairs]
    changed = [c for c in changed if c[2]]
    paired = set(pairs.values())
    left = [a for a in mine if a not in pairs]
    right = [b for b in theirs if b not in paired]
    same = len(mine) - len(left) - len(changed)
    lines = [
        f"{same} the same, {len(changed)} changed,"
        f" {len(left)} only in the first, {len(right)} only in the second"
    ]
    lines += _section("changed", (f"{_line(a, names)}   {how}" for a, _, how in changed))
    lines += _section("only in the first", (_line(a, names) for a in left))
    lines += _section("only in the second", (_line(b, others) for b in right))
    return "\n".join(lines)


def match(one: Graph, two: Graph) -> Pairs:
    """Nodes of one graph and those of another that stand for the same."""
    waiting: dict[Hashable, list[Node]] = {}
    for node in reversed(all_nodes(two)):
        waiting.setdefault(_key(node, node.inputs), []).append(node)
    pairs: Pairs = {}
    for node in all_nodes(one):
        if all(i in pairs for i in node.inputs):
            found = waiting.get(_key(node, tuple(pairs[i] for i in node.inputs)))
            if found:
                pairs[node] = found.pop()
    _match_down(one, two, pairs)
    return pairs


def _key(node: Node, inputs: tuple[Node, ...]) -> Hashable:
    """What corresponding nodes have in common; a leaf's type may differ."""
    if isinstance(node.op, (leaf.Input, leaf.Parameter)):
        return (type(node.op), node.name or str(getattr(node.op, "label", "")))
    return (op_key(node.op), node.step_part, inputs)


def _match_down(one: Graph, two: Graph, pairs: Pairs) -> None:
    """Pair what is left with the same op, from results of one name down to their inputs."""
    ends = dict(two.outputs)
    news = {_key(p, ()): n for p, n in two.updates}
    todo = [(n, ends[name]) for name, n in one.outputs if name in ends]
    todo += [(n, news[_key(p, ())]) for p, n in one.updates if _key(p, ()) in news]
    taken, seen = set(pairs.values()), set[tuple[Node, Node]]()
    while todo:
        a, b = todo.pop()
        if (a, b) in seen:
            continue
        seen.add((a, b))
        alike = type(a.op) is type(b.op) and not is_bound(a) and not is_number(a)
        if alike and a not in pairs and b not in taken:
            pairs[a] = b
            taken.add(b)
        if pairs.get(a) is b:
            todo += zip(a.inputs, b.inputs)


def _change(a: Node, b: Node, pairs: Pairs) -> str:
    """How two nodes that correspond differ; "" if they do not."""
    found = []
    if a.type != b.type:
        found.append(f"{a.type} -> {b.type}")
    if not is_bound(a) and op_key(a.op) != op_key(b.op):
        found.append(f"{a.op.attributes()} -> {b.op.attributes()}")
    others = [(i, k) for i, k in zip(a.inputs, b.inputs) if pairs.get(i) is not k]
    numbers = [(i, k) for i, k in others if is_number(i) and is_number(k)]
    found += [f"{number_text(i)} -> {number_text(k)}" for i, k in numbers]
    if len(others) > len(numbers) or len(a.inputs) != len(b.inputs):
        found.append("other inputs")
    return ", ".join(found)


def _graph(what: Any) -> Graph:
    if isinstance(what, Graph):
        return what
    return program_of(what).defined if hasattr(what, "program") else graph_of(what)


def _line(node: Node, names: NodeNames) -> str:
    word = names[node] if is_bound(node) else f"{names[node]} = {expression(node, names)}"
    return f"{word}  : {node.type}   {node.origin}"


def _section(title: str, rows: Iterable[str]) -> list[str]:
    listed = [f"  {row}" for row in rows]
    return [title, *listed] if listed else []
