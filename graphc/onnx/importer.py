"""From the nodes of a file to tensors, one node after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from onnx import FunctionProto, GraphProto, NodeProto, defs

from graphc import origin as origins
from graphc.errors import (
    FormatError,
    GraphcError,
    MemoryBudgetError,
    ShapeError,
    UnsupportedError,
)
from graphc.onnx.bodies import body_of, bound_nodes
from graphc.onnx.call import Converter, OnnxNode, describe
from graphc.onnx.check import check_node
from graphc.onnx.errors import UnknownValueError, named
from graphc.onnx.proto import array_of, attributes_of, schema_of
from graphc.onnx.sizes import evaluated, fold
from graphc.onnx.stored import StoredArrays
from graphc.onnx.table import find_converter
from graphc.onnx.values import OnnxValue, result_value

OLDEST_OPSET = 6  # the oldest operator set that is supported


class Scope:
    """The names that a graph sees: its own and those of the graphs around it."""

    def __init__(
        self,
        opsets: Mapping[str, int],
        functions: Mapping[tuple[str, str], FunctionProto],
        store: StoredArrays,
        outer: Scope | None = None,
    ) -> None:
        self.opsets = opsets
        self.functions = functions
        self.store = store
        self.outer = outer
        self.values: dict[str, OnnxValue | None] = {}

    def inner(self) -> Scope:
        """The scope of a graph inside a node: sees these names."""
        return Scope(self.opsets, self.functions, self.store, self)

    def inside(self, opsets: Mapping[str, int]) -> Scope:
        """The scope of a function's body: sees none of these names."""
        return Scope(opsets, self.functions, self.store)

    def find(self, name: str, node: NodeProto | None = None) -> OnnxValue:
        """What a name stands for."""
        scope: Scope | None = self
        while scope is not None:
            value = scope.values.get(name)
            if value is not None:
                return value
            scope = scope.outer
        reader = f"{describe(node, self.opset(node.domain))} reads" if node else "an output is"
        raise FormatError(f"onnx.load: {reader} {name}, which nothing makes before it")

    def opset(self, domain: str) -> int:
        """The version of an operator set; 0 where the file imports none."""
        return self.opsets.get("" if domain == "ai.onnx" else domain, 0)

    def schema(self, node: NodeProto) -> defs.OpSchema | None:
        """The definition of a node's operator."""
        return schema_of(node, self.opset(node.domain))

    # -- graphs ---------------------------------------------------------------------------

    def run_graph(self, graph: GraphProto, inputs: Iterable[OnnxValue | None]) -> list[OnnxValue]:
        """The outputs of a graph inside a node, given its inputs."""
        for declared, value in zip(graph.input, inputs):
            self.values[declared.name] = value
        self.add_initializers(graph)
        self.run_nodes(graph.node)
        return [self.find(o.name) for o in graph.output]

    def add_initializers(self, graph: GraphProto) -> None:
        """Stored tensors."""
        if graph.sparse_initializer:
            raise UnsupportedError("onnx.load: sparse initializers are not supported")
        for tensor in graph.initializer:
            array = array_of(tensor, f"initializer {tensor.name}")
            self.values[tensor.name] = self.store.value(tensor.name, array)

    def run_nodes(self, nodes: Iterable[NodeProto], file: str = "") -> None:
        """Convert nodes in the order of the file, whose name tensors get as origin."""
        for i, node in enumerate(nodes):
            says = describe(node, self.opset(node.domain))
            place = origins.Origin(file, i + 1, says=says) if file else None
            with origins.inherit(place), only_ours(says):
                outputs = self.run_node(node)
            for name, value in zip(node.output, outputs):
                if name:
                    self.values[name] = value

    def run_node(self, node: NodeProto) -> list[OnnxValue | None]:
        """The outputs of one node."""
        opset = self.opset(node.domain)
        inputs = tuple(self.find(name, node) if name else None for name in node.input)
        local = self.functions.get((node.domain, node.op_type))
        if local is not None:
            return self.run_function(node, local, inputs, attributes_of(node, None))
        if opset == 0:
            raise FormatError(f"onnx.load: {describe(node, 0)}: the file imports no such domain")
        schema = schema_of(node, opset)
        if schema is None:
            raise UnsupportedError(f"{describe(node, opset)}: no such operator is known")
        if opset < OLDEST_OPSET and schema.domain == "" and not same_since(node, schema):
            raise UnsupportedError(
                f"{describe(node, opset)}: operator sets from {OLDEST_OPSET} on are supported",
                hint="convert the file: onnx.version_converter.convert_version(model, 13)",
            )
        call = OnnxNode(node, opset, inputs, attributes_of(node, schema), self)
        check_node(call, schema)
        converter = find_converter(node, schema.since_version)
        if converter is not None:
            convert = partial(converted, converter)
            folded = fold(call, convert)
            return evaluated(call, convert(call)) if folded is None else folded
        body = body_of(call, schema)
        if body is None:
            raise UnsupportedError(f"{describe(node, opset)}: the operator is not supported")
        return self.run_function(node, body, inputs, call.attributes)

    def run_function(
        self,
        node: NodeProto,
        function: FunctionProto,
        inputs: tuple[OnnxValue | None, ...],
        attributes: Mapping[str, Any],
    ) -> list[OnnxValue | None]:
        """The outputs of a function's body."""
        own = {o.domain: o.version for o in function.opset_import}
        scope = self.inside({"": defs.onnx_opset_version(), **self.opsets, **own})
        given = inputs + (None,) * (len(function.input) - len(inputs))
        scope.values.update(zip(function.input, given))
        scope.run_nodes(bound_nodes(function, node, attributes))
        wanted = [name for i, name in enumerate(function.output) if i < len(node.output)]
        return [scope.find(n) if node.output[i] else None for i, n in enumerate(wanted)]


@contextmanager
def only_ours(where: str) -> Iterator[None]:
    """Let GraphcErrors pass; what else damaged content brings about is a FormatError.

    Numbers that make no sense are mostly found where they are used, by Python or numpy.
    """
    try:
        yield
    except (GraphcError, OSError):
        raise
    except MemoryError as error:
        raise MemoryBudgetError(f"{where}: needs more memory than there is") from error
    except Exception as error:
        what = str(error) or type(error).__name__
        raise FormatError(f"{where}: {what}") from error


def same_since(node: NodeProto, schema: defs.OpSchema) -> bool:
    """Whether an old definition still held in the oldest supported operator set."""
    other = schema_of(node, OLDEST_OPSET)
    return other is not None and other.since_version == schema.since_version


def converted(converter: Converter, call: OnnxNode) -> list[OnnxValue | None]:
    """A converter's results; errors of definition name the node."""
    try:
        result = converter(call)
    except (UnknownValueError, FormatError):
        raise
    except GraphcError as error:
        said = error.message.startswith(call.where)
        message = error.message if said else f"{call.where}: {error.message}"
        sizes = named(message, call.open_sizes)
        if sizes or (isinstance(error, ShapeError) and call.open_sizes):
            raise UnknownValueError(message, sizes=sizes or call.open_sizes) from error
        if isinstance(error, UnsupportedError):
            raise
        raise FormatError(
            message, operands=error.operands, origin=error.origin, hint=error.hint
        ) from error
    results = result if isinstance(result, (tuple, list)) else (result,)
    return [result_value(r) for r in results]
