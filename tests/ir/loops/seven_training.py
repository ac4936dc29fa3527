"""Three kernels of training steps."""

from __future__ import annotations

from graphc.ir.dims import Dim, ceildiv
from graphc.ir.loops import ir
from graphc.ir.loops.combine import MAX, SUM
from graphc.ir.types import bool_, float32, int64
from tests.ir.loops.nests import at as place
from tests.ir.loops.nests import (
    axes,
    both,
    buffer,
    dot,
    e,
    inside,
    lanes,
    load,
    number,
    parallel,
    reduction,
    refs,
    store,
)
from tests.ir.loops.nests import sequential as loop

NAMES = "batch width inputs outputs rows"
M, N, C, K, V = (Dim(name) for name in NAMES.split())
CHUNKS = 16


def sparse_adagrad() -> ir.Kernel:
    """Adagrad on the rows of a table that have gradients: sum the gradients of equal rows first.

    `ids` is sorted, gradient `order[t]` belongs to row `ids[t]`. The segments of equal ids are
    counted at run time. Check 1: a row is outside the table.
    """
    ids, order = buffer("ids", M, dtype=int64), buffer("order", M, dtype=int64)
    grads, rate = buffer("grads", M, N), buffer("rate")
    table, squares = buffer("table", V, N), buffer("squares", V, N)
    count = buffer("count", dtype=int64)
    rows, starts = buffer("rows_of", M, dtype=int64), buffer("starts", M + 1, dtype=int64)
    t, s, j, r = axes("t s j r")
    here, row, begin = refs("here row begin", int64)
    gradient, square = refs("gradient square")
    (first,) = refs("first", bool_)
    zero = number(0, int64)
    before = load(ids, e.plus(place(t), -1), where=e.lt(zero, place(t)))
    find = loop(
        t, M,
        ir.Check(both(*inside(load(ids, t), V)), 1),
        ir.Let(first, e.logical_or(e.eq(place(t), zero), e.ne(load(ids, t), before))),
        ir.Let(here, load(count)),
        store(rows, (here,), load(ids, t), first),
        store(starts, (here,), place(t), first),
        store(count, (), e.add(here, e.cast(first, int64))),
    )  # fmt: skip
    length = e.sub(load(starts, e.plus(place(s), 1)), begin)
    grad = load(grads, load(order, e.add(begin, place(r))), j)
    rise = e.div(gradient, e.add(e.sqrt(square), number(1e-10)))
    known = both(*inside(row, V))
    old, before = (load(b, row, j, where=known) for b in (table, squares))
    update = lanes(
        j, N,
        reduction(r, length, SUM, (gradient,), [grad]),
        ir.Let(square, e.fma(gradient, gradient, before)),
        store(squares, (row, j), square, known),
        store(table, (row, j), e.sub(old, e.mul(load(rate), rise)), known),
    )  # fmt: skip
    body = (
        ir.Scratch(count), ir.Scratch(rows), ir.Scratch(starts),
        store(count, (), zero),
        find,
        store(starts, (load(count),), e.extent(M)),
        parallel(
            s, load(count),
            ir.Let(row, load(rows, s)), ir.Let(begin, load(starts, s)), update,
        ),
    )  # fmt: skip
    reads = (ids, order, grads, rate, table, squares)
    return ir.Kernel("sparse_adagrad", reads, (table, squares), body)


def softmax_cross_entropy() -> ir.Kernel:
    """Loss of every row and the gradient of their mean; check 1: a label outside the classes."""
    x, labels = buffer("x", M, N), buffer("labels", M, dtype=int64)
    loss, dx = buffer("loss", M), buffer("dx", M, N)
    powers = buffer("powers", N)
    i, j = axes("i j")
    peak, total, power, own, scale = refs("peak total power own scale")
    (label,) = refs("label", int64)
    known = both(*inside(label, N))
    share = e.div(load(powers, j), total)
    hit = e.select(e.eq(place(j), label), number(1.0), number(0.0))
    row = (
        ir.Let(label, load(labels, i)),
        ir.Check(known, 1),
        ir.Let(own, load(x, i, label, where=known)),
        reduction(j, N, MAX, (peak,), [load(x, i, j)], along_lanes=True),
        ir.Scratch(powers),
        reduction(
            j, N, SUM, (total,), [power],
            ir.Let(power, e.exp(e.sub(load(x, i, j), peak))), store(powers, (j,), power),
            along_lanes=True,
        ),
        store(loss, (i,), e.sub(e.add(e.log(total), peak), own)),
        lanes(j, N, store(dx, (i, j), e.mul(e.sub(share, hit), scale))),
    )  # fmt: skip
    mean = ir.Let(scale, e.div(number(1.0), e.cast(e.extent(M), float32)))
    return ir.Kernel("softmax_cross_entropy", (x, labels), (loss, dx), (mean, parallel(i, M, *row)))


def split_weight_gradient() -> ir.Kernel:
    """dw = x' dy over the batch in CHUNKS parts, added as a tree."""
    x, dy, dw = buffer("x", M, C), buffer("dy", M, K), buffer("dw", C, K)
    parts = buffer("parts", CHUNKS, C, K)
    g, c, k, r, level, p = axes("g c k r level p")
    (value,) = refs("value")
    size = ceildiv(M, CHUNKS)
    begin = e.times(place(g), size)
    left = e.maximum(e.sub(e.extent(M), begin), number(0, int64))
    sample = e.add(begin, place(r))
    chunk = parallel(g, CHUNKS, parallel(c, C, lanes(
        k, K,
        dot(value, [(r, e.minimum(e.extent(size), left))], load(x, sample, c), load(dy, sample, k)),
        store(parts, (g, c, k), value),
    )))  # fmt: skip
    half = e.shr(number(CHUNKS // 2, int64), place(level))
    both_parts = e.add(load(parts, p, c, k), load(parts, e.add(place(p), half), c, k))
    tree = loop(level, CHUNKS.bit_length() - 1, parallel(p, half, parallel(c, C, lanes(
        k, K, store(parts, (p, c, k), both_parts)))))  # fmt: skip
    finish = parallel(c, C, lanes(k, K, store(dw, (c, k), load(parts, 0, c, k))))
    body = (ir.Scratch(parts), chunk, tree, finish)
    return ir.Kernel("split_weight_gradient", (x, dy), (dw,), body)
