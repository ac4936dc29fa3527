"""The reverse of a loop is a loop: back-propagation through time.

The forward loop also stacks what its own gradient reads (the pass `merge_loops` makes one loop
of both); the reverse loop carries the cotangents of the carries. The cotangent of a value that
all iterations read is a sum over the iterations: where it is made of products and sums of things
that the loop can stack, it is one contraction after the loop, else it is carried along.

Where a cotangent comes through branches of `where`, which of its elements count is carried,
stacked and handed on like the cotangent itself (see `graphc.frontend.autodiff.chosen`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from graphc.frontend import functions as fn
from graphc.frontend.autodiff.chosen import Cotangent, Terms, along, narrowed, spans
from graphc.frontend.autodiff.chosen_rules import with_terms
from graphc.frontend.functions.logic import choose
from graphc.frontend.loop_builder import OWN, LoopBuilder, placeholder
from graphc.frontend.tensor import Tensor, face, zeros_like
from graphc.ir import graph as graphs
from graphc.ir.graph import Node, topological
from graphc.ir.ops import leaf
from graphc.ir.ops.base import Contract, Reduce, View
from graphc.ir.ops.elementwise import Add
from graphc.ir.ops.loop import Body, Scan
from graphc.ir.ops.reduce import Sum
from graphc.ir.rebuild import replace_nodes
from graphc.ir.types import TensorType, bool_, int64

Start = tuple[Node, Node, Terms]  # a root, its cotangent, and which elements of that count
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
    """The shares of a loop's inputs, given the cotangents of some of its results.

    Which elements of a share count is found out for those inputs that are `wanted`.
    """
    forward = _Forward(op, list(inputs))
    local = _Iteration(op, cotangents, forward, wanted, propagate)
    return _Reverse(op, forward, local, wanted).shares()


@dataclass(eq=False)
class _Forward:
    """The forward loop, and rows that stand for its values in the reverse one."""

    op: Scan
    inputs: list[Node]
    stacks: dict[Node, Node] = field(default_factory=dict)  # row placeholder -> its stack
    _rows: dict[Node, Node] = field(default_factory=dict)  # forward value -> row placeholder

    def stand_in(self, value: Node) -> Node:
        """A node of the reverse body, or one outside, with the value of the same iteration."""
        views, value = _behind_views(value)
        return _seen(views, self._base(value))

    def _base(self, value: Node) -> Node:
        inputs, op = self.op.body.inputs, self.op
        position = inputs.index(value) if value in inputs else -1
        if position >= op.carries + op.scanned or isinstance(value.op, OWN):
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
class _Count:
    """A carry of the reverse loop: which elements of a flow count, along some of its axes."""

    holder: Node
    axes: tuple[int, ...]


class _Iteration:
    """The cotangents of the body's inputs, in terms of rows and of the flowing cotangents."""

    def __init__(
        self,
        op: Scan,
        given: Mapping[int, Cotangent],
        forward: _Forward,
        wanted: Sequence[bool],
        propagate: Propagate,
    ) -> None:
        self.op, self.given, self.forward, self.wanted = op, given, forward, wanted
        self.propagate = propagate
        body = op.body
        self.carried = [i for i in range(op.carries) if body.inputs[i].type.dtype.is_float]
        self.flow = {i: placeholder(f"flow_{i}", body.outputs[i].type) for i in self.carried}
        self.rows = [self._row(k) for k in given if k >= op.carries]
        self.counts: dict[int, _Count] = {}  # which elements of a flow count
        self.told = any(terms for _, _, terms in self.rows)  # whether any are told apart
        for i in self.carried:
            if i in given and given[i].terms:
                self._count(i, spans(given[i].terms))
        while True:
            shares, terms = self._differentiate()
            if not self._grown(terms):
                break
        small = {n: narrowed(t, n.type.shape, spans(t)).node for n, t in terms.items()}
        self.spans = {n: spans(t) for n, t in terms.items()}
        self.shares, self.counted = self._replace(shares, small)

    def _row(self, k: int) -> Start:
        """What a stacked result gives: the result, its cotangent's row, which elements count."""
        result, dy = self.op.body.outputs[k], self.given[k]
        row = placeholder(f"cotangent_{k}", result.type)
        self.forward.stacks[row] = dy.value.node
        if not dy.terms:
            return result, row, ()
        axes = spans(dy.terms)
        known = narrowed(dy.terms, dy.raw.shape, axes).node
        if 0 in axes:
            stack, axes = known, axes[1:]
            known = placeholder(f"counting_{k}", stack.type.with_shape(stack.type.shape[1:]))
            self.forward.stacks[known] = stack
        return result, row, _at(known, tuple(a - 1 for a in axes))

    def _count(self, i: int, axes: tuple[int, ...]) -> None:
        """Find out which elements of a flow count, along some axes."""
        type = self.flow[i].type
        small = type.with_dtype(bool_).with_shape(tuple(type.shape[a] for a in axes))
        self.counts[i] = _Count(placeholder(f"counts_{i}", small), axes)

    def _grown(self, terms: dict[Node, Terms]) -> bool:
        """Whether elements of more flows, or along more axes, have to be told apart."""
        grown = False
        for i in self.carried:
            found = terms.get(self.op.body.inputs[i])
            known = self.counts.get(i)
            # once anything is told apart, a flow that starts with nothing is, too
            told = self.told and i not in self.given
            if found is None and not (told and known is None):
                continue
            axes = set(spans(found or ())) | set(known.axes if known else ())
            if known is None or axes != set(known.axes):
                self._count(i, tuple(sorted(axes)))
                grown = True
        return grown

    def _differentiate(self) -> tuple[dict[Node, Node], dict[Node, Terms]]:
        """The cotangents of the body's inputs, and of some of them which elements count."""
        body = self.op.body
        flows = [(body.outputs[i], flow, self._flow_terms(i)) for i, flow in self.flow.items()]
        starts = [*flows, *self.rows]
        wrt = [n for n in body.inputs if n.type.dtype.is_float]
        asked = zip(body.inputs, self.wanted)
        told = {n for i, (n, yes) in enumerate(asked) if yes or i < self.op.carries}
        found, met = self.propagate(starts, wrt, told)
        self.told |= met or bool(self.counts)
        shares = {n: dy.value.node for n, dy in found.items()}
        return shares, {n: dy.terms for n, dy in found.items() if dy.terms}

    def _flow_terms(self, i: int) -> Terms:
        count = self.counts.get(i)
        return () if count is None else _at(count.holder, count.axes)

    def _replace(self, *found: dict[Node, Node]) -> list[dict[Node, Node]]:
        """Put stand-ins where the cotangents read forward values."""
        forward = {*self.op.body.nodes, *self.op.body.inputs}
        roots = [n for some in found for n in some.values()]
        read: dict[Node, None] = {}
        for node in topological(roots):
            if node not in forward:
                read |= dict.fromkeys(i for i in node.inputs if i in forward)
        read |= dict.fromkeys(n for n in roots if n in forward)
        new = {n: self.forward.stand_in(n) for n in read if not isinstance(n.op, OWN)}
        replaced = replace_nodes(roots, new)
        return [{n: replaced[c] for n, c in some.items()} for some in found]


