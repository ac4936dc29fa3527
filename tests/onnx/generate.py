"""Write docs/onnx.md: run every node case through the compiler and list what became of it.

    python -m tests.onnx.generate               everything, in some minutes
    python -m tests.onnx.generate models ops    only the sections on models and on operators

The tests compare with the list of cases: one that is not on it must pass. Models inside packages
are those that are installed (tests/onnx/packaged.py), compared with onnxruntime.
"""

from __future__ import annotations

import re
import sys
import textwrap
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

from onnx import defs

from graphc.ir.ops import ALL_OPS, Input
from graphc.onnx.save import OPSET, RULES
from graphc.onnx.table import VERSIONS
from tests.onnx import packaged
from tests.onnx.node_cases import KNOWN, Outcome, node_cases, run_case
from tests.onnx.test_client_models import compared
from tests.onnx.test_suites import CASES, INSIDE, KINDS, check
from tests.tolerances import NETWORK

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "onnx.md"
ROW = re.compile(r"^\| `(test_\w+)` \| (\w+) \| (.*) \|$")

HEAD = """# ONNX operators

`gx.onnx.load` reads models of operator sets 6 to {newest} (default domain, some of
`ai.onnx.ml`, and the optimisers and gradients of the training preview),
`gx.onnx.save` writes operator set {saved};
`graphc.onnx.backend` is a backend of the onnx package. This page is made by
`python -m tests.onnx.generate`.

## Node cases of the onnx package {version}

{total} cases, run through compiled code on the CPU: {passed} pass ({known} of them have
outputs that are inputs or known while loading), {different} run but have expected outputs that
no other implementation has, {unsupported} are not supported. None crashes.
The stored cases and the networks with random weights (against onnxruntime, 1e-4) beside them:

{suites}

| case | what | reason |
|---|---|---|
"""


def suites(nodes: Counter[str]) -> str:
    """The table of counts: cases of every kind that the package has."""
    light = [
        path for path in packaged.light_models() if difference_of(path, packaged.IMAGE) < NETWORK
    ]
    rows = [
        ("node", sum(nodes.values()), nodes["passed"], nodes["different"], nodes["unsupported"])
    ]
    for kind in KINDS:
        cases = [case for case in CASES if case.parent.name == kind]
        inside = [case for case in cases if case in INSIDE]
        for case in inside:
            check(case)
        rows.append((kind, len(cases), len(inside), 0, len(cases) - len(inside)))
    rows.append(("light", len(packaged.light_models()), len(light), 0, 0))
    lines = [f"| {' | '.join(map(str, row))} |" for row in rows]
    return "\n".join(
        ["| suite | cases | pass | different | not supported |", "|---|---|---|---|---|", *lines]
    )


@cache
def difference_of(path: Path, shape: tuple[int, ...]) -> float:
    """How far a network is from onnxruntime."""
    model = packaged.read(path)
    return compared(model, packaged.some_input(model, shape, 1))


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
        if schema.domain in ("", "ai.onnx.ml", "ai.onnx.preview.training") and (
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


def networks() -> str:
    """The table of models that people use, beside onnxruntime."""
    lines = [
        "## Models",
        "",
        "Compiled and run on the CPU beside onnxruntime; the difference is that of the numbers",
        "before a last softmax or sigmoid, relative to the largest of them. Light models have",
        "random weights. `tests/onnx/test_client_models.py` holds them below 1e-4, and runs one",
        "compiled function of symbolic sizes for several batches and sizes;",
        "`test_sentence_model.py` does so with a transformer built from stored weights.",
        "",
        "| model | from | input | largest difference |",
        "|---|---|---|---|",
    ]
    for path in packaged.light_models():
        lines.append(network(path, "onnx", packaged.IMAGE))
    for package, files in packaged.PACKAGES.items():
        for name, shape in files:
            file = packaged.find_file(package, name)
            if file is not None:
                lines.append(network(file, package, shape))
    return "\n".join(lines)


def network(path: Path, package: str, shape: tuple[int, ...]) -> str:
    """One row of the table."""
    found = difference_of(path, shape)
    name = path.stem if path.stem != "model" else package
    return f"| {name} | {package} | {'x'.join(map(str, shape))} | {found:.1e} |"


def saved() -> str:
    """Which ops are saved."""
    lists = {True: [], False: []}  # type: dict[bool, list[str]]
    for op in ALL_OPS:
        if op is not Input:
            lists[op in RULES].append(f"`{op.name}`")
    return "\n".join(
        [
            "## Saving",
            "",
            f"`gx.onnx.save(path, outputs)` writes operator set {OPSET}: layers as at inference,",
            "parameters under their names, symbolic sizes as named ones, loops as Scan and Loop.",
            "Convolutions with their bias, pooling, batch and layer normalisation, softmax, means,",
            "products with a bias and activations in float32 are the operators that ONNX has for",
            "them, in one layout (transposes that meet are not written); arrays of more than 2 GB",
            "are in a second file, PATH.data (`external=True`: always).",
            "Checks of values (`guard`) are left out. These ops have operators or formulas:",
            "",
            *textwrap.wrap(", ".join(lists[True]), 98),
            "",
            "and these raise UnsupportedError, with the op and the user's line (as do gradients of",
            "convolutions to their kernel, convolutions of whole numbers, and shifts of signed",
            "numbers to the right):",
            "",
            *textwrap.wrap(", ".join(lists[False]), 98),
        ]
    )


SECTIONS = {
    "models": ("Models", networks),
    "ops": ("Operators", operators),
    "saving": ("Saving", saved),
}


def renew(names: list[str]) -> None:
    """Write some sections again; the others stay."""
    text = DOCUMENT.read_text(encoding="utf-8")
    parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)
    for name in names:
        title, write = SECTIONS[name]
        kept = [p for p in parts if not p.startswith(f"## {title}\n")]
        parts = [p.rstrip("\n") + "\n\n" for p in kept] + [write() + "\n"]
    DOCUMENT.write_text("".join(parts), encoding="utf-8")


def run_named(name: str) -> Outcome:
    """What becomes of a case, which another process names."""
    return run_case(node_cases()[name])


def main() -> None:
    """Run all cases and write the page."""
    import onnx

    if sys.argv[1:]:
        renew(sys.argv[1:])
        return
    with ProcessPoolExecutor(initializer=warnings.simplefilter, initargs=("ignore",)) as pool:
        outcomes = dict(zip(node_cases(), pool.map(run_named, node_cases(), chunksize=20)))
    counts = Counter(o.status for o in outcomes.values())
    head = HEAD.format(
        newest=defs.onnx_opset_version(),
        saved=OPSET,
        version=onnx.__version__,
        total=len(outcomes),
        passed=counts["passed"],
        different=counts["different"],
        unsupported=counts["unsupported"],
        known=sum(o.reason == KNOWN for o in outcomes.values()),
        suites=suites(counts),
    )
    rows = [
        f"| `{name}` | {o.status} | {o.reason} |"
        for name, o in sorted(outcomes.items())
        if o.status != "passed"
    ]
    sections = (operators(), networks(), saved())
    text = head + "\n".join(rows) + "\n\n" + "\n\n".join(sections) + "\n"
    DOCUMENT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
