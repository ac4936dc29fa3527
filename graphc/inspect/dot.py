"""Graphs as pictures, in the language of Graphviz."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from graphc import origin as origins
from graphc.compiler.memory.plan import MemoryPlan
from graphc.errors import ArgumentError
from graphc.frontend.parameter import Parameter
from graphc.frontend.tensor import Tensor
from graphc.inspect.cost import cost_text
from graphc.inspect.dot_label import (
    GREY,
    KEPT,
    PAINT,
    STATE,
    STATE_LINE,
    attributes,
    bound_label,
    op_label,
    quoted,
    shorten,
    small,
    text,
)  # fmt: skip
from graphc.inspect.graph_printer import call_name
from graphc.inspect.memory import kept_values, saved_nodes, viewed
from graphc.inspect.names import all_nodes, bytes_text, folds, is_bound, name_nodes
from graphc.inspect.render import write_picture
from graphc.inspect.report import launch_text, main_part
from graphc.inspect.stages import check_stage, defined_part
from graphc.inspect.subject import Subject, launches_of, program_of, sizes_of
from graphc.ir.graph import Graph, Node
from graphc.ir.ops import leaf
from graphc.ir.ops.base import View
from graphc.ir.schedule import KernelCall, Schedule
from graphc.ir.structure import flatten
from graphc.origin import BACKWARD, PARTS, UPDATE
from graphc.runtime.backend import Launch

FONT = 'fontname="Helvetica,Arial,sans-serif"'
HEAD = (
    f'  bgcolor="white"; nodesep=0.2; ranksep=0.32; {FONT}; fontsize=12; labelloc=t; labeljust=l;',
    f'  node [shape=box, style="rounded,filled", {FONT}, fontsize=11, margin="0.1,0.05", '
    f'height=0.2, color="{GREY}", fillcolor="white"];',
    f'  edge [color="{GREY}", arrowsize=0.6, {FONT}, fontsize=9];',
)

# Where a box is drawn: the name of a part, the number of a call, or beside them.
Home = str | int
BESIDE = ""
NEXT_LINE = '<BR ALIGN="LEFT"/>'
MAX_LAUNCH = 90  # letters of what is said of a launch


def graph_dot(
    graph: Graph,
    schedule: Schedule | None = None,
    plan: MemoryPlan | None = None,
    dims: Mapping[str, int] | None = None,
    launches: Sequence[Launch] = (),
) -> str:
    """A graph in the DOT language, forward, backward and update in colours of their own.

    Without a schedule every part is a cluster; with one, every kernel. A plan adds where in the
    arena a stored value is, launches what a GPU runs for a kernel. Forward values kept for the
    backward half are dashed.
    """
    return _Drawing(graph, schedule, plan, dims, launches).text()


def function_dot(
    subject: Subject, path: str | os.PathLike[str] | None = None, stage: str = "fused"
) -> str:
    """A compiled function at a stage in the DOT language; also written or drawn to a file."""
    check_stage(stage)
    program = program_of(subject)
    if stage == "defined":
        picture = graph_dot(defined_part(program.defined))
    elif stage == "differentiated":
        picture = graph_dot(program.defined)
    elif stage == "optimized":
        picture = graph_dot(program.optimized)
    else:
        dims = sizes_of(subject)
        plan = program.plan(dims) if stage == "planned" else None
        launches = launches_of(subject) if stage == "planned" else ()
        picture = graph_dot(program.optimized, program.schedule, plan, dims, launches)
    if path is not None:
        write_picture(picture, path)
    return picture


def dot(what: Any, path: str | os.PathLike[str] | None = None) -> str:
    """Tensors (nested in tuples, lists, dicts), updates or a compiled function in the DOT language.

    A path ending in .dot or .gv is written, one ending in .svg, .png or .pdf is drawn by
    Graphviz. Raises ArgumentError for what is no tensor and for other endings, UnsupportedError
    where Graphviz is needed and not installed.
    """
    if hasattr(what, "program"):
        return function_dot(what, path)
    picture = graph_dot(graph_of(what))
    if path is not None:
        write_picture(picture, path)
    return picture


def graph_of(what: object) -> Graph:
    """The graph of tensors or of a mapping from parameters to their next values."""
    updates: list[tuple[Node, Node]] = []
    if isinstance(what, Mapping) and what and all(isinstance(k, Parameter) for k in what):
        updates = [(p.node, t.node) for p, t in what.items()]
        what = ()
    leaves, structure = flatten(what)
    outputs = []
    for path, tensor in zip(structure.paths(), leaves):
        if not isinstance(tensor, Tensor):
            raise ArgumentError(
                f"dot: needs tensors, got {type(tensor).__name__}", origin=origins.find_origin()
            )
        key = "/".join(map(str, path))
        named = any(isinstance(step, str) for step in path)
        outputs.append((key if named else tensor.name or key or "output", tensor.node))
    return Graph((), tuple(outputs), tuple(updates), "graph")


class _Drawing:
    """Boxes by home, and edges; a value that several kernels compute has a box in each."""

    def __init__(
        self,
        graph: Graph,
        schedule: Schedule | None,
        plan: MemoryPlan | None,
        dims: Mapping[str, int] | None,
        launches: Sequence[Launch] = (),
    ) -> None:
        self.graph, self.dims, self.launches = graph, dims, launches
        self.calls = (*schedule.prepare, *schedule.calls) if schedule else ()
        self.prepared = len(schedule.prepare) if schedule else 0
        self.names = name_nodes(graph)
        self.kept = saved_nodes(schedule) if schedule else kept_values(graph)
        self.places = {s.node: at for s, at in plan.offsets.items()} if plan else {}
        self.homes = _find_homes(graph, self.calls)
        self.keys: dict[tuple[Node, Home], str] = {}
        self.boxes: dict[Home, list[str]] = {}
        self.edges: list[str] = []
        self.bound_once: set[Node] = set()

    def text(self) -> str:
        """The whole picture."""
        drawn = [(n, home) for n, homes in self.homes.items() for home in homes]
        for node, home in drawn:
            self.box(node, home)
        for node, home in drawn:
            for i in node.inputs:
                if not folds(i):
                    self.edge(self.source(i, home), self.keys[node, home], i, node.step_part)
        self.results()
        for node in all_nodes(self.graph):
            if is_bound(node) and node not in self.bound_once:
                self.source(node, BESIDE if self.calls else node.step_part)
        clusters = [line for part in PARTS for line in self.part_cluster(part)]
        for number in range(len(self.calls)):
            clusters += self.kernel_cluster(number)
        beside = [f"  {box}" for box in self.boxes.get(BESIDE, ())]
        head = [f"digraph {quoted(self.graph.name)} {{", *HEAD, f"  label={self.legend()};"]
        return "\n".join([*head, *clusters, *beside, *self.edges, "}"]) + "\n"

    # -- boxes ---------------------------------------------------------------------------

    def put(self, key: str, home: Home, **look: str) -> None:
        """Add a box to a home."""
        self.boxes.setdefault(home, []).append(f"{key} [{attributes(**look)}];")

    def key(self, node: Node, home: Home) -> str:
        """The name of a box in the DOT text."""
        return self.keys.setdefault((node, home), f"n{len(self.keys)}")

    def box(self, node: Node, home: Home) -> None:
        """The box of a computed value."""
        paint = PAINT[node.step_part]
        look = {"fillcolor": paint.fill, "color": paint.line}
        kept = place = ""
        if isinstance(node.op, View):
            look = {"fillcolor": "white", "color": paint.line, "penwidth": "0.6"}
        if node in self.kept:
            kept = f"kept: {bytes_text(self.kept[node], self.dims)}"
            look |= {"style": "rounded,filled,dashed", "color": KEPT, "penwidth": "1.8"}
        if node in self.places:
            size = bytes_text(node.type.nbytes, self.dims)
            place = f"{size} at {self.places[node]:,} in the arena"
        label = op_label(node, self.names, kept, place)
        self.put(self.key(node, home), home, label=label, **look)

    def bound_box(self, node: Node, home: Home) -> None:
        """The box of an input, parameter or array: full where it is used first, else a tag."""
        first = node not in self.bound_once
        self.bound_once.add(node)
        state = isinstance(node.op, leaf.Parameter)
        look = {"fillcolor": STATE, "color": STATE_LINE} if state else {"color": GREY}
        if not first:
            look |= {"style": "rounded,filled,dotted"}
        self.put(self.key(node, home), home, label=bound_label(node, self.names, first), **look)

    def results(self) -> None:
        """What leaves the graph: outputs, and new values of parameters."""
        for i, (name, node) in enumerate(self.graph.outputs):
            look = {"shape": "ellipse", "color": PAINT[node.step_part].line, "penwidth": "1.6"}
            home = BESIDE if self.calls else node.step_part
            self.put(f"out{i}", home, label=f"<<B>{text(name)}</B>>", **look)
            self.edge(self.source(node, home), f"out{i}", node, node.step_part)
        for i, (parameter, node) in enumerate(self.graph.updates):
            label = f"<<B>{text(self.names[parameter])}</B><BR/>{small('new value', GREY)}>"
            look = {"shape": "ellipse", "fillcolor": STATE, "color": STATE_LINE}
            home = BESIDE if self.calls else UPDATE
            self.put(f"new{i}", home, label=label, **look)
            self.edge(self.source(node, home), f"new{i}", node, UPDATE)

    # -- edges ---------------------------------------------------------------------------

    def source(self, node: Node, home: Home) -> str:
        """The box in which a consumer finds a value: beside it, else where it is first made."""
        if is_bound(node):
            if (node, home) not in self.keys:
                self.bound_box(node, home)
            return self.keys[node, home]
        homes = self.homes[node]
        return self.keys[node, home if home in homes else homes[0]]

    def edge(self, start: str, end: str, value: Node, part: str) -> None:
        """An edge, dashed where a value waits for the backward half."""
        look = {"color": PAINT[part].line}
        if part == BACKWARD and viewed(value) in self.kept:
            look = {"style": "dashed", "color": KEPT}
        self.edges.append(f"  {start} -> {end} [{attributes(**look)}];")

    # -- clusters ------------------------------------------------------------------------

    def part_cluster(self, part: str) -> list[str]:
        """A part with its boxes."""
        paint = PAINT[part]
        return _cluster(
            part, f"<<B>{part}</B>>", paint.ground, paint.line, self.boxes.get(part, ())
        )

    def kernel_cluster(self, number: int) -> list[str]:
        """A kernel with its boxes, in the colours of what it stores."""
        call = self.calls[number]
        paint = PAINT[main_part(call)]
        name = call_name(number - self.prepared, call)
        if number < self.prepared:
            name = f"prepare p{number:02}_{call.kernel.name}"
        rows = [f"<B>{text(name)}</B>", small(cost_text(call, self.dims), GREY)]
        mine = [x for x in self.launches if x.call == number - self.prepared]
        rows += [small(shorten(launch_text(x), MAX_LAUNCH), GREY) for x in mine]
        title = f"<{''.join(row + NEXT_LINE for row in rows)}>"
        return _cluster(f"k{number}", title, paint.ground, paint.line, self.boxes.get(number, ()))

    def legend(self) -> str:
        """The title, with a word in the colour of every part that is there."""
        parts = {n.step_part for n in self.homes}
        words = [f"<B>{text(self.graph.name)}</B>"]
        words += [f'<FONT COLOR="{PAINT[p].line}">{p}</FONT>' for p in PARTS if p in parts]
        if self.kept:
            total = sum(self.kept.values())
            kept = bytes_text(total, self.dims)
            words.append(f'<FONT COLOR="{KEPT}">kept for the backward half: {kept}</FONT>')
        return f'<{"   ".join(words)}<BR ALIGN="LEFT"/>>'


def _cluster(name: str, title: str, ground: str, line: str, boxes: Iterable[str]) -> list[str]:
    """A cluster, or nothing when it is empty."""
    inner = [f"    {box}" for box in boxes]
    look = attributes(
        label=title, style="rounded,filled", fillcolor=ground, color=line, fontcolor=line
    )
    return [f"  subgraph cluster_{name} {{", f"    graph [{look}];", *inner, "  }"] if inner else []


def _find_homes(graph: Graph, calls: Sequence[KernelCall]) -> dict[Node, list[Home]]:
    """Where each computed value is drawn, in order.

    What no kernel lists (a view, say) is drawn in each kernel that uses it.
    """
    roots = set(graph.roots)
    drawn = [n for n in graph.nodes if not is_bound(n) and (n in roots or not folds(n))]
    if not calls:
        return {n: [n.step_part] for n in drawn}
    listed: dict[Node, dict[Home, None]] = {n: {} for n in drawn}
    for number, call in enumerate(calls):
        for node in call.nodes:
            if node in listed:
                listed[node][number] = None
    covered = {n for n, homes in listed.items() if homes}
    for node in reversed(drawn):
        for i in node.inputs:
            if i in listed and i not in covered:
                listed[i].update(listed[node])
    return {n: sorted(homes) or [BESIDE] for n, homes in listed.items()}
