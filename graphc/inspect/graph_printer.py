"""Print graphs and schedules as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from graphc.compiler.memory.plan import MemoryPlan
from graphc.inspect.cost import cost_text
from graphc.inspect.names import NodeNames, all_nodes, is_number, name_nodes, quote
from graphc.inspect.stages import check_stage, defined_part
from graphc.inspect.subject import Subject, program_of, sizes_of
from graphc.ir.graph import Graph, Node
from graphc.ir.loops.kernel_printer import kernel_text
from graphc.ir.ops import leaf
from graphc.ir.schedule import KernelCall, Schedule, Storage
from graphc.origin import BACKWARD, FORWARD, UPDATE

MAX_EXPRESSION_COLUMNS = 72  # columns of an expression up to which types stand under each other


def graph_text(graph: Graph, origins: bool = True) -> str:
    """One line a node, by part, like `%4 = mul(x, %1)  : f32[64,784]   mnist.py:12`."""
    names = name_nodes(graph)
    nodes = all_nodes(graph)
    lines = [f"graph {quote(graph.name)}"]
    for title, kind in (
        ("inputs", leaf.Input), ("parameters", leaf.Parameter), ("constants", leaf.Constant),
    ):  # fmt: skip
        rows = [(names[n], n) for n in nodes if isinstance(n.op, kind)]
        lines += _section(title, rows, origins)
    kinds = (leaf.Input, leaf.Parameter, leaf.Constant)
    for part in (FORWARD, BACKWARD, UPDATE):
        mine = [n for n in nodes if n.step_part == part and not isinstance(n.op, kinds)]
        rows = [(f"{names[n]} = {expression(n, names)}", n) for n in mine if not is_number(n)]
        lines += _section(part, rows, origins)
    lines += _plain("outputs", (f"{quote(name)} = {names[n]}" for name, n in graph.outputs))
    lines += _plain("updates", (f"{names[p]} <- {names[n]}" for p, n in graph.updates))
    return "\n".join(lines) + "\n"


def text(subject: Subject, stage: str = "optimized") -> str:
    """A compiled function at a stage: its graph, its kernels as loops, or where values are."""
    check_stage(stage)
    program = program_of(subject)
    if stage == "defined":
        return graph_text(defined_part(program.defined))
    if stage == "differentiated":
        return graph_text(program.defined)
    if stage == "optimized":
        return graph_text(program.optimized)
    if stage == "fused":
        calls = (*program.schedule.prepare, *program.schedule.calls)
        loops = [kernel_text(call.kernel) for call in calls]
        return "\n".join([schedule_text(program.schedule), *loops])
    dims = sizes_of(subject)
    return schedule_text(program.schedule, program.plan(dims), dims)


def expression(node: Node, names: NodeNames) -> str:
    """The op applied to the names of its inputs, with its attributes."""
    attributes = node.op.attributes()
    given = [names[n] for n in node.inputs] + ([attributes] if attributes else [])
    return f"{node.op.name}({', '.join(given)})"


def _section(title: str, rows: Sequence[tuple[str, Node]], origins: bool) -> list[str]:
    if not rows:
        return []
    width = max((len(text) for text, _ in rows if len(text) <= MAX_EXPRESSION_COLUMNS), default=0)
    types = max(len(str(n.type)) for _, n in rows)
    lines = [title]
    for text, n in rows:
        place = f"   {n.origin}" if origins else ""
        lines.append(f"  {text:<{width}}  : {n.type!s:<{types}}{place}".rstrip())
    return lines


def _plain(title: str, rows: Iterable[str]) -> list[str]:
    listed = [f"  {row}" for row in rows]
    return [title, *listed] if listed else []


# ------------------------------------------------------------------------ schedules


def schedule_text(
    schedule: Schedule,
    plan: MemoryPlan | None = None,
    dims: Mapping[str, int] | None = None,
    origins: bool = True,
) -> str:
    """One line a call, by phase; with a plan also where temporaries are."""
    phases = schedule.phases()
    calls = [(call_name(i, c), c) for i, c in enumerate(schedule.calls)]
    lines = [f"schedule {quote(schedule.name)}: {len(calls)} calls, {len(set(phases))} phases"]
    if plan is not None:
        lines.append(
            f"arena {plan.arena_bytes:,} bytes, at most {plan.lower_bound_bytes:,} alive at once,"
            f" prepared {plan.prepared_bytes:,} bytes"
        )
    if schedule.prepare:
        before = [(f"p{i:02}", c) for i, c in enumerate(schedule.prepare)]
        lines += ["prepare", *_call_rows(before, plan, dims, origins)]
    for phase in dict.fromkeys(phases):
        live = f": {plan.timeline[phase]:,} bytes alive" if plan is not None else ""
        mine = [call for call, p in zip(calls, phases) if p == phase]
        lines += [f"phase {phase}{live}", *_call_rows(mine, plan, dims, origins)]
    return "\n".join(lines) + "\n"


def call_name(position: int, call: KernelCall) -> str:
    """The number and name of a call: k03_mul_sigmoid."""
    return f"k{position:02}_{call.kernel.name}"


def _call_rows(
    calls: Sequence[tuple[str, KernelCall]],
    plan: MemoryPlan | None,
    dims: Mapping[str, int] | None,
    origins: bool,
) -> list[str]:
    rows = []
    for name, call in calls:
        reads = ", ".join(place_text(s, plan) for s in call.reads)
        writes = ", ".join(place_text(s, plan) + taken_text(s, plan) for s in call.writes)
        line = f"  {name}({reads}) -> {writes}   {cost_text(call, dims)}"
        rows.append(f"{line}   {lines_text(call)}".rstrip() if origins else line)
    return rows


def place_text(storage: Storage, plan: MemoryPlan | None) -> str:
    """A storage and, when planned, its offset in the arena (or among prepared values)."""
    name = quote(storage.name)
    if plan is not None and storage in plan.offsets:
        return f"{name}@{plan.offsets[storage]}"
    if plan is not None and storage in plan.prepared:
        return f"{name}@prepared+{plan.prepared[storage]}"
    return name


def taken_text(storage: Storage, plan: MemoryPlan | None) -> str:
    """Which operand's bytes a result takes."""
    if plan is None or storage not in plan.shared:
        return ""
    return f" in place of {quote(plan.shared[storage].name)}"


def lines_text(call: KernelCall) -> str:
    """The user's lines behind a call: model.py:3,5 train.py:9."""
    files: dict[str, list[int]] = {}
    for node in call.nodes:
        name = str(node.origin).rpartition(":")[0]
        files.setdefault(name, []).append(node.origin.line)
    return " ".join(
        f"{name}:{','.join(map(str, sorted(set(lines))))}" for name, lines in files.items()
    )
