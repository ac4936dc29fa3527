"""Backpropagation through time: the gradient of a scan is a scan.

The forward loop also stacks what its own gradient reads (the pass `merge_loops` makes one loop
of both); the reverse loop carries the cotangents of the carries. The cotangent of a value that
all iterations read is a sum over the iterations: where it is made of products and sums of things
that the loop can stack, it is one contraction after the loop, else it is carried along.

Where a cotangent comes through branches of `where`, which of its elements count is carried,
stacked and handed on like the cotangent itself (see `graphc.frontend.autodiff.masked`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from graphc.frontend import functions as fn
from graphc.frontend.autodiff.masked import (
    Cotangent,
    MaskTerms,
    reduced_mask,
    term_along,
    varying_axes,
)
from graphc.frontend.autodiff.masked_rules import with_terms
from graphc.frontend.functions.logic import choose
from graphc.frontend.loop_builder import LOOP_INVARIANT_LEAVES, LoopBuilder, placeholder
from graphc.frontend.tensor import Tensor, handle, zeros_like
from graphc.ir import graph as graphs
from graphc.ir.graph import Node, topological
from graphc.ir.ops import leaf
from graphc.ir.ops.base import Contract, Reduce, View
from graphc.ir.ops.elementwise import Add
from graphc.ir.ops.loop import Body, Scan
from graphc.ir.ops.reduce import Sum
from graphc.ir.rebuild import replace_nodes
from graphc.ir.types import TensorType, bool_, int64

Start = tuple[Node, Node, MaskTerms]  # a root, its cotangent, and which elements of that count
# Reverse mode of a body from some starts to the given nodes, some of which are told which elements
# count: their cotangents, and whether there were branches.
Propagate = Callable[
    [Sequence[Start], Sequence[Node], Collection[Node]], tuple[dict[Node, Cotangent], bool]
]


def scan_cotangents(
    op: Scan,
    cotangents: Mapping[int, Cotangent],
    inputs: Sequence[Node],
    wanted: Sequence[bool],
    propagate: Propagate,
) -> list[Cotangent | None]:
    """The contributions to a loop's inputs, given the cotangents of some of its results.

    Which elements of a share count is found out for those inputs that are `wanted`.
    """
    forward = _ForwardLoop(op, list(inputs))
    local = _BackwardIteration(op, cotangents, forward, wanted, propagate)
    return _BackwardLoop(op, forward, local, wanted).contributions()


@dataclass(eq=False)
class _ForwardLoop:
    """The forward loop, and rows that stand for its values in the reverse one."""

    op: Scan
    inputs: list[Node]
    stacks: dict[Node, Node] = field(default_factory=dict)  # row placeholder -> its stack
    _rows: dict[Node, Node] = field(default_factory=dict)  # forward value -> row placeholder

    def stand_in_for(self, value: Node) -> Node:
        """A node of the reverse body, or one outside, with the value of the same iteration."""
        views, value = _behind_views(value)
        return _apply_views(views, self._base(value))

    def _base(self, value: Node) -> Node:
        inputs, op = self.op.body.inputs, self.op
        position = inputs.index(value) if value in inputs else -1
        if position >= op.carries + op.scanned or isinstance(value.op, LOOP_INVARIANT_LEAVES):
            return self.inputs[position] if position >= 0 else value
        if position >= op.carries:
            return self.row(value, self.inputs[position])
        return self.row(value, None)

    def row(self, value: Node, stack: Node | None) -> Node:
        """A row placeholder for a value; without a stack, the forward loop makes one."""
        if value not in self._rows:
            name = f"saved_{len(self._rows)}"
            self._rows[value] = row = placeholder(name, value.type)
            self.stacks[row] = self._stacked(value) if stack is None else stack
        return self._rows[value]

    def _stacked(self, value: Node) -> Node:
        """One more result of the forward loop."""
        op = self.op
        body = Body(op.body.inputs, (*op.body.outputs, value))
        index = len(op.body.outputs)
        again = replace(op, body=body, index=index)
        return graphs.apply(again, *self.inputs)


@dataclass(frozen=True, eq=False)
class _FlowMask:
    """A carry of the backward loop: the mask of a carry's cotangent, along some of its axes."""

    holder: Node
    axes: tuple[int, ...]


