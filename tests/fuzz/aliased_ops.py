"""The ops of `aliased`: functions of a drawing that make one value of those that it has."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

import graphc as gx
from graphc.frontend.tensor import Tensor

if TYPE_CHECKING:
    from tests.fuzz.aliased import Drawing

Draw = Callable[["Drawing"], "Tensor | None"]


def pick(d: Drawing, *choices: Any) -> Any:
    """One of some choices."""
    return choices[int(d.rng.integers(len(choices)))]


# ------------------------------------------------------------------------------ elementwise


def unary(d: Drawing) -> Tensor:
    """A smooth function."""
    return pick(d, gx.tanh, gx.sigmoid, gx.nn.softplus, gx.sin, gx.atan, gx.expm1, small_power)(
        gx.tanh(d.any()) if d.rng.random() < 0.3 else gx.sin(d.any())
    )


def small_power(x: Tensor) -> Tensor:
    """x * x."""
    return x * x


def binary(d: Drawing) -> Tensor:
    """Whatever broadcasts, however the axes were meant."""
    x, y = d.any(), d.any()
    y = pick(d, y, y.T if y.ndim == 2 else y, y)
    op = pick(d, gx.add, gx.subtract, gx.multiply, divided)
    return op(x, y)  # type: ignore[no-any-return]


def divided(x: Tensor, y: Tensor) -> Tensor:
    """A quotient whose denominator is at least 1."""
    return x / (1.0 + y * y)


def scaled(d: Drawing) -> Tensor:
    """A number beside a value."""
    number = float(pick(d, 0.0, 1.0, -1.0, 2.0, 0.5, 3.0))
    x = d.any()
    return pick(d, x * number, number - x, x + number, -x, x / (number or 2.0))  # type: ignore[no-any-return]


def chosen(d: Drawing) -> Tensor:
    """A choice by a comparison, or by the position."""
    x, y = d.any(), d.any()
    if x.ndim and d.rng.random() < 0.5:
        return gx.where(gx.arange(x.shape[-1]) > 0, x, y)
    return pick(d, gx.where(x > y, x, y * y), gx.maximum(x, y), gx.where(x > 0.1, gx.log(x), 0.0))  # type: ignore[no-any-return]


# ------------------------------------------------------------------------------------ axes


def turned(d: Drawing) -> Tensor:
    """The axes in another order, or one more."""
    x = d.any(1)
    if d.rng.random() < 0.4:
        return gx.expand_dims(x, axis=int(d.rng.integers(x.ndim + 1)))
    return gx.permute_dims(x, tuple(int(a) for a in d.rng.permutation(x.ndim)))


def shaped(d: Drawing) -> Tensor:
    """Flat, or one axis less where it is 1, or parts of it joined."""
    x = d.any(1)
    a = d.axis(x)
    flat = x.reshape((-1,))
    ones = tuple(i for i, s in enumerate(x.shape) if s == 1)
    squeezed = gx.squeeze(x, axis=ones) if ones else flat
    return pick(d, flat, squeezed, gx.flip(x, axis=a), gx.concat([x, x * 2.0], axis=a), x[..., :1])  # type: ignore[no-any-return]


def repeated(d: Drawing) -> Tensor:
    """A value repeated over a shape of any kind that fits."""
    return gx.broadcast_to(d.any(), d.shape())


def reduced(d: Drawing) -> Tensor:
    """Over one axis, several or all, which stay or not."""
    x = d.any(1)
    axes: Any = pick(d, d.axis(x), d.axis(x), None, tuple(range(x.ndim))[-2:])
    op = pick(d, gx.sum, gx.mean, gx.max, gx.var, gx.prod, gx.logsumexp)
    return op(x, axis=axes, keepdims=bool(d.rng.integers(2)))  # type: ignore[no-any-return]


# ---------------------------------------------------------------------- parts of known things


def total(d: Drawing, x: Tensor) -> Tensor:
    """A sum that comes back beside the value: kept, without its axis, transposed."""
    a = d.axis(x)
    kept = gx.sum(x, axis=a, keepdims=True)
    gone = gx.sum(x, axis=a)
    last = gx.expand_dims(gone, axis=-1)
    both = gx.sum(x, axis=(a, (a + 1) % x.ndim) if x.ndim > 1 else a)
    return pick(d, kept, kept, gone, last, both, kept.T if kept.ndim == 2 else kept)  # type: ignore[no-any-return]


def softmax_by_hand(d: Drawing) -> Tensor:
    """exp(x) beside sums of it."""
    e = gx.exp(d.any(1))
    p = e / total(d, e)
    return pick(d, p, p, gx.log(p), e / (total(d, e) + total(d, e)), p * e / total(d, e))  # type: ignore[no-any-return]


def logarithm_by_hand(d: Drawing) -> Tensor:
    """Logarithms of what is made of exponentials."""
    x = d.any(1)
    x = pick(d, x, x - gx.max(x, axis=d.axis(x)), x - gx.max(x, axis=d.axis(x), keepdims=True))
    e = gx.exp(x)
    z = total(d, e)
    return pick(d, gx.log(z), gx.log(z * total(d, e)), x - gx.log(z), gx.log(gx.mean(e, axis=0)))  # type: ignore[no-any-return]


def loss_by_hand(d: Drawing) -> Tensor:
    """Cross-entropies as in textbooks."""
    x, t = d.any(1), d.any(1)
    p = gx.sigmoid(x)
    entropy = -(t * gx.log(p) + (1.0 - t) * gx.log(1.0 - p))
    picked = -gx.sum(t * gx.log(gx.nn.softmax(x, axis=d.axis(x))), axis=0)
    return pick(d, entropy, picked, gx.log(1.0 + gx.exp(x)), 1.0 / (1.0 + gx.exp(-x)))  # type: ignore[no-any-return]


def norm_by_hand(d: Drawing) -> Tensor:
    """Rows divided by their norm, or moved and divided."""
    x = d.any(1)
    length = gx.sqrt(total(d, x * x) + 0.1)
    mean = total(d, x) / 3.0
    variance = total(d, gx.square(x - mean))
    return pick(d, x / length, (x - mean) / gx.sqrt(variance + 0.1), x * (x / length))  # type: ignore[no-any-return]


def library(d: Drawing) -> Tensor:
    """The same of the library."""
    x = d.any(1)
    a = d.axis(x)
    return pick(
        d, gx.nn.softmax(x, axis=a), gx.nn.log_softmax(x, axis=a), gx.nn.layer_norm(x, axis=a),
        gx.logsumexp(x, axis=a), gx.linalg.vector_norm(x + 2.0, axis=a, keepdims=True),
    )  # type: ignore[no-any-return]  # fmt: skip


# ------------------------------------------------------------------------ products, matrices


def product(d: Drawing) -> Tensor:
    """Matrix products of what fits, squashed."""
    x, y = d.any(1), d.any(1)
    y = pick(d, y, y.T if y.ndim == 2 else y)
    return gx.sin(pick(d, gx.matmul(x, y), gx.matmul(x, x.mT) if x.ndim > 1 else x))


def einsum(d: Drawing) -> Tensor:
    """Contractions of two values by letters."""
    x, y = d.any(1), d.any(1)
    letters = "ijkl"
    a = "".join(d.rng.permutation(list(letters))[: x.ndim])
    b = "".join(d.rng.permutation(list(letters))[: y.ndim])
    every = sorted(set(a + b))
    out = "".join(c for c in d.rng.permutation(every) if d.rng.random() < 0.6)
    return gx.sin(gx.einsum(f"{a},{b}->{out}", x, y))


def matrix(d: Drawing) -> Tensor | None:
    """A function of a square matrix far from singular."""
    x = d.any(2)
    if x.shape[-1] != x.shape[-2]:
        x = x @ x.mT
    x = gx.tanh(x)
    big = x @ x.mT + 2.0 * gx.eye(x.shape[-1], dtype="float64")
    y = d.any(1)
    right = y if y.ndim > 1 and y.shape[-2] == x.shape[-1] else x
    return pick(
        d, gx.linalg.solve(big, right), gx.linalg.cholesky(big), gx.linalg.inv(big),
        gx.linalg.det(big / 4.0), gx.linalg.solve_triangular(big, x, lower=True),
    )  # type: ignore[no-any-return]  # fmt: skip


# ---------------------------------------------------------------------- indices, orders, loops


def indexed(d: Drawing) -> Tensor:
    """Rows by number, at random, twice."""
    x = d.any(1)
    a = d.axis(x)
    rows = [0, -1, 0][: int(d.rng.integers(1, 4))]
    ids = gx.constant(np.array(rows, "int32"))
    taken = gx.take(x, ids, axis=a)
    hot = gx.one_hot(gx.constant(np.zeros(1, "int32")), x.shape[-1], dtype="float64")
    added = x.at[ids].add(taken) if a == 0 else x
    return pick(d, taken, taken, gx.sum(x * hot, axis=-1), added, x[::-1], x[-1])  # type: ignore[no-any-return]


def ordered(d: Drawing) -> Tensor:
    """Sorts and running sums."""
    x = d.any(1)
    a = d.axis(x)
    order = gx.argsort(x, axis=a)
    return pick(
        d, gx.sort(x, axis=a), gx.cumulative_sum(x, axis=a), gx.take_along_axis(x, order, axis=a),
        gx.sin(gx.cumulative_prod(x, axis=a)), gx.topk(x, 1, axis=a)[0],
    )  # type: ignore[no-any-return]  # fmt: skip


def loop(d: Drawing) -> Tensor:
    """A loop over the first axis, with what lies outside read inside."""
    x = d.any(1)
    outside = d.any()

    def body(carry: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
        new = gx.tanh(carry * 0.5 + row + gx.mean(outside))
        return new, new * row

    carry, rows = gx.scan(body, gx.zeros(x.shape[1:], "float64"), x)
    return pick(d, carry, rows)  # type: ignore[no-any-return]


OPS: tuple[Draw, ...] = (
    unary, binary, binary, binary, scaled, chosen, turned, turned, shaped, repeated, reduced,
    reduced, softmax_by_hand, softmax_by_hand, softmax_by_hand, logarithm_by_hand,
    logarithm_by_hand, loss_by_hand, norm_by_hand, norm_by_hand, library, product, product, einsum,
    matrix, indexed, ordered, loop,
)  # fmt: skip
