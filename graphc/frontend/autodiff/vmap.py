"""`vmap`: vectorise a function of one example."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeAlias

from graphc import origin as origins
from graphc.errors import ArgumentError, AxisError, GraphcError, ShapeError
from graphc.frontend.batching.batcher import Batched, Batcher, moved
from graphc.frontend.batching.rules import find_rule
from graphc.frontend.lifting import promote_arguments
from graphc.frontend.tensor import Tensor, handle, lift
from graphc.ir import graph as graphs
from graphc.ir.dims import Size
from graphc.ir.graph import Node
from graphc.ir.ops import leaf
from graphc.ir.structure import Structure, flatten

# an axis, None, or a structure of them
Axes: TypeAlias = "int | Sequence[Axes] | Mapping[Any, Axes] | None"


def vmap(
    function: Callable[..., Any], in_axes: Axes = 0, out_axes: Axes = 0, size: Size | None = None
) -> Callable[..., Any]:
    """The function that applies `function` to every example along an axis of its arguments.

    `in_axes` says along which: an int for all arguments, None for arguments that all examples
    share, or a tuple with one entry for each argument, which may be nested like the argument.
    `out_axes` says, likewise, where the axis is in what is returned (None: it does not vary).
    Keyword arguments are shared. `size` is the number of examples, needed only where no argument
    has them. Random numbers drawn inside are independent from example to example.
    Raises ShapeError where two arguments have different numbers of examples.
    """

    @functools.wraps(function)
    def mapped(*arguments: Any, **keywords: Any) -> Any:
        leaves, structure = flatten(arguments)
        leaves = promote_arguments("vmap", leaves, (True for _ in leaves))
        axes = _axes(in_axes, structure, "in_axes")
        examples = Examples(size)
        given = [examples.one(value, axis, i) for i, (value, axis) in enumerate(zip(leaves, axes))]
        count = examples.count()
        with origins.collecting_random() as drawn:
            result = function(*structure.build(given), **keywords)
        values, returned = flatten(result)
        ends = _axes(out_axes, returned, "out_axes")
        batcher = Batcher(examples.nodes, count, {}, frozenset(drawn), find_rule)
        found = batcher.run(lift(value).node for value in values)
        return returned.build([_placed(batcher, *pair) for pair in zip(found, ends)])

    return mapped


@dataclass
class Examples:
    """The batched arguments by the placeholder of one example."""

    size: Size | None
    nodes: dict[Node, Node] = field(default_factory=dict)
    first: Node | None = None  # the argument that told the number of examples

    def one(self, value: Any, axis: int | None, position: int) -> Any:
        """What the function gets in place of an argument: one example of it."""
        if axis is None:
            return value
        x = lift(value).node
        front = _normalised(axis, x.type.ndim, f"vmap: argument {position}", x)
        self._compare(x, x.type.shape[front], position)
        many = moved(x, front, 0)
        name = x.name or f"argument_{position}"
        example = many.type.with_shape(many.type.shape[1:])
        node = graphs.apply(leaf.Input(name, example), name=name)
        self.nodes[node] = many
        return handle(node)

    def _compare(self, x: Node, count: Size, position: int) -> None:
        if self.size is None:
            self.size, self.first = count, x
        elif self.size != count:
            known = () if self.first is None else (self.first,)
            _fail(
                ShapeError,
                f"vmap: {self.size} examples, but {count} in argument {position}",
                *known,
                x,
            )

    def count(self) -> Size:
        """The number of examples."""
        if self.size is None:
            _fail(
                ArgumentError,
                "vmap: no argument has an axis of examples; give their number as size",
            )
        return self.size


def _placed(batcher: Batcher, value: Batched, axis: int | None) -> Tensor:
    """A result with the examples along the axis asked for."""
    node, varies = value
    if axis is None:
        if varies:
            _fail(ArgumentError, "vmap: out_axes is None for a result that varies", node)
        return handle(node)
    many = batcher.spread(value)
    end = _normalised(axis, many.type.ndim, "vmap: the result", many)
    return handle(moved(many, 0, end))


def _normalised(axis: Any, rank: int, what: str, x: Node) -> int:
    if isinstance(axis, bool) or not isinstance(axis, int):
        _fail(ArgumentError, f"vmap: axes are ints or None, got {axis!r}")
    if not -rank <= axis < rank:
        _fail(AxisError, f"{what}: axis {axis} is out of range for {x.type}", x)
    return axis % rank


def _axes(prefix: Any, structure: Structure, what: str) -> list[int | None]:
    """An axis for every leaf; an int or None stands for all leaves beneath it."""
    if not isinstance(prefix, (tuple, list, Mapping)):
        return [prefix] * structure.leaf_count
    children = dict(prefix) if isinstance(prefix, Mapping) else dict(enumerate(prefix))
    if structure.kind is None or set(children) != set(structure.keys):
        _fail(ArgumentError, f"vmap: {what} must be structured like {structure}, got {prefix!r}")
    pairs = zip(structure.keys, structure.children)
    return [axis for key, child in pairs for axis in _axes(children[key], child, what)]


def _fail(kind: type[GraphcError], text: str, *nodes: Node) -> NoReturn:
    raise kind(text, operands=graphs.describe(nodes), origin=origins.find_origin())
