"""What a library offers: its functions, their arguments and dims, and the parameters they share."""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphc import origin as origins
from graphc.errors import ArgumentError, GraphcError, NameError, ShapeError, UnsupportedError
from graphc.frontend.parameter import Parameter
from graphc.ir.dims import Dim, Size, evaluate
from graphc.ir.graph import Node
from graphc.ir.ops.failure import without_values
from graphc.ir.ops.leaf import Parameter as ParameterOp
from graphc.ir.schedule import ALIGNMENT
from graphc.ir.types import TensorType
from graphc.runtime.specialize import check_sizes, size_checked

if TYPE_CHECKING:
    from graphc.runtime.function import CompiledFunction

MAX_TRIED_SIZES = 20_000  # combinations of sizes that are tried one by one

# What functions return. A failed check of function i is MAX_CHECKS + its first code + the check's
# own.
STATUSES = {
    "OK": "done",
    "NULL": "an argument is NULL",
    "ALIGNMENT": f"the workspace is not at a multiple of {ALIGNMENT} bytes",
    "WORKSPACE": "the workspace is too small",
    "NOT_READY": "the workspace has not been initialised, or was overwritten",
    "DIM": "a size is outside of its bounds",
    "NOT_BOUND": "a part was run before the arguments were bound",
    "THREADS": "no such thread, or more threads than the library was made for",
    "NO_PARAMETER": "there is no parameter of that name",
    "BYTES": "the number of bytes is not that of the value",
    "STATE": "these are not saved values of this library",
    "SELFTEST": "results differ from those recorded when the library was made",
    "READONLY": "the parameter is part of the code (exported with frozen=True)",
}
MAX_CHECKS = 64

_C_WORDS = frozenset(
    """
    auto break case char class const continue default delete do double else enum extern false float
    for goto if inline int int8_t long new register restrict return short signed sizeof static
    struct switch template this true typedef union unsigned void volatile while bool
    alignas alignof and and_eq asm bitand bitor catch char16_t char32_t char8_t co_await co_return
    co_yield compl concept const_cast consteval constexpr constinit decltype dynamic_cast explicit
    export friend import module mutable namespace noexcept not not_eq nullptr operator or or_eq
    private protected public reinterpret_cast requires static_assert static_cast thread_local throw
    try typeid typename typeof using virtual wchar_t xor xor_eq
    assert complex errno imaginary linux noreturn offsetof stderr stdin stdout unix
    int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t size_t EOF I NULL
    workspace bytes thread threads weights weights_bytes
    """.split()  # noqa: SIM905
)

# What the functions of every library are called, and what each of the user's has besides itself.
_LIBRARY_WORDS = frozenset(
    """
    driver_error find free get_parameter init load parameters save selftest set_parameter
    state_bytes status_text workspace_bytes
    """.split()  # noqa: SIM905
)
_SUFFIXES = ("", "_bind", "_part", "_set_random", "_get_random")


@dataclass(frozen=True)
class Argument:
    """An input or output: the user's name, the name in C, and the type."""

    name: str
    symbol: str
    type: TensorType


@dataclass(frozen=True, eq=False)
class Entry:
    """One function of a library.

    `dims` become arguments in C, with their final bounds; `fixed` are those that became
    constants. `first_check` is added to the codes of failed checks.
    """

    name: str
    symbol: str
    function: CompiledFunction
    dims: tuple[Dim, ...]
    fixed: Mapping[str, int]
    inputs: tuple[Argument, ...]
    outputs: tuple[Argument, ...]
    first_check: int

    @property
    def maxima(self) -> dict[str, int]:
        """The largest value of every dim."""
        return {d.name: d.max or 0 for d in self.dims} | dict(self.fixed)

    @property
    def sample(self) -> dict[str, int]:
        """Small values of the dims, for the self-test."""
        return {d.name: min(d.max or 3, max(d.min, 3)) for d in self.dims} | dict(self.fixed)

    @property
    def checks(self) -> dict[int, str]:
        """What the codes of failed checks mean, with the user's file and line."""
        return {
            self.first_check + c.code: f"{without_values(c.message)} ({c.node.origin})"
            for c in self.function.program.schedule.checks
        }

    def size(self, size: Size) -> Size:
        """A size with the fixed dims put in, where that makes it a number."""
        try:
            return evaluate(size, self.fixed)
        except KeyError:
            return size


