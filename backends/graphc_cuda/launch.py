"""What a step launches: kernels on places in memory, and which must wait for which.

A `LaunchPlan` is made for given sizes by `plan_launches` and is plain data: it can be printed and
checked without a GPU. A device turns it into one CUDA graph, the simulator runs it in order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from graphc.ir.schedule import KernelCall, Storage
from graphc_cuda.device.program import DeviceKernel, Program
from graphc_cuda.library.product import Product

# Memory of a step. ARENA: temporaries; WORK: what launches of one kernel hand on and per-block
# scratch; STATUS: one uint32, lowered to the code of a failed check (NO_FAILURE before).
ARENA, WORK, STATUS = "arena", "work", "status"
INPUT, OUTPUT, PARAMETER, CONSTANT, PREPARED, RNG = (
    "input", "output", "parameter", "constant", "prepared", "rng",
)  # fmt: skip
NO_FAILURE = 0xFFFFFFFF


@dataclass(frozen=True)
class Region:
    """A piece of device memory: its role and, where there are several, its number."""

    role: str
    number: int = 0

    def __str__(self) -> str:
        single = self.role in (ARENA, WORK, STATUS, RNG)
        return self.role if single else f"{self.role}{self.number}"


@dataclass(frozen=True)
class Place:
    """Bytes offset .. offset + size of a region."""

    region: Region
    offset: int
    size: int

    def overlaps(self, other: Place) -> bool:
        """Whether both have a byte in common."""
        return (
            self.region == other.region
            and self.offset < other.offset + other.size
            and other.offset < self.offset + self.size
        )

    def __str__(self) -> str:
        return f"{self.region}+{self.offset}:{self.size}"


@dataclass(frozen=True, eq=False)
class KernelNode:
    """One launch: `grid` blocks of `kernel.block` threads; a place for each array.

    `call` is what it is a part of, and `storages` name the values in its arguments (None: memory
    that only the launches of the call use). A merged launch has the `parts` that it stands for;
    they run `in_turn`, or in any order.
    """

    kernel: DeviceKernel
    grid: int
    arguments: tuple[Place, ...]
    call: KernelCall | None = None
    storages: tuple[Storage | None, ...] = ()
    parts: tuple[KernelNode, ...] = ()
    in_turn: bool = False

    @property
    def single(self) -> tuple[KernelNode, ...]:
        """The launches that it stands for: its parts, or itself."""
        return self.parts or (self,)

    @property
    def writes(self) -> tuple[Place, ...]:
        """Places that may be written."""
        pairs = zip(self.kernel.arrays, self.arguments)
        return tuple(p for a, p in pairs if a in self.kernel.written)

    @property
    def reads(self) -> tuple[Place, ...]:
        """Places that may be read: all of them."""
        return self.arguments


@dataclass(frozen=True, eq=False)
class FillNode:
    """Set bytes of a place to a uint32 pattern."""

    place: Place
    value: int

    @property
    def writes(self) -> tuple[Place, ...]:
        """The place."""
        return (self.place,)

    @property
    def reads(self) -> tuple[Place, ...]:
        """Nothing."""
        return ()


@dataclass(frozen=True, eq=False)
class LibraryNode:
    """A product by a library: places of a, b, c, of its workspace and, if it has one, its bias."""

    name: str
    product: Product
    arguments: tuple[Place, ...]
    call: KernelCall | None = None
    storages: tuple[Storage | None, ...] = ()

    @property
    def writes(self) -> tuple[Place, ...]:
        """The result and the workspace."""
        return self.arguments[2:4]

    @property
    def reads(self) -> tuple[Place, ...]:
        """Both operands, and the bias."""
        return (*self.arguments[:2], *self.arguments[4:])


@dataclass(frozen=True, eq=False)
class DynamicLoop:
    """Iterations whose number is known on the device only.

    Iteration `step` runs `iterations[step]`; there are as many as `count` (an int64) says, at most
    all, and no more than there are while `conditions[step]` (a uint8) is not 0. `after` holds
    what runs after `n` iterations at index n.

    A loop that goes backward through rows of others touches a row that depends on how many steps
    are left, and rows of its own in turn: with `turns`, step s of n, of which there are `most`,
    runs `iterations[(most - n + s) * turns + s % turns]`.
    """

    before: tuple[Node, ...]
    iterations: tuple[tuple[Node, ...], ...]
    after: tuple[tuple[Node, ...], ...]
    count: Place | None = None
    conditions: tuple[Place, ...] = ()
    turns: int = 0

    @property
    def most(self) -> int:
        """How many iterations there can be."""
        return len(self.iterations) // max(1, self.turns)

    def iteration(self, step: int, steps: int) -> tuple[Node, ...]:
        """What runs at a step; `steps` there are, where a count says so, else `most`."""
        if not self.turns:
            return self.iterations[step]
        return self.iterations[(self.most - steps + step) * self.turns + step % self.turns]

    @property
    def every(self) -> tuple[Node, ...]:
        """All launches that there may be."""
        inner = [n for nodes in (*self.iterations, *self.after) for n in nodes]
        return (*self.before, *inner)

    @property
    def writes(self) -> tuple[Place, ...]:
        """Places that may be written."""
        return tuple(dict.fromkeys(p for n in self.every for p in n.writes))

    @property
    def reads(self) -> tuple[Place, ...]:
        """Places that may be read."""
        found = [p for n in self.every for p in n.reads]
        own = [*self.conditions, *([] if self.count is None else [self.count])]
        return tuple(dict.fromkeys([*found, *own]))


Node = KernelNode | FillNode | LibraryNode | DynamicLoop


@dataclass(frozen=True, eq=False)
class LaunchPlan:
    """All launches of a step in a legal order, and the edges between them.

    `edges` are pairs (earlier, later) of positions in `nodes`, without those that follow from
    others. `prepare` are the launches that depend on parameters alone, in order. Nodes from
    position `commit` on write what outlives the step; their kernels do nothing where STATUS says
    that a check has failed. `regions` are bytes.
    """

    name: str
    program: Program
    nodes: tuple[Node, ...]
    edges: tuple[tuple[int, int], ...]
    prepare: tuple[Node, ...]
    commit: int
    regions: Mapping[Region, int] = field(default_factory=dict)
