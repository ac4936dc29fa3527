"""A group of nodes that share a kernel, while fusion extends it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from graphc.ir.dims import Size, nominal, product
from graphc.ir.graph import Node
from graphc.ir.ops.axes import Axes, base_of
from graphc.ir.ops.base import Reduce

ROWS, CONTRACTION, SPECIAL = "rows", "contraction", "special"

MIN_BUSY_UNITS = 8  # units of work that keep all threads busy
UNIT_RESULTS = 64  # results next to each other that are a unit of work
MAX_UNIT_ELEMENTS = 16384  # of a unit of work; more are worth a second kernel
ASSUMED_SIZE = 1024  # of a dim without a maximum, here

# How a node runs over variables: the axes of its iteration, and those that it reduces.
Form = tuple[Axes, tuple[int, ...] | None]


@dataclass(frozen=True)
class SumOrder:
    """A summation order by loop variables, as far as the reductions of one kernel must share it.

    In chunks they must reduce the same variables, in one order, beside the same column. Beside
    joined axes nothing may be `scattered`: read at places that would be computed element by element
    from the place among all.
    """

    free: bool
    scattered: bool = False
    chunked: bool = False
    joined: bool = False
    inside: bool = False
    column: int | None = None
    reduced: tuple[int, ...] = ()


def are_compatible(sum_orders: Iterable[SumOrder]) -> bool:
    """Whether reductions may share a kernel."""
    some = set(sum_orders)
    added = {w for w in some if not w.scattered}
    if any(w.chunked for w in added):
        return len(added) == 1 and (added == some or not any(w.joined for w in added))
    return len({w for w in added if not w.free}) <= 1


@dataclass(eq=False)
class Group:
    """Nodes of one kernel; in topological order once the grouping is complete.

    `forms` are the few ways in which the nodes run over variables, each with the position of the
    first node that does, ascending. `late` are reductions and what follows them; `passes_twice`
    says whether anything that runs over inner variables follows one.
    """

    kind: str
    last: int = 0  # position of its latest node
    nodes: list[Node] = field(default_factory=list)
    forms: dict[Form, int] = field(default_factory=dict)
    inner: set[int] = field(default_factory=set)
    late: set[Node] = field(default_factory=set)
    passes_twice: bool = False
    sum_orders: dict[SumOrder, None] = field(default_factory=dict)
    absorbed: bool = False  # its nodes belong to another group now
    before: set[Group] = field(default_factory=set)  # groups it reads from
    after: set[Group] = field(default_factory=set)  # groups that read from it
    predecessors: set[Group] = field(default_factory=set)  # of `before`, those it reads nothing of

    def add(self, node: Node, position: int, axes: Axes) -> None:
        """Append a node that comes after all others."""
        self.nodes.append(node)
        self.forms.setdefault((axes, reduced_axes(node)), position)
        self.last = position
        follows = self.follows(node)
        if follows or reduces(node, axes):
            self.late.add(node)
        self.passes_twice |= follows and not self.inner.isdisjoint(axes)
        if isinstance(node.op, Reduce):
            self.inner |= {v for v in (axes[a] for a in node.op.axes) if v is not None}

    def follows(self, node: Node) -> bool:
        """Whether a node reads something late of this group."""
        return bool(self.late) and any(base_of(i) in self.late for i in node.inputs)

    def absorb(self, other: Group, kind: str, forms: dict[Form, int]) -> None:
        """Merge another group into this one."""
        self.kind, self.forms, other.absorbed = kind, forms, True
        self.nodes += other.nodes
        self.inner |= other.inner
        self.late |= other.late
        self.sum_orders |= other.sum_orders
        self.passes_twice |= other.passes_twice
        self.last = max(self.last, other.last)
        for g in other.before:
            g.after.discard(other)
            g.after.add(self)
        for g in other.after:
            g.before.discard(other)
            g.before.add(self)
        self.before |= other.before
        self.after |= other.after
        self.before -= {self, other}
        self.after -= {self, other}


def merged_forms(groups: Iterable[Group]) -> dict[Form, int]:
    """The forms of several groups, in the order of the first nodes."""
    found: dict[Form, int] = {}
    for form, position in sorted(
        (entry for g in groups for entry in g.forms.items()), key=lambda entry: entry[1]
    ):
        found.setdefault(form, position)
    return found


def reduced_axes(node: Node) -> tuple[int, ...] | None:
    """The axes that a reduction takes; None for other nodes."""
    return node.op.axes if isinstance(node.op, Reduce) else None


def result_of(form: Form) -> Axes:
    """The axes of the result of nodes with a form."""
    axes, reduced = form
    return axes if reduced is None else tuple(v for a, v in enumerate(axes) if a not in reduced)


def has_variables(axes: Axes) -> bool:
    """Whether a node with these axes runs over anything."""
    return any(v is not None for v in axes)


def reduces(node: Node, axes: Axes) -> bool:
    """Whether a node with these axes is a reduction over something."""
    return isinstance(node.op, Reduce) and has_variables(axes)


def is_divided(rows: list[Size], inner: list[Size], neighbours: bool) -> bool:
    """Whether threads share what is reduced, and so have the results only after all of it.

    True for few results of many elements; `neighbours` says that the elements reduced to one
    result lie next to each other, and not the results. Dims without a maximum count as
    `ASSUMED_SIZE`.
    """
    if not rows:
        return not is_small(inner)
    columns = nominal(product(rows), ASSUMED_SIZE) * (UNIT_RESULTS if neighbours else 1)
    units = max(1, columns // UNIT_RESULTS)
    elements = nominal(product(rows + inner), ASSUMED_SIZE)
    return columns < MIN_BUSY_UNITS * UNIT_RESULTS and elements > MAX_UNIT_ELEMENTS * units


def is_small(sizes: Iterable[Size]) -> bool:
    """True for a row short enough to stay in the L1 cache."""
    total = product(sizes)
    return isinstance(total, int) and total <= 4096
