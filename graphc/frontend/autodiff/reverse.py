"""Reverse mode: gradients as ordinary tensors, so that they differentiate again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from graphc import origin as origins
from graphc.errors import ArgumentError, GradientError, VerifyError
from graphc.frontend.autodiff.array_functions import TensorFunctions
from graphc.frontend.autodiff.chosen import Conditions, Cotangent, Terms, both
from graphc.frontend.autodiff.chosen_rules import Shares, shares
from graphc.frontend.autodiff.loops import Start, scan_cotangents
from graphc.frontend.lifting import settled
from graphc.frontend.substitute import substitute
from graphc.frontend.tensor import Tensor, face, lift, lift_op, literal, zeros_like
from graphc.ir import graph as graphs
from graphc.ir.graph import Node, topological
from graphc.ir.ops import leaf
from graphc.ir.ops.elementwise_logic import Where
from graphc.ir.ops.loop import Scan, loop_key, merged
from graphc.ir.ops.op import ArrayFunctions
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
    starts = [_check_cotangent(y, dy) for y, dy in zip(ys, dys)]
    backward = Backward([y.node for y in ys], [x.node for x in xs])
    backward.run(starts)
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

    `told` are those of `wrt` of which it matters which elements of the cotangent count.
    """

    def __init__(
        self, roots: Sequence[Node], wrt: Sequence[Node], told: Collection[Node] = ()
    ) -> None:
        self.told = frozenset(told)
        self.roots = tuple(roots)
        self.order = topological(roots)
        self.wrt = frozenset(wrt)
        self.cotangents: dict[Node, Cotangent] = {}
        self.conditions = Conditions()
        self.carries = self._carrying()
        self._loops = self._results_of_loops()

    def _carrying(self) -> set[Node]:
        """The nodes that have a tensor of `wrt` among or beneath their inputs."""
        carries: set[Node] = set()
        for node in self.order:
            if node.type.dtype.is_float and node.op.differentiable:
                for i in node.inputs:
                    if i in carries or i in self.wrt:
                        carries.add(node)
                        break
        return carries

    def run(self, starts: Sequence[Node], counting: Sequence[Terms] | None = None) -> None:
        """Propagate the cotangents of the roots; what is built inherits origin, not name.

        `counting` says of the starts which of their elements count; the others are 0.
        """
        known = counting or [()] * len(starts)
        for root, start, terms in zip(self.roots, starts, known):
            with origins.inherit(part=origins.BACKWARD):
                self._add(root, Cotangent(face(start), terms, frozenset(terms)))
        for node in reversed(self.order):
            if node in self.carries and self._has_cotangent(node):
                with origins.inherit(node.origin, origins.BACKWARD):
                    self._visit(node)

    def _has_cotangent(self, node: Node) -> bool:
        if not isinstance(node.op, Scan):
            return node in self.cotangents
        group = self._loops[loop_key(node)]
        return group[0] is node and any(n in self.cotangents for n in group)

    def _visit(self, node: Node) -> None:
        """Give every input of a node its share."""
        found = self._shares(node)
        if len(found) != len(node.inputs):
            count = len(node.inputs)
            raise VerifyError(f"{node!r}: vjp gave {len(found)} values for {count} inputs")
        for i, share in zip(node.inputs, found):
            if share is not None and (i in self.carries or i in self.wrt):
                self._add(i, share)

    def _shares(self, node: Node) -> Shares:
        """The shares of a node's inputs."""
        if isinstance(node.op, Scan):
            return self._loop_shares(node)
        dy = self.cotangents[node]
        if isinstance(node.op, Where) and node.op.guarded:
            return self._branches(node, dy)
        if dy.terms:
            return shares(FUNCTIONS, node, dy)
        found = node.op.vjp(FUNCTIONS, face(node), dy.raw, *(face(i) for i in node.inputs))
        return [None if x is None else Cotangent(x) for x in found]

    def _branches(self, node: Node, dy: Cotangent) -> Shares:
        """Each branch's share counts where it was chosen."""
        found: Shares = [None]
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
            if isinstance(node.op, Scan) and node in self.carries:
                found.setdefault(loop_key(node), []).append(node)
        return found

    def _loop_shares(self, node: Node) -> Shares:
        """All results of a loop are differentiated together; several nodes can be one result."""
        group = [n for n in self._loops[loop_key(node)] if n in self.cotangents]
        ops = [n.op for n in group if isinstance(n.op, Scan)]
        body, indices = merged(ops)
        given: dict[int, Cotangent] = {}
        for n, index in zip(group, indices):
            share = self.cotangents[n]
            given[index] = both(given[index], share) if index in given else share
        whole = replace(ops[0], body=body)
        wanted = [i in self.carries or i in self.told for i in node.inputs]
        return scan_cotangents(whole, given, node.inputs, wanted, propagated)

    def _add(self, node: Node, share: Cotangent) -> None:
        if share.raw.type != node.type:
            raise VerifyError(f"the cotangent of {node!r} is {share.raw.type}")
        old = self.cotangents.get(node)
        self.cotangents[node] = share if old is None else both(old, share)

    def result(self, x: Tensor, unreachable: str) -> Tensor:
        """The gradient of one tensor; zeros or an error when there is none."""
        found = self.cotangents.get(x.node)
        if found is not None:
            with origins.inherit(x.node.origin, origins.BACKWARD):
                return found.value
        if unreachable == "zero":
            with origins.inherit(part=origins.BACKWARD):
                return zeros_like(x)
        raise self._unreachable(x)

    def _unreachable(self, x: Tensor) -> GradientError:
        """Say where the path from x to the roots is lost, or that there is none."""
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
    starts: Sequence[Start], wrt: Sequence[Node], told: Collection[Node]
) -> tuple[dict[Node, Cotangent], bool]:
    """The cotangents of `wrt`, and whether there were branches: `Propagate` for loops."""
    backward = Backward([root for root, _, _ in starts], wrt, told)
    backward.run([dy for _, dy, _ in starts], [terms for _, _, terms in starts])
    found = {n: dy for n, dy in backward.cotangents.items() if n in backward.wrt}
    return found, bool(backward.conditions.facts)


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
    dy = settled("vjp", [lift(dy, y.dtype)], y.dtype)[0]
    if dy.type != y.type:
        raise GradientError(
            f"vjp: the cotangent of {y.name or y.node.op.name} must be {y.type}, got {dy.type}",
            operands=graphs.describe((y.node, dy.node)),
            origin=origins.find_origin(),
        )
    node: Node = dy.node
    return node
