"""Random loops against the same program written out, values and derivatives to third order.

A program draws statements: smooth bounded functions, integers, flags, and (nested) scans, choices,
while loops, gradients of what was computed inside, and loops over examples. `Loops` and `Plain`
give these two meanings; both draw from the same seeds. A program's kinds of values: `s` and `v`
are scalars and vectors of floats, `i` and `b` an integer and a flag.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import graphc as gx
from graphc.frontend.tensor import Tensor
from graphc.ir.graph import topological
from graphc.ir.types import Array
from tests.fuzz.loop_machines import Loops, Machine, Plain, Values
from tests.tolerances import FUZZ_LOOPS, FUZZ_TARGETS

N = 3  # of vectors, and of rows, so that axes are easily mistaken
FLOAT = "float64"
LARGEST = 4_000  # nodes of what is differentiated once more
TARGETS = ("cpu", "interpret", "cuda-simulate")


def kind_of(t: Tensor) -> str:
    """s, v, i or b; m is the matrix."""
    return {"b": "b", "i": "i"}.get(t.dtype.kind, "svm"[t.ndim])


class Scope:
    """The values that statements can use, the draws of one place in the program."""

    def __init__(self, m: Machine, seed: int, values: Values, depth: int) -> None:
        self.m, self.depth, self.values = m, depth, list(values)
        self.rng = np.random.default_rng(seed)

    def pick(self, kind: str) -> Tensor:
        """A value, rather a late one."""
        found = [t for t in self.values if kind_of(t) == kind]
        recent = min(len(found), 3)
        few = found[-recent:] if self.chance(0.7) else found
        return few[int(self.rng.integers(len(few)))]

    def chance(self, p: float) -> bool:
        """True with this probability."""
        return bool(self.rng.random() < p)

    def kinds(self, least: int, most: int) -> list[str]:
        """Some kinds, floats more often."""
        count = int(self.rng.integers(least, most + 1))
        return [str(k) for k in self.rng.choice(list("ssvvib"), count)]

    def draw(self) -> int:
        """A seed for a scope inside."""
        return int(self.rng.integers(2**31))

    def inside(self, seed: int, more: Values, statements: int) -> Scope:
        """A scope with more values, after some statements."""
        inner = Scope(self.m, seed, [*self.values, *more], self.depth - 1)
        for _ in range(statements):
            inner.step()
        return inner

    def step(self) -> None:
        """One statement."""
        nested = self.depth > 0 and self.chance(0.35)
        table = NESTED if nested else SIMPLE
        self.values += table[int(self.rng.integers(len(table)))](self)

    def bounded(self, kind: str) -> Tensor:
        """A value for the next iteration: floats do not grow."""
        t = self.pick(kind)
        return gx.sin(t) if kind in "sv" and self.chance(0.5) else t


# ------------------------------------------------------------------------------ statements


def smooth(c: Scope) -> Values:
    kind = "sv"[int(c.chance(0.5))]
    a, b = c.pick(kind), c.pick(kind)
    forms: list[Callable[[], Tensor]] = [
        lambda: gx.sin(a + 0.7 * b),
        lambda: gx.tanh(a * b),
        lambda: a * gx.cos(b),
        lambda: 0.6 * a - 0.3 * b * b,
        lambda: gx.sigmoid(a) * b,
        lambda: gx.where(c.pick("b"), a, gx.sin(b)),
    ]
    return [forms[int(c.rng.integers(len(forms)))]()]


def between_kinds(c: Scope) -> Values:
    s, v, w, i = c.pick("s"), c.pick("v"), c.pick("v"), c.pick("i")
    forms: list[Callable[[], Tensor]] = [
        lambda: gx.sin(s) * v,
        lambda: gx.sum(v * gx.cos(w)) / 3.0,
        lambda: gx.tanh(gx.matmul(c.values[0], v)),
        lambda: gx.matmul(gx.sin(v), w),
        lambda: gx.take(v, i % N, axis=0),
        lambda: gx.cumulative_sum(v, 0) * 0.5,
        lambda: gx.flip(v, 0) * s,
        lambda: gx.sin(gx.astype(i, FLOAT) * 0.3) * s,
        lambda: gx.max(v) * gx.cos(s),
        lambda: v + gx.astype(c.pick("b"), FLOAT),
    ]
    return [forms[int(c.rng.integers(len(forms)))]()]


def discrete(c: Scope) -> Values:
    i, j, b, d, s, t = (c.pick(k) for k in "iibbss")
    forms: list[Callable[[], Tensor]] = [
        lambda: (3 * i + j) % 7,
        lambda: gx.where(b, i, j + 1),
        lambda: i + gx.astype(b, "int32"),
        lambda: s > gx.sin(t + 0.1),
        lambda: i % 2 == 0,
        lambda: b ^ d,
        lambda: ~b,
        lambda: (b & d) | (i > j),
    ]
    return [forms[int(c.rng.integers(len(forms)))]()]


def scan(c: Scope) -> Values:
    carries, ys = c.kinds(1, 3), c.kinds(0, 2)
    rows, seed = c.kinds(0, 2), c.draw()
    xs, init = [rows_of(c, k) for k in rows], [c.pick(k) for k in carries]
    length = N if c.chance(0.6) else int(c.rng.integers(0, N))

    def step(state: Values, row: Values) -> tuple[Values, Values]:
        inner = c.inside(seed, [*row, *state], 2)
        return [inner.bounded(k) for k in carries], [inner.pick(k) for k in ys]

    options = scan_options(c)
    last, stacks = c.m.scan(step, init, [x[:length] for x in xs], length, options)
    return [*last, *(summed(s) for s in stacks), *(gx.sin(t) for t in last if t.dtype.is_float)]


def scan_options(c: Scope) -> dict[str, Any]:
    options: dict[str, Any] = {"reverse": c.chance(0.4)}
    chosen = int(c.rng.integers(5))
    if chosen == 0:
        options["checkpoint"] = (1, 2, "sqrt")[int(c.rng.integers(3))]
    if chosen == 1:
        options["truncate"] = int(c.rng.integers(1, 3))
    return options


def rows_of(c: Scope, kind: str) -> Tensor:
    """A stack whose rows are of a kind."""
    if kind == "v":
        return c.values[0] * c.pick("s")
    v = c.pick("v")
    return {"s": v, "i": gx.arange(N, dtype="int32"), "b": v > gx.sin(c.pick("s"))}[kind]


def summed(stack: Tensor) -> Tensor:
    """One value of all rows."""
    if stack.dtype.kind == "b":
        return gx.any(stack, axis=0)
    if stack.dtype.kind == "i":
        return gx.astype(gx.sum(stack, axis=0) % 5, "int32")
    return gx.sum(gx.sin(stack) * 0.5, axis=0)


def choice(c: Scope) -> Values:
    kinds, seeds, chosen = c.kinds(1, 2), (c.draw(), c.draw()), c.pick("b")

    def branch(seed: int) -> Callable[[], Values]:
        def run() -> Values:
            inner = c.inside(seed, [], 2)
            return [inner.pick(k) for k in kinds]

        return run

    return list(c.m.cond(chosen, branch(seeds[0]), branch(seeds[1])))


def while_loop(c: Scope) -> Values:
    kinds, seed, most = c.kinds(1, 2), c.draw(), int(c.rng.integers(0, N))
    init = [gx.constant(0), *(c.pick(k) for k in kinds)]
    last = most - seed % 2  # some loops end before they must
    place = int(c.rng.integers(len(init)))  # where the counter is
    order = sorted(range(len(init)), key=lambda k: (k != 0, k))
    order.remove(0)
    order.insert(place, 0)

    def body(state: Values) -> Values:
        inner = c.inside(seed, state, 2)
        new = [state[place] + 1, *(inner.bounded(k) for k in kinds)]
        return [new[k] for k in order]

    def goes_on(state: Values) -> Tensor:
        counts = state[place] < last
        floats = [t for t in state if kind_of(t) == "s"]
        return counts & (floats[0] < 0.5) if floats else counts

    return list(c.m.while_loop(goes_on, body, [init[k] for k in order], most))


def gradient(c: Scope) -> Values:
    z = gx.sin(c.pick("sv"[int(c.chance(0.5))]))
    inner = c.inside(c.draw(), [z], 2)
    s, v, along = inner.pick("s"), inner.pick("v"), gx.cos(inner.pick(kind_of(z)))
    y = s * gx.cos(gx.sum(v)) + gx.sin(gx.sum(z))
    forms: list[Callable[[], Tensor]] = [
        lambda: gx.grad(y, z),
        lambda: gx.jvp(v * gx.sin(y), z, along),
        lambda: gx.hvp(y, z, along),
        lambda: gx.sum(gx.jacobian(v * s, z) * gx.sin(z), axis=-1 if z.ndim else 0),
    ]
    return [gx.tanh(forms[int(c.rng.integers(len(forms)))]())]


def examples(c: Scope) -> Values:
    kind, seed = "sv"[int(c.chance(0.4))], c.draw()

    def one(example: Tensor) -> Tensor:
        inner = c.inside(seed, [example], 2)
        return inner.bounded(kind)

    found = c.m.vmap(one, c.values[0] if c.chance(0.3) else c.pick("v"))
    return [found if kind == "s" else gx.sum(found, axis=0)]


def long_scan(c: Scope) -> Values:
    """A loop over the rows of the last input, of which there are any number."""
    carries, ys, seed = c.kinds(1, 3), c.kinds(1, 2), c.draw()
    rows = c.values[5]
    count = rows.shape[0]
    init = [c.pick(k) for k in carries]

    def step(state: Values, row: Values) -> tuple[Values, Values]:
        inner = c.inside(seed, [row[0], gx.astype(row[1], "int32"), *state], 2)
        return [inner.bounded(k) for k in carries], [inner.pick(k) for k in ys]

    options = {k: v for k, v in scan_options(c).items() if k != "checkpoint"}
    xs = [rows, gx.arange(count, dtype="int64")]
    last, stacks = c.m.scan(step, init, xs, count, options)
    return [*last, *(summed(s) for s in stacks)]


SIMPLE = (smooth, smooth, between_kinds, between_kinds, discrete)
NESTED = (scan, scan, choice, while_loop, gradient, examples)


# -------------------------------------------------------------------------------- comparison


def inputs(rows: int | str) -> Values:
    """A matrix, a vector, a scalar, an integer, a flag, and rows."""
    shapes = (("m", (N, N), FLOAT), ("v", (N,), FLOAT), ("s", (), FLOAT))
    others = (("i", (), "int32"), ("b", (), "bool"), ("r", (rows, N), FLOAT))
    return [gx.input(n, shape, dtype) for n, shape, dtype in (*shapes, *others)]


def loss_of(m: Machine, seed: int, given: Values) -> Tensor:
    """A loop at least, further statements, and one number of all that came out."""
    c = Scope(m, seed, given, 2 if seed % 4 else 3)
    c.values += (scan if c.chance(0.7) else long_scan)(c)
    for _ in range(2):
        c.step()
    total = gx.constant(0.0, dtype=FLOAT)
    for k, t in enumerate(c.values[len(given) :]):
        wide = gx.astype(t, FLOAT)
        total = total + gx.sum(gx.sin(wide * (1.0 + 0.1 * k))) * gx.where(c.values[4], 1.0, 0.5)
    return total


def orders_of(loss: Tensor, floats: Values, seed: int, order: int, forward: bool) -> Values:
    """The loss, its derivatives along random directions, and the last gradient.

    There are fewer orders than asked for where the written-out ones are too long.
    """
    rng, found, slopes = np.random.default_rng(seed), [loss], []
    for _ in range(order):
        if len(topological([found[-1].node])) > LARGEST:
            break
        along = [gx.constant(rng.uniform(-1, 1, size)) for size in ((N, N), (N,), ())]
        slopes = gx.grad(found[-1], floats, unreachable="zero")
        terms = [gx.sum(g * d) for g, d in zip(slopes, along)]
        push = rng.random() < 0.5 and forward
        pushed = gx.jvp(found[-1], floats, along) if push else None
        found.append(terms[0] + terms[1] + terms[2] if pushed is None else pushed)
    return [*found, *slopes]


def arrays(seed: int) -> list[Array]:
    """Values of the inputs."""
    rng = np.random.default_rng(seed)
    shapes = (N, N), (N,), (), (int(rng.choice([0, 1, 2, 4])), N)
    m, v, s, r = (np.asarray(rng.uniform(-1.2, 1.2, shape)) for shape in shapes)
    return [m, v, s, np.asarray(rng.integers(4), np.int32), np.asarray(rng.random() < 0.5), r]


def check(seed: int) -> str:
    """Compare one program, its first to third derivatives, on all targets."""
    feeds, order = arrays(seed), 1 + seed % 3
    fixed, given = inputs(len(feeds[5])), inputs("rows")
    plain, loops = loss_of(Plain(), seed, fixed), loss_of(Loops(), seed, given)
    written = orders_of(plain, fixed[:3], seed, order, False)
    order = max(0, len(written) - 4)
    found = orders_of(loops, given[:3], seed, order, seed % 5 == 0)
    wanted = gx.compile(fixed, written, target="interpret")(*feeds)
    for target in TARGETS if order < 3 or seed % 2 else TARGETS[1:]:
        compare(seed, order, target, gx.compile(given, found, target=target)(*feeds), wanted)
    if order < 2:
        values = dict(zip(given, feeds))
        compare(seed, order, "eval", [t.eval(values) for t in found], wanted)
    return f"order {order}"


def compare(seed: int, order: int, target: str, found: Any, wanted: Any) -> None:
    """Fail with the place and both values."""
    for k, (a, b) in enumerate(zip(found, wanted, strict=True)):
        scale = 1.0 + float(np.max(np.abs(b)))
        if not np.allclose(a, b, rtol=FUZZ_LOOPS, atol=FUZZ_TARGETS * scale, equal_nan=True):
            raise AssertionError(f"{target}, order {order}, result {k}: {a} for {b}")
