"""Reverse mode: gradients are ordinary tensors, so they can be differentiated again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from graphc import origin as origins
from graphc.errors import ArgumentError, GradientError, VerifyError
from graphc.frontend.autodiff.array_functions import TensorFunctions
from graphc.frontend.autodiff.loops import Start, scan_cotangents
from graphc.frontend.autodiff.masked import Conditions, Cotangent, MaskTerms, add_cotangents
from graphc.frontend.autodiff.masked_rules import Contributions, masked_contributions
from graphc.frontend.lifting import promote_lifted
from graphc.frontend.substitute import substitute
from graphc.frontend.tensor import Tensor, handle, lift, lift_op, literal, zeros_like
from graphc.ir import graph as graphs
from graphc.ir.graph import Node, topological
from graphc.ir.ops import leaf
from graphc.ir.ops.elementwise_logic import Where
from graphc.ir.ops.loop import Scan, loop_key, merged
from graphc.ir.ops.matrix import Matrix
from graphc.ir.ops.op import ArrayFunctions
from graphc.ir.precision import FULL
from graphc.ir.structure import flatten, flatten_like

UNREACHABLE = ("error", "zero")


def grad(loss: Tensor, wrt: Any, unreachable: str = "error") -> Any:
    """The gradient of a scalar with respect to tensors, structured like `wrt`.

    Raises GradientError when the loss is no scalar float, when a tensor of `wrt` holds no
    floats, and (unless `unreachable="zero"`) when the loss does not depend on one of them.
    """
    _check_loss(loss)
    return vjp(loss, wrt, literal(1.0, loss.dtype), unreachable)


def vjp(outputs: Any, wrt: Any, cotangents: Any, unreachable: str = "error") -> Any:
    """The cotangents of `wrt` (structured like it), given those of `outputs` (like them)."""
    if unreachable not in UNREACHABLE:
        raise ArgumentError(
            f'unreachable must be "error" or "zero", got {unreachable!r}',
            origin=origins.find_origin(),
        )
    ys, structure = flatten(outputs)
    dys = flatten_like(structure, cotangents, "cotangents")
    xs, wanted = flatten(wrt)
    for x in xs:
        _check_wrt(x)
    seeds = [_check_cotangent(y, dy) for y, dy in zip(ys, dys)]
    backward = Backward([y.node for y in ys], [x.node for x in xs])
    backward.run(seeds)
    return wanted.build([backward.result(x, unreachable) for x in xs])


def pushed(ys: Sequence[Tensor], xs: Sequence[Tensor], dxs: Sequence[Tensor]) -> list[Tensor]:
    """The tangents of `ys`, given those of `xs`; zeros for those that do not depend on `xs`.

    A vjp is linear in its cotangents, so its own vjp with respect to them is the jvp.
    """
    seeds = [lift_op(leaf.Input(f"cotangent {i}", y.type)) for i, y in enumerate(ys)]
    pulled = vjp(ys, xs, seeds, unreachable="zero")
    tangents = vjp(pulled, seeds, dxs, unreachable="zero")
    found: list[Tensor] = substitute(tangents, {seed: zeros_like(seed) for seed in seeds})
    return found


# What every gradient rule is handed; the annotation has mypy compare it with the protocols.
FUNCTIONS: ArrayFunctions[Tensor] = TensorFunctions(lambda y, x, dx: pushed([y], [x], [dx])[0])


class Backward:
    """Cotangents of nodes, from the last to the first, along the paths that lead to `wrt`.

    `masked_wrt` are the nodes of `wrt` whose cotangent masks are needed.
    """

    def __init__(
        self, roots: Sequence[Node], wrt: Sequence[Node], masked_wrt: Collection[Node] = ()
    ) -> None:
        self.masked_wrt = frozenset(masked_wrt)
        self.roots = tuple(roots)
        self.order = topological(roots)
        self.wrt = frozenset(wrt)
        self.cotangents: dict[Node, Cotangent] = {}
        self.conditions = Conditions()
        self.needs_grad = self._find_needs_grad()
        self._loops = self._results_of_loops()

    def _find_needs_grad(self) -> set[Node]:
        """The differentiable nodes that depend on a tensor of `wrt`."""
        needs_grad: set[Node] = set()
        for node in self.order:
            if node.type.dtype.is_float and node.op.differentiable:
                for i in node.inputs:
                    if i in needs_grad or i in self.wrt:
                        needs_grad.add(node)
                        break
        return needs_grad

    def run(self, seeds: Sequence[Node], masks: Sequence[MaskTerms] | None = None) -> None:
        """Propagate the cotangents of the roots; what is built inherits origin, not name.

        `masks` are the masks of the seeds: elements outside are 0.
        """
        known = masks or [()] * len(seeds)
        for root, seed, terms in zip(self.roots, seeds, known):
            with origins.inherit(step_part=origins.BACKWARD):
                self._add(root, Cotangent(handle(seed), terms, frozenset(terms)))
        for node in reversed(self.order):
            if node in self.needs_grad and self._has_cotangent(node):
                with origins.inherit(node.origin, origins.BACKWARD):
                    self._visit(node)

    def _has_cotangent(self, node: Node) -> bool:
        if not isinstance(node.op, Scan):
            return node in self.cotangents
        group = self._loops[loop_key(node)]
        return group[0] is node and any(n in self.cotangents for n in group)

    def _visit(self, node: Node) -> None:
        """Add a node's contributions to the cotangents of its inputs."""
        found = self._contributions(node)
        if len(found) != len(node.inputs):
            count = len(node.inputs)
            raise VerifyError(f"{node!r}: vjp gave {len(found)} values for {count} inputs")
        for i, contribution in zip(node.inputs, found):
            if contribution is not None and (i in self.needs_grad or i in self.wrt):
                self._add(i, contribution)

    def _contributions(self, node: Node) -> Contributions:
        """The contributions of a node to its inputs."""
        if isinstance(node.op, Scan):
            return self._loop_contributions(node)
        dy = self.cotangents[node]
        if isinstance(node.op, Where) and node.op.guarded:
            return self._branches(node, dy)
        if isinstance(node.op, Matrix):
            with FULL:  # rules of factorisations are as exact as these
                return self._pulled(node, dy)
        return self._pulled(node, dy)

    def _pulled(self, node: Node, dy: Cotangent) -> Contributions:
        """What an op's own rule makes of its cotangent."""
        if dy.terms:
            return masked_contributions(FUNCTIONS, node, dy)
        found = node.op.vjp(FUNCTIONS, handle(node), dy.raw, *(handle(i) for i in node.inputs))
        return [None if x is None else Cotangent(x) for x in found]

    def _branches(self, node: Node, dy: Cotangent) -> Contributions:
        """Mask the cotangent of each branch with the condition."""
        found: Contributions = [None]
        for positive in (True, False):
            more = self.conditions.terms(node.inputs[0], positive)
            if more is None:
                found.append(Cotangent(zeros_like(dy.raw)))
            else:
                new = tuple(t for t in more if t not in dy.terms)
                found.append(Cotangent(dy.raw, (*dy.terms, *new), dy.clean))
        return found

    def _results_of_loops(self) -> dict[tuple[Any, ...], list[Node]]:
        """The results of each loop that a cotangent can go through, the first one first."""
        found: dict[tuple[Any, ...], list[Node]] = {}
        for node in self.order:
            if isinstance(node.op, Scan) and node in self.needs_grad:
                found.setdefault(loop_key(node), []).append(node)
        return found

    def _loop_contributions(self, node: Node) -> Contributions:
        """All results of a loop are differentiated together; several nodes can be one result."""
        group = [n for n in self._loops[loop_key(node)] if n in self.cotangents]
        ops = [n.op for n in group if isinstance(n.op, Scan)]
        body, indices = merged(ops)
        given: dict[int, Cotangent] = {}
        for n, index in zip(group, indices):
            contribution = self.cotangents[n]
            given[index] = (
                add_cotangents(given[index], contribution) if index in given else contribution
            )
        whole = replace(ops[0], body=body)
        wanted = [i in self.needs_grad or i in self.masked_wrt for i in node.inputs]
        return scan_cotangents(whole, given, node.inputs, wanted, propagated)

    def _add(self, node: Node, contribution: Cotangent) -> None:
        if contribution.raw.type != node.type:
            raise VerifyError(f"the cotangent of {node!r} is {contribution.raw.type}")
        old = self.cotangents.get(node)
        self.cotangents[node] = contribution if old is None else add_cotangents(old, contribution)

    def result(self, x: Tensor, unreachable: str) -> Tensor:
        """The gradient of one tensor; zeros or an error when there is none."""
        found = self.cotangents.get(x.node)
        if found is not None:
            with origins.inherit(x.node.origin, origins.BACKWARD):
                return found.value
        if unreachable == "zero":
            with origins.inherit(step_part=origins.BACKWARD):
                return zeros_like(x)
        raise self._unreachable(x)

    def _unreachable(self, x: Tensor) -> GradientError:
        """The error that names the op at which the path from x to the roots is lost."""
        name = x.name or x.node.op.name
        users, lost = {x.node}, None
        for node in self.order:
            if users.isdisjoint(node.inputs):
                continue
            users.add(node)
            if lost is None and self._loses(node, users):
                lost = node
        if users.isdisjoint(self.roots):
            text = f"grad: the loss does not depend on {name}"
        elif lost is None:
            text = f"grad: no gradient reaches {name}"
        else:
            through = lost.op.name
            text = f"grad: the loss depends on {name} only through {through}, which has no gradient"
        operands = graphs.describe((x.node,))
        if lost is not None:
            operands += (("lost at", f"{lost.name or lost.op.name} {lost.type}", lost.origin),)
        return GradientError(
            text,
            operands=operands,
            origin=origins.find_origin(),
            hint='unreachable="zero" gives zeros instead',
        )

    def _loses(self, node: Node, users: set[Node]) -> bool:
        """Whether a node that depends on x passes no cotangent on to it."""
        if not node.op.differentiable or not node.type.dtype.is_float:
            return True
        given = any(i in self.cotangents for i in node.inputs if i in users)
        return node in self.cotangents and not given


