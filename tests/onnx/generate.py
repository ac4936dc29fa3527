"""Write docs/onnx.md: run every node case through the compiler and list what became of it.

    python tests/onnx/generate.py

The tests compare with this list: a case that is not on it must pass.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "backends")]

from onnx import defs  # noqa: E402

from graphc.onnx.table import VERSIONS  # noqa: E402
from tests.onnx.node_cases import Outcome, node_cases, run_case  # noqa: E402

DOCUMENT = ROOT / "docs" / "onnx.md"
ROW = re.compile(r"^\| `(test_\w+)` \| (\w+) \| (.*) \|$")

HEAD = """# ONNX operators

`gx.onnx.load` reads models of operator sets 6 to {newest} (default domain, and the optimisers and
gradients of the training preview); `graphc.onnx.backend` is a backend of the onnx package. This
page is made by `python tests/onnx/generate.py`.

## Node cases of the onnx package {version}

{total} cases, run through compiled code on the CPU: {passed} pass, {different} run but have
expected outputs that no other implementation has, {unsupported} are not supported. None crashes.

| case | what | reason |
|---|---|---|
"""


def listed() -> dict[str, Outcome]:
    """The cases on the list with what became of them."""
    rows = (ROW.match(line) for line in DOCUMENT.read_text(encoding="utf-8").splitlines())
    return {row[1]: Outcome(row[2], row[3]) for row in rows if row}


def operators() -> str:
    """The table of operators: converted, expanded into others, or not supported."""
    newest: dict[str, defs.OpSchema] = {}
    for schema in defs.get_all_schemas_with_history():
        label = f"{schema.domain}.{schema.name}" if schema.domain else schema.name
        known = newest.get(label)
        if schema.domain in ("", "ai.onnx.preview.training") and (
            known is None or known.since_version < schema.since_version
        ):
            newest[label] = schema
    lines = []
    for label in sorted(newest):
        schema = newest[label]
        has_body = schema.has_function or schema.has_context_dependent_function  # type: ignore[attr-defined]
        how = "converted" if label in VERSIONS else "by its definition" if has_body else "no"
        lines.append(f"| {label} | {schema.since_version} | {how} |")
    return "\n".join(
        ["## Operators", "", "| operator | newest version | supported |", "|---|---|---|", *lines]
    )


def main() -> None:
    """Run all cases and write the page."""
    import onnx

    outcomes = {name: run_case(case) for name, case in node_cases().items()}
    counts = Counter(o.status for o in outcomes.values())
    head = HEAD.format(
        newest=defs.onnx_opset_version(),
        version=onnx.__version__,
        total=len(outcomes),
        passed=counts["passed"],
        different=counts["different"],
        unsupported=counts["unsupported"],
    )
    rows = [
        f"| `{name}` | {o.status} | {o.reason} |"
        for name, o in sorted(outcomes.items())
        if o.status != "passed"
    ]
    text = head + "\n".join(rows) + "\n\n" + operators() + "\n"
    DOCUMENT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
