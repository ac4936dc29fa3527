"""Which sizes of a function have code of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from graphc.ir.graph import Graph
from graphc.runtime.backend import Runner
from graphc.runtime.specialize import check_sizes, fragile

CHECKED = 4096  # sizes that need no further look


@dataclass(frozen=True)
class Variant:
    """Compiled code: for given sizes (None: for all), and why it was made."""

    dims: tuple[tuple[str, int], ...] | None
    reason: str
    run: Runner = field(repr=False, compare=False)

    def __str__(self) -> str:
        if self.dims is None:
            return f"generic: {self.reason}"
        sizes = ", ".join(f"{name}={value}" for name, value in self.dims)
        return f"{sizes or 'static'}: {self.reason}"


class Variants:
    """The variants of one function: the first sizes, those asked for, and a generic one."""

    def __init__(self, graph: Graph, build: Callable[[Mapping[str, int] | None], Runner]) -> None:
        self._names = tuple({d.name: None for n in graph.inputs for d in n.type.dims()})
        self._build = build  # for given sizes, or None for a generic one
        self._special: dict[tuple[tuple[str, int], ...], Variant] = {}
        self._generic: Variant | None = None
        self._fragile = fragile(graph)
        self._checked: set[tuple[tuple[str, int], ...]] = set()

    @property
    def listed(self) -> tuple[Variant, ...]:
        """All of them, in the order they were made, the generic one last."""
        generic = (self._generic,) if self._generic else ()
        return (*self._special.values(), *generic)

    def find(self, dims: Mapping[str, int]) -> Runner:
        """The code for these sizes; made now if there is none yet."""
        key = tuple((name, dims[name]) for name in self._names)
        found = self._special.get(key)
        if found is not None:
            return found.run
        self._check(key)
        if not self._special:
            return self._specialize(key, "the first sizes seen").run
        if self._generic is None:
            sizes = ", ".join(f"{name}={value}" for name, value in key)
            run = self._build(None)
            self._generic = Variant(None, f"made for {sizes} and all further sizes", run)
        return self._generic.run

    def _check(self, key: tuple[tuple[str, int], ...]) -> None:
        """Raise where the graph does not exist for these sizes; compiled code would not notice."""
        if self._fragile and key not in self._checked:
            check_sizes(self._fragile, dict(key))
            if len(self._checked) == CHECKED:
                self._checked.clear()
            self._checked.add(key)

    def specialize(self, dims: Mapping[str, int]) -> None:
        """Make code for these sizes unless there is some."""
        key = tuple((name, dims[name]) for name in self._names)
        if key not in self._special:
            self._check(key)
            self._specialize(key, "asked for")

    def _specialize(self, key: tuple[tuple[str, int], ...], reason: str) -> Variant:
        self._special[key] = Variant(key, reason, self._build(dict(key)))
        return self._special[key]
