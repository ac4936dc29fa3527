"""Random compositions with value, gradient and Hessian-vector product in one function.

Matrix factorisations, sorts, scatters, gathers, loops, softmaxes and products over a few small
inputs in float64; compiled code is compared with the interpreter, the gradient and the product
with finite differences of the interpreter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import graphc as gx
from graphc.frontend.tensor import Tensor
from tests.tolerances import FUZZ_SLOPES, FUZZ_TARGETS

Array = NDArray[Any]
STEP = 1e-5  # of finite differences


class Composer:
    """Values that grow by drawn steps: matrices of (m, n) and vectors, none of them large."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng((seed, 5))
        m, n = (int(s) for s in self.rng.integers(1, 6, 2))
        self.m, self.n = m, m if self.rng.random() < 0.3 else n
        self.values: list[Tensor] = []

    def pick(self, ndim: int | None = None) -> Tensor:
        """A value, rather a late one; a vector or a matrix where that is asked for."""
        fitting = [v for v in self.values if ndim is None or v.ndim == ndim]
        if not fitting:
            x = self.pick()
            return gx.reshape(x, (-1,)) if ndim == 1 else x[:, None] * x
        weights = np.arange(1, len(fitting) + 1, dtype=np.float64)
        return fitting[int(self.rng.choice(len(fitting), p=weights / weights.sum()))]

    def axis(self, x: Tensor) -> int:
        """One of a value's axes."""
        return int(self.rng.integers(x.ndim))

    def like(self, x: Tensor) -> Tensor:
        """A value that broadcasts to the shape of x."""
        fitting = [v for v in self.values if v.ndim <= x.ndim and fits(v.shape, x.shape)]
        return fitting[int(self.rng.integers(len(fitting)))] if fitting else gx.sum(x)

    def step(self) -> None:
        """One value more."""
        made = STEPS[self.rng.integers(len(STEPS))](self)
        if made.ndim in (1, 2) and all(isinstance(s, int) and 0 < s <= 12 for s in made.shape):
            self.values.append(made)


def fits(shape: Sequence[Any], into: Sequence[Any]) -> bool:
    """Whether a shape broadcasts to another one."""
    return all(s in (1, t) for s, t in zip(reversed(shape), reversed(into)))


# ---------------------------------------------------------------------------- steps


def combined(c: Composer) -> Tensor:
    """Two values, element by element."""
    x = c.pick()
    y = c.like(x)
    made = [x + y, x - y, x * y, x / (1 + y * y), gx.where(y > 0.1, x, y * 0.5)]
    return gx.tanh(made[c.rng.integers(len(made))])


def curved(c: Composer) -> Tensor:
    """A smooth function of one value."""
    functions: list[Callable[[Tensor], Tensor]] = [
        gx.sigmoid, gx.sin, gx.cos, gx.tanh, lambda t: gx.log1p(t * t), lambda t: gx.exp(-t * t),
        lambda t: gx.sqrt(t * t + 0.5), gx.nn.softplus, gx.nn.gelu, lambda t: gx.square(t) * 0.5,
    ]  # fmt: skip
    return functions[c.rng.integers(len(functions))](c.pick())


def normalised(c: Composer) -> Tensor:
    """Softmaxes and norms along any axis."""
    x = c.pick()
    axis = c.axis(x)
    functions: list[Callable[[Tensor], Tensor]] = [
        lambda t: gx.nn.softmax(t, axis=axis), lambda t: gx.nn.log_softmax(t, axis=axis) * 0.3,
        lambda t: t / (0.5 + gx.linalg.vector_norm(t + 0.3, axis=axis, keepdims=True)),
        lambda t: t - gx.mean(t, axis=axis, keepdims=True),
        lambda t: t / gx.sqrt(0.3 + gx.var(t, axis=axis, keepdims=True)),
        lambda t: t - gx.logsumexp(t, axis=axis, keepdims=True),
    ]  # fmt: skip
    return functions[c.rng.integers(len(functions))](x)


def reduced(c: Composer) -> Tensor:
    """One axis less."""
    x = c.pick(2)
    axis = c.axis(x)
    functions: list[Callable[[Tensor], Tensor]] = [
        lambda t: gx.mean(t, axis=axis), lambda t: gx.sum(t * t, axis=axis) * 0.2,
        lambda t: gx.logsumexp(t, axis=axis), lambda t: gx.max(t, axis=axis),
        lambda t: gx.prod(gx.tanh(t) + 0.8, axis=axis),
    ]  # fmt: skip
    return functions[c.rng.integers(5)](x)


