"""A launch plan as tables in C, as `launches.h` reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from graphc_cuda.device.program import DeviceKernel
from graphc_cuda.export.layout import FunctionLayout
from graphc_cuda.launch import DynamicLoop, FillNode, KernelNode, LibraryNode, Node, Place

WIDTH = 96


def plan_tables(
    name: str, layout: FunctionLayout, symbols: Mapping[str, str], shared: Mapping[str, int]
) -> str:
    """The tables of a function and its `launches_plan`, called NAME_plan."""
    return _Tables(name, layout, symbols, shared).text()


@dataclass
class _Tables:
    name: str
    layout: FunctionLayout
    symbols: Mapping[str, str]
    shared: Mapping[str, int]
    nodes: list[str] = field(default_factory=list)
    arguments: list[int] = field(default_factory=list)
    loops: list[str] = field(default_factory=list)
    ranges: list[tuple[int, int]] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)

    def text(self) -> str:
        """Everything; the nodes of the step come first, because edges name them."""
        plan = self.layout.plan
        step, prepare = self.add(plan.nodes), self.add(plan.prepare)
        edges = sorted(plan.edges, key=lambda edge: (edge[1], edge[0]))
        tables = (
            ("kernels", "launches_kernel", "", [self.kernel(k) for k in plan.program.kernels]),
            ("nodes", "launches_node", "", self.nodes),
            ("arguments", "uint64_t", "", _filled(map(str, self.arguments))),
            ("edges", "uint32_t", "[2]", _filled(f"{{{a}, {b}}}" for a, b in edges)),
            ("loops", "launches_loop", "", self.loops),
            ("ranges", "launches_range", "", _filled(f"{{{a}, {n}}}" for a, n in self.ranges)),
            ("offsets", "uint64_t", "", _filled(map(str, self.offsets))),
        )
        texts = [_table(kind, f"{self.name}_{w}", rows, end) for w, kind, end, rows in tables]
        names = [f"{self.name}_{word}" if rows else "NULL" for word, _, _, rows in tables]
        counts = f"{len(plan.program.kernels)}, {len(edges)}, {len(self.arguments)}"
        ends = f"{{{step[0]}, {step[1]}}}, {{{prepare[0]}, {prepare[1]}}}"
        last = [", ".join(names[:4]), ", ".join(names[4:]), f"{counts}, {ends}"]
        body = ",\n".join(f"    {line}" for line in last)
        texts.append(f"static const launches_plan {self.name}_plan = {{\n{body}\n}};")
        return "\n\n".join(t for t in texts if t)

    @cached_property
    def numbers(self) -> dict[DeviceKernel, int]:
        """The row of every kernel."""
        return {k: i for i, k in enumerate(self.layout.plan.program.kernels)}

    def add(self, nodes: Sequence[Node]) -> tuple[int, int]:
        """Rows for nodes that run one after the other; what is in loops comes behind them."""
        first = len(self.nodes)
        self.nodes += [""] * len(nodes)
        for i, node in enumerate(nodes):
            self.nodes[first + i] = self.row(node)
        return first, len(nodes)

    def row(self, node: Node) -> str:
        """One node."""
        match node:
            case KernelNode(kernel=kernel, grid=grid, arguments=places):
                start = len(self.arguments)
                self.arguments += [self.at(p) for p in places]
                return f"LAUNCH({self.numbers[kernel]}, {grid}, {start}), /* {kernel.name} */"
            case FillNode(place=place, value=value):
                what = f"{self.at(place)}, {place.size}, {value:#x}"
                return f"FILL({what}), /* {place.region} */"
        assert not isinstance(node, LibraryNode), "libraries are planned without library calls"
        number = len(self.loops)
        self.loops.append("")
        self.loops[number] = self.loop(node)
        return f"LOOP({number}),"

    def loop(self, loop: DynamicLoop) -> str:
        """One loop: its parts are ranges of nodes."""
        before = self.add(loop.before)
        repeated = [self.add(nodes) for nodes in loop.iterations]
        after = [self.add(nodes) for nodes in loop.after]
        first = len(self.ranges)
        self.ranges += [*repeated, *after]
        conditions = len(self.offsets) if loop.conditions else -1
        self.offsets += [self.at(p) for p in loop.conditions]
        count = -1 if loop.count is None else self.at(loop.count)
        end = first + len(repeated) if after else -1
        numbers = f"{loop.most}, {loop.turns}, {count}, {conditions}, {{{before[0]}, {before[1]}}}"
        return f"{{{numbers}, {first}, {end}}},"

    def at(self, place: Place) -> int:
        """The offset of a place in the block; a region without bytes is anywhere."""
        return self.layout.regions.get(place.region, 0) + place.offset

    def kernel(self, kernel: DeviceKernel) -> str:
        """What a kernel is called, and what its launches have in common."""
        symbol, shared = self.symbols[kernel.name], self.shared.get(kernel.name, 0)
        note = f" /* {in_comment(' | '.join(kernel.note))} */" if kernel.note else ""
        return f'{{"{symbol}", {kernel.block}, {shared}, {len(kernel.arrays)}}},{note}'


def in_comment(text: str) -> str:
    """A text that does not end the comment around it."""
    return " ".join(text.replace("*/", "* /").replace("/*", "/ *").split())


def _table(kind: str, name: str, rows: Sequence[str], more: str = "") -> str:
    """A table, or nothing where it has no rows."""
    if not rows:
        return ""
    body = "\n".join(f"    {row}" for row in rows)
    return f"static const {kind} {name}[]{more} = {{\n{body}\n}};"


def _filled(pieces: Iterable[str]) -> list[str]:
    """Short pieces, several on a line."""
    lines: list[str] = []
    for piece in pieces:
        if lines and len(lines[-1]) + len(piece) + 2 < WIDTH:
            lines[-1] += f" {piece},"
        else:
            lines.append(f"{piece},")
    return lines
