"""Kernels to try emitters on, with their meaning in numpy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.ir.dims import Size
from graphc.ir.loops import ir
from graphc.ir.loops.combine import ALL, ANY, ARGMAX, DOT, LOGSUMEXP, MAX, MEAN_M2, PROD, SUM
from graphc.ir.types import DType, bool_, float32, int64
from tests.backends.llvm.kernels import (
    K,
    M,
    N,
    axes,
    blocked_sum,
    e,
    lanes,
    load,
    number,
    parallel,
    reduction,
    ref,
    store,
)  # fmt: skip
from tests.tolerances import KERNEL_MOMENTS, KERNEL_PRODUCTS, KERNEL_SOFTMAX


@dataclass(frozen=True)
class Sample:
    """A kernel over the dims m, n (and k), and what it computes of its inputs."""

    kernel: ir.Kernel
    reference: Callable[..., Sequence[Any]]
    # how the inputs are drawn, where not as usual
    draw: Callable[[np.random.Generator, tuple[int, ...]], Any] | None = None
    tolerance: float = 0.0
    # the least n that the kernel is defined for
    least: int = 0


def axpy(shape: tuple[Size, ...] = (M, N), dtype: DType = float32) -> Sample:
    """out = x * 2 + y over a row-major nest"""
    x, y, out = (ir.Buffer(name, dtype, shape) for name in ("x", "y", "out"))
    at = tuple(ir.Axis(f"i{k}") for k in range(len(shape)))
    two = number(2 if dtype.is_integer else 2.0, dtype)
    body: ir.Stmt = store(out, at, e.add(e.mul(load(x, *at), two), load(y, *at)))
    for k in reversed(range(len(shape))):
        body = parallel(at[k], shape[k], body, lanes=k == len(shape) - 1)
    return Sample(ir.Kernel("axpy", (x, y), (out,), (body,)), lambda x, y: [x * 2 + y])


def bias() -> Sample:
    """out[i, j] = max(x[i, j] + b[j], 0) * c[i]"""
    x, out = ir.Buffer("x", float32, (M, N)), ir.Buffer("out", float32, (M, N))
    b, c = ir.Buffer("b", float32, (N,)), ir.Buffer("c", float32, (M,))
    i, j = axes("i j")
    value = e.mul(e.maximum(e.add(load(x, i, j), load(b, j)), number(0.0)), load(c, i))
    nest = parallel(i, M, lanes(j, N, store(out, (i, j), value)))
    kernel = ir.Kernel("bias", (x, b, c), (out,), (nest,))
    return Sample(kernel, lambda x, b, c: [np.maximum(x + b, np.float32(0)) * c[:, None]])


def transpose() -> Sample:
    """out[j, i] = x[i, j], lanes along i: strided reads; and y[j, i] = x[i, j], strided writes"""
    x, out = ir.Buffer("x", float32, (M, N)), ir.Buffer("out", float32, (N, M))
    also = ir.Buffer("also", float32, (N, M))
    i, j, p, q = axes("i j p q")
    reads = parallel(j, N, lanes(i, M, store(out, (j, i), load(x, i, j))))
    writes = parallel(p, M, lanes(q, N, store(also, (q, p), load(x, p, q))))
    kernel = ir.Kernel("transpose", (x,), (out, also), (reads, writes))
    return Sample(kernel, lambda x: [x.T, x.T])


def transposed_sum() -> Sample:
    """out[i, j, k] = a[i, j, k] + b[k, i, j] c[j]: strided in k, with a loop around"""
    a, out = ir.Buffer("a", float32, (K, M, N)), ir.Buffer("out", float32, (K, M, N))
    b, c = ir.Buffer("b", float32, (N, K, M)), ir.Buffer("c", float32, (M,))
    i, j, k = axes("i j k")
    value = e.add(load(a, i, j, k), e.mul(load(b, k, i, j), load(c, j)))
    nest = parallel(i, K, parallel(j, M, lanes(k, N, store(out, (i, j, k), value))))
    kernel = ir.Kernel("transposed_sum", (a, b, c), (out,), (nest,))
    return Sample(kernel, lambda a, b, c: [a + b.transpose(1, 2, 0) * c[:, None]])


def steps() -> Sample:
    """Every second, third, fourth and fifth element, and all of them backwards."""
    x = ir.Buffer("x", float32, (M, 5 * N))
    outs = tuple(ir.Buffer(f"out{s}", float32, (M, N)) for s in (1, 2, 3, 4, 5))
    i, j = axes("i j")
    places = [e.sub(e.extent(N - 1), e.index(j))]
    places += [e.plus(e.times(e.index(j), s), s - 2) for s in (2, 3, 4, 5)]
    body = [store(out, (i, j), load(x, i, at)) for out, at in zip(outs, places)]
    kernel = ir.Kernel("steps", (x,), outs, (parallel(i, M, lanes(j, N, *body)),))

    def reference(x: np.ndarray) -> list[Any]:
        n = x.shape[1] // 5
        return [x[:, :n][:, ::-1], *(x[:, s - 2 :: s][:, :n] for s in (2, 3, 4, 5))]

    return Sample(kernel, reference)


FAR = (-(2**63), -(2**62) - 5, -1, 0, 1, 3, 17, 2**62 + 5, 2**63 - 1)


def comparisons() -> Sample:
    """Indices against each other, against sizes, and against data as far out as int64 goes."""
    limit, out = ir.Buffer("limit", int64, (M, N)), ir.Buffer("out", int64, (M, N))
    i, j = axes("i j")
    row, column, zero = e.index(i), e.index(j), number(0, int64)
    bound, own = load(limit, row, zero), load(limit, row, column)
    pairs = [
        (column, row), (e.times(column, 2), e.plus(row, 3)), (column, bound), (bound, column),
        (e.plus(row, -1), e.extent(N - 2)), (e.times(row, 3), bound), (own, column),
        (e.plus(column, 2), e.extent(N)),
    ]  # fmt: skip
    tests = [e.apply(f, x, y) for x, y in pairs for f in ("lt", "le", "eq", "ne")]
    total: ir.Expr = zero
    for position, test in enumerate(tests):
        total = e.add(total, e.select(test, number(1 << position, int64), zero))
    nest = parallel(i, M, lanes(j, N, store(out, (i, j), total)))

    def reference(limit: np.ndarray) -> list[Any]:
        r, c = np.indices(limit.shape)
        b, n = np.broadcast_to(limit[:, :1], limit.shape), np.full_like(c, limit.shape[1])
        couples = ((c, r), (2 * c, r + 3), (c, b), (b, c), (r - 1, n - 2), (3 * r, b), (limit, c),
                   (c + 2, n))  # fmt: skip
        results = [t for x, y in couples for t in (x < y, x <= y, x == y, x != y)]
        return [sum(t.astype(np.int64) << k for k, t in enumerate(results))]

    kernel = ir.Kernel("comparisons", (limit,), (out,), (nest,))
    return Sample(kernel, reference, lambda rng, shape: rng.choice(np.array(FAR), shape))


def row_sum(lanes: bool = True) -> Sample:
    """out[i] = sum_j x[i, j]"""
    x, out = ir.Buffer("x", float32, (M, N)), ir.Buffer("out", float32, (M,))
    i, j = axes("i j")
    total = ref("total")
    loop = reduction(j, N, SUM, [total], [load(x, i, j)], lanes)
    nest = parallel(i, M, loop, store(out, (i,), total))
    width = ir.LANES if lanes else 1
    return Sample(ir.Kernel("row_sum", (x,), (out,), (nest,)), lambda x: [blocked_sum(x, width)])


def column_sum() -> Sample:
    """out[j] = sum_i x[i, j]"""
    x, out = ir.Buffer("x", float32, (M, N)), ir.Buffer("out", float32, (N,))
    i, j = axes("i j")
    total = ref("total")
    loop = reduction(i, M, SUM, [total], [load(x, i, j)], lanes=False)
    nest = lanes(j, N, loop, store(out, (j,), total))
    kernel = ir.Kernel("column_sum", (x,), (out,), (nest,))
    return Sample(kernel, lambda x: [blocked_sum(x.T, 1)])


def argmax() -> Sample:
    """Where the largest element of each row is, the first of equals."""
    x, out = ir.Buffer("x", float32, (M, N)), ir.Buffer("out", int64, (M,))
    top = ir.Buffer("top", float32, (M,))
    i, j = axes("i j")
    best, at = ref("best"), ref("at", int64)
    loop = reduction(j, N, ARGMAX, [best, at], [load(x, i, j), e.index(j)])
    kept = e.select(e.eq(at, number(2**63 - 1, int64)), number(-1, int64), at)
    nest = parallel(i, M, loop, store(out, (i,), kept), store(top, (i,), best))

    def reference(x: np.ndarray) -> list[Any]:
        if x.shape[1] == 0:
            return [np.full(len(x), -1), np.full(len(x), -np.inf, np.float32)]
        return [x.argmax(1), x.max(1)]

    kernel = ir.Kernel("argmax", (x,), (out, top), (nest,))
    return Sample(kernel, reference, lambda rng, shape: rng.integers(-3, 4, shape))


def softmax() -> Sample:
    """Softmax of rows in three passes over scratch."""
    x, out = ir.Buffer("x", float32, (M, N)), ir.Buffer("out", float32, (M, N))
    i, j, k, q = axes("i j k q")
    row = ir.Buffer("row", float32, (N,))
    peak, total, power = ref("peak"), ref("total"), ref("power")
    nest = parallel(
        i, M,
        reduction(j, N, MAX, [peak], [load(x, i, j)]),
        ir.Scratch(row),
        reduction(k, N, SUM, [total], [power], before=(
            ir.Let(power, e.exp(e.sub(load(x, i, k), peak))), store(row, (k,), power),
        )),
        lanes(q, N, store(out, (i, q), e.div(load(row, q), total))),
    )  # fmt: skip

    def reference(x: np.ndarray) -> list[Any]:
        if x.size == 0:
            return [x]
        power = np.exp(x.astype(np.float64) - x.max(1, keepdims=True))
        return [power / power.sum(1, keepdims=True)]

    return Sample(ir.Kernel("softmax", (x,), (out,), (nest,)), reference, tolerance=KERNEL_SOFTMAX)


def layer_norm() -> Sample:
    """(x - mean) / sqrt(variance + eps), moments merged along the row; log(sum(exp)) beside it."""
    x, out = ir.Buffer("x", float32, (M, N)), ir.Buffer("out", float32, (M, N))
    lse = ir.Buffer("lse", float32, (M,))
    i, j, k, q = axes("i j k q")
    count, mean, m2, top, weight = map(ref, ("count", "mean", "m2", "top", "weight"))
    one = number(1.0)
    variance = e.div(m2, e.maximum(count, one))
    scale = e.div(one, e.sqrt(e.add(variance, number(0.5))))
    nest = parallel(
        i, M,
        reduction(j, N, MEAN_M2, [count, mean, m2], [one, load(x, i, j), number(0.0)]),
        reduction(k, N, LOGSUMEXP, [top, weight], [load(x, i, k), one]),
        lanes(q, N, store(out, (i, q), e.mul(e.sub(load(x, i, q), mean), scale))),
        store(lse, (i,), e.add(top, e.log(weight))),
    )  # fmt: skip

    def reference(x: np.ndarray) -> list[Any]:
        if x.shape[1] == 0:
            return [x, np.full(len(x), -np.inf)]
        wide = x.astype(np.float64)
        scaled = (wide - wide.mean(1, keepdims=True)) / np.sqrt(wide.var(1, keepdims=True) + 0.5)
        return [scaled, np.logaddexp.reduce(wide, axis=1)]

    return Sample(
        ir.Kernel("layer_norm", (x,), (out, lse), (nest,)), reference, tolerance=KERNEL_MOMENTS
    )


def gather() -> Sample:
    """out[i, j] = table[rows[i], j] and picked[i] = table[rows[i], i % n], lanes along i"""
    table, rows = ir.Buffer("table", float32, (N, N)), ir.Buffer("rows", int64, (M,))
    out, picked = ir.Buffer("out", float32, (M, N)), ir.Buffer("picked", float32, (M,))
    i, j, p = axes("i j p")
    nest = parallel(i, M, lanes(j, N, store(out, (i, j), load(table, load(rows, i), j))))
    pick = lanes(p, M, store(picked, (p,), load(table, load(rows, p), e.modulo(e.index(p), N))))
    kernel = ir.Kernel("gather", (table, rows), (out, picked), (nest, pick))

    def reference(table: np.ndarray, rows: np.ndarray) -> list[Any]:
        return [table[rows], table[rows, np.arange(len(rows)) % table.shape[1]]]

    return Sample(kernel, reference, least=1)


def padded() -> Sample:
    """out[i, j] = x[i - 1, j - 2], 0 outside: guarded loads; every third element is not stored"""
    x, out = ir.Buffer("x", float32, (M, N)), ir.Buffer("out", float32, (M + 2, N + 3))
    i, j = axes("i j")
    row, column = e.plus(e.index(i), -1), e.plus(e.index(j), -2)
    zero = number(0, int64)
    inside = [e.le(zero, row), e.lt(row, e.extent(M)), e.le(zero, column)]
    where = ir.all_of([*inside, e.lt(column, e.extent(N))])
    kept = e.ne(e.modulo(e.add(e.index(i), e.index(j)), 3), zero)
    value = load(x, row, column, where=where)
    nest = parallel(i, M + 2, lanes(j, N + 3, store(out, (i, j), value, kept)))

    def reference(x: np.ndarray) -> list[Any]:
        wide = np.pad(x, ((1, 1), (2, 1)))
        at = np.add.outer(np.arange(wide.shape[0]), np.arange(wide.shape[1]))
        return [np.where(at % 3 != 0, wide, np.nan)]

    return Sample(ir.Kernel("padded", (x,), (out,), (nest,)), reference)


def matmul() -> Sample:
    """out[i, j] = sum_k a[i, k] b[k, j], then relu"""
    a, b = ir.Buffer("a", float32, (M, K)), ir.Buffer("b", float32, (K, N))
    out = ir.Buffer("out", float32, (M, N))
    i, j, k = axes("i j k")
    total = ref("total")
    loop = reduction(k, K, DOT, [total], [load(a, i, k), load(b, k, j)], lanes=False)
    nest = parallel(i, M, lanes(j, N, loop, store(out, (i, j), e.maximum(total, number(0.0)))))
    kernel = ir.Kernel("matmul", (a, b), (out,), (nest,))
    return Sample(
        kernel,
        lambda a, b: [np.maximum(a.astype(float) @ b.astype(float), 0)],
        tolerance=KERNEL_PRODUCTS,
    )


def nested_sum() -> Sample:
    """out[j] = sum over i, k of x[i, j] y[k]: an accumulator fed two loops further in"""
    x, y = ir.Buffer("x", float32, (M, N)), ir.Buffer("y", float32, (K,))
    out, whole = ir.Buffer("out", float32, (N,)), ir.Buffer("whole", float32, ())
    i, j, k, p, q = axes("i j k p q")
    total, everything = ref("total"), ref("everything")
    fed = ir.Accumulator(SUM, (total,))
    step = ir.Accumulate(fed, (e.mul(load(x, i, j), load(y, k)),))
    inner = ir.Loop(k, ir.extent(K), ir.SEQUENTIAL, (step,))
    loop = ir.Loop(i, ir.extent(M), ir.SEQUENTIAL, (inner,), (fed,))
    nest = lanes(j, N, loop, store(out, (j,), total))
    rest = ir.Accumulator(SUM, (everything,))
    row = ir.Loop(
        q, ir.extent(N), ir.SEQUENTIAL, (ir.Accumulate(rest, (load(x, p, q),)),), lanes=True
    )
    rows = ir.Loop(p, ir.extent(M), ir.SEQUENTIAL, (row,), (rest,))
    kernel = ir.Kernel(
        "nested_sum", (x, y), (out, whole), (nest, rows, store(whole, (), everything))
    )

    def reference(x: np.ndarray, y: np.ndarray) -> list[Any]:
        wide = x.astype(np.float64)
        return [wide.sum(0) * y.sum(dtype=np.float64), wide.sum()]

    return Sample(kernel, reference, tolerance=KERNEL_PRODUCTS)


def two_stages() -> Sample:
    """mean[i] first, then out[i, j] = x[i, j] - mean[j % m]: threads must wait in between"""
    x, out = ir.Buffer("x", float32, (M, N)), ir.Buffer("out", float32, (M, N))
    mean = ir.Buffer("mean", float32, (M,))
    i, j, p, q = axes("i j p q")
    total = ref("total")
    loop = reduction(j, N, SUM, [total], [load(x, i, j)])
    first = parallel(i, M, loop, store(mean, (i,), e.mul(total, number(0.25))))
    other = load(mean, e.modulo(e.index(q), M))
    second = parallel(p, M, lanes(q, N, store(out, (p, q), e.sub(load(x, p, q), other))))

    def reference(x: np.ndarray) -> list[Any]:
        mean = blocked_sum(x, ir.LANES) * np.float32(0.25)
        index = np.arange(x.shape[1]) % max(1, len(mean))
        return [x - mean[index] if len(mean) else x, mean]

    return Sample(ir.Kernel("two_stages", (x,), (out, mean), (first, second)), reference)


def in_place() -> Sample:
    """w -= 0.5 * g, and every element's old value goes to `old`"""
    w, g = ir.Buffer("w", float32, (M, N)), ir.Buffer("g", float32, (M, N))
    old = ir.Buffer("old", float32, (M, N))
    i, j = axes("i j")
    before = ref("before")
    nest = parallel(
        i, M,
        lanes(j, N, ir.Let(before, load(w, i, j)),
              store(w, (i, j), e.sub(load(w, i, j), e.mul(load(g, i, j), number(0.5)))),
              store(old, (i, j), before)),
    )  # fmt: skip
    kernel = ir.Kernel("in_place", (w, g), (w, old), (nest,))
    return Sample(kernel, lambda w, g: [w - g * np.float32(0.5), w.copy()])


