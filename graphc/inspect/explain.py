"""Trace one tensor through the compiler: its line, the rules applied, its kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphc import origin as origins
from graphc.errors import ArgumentError
from graphc.frontend.tensor import Tensor
from graphc.inspect.cost import call_cost
from graphc.inspect.graph_printer import call_name
from graphc.inspect.names import all_nodes, bytes_text, folds, is_bound, name_nodes, number_text
from graphc.inspect.subject import Subject, program_of, sizes_of
from graphc.ir import graph as graphs
from graphc.ir.graph import Node

if TYPE_CHECKING:
    from graphc.compiler.program import Program


def explain(tensor: Tensor, function: Subject) -> str:
    """Say what a compiled function makes of a tensor: its line, what passes did, its kernels.

    Raises ArgumentError for what is no tensor and for tensors that the function does not compute.
    """
    if not isinstance(tensor, Tensor) or not hasattr(function, "program"):
        raise ArgumentError(
            f"explain: needs a tensor and a compiled function,"
            f" got {type(tensor).__name__} and {type(function).__name__}",
            origin=origins.find_origin(),
        )
    program = program_of(function)
    node = _find(tensor.node, program)
    lines = [_title(node), _row("line", f"{node.origin}  {node.origin.text}".rstrip())]
    now, steps = _follow(node, program)
    lines += [_row("pass", step) for step in steps]
    if now is not None:
        lines += _end(now, program, sizes_of(function))
    return "\n".join(lines)


def _title(node: Node) -> str:
    where = f", in {node.origin.scope}" if node.origin.scope else ""
    return f"{node.name or node.op.name} {node.type}, {node.step_part}{where}"


def _row(title: str, words: str) -> str:
    return f"  {title:<8}{words}"


def _find(node: Node, program: Program) -> Node:
    """The node in the graph as defined; choosing a mode may have built it anew."""
    nodes = all_nodes(program.defined)
    if node in nodes:
        return node
    key = (node.op, node.type, node.name)
    twins = [n for n in nodes if n.origin is node.origin and (n.op, n.type, n.name) == key]
    if len(twins) == 1:
        return twins[0]
    raise ArgumentError(
        f"explain: {program.name} does not compute {node.name or node.op.name}",
        operands=graphs.describe((node,)),
        origin=origins.find_origin(),
        hint="a tensor that no output and no update of the function depends on is left out",
    )


def _follow(node: Node, program: Program) -> tuple[Node | None, list[str]]:
    """What stands for a node after all passes, and every step of the way that a rule made."""
    now: Node = node
    steps: list[str] = []
    for step in program.trace:
        if now not in step.became:
            continue
        image, rules = step.became[now]
        if image is None:
            why = ", ".join(rules) or "nobody reads it any more"
            return None, [*steps, f"{step.name}: {why}: left out"]
        if rules or image.op != now.op:
            how = ", ".join(rules) or "replaced"
            steps.append(f"{step.name}: {how}: becomes {image.op.name} {image.type}")
        now = image
    return now, steps


def _end(node: Node, program: Program, dims: dict[str, int]) -> list[str]:
    """Where a node is computed, or else read, and where its value is."""
    schedule, plan = program.schedule, program.plan(dims)
    lines = []
    if folds(node):
        lines.append(_row("number", f"{number_text(node)}, written where it is used"))
    name = name_nodes(program.optimized)[node]
    lines += [_row("text", f"{name} in text('optimized')")] if not is_bound(node) else []
    phases = schedule.phases()
    for i, call in enumerate(schedule.calls):
        if node in call.nodes:
            cost, ops = call_cost(call, dims), " ".join(n.op.name for n in call.nodes)
            facts = f"phase {phases[i]}, {cost}, computes {ops}"
            lines.append(_row("kernel", f"{call_name(i, call)}: {facts}"))
        elif any(s.node is node for s in call.reads):
            lines.append(_row("read by", call_name(i, call)))
    lines += [_row("before", c.kernel.name) for c in schedule.prepare if node in c.nodes]
    for storage in (s for s in plan.offsets if s.node is node):
        first, last = plan.lifetimes[storage]
        at = f"{bytes_text(plan.sizes[storage])} at {plan.offsets[storage]:,} in the arena"
        lines.append(_row("bytes", f"{at}, phases {first} to {last}"))
    return lines
