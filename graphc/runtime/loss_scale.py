"""Loss scaling: the updates of `minimize` are made again from a scaled loss, and guarded.

A step is all or nothing: where gradients are not finite, no parameter changes but the scale and
what counts (Micikevicius et al. 2018).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from graphc import origin as origins
from graphc.compiler.precision import marks
from graphc.errors import UnsupportedError
from graphc.frontend.functions.logic import logical_and
from graphc.frontend.parameter import Parameter
from graphc.frontend.tensor import Tensor
from graphc.ir.graph import Graph, Node, apply
from graphc.ir.ops.elementwise_logic import Where
from graphc.ir.ops.gather import Take
from graphc.ir.ops.indexing import SET, PutRows
from graphc.ir.ops.view import BroadcastTo
from graphc.ir.precision import Precision
from graphc.ir.rebuild import replace_nodes

FINITE = "finite"  # the output that says so, until the updates are guarded


class ScaledLoss(Protocol):
    """The updates of one loss, made with a scale but without a trace of it."""

    values: Mapping[Parameter, Tensor]
    finite: Tensor  # whether all gradients are


class MinimizedLoss(Protocol):
    """What `minimize` was asked for and returned; it can do so again."""

    values: Mapping[Parameter, Tensor]

    def scaled(self, precision: Precision) -> ScaledLoss:
        """The same by way of a scaled loss."""
        ...

    def next_scale(self, precision: Precision, finite: Tensor) -> Mapping[Parameter, Tensor]:
        """The optimiser's next scale, and what it counts."""
        ...


@dataclass(frozen=True)
class LossScaling:
    """What a step with scaled losses has in place of the updates that it was given."""

    replaced: Mapping[Node, Node]
    state: Mapping[Node, Node]
    finite: Node

    def scale(self, graph: Graph) -> Graph:
        """The graph with the updates of scaled losses, whatever reads them included."""
        found = replace_nodes(graph.roots, self.replaced)
        return replace(
            graph,
            outputs=(*((name, found[n]) for name, n in graph.outputs), (FINITE, self.finite)),
            updates=(*((p, found[n]) for p, n in graph.updates), *self.state.items()),
            _order=[],
        )

    def guard(self, graph: Graph) -> Graph:
        """The graph whose parameters stay as they are where a gradient is not finite."""
        (_, finite), free = graph.outputs[-1], self.state
        guarded = [
            (p, new if p in free or new is p else _chosen(finite, p, new))
            for p, new in graph.updates
        ]
        return replace(graph, outputs=graph.outputs[:-1], updates=tuple(guarded), _order=[])


def _chosen(finite: Node, old: Node, new: Node) -> Node:
    """The new value if everything is finite, else the old one; rows where only rows change."""
    with origins.inherit(new.origin, origins.UPDATE):
        if isinstance(new.op, PutRows) and new.op.mode == SET and new.inputs[0] is old:
            _, indices, rows = new.inputs
            rows = _select(finite, rows, apply(Take(), old, indices))
            return apply(new.op, old, indices, rows)
        return _select(finite, new, old)


def _select(finite: Node, x: Node, y: Node) -> Node:
    condition = apply(BroadcastTo(x.type.shape), finite) if x.type.shape else finite
    return apply(Where(), condition, x, y)


def find_scaling(graph: Graph, updates: Any, default: Precision) -> LossScaling | None:
    """The losses to scale: those of `minimize`, where some precision of a graph asks for it."""
    wanted = next((p for p in (default, *marks(graph.nodes)) if p.scales), None)
    if wanted is None:
        return None
    listed = updates if isinstance(updates, (list, tuple)) else [updates]
    losses: list[MinimizedLoss] = [m for u in listed for m in getattr(u, "losses", ())]
    if not losses and all(_only_counts(u) for u in listed):
        return None
    if not losses:
        raise UnsupportedError(
            f"compile: precision {wanted.name} scales the loss of minimize, and none of the updates"
            " is what minimize returned",
            origin=origins.find_origin(),
            hint="gx.precision(kind, loss_scale=1.0) takes gradients as they are; bf16 needs no"
            " scale",
        )
    return scale_losses(list(dict.fromkeys(losses)), wanted)


def _only_counts(updates: Any) -> bool:
    """Whether updates are those of metrics alone: there is no gradient to be scaled."""
    return bool(getattr(updates, "metrics", ())) and not updates.optimizers


def scale_losses(losses: Sequence[MinimizedLoss], precision: Precision) -> LossScaling:
    """Scale every loss; all scales go down where any gradient is not finite."""
    replaced: dict[Node, Node] = {}
    state: dict[Node, Node] = {}
    with origins.inherit(origins.find_origin(), origins.UPDATE):
        scaled = [loss.scaled(precision) for loss in losses]
        finite = functools.reduce(logical_and, [s.finite for s in scaled])
        finite_node = finite.node
        for loss, twin in zip(losses, scaled):
            replaced |= {loss.values[p].node: v.node for p, v in twin.values.items()}
            following = loss.next_scale(precision, finite)
            state |= {p.node: v.node for p, v in following.items()}
    # a loss may be one of parameters that another one has updated
    for _ in losses[1:]:
        found = replace_nodes([*replaced.values(), *state.values(), finite_node], replaced)
        replaced = {old: found[new] for old, new in replaced.items()}
        state = {p: found[new] for p, new in state.items()}
        finite_node = found[finite_node]
    return LossScaling(replaced, state, finite_node)
