"""Programs in which `where` looks away from spoilt places, for the net of non-finite values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import graphc as gx
from graphc.ir.structure import flatten
from tests.tolerances import FUZZ_GUARDED

Array = np.ndarray[Any, Any]
SHAPE = (3, 4)
HARMLESS = 0.75
BAD = (np.nan, np.inf, -np.inf, 0.0, -1.0, -0.5)
Choice = Callable[[Any, Any, Any], Any]


def blend(m: Any, a: Any, b: Any) -> Any:
    """`where` for numbers."""
    m = gx.astype(m, "float64")
    return m * a + (1.0 - m) * b


def positive(x: Any) -> Any:
    """About |x|, smooth and above 0."""
    return gx.sqrt(x * x + 0.04)


def _through_loop(x: Any, w: Any) -> Any:
    def body(c: Any, row: Any) -> Any:
        c = 0.5 * c * row + gx.log1p(row)
        return c, c * 0.5 + row

    return positive(gx.scan(body, gx.ones((4,), dtype="float64"), x)[1])


def _choices_in_loop(x: Any, w: Any) -> Any:
    """What a row does not choose stays; a gradient is taken inside of the loop."""

    def body(c: Any, row: Any) -> Any:
        seen = row > 0.6
        new = gx.where(seen, gx.sqrt(c * gx.log1p(row)), c)
        slope = gx.grad(gx.sum(gx.where(seen, gx.log(c + row), 0.0)), c)
        return new * 0.9 + 0.05, gx.where(seen, new, c) + 0.1 * slope

    return gx.scan(body, gx.ones((4,), dtype="float64"), x)[1] + 0.1


def _while(x: Any, w: Any) -> Any:
    def more(c: Any) -> Any:
        return gx.cond(gx.sum(w) > 0, lambda: gx.sqrt(c) + 0.2, lambda: 1.0 / c)

    count = gx.constant(np.array(3))
    end = gx.while_loop(lambda s: s[0] > 0, lambda s: (s[0] - 1, more(s[1])), (count, x), 5)
    return end[1]


def _for_each_row(x: Any, w: Any) -> Any:
    def one(row: Any) -> Any:
        one = gx.constant(np.array(1.0))
        return gx.scan(lambda c, r: (gx.tanh(c + r), c * r), one, row)[1] + row

    return gx.vmap(one)(x)


def _matrices(x: Any, w: Any) -> Any:
    a = gx.reshape(x, (3, 2, 2)) + 2.0 * gx.eye(2, dtype="float64")
    return positive(gx.reshape(gx.linalg.inv(a), SHAPE) * gx.linalg.det(a)[:, None])


def _strided(x: Any, w: Any) -> Any:
    kernel = gx.reshape(w[:2, :2], (2, 1, 2))
    y = gx.nn.conv(x[:, :, None], kernel, padding="same", strides=2)
    return positive(gx.reshape(y, SHAPE))


def _put(mode: str) -> Callable[[Any, Any], Any]:
    places = np.array([[0, 1, 1, 3], [2, 2, 2, 2], [3, 0, 0, 1]])
    return lambda x, w: gx.put_along_axis(x, places, gx.flip(x, axis=0) + 0.1, 1, mode=mode)


def _around(x: Any, w: Any) -> Any:
    return gx.vmap(lambda r: gx.log1p(r) * gx.sum(r))(x)


def _conv(x: Any, w: Any) -> Any:
    kernel = gx.reshape(w[:3, :], (3, 1, 4))[:, :, :1]
    return positive(gx.nn.conv(x[:, :, None], kernel, padding="same")[:, :, 0])


UNARY: tuple[Callable[[Any], Any], ...] = (
    gx.log1p, gx.sqrt, lambda x: x / (1.0 + x), lambda x: gx.exp(-x), lambda x: x**1.5,
    lambda x: 1.0 / (0.5 + x), gx.tanh, lambda x: gx.sqrt(gx.log1p(x)), lambda x: x**-0.5,
    lambda x: gx.log(x) ** 2, gx.nn.sigmoid, gx.nn.softplus, lambda x: gx.asin(gx.tanh(x)),
    lambda x: x * x, gx.nn.relu, gx.nn.elu,
)  # fmt: skip
BINARY: tuple[Callable[[Any, Any], Any], ...] = (
    lambda a, b: a + b, lambda a, b: a * b, lambda a, b: a / b, gx.maximum, gx.hypot,
    lambda a, b: positive(a - b), lambda a, b: a ** (b * 0.5), gx.logaddexp,
)  # fmt: skip
# None leaves an element out, as a slice may: that 0 is not the choice of a `where`.
MOVES: tuple[Callable[[Any, Any], Any], ...] = (
    lambda x, w: gx.flip(x, axis=0), lambda x, w: gx.flip(x), lambda x, w: gx.roll(x, 1, axis=1),
    lambda x, w: gx.reshape(gx.flip(gx.reshape(x, (2, 6)), axis=1), SHAPE),
    lambda x, w: gx.cumulative_sum(x, axis=1), lambda x, w: gx.cumulative_prod(x, axis=0),
    lambda x, w: gx.sort(x, axis=1), lambda x, w: x[np.array([2, 0, 1])],
    lambda x, w: gx.take(x, np.array([1, 2, 3, 0]), axis=1),
    lambda x, w: positive(x @ w), lambda x, w: positive(w[:3, :3] @ x),
    lambda x, w: positive(gx.einsum("ij,kj->ik", w[:3], x @ w)) @ gx.ones((3, 4), dtype="float64"),
    lambda x, w: x / gx.sum(x, axis=1, keepdims=True) + 0.1,
    lambda x, w: gx.nn.softmax(x, axis=0) + 0.1,
    lambda x, w: positive(x - gx.mean(x, axis=0, keepdims=True)),
    lambda x, w: x + gx.max(x, axis=1, keepdims=True),
    lambda x, w: gx.pad(x, ((1, 0), (0, 1)))[1:, 1:] + 0.3 * x,
    lambda x, w: gx.concat([x[2:], x[:2] * 2.0], axis=0),
    lambda x, w: x.at[np.array([0, 2])].add(x[:2]), lambda x, w: gx.tril(x) + 0.2,
    lambda x, w: gx.prod(x, axis=0, keepdims=True) + x * 0.0 + 0.1,
    lambda x, w: positive(gx.linalg.solve(w + 3.0 * gx.eye(4, dtype="float64"), x.T).T),
    _through_loop, _around, _conv, _strided, _choices_in_loop, _while, _for_each_row, _matrices,
    _put("add"), _put("mul"),
    lambda x, w: gx.nn.max_pool(x[:, :, None], 2, strides=1, padding="same")[:, :, 0] + x,
    lambda x, w: gx.logsumexp(x, axis=1, keepdims=True) + x,
    lambda x, w: positive(gx.linalg.vector_norm(x, axis=0, keepdims=True) - x),
    lambda x, w: gx.repeat(x, 2, axis=0)[::2], lambda x, w: gx.tile(x, (2, 1))[2:5],
    lambda x, w: gx.broadcast_to(gx.linalg.diagonal(x @ w[:, :3])[:, None], SHAPE) + 0.1 * x,
)  # fmt: skip


class Program:
    """One program, built twice: with `where`, and with blends; and the places that are defined."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.good: dict[gx.Tensor, Array] = {}
        self.spoilt: dict[gx.Tensor, Array] = {}
        self.poison: dict[gx.Tensor, Array] = {}
        self.floats: list[gx.Tensor] = []
        self.values: list[tuple[Any, Any]] = []
        self.story: list[str] = []  # what every value is made by
        for i in range(2):
            self.add_input(f"x{i}", SHAPE, rng.random(SHAPE) < 0.7)
        rows = np.broadcast_to(rng.random((3, 1)) < 0.6, SHAPE)
        self.add_input("rows", SHAPE, rows)
        self.weights = self.add_input("w", (4, 4), np.ones((4, 4), bool))
        self.values.pop()

    def add_input(self, name: str, shape: tuple[int, ...], used: Array) -> gx.Tensor:
        """An input with bad numbers where it is not used."""
        x = gx.input(name, shape, dtype="float64")
        drawn = self.rng.uniform(0.3, 1.2, shape)
        self.good[x] = np.where(used, drawn, HARMLESS)
        self.spoilt[x] = np.where(used, drawn, self.rng.choice(BAD, shape))
        self.poison[x] = np.where(used, drawn, np.nan)
        self.floats.append(x)
        self.values.append((x, x))
        return x

    def defined(self, pair: tuple[Any, Any]) -> Array:
        """Where a value does not depend on what is spoilt."""
        good, bad, none = (pair[0].eval(f) for f in (self.good, self.spoilt, self.poison))
        return np.isfinite(none) & np.isclose(good, bad) & np.isclose(good, none)

    def chosen(self, pair: tuple[Any, Any], other: tuple[Any, Any] | None, all_: bool) -> Any:
        """A choice of defined places: of a value, else of another one or a number."""
        m = gx.input(f"m{len(self.good)}", SHAPE, dtype="bool")
        known = self.defined(pair)
        if not all_:
            known &= self.rng.random(SHAPE) < 0.8
        for feeds in (self.good, self.spoilt, self.poison):
            feeds[m] = known
        a, b = pair
        c, d = other or (0.6, 0.6)
        if self.rng.random() < 0.3:
            return gx.where(~m, c, a), blend(m, b, d)
        return gx.where(m, a, c), blend(m, b, d)

    def step(self) -> None:
        """One more value."""
        rng, w = self.rng, self.weights
        i, j, kind = *(int(k) for k in rng.integers(len(self.values), size=2)), rng.random()
        pair, other = self.values[i], self.values[j]
        if kind < 0.35:
            k = int(rng.integers(len(UNARY)))
            new = UNARY[k](pair[0]), UNARY[k](pair[1])
            self.story.append(f"unary {k} of {i}")
        elif kind < 0.5:
            k = int(rng.integers(len(BINARY)))
            new = BINARY[k](pair[0], other[0]), BINARY[k](pair[1], other[1])
            self.story.append(f"binary {k} of {i} and {j}")
        elif kind < 0.75:
            k = int(rng.integers(len(MOVES)))
            new = MOVES[k](pair[0], w), MOVES[k](pair[1], w)
            self.story.append(f"move {k} of {i}")
        else:
            new = self.chosen(pair, other if rng.random() < 0.5 else None, all_=False)
            self.story.append(f"choice of {i} or {j}")
        self.values.append(new)

    def losses(self) -> tuple[gx.Tensor, gx.Tensor]:
        """The two losses."""
        total = self.chosen(self.values[-1], None, all_=True)
        more = self.chosen(self.values[-2], None, all_=True)
        weight = gx.constant(self.rng.normal(size=SHAPE))
        a, b = (gx.sum(x * weight) + gx.sum(y * y) for x, y in zip(total, more))
        return a, b


