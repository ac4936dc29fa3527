"""The grammar of the loop level names every class; walks visit everything once, in order."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Iterator

import pytest

from graphc.ir.loops import ir
from graphc.ir.loops.ir import Apply, Buffer, Expr, Load, const, operands, walk_exprs, walk_new
from graphc.ir.types import bool_, float32

CLASSES = [
    value for _, value in inspect.getmembers(ir, dataclasses.is_dataclass)
    if value.__module__ == ir.__name__
]  # fmt: skip
STATEMENTS = typing.get_args(ir.Stmt)
EXPRESSIONS = [c for c in CLASSES if issubclass(c, Expr) and c is not Expr]
GRAMMAR = inspect.cleandoc(ir.__doc__ or "").split("Meaning")[0]


def rule(name: str) -> str:
    """What the grammar says that a word is."""
    lines = GRAMMAR.split(f"{name:8}::=")[1].splitlines()
    rest = [line for line in lines[1:] if line.strip().startswith("|")]
    return "\n".join([lines[0], *rest])


@pytest.mark.parametrize("cls", [c for c in CLASSES if c is not Expr])
def test_the_grammar_names_every_class(cls: type) -> None:
    assert f"{cls.__name__}(" in GRAMMAR


@pytest.mark.parametrize("cls", [c for c in CLASSES if c is not Expr])
def test_the_grammar_has_as_many_fields(cls: type) -> None:
    """A field that is added to a class is added to its line."""
    _, _, rest = GRAMMAR.partition(f"{cls.__name__}(")
    listed = rest.split(")")[0].split(", ")
    fields = [f.name for f in dataclasses.fields(cls) if f.compare]
    inherited = ["dtype"] if issubclass(cls, Expr) else []
    assert len(listed) == len([f for f in fields if f not in inherited])


def test_statements_and_expressions_stand_in_their_rules() -> None:
    assert all(f"{c.__name__}(" in rule("stmt") for c in STATEMENTS)
    assert all(f"{c.__name__}(" in rule("expr") for c in EXPRESSIONS)
    assert {ir.Check, ir.Loop} <= set(STATEMENTS)


# -- walks


def add(x: Expr, y: Expr) -> Apply:
    return Apply(float32, "add", (x, y))


A, B, C = (const(float(i), float32) for i in range(3))


def sample() -> tuple[Expr, Expr, Expr]:
    """(a + b) + ((a + b) + c), and its sums."""
    inner = add(A, B)
    outer = add(inner, C)
    return add(inner, outer), outer, inner


def test_outer_before_inner_left_before_right_each_once() -> None:
    root, outer, inner = sample()
    assert list(walk_exprs((root,))) == [root, inner, A, B, outer, C]
    assert list(walk_exprs((C, root))) == [C, root, inner, A, B, outer]
    assert list(walk_exprs((root,), ir.reversed_operands)) == [root, outer, C, inner, B, A]


def test_what_is_entered_can_be_chosen() -> None:
    root, outer, inner = sample()
    assert list(walk_exprs((root,), lambda e: () if e is inner else operands(e))) == [
        root, inner, outer, C,
    ]  # fmt: skip


def test_operands_first_and_nothing_known() -> None:
    root, outer, inner = sample()
    done: dict[Expr, None] = {}
    for expr in walk_new(root, done.__contains__):
        assert expr not in done
        assert all(x in done for x in operands(expr))
        done[expr] = None
    assert list(done) == [A, B, inner, C, outer, root]
    known = {inner, C}
    assert next(walk_new(root, known.__contains__)) is outer
    assert not list(walk_new(C, known.__contains__))


def test_addresses_and_conditions_belong_to_an_access() -> None:
    at, where = const(1), Apply(bool_, "lt", (const(2), const(3)))
    buffer = Buffer("x", float32, (4,))
    load = Load(float32, buffer, (at,), where)
    store = ir.Store(buffer, (const(0),), load, where)
    loop = ir.Loop(ir.Axis("i"), const(5), ir.PARALLEL, (store, ir.Check(where, 0)))
    found = [getattr(e, "value", type(e).__name__) for e in ir.exprs_in((loop,))]
    assert found == [5, 0, "Load", 1, "Apply", 2, 3]


@pytest.mark.parametrize("walk", [walk_exprs, None])
def test_deep_expressions_do_not_recurse(walk: object) -> None:
    root: Expr = A
    for _ in range(20_000):
        root = add(root, root)
    done: dict[Expr, None] = {}
    visited: Iterator[Expr] = walk_exprs((root,)) if walk else walk_new(root, done.__contains__)
    for expr in visited:
        done[expr] = None
    assert len(done) == 20_001


def fields_of_expressions() -> list[tuple[type, str]]:
    """The fields of statements and expressions that hold expressions."""
    classes = [*STATEMENTS, *EXPRESSIONS]
    return [(c, f.name) for c in classes for f in dataclasses.fields(c) if "Expr" in str(f.type)]


@pytest.mark.parametrize(("cls", "name"), fields_of_expressions())
def test_no_field_is_forgotten(cls: type, name: str) -> None:
    """What holds expressions is visited."""
    mark = const(7)
    values: dict[str, object] = {
        f.name: () if "tuple" in str(f.type) else const(0) for f in dataclasses.fields(cls)
    }
    field = next(f for f in dataclasses.fields(cls) if f.name == name)
    values[name] = (mark,) if "tuple" in str(field.type) else mark
    made = cls(**values)
    visit = operands if issubclass(cls, Expr) else ir.expressions
    assert mark in visit(made)
