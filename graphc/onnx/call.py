"""One node of a model as converters see it, and its errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, NoReturn, Protocol

import numpy as np
from onnx import GraphProto, NodeProto, defs

from graphc.errors import FormatError, UnsupportedError
from graphc.frontend.tensor import Tensor
from graphc.ir.dims import Poly, Size
from graphc.ir.types import Array
from graphc.onnx.errors import UnknownValueError
from graphc.onnx.stored import StoredArrays
from graphc.onnx.values import OnnxValue, sources_of


class NameScope(Protocol):
    """The names that a node sees, as a converter uses them (`importer.Scope`)."""

    store: StoredArrays

    def find(self, name: str, node: NodeProto | None = None) -> OnnxValue:
        """What a name stands for."""
        ...

    def inner(self) -> NameScope:
        """The names of a graph inside the node, which sees these."""
        ...

    def schema(self, node: NodeProto) -> defs.OpSchema | None:
        """The definition of a node's operator."""
        ...

    def run_graph(self, graph: GraphProto, inputs: Iterable[OnnxValue | None]) -> list[OnnxValue]:
        """The outputs of a graph inside the node, given its inputs."""
        ...


class OnnxNode:
    """A node with its operands and attributes.

    A converter is a function of it that returns the outputs: tensors, arrays (known now), None
    for outputs that are not asked for; one or a tuple of them.
    """

    def __init__(
        self, node: NodeProto, opset: int, inputs: tuple[OnnxValue | None, ...],
        attributes: dict[str, Any], scope: NameScope,
    ) -> None:  # fmt: skip
        self.node = node
        self.opset = opset
        self.inputs = inputs
        self.attributes = attributes
        self.scope = scope

    # -- operands ------------------------------------------------------------------------

    def has(self, i: int) -> bool:
        """Whether operand i is given."""
        return i < len(self.inputs) and self.inputs[i] is not None

    def value(self, i: int) -> OnnxValue:
        """Operand i; raises FormatError where it is missing."""
        found = self.inputs[i] if i < len(self.inputs) else None
        if found is None:
            raise FormatError(f"{self.where}: input {i} is missing")
        return found

    def x(self, i: int = 0) -> Tensor:
        """Operand i as a tensor."""
        return self.value(i).tensor

    def optional(self, i: int) -> Tensor | None:
        """Operand i as a tensor, None if it is not given."""
        return self.x(i) if self.has(i) else None

    @property
    def tensors(self) -> list[Tensor]:
        """All operands."""
        return [self.x(i) for i in range(len(self.inputs))]

    def known(self, i: int) -> Array:
        """Operand i as an array; raises UnknownValueError where it depends on inputs."""
        value = self.value(i)
        array = value.known()
        if array is None:
            self.unknown(i, value)
        return array

    def unknown(self, i: int, value: OnnxValue) -> NoReturn:
        """Complain that an operand must be known."""
        names, dims = sources_of(value.tensor)
        found = [f"input {name}" for name in names] + [f"the size {d}" for d in dims]
        raise UnknownValueError(
            f"{self.where}: its input {self.label(i)} must be known while loading, it depends on"
            f" {' and '.join(found)}",
            names,
            dims,
        )

    def label(self, i: int) -> str:
        """An operand in messages: its number, and what the operator calls it."""
        schema = self.scope.schema(self.node)
        return f"{i} ({schema.inputs[min(i, len(schema.inputs) - 1)].name})" if schema else f"{i}"

    def sizes(self, i: int) -> tuple[Size, ...]:
        """Operand i as sizes: ints and polynomials of dims."""
        array = np.atleast_1d(self.known(i))
        return tuple(s if isinstance(s, Poly) else int(s) for s in array.flat)

    def ints(self, i: int) -> tuple[int, ...]:
        """Operand i as ints."""
        sizes = self.sizes(i)
        whole = tuple(s for s in sizes if isinstance(s, int))
        if len(whole) != len(sizes):
            raise UnknownValueError(
                f"{self.where}: its input {self.label(i)} must be known while loading, it is"
                f" {sizes}",
                sizes=sizes,
            )
        return whole

    def number(self, i: int) -> Any:
        """Operand i, which has one element, as a Python number."""
        array = self.known(i)
        if array.size != 1:
            raise FormatError(f"{self.where}: input {i} must have one element, got {array.shape}")
        return array.reshape(-1)[0].item() if array.dtype != object else array.reshape(-1)[0]

    def extent(self, axis: int, i: int = 0) -> int:
        """The size of one axis of operand i; raises UnknownValueError where it is symbolic."""
        x = self.x(i)
        size = x.shape[axis]
        if isinstance(size, int):
            return size
        raise UnknownValueError(
            f"{self.where}: the size of axis {axis % x.ndim} of its input {self.label(i)} must be"
            f" known, it is {size} in {x.type}",
            sizes=(size,),
        )

    def extents(self, start: int = 0, i: int = 0) -> tuple[int, ...]:
        """The sizes of operand i from one axis on, each of which must be known."""
        return tuple(self.extent(axis, i) for axis in range(start, self.x(i).ndim))

    @property
    def open_sizes(self) -> tuple[Size, ...]:
        """The sizes in operands, and of them, that are not known."""
        given = [v for v in self.inputs if v is not None and v.items is None]
        shapes = [v.tensor.shape for v in given if v.array is None]
        stated = [
            s for v in given if v.array is not None and v.kind.kind in "iu" for s in v.array.flat
        ]
        return tuple(s for s in (*chain(*shapes), *stated) if isinstance(s, Poly))

    # -- attributes ------------------------------------------------------------------------

    def __getitem__(self, name: str) -> Any:
        if name not in self.attributes:
            raise FormatError(f"{self.where}: attribute {name} is missing")
        return self.attributes[name]

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute, or the default."""
        return self.attributes.get(name, default)

    def graph(self, name: str) -> GraphProto:
        """An attribute that is a graph."""
        value = self[name]
        if not isinstance(value, GraphProto):
            raise FormatError(f"{self.where}: attribute {name} must be a graph")
        return value

    def axis(self, name: str = "axis", ndim: int | None = None) -> int:
        """An attribute that is an axis of the first operand, counted from the front."""
        return self.normal(self[name], self.x().ndim if ndim is None else ndim)

    def normal(self, axis: int, ndim: int) -> int:
        """An axis counted from the front."""
        if not -ndim <= axis < max(ndim, 1):
            raise FormatError(f"{self.where}: axis {axis} is out of range, there are {ndim} axes")
        return int(axis) % max(ndim, 1)

    # -- outputs and complaints --------------------------------------------------------------

    @property
    def count(self) -> int:
        """The number of outputs that are listed."""
        return len(self.node.output)

    def is_output_used(self, i: int) -> bool:
        """Whether output i is asked for."""
        return i < len(self.node.output) and bool(self.node.output[i])

    @property
    def where(self) -> str:
        """The node in messages."""
        return describe(self.node, self.opset)

    def unsupported(self, what: str, hint: str | None = None) -> NoReturn:
        """Complain about something that is right but not supported."""
        raise UnsupportedError(f"{self.where}: {what}", hint=hint)


Output = Tensor | OnnxValue | Array | np.generic | None  # None: an output that is left out
Result = Output | Sequence[Output]
Converter = Callable[[OnnxNode], Result]
Table = dict[tuple[str, int], Converter]


def describe(node: NodeProto, opset: int) -> str:
    """A node in messages: its name, operator and operator set."""
    domain = f"{node.domain}." if node.domain and node.domain != "ai.onnx" else ""
    name = f"node {node.name} " if node.name else "node "
    return f"{name}({domain}{node.op_type}, opset {opset})"
