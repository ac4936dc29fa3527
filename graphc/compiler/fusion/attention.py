"""Lower attention and its gradient in blocks of queries and keys.

Scores live in scratch, a block at a time. Blocks of queries are processed in parallel (those of
keys for the gradient by keys and values), and inside one the blocks of the others ascending; a
causal attention leaves out blocks in which no query may look at a key.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from graphc.compiler.fusion.loop_writer import ArrayView, MatrixTask, Scalar
from graphc.ir.dims import Size
from graphc.ir.loops import combine
from graphc.ir.ops.attention import Attends, Attention, AttentionQueries

BLOCK = 32  # queries and keys of a block: three blocks of 64 columns fit in the memory of a group


def lower_attention(t: MatrixTask) -> None:
    """Lower one of the three ops."""
    match t.node.op:
        case Attention():
            Blocks(t).means()
        case AttentionQueries():
            Blocks(t).by_queries()
        case _:
            Blocks(t).by_keys()


class Blocks:
    """One attention of a stack: q (n, d), k (m, d) and v (m, e), block by block."""

    def __init__(self, task: MatrixTask) -> None:
        self.t, self.w = task, task.writer
        op = task.node.op
        assert isinstance(op, Attends)
        self.causal, self.scale = op.causal, op.scale
        self.mask = 3 + op.packed if len(task.node.inputs) > 3 + op.packed else None
        types = [i.type.shape for i in task.node.inputs]
        (self.n, self.d), (self.m, self.e) = types[0][-2:], types[2][-2:]
        self.block_n, self.block_m = block_of(self.n), block_of(self.m)

    # -- the three kernels ------------------------------------------------------------

    def means(self) -> None:
        """The means of values by a running maximum and a running sum."""
        t, w = self.t, self.w
        with self.every(self.n, self.block_n) as (first, rows):
            scores = t.matrix("scores", self.block_n, self.block_m)
            turned = t.matrix("keys", self.d, self.block_m)
            means = t.matrix("means", self.block_n, self.e)
            top, total = (t.matrix(s, self.block_n, 1) for s in ("top", "total"))
            shrink = t.matrix("shrink", self.block_n, 1)
            self.clear(means, rows, self.e)
            with w.loop(rows) as i:
                top[i, 0] = w.constant(float(np.finfo(t.dtype.numpy).min), t.dtype)
                total[i, 0] = w.constant(0.0, t.dtype)
            with self.keys_until(first + rows) as (start, columns):
                self.turn(turned, 1, start, columns, self.d)
                with self.pairs(rows, columns) as (i, j):
                    scores[i, j] = self.score(turned, first + i, start, j, float("-inf"))
                with w.loop(rows, parallel=True, lanes=False) as i:
                    self.weigh(scores, top, total, shrink, i, columns)
                with self.pairs(rows, self.e) as (i, c):
                    more = w.product(columns, lambda j: (scores[i, j], t.read(2, start + j, c)))
                    means[i, c] = more.plus_product(shrink[i, 0], means[i, c])
            self.finish(means, top, total, first, rows)

    def weigh(
        self,
        scores: ArrayView,
        top: ArrayView,
        total: ArrayView,
        shrink: ArrayView,
        i: Scalar,
        columns: Scalar,
    ) -> None:
        """Turn the scores of a query into weights under a new maximum."""
        w = self.w
        most = w.reduce(combine.MAX, columns, lambda j: (scores[i, j],))[0]
        new = w.named(top[i, 0].maximum(most), "new")
        factor = w.named((top[i, 0] - new).exp(), "factor")
        with w.loop(columns, parallel=True) as j:
            scores[i, j] = (scores[i, j] - new).exp()
        more = w.total(columns, lambda j: scores[i, j])
        total[i, 0] = total[i, 0] * factor + more
        shrink[i, 0] = factor
        top[i, 0] = new

    def finish(
        self, means: ArrayView, top: ArrayView, total: ArrayView, first: Scalar, rows: Scalar
    ) -> None:
        """Divide by the sums; zeros where a query may look at nothing."""
        t, w = self.t, self.w
        nothing = w.number(self.m) < 1 if self.mask is None else None
        with w.loop(rows, parallel=True, lanes=False) as i:
            none = total[i, 0].equals(0.0)
            none = w.named(none if nothing is None else none & nothing, "none")
            divisor = w.named(none.choose(1.0, total[i, 0]), "divisor")
            t.write(first + i, self.last, none.choose(0.0, top[i, 0] + divisor.log()))
            with w.loop(self.e, parallel=True) as c:
                t.write(first + i, c, means[i, c] / divisor)

    def by_queries(self) -> None:
        """The gradient by queries: slopes of scores times keys."""
        t, w = self.t, self.w
        with self.every(self.n, self.block_n) as (first, rows):
            slopes = t.matrix("slopes", self.block_n, self.block_m)
            keys = t.matrix("keys", self.d, self.block_m)
            values = t.matrix("values", self.e, self.block_m)
            found = t.matrix("found", self.block_n, self.d)
            mean = t.matrix("mean", self.block_n, 1)
            self.clear(found, rows, self.d)
            self.average(mean, first, rows)
            with self.keys_until(first + rows) as (start, columns):
                self.turn(keys, 1, start, columns, self.d)
                self.turn(values, 2, start, columns, self.e)
                with self.pairs(rows, columns) as (i, j):
                    slopes[i, j] = self.weight(keys, first + i, start, j)
                with self.pairs(rows, columns) as (i, j):
                    slopes[i, j] = slopes[i, j] * self.rise(values, mean, first, i, j)
                with self.pairs(rows, self.d) as (i, c):
                    found[i, c] = found[i, c] + w.product(
                        columns, lambda j: (slopes[i, j], t.read(1, start + j, c))
                    )
            with self.pairs(rows, self.d) as (i, c):
                t.write(first + i, c, found[i, c] * self.scale)

    def by_keys(self) -> None:
        """The gradient by keys and values: slopes and weights of scores, summed over queries."""
        t, w = self.t, self.w
        with self.every(self.m, self.block_m) as (start, columns):
            weights = t.matrix("weights", self.block_n, self.block_m)
            slopes = t.matrix("slopes", self.block_n, self.block_m)
            keys = t.matrix("keys", self.d, self.block_m)
            values = t.matrix("values", self.e, self.block_m)
            by_key = t.matrix("by_key", self.block_m, self.d)
            by_value = t.matrix("by_value", self.block_m, self.e)
            mean = t.matrix("mean", self.block_n, 1)
            self.clear(by_key, columns, self.d)
            self.clear(by_value, columns, self.e)
            self.turn(keys, 1, start, columns, self.d)
            self.turn(values, 2, start, columns, self.e)
            with self.queries_from(start) as (first, rows):
                self.average(mean, first, rows)
                with self.pairs(rows, columns) as (i, j):
                    weights[i, j] = self.weight(keys, first + i, start, j)
                with self.pairs(rows, columns) as (i, j):
                    slopes[i, j] = weights[i, j] * self.rise(values, mean, first, i, j)
                with self.pairs(columns, self.d) as (j, c):
                    by_key[j, c] = by_key[j, c] + w.product(
                        rows, lambda i: (slopes[i, j], t.read(0, first + i, c))
                    )
                with self.pairs(columns, self.e) as (j, c):
                    by_value[j, c] = by_value[j, c] + w.product(
                        rows, lambda i: (weights[i, j], t.read(4, first + i, c))
                    )
            with self.pairs(columns, self.d) as (j, c):
                t.write(start + j, c, by_key[j, c] * self.scale)
            with self.pairs(columns, self.e) as (j, c):
                t.write(start + j, w.number(self.d) + c, by_value[j, c])

    # -- elements ---------------------------------------------------------------------

    @property
    def last(self) -> Scalar:
        """The column behind those of values."""
        return self.w.number(self.e)

    def score(
        self, keys: ArrayView, query: Scalar, start: Scalar, j: Scalar, hidden: float
    ) -> Scalar:
        """How well a key of the block matches a query; `hidden` where it may not look."""
        t, w = self.t, self.w
        score = w.product(self.d, lambda c: (t.read(0, query, c), keys[c, j])) * self.scale
        allowed = self.allowed(query, start + j)
        return score if allowed is None else allowed.choose(score, hidden)

    def weight(self, keys: ArrayView, query: Scalar, start: Scalar, j: Scalar) -> Scalar:
        """The weight of a key of the block, from the logarithm of the sum of all."""
        t = self.t
        score = self.score(keys, query, start, j, float("-inf"))
        weight = (score - t.read(3, query, self.last)).exp()
        allowed = self.allowed(query, start + j)
        return weight if allowed is None else allowed.choose(weight, 0.0)

    def rise(
        self, values: ArrayView, mean: ArrayView, first: Scalar, i: Scalar, j: Scalar
    ) -> Scalar:
        """How much more than the mean a value moves the result."""
        t, w = self.t, self.w
        return w.product(self.e, lambda c: (t.read(4, first + i, c), values[c, j])) - mean[i, 0]

    def allowed(self, query: Scalar, key: Scalar) -> Scalar | None:
        """Whether a query may look at a key; None if at every one."""
        past = key <= query if self.causal else None
        if self.mask is None:
            return past
        mask = self.t.read(self.mask, query, key)
        return mask if past is None else past & mask

    # -- blocks -----------------------------------------------------------------------

    def average(self, mean: ArrayView, first: Scalar, rows: Scalar) -> None:
        """What the results of the block move by the cotangent, less that of the logarithms."""
        t, w = self.t, self.w
        with w.loop(rows, parallel=True, lanes=False) as i:
            row = first + i
            total = w.total(self.e, lambda c: t.read(3, row, c) * t.read(4, row, c))
            mean[i, 0] = total - t.read(4, row, self.last)

    def turn(
        self, scratch: ArrayView, operand: int, start: Scalar, columns: Scalar, features: Size
    ) -> None:
        """Copy a block of an operand so that its rows lie beside each other."""
        with self.pairs(self.w.number(features), columns) as (c, j):
            scratch[c, j] = self.t.read(operand, start + j, c)

    def clear(self, scratch: ArrayView, rows: Scalar, columns: Size) -> None:
        """Put zeros."""
        with self.pairs(rows, columns) as (i, c):
            scratch[i, c] = self.w.constant(0.0, self.t.dtype)

    @contextmanager
    def pairs(self, rows: Scalar, columns: Scalar | Size) -> Iterator[tuple[Scalar, Scalar]]:
        """Every place of a block."""
        w = self.w
        with w.loop(rows, parallel=True, lanes=False) as i, w.loop(columns, parallel=True) as j:
            yield i, j

    @contextmanager
    def every(self, count: Size, block: int) -> Iterator[tuple[Scalar, Scalar]]:
        """Every block of an axis in parallel: where it starts, and its length."""
        w = self.w
        with w.loop(blocks(w.number(count), block), parallel=True, lanes=False, name="block") as b:
            yield self.span(b, count, block)

    @contextmanager
    def keys_until(self, end: Scalar) -> Iterator[tuple[Scalar, Scalar]]:
        """The blocks of keys in their order; those behind the last query only if it looks there."""
        w, count = self.w, self.w.number(self.m)
        last = (count < end).choose(count, end) if self.causal else count
        with w.loop(blocks(last, self.block_m), name="step") as b:
            yield self.span(b, self.m, self.block_m)

    @contextmanager
    def queries_from(self, start: Scalar) -> Iterator[tuple[Scalar, Scalar]]:
        """The blocks of queries in their order, from the first one that looks at a key."""
        w = self.w
        count = blocks(w.number(self.n), self.block_n)
        skipped = w.number(0)
        if self.causal:
            before = start.over(self.block_n)
            skipped = (count < before).choose(count, before)
        with w.loop(count - skipped, name="step") as b:
            yield self.span(skipped + b, self.n, self.block_n)

    def span(self, number: Scalar, count: Size, block: int) -> tuple[Scalar, Scalar]:
        """The first element and the length of a block."""
        w = self.w
        first = number * block
        if isinstance(count, int) and count % block == 0:
            return first, w.number(block)
        rest = w.number(count) - first
        return first, (rest < block).choose(rest, w.number(block))


def block_of(count: Size) -> int:
    """The elements of a block of an axis."""
    return max(1, min(BLOCK, count)) if isinstance(count, int) else BLOCK


def blocks(count: Scalar, block: int) -> Scalar:
    """How many blocks an axis has."""
    return (count + (block - 1)).over(block)
