"""Conditions of rules taken away, one at a time: the net of rules must report each.

A mutant of a rule, or of a predicate that rules ask, is the same function without one guard: what
returns or goes on to the next case under a condition no longer does, one part of an `and` counts
as true, a filter lets everything through; a predicate always says yes. With their number for N,
`python -m tests.fuzz mutations --count N` goes through all of them. What may be taken away
without harm to a value stands in `HARMLESS`, each with its reason.
"""

from __future__ import annotations

import ast
import copy
import importlib
import inspect
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from types import FunctionType
from typing import Any

import numpy as np

from graphc.compiler.passes import rewrite
from graphc.compiler.passes.patterns import Rule
from graphc.ir.ops import axes
from tests.fuzz import rules

NAMES = (
    "patterns", "rules_arithmetic", "rules_choice", "rules_reduce", "rules_view", "stabilise",
    "divide_rows", "simplify", "fold_constants", "shift_exponents",
)  # fmt: skip
MODULES = tuple(importlib.import_module(f"graphc.compiler.passes.{name}") for name in NAMES)
# Predicates, and the rules that ask them (all that are in the tables where there is none).
PREDICATES: dict[str, tuple[str, ...]] = {
    "is_softmax": ("log_of_softmax", "reciprocal_of_sum", "factor_cancels", "softmax_gradient"),
    "repeats_along": ("reciprocal_of_sum", "softmax_gradient", "factor_cancels"),
    "sums_within": ("softmax_gradient",),
    "softmax_in": ("softmax_gradient",),
    "at_least_one": ("extreme_of_broadcast",),
    "is_power_of_two": ("mul_number_twice", "div_by_power_of_two", "sum_of_broadcast"),
    "is_added_nothing": ("add_zero", "sub_from_zero"),
    "scaled": ("mul_number_twice", "div_by_power_of_two", "add_product_twice"),
    "sums_exactly": ("sum_of_broadcast",),
    "holds": ("cast_twice",),
    "are_whole": ("view_of_everything",),
    "repeated": ("sum_of_broadcast", "extreme_of_broadcast"),
    "are_opposite": ("factor_cancels",),
    "one_plus": ("log_near_one", "log_of_one_plus_exp", "quotient_is_sigmoid"),
    "one_minus": ("log_near_one", "log_of_one_minus_sigmoid", "logistic_gradient"),
    "is_complement": ("factor_cancels",),
    "without_sign": ("add_negative", "sub_negative", "mul_by_negative", "div_of_negative"),
}
DRAWS = 400  # graphs of a rule until one must have shown the fault


@dataclass(frozen=True)
class Mutant:
    """A function without one of its conditions, and the rules that show it."""

    name: str
    text: str  # what was taken away
    code: ast.Module
    shown_by: tuple[Rule, ...]

    @property
    def label(self) -> str:
        """A name that stays when lines move."""
        return f"{self.name}: {self.text}"


class Guards(ast.NodeTransformer):
    """Takes away the guard of a number; counts all."""

    def __init__(self, number: int) -> None:
        self.number, self.count, self.text = number, 0, ""

    def _taken(self, node: ast.AST) -> bool:
        self.count += 1
        if self.count - 1 == self.number:
            self.text = ast.unparse(node)
            return True
        return False

    def visit_If(self, node: ast.If) -> ast.AST:
        """A guard that leaves, or a condition with parts."""
        leaves = isinstance(node.body[0], ast.Continue) or is_nothing(node.body[0])
        if leaves and self._taken(node.test):
            node.test = ast.Constant(False)
        return self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        """One of two, if the other is nothing."""
        for empty, other in ((node.orelse, node.body), (node.body, node.orelse)):
            if isinstance(empty, ast.Constant) and not empty.value and self._taken(node.test):
                return self.generic_visit(other)
        return self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        """A part of an `and`."""
        if isinstance(node.op, ast.And):
            for part in list(node.values):
                if self._taken(part):
                    left = [v for v in node.values if v is not part]
                    return ast.BoolOp(node.op, left) if len(left) > 1 else left[0]
        return self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        """A filter."""
        for test in list(node.ifs):
            if self._taken(test):
                node.ifs = [t for t in node.ifs if t is not test]
        return self.generic_visit(node)


def is_nothing(statement: ast.stmt) -> bool:
    """Whether a statement returns None or False."""
    if not isinstance(statement, ast.Return):
        return False
    value = statement.value
    return value is None or (isinstance(value, ast.Constant) and not value.value)


