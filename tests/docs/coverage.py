"""What proves what: `python -m tests.docs.coverage` prints docs/coverage.md from the rows of
`tests/coverage/`; a test looks up every test, example and name that they give."""

from __future__ import annotations

import sys

from tests.coverage import (
    claims,
    data_sets,
    derivatives,
    models,
    network_operations,
    operations,
    optimisers,
    regularisers,
    systems,
    workflows,
)
from tests.coverage.row import Row

PARTS: tuple[tuple[str, tuple[Row, ...]], ...] = (
    ("Models and systems", models.ROWS + systems.ROWS),
    ("Operations", operations.ROWS + network_operations.ROWS),
    ("Differentiation", derivatives.ROWS),
    ("Optimisers and schedules", optimisers.ROWS),
    ("Initialisers, normalisation, regularisers", regularisers.ROWS),
    ("Data sets", data_sets.ROWS),
    ("Workflows", workflows.ROWS),
    ("Claims", claims.ROWS),
)
HEAD = """# What proves what

Printed by `python -m tests.docs.coverage` from the rows of `tests/coverage/`; a test compares it,
and looks up every test, example and name. Do not edit.

Each line is something that a practitioner expects of a deep learning library, or a claim of a
course on it: the check that is the shortest proof, and the tests and programs that make it.
"""


def page() -> str:
    """The whole file."""
    rows = [row for _, part in PARTS for row in part]
    missing = [row.id for row in rows if not row.proven]
    state = f"\n{len(rows) - len(missing)} of {len(rows)} are proven"
    state += f"; not there, or in part: {', '.join(missing)}.\n" if missing else ".\n"
    return "".join([HEAD, state, *(section(*part) for part in PARTS)])


def section(title: str, rows: tuple[Row, ...]) -> str:
    """One table."""
    head = f"\n## {title}\n\n| | what | accepted when | proof |\n|---|---|---|---|\n"
    return head + "".join(map(line, rows))


def line(row: Row) -> str:
    """One line of a table."""
    cells = [f"`{proof}`" for proof in row.proofs]
    if not row.proven:
        cells.append(f"**not there**: {row.missing or 'a proof'}")
    proofs = "<br>".join(cells).replace("|", "\\|")
    text, accept = (t.replace("|", "\\|") for t in (row.text, row.accept))
    return f"| {row.id} | {text} | {accept} | {proofs} |\n"


if __name__ == "__main__":
    sys.stdout.write(page())
