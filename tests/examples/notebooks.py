"""Run notebooks without a kernel: their cells in order, in one namespace, values displayed.

    python -m tests.examples.notebooks examples/notebooks/6_gan.ipynb OUT

runs one as it stands, and writes what it shows into the folder OUT.
"""

from __future__ import annotations

import ast
import json
import linecache
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DISPLAYS = ("_repr_svg_", "_repr_html_", "_repr_png_")


def cells(path: Path) -> list[dict[str, Any]]:
    """The cells of a notebook."""
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return found


def execute(path: Path, settings: Mapping[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    """Run the code cells; the names they define, and what the cells show at their ends.

    `settings` come after the cell that is tagged "parameters", in place of its values.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    shown = []
    for number, cell in enumerate(cells(path)):
        if cell["cell_type"] != "code":
            continue
        value = _run("".join(cell["source"]), f"{path.stem}_cell_{number}.py", names)
        if value is not None:
            shown.append(value)
        if "parameters" in cell["metadata"].get("tags", ()):
            unknown = settings.keys() - names.keys()
            assert not unknown, f"{path.name} has no {unknown}"
            names |= settings
    return names, shown


def _run(text: str, name: str, names: dict[str, Any]) -> Any:
    """Run a cell; the value of its last line, if that is an expression."""
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    tree = ast.parse(text, name)
    last = tree.body[-1] if tree.body else None
    if not isinstance(last, ast.Expr):
        exec(compile(tree, name, "exec"), names)
        return None
    exec(compile(ast.Module(tree.body[:-1], []), name, "exec"), names)
    return eval(compile(ast.Expression(last.value), name, "eval"), names)


def displayed(value: Any) -> dict[str, str | bytes]:
    """What a notebook would show of a value, by form."""
    forms = {form: getattr(value, form, None) for form in DISPLAYS}
    found = {form: make() for form, make in forms.items() if callable(make)}
    return {form: given for form, given in found.items() if given is not None} | {
        "text": repr(value)
    }


def main(path: str, out: str) -> None:
    """Run a notebook as it stands."""
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    for i, value in enumerate(execute(Path(path), {})[1]):
        for form, given in displayed(value).items():
            suffix = {"_repr_svg_": "svg", "_repr_html_": "html", "_repr_png_": "png"}.get(form)
            target = folder / f"{i:02}.{suffix or 'txt'}"
            target.write_bytes(given if isinstance(given, bytes) else given.encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
