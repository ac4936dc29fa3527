"""The names of the compiler's insides that the program needs, in every layout it has had."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

# A name here: the modules that have had it, newest first; `module:name` where it was renamed.
PLACES = {
    "graphc": {
        "Dump": ("inspect.dump",),
        "evaluate": ("ir.dims",),
        "lift_op": ("frontend.tensor",),
        "ALL_OPS": ("ir.ops",),
        "Elementwise": ("ir.ops.base",),
        "Leaf": ("ir.ops.base",),
        "TensorType": ("ir.types",),
        "find_dtype": ("ir.types",),
        "Origin": ("origin",),
        "inherit": ("origin",),
    },
    "graphc_llvm": {
        "emit_program": ("emit_program", "program"),
        "host_target": ("target",),
        "make_target": ("target",),
    },
}
GENERATORS = (  # of random graphs, newest first
    "graphc.testing:random_graph",
    "tests.random_graphs.maker:draw_sample",
    "random_graphs:draw_sample",
)
ROOMS = ("ir", "frontend", "compiler", "runtime")  # once their modules lay beside each other


def find(name: str) -> Any:
    """What has the name in the compiler that is imported; raises ImportError for nothing."""
    package, places = next((p, table[name]) for p, table in PLACES.items() if name in table)
    for place in places:
        module, _, other = place.partition(":")
        try:
            return getattr(import_module(f"{package}.{module}"), other or name)
        except (ModuleNotFoundError, AttributeError):
            continue
    raise ImportError(f"{package} has no {name} in {', '.join(places)}: add its place to PLACES")


def find_generator() -> Any:
    """The function that draws a random graph, of the same checkout as the compiler."""
    for place in GENERATORS:
        module, _, name = place.partition(":")
        try:
            return getattr(import_module(module), name)
        except ModuleNotFoundError:
            continue
    raise ImportError(f"no {' or '.join(GENERATORS)}: add its place to GENERATORS")


class NoRooms(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules of rooms without the rooms, for a compiler from before there were any."""

    def find_spec(
        self, fullname: str, path: Any, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """A module of a room."""
        parts = fullname.split(".")
        if parts[0] == "graphc" and parts[1:2] and parts[1] in ROOMS:
            return importlib.util.spec_from_loader(fullname, self)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """The module by its name without the room."""
        return import_module(".".join(["graphc", *spec.name.split(".")[2:]]))

    def exec_module(self, module: ModuleType) -> None:
        """It has been executed under its own name."""


def prepare(root: Path) -> None:
    """Let programs of today import from a compiler of yesterday."""
    if not (root / "graphc" / ROOMS[0]).is_dir():
        sys.meta_path.insert(0, NoRooms())
