"""Kernels of several stages, some of them contractions: attention by blocks, two layers at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from graphc.ir.loops.combine import DOT, MAX, SUM
from graphc.ir.loops.expression import ExprEmitter
from graphc.ir.loops.ir import (
    PARALLEL,
    SEQUENTIAL,
    Accumulate,
    Accumulator,
    Apply,
    Axis,
    Buffer,
    Combine,
    Expr,
    Kernel,
    Let,
    Load,
    Loop,
    Ref,
    Scratch,
    Stmt,
    Store,
    const,
    index,
)
from graphc.ir.ops import RoundToTF32
from graphc.ir.types import bfloat16, bool_, float16, float32

Round = Callable[[Expr], Expr]
LOW = {"bf16": bfloat16, "fp16": float16}
HIDDEN = -1e30  # a score that no key has


def rounding(kind: str) -> Round:
    """How operands are rounded to a low type; "" leaves them alone."""
    if not kind:
        return lambda value: value
    if kind == "tf32":
        return lambda value: RoundToTF32().emit(ExprEmitter(), value)
    return lambda value: Apply(float32, "cast", (Apply(LOW[kind], "cast", (value,)),))


@dataclass
class Names:
    """Axes and refs that are made as they are needed, each with a name of its own."""

    e: ExprEmitter = field(default_factory=ExprEmitter)
    count: int = 0

    def name(self, wish: str) -> str:
        self.count += 1
        return f"{wish}{self.count}"

    def every(self, extent: Expr, body: Callable[[Expr], Sequence[Stmt]], lanes: bool = False,
              kind: str = PARALLEL) -> Loop:  # fmt: skip
        """A loop."""
        axis = Axis(self.name("i"))
        return Loop(axis, extent, kind, tuple(body(index(axis))), lanes=lanes)

    def over(self, combine: Combine, extent: Expr, body: Callable[[Expr], tuple[Expr, ...]],
             lanes: bool = False) -> tuple[Loop, Ref]:  # fmt: skip
        """A reduction, and its result."""
        axis, result = Axis(self.name("k")), Ref(float32, self.name("r"))
        accumulator = Accumulator(combine, (result,))
        inner = (Accumulate(accumulator, body(index(axis))),)
        return Loop(axis, extent, SEQUENTIAL, inner, (accumulator,), lanes), result

    def pairs(self, rows: Expr, columns: Expr, body: Callable[[Expr, Expr], Sequence[Stmt]]
              ) -> Loop:  # fmt: skip
        """Two parallel loops."""
        return self.every(rows, lambda i: [self.every(columns, lambda j: body(i, j), True)])

    def span(self, number: Expr, total: int, block: int) -> tuple[Expr, Expr]:
        """The first element of a block and its length."""
        e = self.e
        first = e.mul(number, const(block))
        if total % block == 0:
            return first, const(block)
        rest = e.sub(const(total), first)
        return first, e.select(e.lt(rest, const(block)), rest, const(block))


def at(buffer: Buffer, *place: Expr) -> Load:
    """An element."""
    return Load(buffer.dtype, buffer, place)


def attention(
    rows: int, keys: int, size: int, causal: bool = False, kind: str = "", batch: int = 1,
    block: int = 64, lanes: bool = True,
) -> Kernel:  # fmt: skip
    """Means of values weighted by a softmax, block by block."""
    n, low = Names(), rounding(kind)
    e = n.e
    q, k, v, y = (
        Buffer(name, float32, (batch, length, size))
        for name, length in (("q", rows), ("k", keys), ("v", keys), ("y", rows))
    )
    lse = Buffer("lse", float32, (batch, rows))
    high, wide = min(block, rows), min(block, keys)
    scores, means = (
        Buffer("scores", float32, (high, wide)),
        Buffer("means", float32, (high, size)),
    )
    top, total, shrink = (Buffer(x, float32, (high,)) for x in ("top", "total", "shrink"))

    def queries(b: Expr, number: Expr) -> list[Stmt]:
        first, here = n.span(number, rows, high)
        last = e.add(first, here)
        end = e.select(e.lt(last, const(keys)), last, const(keys)) if causal else const(keys)
        steps = e.div(e.add(end, const(wide - 1)), const(wide))
        f32 = e.const

        def step(number: Expr) -> list[Stmt]:
            start, there = n.span(number, keys, wide)

            def score(i: Expr, j: Expr) -> list[Stmt]:
                loop, dot = n.over(
                    DOT,
                    const(size),
                    lambda d: (
                        low(at(q, b, e.add(first, i), d)),
                        low(at(k, b, e.add(start, j), d)),
                    ),
                )
                value = e.mul(dot, f32(0.125, float32))
                if causal:
                    seen = Apply(bool_, "le", (e.add(start, j), e.add(first, i)))
                    value = e.select(seen, value, f32(HIDDEN, float32))
                return [loop, Store(scores, (i, j), value)]

            def weigh(i: Expr) -> list[Stmt]:
                maximum, most = n.over(MAX, there, lambda j: (at(scores, i, j),), lanes)
                new = Ref(float32, n.name("new"))
                factor = Ref(float32, n.name("factor"))
                weight = n.every(
                    there,
                    lambda j: [Store(scores, (i, j), e.exp(e.sub(at(scores, i, j), new)))],
                    lanes,
                )
                added, more = n.over(SUM, there, lambda j: (at(scores, i, j),), lanes)
                return [
                    maximum,
                    Let(new, e.maximum(at(top, i), most)),
                    Let(factor, e.exp(e.sub(at(top, i), new))),
                    weight,
                    added,
                    Store(total, (i,), e.add(e.mul(at(total, i), factor), more)),
                    Store(shrink, (i,), factor),
                    Store(top, (i,), new),
                ]

            def mean(i: Expr, c: Expr) -> list[Stmt]:
                loop, dot = n.over(
                    DOT, there, lambda j: (low(at(scores, i, j)), low(at(v, b, e.add(start, j), c)))
                )
                value = e.fma(at(shrink, i), at(means, i, c), dot)
                return [loop, Store(means, (i, c), value)]

            return [
                n.pairs(here, there, score),
                n.every(here, weigh),
                n.pairs(here, const(size), mean),
            ]

        def finish(i: Expr) -> list[Stmt]:
            row = e.add(first, i)
            logarithm = e.add(at(top, i), e.log(at(total, i)))
            divide = n.every(
                const(size),
                lambda c: [Store(y, (b, row, c), e.div(at(means, i, c), at(total, i)))],
                True,
            )
            return [Store(lse, (b, row), logarithm), divide]

        zero = f32(0.0, float32)
        return [
            *(Scratch(x) for x in (scores, means, top, total, shrink)),
            n.pairs(here, const(size), lambda i, c: [Store(means, (i, c), zero)]),
            n.every(here, lambda i: [Store(top, (i,), f32(HIDDEN, float32)),
                                     Store(total, (i,), zero)]),
            n.every(steps, step, kind=SEQUENTIAL),
            n.every(here, finish),
        ]  # fmt: skip

    blocks = const(-(-rows // high))
    body = n.every(const(batch), lambda b: [n.every(blocks, lambda x: queries(b, x))])
    return Kernel("attention", (q, k, v), (y, lse), (body,))


def two_layers(rows: int, width: int, hidden: int, kind: str = "", block: int = 64) -> Kernel:
    """relu(x a) b, block by block of the rows: what is between them stays in the block."""
    n, low = Names(), rounding(kind)
    e, high = n.e, min(block, rows)
    x, y = (Buffer(name, float32, (rows, width)) for name in "xy")
    a, b = Buffer("a", float32, (width, hidden)), Buffer("b", float32, (hidden, width))
    middle = Buffer("middle", float32, (high, hidden))

    def layers(number: Expr) -> list[Stmt]:
        first, here = n.span(number, rows, high)

        def inner(i: Expr, j: Expr) -> list[Stmt]:
            loop, dot = n.over(
                DOT, const(width), lambda d: (low(at(x, e.add(first, i), d)), low(at(a, d, j)))
            )
            return [loop, Store(middle, (i, j), e.maximum(dot, e.const(0.0, float32)))]

        def outer(i: Expr, j: Expr) -> list[Stmt]:
            loop, dot = n.over(
                DOT, const(hidden), lambda d: (low(at(middle, i, d)), low(at(b, d, j)))
            )
            return [loop, Store(y, (e.add(first, i), j), dot)]

        return [
            Scratch(middle),
            n.pairs(here, const(hidden), inner),
            n.pairs(here, const(width), outer),
        ]

    body = n.every(const(-(-rows // high)), layers)
    return Kernel("layers", (x, a, b), (y,), (body,))
