"""Operators that are functions of other operators: their bodies, with attributes bound."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from onnx import AttributeProto, FunctionProto, GraphProto, NodeProto, TypeProto, helper
from onnx.onnx_cpp2py_export.defs import SchemaError

from graphc.onnx.call import OnnxNode
from graphc.onnx.proto import number_of
from graphc.onnx.values import OnnxValue


def body_of(call: OnnxNode, schema: Any) -> FunctionProto | None:
    """The body that an operator's definition gives for these operands; None if it has none."""
    if schema.has_context_dependent_function:
        versions = [v for v in schema.context_dependent_function_opset_versions if v <= call.opset]
        if versions:
            return dependent_body(call, schema, max(versions))
    if not schema.has_function:
        return None
    versions = [v for v in schema.function_opset_versions if v <= call.opset]
    if not versions:
        return None
    return _parsed(schema.get_function_with_opset_version(max(versions)))


def dependent_body(call: OnnxNode, schema: Any, version: int) -> FunctionProto | None:
    """The body that depends on attributes and on the types of operands."""
    types = [type_of(value).SerializeToString() for value in call.inputs]
    node = NodeProto()
    node.CopyFrom(call.node)
    present = {a.name for a in node.attribute}
    for name, attribute in schema.attributes.items():
        default = attribute.default_value
        if name not in present and default.type != AttributeProto.UNDEFINED:
            node.attribute.append(default)
    try:
        body = schema.get_context_dependent_function_with_opset_version(
            version, node.SerializeToString(), types
        )
    except (SchemaError, RuntimeError):
        return None
    return _parsed(body)


@cache
def _parsed(data: bytes) -> FunctionProto:
    function: FunctionProto = FunctionProto.FromString(data)
    return function


def type_of(value: OnnxValue | None) -> TypeProto:
    """The type of an operand in the format's terms."""
    if value is None:
        return TypeProto()
    if value.items is not None:
        inner = type_of(value.items[0]) if value.items else TypeProto()
        return helper.make_sequence_type_proto(inner)
    type = value.tensor.type
    sizes = [s if isinstance(s, int) else None for s in type.shape]
    return helper.make_tensor_type_proto(number_of(type.dtype), sizes)


def bound_nodes(
    function: FunctionProto, node: NodeProto, attributes: Mapping[str, Any]
) -> Iterator[NodeProto]:
    """The nodes of a body with the caller's attributes in place of references to them."""
    given = {a.name: a for a in function.attribute_proto}
    for name, value in attributes.items():
        if name in function.attribute or name in given:
            own = [a for a in node.attribute if a.name == name]
            given[name] = own[0] if own else helper.make_attribute(name, value)
    for inner in function.node:
        yield bound_node(inner, given)


def bound_node(node: NodeProto, given: Mapping[str, AttributeProto]) -> NodeProto:
    """One node with attributes bound, also inside the graphs that it holds."""
    copy = NodeProto()
    copy.CopyFrom(node)
    del copy.attribute[:]
    for attribute in node.attribute:
        if attribute.ref_attr_name:
            if attribute.ref_attr_name in given:
                copy.attribute.add().CopyFrom(given[attribute.ref_attr_name])
                copy.attribute[-1].name = attribute.name
            continue
        copy.attribute.add().CopyFrom(attribute)
        if attribute.type == AttributeProto.GRAPH:
            bind_graph(copy.attribute[-1].g, given)
    return copy


def bind_graph(graph: GraphProto, given: Mapping[str, AttributeProto]) -> None:
    """Bind the attributes of a graph's nodes in place."""
    nodes = [bound_node(inner, given) for inner in graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