def mutants_of(function: FunctionType, shown_by: tuple[Rule, ...]) -> Iterator[Mutant]:
    """A function without each of its conditions."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    number = 0
    if function.__annotations__.get("return") == "bool":
        always = ast.parse(f"def {function.__name__}(*_): return True")
        yield Mutant(function.__name__, "always", always, shown_by)
    while True:
        guards = Guards(number)
        code = ast.fix_missing_locations(guards.visit(copy.deepcopy(tree)))
        if not guards.text:
            return
        yield Mutant(function.__name__, guards.text, code, shown_by)
        number += 1


def found(name: str) -> FunctionType:
    """A predicate by its name."""
    return next(vars(m)[name] for m in (*MODULES, axes) if name in vars(m))  # type: ignore[no-any-return]


@cache
def all_mutants() -> tuple[Mutant, ...]:
    """Of every rule and every predicate."""
    by_name = {rule.__name__: rule for rule in rules.RULES}
    result: list[Mutant] = []
    for rule in rules.RULES:
        result += mutants_of(rule, (rule,))  # type: ignore[arg-type]
    for name, askers in PREDICATES.items():
        result += mutants_of(found(name), tuple(by_name[a] for a in askers))
    return tuple(result)


@contextmanager
def in_place(mutant: Mutant) -> Iterator[None]:
    """The mutant instead of its function, wherever that is asked for."""
    homes = [m for m in (*MODULES, axes) if mutant.name in vars(m)]
    original = vars(homes[0])[mutant.name]
    home = importlib.import_module(original.__module__)
    names: dict[str, Any] = {}
    exec(compile(mutant.code, "mutant", "exec"), vars(home) | {"__name__": "mutant"}, names)
    changed = names[mutant.name]
    kept = rewrite.first_result

    def first_result(old: Any, node: Any, some: tuple[Rule, ...]) -> Any:
        return kept(old, node, tuple(changed if r is original else r for r in some))

    for module in homes:
        setattr(module, mutant.name, changed)
    rewrite.first_result = first_result
    try:
        yield
    finally:
        rewrite.first_result = kept
        for module in homes:
            setattr(module, mutant.name, original)


def is_caught(mutant: Mutant) -> bool:
    """Whether the net of rules reports anything, an error of any kind included."""
    with in_place(mutant):
        for k in range(DRAWS):
            rng = np.random.default_rng((k, 17))
            try:
                rules.check_alone(mutant.shown_by[k % len(mutant.shown_by)], rng)
            except Exception:
                return True
    return False


def check(seed: int) -> str:
    """Take one condition away; it must be seen, or be known to do no harm."""
    every = all_mutants()
    mutant = every[seed % len(every)]
    if mutant.label in HARMLESS:
        return "harmless"
    assert is_caught(mutant), f"not caught: {mutant.label}"
    return "caught"


# Conditions without which no value is wrong, each with the reason.
FEWER = "without it the rule fires less often, or asks the same again"
RIGHT = "the equation holds without it"
SAME = "equal types leave nothing else"
HARMLESS: dict[str, str] = {
    "fold_number: known": FEWER,
    "fold_number: known and (not node.type.ndim)": "folds arrays too, like fold_constants",
    "fold_number: not node.type.ndim": "folds arrays too, like fold_constants",
    "where_nested: first is x": FEWER,
    "where_nested: second is y": FEWER,
    "where_nested: first is x and second is y": "makes the same again until the steps are over",
    "dot_of_permuted: all((a is b for a, b in zip(sources, node.inputs)))": "makes the same again",
    "cast_twice: old.is_integer": FEWER,
    "cast_twice: new.is_integer": FEWER,
    "cast_twice: not holds(new, old)": FEWER,
    "cast_twice: wraps": FEWER,
    "cast_twice: wide.is_float": FEWER,
    "holds: narrow.kind == 'i'": FEWER,
    "holds: wide.kind == 'u'": FEWER,
    "holds: 2 ** (EXPONENT[wide.name] - 1) > bits": "no dtype has more digits than range",
    "permute_of_ones: x.type.shape[a] != 1": FEWER,
    "slice_of_concat: a != axis": FEWER,
    "slice_of_concat: any((s != 0 for a, s in enumerate(op.starts) if a != axis))": SAME,
    "view_of_everything: not any(starts)": SAME,
    "broadcast_of_leading_ones: source.type.ndim > 0": RIGHT,
    "broadcast_of_leading_ones: x.type.ndim": RIGHT,
    "negate_product: product.type.dtype.kind != 'u'": "whole numbers wrap around",
    "mul_negative_by_number: a.type.dtype.kind != 'u'": "whole numbers wrap around",
    "add_number_twice: number(b) is not None": "whole numbers add in any order",
    "mul_number_twice: number(a) is None": "whole numbers multiply in any order",
    "are_whole: always": SAME,
    "reshape_of_broadcast: size != 1": "sizes of one element are repeated as they are",
    "sum_of_broadcast: not sums_exactly(number(source), count, dtype)": FEWER,
    "sum_of_broadcast: not are_some(number(source), sizes)": FEWER,
    "sum_of_broadcast: is_negative(number(source))": FEWER,
    "sums_exactly: most > 2 ** MANTISSA[dtype.name] or abs(value) < smallest_normal(dtype.name)": (
        "shows in sums of more than 2**24 numbers only"
    ),
    "holds: wide.kind == 'b'": "a truth value has too few bits for all others anyway",
    "broadcast_of_leading_ones: added > 0": RIGHT,
    "broadcast_of_leading_ones: not leading": FEWER,
    "concat_of_one: len(kept) < len(node.inputs)": "makes the same again",
    "concat_of_one: i.type.shape[axis] != 0": FEWER,
    "elementwise_of_broadcasts: s.type.shape": FEWER,
    "logistic_gradient: one_minus(q) is p": RIGHT,
    "logistic_gradient: isinstance(p.op, Sigmoid)": RIGHT,
    "is_softmax: total.inputs[0] is node.inputs[0]": RIGHT,
    "repeats_along: a not in axes": FEWER,
    "repeats_along: s == 1 or a in axes": FEWER,
    "repeats_along: base_of(view) is not reduced or view.type.shape != shape": (
        "who asks has taken the base, and operands of a quotient have one shape"
    ),
    "view_of_everything: are_whole(steps, x.type.shape)": SAME,
    "view_of_everything: not any(before)": SAME,
    "view_of_everything: not any(after)": SAME,
    "view_of_everything: whole": SAME,
    "view_of_everything: not any(before) and (not any(after)) and whole": SAME,
}