class _Reverse:
    """The reverse loop."""

    def __init__(
        self, op: Scan, forward: _Forward, local: _Iteration, wanted: Sequence[bool]
    ) -> None:
        self.op, self.forward, self.local = op, forward, local
        inputs = op.body.inputs
        rows, read = inputs[op.carries : op.carries + op.scanned], inputs[op.carries + op.scanned :]
        self.rows = [n for n in rows if n in local.shares]
        self.sums = {n: _terms(local.shares[n]) for n in read if n in local.shares}
        asked = {n for n, yes in zip(inputs, wanted) if yes and n in local.counted}
        self.counted_rows = [n for n in self.rows if n in asked]
        self.counted_sums = [n for n in self.sums if n in asked]

    def shares(self) -> list[Cotangent | None]:
        """Cotangents of all inputs, None where there is none."""
        terms = list(dict.fromkeys(t for terms in self.sums.values() for t in terms))
        count = self._count()
        late = [] if count is not None else [t for t in terms if _is_sum(t)]
        carried = [t for t in terms if t not in set(late)]
        flows = [self._next_flow(i) for i in self.local.carried]
        totals = [placeholder(f"total_{k}", t.type) for k, t in enumerate(carried)]
        sums = [graphs.apply(Add(), a, t) for a, t in zip(totals, carried)]
        starts = [self._start(i).node for i in self.local.carried]
        starts += [zeros_like(face(t)).node for t in carried]
        counts, later, first = self._counts()
        loop = LoopBuilder(
            [*self.local.flow.values(), *totals, *counts],
            [*starts, *first],
            self.forward.stacks,
            self.op.length,
            not self.op.reverse,
            count=count,
        )
        rows = [self.local.shares[n] for n in self.rows]
        known = [self.local.counted[n] for n in self.counted_rows]
        summed = [_behind_views(t) for t in late]  # a sum of views is the view of a sum
        bases = [base for _, base in summed]
        last, stacked = loop.build([*flows, *sums, *later], [*rows, *bases, *known])
        found = dict(zip(carried, last[len(flows) :]))
        for term, (views, _), stack in zip(late, summed, stacked[len(rows) :]):
            found[term] = _seen(views, graphs.apply(Sum((0,)), stack))
        shares = self._collect(last[: len(flows)], stacked[: len(rows)], found)
        terms_of = self._terms_of(last[len(starts) :], stacked[len(rows) + len(bases) :])
        return with_terms(shares, terms_of, terms_of)

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
            nexts.append(fn.logical_or(face(holders[-1]), face(known)).node)
            firsts.append(fn.zeros(known.type.shape, dtype="bool").node)
        return holders, nexts, firsts

    def _next_count(self, i: int, count: _Count) -> Node:
        """Which elements of a flow count before the iteration."""
        local, n = self.local, self.op.body.inputs[i]
        if n in local.counted:
            terms = _at(local.counted[n], local.spans[n])
            known = narrowed(terms, n.type.shape, count.axes)
        else:
            known = fn.full(count.holder.type.shape, n in local.shares, dtype="bool")
        if self.op.truncate is not None:
            known = fn.logical_and(known, face(self._continues()))
        return known.node

    def _first_count(self, i: int, count: _Count) -> Node:
        """Which elements of the cotangent of a last carry count."""
        dy = self.local.given.get(i)
        if dy is not None and dy.terms:
            return narrowed(dy.terms, dy.raw.shape, count.axes).node
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

    def _start(self, i: int) -> Tensor:
        """The cotangent of a last carry."""
        given = self.local.given.get(i)
        return zeros_like(face(self.forward.inputs[i])) if given is None else given.value

    def _next_flow(self, i: int) -> Node:
        """The cotangent of a carry before the iteration; cut where gradients are truncated."""
        share = self.local.shares.get(self.op.body.inputs[i])
        flow = zeros_like(face(self.local.flow[i])) if share is None else face(share)
        if self.op.truncate is None:
            return flow.node
        return choose(face(self._continues()), flow, 0.0).node

    def _continues(self) -> Node:
        """Whether gradients go on to the iteration before: a row of its own."""
        for row in self.forward.stacks:
            if row.name == "continues":
                return row
        op = self.op
        step = face(graphs.apply(leaf.Iota((op.length,), 0, int64)))
        if op.reverse:
            step = face(graphs.apply(leaf.SizeOf(op.length))) - 1 - step
        mask = (fn.remainder(step, op.truncate) != 0) | (step == 0)  # none is before the first
        row = placeholder("continues", TensorType(mask.dtype, ()))
        self.forward.stacks[row] = mask.node
        return row

    def _collect(
        self, flows: Sequence[Node], rows: Sequence[Node], terms: dict[Node, Node]
    ) -> list[Tensor | None]:
        inputs = self.op.body.inputs
        found = {inputs[i]: face(n) for i, n in zip(self.local.carried, flows)}
        found |= {n: face(r) for n, r in zip(self.rows, rows)}
        for n, parts in self.sums.items():
            total = face(terms[parts[0]])
            for part in parts[1:]:
                total = total + face(terms[part])
            found[n] = total
        return [*(found.get(n) for n in inputs), *([None] if self.op.counted else [])]

    def _terms_of(self, last: Sequence[Node], rows: Sequence[Node]) -> list[Terms]:
        """Which elements of the shares count."""
        inputs, counts, spans = self.op.body.inputs, self.local.counts, self.local.spans
        known = {inputs[i]: (x, c.axes) for (i, c), x in zip(counts.items(), last)}
        known |= {n: (x, spans[n]) for n, x in zip(self.counted_sums, last[len(counts) :])}
        stacks = zip(self.counted_rows, rows)
        known |= {n: (x, (0, *(a + 1 for a in spans[n]))) for n, x in stacks}
        found = [_at(*known[n]) if n in known else () for n in inputs]
        return [*found, *([()] if self.op.counted else [])]


def _at(node: Node, axes: tuple[int, ...]) -> Terms:
    """The term of truth values along some axes."""
    return along(lambda: face(node), axes)


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


def _is_sum(term: Node) -> bool:
    """Whether a term is made by products and sums, so that summing it further is no new work."""
    return isinstance(_behind_views(term)[1].op, (Contract, Reduce))


def _behind_views(node: Node) -> tuple[list[View], Node]:
    """The views of a node, the first one first, and what they show."""
    views: list[View] = []
    while isinstance(node.op, View):
        views.insert(0, node.op)
        (node,) = node.inputs
    return views, node


def _seen(views: Sequence[View], node: Node) -> Node:
    """A node through views."""
    for view in views:
        node = graphs.apply(view, node)
    return node
