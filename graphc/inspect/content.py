"""Everything that the page about a function shows, as plain data.

Lists are tables: things refer to each other by position. `nodes` holds the nodes of all passes,
each after its inputs; a pass lists those that it adds and those that are gone after it.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, TypeVar

from graphc.compiler.memory.plan import MemoryPlan, with_phases
from graphc.compiler.passes import GRAPH_PASSES, first_line
from graphc.compiler.passes.driver import PassRecord
from graphc.inspect.cost import total
from graphc.inspect.memory import saved_nodes
from graphc.inspect.names import all_nodes, folds, is_bound, is_number, name_nodes, number_text
from graphc.inspect.profile import Profile
from graphc.inspect.report import (
    KernelFacts,
    is_parallel,
    kernels,
    launch_text,
    report,
)
from graphc.inspect.subject import (
    Subject,
    launches_of,
    program_of,
    runners_of,
    sizes_of,
    threads_of,
)
from graphc.ir.dims import Size, evaluate
from graphc.ir.graph import Graph, Node
from graphc.ir.loops.kernel_equality import first_equal_kernels
from graphc.ir.loops.kernel_printer import kernel_text
from graphc.ir.schedule import KernelCall, Schedule, Storage, every_call
from graphc.origin import PARTS, Origin

MAX_ATTRIBUTE_CHARACTERS = 200  # characters of an op's attributes

Record = dict[str, Any]  # becomes JSON
Item = TypeVar("Item", bound=Hashable)


def content(subject: Subject, profile: Profile | None = None) -> Record:
    """The graph after every pass, kernels, memory and schedule; with measured times if given."""
    program, dims, threads = program_of(subject), sizes_of(subject), threads_of(subject)
    schedule, plan = program.schedule, program.plan(dims)
    tables = _PageTables(dims)
    passes = tables.passes(program.defined, program.trace)
    names = name_nodes(program.optimized)
    cost = total(schedule, dims)
    kept = saved_nodes(schedule)
    seconds = profile.seconds if profile else None
    return {
        "name": program.name,
        "dims": dims,
        "threads": threads,
        "flops": cost.flops,
        "bytes": cost.bytes,
        "passes": passes,
        "kernels": _kernels(tables, subject, seconds),
        "language": next((r.languages[0] for r in runners_of(subject) if r.languages), "llvm"),
        "storages": _storages(tables, plan),
        "memory": {
            "arena": plan.arena_bytes,
            "bound": plan.lower_bound_bytes,
            "prepared": plan.prepared_bytes,
            "timeline": plan.timeline,
        },
        "nodes": tables.rows(),
        "names": {i: names[n] for n, i in tables.nodes.items() if n in names and not is_number(n)},
        "kept": [tables.nodes[n] for n in kept if n in tables.nodes],
        "types": list(tables.types),
        "lines": tables.lines(),
        "scopes": list(tables.scopes),
        "report": report(subject),
    }


def code(subject: Subject) -> Record:
    """The loops of every kernel, and the functions generated from them once there is code.

    Kernels that mean the same share functions, which stand under the name of the first.
    """
    schedule = program_of(subject).schedule
    first = first_equal_kernels(schedule.kernels)
    inner = {name: [c.kernel for c in every_call([call])] for name, call in _calls(schedule)}
    return {
        "loops": {name: "".join(map(kernel_text, mine)) for name, mine in inner.items()},
        "made_of": {name: [first[k].name for k in mine] for name, mine in inner.items()},
        "functions": _functions(subject),
    }


def _functions(subject: Subject) -> dict[str, str]:
    """The code of each kernel, where there is some."""
    return next((dict(r.kernel_sources()) for r in runners_of(subject) if r.languages), {})


class _PageTables:
    """Numbers for nodes and storages, and for the texts that many of them share."""

    def __init__(self, dims: Mapping[str, int]) -> None:
        self.dims = dims
        self.nodes: dict[Node, int] = {}
        self.storages: dict[Storage, int] = {}
        self.types: dict[str, int] = {}
        self.origins: dict[Origin, int] = {}
        self.scopes: dict[str, int] = {}

    def passes(self, defined: Graph, trace: Sequence[PassRecord]) -> list[Record]:
        """What is there as defined, then what every pass changes."""
        rows = [self._pass("defined", "The graph as the program defines it.", defined, None)]
        about = {p.__name__: first_line(p) for p in GRAPH_PASSES}
        for step in trace:
            rows.append(self._pass(step.name, about.get(step.name, ""), step.graph, step))
        return rows

    def _pass(self, name: str, about: str, graph: Graph, step: PassRecord | None) -> Record:
        here = all_nodes(graph)
        new = [n for n in here if n not in self.nodes]
        for node in new:
            self.nodes[node] = len(self.nodes)
        number, gone = self.nodes, set(step.became).difference(here) if step else set()
        fates = [(n, *fate) for n, fate in step.became.items() if n in gone] if step else []
        return {
            "name": name,
            "about": about,
            "new": [number[n] for n in new],
            "made": {number[n]: rule for n, rule in step.made.items()} if step else {},
            "gone": [(number[n], number[now] if now else None, why) for n, now, why in fates],
            "outputs": [(name, number[n]) for name, n in graph.outputs],
            "updates": [(number[p], number[n]) for p, n in graph.updates],
        }

    def rows(self) -> list[list[object]]:
        """Nodes as rows: see `NODE` in data.js for the columns."""
        return [self._row(node) for node in self.nodes]

    def _row(self, node: Node) -> list[object]:
        attributes = "" if is_number(node) else node.op.attributes()
        if len(attributes) > MAX_ATTRIBUTE_CHARACTERS:
            attributes = f"{attributes[:MAX_ATTRIBUTE_CHARACTERS]}…"
        flops = node.op.flops(node.type, *(i.type for i in node.inputs))
        scope = node.name.rpartition("/")[0] if is_bound(node) else node.origin.scope
        return [
            node.op.name,
            attributes,
            node.name or str(getattr(node.op, "label", "") or ""),
            _position(self.types, str(node.type)),
            PARTS.index(node.step_part),
            _position(self.origins, node.origin),
            _position(self.scopes, scope),
            [self.nodes[i] for i in node.inputs],
            self.size(node.type.nbytes),
            self.size(flops),
            number_text(node) if folds(node) else None,
        ]

    def size(self, size: Size) -> int:
        """A size at these dims."""
        return evaluate(size, self.dims)

    def lines(self) -> list[tuple[str, str]]:
        """The user's lines: where, and what they say."""
        return [(str(origin), origin.text) for origin in self.origins]

    def storage(self, storage: Storage) -> int:
        """The number of a storage."""
        return _position(self.storages, storage)


