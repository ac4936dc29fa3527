"""Whether a node fits the definition of its operator: operands and attributes."""

from __future__ import annotations

from typing import Any

from onnx import AttributeProto, defs

from graphc.errors import FormatError
from graphc.onnx.call import OnnxNode

ATTRIBUTES = {
    "FLOAT": "a float", "INT": "an int", "STRING": "a text", "TENSOR": "a tensor",
    "GRAPH": "a graph", "FLOATS": "floats", "INTS": "ints", "STRINGS": "texts",
}  # fmt: skip


def check_node(call: OnnxNode, schema: defs.OpSchema) -> None:
    """Raise FormatError unless the number of operands and all attributes fit the definition."""
    count = len(call.inputs)
    if not schema.min_input <= count <= schema.max_input:
        raise FormatError(
            f"{call.where}: takes {counts(schema.min_input, schema.max_input)} inputs, has {count}"
        )
    for i, formal in enumerate(schema.inputs[:count]):
        required = formal.option != defs.OpSchema.FormalParameterOption.Optional
        if required and call.inputs[i] is None:
            raise FormatError(f"{call.where}: input {i} ({formal.name}) is missing")
    given = {a.name: AttributeProto.AttributeType.Name(a.type) for a in call.node.attribute}
    for name, attribute in schema.attributes.items():
        kind: Any = attribute.type  # an enumeration, which the package's stubs do not say
        if name not in given:
            if attribute.required:
                raise FormatError(f"{call.where}: attribute {name} is missing")
        elif given[name] != kind.name:
            wanted, found = (ATTRIBUTES.get(k, k) for k in (kind.name, given[name]))
            raise FormatError(f"{call.where}: attribute {name} must be {wanted}, it is {found}")


def counts(least: int, most: int) -> str:
    """A range of numbers in messages."""
    if least == most:
        return str(least)
    return f"{least} to {most}" if most < 2**31 - 1 else f"{least} or more"