def product(c: Composer) -> Tensor:
    """A product of two values, scaled by the inner size."""
    x, y = c.pick(2), c.pick(2)
    if x.shape[1] == y.shape[0]:
        return x @ y * 0.4
    if x.shape == y.shape:
        return x @ y.T * 0.4 if c.rng.random() < 0.5 else x.T @ y * 0.4
    v = c.pick(1)
    if v.shape[0] == x.shape[1]:
        return x @ v * 0.4
    return v[:, None] * gx.mean(x, axis=0)


def definite(c: Composer, x: Tensor) -> Tensor:
    """A well conditioned symmetric matrix."""
    size = x.shape[0]
    weighted = x * gx.sigmoid(gx.mean(x, axis=0)) if c.rng.random() < 0.3 else x
    return weighted @ x.T * 0.5 + gx.eye(size, dtype="float64") * (size + 1.0)


def solved(c: Composer) -> Tensor:
    """Linear algebra of a well conditioned matrix."""
    x = c.pick(2)
    a = definite(c, x)
    b = x if c.rng.random() < 0.5 else gx.mean(x, axis=1, keepdims=True)
    size = x.shape[0]
    shifted = a + gx.constant(np.diag(np.arange(size) * 3.0))  # eigenvalues that are far apart
    symmetric = 0.5 * (shifted + shifted.T)
    functions: list[Callable[[], Tensor]] = [
        lambda: gx.linalg.solve(a, b), lambda: gx.linalg.cholesky(symmetric),
        lambda: gx.linalg.inv(a) * size,
        lambda: gx.linalg.solve_triangular(gx.linalg.cholesky(symmetric), b),
        lambda: gx.linalg.eigvalsh(symmetric) / size,
        lambda: gx.linalg.qr(a)[1] / size, lambda: gx.linalg.slogdet(a)[1] * x[0],
        lambda: gx.linalg.solve(a, b)[:, 0], lambda: gx.linalg.svdvals(shifted) / size,
    ]  # fmt: skip
    return functions[c.rng.integers(len(functions))]()


