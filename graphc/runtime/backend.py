"""The backend protocol and the lookup of backends; all that backends import of this room.

A function asks its backend for code: `Backend.function` makes a `BackendFunction`, which builds
code for given sizes (a `Runner`) or for all of them (a `GenericCode`, bound to sizes one by one).
Which sizes have what is decided and kept in `graphc.runtime.variants`, nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

from graphc.compiler.options import Options, device_of
from graphc.config import environment
from graphc.errors import BackendError, UnsupportedError
from graphc.ir.graph import Graph, Node, describe
from graphc.ir.structure import Structure
from graphc.ir.types import Array

if TYPE_CHECKING:
    from graphc.compiler.program import Program

GROUP = "graphc.backends"
FOR_TARGET = {
    "cpu": "llvm",
    "cuda": "cuda",
    "cuda-simulate": "cuda-simulate",
    "interpret": "interpret",
}
ALWAYS_THERE = ("cpu", "interpret")
_MODULES = {
    "llvm": "graphc_llvm",
    "cuda": "graphc_cuda",
    "cuda-simulate": "graphc_cuda.simulated",
    "interpret": "graphc.runtime.interpret_backend",
}


@dataclass(frozen=True)
class Machine:
    """What a machine (of a CPU: one thread) can do at most in a second."""

    flops_per_second: float
    bytes_per_second: float
    name: str = ""


@dataclass(frozen=True)
class Launch:
    """One launch on a GPU: `grid` blocks of `block` threads, for a call of the schedule.

    `call` is the call's number, below 0 for what runs when a parameter has changed. What the
    assembler says is None where there is no assembler: registers of a thread, bytes spilled,
    `shared_bytes` of a block, and the share of a multiprocessor's warps that fit at once.
    `bytes` are those of its arguments; `sectors` are the pieces of memory that its warps touch, in
    terms of the fewest that hold what they want: None where data decides all places. A launch that
    is repeated is listed once, with its `count`.
    """

    call: int
    name: str
    form: str
    grid: int
    block: int
    bytes: int
    count: int = 1
    shared_bytes: int | None = None
    registers: int | None = None
    spilled_bytes: int | None = None
    occupancy: float | None = None
    sectors: float | None = None


class Releasable(Protocol):
    """Something on a device."""

    def release(self) -> None:
        """Give it back."""
        ...


class HeldData:
    """Arrays that stay as they are while this is held: a backend may keep them on its device."""

    def __init__(self) -> None:
        self.kept: Releasable | None = None

    def release(self) -> None:
        """Give back what was kept."""
        if self.kept is not None:
            self.kept.release()
            self.kept = None


class Runner(Protocol):
    """Code bound to the memory that it needs for given sizes, ready to be called."""

    used: bool  # whether a call has found it since this was last set to False

    def __call__(self, arrays: Sequence[Array], rng: Array) -> list[Array]:
        """The outputs in order, as arrays that own their memory.

        `arrays` are C-ordered, aligned and of the declared types, `rng` is the random state
        (uint64: seed, step). Raises before it writes anything persistent; else it has updated the
        parameters and added 1 to the step of the random state.
        """
        ...

    def epoch(
        self,
        arrays: Sequence[Array],
        batched: Sequence[bool],
        order: Array,
        held: HeldData | None = None,
    ) -> list[Array] | None:
        """Step after step over the rows that `order` names, the outputs of all steps stacked.

        `arrays` that are `batched` give each step its rows; with `held` they are the same, and
        unchanged, in every call. None where the backend has no loop over steps of its own.
        """
        ...

    def release(self) -> None:
        """Release its memory: it will not be called again."""
        ...

    @property
    def threads(self) -> int | None:
        """How many threads run it; None where that says nothing."""
        ...

    @property
    def languages(self) -> tuple[str, ...]:
        """What `source` can be asked for, the one that people read first."""
        ...

    def source(self, language: str) -> str:
        """The generated code in a language; raises UnsupportedError for another one."""
        ...

    def kernel_sources(self) -> Mapping[str, str]:
        """The code of every kernel by the kernel's name, in the first of `languages`.

        Equal kernels share code, which has the name of the first.
        """
        ...

    def launches(self) -> Sequence[Launch]:
        """What a GPU launches; nothing where kernels are functions of a CPU."""
        ...

    @property
    def machine(self) -> Machine | None:
        """The machine that a least time is said for; None: a typical thread of a CPU."""
        ...

    def profile(self, arrays: Sequence[Array], rng: Array) -> list[float] | None:
        """Seconds of every kernel of one call, which leaves parameters and `rng` as they were.

        None where kernels cannot be timed one by one.
        """
        ...


class GenericCode(Protocol):
    """Code for all sizes."""

    def bind(self, dims: Mapping[str, int]) -> Runner:
        """The code with the tables and the memory that it needs for these sizes."""
        ...


class BackendFunction(Protocol):
    """One compiled function as its backend keeps it: makes code, and is the fast way to it."""

    holds_data: bool  # whether `HeldData` saves it anything

    @property
    def entry(self) -> Callable[..., Any] | None:
        """What to call from now on in place of the `slow` call; None: there is nothing faster.

        It finds runners that are bound by itself and hands all other calls to `slow`.
        """
        ...

    def build(self, dims: Mapping[str, int]) -> Runner:
        """Code for given sizes, bound."""
        ...

    def build_generic(self) -> GenericCode:
        """Code for all sizes."""
        ...


class BackendTarget(Protocol):
    """Facts about a machine, as `graphc doctor` shows them."""

    @property
    def cpu(self) -> str:
        """The processor's name."""

    @property
    def triple(self) -> str:
        """Architecture, system and object format."""

    @property
    def isa(self) -> str:
        """The instruction set that code is written for."""

    @property
    def vector_bits(self) -> int:
        """Bits of a vector register."""

    @property
    def has_fma(self) -> bool:
        """Whether products and sums round once."""

    @property
    def l1_bytes(self) -> int:
        """The data cache of a core."""

    @property
    def l2_bytes(self) -> int:
        """The cache behind it."""