@dataclass(frozen=True, eq=False)
class Interface:
    """A whole library."""

    name: str
    entries: tuple[Entry, ...]
    parameters: tuple[Parameter, ...]
    threads: int
    frozen: frozenset[Parameter] = frozenset()  # in constant memory, not in the workspace

    @property
    def fingerprint(self) -> int:
        """A number that only libraries with the same parameters have."""
        text = repr([(p.name, str(p.type)) for p in self.parameters] + self.random_names)
        digest = hashlib.sha256(f"{self.name}{text}".encode()).digest()
        return int.from_bytes(digest[:8], "little") >> 1

    @property
    def random_names(self) -> list[str]:
        """The functions that draw random numbers."""
        return [e.name for e in self.entries if e.function.program.schedule.rng is not None]


def make_interface(
    name: str,
    functions: Mapping[str, CompiledFunction],
    dims: Mapping[str, int | tuple[int, int]],
    threads: int,
    frozen: bool = False,
) -> Interface:
    """Check everything and give everything a name in C.

    `dims` gives dims a size, which makes them constants, or other bounds (least, most).
    """
    symbol = c_name(name, ())
    entries: list[Entry] = []
    first, taken = MAX_CHECKS, set(_LIBRARY_WORDS)
    for word, function in functions.items():
        known = {d for f in functions.values() for d in f.dims}
        if set(dims) - known:
            _fail(f"there is no dim {', '.join(sorted(set(dims) - known))}; there are: {known}")
        own = f"{symbol}_{_function_name(word, taken)}"
        entries.append(_entry(own, word, function, dims, first))
        codes = [c.code for c in function.program.schedule.checks]
        first += max(codes, default=-1) + 1
    parameters: dict[str, Parameter] = {}
    for entry in entries:
        for node in entry.function.graph.leaves(ParameterOp):
            mine = parameters.setdefault(node.name, node.handle)
            if mine is not node.handle:
                raise NameError(
                    f"export: two parameters are called {node.name}",
                    operands=tuple(
                        ("parameter", p.name, p.node.origin) for p in (mine, node.handle)
                    ),
                    origin=origins.find_origin(),
                )
    updated = {p.handle for e in entries for p, _ in e.function.graph.updates}
    kept = {p for p in parameters.values() if p not in updated} if frozen else set()
    return Interface(symbol, tuple(entries), tuple(parameters.values()), threads, frozenset(kept))


def _function_name(word: str, taken: set[str]) -> str:
    """A name in C for a function, so that nothing of the library is called like another."""
    for i in itertools.count(2):
        found = c_name(word if i == 2 else f"{word}_{i - 1}", ())
        names = {f"{found}{beside}" for beside in _SUFFIXES}
        if not names & taken:
            taken |= names
            break
    return found


def _entry(
    symbol: str,
    word: str,
    function: CompiledFunction,
    given: Mapping[str, int | tuple[int, int]],
    first: int,
) -> Entry:
    fixed, free = _chosen_sizes(function, given)
    for dim in free:
        _check_maximum(function, dim)
    taken = {c_name(d.name, ()) for d in free}
    graph = function.graph
    inputs = tuple([_argument(node.name, node, taken) for node in graph.inputs])
    outputs = tuple([_argument(name, node, taken) for name, node in graph.outputs])
    free = _bounded(function, free, fixed)
    return Entry(word, symbol, function, free, fixed, inputs, outputs, first)


def _chosen_sizes(
    function: CompiledFunction, given: Mapping[str, int | tuple[int, int]]
) -> tuple[dict[str, int], tuple[Dim, ...]]:
    """The dims that become numbers, and those that stay open within bounds."""
    fixed, dims = {}, {}
    for name, dim in sorted(function.dims.items()):
        value = given.get(name, (dim.min, dim.max))
        if isinstance(value, tuple) and len(value) == 2:
            for end in value if name in given else ():
                _check_size(dim, end)
            dims[name] = Dim(name, value[1], value[0])
        else:
            _check_size(dim, value)
            fixed[name] = value
    return fixed, tuple(dims.values())


