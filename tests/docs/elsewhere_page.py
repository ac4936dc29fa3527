"""Write docs/guide/coming_from.md from the table that also answers foreign names.

python -m tests.docs.elsewhere_page > docs/guide/coming_from.md
"""

from __future__ import annotations

import sys

from graphc.elsewhere import ARGUMENTS, ROWS, SETTING

HEAD = """# Coming from PyTorch, Keras, JAX or NumPy

Printed by `python -m tests.docs.elsewhere_page`; a test runs every line. Do not edit.

A graph is defined first and compiled once; then it is called on arrays. So a tensor has no value
while it is being defined, `gx.grad` builds the graph of a gradient, and what elsewhere is a call of
an optimiser in a loop is a part of the compiled step. Who asks graphc for one of these names is
told the one here.

The lines on the right work after this:
"""


def page() -> str:
    """The text of the page."""
    lines = [HEAD, "```python", SETTING.rstrip(), "```", ""]
    for where in dict.fromkeys(row[0] for row in ROWS):
        lines += [f"## {where}", "", "| there | here |", "|---|---|"]
        lines += [f"| `{theirs}` | `{ours}` |" for w, theirs, ours in ROWS if w == where]
        lines.append("")
    lines += ["## Arguments", "", "| there | here |", "|---|---|"]
    lines += [f"| `{theirs}=` | `{ours}=` |" for theirs, ours in sorted(ARGUMENTS.items())]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