def masks() -> Sample:
    """Booleans: y = x > 0, and out = where(y & b, x, -x)"""
    x, b = ir.Buffer("x", float32, (M, N)), ir.Buffer("b", bool_, (M, N))
    y, out = ir.Buffer("y", bool_, (M, N)), ir.Buffer("out", float32, (M, N))
    i, j = axes("i j")
    positive = e.lt(number(0.0), load(x, i, j))
    both = e.logical_and(positive, load(b, i, j))
    value = e.select(both, load(x, i, j), e.neg(load(x, i, j)))
    nest = parallel(i, M, lanes(j, N, store(y, (i, j), positive), store(out, (i, j), value)))
    kernel = ir.Kernel("masks", (x, b), (y, out), (nest,))
    return Sample(kernel, lambda x, b: [x > 0, np.where((x > 0) & b, x, -x)])


def of_dtype(dtype: DType) -> ir.Kernel:
    """For one dtype: x + y elementwise, the sum, product and maximum of rows, a transposition."""
    x, y, out = (ir.Buffer(name, dtype, (M, N)) for name in ("x", "y", "out"))
    turned = ir.Buffer("turned", dtype, (N, M))
    results = tuple(ir.Buffer(name, dtype, (M,)) for name in ("total", "product", "top"))
    i, j, k, p, q = axes("i j k p q")
    is_bool = dtype.kind == "b"
    both = e.logical_or if is_bool else e.add
    combines = (ANY, ALL, MAX) if is_bool else (SUM, PROD, MAX)
    body: list[ir.Stmt] = []
    for combine, axis, result in zip(combines, (j, k, p), results):
        value = ref(f"{result.name}_value", dtype)
        body.append(reduction(axis, N, combine, [value], [load(x, i, axis)]))
        body.append(store(result, (i,), value))
    body.append(lanes(q, N, store(out, (i, q), both(load(x, i, q), load(y, i, q)))))
    r, c = axes("r c")
    turn = parallel(r, N, lanes(c, M, store(turned, (r, c), load(x, c, r))))
    nests = (parallel(i, M, *body), turn)
    return ir.Kernel(f"of_{dtype.name}", (x, y), (out, turned, *results), nests)


SAMPLES: tuple[Callable[[], Sample], ...] = (
    axpy, bias, transpose, transposed_sum, steps, comparisons, row_sum, column_sum, argmax, softmax,
    layer_norm, gather, padded, matmul, nested_sum, two_stages, in_place, masks,
)  # fmt: skip