class Backend(Protocol):
    """What turns a planned program into something that runs.

    Parameters are shared by functions of all backends: a backend takes them from the graph's
    leaves (`graphc.ir.storage.stored`), where their values lie in the machine's memory. One that
    keeps copies elsewhere says so there (`ParameterStorage.remote`).
    """

    @property
    def name(self) -> str:
        """What `load_backend` is asked for."""
        ...

    def target(self) -> BackendTarget | None:
        """Facts about the machine that code is made for here; None where none matter."""
        ...

    def surroundings(self) -> Sequence[tuple[str, str]]:
        """What it finds on this machine beside the processor, as `graphc doctor` shows it."""
        ...

    def missing(self, graph: Graph) -> tuple[Node, ...]:
        """The nodes that the backend has no code for."""
        ...

    def check(self, options: Options) -> None:
        """Raise BackendError where nothing can run with these options here."""
        ...

    def function(
        self,
        graph: Graph,
        options: Options,
        program: Callable[[], Program],
        structure: Structure,
        rng: Array,
        slow: Callable[..., Any],
    ) -> BackendFunction:
        """A function that has no code yet.

        `program` compiles the graph when code is needed that no cache has. `structure` builds
        what a call returns, `rng` is the random state, `slow` is the call with every check.
        """
        ...


def find_backend(target: str, graph: Graph) -> Backend:
    """The backend for a target; for "cpu" the environment may name another one.

    Raises UnsupportedError where it has no code for a node of the graph.
    """
    name = FOR_TARGET[device_of(target)[0]]
    if target == "cpu":
        name = environment().backend or name
    backend = load_backend(name)
    for node in backend.missing(graph)[:1]:
        raise UnsupportedError(
            f"{graph.name}: the backend {backend.name} has no code for {node.op.name}",
            operands=describe(node.inputs),
            origin=node.origin,
            hint='target="interpret" computes everything',
        )
    return backend


def check_device(options: Options) -> None:
    """Raise BackendError now where the device that is asked for cannot be used."""
    kind = device_of(options.target)[0]
    if kind not in ALWAYS_THERE:
        load_backend(FOR_TARGET[kind]).check(options)


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
