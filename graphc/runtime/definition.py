"""Turn the arguments of `compile` into a checked graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from graphc import origin as origins
from graphc.compiler.modes import resolve_mode
from graphc.compiler.precision import round_operands
from graphc.errors import ArgumentError, DTypeError, GraphcError, NameError, ShapeError
from graphc.frontend.parameter import Parameter
from graphc.frontend.symbols import check_name
from graphc.frontend.tensor import Tensor, lift
from graphc.ir import graph as graphs
from graphc.ir.arrays import label
from graphc.ir.dims import Dim, Size
from graphc.ir.graph import Graph, Node
from graphc.ir.ops import leaf
from graphc.ir.precision import FULL, Precision
from graphc.ir.sizes import unbindable
from graphc.ir.structure import Structure, flatten
from graphc.runtime.loss_scale import find_scaling

Updates = Mapping[Parameter, Tensor]
Losses = tuple[tuple[Tensor, tuple[Parameter, ...]], ...]  # as the user defined them


@dataclass(frozen=True, eq=False)
class Definition:
    """A checked graph, the structure of its outputs, and by name its parameters and its dims."""

    graph: Graph
    structure: Structure
    parameters: Mapping[str, Parameter]
    dims: Mapping[str, Dim]
    optimizer: Any = None
    metrics: tuple[Any, ...] = ()
    losses: Losses = ()


def define(
    inputs: object,
    outputs: object,
    updates: object,
    mode: str,
    name: str,
    precision: Precision = FULL,
) -> Definition:
    """Check everything that does not depend on the values of dims."""
    check_name("compile", name)
    nodes = check_inputs(inputs)
    leaves, structure = flatten(outputs)
    named = tuple(
        (output_name(path), check_output(value).node)
        for path, value in zip(structure.paths(), leaves)
    )
    merged, optimizer = merge_updates(updates)
    pairs = tuple((p.node, value.node) for p, value in merged.items())
    graph = Graph(nodes, named, pairs, name)
    scaling = find_scaling(graph, updates, precision) if pairs else None
    if scaling is None:
        graph = resolve_mode(graph, mode)
    else:
        graph = scaling.guard(resolve_mode(scaling.scale(graph), mode))
    graph = round_operands(graph, precision)
    check_fed(graph)
    dims = merge_dims(nodes)
    return Definition(
        graph, structure, find_parameters(graph), dims, optimizer, metrics_of(updates),
        losses_of(updates),
    )  # fmt: skip


def check_inputs(inputs: object) -> tuple[Node, ...]:
    """The nodes of a list of inputs with names of their own."""
    listed = [inputs] if isinstance(inputs, Tensor) else inputs
    if not isinstance(listed, (list, tuple)):
        raise _error(ArgumentError, f"inputs must be a list of gx.input, got {inputs!r}")
    seen: dict[str, Node] = {}
    for t in listed:
        if not isinstance(t, Tensor):
            raise _error(ArgumentError, f"inputs must be tensors, got {t!r}")
        if not isinstance(t.node.op, leaf.Input):
            text = f"{t.name or t.node.op.name} is no input"
            hint = "gx.input makes one; a parameter needs no feeding" if _is_leaf(t) else None
            raise _error(ArgumentError, text, t.node, hint=hint)
        other = seen.get(label(t.node))
        if other is t.node:
            raise _error(ArgumentError, f"input {t.name} is listed twice", t.node)
        if other is not None:
            raise _error(NameError, f"two inputs are called {t.name}", other, t.node)
        seen[label(t.node)] = t.node
    return tuple(seen.values())


def _is_leaf(t: Tensor) -> bool:
    return isinstance(t.node.op, leaf.Parameter)


def check_output(value: Any) -> Tensor:
    """A tensor, or a number or array as one."""
    try:
        return lift(value)
    except DTypeError:
        raise _error(ArgumentError, f"outputs must be tensors, got {value!r}") from None


def output_name(path: tuple[object, ...]) -> str:
    """The name of an output from its place in the structure."""
    if not path:
        return "output"
    first = f"output{path[0]}" if isinstance(path[0], int) else str(path[0])
    return "/".join([first, *map(str, path[1:])])


def merge_updates(updates: object) -> tuple[dict[Parameter, Tensor], Any]:
    """One mapping from a mapping or a list of them, and the optimiser that one of them has."""
    listed = updates if isinstance(updates, (list, tuple)) else [updates]
    merged: dict[Parameter, Tensor] = {}
    optimizers = []
    for mapping in listed:
        if mapping is None:
            continue
        if not isinstance(mapping, Mapping):
            raise _error(
                ArgumentError,
                f"updates must map parameters to tensors, got {type(mapping).__name__}",
            )
        for key, value in mapping.items():
            _add_update(merged, key, value)
        optimizer = getattr(mapping, "optimizer", None)
        if optimizer is not None:
            optimizers.append(optimizer)
    alone = len(optimizers) == 1
    return merged, optimizers[0] if alone else (tuple(optimizers) or None)


def metrics_of(updates: object) -> tuple[Any, ...]:
    """The metrics whose state is among the updates."""
    listed = updates if isinstance(updates, (list, tuple)) else [updates]
    return tuple(dict.fromkeys(m for part in listed for m in getattr(part, "metrics", ())))


def losses_of(updates: object) -> Losses:
    """The losses that were minimised for the updates, and the parameters of each."""
    listed = updates if isinstance(updates, (list, tuple)) else [updates]
    found = dict.fromkeys(m for part in listed for m in getattr(part, "losses", ()))
    return tuple((m.loss, m.parameters) for m in found)


def _add_update(merged: dict[Parameter, Tensor], key: object, value: Any) -> None:
    if not isinstance(key, Parameter):
        if not isinstance(key, Tensor):
            raise _error(ArgumentError, f"updates must have parameters as keys, got {key!r}")
        what = "an input" if isinstance(key.node.op, leaf.Input) else "computed"
        text = f"{key.name or key.node.op.name} is {what}: only parameters can be updated"
        raise _error(ArgumentError, text, key.node)
    new = lift(value, key.dtype)
    if new.dtype != key.dtype or new.shape != key.shape:
        error = DTypeError if new.dtype != key.dtype else ShapeError
        text = f"parameter {key.name} is {key.type}, its update is {new.type}"
        raise _error(error, text, key.node, new.node)
    if merged.get(key, new) is not new:
        text = f"parameter {key.name} is updated twice"
        raise _error(ArgumentError, text, merged[key].node, new.node)
    merged[key] = new


def find_parameters(graph: Graph) -> Mapping[str, Parameter]:
    """The parameters of a graph by name; raises when two have one name."""
    found: dict[str, Parameter] = {}
    for node in graph.leaves(leaf.Parameter):
        other = found.setdefault(label(node), node.handle)
        if other.node is not node:
            raise _error(
                NameError,
                f"two parameters are called {label(node)}",
                other.node,
                node,
                hint="build them under different scopes, or share one",
            )
    return MappingProxyType(found)


def merge_dims(inputs: Iterable[Node]) -> Mapping[str, Dim]:
    """The dims of the inputs by name, with the tightest bounds that any of them has."""
    found: dict[str, Dim] = {}
    for node in inputs:
        for dim in node.type.dims():
            old = found.get(dim.name, dim)
            bounds = [d.max for d in (old, dim) if d.max is not None]
            low, high = max(old.min, dim.min), min(bounds, default=None)
            if high is not None and high < low:
                text = f"dim {dim.name} is at least {low} and at most {high}"
                raise _error(ShapeError, text, node)
            found[dim.name] = Dim(dim.name, high, low)
    return MappingProxyType(found)


def check_fed(graph: Graph) -> None:
    """Raise when the graph needs an input that is not listed, or a size that no input has."""
    listed = set(graph.inputs)
    for node in graph.leaves(leaf.Input):
        if node not in listed:
            raise _error(
                NameError,
                f"input {label(node)} is needed but not among the inputs",
                node,
                hint=f"add {label(node)} to inputs",
            )
    known: set[Size] = set()
    for node in graph.nodes:
        fresh = [s for s in _sizes(node) if s not in known]
        missing = unbindable(graph.inputs, fresh) if fresh else None
        if missing is not None:
            text = f"dim {missing} is the size of no input: no call could tell it"
            raise _error(ShapeError, text, node)
        known.update(fresh)


def _sizes(node: Node) -> Iterable[Size]:
    sizes = node.type.shape
    return (*sizes, node.op.size) if isinstance(node.op, leaf.SizeOf) else sizes


def _error(
    kind: type[GraphcError], text: str, *nodes: Node, hint: str | None = None
) -> GraphcError:
    operands = tuple(
        (role, f"{n.name or n.op.name} {n.type}", place)
        for role, (_, _, place), n in zip(
            ("tensor", "and"), graphs.describe(nodes), nodes, strict=False
        )
    )
    return kind(f"compile: {text}", operands=operands, origin=origins.find_origin(), hint=hint)
