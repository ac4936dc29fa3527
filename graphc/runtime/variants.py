"""The variants of a function: specialised and generic code, and its bound sizes.

The only place in Python that knows: a backend makes code when it is asked to and keeps no list of
sizes. (What it finds natively on the fast way in are the runners that are bound here.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from graphc.ir.graph import Graph
from graphc.runtime.backend import GenericCode, Runner
from graphc.runtime.specialize import check_sizes, size_checked

MAX_BOUND_SIZES = 1024  # sizes that the generic code stays bound to
Sizes = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Variant:
    """Compiled code: for given sizes (None: for all), why it was made, and how it is run.

    Generic code has no runner of its own: it has one for each of the sizes that are in use.
    """

    dims: Sizes | None
    reason: str
    runner: Runner | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        if self.dims is None:
            return f"generic: {self.reason}"
        return f"{_text(self.dims) or 'static'}: {self.reason}"


class Variants:
    """The variants of one function: the first sizes, those asked for, and a generic one."""

    def __init__(
        self,
        graph: Graph,
        build: Callable[[Mapping[str, int]], Runner],
        build_generic: Callable[[], GenericCode],
    ) -> None:
        self._names = tuple({d.name: None for n in graph.inputs for d in n.type.dims()})
        self._build, self._build_generic = build, build_generic
        self._size_checked = size_checked(graph)
        self._own: dict[Sizes, Variant] = {}  # sizes with code of their own
        self._generic: tuple[Variant, GenericCode] | None = None
        self._bound: dict[Sizes, Runner] = {}  # sizes that the generic code is bound to

    @property
    def listed(self) -> tuple[Variant, ...]:
        """All of them, in the order they were made, the generic one last."""
        generic = (self._generic[0],) if self._generic else ()
        return (*self._own.values(), *generic)

    def find(self, dims: Mapping[str, int]) -> Runner:
        """The bound code for these sizes, compiled on first use.

        Raises where the graph does not exist for these sizes: compiled code would not notice.
        """
        key = tuple((name, dims[name]) for name in self._names)
        found = self._own.get(key)
        if found is not None:
            assert found.runner is not None
            return found.runner
        runner = self._bound.get(key)
        if runner is not None:
            runner.used = True
            return runner
        check_sizes(self._size_checked, dict(key))
        if not self._own:
            return self._specialize(key, "the first sizes seen")
        return self._bind(key)

    def specialize(self, dims: Mapping[str, int]) -> None:
        """Compile a variant for these sizes unless there is one."""
        key = tuple((name, dims[name]) for name in self._names)
        if key not in self._own:
            check_sizes(self._size_checked, dict(key))
            self._specialize(key, "asked for")

    def _specialize(self, key: Sizes, reason: str) -> Runner:
        runner = self._build(dict(key))
        self._own[key] = Variant(key, reason, runner)
        return runner

    def _bind(self, key: Sizes) -> Runner:
        """The generic code with what these sizes need; sizes in use stay bound."""
        if self._generic is None:
            reason = f"made for {_text(key)} and all further sizes"
            self._generic = Variant(None, reason), self._build_generic()
        while len(self._bound) >= MAX_BOUND_SIZES:
            self._forget_one()
        runner = self._bound[key] = self._generic[1].bind(dict(key))
        return runner

    def _forget_one(self) -> None:
        """Evict a runner by the clock algorithm."""
        while True:
            key = next(iter(self._bound))
            runner = self._bound.pop(key)
            if not runner.used:
                runner.release()
                return
            runner.used = False
            self._bound[key] = runner  # considered: the last one now


def _text(sizes: Sizes) -> str:
    return ", ".join(f"{name}={value}" for name, value in sizes)