def _check_maximum(function: CompiledFunction, dim: Dim) -> None:
    if dim.max is not None:
        return
    raise ShapeError(
        f"export: dim {dim.name} of {function.name} has no maximum, so its memory cannot"
        " be laid out",
        operands=tuple(
            ("input", f"{n.name} {n.type}", n.origin)
            for n in function.graph.inputs
            if dim.name in {d.name for d in n.type.dims()}
        ),
        origin=origins.find_origin(),
        hint=f'gx.dim("{dim.name}", max=256), or export(..., dims=...) with'
        f' {{"{dim.name}": (1, 256)}}, or {{"{dim.name}": 32}} for one size',
    )


def _argument(name: str, node: Node, taken: set[str]) -> Argument:
    """An argument under a name in C that is not taken yet."""
    own = c_name(name, taken)
    taken.add(own)
    return Argument(name, own, node.type)


def _check_size(dim: Dim, value: object) -> None:
    integral = isinstance(value, int) and not isinstance(value, bool)
    fits = isinstance(value, int) and dim.min <= value and (dim.max is None or value <= dim.max)
    if not integral or not fits:
        most = "" if dim.max is None else f" and at most {dim.max}"
        _fail(f"dim {dim.name} must be an int of at least {dim.min}{most}, got {value!r}")


def _bounded(
    function: CompiledFunction, dims: tuple[Dim, ...], fixed: Mapping[str, int]
) -> tuple[Dim, ...]:
    """The dims with bounds for which the graph exists (the maximum of nothing does not, say)."""
    least = 1 if function.graph.updates else 0
    dims = tuple(Dim(d.name, d.max, max(d.min, least)) for d in dims)
    nodes = size_checked(function.graph)
    if not nodes:
        return dims
    ranges: list[Sequence[int]] = [range(d.min, (d.max or 0) + 1) for d in dims]
    if math.prod(map(len, ranges)) > MAX_TRIED_SIZES:
        ranges = [sorted({r[0], min(r[0] + 1, r[-1]), r[-1]}) for r in ranges]
    good = [c for c in itertools.product(*ranges) if _exists(nodes, dims, c, fixed)]
    bounds = [(min(column), max(column)) for column in zip(*good)]
    boxed = math.prod(
        sum(low <= v <= high for v in values) for (low, high), values in zip(bounds, ranges)
    )
    if not good or boxed != len(good):
        raise UnsupportedError(
            f"export: {function.name} does not exist for all sizes within the bounds of its dims",
            operands=tuple(("value", f"{n.op.name} {n.type}", n.origin) for n in nodes[:4]),
            origin=origins.find_origin(),
            hint="give tighter bounds (gx.dim(name, min=, max=)) or fixed sizes (dims=)",
        )
    return tuple(Dim(d.name, high, low) for d, (low, high) in zip(dims, bounds))


def _exists(
    nodes: Sequence[Node], dims: Sequence[Dim], values: Sequence[int], fixed: Mapping[str, int]
) -> bool:
    try:
        check_sizes(tuple(nodes), dict(zip((d.name for d in dims), values)) | dict(fixed))
    except GraphcError:
        return False
    return True


def c_name(text: str, taken: Iterable[str]) -> str:
    """A C identifier for a name, none of those taken."""
    plain = re.sub(r"[^A-Za-z0-9_]", "_", text) or "_"
    plain = re.sub(r"_{2,}", "_", plain)
    if plain[0].isdigit() or plain.startswith("_"):
        plain = f"v{plain}"
    if plain in _C_WORDS:
        plain += "_"
    taken, found = set(taken), plain
    for i in itertools.count(2):
        if found not in taken:
            break
        found = f"{plain}_{i}"
    return found


def _fail(text: str) -> None:
    raise ArgumentError(f"export: {text}", origin=origins.find_origin())
