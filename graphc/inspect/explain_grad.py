"""Write each gradient of a loss as terms, with the shapes of what is multiplied."""

from __future__ import annotations

from typing import Any

from graphc import origin as origins
from graphc.errors import ArgumentError
from graphc.frontend.autodiff import grad
from graphc.frontend.parameter import Parameter
from graphc.frontend.tensor import Tensor, handle
from graphc.inspect.graph_printer import expression
from graphc.inspect.names import is_bound, is_number, number_text
from graphc.ir.graph import Node, topological
from graphc.ir.structure import flatten


def explain_grad(loss: Tensor, wrt: Any = None) -> str:
    """Say for each tensor what its gradient is the sum of: products, their operands, all shapes.

    `wrt` are the trainable parameters that the loss reaches unless given. `d y` is the gradient
    of the loss with respect to y. A term has the shape of the tensor: operands whose shapes do not
    lead there are multiplied in the wrong order. Raises GradientError for a loss that is no scalar,
    and ArgumentError where it reaches no parameter.
    """
    wanted = _wanted(loss, wrt)
    inner = _between(loss, wanted)
    found = grad(loss, [*wanted, *map(handle, inner)], unreachable="zero")
    slopes: dict[Node, Node] = {}
    for slope, node in zip(found[len(wanted) :], inner):
        slopes.setdefault(slope.node, node)  # a sum has the slope of its terms: it gives the name
    names = _names(loss)
    return "\n".join(
        line for t, g in zip(wanted, found) for line in _gradient(t.node, g.node, slopes, names)
    )


def _wanted(loss: Tensor, wrt: Any) -> list[Tensor]:
    if wrt is not None:
        return [_tensor(t) for t in flatten(wrt)[0]]
    handles = [n.handle for n in topological([loss.node]) if is_bound(n)]
    found = [p for p in handles if isinstance(p, Parameter) and p.trainable]
    if not found:
        raise ArgumentError(
            "explain_grad: the loss reaches no trainable parameter",
            origin=origins.find_origin(),
            hint="name the tensors: explain_grad(loss, [x])",
        )
    return list(dict.fromkeys(found))


def _tensor(t: object) -> Tensor:
    if not isinstance(t, Tensor):
        raise ArgumentError(
            f"explain_grad: wrt must be tensors, got {t!r:.60}", origin=origins.find_origin()
        )
    return t


def _between(loss: Tensor, wanted: list[Tensor]) -> list[Node]:
    """The floats that the loss is computed from by way of the tensors, the loss first."""
    reached = {t.node for t in wanted}
    between = []
    for node in topological([loss.node]):
        if node in reached or not any(i in reached for i in node.inputs):
            continue
        reached.add(node)
        if node.type.dtype.is_float:
            between.append(node)
    return between[::-1]


def _names(loss: Tensor) -> dict[Node, str]:
    """A name for every node of the forward graph: its own, or its op's with a number."""
    names: dict[Node, str] = {}
    counts: dict[str, int] = {}
    for node in topological([loss.node]):
        name = node.name or node.op.name
        if is_number(node):
            names[node] = number_text(node)
            continue
        counts[name] = counts.get(name, 0) + 1
        names[node] = name if counts[name] == 1 else f"{name}_{counts[name] - 1}"
    return names


def _gradient(
    node: Node, gradient: Node, slopes: dict[Node, Node], names: dict[Node, str]
) -> list[str]:
    """The lines about one tensor: each term of its gradient, and the operands under it."""
    title = f"d {names.get(node, node.name or node.op.name)}  {gradient.type}"
    lines = []
    for i, term in enumerate(_terms(gradient, slopes)):
        operands: dict[str, Node] = {}
        text = _expression(term, slopes, names, operands)
        lines.append(f"{title if i == 0 else ' ' * len(title)} {'+' if i else '='} {text}")
        width = max(map(len, operands), default=0)
        lines += [f"    {n:<{width}}  {o.type}  {_line(o)}".rstrip() for n, o in operands.items()]
    return lines


def _terms(gradient: Node, slopes: dict[Node, Node]) -> list[Node]:
    """What a gradient adds up: one term for each use of the tensor."""
    terms, rest = [], [gradient]
    while rest:
        node = rest.pop()
        if node.op.name == "add" and node.step_part == "backward" and node not in slopes:
            rest += node.inputs[::-1]
        else:
            terms.append(node)
    return terms


def _expression(
    node: Node, slopes: dict[Node, Node], names: dict[Node, str], operands: dict[str, Node]
) -> str:
    """An expression of forward values and slopes, which it notes with their names."""
    if node in slopes:
        name = f"d {names[slopes[node]]}"
    elif node in names:
        name = names[node]
    elif is_number(node):
        return number_text(node)
    elif not node.inputs:
        return node.name or node.op.name
    else:
        given = {i: _expression(i, slopes, names, operands) for i in node.inputs}
        return expression(node, given)
    if not is_number(node):
        operands[name] = slopes.get(node, node)
    return name


def _line(node: Node) -> str:
    return f"{node.origin}  {node.origin.text}".rstrip()
