"""From graphc's nodes to nodes of the format: names, constants, sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
from onnx import NodeProto, helper

from graphc.errors import UnsupportedError
from graphc.ir.dims import Dim, FloorDiv, MinSize, Poly, Size, dims_of
from graphc.ir.graph import Node, apply, topological
from graphc.ir.ops.base import Elementwise, Op
from graphc.ir.ops.elementwise import Neg
from graphc.ir.ops.elementwise_logic import Cast, StopGradient
from graphc.ir.ops.elementwise_power import Pow
from graphc.ir.ops.gather import Guard
from graphc.ir.ops.store import Stored
from graphc.ir.ops.view import BroadcastTo
from graphc.ir.types import Array, DType, TensorType, bfloat16, float32, int32, int64
from graphc.onnx.proto import number_of

# What an op becomes: gets the writer, the node and the names of its inputs, returns a name.
Rule = Callable[..., str]
Rules = Mapping[type[Op], Rule]
# The operator of a whole layer that ends in a node, None where the node ends none.
Layers = Callable[["Writer", Node], str | None]

IDENTITY_OPS = (StopGradient, Stored, Guard)
SIGNED = (int32, int64)


class UniqueNames:
    """Gives names that no other value has."""

    def __init__(self) -> None:
        self.used: set[str] = set()

    def fresh(self, hint: str) -> str:
        """The hint, or with a number behind it."""
        name, k = hint, 0
        while name in self.used:
            k += 1
            name = f"{hint}_{k}"
        self.used.add(name)
        return name


class Writer:
    """The nodes of one graph of the format, being written.

    The graphs inside loops see the values around them: they share names and constants.
    """

    def __init__(
        self, rules: Rules, layers: Layers, inputs: Sequence[Node], around: Writer | None = None
    ) -> None:
        self.rules = rules
        self.layers = layers
        self.around = around
        self.nodes: list[NodeProto] = []
        self.values: dict[Node, str] = {}
        self.names: UniqueNames = around.names if around else UniqueNames()
        self.stored: dict[Any, tuple[str, Array]] = around.stored if around else {}
        self.inputs: Sequence[Node] = around.inputs if around else inputs
        self.loops: dict[Any, list[str]] = {}
        self.transposed: dict[str, tuple[str, tuple[int, ...]]] = {}  # what is a transpose of what
        self.numbers: set[str] = set()  # stored values of rank 0
        self._sizes: dict[Size, str] = {}

    # -- values ---------------------------------------------------------------------------

    def __getitem__(self, node: Node) -> str:
        """The name of a node's value; views that repeat are written when first asked for."""
        if node not in self.values:
            self.write(node)
        return self.values[node]

    def write_all(self, nodes: Iterable[Node]) -> None:
        """Write nodes that stand in the order of their inputs."""
        for node in nodes:
            if node not in self.values and not isinstance(node.op, BroadcastTo):
                self.write(node)

    def write(self, node: Node) -> None:
        """Write one node."""
        rule = self.rules.get(type(node.op))
        if rule is None:
            self.unsupported(node)
        layer = self.layers(self, node)
        if layer is not None:
            self.values[node] = layer
            return
        widened = in_wider_type(node)
        if widened is not None:
            self.write_all(topological([widened]))
            self.values[node] = self[widened]
        else:
            self.values[node] = rule(self, node, *self.operands(node))

    def operands(self, node: Node) -> list[str]:
        """The names of the inputs; where ONNX repeats elements itself, of what is repeated."""
        repeated = [isinstance(i.op, BroadcastTo) for i in node.inputs]
        if isinstance(node.op, Elementwise) and any(repeated) and not all(repeated):
            return [self[i.inputs[0] if r else i] for i, r in zip(node.inputs, repeated)]
        return [self[i] for i in node.inputs]

    def unsupported(self, node: Node, why: str = "has no counterpart in ONNX") -> NoReturn:
        """Complain about an op, at the user's line."""
        operands = tuple(
            (f"input {k}", f"{i.name or i.op.name} {i.type}", i.origin)
            for k, i in enumerate(node.inputs)
        )
        raise UnsupportedError(
            f"onnx.save: {node.op.name} {why}", operands=operands, origin=node.origin
        )

    def op(
        self, kind: str, *inputs: str, hint: str | None = None, count: int = 1, **attributes: Any
    ) -> Any:
        """Add a node; its output, or a tuple of several."""
        hint = hint or kind.lower()
        outputs = [self.names.fresh(hint) for _ in range(count)]
        self.nodes.append(helper.make_node(kind, list(inputs), outputs, outputs[0], **attributes))
        return outputs[0] if count == 1 else tuple(outputs)

    def transpose(self, x: str, perm: Sequence[int]) -> str:
        """x with its axes in another order; what a transpose undoes is not written."""
        source, first = self.transposed.get(x, (x, tuple(range(len(perm)))))
        whole = tuple(first[i] for i in perm)
        if whole == tuple(range(len(whole))):
            return source
        y = str(self.op("Transpose", source, perm=whole))
        self.transposed[y] = source, whole
        return y

    def pointwise(self, kind: str, *xs: str, hint: str | None = None, **attributes: Any) -> str:
        """An operator on elements, in front of a transpose that all of its operands share."""
        found = [self.transposed.get(x) for x in xs]
        perms = {transposed[1] for transposed in found if transposed}
        if len(perms) != 1 or any(not f and x not in self.numbers for f, x in zip(found, xs)):
            return str(self.op(kind, *xs, hint=hint, **attributes))
        sources = [transposed[0] if transposed else x for transposed, x in zip(found, xs)]
        return self.transpose(self.op(kind, *sources, hint=hint, **attributes), perms.pop())

    # -- constants ------------------------------------------------------------------------

    def constant(self, value: Any, dtype: Any = None, hint: str = "constant") -> str:
        """A stored array; equal ones are stored once."""
        array = np.asarray(value, dtype)
        key = (array.dtype, array.shape, array.tobytes())
        if key not in self.stored:
            self.store(key, array, hint)
        return self.stored[key][0]

    def store(self, key: Any, array: Array, hint: str) -> str:
        """Store an array under a name of its own."""
        name = self.names.fresh(hint)
        self.stored[key] = name, array
        if array.ndim == 0:
            self.numbers.add(name)
        return name

    def number(self, value: float, dtype: DType) -> str:
        """A stored number."""
        return self.constant(np.asarray(value).astype(dtype.numpy))

    def ints(self, *values: int) -> str:
        """A stored vector of axes, steps or such."""
        return self.constant(np.array(values, np.int64))

    # -- sizes ----------------------------------------------------------------------------

    def size(self, size: Size) -> str:
        """A size as an int64 of rank 0."""
        if not isinstance(size, Poly):
            return self.constant(np.array(size, np.int64))
        if size not in self._sizes:
            self._sizes[size] = self._dim(size) if isinstance(size, Dim) else self._sum(size)
        return self._sizes[size]

    def sizes(self, sizes: Sequence[Size]) -> str:
        """Sizes as an int64 vector."""
        if all(isinstance(s, int) for s in sizes):
            return self.ints(*[int(s) for s in sizes])  # type: ignore[arg-type]
        zero = self.ints(0)
        parts = [self.op("Unsqueeze", self.size(s), zero, hint="size") for s in sizes]
        return str(self.op("Concat", *parts, axis=0, hint="shape"))

    def _sum(self, size: Poly) -> str:
        total: str | None = None
        for monomial, coefficient in size.terms:
            factors = [self._atom(atom) for atom in monomial]
            if coefficient != 1 or not factors:
                factors.append(self.size(coefficient))
            term = factors[0]
            for factor in factors[1:]:
                term = self.op("Mul", term, factor, hint="size")
            total = term if total is None else self.op("Add", total, term, hint="size")
        assert total is not None
        return total

    def _atom(self, atom: Dim | FloorDiv | MinSize) -> str:
        if isinstance(atom, Dim):
            return self.size(atom)
        if isinstance(atom, MinSize):
            return str(self.op("Min", *map(self.size, atom.sizes), hint="size"))
        numerator, denominator = self.size(atom.numerator), self.size(atom.denominator)
        # sizes are not negative: what rounds towards 0 rounds down
        return str(self.op("Div", numerator, denominator, hint="size"))

    def _dim(self, dim: Dim) -> str:
        """A dim, read from the shape of an input."""
        for node in self.inputs:
            for axis, size in enumerate(node.type.shape):
                found = _linear(size, dim)
                if found is None:
                    continue
                factor, rest = found
                whole = self.op("Shape", self._input(node), start=axis, end=axis + 1)
                value = self.op("Squeeze", whole, self.ints(0), hint=dim.name)
                if rest:
                    value = self.op("Sub", value, self.size(rest), hint=dim.name)
                return value if factor == 1 else str(self.op("Div", value, self.size(factor)))
        raise UnsupportedError(f"onnx.save: no input says how large the dim {dim.name} is")

    def _input(self, node: Node) -> str:
        """The name of an input of the outermost graph."""
        writer = self
        while writer.around is not None:
            writer = writer.around
        return writer.values[node]

    # -- types ----------------------------------------------------------------------------

    def cast(self, x: str, dtype: DType) -> str:
        """Elements of another type."""
        return str(self.op("Cast", x, to=number_of(dtype)))

    def declared(self, name: str, type: TensorType) -> Any:
        """The declaration of an input or output; sizes that are not known have names."""
        sizes = [s if isinstance(s, int) else str(s) for s in type.shape]
        return helper.make_tensor_value_info(name, number_of(type.dtype), sizes)


