"""Serialise graphs for cache keys: equal programs have equal bytes, wherever they were written."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from graphc.ir.graph import Graph, Node
from graphc.ir.ops.leaf import Constant, Input, Parameter
from graphc.ir.ops.loop import Body


def graph_bytes(graph: Graph) -> bytes:
    """Every node with its op, attributes, inputs and type, the roots, and what constants hold.

    Left out are lines and files of the user's program, so that edits elsewhere change nothing, and
    the names of inputs, parameters and layers, so that a model that is built again finds its code:
    machine code has none of them, and texts that show them are made from the graph at hand.
    """
    number: dict[Node, int] = {}
    lines = []
    for node in (*graph.inputs, *graph.leaves(Parameter), *graph.nodes):
        if node not in number:
            number[node] = len(number)
            inputs = ",".join(str(number[i]) for i in node.inputs)
            lines.append(f"{_op_text(node)}({inputs}):{node.type}:{node.step_part}")
    for name, node in graph.outputs:
        lines.append(f"out {name} {number[node]}")
    for parameter, value in graph.updates:
        lines.append(f"update {number[parameter]} {number[value]}")
    lines += [f"dim {d.name} {d.min} {d.max}" for n in graph.inputs for d in n.type.dims()]
    return "\n".join([graph.name, *lines]).encode()


def _op_text(node: Node) -> str:
    op = node.op
    if isinstance(op, Constant):
        digest = hashlib.sha256(op.value.tobytes()).hexdigest()
        return f"constant {op.value.dtype.str} {digest}"
    if isinstance(op, Input):
        return "input"
    if isinstance(op, Parameter):
        return f"parameter {op.trainable}"
    fields = ",".join(f"{k}={_value_text(getattr(op, k))}" for k in op.__dataclass_fields__)
    return f"{type(op).__module__}.{type(op).__qualname__}[{fields}]"


def _value_text(value: object) -> str:
    if isinstance(value, Body):
        outputs = tuple((str(i), n) for i, n in enumerate(value.outputs))
        return hashlib.sha256(graph_bytes(Graph(value.inputs, outputs))).hexdigest()
    return repr(value)


@cache
def compiler_bytes(backend: str) -> bytes:
    """What this compiler is, with a backend: names, sizes and times of its source files."""
    root = Path(__file__).parent.parent
    folders = [root, root.parent / backend, root.parent / "backends" / backend]
    files = sorted(f for d in folders if d.is_dir() for f in d.rglob("*") if _is_source(f))
    facts = ((f, f.stat()) for f in files)
    return "\n".join(f"{f.name} {s.st_size} {s.st_mtime_ns}" for f, s in facts).encode()


def _is_source(path: Path) -> bool:
    return path.suffix in (".py", ".ll")
