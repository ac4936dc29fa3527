"""Mixed precision: round the operands of contractions; the rest of a graph stays as it is.

It is the graph as defined that is rewritten, derivatives included, before any pass: so every
backend and the interpreter compute the same, and code is cached under what it computes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from graphc.compiler.deep_rebuild import DeepRebuild
from graphc.ir.graph import Graph, Node, apply
from graphc.ir.ops.base import Contract
from graphc.ir.ops.contract import Dot
from graphc.ir.ops.conv import Conv
from graphc.ir.ops.elementwise_logic import Cast
from graphc.ir.ops.elementwise_rounding import RoundToTF32
from graphc.ir.ops.loop import Scan
from graphc.ir.precision import DTYPES, TF32, Precision
from graphc.ir.types import float32


def round_operands(graph: Graph, default: Precision | None) -> Graph:
    """Round what contractions of float32 read, as their blocks say, and by default as given.

    What a contraction reads goes down to the low type and up again, so its products are exact
    and its sum is one of float32. An operand of several contractions is rounded once.
    """
    lowers = default is not None and default.rounds
    if not lowers and not marks(graph.nodes):
        return graph
    rounded: dict[tuple[Node, str], Node] = {}

    def lower(node: Node) -> Node | None:
        op = node.op
        if not isinstance(op, (Dot, Conv)):
            return None
        wanted = default if op.precision is None else op.precision
        plain = op if op.precision is None else replace(op, precision=None)
        inputs = node.inputs
        if wanted is not None and wanted.rounds and node.type.dtype == float32:
            inputs = tuple(_rounded(x, wanted, rounded) for x in inputs)
        if plain is op and inputs == node.inputs:
            return None
        return apply(plain, *inputs, name=node.name)

    return graph.substitute(DeepRebuild(lower).run(graph.roots))


def _rounded(x: Node, to: Precision, known: dict[tuple[Node, str], Node]) -> Node:
    """An operand rounded to a type that holds fewer bits, as float32."""
    key = x, to.name
    if key not in known:
        if to.dtype is None:
            known[key] = apply(RoundToTF32(), x)
        else:
            known[key] = apply(Cast(float32), apply(Cast(to.dtype), x))
    return known[key]


def rounded_to(node: Node) -> str | None:
    """The precision that an operand was rounded to; None where it was not."""
    if isinstance(node.op, RoundToTF32):
        return TF32
    if not isinstance(node.op, Cast) or not isinstance(node.inputs[0].op, Cast):
        return None
    names = {dtype: name for name, dtype in DTYPES.items()}
    return names.get(node.inputs[0].type.dtype) if node.type.dtype == float32 else None


def without_tf32(graph: Graph) -> Graph:
    """Full float32 in place of TF32, for formats that have no such numbers."""

    def keep(node: Node) -> Node | None:
        return node.inputs[0] if isinstance(node.op, RoundToTF32) else None

    return graph.substitute(DeepRebuild(keep).run(graph.roots))


def marks(nodes: Iterable[Node]) -> list[Precision]:
    """The precisions that contractions were defined with, each once, also inside loops."""
    found: dict[Precision, None] = {}
    for node in nodes:
        if isinstance(node.op, Contract):
            precision = getattr(node.op, "precision", None)
            if precision is not None:
                found[precision] = None
        elif isinstance(node.op, Scan):
            found.update(dict.fromkeys(marks(node.op.body.nodes)))
    return list(found)
