"""Which of the arrays that a file stores are weights, that is, trainable."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto

from graphc.ir.types import Array

# What torch's exporter notes beside the name of a stored array.
KIND = "pkg.torch.export.graph_signature.InputSpec.kind"

# Operands that say how an operator computes; they are never weights.
SETTINGS: dict[str, tuple[int, ...]] = {
    "BatchNormalization": (3, 4), "Clip": (1, 2), "DequantizeLinear": (1, 2), "Dropout": (1, 2),
    "Equal": (0, 1), "Greater": (0, 1), "GreaterOrEqual": (0, 1), "Less": (0, 1),
    "LessOrEqual": (0, 1), "Mod": (0, 1), "OneHot": (0, 1, 2), "Pad": (1, 2), "Pow": (1,),
    "QuantizeLinear": (1, 2), "Range": (0, 1, 2), "Resize": (1, 2, 3), "RoiAlign": (1, 2),
    "RotaryEmbedding": (1, 2), "STFT": (1, 2, 3), "Upsample": (1,),
}  # fmt: skip

# Operators whose result holds the elements of operand 0; what reads it reads the array.
MOVES = {
    "Cast", "CastLike", "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Identity",
    "Neg", "Reshape", "Slice", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze",
}  # fmt: skip

RESHAPES = {"Expand", "Reshape", "Tile", "Unsqueeze"}

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16)

Use = tuple[NodeProto, int]
Place = tuple[str, str]  # the function, or "", and the name of a value in it


class Uses:
    """Who reads which value of a model, in its graph, the graphs inside nodes, and functions."""

    def __init__(self, model: ModelProto) -> None:
        self.readers: dict[Place, list[Use]] = {}
        self.single: set[Place] = set()  # stored numbers
        self.stored: set[str] = set()  # floats with axes, also those that nodes say
        self.functions = {(f.domain, f.name): f for f in model.functions}
        self.notes: dict[str, str] = {}
        self._add_graph("", model.graph)
        for key, function in self.functions.items():
            self._add(str(key), function.node)

    def _add_graph(self, where: str, graph: GraphProto) -> None:
        self._add_stored(where, graph.initializer)
        for info in (*graph.value_info, *graph.input):
            self.notes.update((info.name, p.value) for p in info.metadata_props if p.key == KIND)
        self._add(where, graph.node)

    def _add(self, where: str, nodes: Iterable[NodeProto]) -> None:
        for node in nodes:
            if node.op_type == "Constant":
                self._add_constant(where, node)
            for i, name in enumerate(node.input):
                self.readers.setdefault((where, name), []).append((node, i))
            for attribute in node.attribute:
                if attribute.type == AttributeProto.GRAPH:
                    self._add_graph(where, attribute.g)

    def _add_stored(self, where: str, tensors: Iterable[TensorProto]) -> None:
        for tensor in tensors:
            if math.prod(tensor.dims) == 1:
                self.single.add((where, tensor.name))
            if tensor.dims and tensor.data_type in FLOATS:
                self.stored.add(tensor.name)

    def _add_constant(self, where: str, node: NodeProto) -> None:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                named = TensorProto(name=node.output[0], data_type=attribute.t.data_type)
                named.dims.extend(attribute.t.dims)
                self._add_stored(where, [named])
            elif attribute.name == "value_floats":
                self.stored.add(node.output[0])
            elif attribute.name in ("value_float", "value_int"):
                self.single.add((where, node.output[0]))

    def is_weight(self, name: str, array: Array) -> bool:
        """Whether an array is reached as a weight; unless torch says what it is, by its readers."""
        if name in self.notes:
            return self.notes[name] == "PARAMETER"
        uses = list(self._ends(("", name), set(), False))
        return not uses or not all(is_setting(*use, array, shaped) for use, shaped in uses)

    def _ends(self, place: Place, seen: set[Place], shaped: bool) -> Iterator[tuple[Use, bool]]:
        """The nodes that compute with a value, and whether it has got other axes before."""
        if place in seen:
            return
        seen.add(place)
        for node, i in self.readers.get(place, ()):
            for after in self._passed_on(place[0], node, i):
                yield from self._ends(after, seen, shaped or node.op_type in RESHAPES)
            if not self._moves(place[0], node, i):
                yield (node, i), shaped

    def _moves(self, where: str, node: NodeProto, i: int) -> bool:
        if (node.domain, node.op_type) in self.functions or node.op_type in ("Loop", "Scan"):
            return True
        if node.op_type in ("Mul", "Div") and len(node.input) == 2:
            return (where, node.input[1 - i]) in self.single
        return node.op_type in MOVES and i == 0

    def _passed_on(self, where: str, node: NodeProto, i: int) -> Iterator[Place]:
        """What holds the same elements behind a node, or inside it."""
        function = self.functions.get((node.domain, node.op_type))
        if function is not None:
            yield from (
                (str((node.domain, node.op_type)), name) for name in function.input[i : i + 1]
            )
        elif node.op_type in ("Loop", "Scan"):
            for body in (a.g for a in node.attribute if a.type == AttributeProto.GRAPH):
                yield from ((where, inner.name) for inner in body.input[i : i + 1])
        elif self._moves(where, node, i):
            yield from ((where, name) for name in node.output)


def is_setting(node: NodeProto, i: int, array: Array, shaped: bool) -> bool:
    """Whether operand i of a node, which is (a part of) a stored array, is no weight."""
    if i in SETTINGS.get(node.op_type, ()):
        return True
    table: bool = sum(n > 1 for n in array.shape) > 1
    match node.op_type:
        case "Mul" | "Div":  # a scale has one axis; angles, windows and masks have more
            return table or array.size == 1
        case "Add" | "Sub" | "Where":  # so have positions that are learnt, but masks have -inf
            return table and not finite(array)
        case "MatMul":  # frequencies, as a row or column of their own
            return not table and (shaped or len(array.shape) > 2)
    return False


def finite(array: Array) -> bool:
    """Whether all elements are finite."""
    wide: Any = array.astype(np.float32) if array.dtype.kind == "V" else array
    return bool(np.isfinite(wide).all())
