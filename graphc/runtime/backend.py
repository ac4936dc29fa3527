"""What a backend is, and how one is found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Protocol

from graphc.config import environment
from graphc.errors import BackendError
from graphc.ir.ops.base import Array

GROUP = "graphc.backends"
FOR_TARGET = {"cpu": "llvm", "cuda": "cuda", "interpret": "interpret"}
_MODULES = {"llvm": "graphc_llvm", "cuda": "graphc_cuda"}


class Runner(Protocol):
    """One variant of a compiled function, ready to be called.

    Takes C-ordered, aligned arrays of the declared types, the values of the dims and the random
    state (uint64: seed, step). Returns the outputs in order, as arrays that own their memory.
    Raises before it writes anything persistent; else it has updated the parameters and added 1
    to the step of the random state.
    """

    def __call__(
        self, arrays: Sequence[Array], dims: Mapping[str, int], rng: Array
    ) -> list[Array]: ...


class Backend(Protocol):
    """What turns a planned program into something that runs."""

    name: str

    def function(self, *args: Any) -> Any:
        """One function and its variants, from (graph, options, program, structure, rng, slow).

        `program()` compiles the graph when it is needed, `slow` is the call with every check.
        The result has `entry` (what to call from now on), `build(dims)` and `build_generic()`,
        which return a `Runner`.
        """
        ...


def backend_name(target: str) -> str:
    """The backend for a target; for "cpu" the environment may name another one."""
    if target == "cpu":
        return environment().backend or FOR_TARGET[target]
    return FOR_TARGET[target]


def load_backend(name: str) -> Backend:
    """The backend of a name; raises BackendError when it is not installed or does not load.

    The module that the entry point names has the attribute `backend`.
    """
    module = _find(name)
    backend: Backend | None = getattr(module, "backend", None)
    if backend is None:
        raise BackendError(f"{module.__name__} has no attribute backend")
    return backend


def _find(name: str) -> ModuleType:
    # Our own need no look at everything that is installed, and a checkout has no entry points.
    target = _MODULES.get(name)
    if target is None or find_spec(target) is None:
        from importlib.metadata import entry_points

        target = next((e.value for e in entry_points(group=GROUP) if e.name == name), target)
    if target is None:
        known = sorted({e.name for e in entry_points(group=GROUP)} | set(_MODULES))
        raise BackendError(f"there is no backend {name!r}", hint=f"known: {', '.join(known)}")
    try:
        return import_module(target)
    except ImportError as error:
        raise BackendError(
            f"the backend {name} does not load: {error}",
            hint='graphc doctor says what this machine offers; target="interpret" always works',
        ) from error
