"""Two kernels of networks over sequences."""

from __future__ import annotations

from graphc.ir.dims import Dim
from graphc.ir.loops import ir
from graphc.ir.loops.combine import DOT, MAX, SUM
from graphc.ir.types import float32, int64
from tests.ir.loops.nests import at as place
from tests.ir.loops.nests import (
    axes,
    buffer,
    dot,
    e,
    lanes,
    load,
    number,
    parallel,
    reduction,
    refs,
    store,
)
from tests.ir.loops.nests import sequential as loop

B, D, U, T = Dim("batch"), Dim("depth"), Dim("units"), Dim("time")
KEYS = 4  # keys that are scored together


def lstm_step() -> ir.Kernel:
    """Four gates of every unit in one pass over the inputs and one over the state, then the cell.

    The gates are input, forget, candidate, output, along axis 0 of the weights.
    """
    x, h, c = buffer("x", B, D), buffer("h", B, U), buffer("c", B, U)
    wx, wh, bias = buffer("wx", 4, D, U), buffer("wh", 4, U, U), buffer("bias", 4, U)
    new_h, new_c = buffer("new_h", B, U), buffer("new_c", B, U)
    b, u, k = axes("b u k")

    def gates(names: str, source: ir.Buffer, weights: ir.Buffer) -> ir.Loop:
        sums = tuple(ir.Accumulator(DOT, refs(name)) for name in names.split())
        steps = (
            ir.Accumulate(s, (load(source, b, k), load(weights, g, k, u)))
            for g, s in enumerate(sums)
        )
        return loop(k, source.shape[1], *steps, into=sums)

    from_x, from_h = gates("xi xf xg xo", x, wx), gates("hi hf hg ho", h, wh)
    pairs = zip(from_x.accumulators, from_h.accumulators)
    i, f, g, o = (
        e.add(e.add(p.refs[0], q.refs[0]), load(bias, n, u)) for n, (p, q) in enumerate(pairs)
    )
    (cell,) = refs("cell")
    kept, added = e.mul(e.sigmoid(f), load(c, b, u)), e.mul(e.sigmoid(i), e.tanh(g))
    unit = lanes(
        u, U, from_x, from_h,
        ir.Let(cell, e.add(kept, added)),
        store(new_c, (b, u), cell),
        store(new_h, (b, u), e.mul(e.sigmoid(o), e.tanh(cell))),
    )  # fmt: skip
    reads = (x, h, c, wx, wh, bias)
    return ir.Kernel("lstm_step", reads, (new_h, new_c), (parallel(b, B, unit),))


def causal_attention() -> ir.Kernel:
    """softmax(q k' / sqrt(d)) v over the keys up to each query, KEYS at a time.

    `top` and `total` are the largest score and the sum of exponentials so far; what is summed is
    rescaled when the largest score grows.
    """
    q, k, v, y = (buffer(name, B, T, D) for name in ("q", "k", "v", "y"))
    top, total, mixed = buffer("top"), buffer("total"), buffer("mixed", D)
    weights = buffer("weights", KEYS)
    b, i, group, j, n, c = axes("b i group j n c")
    score, peak, higher, shrink, weight, sum_, mix = refs("score peak higher shrink weight sum mix")
    key = e.add(e.times(place(group), KEYS), place(j))
    seen = e.le(key, place(i))
    scale = e.div(number(1.0), e.sqrt(e.cast(e.extent(D), float32)))
    scored = dot(score, [(n, D)], load(q, b, i, n), load(k, b, key, n, where=seen))
    masked = e.select(seen, e.mul(score, scale), number(float("-inf")))
    step = (
        parallel(j, KEYS, scored, store(weights, (j,), masked)),
        reduction(j, KEYS, MAX, (peak,), [load(weights, j)]),
        ir.Let(higher, e.maximum(load(top), peak)),
        ir.Let(shrink, e.exp(e.sub(load(top), higher))),
        store(top, (), higher),
        reduction(
            j, KEYS, SUM, (sum_,), [weight],
            ir.Let(weight, e.exp(e.sub(load(weights, j), higher))), store(weights, (j,), weight),
        ),
        store(total, (), e.fma(load(total), shrink, sum_)),
        lanes(
            c, D, dot(mix, [(j, KEYS)], load(weights, j), load(v, b, key, c, where=seen)),
            store(mixed, (c,), e.fma(load(mixed, c), shrink, mix)),
        ),
    )  # fmt: skip
    groups = e.plus(e.make("div", int64, (place(i), number(KEYS, int64))), 1)
    query = (
        ir.Scratch(top), ir.Scratch(total), ir.Scratch(mixed),
        store(top, (), number(float("-inf"))),
        store(total, (), number(0.0)),
        lanes(c, D, store(mixed, (c,), number(0.0))),
        loop(group, groups, ir.Scratch(weights), *step),
        lanes(c, D, store(y, (b, i, c), e.div(load(mixed, c), load(total)))),
    )  # fmt: skip
    nest = parallel(b, B, parallel(i, T, *query))
    return ir.Kernel("causal_attention", (q, k, v), (y,), (nest,))