def ordered(c: Composer) -> Tensor:
    """Sorted, the largest, running sums and extremes."""
    x = c.pick()
    axis = c.axis(x)
    size = x.shape[axis]
    assert isinstance(size, int)
    functions: list[Callable[[], Tensor]] = [
        lambda: gx.sort(x, axis=axis), lambda: gx.sort(x, axis=axis, descending=True),
        lambda: gx.topk(x, max(1, size // 2), axis=axis)[0],
        lambda: gx.take_along_axis(x, gx.argsort(x, axis=axis), axis=axis),
        lambda: gx.cumulative_sum(x, axis=axis) * 0.4, lambda: gx.cumulative_max(x, axis=axis),
        lambda: gx.cumulative_prod(gx.tanh(x) + 0.7, axis=axis),
    ]  # fmt: skip
    return functions[c.rng.integers(len(functions))]()


def placed(c: Composer) -> Tensor:
    """Gathers and scatters at drawn indices."""
    x = c.pick()
    size = x.shape[0]
    assert isinstance(size, int)
    rows = c.rng.integers(0, size, size)
    distinct = c.rng.permutation(size)
    y = gx.broadcast_to(c.like(x), x.shape)
    first = gx.reshape(x, (size, -1))[:, 0]
    best = gx.argmax(gx.reshape(y, (size, -1)), axis=1) % size
    functions: list[Callable[[], Tensor]] = [
        lambda: gx.take(x, gx.constant(rows), axis=0), lambda: gx.take(x, best, axis=0),
        lambda: gx.scatter_add(x, gx.constant(rows), y) * 0.5,
        lambda: gx.scatter_add(y, gx.argsort(first), x) * 0.5,
        lambda: gx.scatter_set(x, gx.constant(distinct), y),
        lambda: x.at[int(rows[0])].set(gx.tanh(y[0])), lambda: gx.concat([x, y], axis=0),
        lambda: gx.flip(x, axis=0), lambda: gx.roll(x, 1, axis=0),
    ]  # fmt: skip
    return functions[c.rng.integers(len(functions))]()


def looped(c: Composer) -> Tensor:
    """Loops over the rows of a matrix."""
    x = c.pick(2)
    size = x.shape[1]
    w = gx.tanh(c.pick(2))
    gate = gx.sigmoid(gx.mean(w))
    fitting = w[0] if w.shape[1] == size else gx.mean(w)

    def body(h: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
        h = gx.tanh(h * fitting + row * gate)
        return h, h * row

    start = gx.mean(x, axis=0) if c.rng.random() < 0.5 else gx.zeros(size, dtype="float64")
    last, rows = gx.scan(body, start, x, reverse=bool(c.rng.integers(2)))
    return last if c.rng.random() < 0.5 else rows


def transposed(c: Composer) -> Tensor:
    """Another view of a value."""
    x = c.pick(2)
    views = [x.T, gx.reshape(x, (-1,)), x[:, :1], x[-1], gx.diagonal(x), gx.triu(x), x[::-1, 0]]
    return views[c.rng.integers(len(views))]


STEPS = (
    combined, combined, curved, curved, normalised, reduced, product, product, solved, solved,
    ordered, placed, placed, looped, transposed,
)  # fmt: skip


# ---------------------------------------------------------------------------- the comparison


def derivatives(c: Composer, given: list[Tensor], along: list[Tensor]) -> list[Tensor]:
    """A loss of late values, its gradient, and the derivative of that along directions."""
    for _ in range(int(c.rng.integers(3, 14))):
        c.step()
    late = c.values[-3:]
    loss = gx.sum(gx.square(gx.tanh(late[0])))
    for v in late[1:]:
        loss = loss + gx.mean(gx.sin(v + 0.2))
    gradient = gx.grad(loss, given, unreachable="zero")
    slope = gx.sum(gradient[0] * along[0])
    for g, d in zip(gradient[1:], along[1:]):
        slope = slope + gx.sum(g * d)
    return [loss, *gradient, *gx.grad(slope, given, unreachable="zero")]


def check(seed: int) -> str:
    """Compare one random composition."""
    c = Composer(seed)
    shapes = ((c.m, c.n), (c.n,), (c.n, c.m))[: 1 + seed % 3]
    given = [gx.input(f"x{i}", s, dtype="float64") for i, s in enumerate(shapes)]
    along = [gx.input(f"v{i}", s, dtype="float64") for i, s in enumerate(shapes)]
    arrays = [c.rng.normal(size=s) for s in shapes]
    directions = [c.rng.normal(size=s) for s in shapes]
    c.values += given
    outputs = derivatives(c, given, along)
    slow = gx.compile([*given, *along], outputs, target="interpret")
    expected = [np.asarray(a) for a in slow(*arrays, *directions)]
    if not all(np.all(np.isfinite(a)) for a in expected):
        return "not finite"
    found = gx.compile([*given, *along], outputs)(*arrays, *directions)
    for k, (a, b) in enumerate(zip(found, expected, strict=True)):
        scale = max(1.0, float(np.max(np.abs(b))))
        assert np.all(np.abs(np.asarray(a) - b) <= FUZZ_TARGETS * scale), f"output {k}: {a} for {b}"
    return compare_differences(slow, arrays, directions, expected)


def compare_differences(
    slow: Callable[..., Any], arrays: list[Array], directions: list[Array], expected: list[Array]
) -> str:
    """Gradient and product against differences of the interpreter's values and gradients."""

    def slope(step: float) -> list[Array]:
        above = slow(*(a + step * d for a, d in zip(arrays, directions)), *directions)
        below = slow(*(a - step * d for a, d in zip(arrays, directions)), *directions)
        return [(np.asarray(a) - np.asarray(b)) / (2 * step) for a, b in zip(above, below)]

    count = len(arrays)
    near, far = slope(STEP), slope(4 * STEP)
    steep = sum(float(np.sum(g * d)) for g, d in zip(expected[1 : 1 + count], directions))
    wanted = [np.asarray(steep), *expected[1 + count :]]
    for k, (a, b, c) in enumerate(zip(near, far, wanted)):
        scale = max(1.0, float(np.max(np.abs(c))))
        if not np.all(np.abs(a - b) <= FUZZ_SLOPES * scale):
            return "steep"  # a kink, or more curved than differences can tell
        assert np.all(np.abs(a - c) <= FUZZ_SLOPES * scale), f"derivative {k}: {c} for {a}"
    return "agrees"