def propagated(
    seeds: Sequence[Start], wrt: Sequence[Node], masked_wrt: Collection[Node]
) -> tuple[dict[Node, Cotangent], bool]:
    """The cotangents of `wrt`, and whether there were branches: `Backward` for bodies of loops."""
    backward = Backward([root for root, _, _ in seeds], wrt, masked_wrt)
    backward.run([dy for _, dy, _ in seeds], [terms for _, _, terms in seeds])
    found = {n: dy for n, dy in backward.cotangents.items() if n in backward.wrt}
    return found, bool(backward.conditions.predicates)


def _check_loss(loss: Any) -> None:
    if not isinstance(loss, Tensor):
        raise ArgumentError(
            f"grad: the loss must be a tensor, got {type(loss).__name__}",
            origin=origins.find_origin(),
        )
    if loss.ndim or not loss.dtype.is_float:
        hint = "take its .mean() or .sum()" if loss.ndim else "a loss is a float"
        raise GradientError(
            f"grad: the loss must be a scalar float, got {loss.type}",
            operands=graphs.describe((loss.node,)),
            origin=origins.find_origin(),
            hint=hint,
        )


def _check_wrt(x: Any) -> None:
    if not isinstance(x, Tensor):
        raise ArgumentError(
            f"grad: needs tensors to differentiate with respect to, got {type(x).__name__}",
            origin=origins.find_origin(),
        )
    if not x.dtype.is_float:
        raise GradientError(
            f"grad: {x.name or x.node.op.name} is {x.type}: only floats have gradients",
            operands=graphs.describe((x.node,)),
            origin=origins.find_origin(),
        )


def _check_cotangent(y: Any, dy: Any) -> Node:
    if not isinstance(y, Tensor):
        raise ArgumentError(
            f"vjp: outputs must be tensors, got {type(y).__name__}", origin=origins.find_origin()
        )
    dy = promote_lifted("vjp", [lift(dy, y.dtype)], y.dtype)[0]
    if dy.type != y.type:
        raise GradientError(
            f"vjp: the cotangent of {y.name or y.node.op.name} must be {y.type}, got {dy.type}",
            operands=graphs.describe((y.node, dy.node)),
            origin=origins.find_origin(),
        )
    node: Node = dy.node
    return node
