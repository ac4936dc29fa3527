"""docs/operations.md says what the ops do."""

from __future__ import annotations

from pathlib import Path

import operations_table
import pytest

from graphc.ir.ops.base import Op

PAGE = (Path(__file__).parent.parent / "docs" / "operations.md").read_text(encoding="utf-8")
# the first line that begins with a name; the table of accuracies has some of them again
LINES = [line + "\n" for line in PAGE.splitlines() if line.startswith("| `")]
ROWS = {line.split("`")[1]: line for line in reversed(LINES)}
AGAIN = "run `python tests/operations_table.py > docs/operations.md`"


@pytest.mark.parametrize("kind", operations_table.KINDS, ids=lambda kind: kind.__name__)
def test_row(kind: type[Op]) -> None:
    assert operations_table.row(kind) == ROWS.get(kind.name), AGAIN


def test_page() -> None:
    assert operations_table.page(lambda kind: ROWS.get(kind.name, "")) == PAGE, AGAIN


def test_every_op_has_its_own_name() -> None:
    names = [kind.name for kind in operations_table.KINDS]
    assert len(set(names)) == len(names)
