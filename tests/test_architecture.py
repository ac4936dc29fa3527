"""Who may import whom: rooms, one way, no circles; and what else is true of every file.

An import counts wherever it stands: at the top, inside a function, under TYPE_CHECKING, and by
name (a text "graphc.room.module", as `import_module` takes it).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {
    "graphc": ROOT / "graphc",
    "graphc_llvm": ROOT / "backends" / "graphc_llvm",
    "graphc_cuda": ROOT / "backends" / "graphc_cuda",
}
FRAMEWORKS = {"torch", "jax", "tensorflow", "keras", "tinygrad", "pytensor", "onnxruntime"}

# The rooms from the ground up: what each holds and which others it may import. The same table
# stands in docs/architecture.md.
HOLDS = {
    "root": ("errors", "origin", "config", "elsewhere", "files", "forked", "installed"),
    "ir": ("ir",),
    "frontend": ("frontend",),
    "compiler": ("compiler",),
    "runtime": ("runtime",),
    "models": (
        "nn", "optim", "random", "linalg", "fft", "init", "schedules", "regularizers",
        "constraints", "decode", "data", "metrics", "models", "train", "sklearn", "plot",
    ),
    "tools": ("inspect", "export", "onnx", "testing", "cli", "__main__"),
}  # fmt: skip
MAY_IMPORT = {
    "root": set(),
    "ir": {"root"},
    "frontend": {"root", "ir"},
    "compiler": {"root", "ir"},
    "runtime": {"root", "ir", "frontend", "compiler"},
    "models": {"root", "ir", "frontend", "runtime"},
    "tools": {"root", "ir", "frontend", "compiler", "runtime", "models"},
    "backends": {"root", "ir", "compiler"},
}
ROOM_OF = {name: room for room, names in HOLDS.items() for name in names}

# What backends are asked for: the protocols, and what describes a library.
PROTOCOLS = {
    "graphc.runtime.backend", "graphc.export.backend", "graphc.export.interface",
    "graphc.export.selftest", "graphc.export.budget",
}  # fmt: skip

# Inside the compiler: stages, and those behind them that they may not know.
STAGES = {
    "graphc.compiler.passes": {"fusion", "order", "memory", "pipeline"},
    "graphc.compiler.fusion": {"memory", "pipeline"},
    "graphc.compiler.order": {"passes", "fusion", "memory", "pipeline"},
    "graphc.compiler.memory": {"passes", "fusion", "pipeline"},
}

# Imports that point upwards or close a circle, and why they stay.
FACADE = "a compiled function shows itself and leaves Python: methods that call a tool by name"
EXCEPTIONS = {
    ("graphc.frontend.tensor", "graphc.frontend.functions"): (
        "operators are functions, and functions make tensors"
    ),
    ("graphc.frontend.tensor", "graphc.inspect.notebook"): "a notebook asks a tensor for a picture",
    ("graphc.nn.model", "graphc.inspect.summary"): FACADE,
    ("graphc.runtime.backend", "graphc.runtime.interpret_backend"): "backends are found by name",
    ("graphc.runtime.inspection", "graphc.export.bundle"): FACADE,
    ("graphc.runtime.inspection", "graphc.inspect.cost"): FACADE,
    ("graphc.runtime.inspection", "graphc.inspect.dot"): FACADE,
    ("graphc.runtime.inspection", "graphc.inspect.html"): FACADE,
    ("graphc.runtime.inspection", "graphc.inspect.memory"): FACADE,
    ("graphc.runtime.inspection", "graphc.inspect.notebook"): FACADE,
    ("graphc.runtime.inspection", "graphc.inspect.profile"): FACADE,
    ("graphc.runtime.inspection", "graphc.inspect.report"): FACADE,
    ("graphc.runtime.inspection", "graphc.inspect.graph_printer"): FACADE,
    ("graphc.runtime.inspection", "graphc.inspect.watch"): FACADE,
}

# Imports inside of functions, beside the exceptions, and what they spare those who do not need it.
COMMANDS = "the command line starts with the command that was asked for"
LOOKED_AT = "the backend is looked at before llvmlite is needed"
LATE = {
    ("graphc.cli.main", "graphc.cli.bench"): COMMANDS,
    ("graphc.cli.main", "graphc.cli.build"): COMMANDS,
    ("graphc.cli.main", "graphc.cli.cached"): COMMANDS,
    ("graphc.cli.main", "graphc.cli.demo"): COMMANDS,
    ("graphc.cli.main", "graphc.cli.doctor"): COMMANDS,
    ("graphc.cli.main", "graphc.cli.look"): COMMANDS,
    ("graphc.cli.main", "graphc.cli.passes"): COMMANDS,
    ("graphc.nn.model", "graphc.nn.training"): "layers do without the compiler",
    ("graphc.nn.model", "graphc.train.files"): "layers do without the compiler",
    ("graphc.runtime.function", "graphc.compiler.pipeline"): "cached code needs no compiler",
    ("graphc_llvm.cpu_function", "graphc_llvm.compile"): "cached code needs no compiler",
    (
        "graphc_llvm",
        "graphc_llvm.cpu_function",
    ): LOOKED_AT,
    ("graphc.export.load", "graphc.export.device_library"): "others need numpy alone",
    ("graphc_cuda", "graphc_cuda.cuda_function"): LOOKED_AT,
    ("graphc_cuda", "graphc_cuda.export.build"): "only libraries need it",
    ("graphc_cuda", "graphc_cuda.export.engine"): "only libraries need it",
    ("graphc_cuda", "graphc_cuda.surroundings"): LOOKED_AT,
    ("graphc_cuda", "graphc_cuda.targets"): LOOKED_AT,
    ("graphc_cuda.compiled_fma", "llvmlite.binding"): "the simulator is looked at without LLVM",
    ("graphc_cuda.cuda_runner", "graphc_cuda.held_data"): "a call needs no compiler, an epoch does",
    ("graphc_cuda.machine_code", "graphc_cuda.numba_api"): "numba is the other way to code",
    ("graphc_cuda.simulate.threads", "greenlet"): "the other executor needs none",
    ("graphc_cuda.ptx", "llvmlite.binding"): "the simulator needs no LLVM for GPUs",
    ("graphc_cuda.cuda_function", "graphc_cuda.compile_step"): "cached code needs no compiler",
    ("graphc_llvm", "graphc_llvm.library.build"): "only libraries need it",
    ("graphc_llvm", "graphc_llvm.target"): LOOKED_AT,
}
HEAVY = {
    "PIL",
    "click",
    "importlib",
    "matplotlib",
    "ml_dtypes",
    "rich",
    "safetensors",
    "scipy",
    "tensorboardX",
}  # packages that may come late

ROOT_FILES = {
    "__init__.py", "__main__.py", "config.py", "constraints.py", "elsewhere.py", "errors.py",
    "files.py", "forked.py", "init.py", "installed.py", "origin.py", "py.typed", "regularizers.py",
    "schedules.py",
}  # fmt: skip
ROOT_FOLDERS = {
    "cli", "compiler", "data", "decode", "export", "fft", "frontend", "inspect", "ir", "linalg",
    "metrics", "models", "nn", "onnx", "optim", "plot", "random", "runtime", "sklearn", "testing",
    "train",
}  # fmt: skip


@dataclass(frozen=True)
class Import:
    """One import: what is imported, the line, and when: at the top, late (in a function), or
    never (for type checkers)."""

    name: str
    line: int
    when: str


@cache
def sources() -> dict[str, Path]:
    """Every module by its name."""
    found = {}
    for folder in PACKAGES.values():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder.parent).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path) -> Iterator[Import]:
    """Every import of a file; of what `from` names, the module where there is one."""
    waiting: list[tuple[ast.AST, str]] = [(ast.parse(path.read_text()), "top")]
    while waiting:
        node, when = waiting.pop()
        yield from (Import(name, getattr(node, "lineno", 0), when) for name in _named(node))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            when = "late"
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            when = "never"
        waiting += [(child, when) for child in ast.iter_child_nodes(node)]


def _named(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        names = [f"{node.module}.{alias.name}" for alias in node.names]
        return [name if name in sources() else node.module for name in names]
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        is_name = node.value in sources() and node.value.count(".") > 1
        return [node.value] if is_name else []
    return []


@cache
def edges() -> dict[str, dict[str, list[Import]]]:
    """For every module those of ours that it imports; the public names of graphc are no imports."""
    found: dict[str, dict[str, list[Import]]] = {name: {} for name in sources()}
    for name, path in sources().items():
        for imported in imports(path) if name != "graphc" else ():
            if imported.name in sources() and imported.name != name:
                found[name].setdefault(imported.name, []).append(imported)
    return found


def pairs() -> list[tuple[str, str]]:
    """Importer and imported, without the exceptions."""
    every = [(a, b) for a, found in edges().items() for b in found]
    return [pair for pair in every if pair not in EXCEPTIONS]


def room(module: str) -> str:
    """The room of a module; the bare package, which names everything, is one by itself."""
    parts = module.split(".")
    if parts[0] != "graphc":
        return "backends"
    return ROOM_OF[parts[1]] if len(parts) > 1 else "graphc"


def is_upward(importer: str, imported: str) -> bool:
    """Whether a room has no business to know another one."""
    here, there = room(importer), room(imported)
    if here == "backends" and imported in PROTOCOLS:
        return False
    if there == "graphc":
        return here != "tools"
    return here != there and there not in MAY_IMPORT[here]


def reaches(start: str, end: str) -> bool:
    """Whether a module needs another one, also by a detour, without the exceptions."""
    after: dict[str, list[str]] = {}
    for a, b in pairs():
        after.setdefault(a, []).append(b)
    seen, waiting = {start}, [start]
    while waiting:
        fresh = [n for n in after.get(waiting.pop(), ()) if n not in seen]
        seen.update(fresh)
        waiting += fresh
    return end in seen


def test_rooms_import_downwards() -> None:
    assert [f"{a} imports {b}" for a, b in pairs() if is_upward(a, b)] == []


def test_no_module_needs_itself() -> None:
    after: dict[str, set[str]] = {}
    for a, b in pairs():
        after.setdefault(a, set()).add(b)
    try:
        TopologicalSorter(after).prepare()
    except CycleError as error:
        pytest.fail("a circle: " + " <- ".join(error.args[1]))


@pytest.mark.parametrize("pair", EXCEPTIONS, ids=" -> ".join)
def test_exceptions_are_needed(pair: tuple[str, str]) -> None:
    importer, imported = pair
    assert imported in edges()[importer], "nobody imports it any more"
    assert is_upward(*pair) or reaches(imported, importer), "it is no exception any more"


@pytest.mark.parametrize("stage", STAGES)
def test_stages_do_not_look_ahead(stage: str) -> None:
    for a, b in pairs():
        parts = b.split(".")
        if a.startswith(stage) and b.startswith("graphc.compiler."):
            assert parts[2] not in STAGES[stage], f"{a} imports {b}"


def test_documentation_has_the_same_rooms() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \|.*\|([^|]*)\|$", text, re.MULTILINE)
    assert {name: set(re.findall(r"`(\w+)`", last)) for name, last in rows} == MAY_IMPORT


def test_nothing_is_new_at_the_root() -> None:
    here = [p for p in PACKAGES["graphc"].iterdir() if p.name != "__pycache__"]
    assert {p.name for p in here if p.is_file()} == ROOT_FILES
    assert {p.name for p in here if p.is_dir()} == ROOT_FOLDERS


def test_imports_stand_at_the_top() -> None:
    found = set()
    for name, path in sources().items():
        for imported in imports(path) if name != "graphc" else ():
            ours = imported.name.split(".")[0] in PACKAGES
            allowed = imported.name if ours else imported.name.split(".")[0]
            if imported.when == "late" and allowed not in HEAVY:
                found.add((name, imported.name))
    assert found - LATE.keys() - EXCEPTIONS.keys() == set()
    assert LATE.keys() - found == set(), "they are no longer needed"


@pytest.mark.parametrize("room", ["root", "models", "tools"])
def test_the_page_has_the_same_table(room: str) -> None:
    """The rooms that the page lists by what they hold."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    (row,) = (line for line in page.splitlines() if line.startswith(f"| `{room}` |"))
    listed = set(re.findall(r"`(\w+)`", row.split("|")[2]))
    assert listed == set(HOLDS[room]) - {"__main__"}


def test_nothing_is_imported_twice() -> None:
    for name, found in edges().items():
        for imported, places in found.items():
            when = {i.when for i in places}
            assert not {"top", "late"} <= when, f"{name} imports {imported} at its top and again"


def test_graphc_knows_no_backend() -> None:
    for name, path in sources().items():
        roots = {i.name.split(".")[0] for i in imports(path)}
        if name.split(".")[0] == "graphc":
            assert not roots & {"graphc_llvm", "graphc_cuda", "llvmlite", "numba"}, path


def test_no_framework_is_wrapped() -> None:
    for path in sources().values():
        assert not {i.name.split(".")[0] for i in imports(path)} & FRAMEWORKS, path


def test_only_the_command_line_prints() -> None:
    for path in sources().values():
        if "cli" in path.parts:
            continue
        calls = (n.func for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call))
        assert not any(isinstance(f, ast.Name) and f.id == "print" for f in calls), path