def derivatives(loss: gx.Tensor, wrt: list[gx.Tensor], along: list[Any]) -> list[gx.Tensor]:
    """The loss, its gradients, second derivatives both ways, and a tangent."""
    first = gx.grad(loss, wrt, unreachable="zero")
    second = gx.hvp(loss, wrt, along)
    return [loss, *first, *second, *gx.jvp(first, wrt, along), gx.jvp(loss, wrt, along)]


def compare(rng: np.random.Generator) -> str:
    """Compare a guarded program on spoilt inputs with its blend on harmless ones."""
    program = Program(rng)
    for _ in range(int(rng.integers(3, 9))):
        program.step()
    loss, plain = program.losses()
    wrt = program.floats
    along = [gx.constant(rng.normal(size=tuple(map(int, x.shape)))) for x in wrt]
    right = [t.eval(program.good) for t in derivatives(plain, wrt, along)]
    if not all(np.isfinite(r).all() and np.abs(r).max(initial=0.0) < 1e8 for r in right):
        return "steep"
    outputs = derivatives(loss, wrt, along)
    inputs = list(program.spoilt)
    arrays = list(program.spoilt.values())
    for target in ("interpret", "cpu"):
        found = flatten(gx.compile(inputs, outputs, target=target)(*arrays))[0]
        for k, (a, b) in enumerate(zip(found, right)):
            scale = max(1.0, float(np.abs(b).max(initial=0.0)))
            wrong = ~(np.abs(a - b) <= FUZZ_GUARDED * scale)
            assert not wrong.any(), f"{program.story}: {target}, {k}: {a} for {b}"
    return "guarded"
