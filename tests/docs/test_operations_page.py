"""docs/operations.md says what the ops do."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphc.ir.ops.base import Op
from tests.docs import operations_page

PAGE = (Path(__file__).parent.parent.parent / "docs" / "operations.md").read_text(encoding="utf-8")
# the first line that begins with a name; the table of accuracies has some of them again
LINES = [line + "\n" for line in PAGE.splitlines() if line.startswith("| `")]
ROWS = {line.split("`")[1]: line for line in reversed(LINES)}
AGAIN = "run `python -m tests.docs.operations_page > docs/operations.md`"


@pytest.mark.parametrize("kind", operations_page.KINDS, ids=lambda kind: kind.__name__)
def test_row(kind: type[Op]) -> None:
    assert operations_page.row(kind) == ROWS.get(kind.name), AGAIN


def test_page() -> None:
    assert operations_page.page(lambda kind: ROWS.get(kind.name, "")) == PAGE, AGAIN


def test_every_op_has_its_own_name() -> None:
    names = [kind.name for kind in operations_page.KINDS]
    assert len(set(names)) == len(names)
