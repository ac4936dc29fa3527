"""`save`: tensors as a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import onnx
from onnx import helper, numpy_helper

import graphc as gx
from graphc.compiler.precision import without_tf32
from graphc.errors import ArgumentError
from graphc.files import write_whole
from graphc.frontend.tensor import Tensor, handle, lift
from graphc.ir.graph import Graph, Node, topological
from graphc.ir.ops import leaf
from graphc.ir.structure import flatten
from graphc.ir.types import Array
from graphc.onnx import (
    write_elementwise,
    write_index,
    write_loops,
    write_numbers,
    write_products,
    write_sums,
    write_views,
)
from graphc.onnx.files import write_apart
from graphc.onnx.write_layers import layer
from graphc.onnx.writer import Rules, Writer, all_inputs, living
from graphc.runtime.definition import check_inputs, define

OPSET = 22
IR_VERSION = 10
MAX_FILE_BYTES = 2**31 - 2**24  # bytes of arrays in a file, which must stay below 2 GB as a whole

RULES: Rules = {
    **write_numbers.RULES,
    **write_elementwise.RULES,
    **write_views.RULES,
    **write_sums.RULES,
    **write_products.RULES,
    **write_index.RULES,
    **write_loops.RULES,
}


def save(
    path: str | os.PathLike[str], outputs: Any, inputs: Any = None, external: bool | None = None
) -> None:
    """Write tensors and all they depend on as an ONNX model of operator set 22.

    `outputs` is a tensor, a list or a dict, whose keys become the names; `inputs` says in which
    order the model takes them (default: as the outputs need them). Layers are as at inference.
    Parameters are stored under their names, symbolic sizes become named ones. Raises
    UnsupportedError, naming the op and the user's line, for what ONNX cannot say. Products in
    "bf16" and "fp16" are written as such, those in "tf32" as float32. With `external`
    the arrays are in a second file, PATH.data: the default where one would be larger than 2 GB.
    """
    assemble = written(outputs, inputs)
    if external is None:
        external = assemble.bytes > MAX_FILE_BYTES
    if external:
        write_apart(Path(path), assemble)
    else:
        write_whole(Path(path), assemble(numpy_helper.from_array).SerializeToString())


def to_model(outputs: Any, inputs: Any = None) -> onnx.ModelProto:
    """The model that `save` writes, with its arrays inside."""
    return written(outputs, inputs)(numpy_helper.from_array)


def written(outputs: Any, inputs: Any) -> Assembly:
    """Everything that a model consists of."""
    leaves, _ = flatten(outputs)
    if not leaves:
        raise ArgumentError("onnx.save: there are no outputs")
    listed = needed_inputs(leaves) if inputs is None else inputs
    check_inputs(listed)
    graph = without_tf32(define(listed, outputs, None, "inference", "model").graph)
    writer = Writer(RULES, layer, graph.inputs)
    for node in graph.inputs:
        writer.values[node] = writer.names.fresh(node.name)
    for node in graph.leaves(leaf.Parameter):
        writer.values[node] = writer.store(node, node.handle.value, node.name)
    names = [writer.names.fresh(name) for name, _ in graph.outputs]
    writer.write_all(graph.nodes)
    for name, (_, node) in zip(names, graph.outputs):
        writer.nodes.append(helper.make_node("Identity", [writer[node]], [name], name))
    return Assembly(writer, graph, names)


def needed_inputs(leaves: Sequence[Any]) -> list[Tensor]:
    """The inputs that outputs depend on, in the order in which they are met."""
    found: list[Node] = topological([lift(value).node for value in leaves])
    return [handle(n) for n in found if isinstance(n.op, leaf.Input)]


class Assembly:
    """Nodes and arrays; called with what makes a tensor of an array and a name, the model."""

    def __init__(self, writer: Writer, graph: Graph, names: Sequence[str]) -> None:
        self.writer, self.graph, self.names = writer, graph, names
        self.nodes = without_copies(living(writer.nodes, names), names)
        read = set(all_inputs(self.nodes))
        self.arrays = {
            name: array
            for key, (name, array) in writer.stored.items()
            if isinstance(key, Node) or name in read
        }

    @property
    def bytes(self) -> int:
        """How large the arrays are together."""
        return sum(array.nbytes for array in self.arrays.values())

    def __call__(self, place: Callable[[Array, str], onnx.TensorProto]) -> onnx.ModelProto:
        declared, values = self.writer.declared, self.writer.values
        proto = helper.make_graph(
            self.nodes,
            "graphc",
            [declared(values[n], n.type) for n in self.graph.inputs],
            [declared(name, n.type) for name, (_, n) in zip(self.names, self.graph.outputs)],
            [place(array, name) for name, array in self.arrays.items()],
        )
        return helper.make_model(
            proto,
            producer_name="graphc",
            producer_version=gx.__version__,
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET)],
        )


def without_copies(nodes: list[Any], names: Sequence[str]) -> list[Any]:
    """The nodes, those whose result is only copied to an output making the output themselves."""
    makers = {name: node for node in nodes for name in node.output}
    readers: dict[str, int] = {}
    for node in nodes:
        for name in all_inputs([node]):
            readers[name] = readers.get(name, 0) + 1
    dropped = []
    for node in nodes:
        source = node.input[0] if node.input else ""
        is_copy = node.op_type == "Identity" and node.output[0] in names
        if is_copy and readers[source] == 1 and source in makers and source not in names:
            maker = makers[source]
            maker.output[list(maker.output).index(source)] = node.output[0]
            dropped.append(id(node))
    return [node for node in nodes if id(node) not in dropped]
