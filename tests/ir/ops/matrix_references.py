"""References of factorisations, for the op harness: textbook algorithms, matrix by matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg

from graphc.ir import ops
from graphc.ir.dims import evaluate
from graphc.ir.ops.base import Op
from graphc.ir.types import Array, TensorType, float64

SWEEPS = 30  # of rotations; ten are more than enough


def each_matrix(function: Callable[[Array], Array]) -> Callable[..., Array]:
    """A function of one matrix, applied to a stack of them."""

    def reference(op: Op, a: Array) -> Array:
        shape = [evaluate(s, {}) for s in op.infer(TensorType(float64, a.shape)).shape]
        result = np.zeros(shape)
        for index in np.ndindex(*a.shape[:-2]):
            if a.size:
                result[index] = function(a[index])
        return result

    return reference


def cholesky(a: Array) -> Array:
    """Column by column."""
    lower = np.zeros_like(a)
    for j in range(len(a)):
        for i in range(j, len(a)):
            rest = a[i, j] - sum(lower[i, k] * lower[j, k] for k in range(j))
            lower[i, j] = rest**0.5 if i == j else rest / lower[j, j]
    return lower


def lu(a: Array) -> Array:
    """scipy's packed factors and pivots."""
    packed, pivots = scipy.linalg.lu_factor(a)
    return np.column_stack([packed, pivots])


def qr(a: Array) -> Array:
    """Householder's reflections; a column that is zero below the diagonal stays."""
    m, n = a.shape
    q, r = np.eye(m), a.copy()
    for j in range(min(m, n)):
        v = r[j:, j].copy()
        if not v[1:].any():
            continue
        v[0] += np.copysign(np.linalg.norm(v), v[0])
        reflection = np.eye(m)
        reflection[j:, j:] -= 2 * np.outer(v, v) / (v @ v)
        q, r = q @ reflection, reflection @ r
    k = min(m, n)
    return np.concatenate([q[:, :k], np.triu(r)[:k].T])


def orthogonal(a: Array) -> tuple[Array, Array]:
    """Columns rotated until they are orthogonal, and the product of the rotations (Hestenes)."""
    w, v = a.copy(), np.eye(a.shape[1])
    for _ in range(SWEEPS):
        for p in range(a.shape[1]):
            for q in range(p + 1, a.shape[1]):
                angle = 0.5 * np.arctan2(
                    2 * w[:, p] @ w[:, q], w[:, p] @ w[:, p] - w[:, q] @ w[:, q]
                )
                c, s = np.cos(angle), np.sin(angle)
                turn = np.array([[c, -s], [s, c]])
                w[:, [p, q]], v[:, [p, q]] = w[:, [p, q]] @ turn, v[:, [p, q]] @ turn
    return w, v


def signs(u: Array) -> Array:
    """What makes the largest component of every column positive."""
    return np.sign(u[np.argmax(np.abs(u), axis=0), np.arange(u.shape[1])])


def svd(a: Array) -> Array:
    """Orthogonal columns are left singular vectors times their values."""
    tall = a if a.shape[0] >= a.shape[1] else a.T
    w, v = orthogonal(tall)
    s = np.linalg.norm(w, axis=0)
    order = np.argsort(-s)
    left, right = (w / s)[:, order], v[:, order]
    if tall is not a:
        left, right = right, left
    return np.concatenate([s[None, order], left * signs(left), right * signs(left)])


def eigh(a: Array) -> Array:
    """Of a positive symmetric matrix, the singular values and vectors, in the other order."""
    symmetric = np.tril(a) + np.tril(a, -1).T
    _, v = orthogonal(symmetric)
    values = np.sum(v * (symmetric @ v), axis=0)
    order = np.argsort(values)
    return np.concatenate([values[None, order], v[:, order] * signs(v[:, order])])


def weights_of(op: Any, q: Array, k: Array, i: int, mask: Array | None) -> tuple[Array, float]:
    """What query i makes of every key, unnormalised: by exp of the scores; and their sum."""
    scores = np.array([op.scale * float(np.dot(q[i], row)) for row in k])
    legal = np.array([(not op.causal or j <= i) and (mask is None or mask[i, j])
                      for j in range(len(k))], bool)  # fmt: skip
    powers = np.where(legal, np.exp(scores), 0.0)
    return powers, float(powers.sum())


def attention(op: Any, q: Array, k: Array, v: Array, mask: Array | None = None) -> Array:
    """Query by query."""
    rows = np.zeros((len(q), v.shape[-1] + 1), v.dtype)
    for i in range(len(q)):
        powers, total = weights_of(op, q, k, i, mask)
        if total > 0:
            rows[i, :-1] = sum(p / total * row for p, row in zip(powers, v))
            rows[i, -1] = np.log(total)
    return rows


def attention_slopes(op: Any, *arrays: Any) -> tuple[Array, Array, Array]:
    """The gradient by q, k and v, query by query and key by key."""
    q, k, v, y, dy, *mask = arrays
    dq, dk, dv = np.zeros_like(q), np.zeros_like(k), np.zeros_like(v)
    for i in range(len(q)):
        powers, _ = weights_of(op, q, k, i, mask[0] if mask else None)
        for j in range(len(k)):
            weight = powers[j] / np.exp(y[i, -1])
            rise = float(np.dot(dy[i, :-1], v[j] - y[i, :-1])) + dy[i, -1]
            dq[i] += op.scale * weight * rise * k[j]
            dk[j] += op.scale * weight * rise * q[i]
            dv[j] += weight * dy[i, :-1]
    return dq, dk, dv


def attention_queries(op: Any, *arrays: Any) -> Array:
    """The first gradient."""
    return attention_slopes(op, *arrays)[0]


def attention_keys(op: Any, *arrays: Any) -> Array:
    """The other two, beside each other."""
    return np.concatenate(attention_slopes(op, *arrays)[1:], -1)


def each_example(one: Callable[..., Array]) -> Callable[..., Array]:
    """A function of matrices for stacks of them."""

    def run(op: Any, *arrays: Array) -> Array:
        if arrays[0].ndim == 2:
            return one(op, *arrays)
        return np.stack([run(op, *parts) for parts in zip(*arrays)])

    return run


REFERENCES: dict[type[Op], Callable[..., Any]] = {
    ops.Cholesky: each_matrix(cholesky),
    ops.Lu: each_matrix(lu),
    ops.Qr: each_matrix(qr),
    ops.Eigh: each_matrix(eigh),
    ops.Svd: each_matrix(svd),
    ops.Attention: each_example(attention),
    ops.AttentionQueries: each_example(attention_queries),
    ops.AttentionKeys: each_example(attention_keys),
}
