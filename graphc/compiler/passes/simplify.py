"""Express the same with fewer nodes: local rules, one function each, its equation the docstring."""

from __future__ import annotations

from graphc.compiler.passes import rules_arithmetic, rules_choice, rules_reduce, rules_view
from graphc.compiler.passes.fold_constants import fold
from graphc.compiler.passes.patterns import Rules
from graphc.compiler.passes.rewrite import apply_rules
from graphc.ir.graph import Graph, Node
from graphc.ir.ops.base import Elementwise
from graphc.ir.ops.leaf import Literal, SizeOf


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
