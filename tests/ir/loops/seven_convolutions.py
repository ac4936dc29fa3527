"""Two kernels of convolutional networks."""

from __future__ import annotations

from graphc.ir.dims import Dim, ceildiv
from graphc.ir.loops import ir
from graphc.ir.loops.combine import MEAN_M2
from graphc.ir.types import float32
from tests.ir.loops.nests import at as place
from tests.ir.loops.nests import (
    axes,
    buffer,
    dot,
    e,
    inside,
    lanes,
    load,
    number,
    parallel,
    refs,
    store,
)
from tests.ir.loops.nests import sequential as loop

NAMES = "batch height width channels filters"
N, H, W, C, K = (Dim(name) for name in NAMES.split())


def convolution_with_moments() -> ir.Kernel:
    """3 x 3 convolution padded by 1; each image's moments per channel, then those of the batch."""
    x, w = buffer("x", N, H, W, C), buffer("w", 3, 3, C, K)
    y, mean, m2 = buffer("y", N, H, W, K), buffer("mean", K), buffer("m2", K)
    means, m2s = buffer("means", N, K), buffer("m2s", N, K)
    i, p, q, r, s, c, k, j, o = axes("i p q r s c k j o")
    (value,) = refs("value")
    part = ir.Accumulator(MEAN_M2, refs("count part_mean part_m2"))
    whole = ir.Accumulator(MEAN_M2, refs("total batch_mean batch_m2"))
    row = e.plus(e.add(place(p), place(r)), -1)
    column = e.plus(e.add(place(q), place(s)), -1)
    known = ir.all_of([*inside(row, H), *inside(column, W)])
    taps = [(r, 3), (s, 3), (c, C)]
    pixel = (
        dot(value, taps, load(x, i, row, column, c, where=known), load(w, r, s, c, k)),
        store(y, (i, p, q, k), value),
        ir.Accumulate(part, (number(1.0), value, number(0.0))),
    )
    image = lanes(
        k, K,
        loop(p, H, loop(q, W, *pixel), into=(part,)),
        store(means, (i, k), part.refs[1]),
        store(m2s, (i, k), part.refs[2]),
    )  # fmt: skip
    pixels = e.cast(e.extent(H * W), float32)
    batch = lanes(
        o, K,
        loop(j, N, ir.Accumulate(whole, (pixels, load(means, j, o), load(m2s, j, o))),
             into=(whole,)),
        store(mean, (o,), whole.refs[1]),
        store(m2, (o,), whole.refs[2]),
    )  # fmt: skip
    body = (ir.Scratch(means), ir.Scratch(m2s), parallel(i, N, image), batch)
    return ir.Kernel("convolution_with_moments", (x, w), (y, mean, m2), body)


def winograd() -> ir.Kernel:
    """F(4 x 4, 3 x 3): a row of tiles is transformed, multiplied and transformed back in scratch.

    `u` holds the transformed filters; `b` (6 x 6) and `a` (6 x 4) are the transforms of tiles.
    """
    x, u = buffer("x", N, H, W, C), buffer("u", 6, 6, C, K)
    b, a, y = buffer("b", 6, 6), buffer("a", 6, 4), buffer("y", N, H, W, K)
    tiles = ceildiv(W, 4)
    v, m = buffer("v", 6, 6, tiles, C), buffer("m", 6, 6, tiles, K)
    half, back = buffer("half", 6, 6, C), buffer("back", 4, 6, K)
    i, band, t, p, q, r, c, k = axes("i band t p q r c k")
    (value,) = refs("value")

    def moved(tile: ir.Axis, inner: ir.Axis, offset: int) -> ir.Expr:
        return e.plus(e.add(e.times(place(tile), 4), place(inner)), offset)

    row, column = moved(band, r, -1), moved(t, q, -1)
    known = ir.all_of([*inside(row, H), *inside(column, W)])
    patch = load(x, i, row, column, c, where=known)
    into = parallel(
        t, tiles, ir.Scratch(half),
        parallel(p, 6, parallel(q, 6, lanes(
            c, C, dot(value, [(r, 6)], load(b, r, p), patch), store(half, (p, q, c), value)))),
        parallel(p, 6, parallel(q, 6, lanes(
            c, C, dot(value, [(r, 6)], load(b, r, q), load(half, p, r, c)),
            store(v, (p, q, t, c), value)))),
    )  # fmt: skip
    products = parallel(p, 6, parallel(q, 6, parallel(t, tiles, lanes(
        k, K, dot(value, [(c, C)], load(v, p, q, t, c), load(u, p, q, c, k)),
        store(m, (p, q, t, k), value)))))  # fmt: skip
    row, column = moved(band, p, 0), moved(t, q, 0)
    kept = ir.all_of([e.lt(row, e.extent(H)), e.lt(column, e.extent(W))])
    out_of = parallel(
        t, tiles, ir.Scratch(back),
        parallel(p, 4, parallel(q, 6, lanes(
            k, K, dot(value, [(r, 6)], load(a, r, p), load(m, r, q, t, k)),
            store(back, (p, q, k), value)))),
        parallel(p, 4, parallel(q, 4, lanes(
            k, K, dot(value, [(r, 6)], load(a, r, q), load(back, p, r, k)),
            store(y, (i, row, column, k), value, kept)))),
    )  # fmt: skip
    block = parallel(band, ceildiv(H, 4), ir.Scratch(v), ir.Scratch(m), into, products, out_of)
    return ir.Kernel("winograd", (x, u, b, a), (y,), (parallel(i, N, block),))