def _position(table: dict[Item, int], item: Item) -> int:
    return table.setdefault(item, len(table))


def _calls(schedule: Schedule) -> list[tuple[str, KernelCall]]:
    """Every call with its name, those of the prepare part first."""
    early = [(f"p{i:02}_{call.kernel.name}", call) for i, call in enumerate(schedule.prepare)]
    return early + [(f"k{i:02}_{c.kernel.name}", c) for i, c in enumerate(schedule.calls)]


def _kernels(
    tables: _PageTables, subject: Subject, seconds: Sequence[float] | None
) -> list[Record]:
    schedule = program_of(subject).schedule
    early = len(schedule.prepare)
    facts: list[KernelFacts | None] = [None] * early
    facts += kernels(subject)
    launches = launches_of(subject)
    rows = []
    for i, ((phase, call), (name, _)) in enumerate(zip(with_phases(schedule), _calls(schedule))):
        row: Record = {
            "name": name,
            "phase": phase,
            "parallel": is_parallel(call),
            "nodes": [tables.nodes[n] for n in call.nodes if n in tables.nodes],
            "reads": [tables.storage(s) for s in call.reads],
            "writes": [tables.storage(s) for s in call.writes],
        }
        fact = facts[i]
        if fact is not None:
            row |= {"part": PARTS.index(fact.part), "bound": fact.bound, "least": fact.seconds}
            row |= {"flops": fact.cost.flops, "bytes": fact.cost.bytes, "lines": fact.lines}
        if seconds is not None and i >= early:
            row["seconds"] = seconds[i - early]
        mine = [launch_text(x) for x in launches if x.call == i - early]
        if mine:
            row["launches"] = mine
        rows.append(row)
    return rows


def _storages(tables: _PageTables, plan: MemoryPlan) -> list[Record]:
    """What kernels read and write; of temporaries, which bytes and in which phases."""
    rows = []
    for s in tables.storages:
        row: Record = {"name": s.name, "type": str(s.type), "role": s.role}
        row["bytes"] = tables.size(s.type.nbytes)
        if s.node in tables.nodes:
            row["node"] = tables.nodes[s.node]
        if s in plan.offsets:
            row |= {"offset": plan.offsets[s], "phases": plan.lifetimes[s]}
        if s in plan.shared:
            row["over"] = tables.storages[plan.shared[s]]
        if s in plan.prepared:
            row["offset"] = plan.prepared[s]
        rows.append(row)
    return rows
