"""`save`: tensors as a file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
from onnx import helper

import graphc as gx
from graphc.definition import check_inputs, define
from graphc.errors import ArgumentError
from graphc.files import write_whole
from graphc.graph import Graph, Node, topological
from graphc.onnx import (
    write_elementwise,
    write_index,
    write_loops,
    write_numbers,
    write_products,
    write_sums,
    write_views,
)
from graphc.onnx.write_layers import layer
from graphc.onnx.writer import Rules, Writer, all_inputs, living
from graphc.ops import leaf
from graphc.structure import flatten
from graphc.tensor import Tensor, face, lift

OPSET = 22
IR_VERSION = 10
LARGEST = 2**31 - 2**24  # bytes of arrays in a file, which must stay below 2 GB as a whole

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
    UnsupportedError, naming the op and the user's line, for what ONNX cannot say. With `external`
    the arrays are in a second file, PATH.data: the default where one would be larger than 2 GB.
    """
    model = to_model(outputs, inputs)
    if external is None:
        external = sum(len(t.raw_data) for t in model.graph.initializer) > LARGEST
    if external:
        write_apart(Path(path), model)
    else:
        write_whole(Path(path), model.SerializeToString())


def write_apart(path: Path, model: onnx.ModelProto) -> None:
    """Write the arrays to a file next to that of the model; both are moved to their places."""
    data = f"{path.name}.data"
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
            whole = Path(folder, path.name)
            onnx.save_model(model, whole, save_as_external_data=True, location=data)
            for name in (data, path.name):
                if Path(folder, name).exists():  # small arrays stay inside
                    os.replace(Path(folder, name), path.parent / name)
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None


def to_model(outputs: Any, inputs: Any = None) -> onnx.ModelProto:
    """The model that `save` writes."""
    leaves, _ = flatten(outputs)
    if not leaves:
        raise ArgumentError("onnx.save: there are no outputs")
    listed = needed_inputs(leaves) if inputs is None else inputs
    check_inputs(listed)
    graph = define(listed, outputs, None, "inference", "model").graph
    writer = Writer(RULES, layer, graph.inputs)
    for node in graph.inputs:
        writer.values[node] = writer.names.fresh(node.name)
    for node in graph.leaves(leaf.Parameter):
        writer.values[node] = writer.store(node, node.face.value, node.name)
    names = [writer.names.fresh(name) for name, _ in graph.outputs]
    writer.write_all(graph.nodes)
    for name, (_, node) in zip(names, graph.outputs):
        writer.nodes.append(helper.make_node("Identity", [writer[node]], [name], name))
    return assembled(writer, graph, names)


def needed_inputs(leaves: Sequence[Any]) -> list[Tensor]:
    """The inputs that outputs depend on, in the order in which they are met."""
    found: list[Node] = topological([lift(value).node for value in leaves])
    return [face(n) for n in found if isinstance(n.op, leaf.Input)]


def assembled(writer: Writer, graph: Graph, names: Sequence[str]) -> onnx.ModelProto:
    """The model around the nodes."""
    nodes = without_copies(living(writer.nodes, names), names)
    read = set(all_inputs(nodes))
    proto = helper.make_graph(
        nodes,
        "graphc",
        [writer.declared(writer.values[n], n.type) for n in graph.inputs],
        [writer.declared(name, n.type) for name, (_, n) in zip(names, graph.outputs)],
        [t for key, t in writer.stored.items() if isinstance(key, Node) or t.name in read],
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
