"""The schedule: kernel calls over storages in order, and the barriers between them.

`fuse` makes the calls (`compiler/fusion/`); `order` puts them in a legal order that keeps the arena
small and says where barriers stand (`compiler/order/`); `plan` gives every temporary its bytes
(`compiler/memory/`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from graphc.ir.dims import Size
from graphc.ir.graph import Node
from graphc.ir.loops.ir import Kernel
from graphc.ir.types import TensorType

# Where a storage's bytes are. A window is a row of another storage that depends on the iteration.
INPUT, PARAMETER, CONSTANT, OUTPUT, TEMPORARY, PREPARED, RNG, WINDOW = (
    "input", "parameter", "constant", "output", "temporary", "prepared", "rng", "window",
)  # fmt: skip
FOLDED = "folded"  # of constants that the passes made

ALIGNMENT = 64  # bytes: where storages may begin; the widest vector, and a line of any cache


def round_up(size: int) -> int:
    """The multiple of the alignment that holds so many bytes."""
    return -(-size // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True, eq=False)
class Storage:
    """Memory that holds a value: an argument of the step or an offset in the arena.

    `node` is the value's node (None for partial results shared between kernels).
    """

    name: str
    type: TensorType
    role: str
    node: Node | None = None


@dataclass(frozen=True, eq=False)
class KernelCall:
    """One kernel applied to storages, one for each of `kernel.arguments`.

    `nodes` are the graph nodes computed here; `in_place` pairs (written, read) arguments that
    may share bytes because every element is read before, and by the same iteration that, it is
    written; `commits` is true when it writes a parameter.
    """

    kernel: Kernel
    arguments: tuple[Storage, ...]
    nodes: tuple[Node, ...]
    flops: Size = 0
    bytes: Size = 0
    in_place: tuple[tuple[Storage, Storage], ...] = ()
    step_part: str = "forward"

    @property
    def reads(self) -> tuple[Storage, ...]:
        """Storages read."""
        return self.arguments[: len(self.kernel.reads)]

    @property
    def writes(self) -> tuple[Storage, ...]:
        """Storages written."""
        table = dict(zip(self.kernel.arguments, self.arguments))
        return tuple(table[b] for b in self.kernel.writes)

    @property
    def commits(self) -> bool:
        """Whether the call writes a persistent value."""
        return any(s.role == PARAMETER for s in self.writes)


@dataclass(frozen=True, eq=False)
class RowWindow:
    """Row `step + ahead` of a storage, modulo its rows.

    With `backward`, row `length - 1 - step`: the storage has as many rows as there are steps.
    """

    base: Storage
    ahead: int = 0
    backward: bool = False


@dataclass(frozen=True, eq=False)
class LoopCall(KernelCall):
    """Calls repeated `length` times, with calls once before and after.

    `windows` says where the storages of role WINDOW are; in `before`, step is 0, in `after` it
    is the number of iterations. That is `length`, or less: what `count` holds, and no more than
    there are while `condition` (a window) holds true. All threads meet before the positions of
    `barriers` in `repeated`, between the parts and after every iteration. The kernel names what
    the whole loop touches.
    """

    before: tuple[KernelCall, ...] = ()
    repeated: tuple[KernelCall, ...] = ()
    after: tuple[KernelCall, ...] = ()
    barriers: frozenset[int] = frozenset()
    windows: Mapping[Storage, RowWindow] = field(default_factory=dict)
    length: Size = 0
    count: Storage | None = None
    condition: Storage | None = None

    @property
    def inner(self) -> tuple[KernelCall, ...]:
        """The calls of all parts."""
        return self.before + self.repeated + self.after


def every_call(calls: Sequence[KernelCall]) -> Iterator[KernelCall]:
    """The calls of kernels, those inside loops included, loops themselves not."""
    for call in calls:
        if isinstance(call, LoopCall):
            yield from every_call(call.inner)
        else:
            yield call


def relocate(call: KernelCall, places: Mapping[Storage, Storage]) -> KernelCall:
    """The call on other storages; those that `places` does not name stay."""
    moved = replace(
        call,
        arguments=tuple(places.get(s, s) for s in call.arguments),
        in_place=tuple(p for p in call.in_place if p[0] not in places and p[1] not in places),
    )
    if not isinstance(moved, LoopCall):
        return moved
    windows = {s: replace(w, base=places.get(w.base, w.base)) for s, w in moved.windows.items()}
    return replace(
        moved,
        before=tuple(relocate(c, places) for c in moved.before),
        repeated=tuple(relocate(c, places) for c in moved.repeated),
        after=tuple(relocate(c, places) for c in moved.after),
        windows=windows,
        count=None if moved.count is None else places.get(moved.count, moved.count),
    )


@dataclass(frozen=True, eq=False)
class Schedule:
    """Calls in order. `barriers` holds the positions i such that all threads meet before call i;
    calls between two barriers are independent of each other and may overlap.

    `prepare` are the calls that depend on parameters alone: run when a parameter has changed.
    `checks` are the messages of failure codes.
    """

    name: str
    calls: tuple[KernelCall, ...]
    barriers: frozenset[int] = frozenset()
    prepare: tuple[KernelCall, ...] = ()
    checks: tuple[FailureCode, ...] = ()
    inputs: tuple[Storage, ...] = ()
    outputs: tuple[Storage, ...] = ()
    parameters: tuple[Storage, ...] = ()
    constants: tuple[Storage, ...] = ()
    rng: Storage | None = None

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """The kernel of every call, of the prepare part first and of those inside loops."""
        return tuple(c.kernel for c in every_call((*self.prepare, *self.calls)))

    @property
    def temporaries(self) -> tuple[Storage, ...]:
        """Storages that need a place in the arena, in order of first use."""
        found = {s: None for call in self.calls for s in call.arguments if s.role == TEMPORARY}
        return tuple(found)

    def phases(self) -> tuple[int, ...]:
        """For every call, the number of barriers before it."""
        result, phase = [], 0
        for i in range(len(self.calls)):
            phase += i in self.barriers
            result.append(phase)
        return tuple(result)


@dataclass(frozen=True, eq=False)
class FailureCode:
    """The node and the message behind a failure code."""

    code: int
    node: Node
    message: str = field(default="")