def in_wider_type(node: Node) -> Node | None:
    """An op through float32 or int64 where ONNX has it for wider numbers only, else None.

    A wider number keeps the low bits that the narrower one would have.
    """
    if not isinstance(node.op, Elementwise) or isinstance(node.op, (Cast, *IDENTITY_OPS)):
        return None
    types = [i.type.dtype for i in node.inputs]
    if bfloat16 in types:
        wider = float32
    elif isinstance(node.op, (Neg, Pow)) and types[0].is_integer and types[0] not in SIGNED:
        wider = int64
    else:
        return None
    narrow = types[-1]
    xs = [apply(Cast(wider), i) if i.type.dtype == narrow else i for i in node.inputs]
    y = apply(node.op, *xs)
    return apply(Cast(narrow), y) if y.type.dtype == wider else y


def _linear(size: Size, dim: Dim) -> tuple[int, int] | None:
    """(a, b) where the size is a * dim + b."""
    if not isinstance(size, Poly) or dims_of(size) != (dim,):
        return None
    terms = dict(size.terms)
    factor, rest = terms.pop((dim,), 0), terms.pop((), 0)
    return (factor, rest) if factor > 0 and not terms else None


def living(nodes: Sequence[NodeProto], outputs: Iterable[str]) -> list[NodeProto]:
    """The nodes that outputs need."""
    read, kept = set(outputs), []
    for node in reversed(nodes):
        if not read.isdisjoint(node.output):
            kept.append(node)
            read.update(all_inputs([node]))
    return kept[::-1]


def all_inputs(nodes: Iterable[NodeProto]) -> list[str]:
    """What nodes read, also inside the graphs that they hold, and the outputs of those."""
    found: list[str] = []
    for node in nodes:
        found += node.input
        for attribute in node.attribute:
            if attribute.HasField("g"):
                found += all_inputs(attribute.g.node)
                found += [o.name for o in attribute.g.output]
    return found
