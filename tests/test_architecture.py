"""Who may import whom."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {"graphc": ROOT / "graphc", "graphc_llvm": ROOT / "backends" / "graphc_llvm"}
FRAMEWORKS = {"torch", "jax", "tensorflow", "keras", "tinygrad", "pytensor", "onnxruntime"}
# Backends turn kernels into code: the loop level knows no graph, passes know no machine.
LAYERS = {
    "loops": {"fusion", "passes", "nn", "optim", "train", "cli", "inspect", "autodiff"},
    "ops": {"fusion", "passes", "nn", "optim", "train", "cli", "inspect", "pipeline", "function"},
    "passes": {"fusion", "nn", "optim", "train", "cli", "pipeline", "function", "schedule"},
    "fusion": {"nn", "optim", "train", "cli", "inspect", "function", "pipeline", "memory"},
    "autodiff": {"fusion", "nn", "optim", "train", "cli", "pipeline"},
}


def sources(package: str) -> list[Path]:
    return sorted(PACKAGES[package].rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Every module name that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def names(paths: list[Path]) -> list[str]:
    return [str(p.relative_to(ROOT)) for p in paths]


@pytest.mark.parametrize("path", sources("graphc"), ids=names(sources("graphc")))
def test_graphc_knows_no_backend(path: Path) -> None:
    roots = {name.split(".")[0] for name in imported(path)}
    assert not roots & {"graphc_llvm", "graphc_cuda", "llvmlite", "numba"}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_framework_is_wrapped(package: str) -> None:
    for path in sources(package):
        roots = {name.split(".")[0] for name in imported(path)}
        assert not roots & FRAMEWORKS, path


@pytest.mark.parametrize("layer", LAYERS)
def test_layers_look_one_way(layer: str) -> None:
    for path in sorted((ROOT / "graphc" / layer).rglob("*.py")):
        for name in imported(path):
            parts = name.split(".")
            if parts[0] == "graphc" and len(parts) > 1:
                assert parts[1] not in LAYERS[layer], f"{path.name} imports {name}"


def test_only_the_command_line_prints() -> None:
    for package in PACKAGES:
        for path in sources(package):
            if "cli" in path.parts:
                continue
            calls = (
                n.func for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)
            )
            assert not any(isinstance(f, ast.Name) and f.id == "print" for f in calls), path
