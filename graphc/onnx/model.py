"""`load`: a file as ordinary tensors."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import GraphProto, ModelProto, ValueInfoProto

import graphc as gx
from graphc import origin as origins
from graphc.errors import ArgumentError, FormatError, NameError, UnsupportedError
from graphc.ir.dims import Size
from graphc.ir.types import Array, DType
from graphc.onnx.importer import Scope, only_ours
from graphc.onnx.proto import dtype_of, name_of, read_model
from graphc.onnx.stored import Choice, StoredArrays
from graphc.onnx.values import OnnxValue
from graphc.onnx.weights import Uses

# a size that is called a multiple of another one, as exporters write it
MULTIPLE = re.compile(r"(\d+)\*([A-Za-z_]\w*)( ?[+-] ?\d+)?")


@dataclass(frozen=True)
class Model:
    """A file's graph as tensors, under the names and in the order of the file.

    The elements of an output that is a sequence are called OUTPUT_0, OUTPUT_1, ...
    """

    inputs: Mapping[str, gx.Tensor]
    outputs: Mapping[str, gx.Tensor]
    parameters: Mapping[str, gx.Tensor]


def load(
    source: Any,
    dims: Mapping[str, int] | None = None,
    shapes: Mapping[str, Any] | None = None,
    values: Mapping[str, Any] | None = None,
    trainable: Choice = None,
) -> Model:
    """Read an ONNX model from a path, bytes or a ModelProto as ordinary tensors.

    `dims` gives sizes that the file names, `shapes` whole shapes of inputs; sizes that stay
    unknown become dims, called INPUT_AXIS where the file has no name. `values` binds inputs by
    value that only carry shapes, axes, pads or repeats; they are no inputs of the result.
    Stored floats with axes that something computes with become parameters, other stored tensors
    and what Constant nodes say become constants. A parameter is trainable if it is reached as a
    weight: not as a running statistic, a bound, a scale of quantisation or an exponent, a table
    that is multiplied element by element (angles, windows, masks), a mask with infinities, or what
    torch's exporter notes as a buffer. `trainable` says otherwise: names of stored floats, a
    function of a name, or a bool for all.

    Raises FormatError for content that is wrong, UnsupportedError (naming node, operator and
    operator set) for what graphc does not do.
    """
    model = read_model(source)
    graph = model.graph
    given = Given(dims or {}, shapes or {}, values or {})
    path = isinstance(source, (str, os.PathLike))
    file = os.path.basename(os.fspath(source)) if path else graph.name or "model"
    where = f"onnx.load: {name_of(source)}"
    with only_ours(where):
        uses = Uses(model)
    store = StoredArrays(
        uses, trainable, origins.Origin(file, 0)
    )  # may ask a function of the caller
    with only_ours(where), origins.inherit(store.origin):
        return converted(model, store, given, file)


def converted(model: ModelProto, store: StoredArrays, given: Given, file: str) -> Model:
    """The tensors of a model."""
    graph = model.graph
    functions = {(f.domain, f.name): f for f in model.functions}
    scope = Scope(opsets_of(model), functions, store)
    scope.add_initializers(graph)
    inputs = add_inputs(graph, scope, given)
    given.check(inputs)
    scope.run_nodes(graph.node, file)
    outputs: dict[str, gx.Tensor] = {}
    for declared in graph.output:
        value = scope.find(declared.name)
        parts = {declared.name: value} if value.items is None else numbered(declared.name, value)
        outputs.update((name, part.tensor) for name, part in parts.items())
    return Model(inputs, outputs, store.finished())


def numbered(name: str, sequence: OnnxValue) -> dict[str, OnnxValue]:
    """The elements of a sequence by names of their own."""
    return {f"{name}_{i}": item for i, item in enumerate(sequence.items or ())}


def opsets_of(model: ModelProto) -> dict[str, int]:
    """The versions of the operator sets by domain."""
    return {"" if o.domain == "ai.onnx" else o.domain: o.version for o in model.opset_import}


@dataclass(frozen=True)
class Given:
    """What the caller says about inputs."""

    dims: Mapping[str, int]
    shapes: Mapping[str, Any]
    values: Mapping[str, Any]
    open: set[str] = field(default_factory=set)  # the sizes that the file leaves open

    def check(self, inputs: Mapping[str, gx.Tensor]) -> None:
        """Raise where a shape is given for an input, or a size for a dim, that there is not."""
        for name in self.dims:
            if name not in self.open:
                listed = ", ".join(sorted(self.open)) or "none"
                raise NameError(f"onnx.load: there is no dim {name}, there are {listed}")
        for name in self.shapes:
            if name not in inputs and name not in self.values:
                listed = ", ".join(inputs)
                raise ArgumentError(f"onnx.load: there is no input {name}, there are {listed}")


def add_inputs(graph: GraphProto, scope: Scope, given: Given) -> dict[str, gx.Tensor]:
    """Inputs that have no stored value, by name; those with a given value become constants."""
    inputs: dict[str, gx.Tensor] = {}
    names = [i.name for i in graph.input]
    for name in given.values:
        if name not in names:
            raise ArgumentError(f"onnx.load: there is no input {name}, there are {names}")
    for declared in graph.input:
        if declared.name in given.values:
            scope.values[declared.name] = OnnxValue(array=bound_value(declared, given))
        elif declared.name not in scope.values:
            dtype = element_type(declared)
            tensor = gx.input(input_name(declared.name), shape_of(declared, given), dtype)
            inputs[declared.name] = tensor
            scope.values[declared.name] = OnnxValue(tensor)
    return inputs


def input_name(name: str) -> str:
    """The name of an input, as far as it can be shown."""
    return "".join(c if c.isprintable() else "_" for c in name) or "input"


def bound_value(declared: ValueInfoProto, given: Given) -> Array:
    """The value of an input that is given, in its element type."""
    dtype = element_type(declared)
    try:
        return np.asarray(given.values[declared.name]).astype(dtype.numpy)
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"onnx.load: the value of input {declared.name} is no array of {dtype.name}: {error}"
        ) from error


def element_type(declared: ValueInfoProto) -> DType:
    """The dtype of an input."""
    where = f"onnx.load: input {declared.name}"
    kind = declared.type.WhichOneof("value")
    if kind is None:
        raise FormatError(f"{where} has no type")
    if kind != "tensor_type":
        raise UnsupportedError(f"{where} is a {kind.removesuffix('_type')}; tensors are supported")
    return dtype_of(declared.type.tensor_type.elem_type, where)


def shape_of(declared: ValueInfoProto, given: Given) -> tuple[Size, ...]:
    """The shape of an input: as given, else as declared, with dims for what is unknown."""
    type = declared.type.tensor_type
    sizes = list(type.shape.dim) if type.HasField("shape") else None
    wanted = given.shapes.get(declared.name)
    if wanted is not None:
        return given_shape(declared.name, wanted, sizes)
    if sizes is None:
        raise UnsupportedError(
            f"onnx.load: input {declared.name} has no declared shape",
            hint=f'give one: shapes={{"{declared.name}": (1, 3, 224, 224)}}',
        )
    return tuple(
        declared_size(f"{declared.name}_{axis}", size, given) for axis, size in enumerate(sizes)
    )


def declared_size(place: str, size: Any, given: Given) -> Size:
    """One declared size: a number, a named dim, or a dim named after the place."""
    if size.HasField("dim_value") and size.dim_value >= 0:
        return int(size.dim_value)
    known = size.dim_param.isprintable() and size.dim_param not in ("", "?")
    name = size.dim_param if known else place
    given.open.add(name)
    if name in given.dims:
        return int(given.dims[name])
    linear = MULTIPLE.fullmatch(name)
    if linear is None:
        return gx.dim(name)
    factor, inner, rest = linear.groups()
    given.open.add(inner)
    dim = int(given.dims[inner]) if inner in given.dims else gx.dim(inner)
    return int(factor) * dim + int((rest or "0").replace(" ", ""))


def given_shape(name: str, wanted: Any, sizes: list[Any] | None) -> tuple[Size, ...]:
    """A shape from the caller, checked against the declared one."""
    shape = tuple(wanted)
    if sizes is not None and len(shape) != len(sizes):
        raise ArgumentError(
            f"onnx.load: input {name} has {len(sizes)} axes, the shape given has {len(shape)}"
        )
    for axis, (mine, size) in enumerate(zip(shape, sizes or ())):
        fixed = size.HasField("dim_value") and size.dim_value >= 0
        if fixed and isinstance(mine, int) and mine != size.dim_value:
            raise ArgumentError(
                f"onnx.load: input {name} has size {size.dim_value} on axis {axis}, {mine} is given"
            )
    return tuple(gx.dim(s) if isinstance(s, str) else s for s in shape)
