"""Say the same with fewer nodes: local rules, one function each, its equation the docstring."""

from __future__ import annotations

from graphc.graph import Graph, Node
from graphc.ops.base import Elementwise, Op
from graphc.ops.leaf import Literal, SizeOf
from graphc.passes import rules_arithmetic, rules_choice, rules_reduce, rules_view
from graphc.passes.fold_constants import fold
from graphc.passes.patterns import Rule, Rules

SWEEPS = 8  # more than any pattern has nested parts; what is left then is correct as it is
STEPS = 16  # rules applied in a row to one node


def fold_number(node: Node) -> Node | None:
    """f(numbers)  ->  number"""
    known = all(isinstance(i.op, Literal) for i in node.inputs)
    return fold(node) if known and not node.type.ndim else None


RULES: Rules = (
    (Elementwise, (fold_number,)),
    (SizeOf, (fold_number,)),
    *rules_choice.RULES,
    *rules_arithmetic.RULES,
    *rules_reduce.RULES,
    *rules_view.RULES,
)


def simplify(graph: Graph) -> Graph:
    """Apply local rules of algebra, choices, views and reductions until none fires."""
    return apply_rules(graph, RULES)


def apply_rules(graph: Graph, table: Rules) -> Graph:
    """Rebuild a graph bottom up until no rule of a table fires."""
    rules: dict[type[Op], tuple[Rule, ...]] = {}  # of a class of ops, in order

    def rewrite(node: Node) -> Node | None:
        for _ in range(STEPS):
            op = type(node.op)
            if op not in rules:
                rules[op] = tuple(r for cls, some in table if issubclass(op, cls) for r in some)
            result = first_result(node, rules[op])
            if result is None:
                break
            node = result
        return node

    for _ in range(SWEEPS):
        after = graph.map(rewrite)
        if after.roots == graph.roots:
            break
        graph = after
    return graph


def first_result(node: Node, rules: tuple[Rule, ...]) -> Node | None:
    """What the first rule that fires makes of a node."""
    for rule in rules:
        result = rule(node)
        if result is not None:
            return result
    return None
