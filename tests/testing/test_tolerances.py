"""Tolerances stand in two tables, each with its reason: no test has one of its own.

The tables are `graphc/ir/compare.py`, which `assert_close` reads, and `tests/tolerances.py`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import tests.tolerances
from graphc.ir.compare import TOLERANCE

TESTS = Path(__file__).parent.parent
NAMES = {"rtol", "atol", "rel", "abs", "tol", "tolerance"}
COMPARE = {"assert_allclose": 2, "allclose": 2, "isclose": 2}  # from which place on
LEAST, SMALL = 1e-20, 1e-3  # a number between them that a difference is compared with is one, too

# Functions of graphc that take arguments of these names, for the singular values to leave out.
CUTOFFS = {"lstsq", "matrix_rank", "pinv"}
LEFT_OUT = {
    "benchmarks": "they measure time",
    "tolerances.py": "the table",
    "errors/examples.py": "arguments that are refused",
    "testing/test_testing.py": "what a tolerance means is what it tests",
    "testing/test_tolerances.py": "the examples below",
}


def files() -> list[Path]:
    every = sorted(TESTS.rglob("*.py"))
    places = {path: path.relative_to(TESTS).as_posix() for path in every}
    return [p for p in every if not any(places[p].startswith(start) for start in LEFT_OUT)]


def literals(tree: ast.AST) -> Iterator[int]:
    """The lines of tolerances that are written as numbers."""
    places = COMPARE | dict(parameters(tree))
    for node in ast.walk(tree):
        yield from (value.lineno for value in values(node, places) if has_number(value))
        if isinstance(node, ast.Compare) and is_difference(node):
            yield node.lineno


def parameters(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """The functions of a file that take a tolerance, and at which place."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            names = [a.arg for a in node.args.args]
            yield from ((node.name, names.index(name)) for name in NAMES & set(names))


def values(node: ast.AST, places: dict[str, int]) -> list[ast.expr]:
    """What a piece of code takes or sets as a tolerance."""
    match node:
        case ast.Call():
            name = ast.unparse(node.func).split(".")[-1]
            named = [k.value for k in node.keywords if k.arg in NAMES and name not in CUTOFFS]
            return named + node.args[places.get(name, len(node.args)) :]
        case ast.arguments():
            after = node.args[len(node.args) - len(node.defaults) :]
            both = zip([*after, *node.kwonlyargs], [*node.defaults, *node.kw_defaults])
            return [value for a, value in both if a.arg in NAMES and value is not None]
        case ast.Dict():
            keys = [getattr(key, "value", None) for key in node.keys]
            return [value for key, value in zip(keys, node.values) if key in NAMES]
        case ast.Assign():
            stored = [n for target in node.targets for n in ast.walk(target)]
            names = {n.id.lower() for n in stored if isinstance(n, ast.Name)}
            return [node.value] if names & NAMES else []
    return []


def has_number(value: ast.expr) -> bool:
    """Whether a float or a power is written there."""
    inner = list(ast.walk(value))
    numbers = [n.value for n in inner if isinstance(n, ast.Constant)]
    powers = any(isinstance(n, ast.Pow) for n in inner)
    return powers or any(isinstance(n, float) and n != 0 for n in numbers)


def is_difference(node: ast.Compare) -> bool:
    """Whether a magnitude is compared with a small number."""
    inner = [n for side in (node.left, *node.comparators) for n in ast.walk(side)]
    calls = {ast.unparse(n.func).split(".")[-1] for n in inner if isinstance(n, ast.Call)}
    numbers = [n.value for n in inner if isinstance(n, ast.Constant)]
    return "abs" in calls and any(isinstance(n, float) and LEAST < n <= SMALL for n in numbers)


def test_no_tolerance_is_a_number() -> None:
    """Take a row of graphc.testing, or a name of tests/tolerances.py."""
    found = {}
    for path in files():
        lines = sorted(set(literals(ast.parse(path.read_text()))))
        found |= {path.relative_to(TESTS).as_posix(): lines} if lines else {}
    assert found == {}


@pytest.mark.parametrize("code", [
    "assert_allclose(a, b, rtol=1e-6)",
    "np.testing.assert_allclose(a, b, 1e-6)",
    "assert a == pytest.approx(b, abs=scale * 1e-6)",
    "def close(a, b, *, tolerance=1e-5): pass",
    "def close(a, tolerance): close(a, 1e-5)",
    "near = {'rtol': 1e-12}",
    "TOLERANCE = {'float32': 2e-6}",
    "rtol, atol = 1e-6, 0",
    "assert_allclose(a, b, rtol=2**-8)",
    "assert np.abs(a - b).max() < 1e-5 * scale",
])  # fmt: skip
def test_numbers_are_found(code: str) -> None:
    assert list(literals(ast.parse(code))) == [1]


@pytest.mark.parametrize("code", [
    "assert_allclose(a, b, **PUBLISHED)",
    "assert_allclose(a, b, atol=0.0)",
    "assert_close(a, b, tolerance='sums')",
    "la.pinv(a, rtol=1e-3)",
    "assert losses[-1] < 1e-3 * losses[0]",
])  # fmt: skip
def test_what_is_no_tolerance(code: str) -> None:
    assert list(literals(ast.parse(code))) == []


def test_every_name_is_used() -> None:
    names = {n for n in vars(tests.tolerances) if n.isupper()}
    used = {name for path in files() for name in names if name in path.read_text()}
    assert names - used == set()


def test_rows_are_of_the_same_dtypes() -> None:
    assert {tuple(row) for row in TOLERANCE.values()} == {
        ("float64", "float32", "float16", "bfloat16")
    }
