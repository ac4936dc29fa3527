"""Every rewrite rule: golden text before and after, and the values on special numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from graphc.compiler.passes import rules_arithmetic, rules_choice, rules_reduce, rules_view
from graphc.ir.dims import evaluate as evaluate_size
from graphc.ir.graph import Node
from graphc.ir.interpret import Interpreter
from graphc.ir.ops.leaf import Literal
from graphc.ir.ops.view import BroadcastTo
from tests.compiler.passes.rule_cases import GROUPS, Case, compare, special

Array = NDArray[Any]
CASES = [case for group in GROUPS.values() for case in group]
DIMS = {"batch": 3, "few": 5}
TABLES = (
    rules_arithmetic.RULES, rules_choice.RULES, rules_reduce.RULES, rules_view.RULES,
)  # fmt: skip


def text(node: Node) -> str:
    """A node as one expression; repeated literals as their number."""
    if isinstance(node.op, BroadcastTo) and isinstance(node.inputs[0].op, Literal):
        node = node.inputs[0]
    if isinstance(node.op, Literal):
        return repr(node.op.value)
    if not node.inputs:
        return node.name or f"{node.op.name}({node.op.attributes()})"
    attributes = node.op.attributes()
    return f"{node.op.name}({', '.join([*map(text, node.inputs), *filter(None, [attributes])])})"


def values(node: Node, given: dict[Node, Array]) -> Array:
    """What the interpreter makes of a node."""
    return Interpreter(DIMS, (0, 0)).run([node], given)[0]


def drawn(case: Case, inputs: list[Any], seed: int) -> dict[Node, Array]:
    """Special numbers for the inputs."""
    rng = np.random.default_rng(seed)
    shapes = [tuple(evaluate_size(s, DIMS) for s in t.shape) for t in inputs]
    return {t.node: special(t.dtype.name, s, rng) for t, s in zip(inputs, shapes)}


@pytest.mark.parametrize("group", GROUPS)
def test_text(group: str, golden: Callable[[str, str], None]) -> None:
    lines = []
    for case in GROUPS[group]:
        _, before = case.make()
        after = case.rule(before.node)
        assert after is not None, case
        lines.append(f"{text(before.node)}  ->  {text(after)}  : {after.type}\n")
    golden(f"rules_{group}", "".join(lines))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values(case: Case) -> None:
    inputs, before = case.make()
    after = case.rule(before.node)
    assert after is not None
    assert after.type == before.node.type
    for seed in range(20):
        given = drawn(case, inputs, seed)
        compare(values(before.node, given), values(after, given), case.keeps)


def test_every_rule_has_a_case() -> None:
    rules = {rule for table in TABLES for _, some in table for rule in some}
    assert rules == {case.rule for case in CASES}


def test_every_rule_has_an_equation() -> None:
    for case in CASES:
        assert "->" in (case.rule.__doc__ or ""), case
