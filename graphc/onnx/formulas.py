"""Layers as the operators that ONNX has for them.

A layer is a formula of many nodes here. It is recognised by comparison with what the library
itself builds for the layer: where the nodes are the same up to the operands (the holes of the
formula) and one number, its operator is written. The nodes in between that nothing else reads
are dropped with the other unused ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from graphc.frontend.tensor import Tensor, lift_op
from graphc.ir.dims import Size
from graphc.ir.graph import Node
from graphc.ir.ops import leaf
from graphc.ir.types import TensorType, float32
from graphc.onnx.writer import Writer

SENTINEL = 0.4375061035156  # stands for any number in a formula
LAST, FIRST = "channels_last", "channels_first"


class LayerFormula(NamedTuple):
    """A formula, its operands, and what writes the operator: gets their names and the number."""

    formula: Tensor
    holes: tuple[Tensor, ...]
    write: Callable[..., str]


def hole(*shape: Size) -> Tensor:
    """An operand of a formula."""
    return lift_op(leaf.Input("hole", TensorType(float32, shape)))


def written(w: Writer, node: Node, layer: LayerFormula) -> str | None:
    """The operator of a layer; None where the node is not what the formula makes."""
    found: dict[Any, Any] = {hole.node: None for hole in layer.holes}
    if not equal(layer.formula.node, node, found):
        return None
    numbers = [found[SENTINEL]] if SENTINEL in found else []
    return layer.write(w, *(w[found[hole.node]] for hole in layer.holes), *numbers)


def equal(formula: Node, node: Node, found: dict[Any, Any]) -> bool:
    """Whether a node is that of a formula; notes what stands for the holes and the number."""
    if formula.type != node.type:
        return False
    if formula in found:
        found[formula] = found[formula] or node
        return found[formula] is node
    if isinstance(formula.op, leaf.Literal) and formula.op.value == SENTINEL:
        if not isinstance(node.op, leaf.Literal):
            return False
        number = float(node.op.value)
        return bool(found.setdefault(SENTINEL, number) == number)
    if formula.op != node.op or len(formula.inputs) != len(node.inputs):
        return False
    return all(equal(a, b, found) for a, b in zip(formula.inputs, node.inputs))


def to_first(w: Writer, x: str, layout: str, ndim: int) -> str:
    """x with the channels on axis 1."""
    return x if layout == FIRST else w.transpose(x, (0, ndim - 1, *range(1, ndim - 1)))


def from_first(w: Writer, x: str, layout: str, ndim: int) -> str:
    """x, whose channels are on axis 1, in a layout."""
    return x if layout == FIRST else w.transpose(x, (0, *range(2, ndim), 1))
