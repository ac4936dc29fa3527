"""docs/coverage.md is what the table makes, and what the table names is there."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

import graphc as gx
from tests.coverage.row import Row
from tests.docs import coverage

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "coverage.md"
ROWS = [row for _, part in coverage.PARTS for row in part]
COUNTS = {"M": 47, "O": 51, "D": 17, "P": 28, "I": 33, "T": 21, "W": 26, "C": 30}


def test_page() -> None:
    again = "run `python -m tests.docs.coverage > docs/coverage.md`"
    assert coverage.page() == PAGE.read_text(encoding="utf-8"), again


def test_every_id_is_there_once() -> None:
    expected = [f"{letter}{i:02}" for letter, n in COUNTS.items() for i in range(1, n + 1)]
    assert [row.id for row in ROWS] == expected


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_proofs_exist(row: Row) -> None:
    assert len(set(row.proofs)) == len(row.proofs)
    wrong = [proof for proof in row.proofs if not found(proof)]
    assert not wrong


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_a_name_alone_proves_nothing(row: Row) -> None:
    """Without a test or a program a row says what is missing."""
    assert row.proven or row.missing


@pytest.mark.parametrize(
    "proof",
    [
        "tests/docs/test_coverage.py::test_nothing", "tests/no_file.py::test_page", "gx.nn.nothing",
        "tests/optim/test_optimizers.py::test_schedules[nothing]", "examples/nothing.py",
        "tests/docs/test_coverage.py::found", "tests/docs/test_coverage.py", "nothing",
    ],
)  # fmt: skip
def test_what_is_not_there_is_found(proof: str) -> None:
    assert not found(proof)
    assert found("tests/optim/test_optimizers.py::test_schedules[cosine]")
    assert found("gx.nn.Dense")


def found(proof: str) -> bool:
    """Whether there is what a proof names."""
    if "::" in proof:
        return test_is_there(*proof.split("::"))
    if proof.startswith("gx."):
        return name_is_there(proof.removeprefix("gx."))
    return proof.startswith("examples/") and (ROOT / proof).is_file()


def test_is_there(path: str, name: str) -> bool:
    """Whether a file has a test, and, for one case of it, the text of its id."""
    name, _, case = name.partition("[")
    functions, texts = contents(path)
    return name.startswith("test_") and name in functions and (not case or case[:-1] in texts)


test_is_there.__test__ = False  # type: ignore[attr-defined]


@cache
def contents(path: str) -> tuple[set[str], set[str]]:
    """The functions of a file, and the texts in it."""
    if not (ROOT / path).is_file():
        return set(), set()
    nodes = list(ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))))
    names = {n.id for n in nodes if isinstance(n, ast.Name)}
    texts = {n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    return {n.name for n in nodes if isinstance(n, ast.FunctionDef)}, texts | names


def name_is_there(name: str) -> bool:
    """Whether graphc has a name, of a module or of a class."""
    home = gx
    for part in name.split("."):
        if not hasattr(home, part):
            return False
        home = getattr(home, part)
    return True