class _BackwardIteration:
    """The cotangents of the body's inputs, in terms of rows and of the flowing cotangents."""

    def __init__(
        self,
        op: Scan,
        given: Mapping[int, Cotangent],
        forward: _ForwardLoop,
        wanted: Sequence[bool],
        propagate: Propagate,
    ) -> None:
        self.op, self.given, self.forward, self.wanted = op, given, forward, wanted
        self.propagate = propagate
        body = op.body
        self.carried = [i for i in range(op.carries) if body.inputs[i].type.dtype.is_float]
        self.flow = {i: placeholder(f"flow_{i}", body.outputs[i].type) for i in self.carried}
        self.rows = [self._row(k) for k in given if k >= op.carries]
        self.counts: dict[int, _FlowMask] = {}  # which elements of a flow count
        self.told = any(terms for _, _, terms in self.rows)  # whether any are told apart
        for i in self.carried:
            if i in given and given[i].terms:
                self._count(i, varying_axes(given[i].terms))
        while True:
            contributions, terms = self._differentiate()
            if not self._needs_larger_masks(terms):
                break
        small = {n: reduced_mask(t, n.type.shape, varying_axes(t)).node for n, t in terms.items()}
        self.spans = {n: varying_axes(t) for n, t in terms.items()}
        self.contributions, self.counted = self._replace(contributions, small)

    def _row(self, k: int) -> Start:
        """A stacked result, the row of its cotangent, and the mask of that row."""
        result, dy = self.op.body.outputs[k], self.given[k]
        row = placeholder(f"cotangent_{k}", result.type)
        self.forward.stacks[row] = dy.value.node
        if not dy.terms:
            return result, row, ()
        axes = varying_axes(dy.terms)
        known = reduced_mask(dy.terms, dy.raw.shape, axes).node
        if 0 in axes:
            stack, axes = known, axes[1:]
            known = placeholder(f"counting_{k}", stack.type.with_shape(stack.type.shape[1:]))
            self.forward.stacks[known] = stack
        return result, row, _at(known, tuple(a - 1 for a in axes))

    def _count(self, i: int, axes: tuple[int, ...]) -> None:
        """Add the mask of a carry's cotangent, along some axes."""
        type = self.flow[i].type
        small = type.with_dtype(bool_).with_shape(tuple(type.shape[a] for a in axes))
        self.counts[i] = _FlowMask(placeholder(f"counts_{i}", small), axes)

    def _needs_larger_masks(self, terms: dict[Node, MaskTerms]) -> bool:
        """Grow the masks to further carries or axes; whether any grew."""
        grown = False
        for i in self.carried:
            found = terms.get(self.op.body.inputs[i])
            known = self.counts.get(i)
            # once anything is told apart, a flow that starts with nothing is, too
            told = self.told and i not in self.given
            if found is None and not (told and known is None):
                continue
            axes = set(varying_axes(found or ())) | set(known.axes if known else ())
            if known is None or axes != set(known.axes):
                self._count(i, tuple(sorted(axes)))
                grown = True
        return grown

    def _differentiate(self) -> tuple[dict[Node, Node], dict[Node, MaskTerms]]:
        """The cotangents of the body's inputs, and of some of them which elements count."""
        body = self.op.body
        flows = [(body.outputs[i], flow, self._flow_terms(i)) for i, flow in self.flow.items()]
        seeds = [*flows, *self.rows]
        wrt = [n for n in body.inputs if n.type.dtype.is_float]
        asked = zip(body.inputs, self.wanted)
        told = {n for i, (n, yes) in enumerate(asked) if yes or i < self.op.carries}
        found, met = self.propagate(seeds, wrt, told)
        self.told |= met or bool(self.counts)
        contributions = {n: dy.value.node for n, dy in found.items()}
        return contributions, {n: dy.terms for n, dy in found.items() if dy.terms}

    def _flow_terms(self, i: int) -> MaskTerms:
        count = self.counts.get(i)
        return () if count is None else _at(count.holder, count.axes)

    def _replace(self, *found: dict[Node, Node]) -> list[dict[Node, Node]]:
        """Replace forward values that the cotangents read by stacked rows."""
        forward = {*self.op.body.nodes, *self.op.body.inputs}
        roots = [n for some in found for n in some.values()]
        read: dict[Node, None] = {}
        for node in topological(roots):
            if node not in forward:
                read |= dict.fromkeys(i for i in node.inputs if i in forward)
        read |= dict.fromkeys(n for n in roots if n in forward)
        new = {
            n: self.forward.stand_in_for(n)
            for n in read
            if not isinstance(n.op, LOOP_INVARIANT_LEAVES)
        }
        replaced = replace_nodes(roots, new)
        return [{n: replaced[c] for n, c in some.items()} for some in found]


