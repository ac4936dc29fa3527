"""The tensors inside a step that people look at: parameters, gradients, what layers give."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from graphc import origin as origins
from graphc.errors import ArgumentError
from graphc.frontend.autodiff import grad
from graphc.frontend.parameter import Parameter
from graphc.frontend.tensor import Tensor, handle
from graphc.ir.graph import Node, topological
from graphc.ir.ops import leaf
from graphc.ir.ops.activation import Relu
from graphc.ir.ops.training import StateUpdate
from graphc.ir.precision import FULL
from graphc.metrics.distributions import OfOne
from graphc.optim.base import reachable
from graphc.runtime.function import CompiledFunction, compile


def taps(
    what: Any,
    parameters: bool = True,
    gradients: bool = True,
    activations: bool = True,
    match: str = "*",
) -> dict[str, Tensor]:
    """The tensors behind a loss, by name: "dense/kernel", "dense/kernel/gradient", "dense/output".

    `what` is a loss, or a compiled step (with every loss that it minimises). What a layer gives is
    what others use of it; that of functions without a layer is there for ReLUs: "dense/relu". They
    are ordinary tensors: outputs for `gx.compile`, or watched by metrics in the step itself:

        watched = [gx.metrics.Histogram(name).update(t) for name, t in gx.taps(loss).items()]
        step = gx.compile([x, y], {"loss": loss}, [optimizer.minimize(loss), *watched])

    `match` chooses names by a pattern of `*` and `?`. What happens inside of loops is not seen.
    """
    found: dict[str, Tensor] = {}
    minimized = _minimized(what)
    for _, trained in minimized if parameters else ():
        found |= {p.name: p for p in trained}
    for loss, trained in minimized if gradients else ():
        named = zip(trained, grad(loss, list(trained))) if trained else ()
        found |= {f"{p.name}/gradient": gradient for p, gradient in named}
    losses = [loss for loss, _ in minimized]
    for name, node in _activations(losses) if activations else ():
        found[_free(found, name)] = handle(node)
    return {name: tensor for name, tensor in found.items() if fnmatchcase(name, match)}


def rectified(what: Any) -> dict[str, Tensor]:
    """What every ReLU gives that is computed from inputs, by the name of its layer."""
    found: dict[str, Tensor] = {}
    nodes = _forward([loss for loss, _ in _minimized(what)])
    for node in nodes:
        if isinstance(node.op, Relu):
            found[_free(found, _relu_name(node))] = handle(node)
    return found


def probe(step: CompiledFunction, watched: list[tuple[OfOne, Tensor]]) -> CompiledFunction:
    """A function of the step's inputs that shows metrics what the step would see.

    It is compiled as for training, so dropout drops; but it leaves statistics alone.
    """
    updates: list[Any] = [metric.update(tensor) for metric, tensor in watched]
    marks = topological([tensor.node for _, tensor in watched])
    kept = {n.inputs[1] for n in marks if isinstance(n.op, StateUpdate)}
    updates[0] |= {handle(node): handle(node) for node in kept}
    options = step.options
    return compile(
        [handle(node) for node in step.graph.inputs], {}, updates, mode="train",
        target=options.target, threads=options.threads, cast=options.cast, name="probe",
        # A loss scale is there for updates; without them float32 keeps small gradients.
        precision=FULL if options.precision.scales else options.precision,
    )  # fmt: skip


def _minimized(what: Any) -> list[tuple[Tensor, Sequence[Parameter]]]:
    """The loss, or those of a step, with their parameters; without any, outputs of rank 0."""
    if isinstance(what, Tensor):
        return [(what, reachable(what))]
    if not isinstance(what, CompiledFunction):
        raise ArgumentError(
            f"taps: needs a loss or what gx.compile returns, got {what!r:.60}",
            origin=origins.find_origin(),
        )
    if what.losses:
        return list(what.losses)
    outputs = [handle(node) for _, node in what.graph.outputs]
    return [(output, () if output.ndim else reachable(output)) for output in outputs]


def _forward(losses: list[Tensor]) -> list[Node]:
    """The nodes that are computed from inputs."""
    moving: set[Node] = set()
    found = []
    for node in topological(loss.node for loss in losses):
        if isinstance(node.op, leaf.Input) or not moving.isdisjoint(node.inputs):
            moving.add(node)
            found.append(node)
    return found


def _activations(losses: list[Tensor]) -> Iterator[tuple[str, Node]]:
    """What is used of a layer's results outside of it, and ReLUs that stand in no layer."""
    nodes = _forward(losses)
    leaving = {n for loss in losses for n in (loss.node,)}
    for node in nodes:
        leaving |= {i for i in node.inputs if i.origin.scope != node.origin.scope}
    for node in nodes:
        scope, floats = node.origin.scope, node.type.dtype.is_float
        if not floats or not node.type.ndim or isinstance(node.op, leaf.Input):
            continue
        if isinstance(node.op, Relu) and node.inputs[0].origin.scope != (scope or None):
            yield _relu_name(node), node
        elif scope and node in leaving:
            yield f"{scope}/output", node


def _relu_name(node: Node) -> str:
    """The layer that a ReLU is in, or follows; else its line."""
    before = node.inputs[0]
    if before.origin.scope == node.origin.scope and before.origin.scope:
        return before.origin.scope
    while not before.origin.scope and before.inputs:
        before = before.inputs[0]
    if before.origin.scope:
        return f"{before.origin.scope}/relu"
    return f"relu {Path(node.origin.filename).name}:{node.origin.line}"


def _free(taken: dict[str, Tensor], name: str) -> str:
    """A name that is not taken."""
    free, number = name, 1
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    return free
