"""Rewrite a graph by a table of local rules."""

from __future__ import annotations

from dataclasses import dataclass

from graphc import origin as origins
from graphc.compiler.passes.patterns import Rule, Rules
from graphc.errors import VerifyError
from graphc.ir.graph import Graph, Node, with_inputs
from graphc.ir.ops.base import Op


@dataclass(frozen=True)
class AppliedRule:
    """A rule was applied to a node; it follows the nodes that the rule has made."""

    rule: str
    node: Node


MAX_REWRITE_SWEEPS = 8  # more than patterns nest; what is left after them is correct as it is
MAX_RULES_IN_A_ROW = 16  # applied to one node


def apply_rules(graph: Graph, table: Rules) -> Graph:
    """Rebuild a graph bottom up until no rule of a table fires."""
    rules: dict[type[Op], tuple[Rule, ...]] = {}  # of every class of ops met, in order
    for _ in range(MAX_REWRITE_SWEEPS):
        new: dict[Node, Node] = {}
        for node in graph.nodes:
            candidate = with_inputs(node, tuple([new[i] for i in node.inputs]))
            new[node] = rewrite(node, candidate, table, rules)
        after = graph.substitute(new)
        if after.roots == graph.roots:
            break
        graph = after
    return graph


def rewrite(old: Node, node: Node, table: Rules, rules: dict[type[Op], tuple[Rule, ...]]) -> Node:
    """Apply the first rule that fires to a node, `old` on new inputs, and so on to the result."""
    for _ in range(MAX_RULES_IN_A_ROW):
        op = type(node.op)
        if op not in rules:
            rules[op] = tuple(r for cls, some in table if issubclass(op, cls) for r in some)
        result = first_result(old, node, rules[op])
        if result is None:
            break
        if result.type != node.type:
            raise VerifyError(f"{node} became {result}: a rule may not change the type")
        node = result
    return node


def first_result(old: Node, node: Node, rules: tuple[Rule, ...]) -> Node | None:
    """What the first rule that fires makes of a node; it inherits origin and part."""
    if not rules:
        return None
    with origins.inherit(node.origin, node.step_part):
        for rule in rules:
            result = rule(node)
            if result is not None:
                origins.note_created(AppliedRule(rule.__name__, old))
                return result
    return None