class _BackwardLoop:
    """The backward loop."""

    def __init__(
        self, op: Scan, forward: _ForwardLoop, local: _BackwardIteration, wanted: Sequence[bool]
    ) -> None:
        self.op, self.forward, self.local = op, forward, local
        inputs = op.body.inputs
        rows, read = inputs[op.carries : op.carries + op.scanned], inputs[op.carries + op.scanned :]
        self.rows = [n for n in rows if n in local.contributions]
        self.sums = {n: _terms(local.contributions[n]) for n in read if n in local.contributions}
        asked = {n for n, yes in zip(inputs, wanted) if yes and n in local.counted}
        self.counted_rows = [n for n in self.rows if n in asked]
        self.counted_sums = [n for n in self.sums if n in asked]

    def contributions(self) -> list[Cotangent | None]:
        """The cotangents of all inputs; None where there is none."""
        terms = list(dict.fromkeys(t for terms in self.sums.values() for t in terms))
        count = self._count()
        late = [] if count is not None else [t for t in terms if _is_summation(t)]
        carried = [t for t in terms if t not in set(late)]
        flows = [self._next_flow(i) for i in self.local.carried]
        totals = [placeholder(f"total_{k}", t.type) for k, t in enumerate(carried)]
        sums = [graphs.apply(Add(), a, t) for a, t in zip(totals, carried)]
        seeds = [self._seed(i).node for i in self.local.carried]
        seeds += [zeros_like(handle(t)).node for t in carried]
        counts, later, first = self._counts()
        loop = LoopBuilder(
            [*self.local.flow.values(), *totals, *counts],
            [*seeds, *first],
            self.forward.stacks,
            self.op.length,
            not self.op.reverse,
            count=count,
        )
        rows = [self.local.contributions[n] for n in self.rows]
        known = [self.local.counted[n] for n in self.counted_rows]
        summed = [_behind_views(t) for t in late]  # a sum of views is the view of a sum
        bases = [base for _, base in summed]
        last, stacked = loop.build([*flows, *sums, *later], [*rows, *bases, *known])
        found = dict(zip(carried, last[len(flows) :]))
        for term, (views, _), stack in zip(late, summed, stacked[len(rows) :]):
            found[term] = _apply_views(views, graphs.apply(Sum((0,)), stack))
        contributions = self._collect(last[: len(flows)], stacked[: len(rows)], found)
        terms_of = self._terms_of(last[len(seeds) :], stacked[len(rows) + len(bases) :])
        return with_terms(contributions, terms_of, terms_of)

    def _counts(self) -> tuple[list[Node], list[Node], list[Node]]:
        """Which elements of flows and of sums count, as carries: what holds them, what comes
        next, and the first ones."""
        local = self.local
        holders, nexts, firsts = [], [], []
        for i, count in local.counts.items():
            holders.append(count.holder)
            nexts.append(self._next_count(i, count))
            firsts.append(self._first_count(i, count))
        for n in self.counted_sums:
            known = local.counted[n]
            holders.append(placeholder("counted", known.type))
            nexts.append(fn.logical_or(handle(holders[-1]), handle(known)).node)
            firsts.append(fn.zeros(known.type.shape, dtype="bool").node)
        return holders, nexts, firsts

    def _next_count(self, i: int, count: _FlowMask) -> Node:
        """The mask of a carry's cotangent before the iteration."""
        local, n = self.local, self.op.body.inputs[i]
        if n in local.counted:
            terms = _at(local.counted[n], local.spans[n])
            known = reduced_mask(terms, n.type.shape, count.axes)
        else:
            known = fn.full(count.holder.type.shape, n in local.contributions, dtype="bool")
        if self.op.truncate is not None:
            known = fn.logical_and(known, handle(self._continues()))
        return known.node

    def _first_count(self, i: int, count: _FlowMask) -> Node:
        """The mask of the cotangent of a last carry."""
        dy = self.local.given.get(i)
        if dy is not None and dy.terms:
            return reduced_mask(dy.terms, dy.raw.shape, count.axes).node
        return fn.full(count.holder.type.shape, dy is not None, dtype="bool").node

    def _count(self) -> Node | None:
        """How many iterations the forward loop made, where that is not its length."""
        op = self.op
        if op.counted:
            return self.forward.inputs[-1]
        if op.condition is None:
            return None
        index = op.condition + 1  # the carry behind the condition counts
        return graphs.apply(replace(op, index=index), *self.forward.inputs)

    def _seed(self, i: int) -> Tensor:
        """The cotangent of a last carry."""
        given = self.local.given.get(i)
        return zeros_like(handle(self.forward.inputs[i])) if given is None else given.value

    def _next_flow(self, i: int) -> Node:
        """The cotangent of a carry before the iteration; cut where gradients are truncated."""
        contribution = self.local.contributions.get(self.op.body.inputs[i])
        flow = (
            zeros_like(handle(self.local.flow[i])) if contribution is None else handle(contribution)
        )
        if self.op.truncate is None:
            return flow.node
        return choose(handle(self._continues()), flow, 0.0).node

    def _continues(self) -> Node:
        """A row of bools: whether gradients flow to the previous iteration."""
        for row in self.forward.stacks:
            if row.name == "continues":
                return row
        op = self.op
        step = handle(graphs.apply(leaf.Iota((op.length,), 0, int64)))
        if op.reverse:
            step = handle(graphs.apply(leaf.SizeOf(op.length))) - 1 - step
        assert op.truncate is not None
        mask = (fn.remainder(step, op.truncate) != 0) | (step == 0)  # none is before the first
        row = placeholder("continues", TensorType(mask.dtype, ()))
        self.forward.stacks[row] = mask.node
        return row

    def _collect(
        self, flows: Sequence[Node], rows: Sequence[Node], terms: dict[Node, Node]
    ) -> list[Tensor | None]:
        inputs = self.op.body.inputs
        found = {inputs[i]: handle(n) for i, n in zip(self.local.carried, flows)}
        found |= {n: handle(r) for n, r in zip(self.rows, rows)}
        for n, parts in self.sums.items():
            total = handle(terms[parts[0]])
            for part in parts[1:]:
                total = total + handle(terms[part])
            found[n] = total
        return [*(found.get(n) for n in inputs), *([None] if self.op.counted else [])]

    def _terms_of(self, last: Sequence[Node], rows: Sequence[Node]) -> list[MaskTerms]:
        """The masks of the contributions."""
        inputs, counts, spans = self.op.body.inputs, self.local.counts, self.local.spans
        known = {inputs[i]: (x, c.axes) for (i, c), x in zip(counts.items(), last)}
        known |= {n: (x, spans[n]) for n, x in zip(self.counted_sums, last[len(counts) :])}
        stacks = zip(self.counted_rows, rows)
        known |= {n: (x, (0, *(a + 1 for a in spans[n]))) for n, x in stacks}
        found = [_at(*known[n]) if n in known else () for n in inputs]
        return [*found, *([()] if self.op.counted else [])]


def _at(node: Node, axes: tuple[int, ...]) -> MaskTerms:
    """The term of a predicate along some axes."""
    return term_along(lambda: handle(node), axes)


def _terms(root: Node) -> list[Node]:
    """The terms of a sum."""
    terms, waiting = [], [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node.op, Add):
            waiting.extend(reversed(node.inputs))
        else:
            terms.append(node)
    return terms


def _is_summation(term: Node) -> bool:
    """Whether a term is made by products and sums, so that summing it further is no new work."""
    return isinstance(_behind_views(term)[1].op, (Contract, Reduce))


def _behind_views(node: Node) -> tuple[list[View], Node]:
    """The views of a node, the first one first, and what they show."""
    views: list[View] = []
    while isinstance(node.op, View):
        views.insert(0, node.op)
        (node,) = node.inputs
    return views, node


def _apply_views(views: Sequence[View], node: Node) -> Node:
    """A node through views."""
    for view in views:
        node = graphs.apply(view, node)
    return node
