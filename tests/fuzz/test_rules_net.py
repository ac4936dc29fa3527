"""Every rule once: alone, switched off, among others; and some of its conditions taken away."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.compiler.passes.patterns import Rule
from graphc.ir.graph import Graph
from tests.fuzz import mutations, rules
from tests.fuzz.rules_cases import STABLE


def fires(rule: Rule) -> bool:
    """Whether a rule applies to one of its graphs."""
    for case in rules.CASES[rule]:
        inputs, tensor = case.make()
        graph = Graph(tuple(t.node for t in inputs), (("y", tensor.node),))
        if rules.alone(rule, graph).roots != graph.roots:
            return True
    return False


def test_every_rule_has_a_graph_that_fires_it() -> None:
    assert [rule.__name__ for rule in rules.RULES if not fires(rule)] == []


@pytest.mark.parametrize("part", range(4))
def test_rules_alone_and_switched_off(part: int) -> None:
    for seed in range(part, len(rules.RULES), 4):
        assert rules.check(seed) in ("fires", "another fires first")


def test_graphs_that_fire_a_rule_and_such_that_must_not() -> None:
    for case in STABLE:
        rng = np.random.default_rng(0)
        assert rules.check_case(case, rng, change=False) in ("fires", "near miss")


# Conditions that, taken away, let a rule fire where it is wrong.
TAKEN = (
    "is_softmax", "sums_within", "softmax_in", "is_power_of_two", "is_added_nothing", "repeated",
    "extreme_of_broadcast", "sub_same", "relu_twice",
)  # fmt: skip


@pytest.mark.parametrize("name", TAKEN)
def test_a_condition_taken_away_is_seen(name: str) -> None:
    mutants = [m for m in mutations.all_mutants() if m.name == name]
    wrong = [m for m in mutants if m.label not in mutations.HARMLESS]
    assert wrong
    assert [m.label for m in wrong[:2] if not mutations.is_caught(m)] == []
