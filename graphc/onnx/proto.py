"""What the protocol buffers say: models, element types, arrays, attributes."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, defs, numpy_helper

from graphc.errors import (
    ArgumentError,
    FormatError,
    GraphcError,
    MemoryBudgetError,
    UnsupportedError,
)
from graphc.ir.types import Array, DType, find_dtype

_DTYPES = {
    TensorProto.FLOAT: "float32", TensorProto.UINT8: "uint8", TensorProto.INT8: "int8",
    TensorProto.UINT16: "uint16", TensorProto.INT16: "int16", TensorProto.INT32: "int32",
    TensorProto.INT64: "int64", TensorProto.BOOL: "bool", TensorProto.FLOAT16: "float16",
    TensorProto.DOUBLE: "float64", TensorProto.UINT32: "uint32", TensorProto.UINT64: "uint64",
    TensorProto.BFLOAT16: "bfloat16",
}  # fmt: skip
_NAMES = {int(number): name for number, name in _DTYPES.items()}
_NUMBERS = {name: number for number, name in _DTYPES.items()}


def read_model(source: Any) -> ModelProto:
    """A model from a path, the bytes of a file, or a ModelProto.

    Raises FormatError where the content is no model; failures of the system stay OSError.
    """
    if isinstance(source, ModelProto):
        return source
    try:
        if isinstance(source, (bytes, bytearray, memoryview)):
            model = onnx.load_model_from_string(bytes(source))
        elif isinstance(source, (str, os.PathLike)):
            model = onnx.load_model(os.fspath(source))
        else:
            raise ArgumentError(f"onnx.load: takes a path, bytes or a model, got {source!r:.80}")
    except (GraphcError, OSError):
        raise
    except DecodeError as error:
        raise FormatError(f"onnx.load: {name_of(source)} is no ONNX model: {error}") from error
    except MemoryError as error:
        raise MemoryBudgetError(f"onnx.load: {name_of(source)} needs too much memory") from error
    except Exception as error:  # weights in other files that are missing, cut or elsewhere
        raise FormatError(f"onnx.load: {name_of(source)}: {error}") from error
    if not model.HasField("graph") or not model.opset_import:
        raise FormatError(
            f"onnx.load: {name_of(source)} is no ONNX model: it has no graph or no operator sets"
        )
    graph = model.graph
    for named in (*graph.input, *graph.output, *graph.initializer):
        if not isinstance(named.name, str):  # bytes that are no UTF-8
            raise FormatError(f"onnx.load: {name_of(source)}: the name {named.name!r} is no text")
    return model


def name_of(source: Any) -> str:
    """How messages call a source."""
    return Path(source).name if isinstance(source, (str, os.PathLike)) else "the data"


def dtype_of(number: int, where: str) -> DType:
    """The dtype of an element type; raises UnsupportedError where there is none."""
    name = _NAMES.get(int(number))
    found = None if name is None else find_dtype(name)
    if found is None:
        raise UnsupportedError(f"{where}: elements of type {type_name(number)} are not supported")
    return found


def type_name(number: int) -> str:
    """The format's word for an element type."""
    known = number in TensorProto.DataType.values()
    return TensorProto.DataType.Name(number).lower() if known else str(number)


def number_of(dtype: DType) -> int:
    """The format's number of an element type."""
    return int(_NUMBERS[dtype.name])


def element_number(dtype: np.dtype[Any]) -> int:
    """The format's number of a numpy dtype; raises where there is none."""
    found = find_dtype(dtype)
    if found is None:
        raise UnsupportedError(f"onnx: arrays of {dtype} are not supported")
    return number_of(found)


def array_of(tensor: TensorProto, where: str) -> Array:
    """The array of a stored tensor."""
    wanted = dtype_of(tensor.data_type, where)
    try:
        array = numpy_helper.to_array(tensor)
    except Exception as error:  # the package raises what numpy raises on wrong sizes
        raise FormatError(f"{where}: the stored tensor is damaged: {error}") from error
    return np.ascontiguousarray(array, wanted.numpy).reshape(array.shape)


def schema_of(node: NodeProto, opset: int) -> defs.OpSchema | None:
    """The definition of a node's operator in an operator set; None where it has none."""
    domain = "" if node.domain == "ai.onnx" else node.domain
    return _schema(node.op_type, opset, domain)


@cache
def _schema(name: str, opset: int, domain: str) -> defs.OpSchema | None:
    try:
        return defs.get_schema(name, opset, domain)
    except (defs.SchemaError, TypeError):  # TypeError: no version is that large
        return None


def attributes_of(node: NodeProto, schema: defs.OpSchema | None) -> dict[str, Any]:
    """The attributes as Python values, those with defaults filled in."""
    where = f"node {node.name or node.op_type}"
    given = {a.name: attribute_value(a, where) for a in node.attribute}
    if schema is None:
        return given
    return {**schema_defaults(schema), **given}


def schema_defaults(schema: defs.OpSchema) -> dict[str, Any]:
    """The default values of an operator's attributes."""
    return {
        name: attribute_value(attribute.default_value, schema.name)
        for name, attribute in schema.attributes.items()
        if attribute.default_value.type != AttributeProto.UNDEFINED
    }


def attribute_value(attribute: AttributeProto, where: str) -> Any:
    """A number, a str, an array, a graph, or a tuple of such."""
    try:
        value = onnx.helper.get_attribute_value(attribute)
    except ValueError as error:
        raise FormatError(f"{where}: attribute {attribute.name} has no value") from error
    if isinstance(value, TensorProto):
        return array_of(value, f"{where}, attribute {attribute.name}")
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if attribute.type == AttributeProto.STRINGS:
        return tuple(s.decode(errors="replace") for s in value)
    if attribute.type in (AttributeProto.INTS, AttributeProto.FLOATS):
        return tuple(value)
    return value
