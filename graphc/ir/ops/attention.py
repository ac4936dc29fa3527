"""Attention and its gradient without stored weights.

The weights of a query are computed block of keys by block of keys, with a running maximum and a
running sum (Milakov and Gimelshein, 2018); the gradient computes them again from the logarithm of
that sum (Dao et al., 2022). What a key contributes that a query may not look at is not defined
where its value is not finite.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Generic

import numpy as np

from graphc.errors import DTypeError, ShapeError
from graphc.ir.dims import Size, product
from graphc.ir.ops.matrix import Matrix, check_matrix
from graphc.ir.ops.op import ArrayFunctions, Samples, V
from graphc.ir.types import Array, TensorType, bool_, float32, float64, int64

# queries, keys, features of a query, features of a value
SIZES = ((1, 1, 1, 1), (5, 3, 4, 2), (3, 5, 2, 4), (40, 70, 5, 3), (0, 3, 2, 2), (3, 2, 0, 1))


@dataclass(frozen=True)
class Attends(Matrix):
    """What attention and its gradient share: the operands q, k, v, .. and perhaps a mask.

    The mask holds bools; `causal` lets query i look at keys 0 to i.
    """

    domain: ClassVar[tuple[tuple[float, float], ...]] = ((-1.0, 1.0),) * 5
    scale: float = 1.0
    causal: bool = False

    def infer(self, *types: Any, **_: Any) -> TensorType:
        """Check the operands: (..., n, d), (..., m, d), (..., m, e), packed ones, a mask."""
        q, k, v = types[:3]
        for t in types[:3]:
            check_matrix(self.name, t, False)
        (*batch, n, d), m, e = q.shape, k.shape[-2], v.shape[-1]
        packed = [(*batch, n, e + 1)] * self.packed
        wanted = [(*batch, n, d), (*batch, m, d), (*batch, m, e), *packed, (*batch, n, m)]
        for i, (t, shape) in enumerate(zip(types, wanted)):
            if t.shape != tuple(shape):
                raise ShapeError(f"{self.name}: needs {tuple(shape)}, got {t} (input {i})")
            dtype = bool_ if i == 3 + self.packed else q.dtype
            if t.dtype != dtype:
                raise DTypeError(f"{self.name}: needs {dtype.name}, got {t} (input {i})")
        return TensorType(q.dtype, self.shape_of(tuple(batch), (n, m, d, e)))

    @property
    def packed(self) -> int:
        """How many operands have the shape of the result of attention."""
        return 2

    def shape_of(self, batch: tuple[Size, ...], sizes: tuple[Size, ...]) -> tuple[Size, ...]:
        """The shape of the result."""
        raise NotImplementedError

    def flops(self, out: TensorType, *types: TensorType) -> Size:
        """Two products, or with those of the gradient three or four."""
        q, v = types[0].shape, types[2].shape
        pairs = product(q[:-1]) * v[-2]
        return 2 * (1 + self.packed) * pairs * (q[-1] + v[-1])

    @classmethod
    def samples(cls) -> Samples:
        """Sizes within a block and beyond, batches, masks, float64."""
        found = [cls._sample(0.5, False, s) for s in SIZES]
        found += [cls._sample(-0.7, True, s) for s in SIZES[1:4]]
        found += [cls._sample(0.3, True, (4, 4, 2, 3), (2, 1), masked=True)]
        found += [cls._sample(0.3, False, (3, 4, 3, 2), (2,), masked=True)]
        wide = cls._sample(0.4, True, (35, 33, 2, 3))
        return (*found, (wide[0], tuple(t.with_dtype(float64) for t in wide[1])))

    @classmethod
    def _sample(
        cls,
        scale: float,
        causal: bool,
        sizes: tuple[int, ...],
        batch: tuple[int, ...] = (),
        masked: bool = False,
    ) -> tuple[Attends, tuple[TensorType, ...]]:
        op, (n, m, d, e) = cls(scale, causal), sizes
        shapes = [(n, d), (m, d), (m, e), *[(n, e + 1)] * op.packed]
        types = [TensorType(float32, (*batch, *s)) for s in shapes]
        mask = [TensorType(bool_, (*batch, n, m))] if masked else []
        return op, (*types, *mask)


class Attention(Attends):
    """Means of values, weighted by a softmax over keys; behind them the log-sum-exp of scores.

    result[..., :e] are zeros, and so is the last column, where a query may look at nothing.
    """

    name = "attention"

    @property
    def packed(self) -> int:
        """None: this is what they are."""
        return 0

    def shape_of(self, batch: tuple[Size, ...], sizes: tuple[Size, ...]) -> tuple[Size, ...]:
        """One more column than values have."""
        return (*batch, sizes[0], sizes[3] + 1)

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, /, *inputs: V) -> tuple[V | None, ...]:
        """By ops that compute the weights again."""
        q, k, v, *mask = inputs
        given = (q, k, v, y, dy, *mask)
        dq = f.apply(AttentionQueries(self.scale, self.causal), *given)
        both = f.apply(AttentionKeys(self.scale, self.causal), *given)
        d, e = q.shape[-1], v.shape[-1]
        dk, dv = f.narrow(both, q.ndim - 1, 0, d), f.narrow(both, q.ndim - 1, d, e)
        return (dq, dk, dv, *(None for _ in mask))

    def evaluate(self, *arrays: Array) -> Array:
        """All scores at once."""
        q, k, v, *mask = arrays
        allowed = seen_by(self, q, k, *mask)
        scores = (q @ np.swapaxes(k, -1, -2)) * q.dtype.type(self.scale)
        lowest = np.finfo(q.dtype).min
        top = np.max(np.where(allowed, scores, lowest), -1, keepdims=True, initial=lowest)
        weights = np.exp(np.where(allowed, scores - top, -np.inf))
        total = weights.sum(-1, keepdims=True)
        nothing = (total == 0) & (bool(mask) or not k.shape[-2])
        divisor = np.where(nothing, 1, total)
        log = np.where(nothing, 0, top + np.log(divisor))
        return np.concatenate([weights @ v / divisor, log], -1).astype(q.dtype)


class AttentionQueries(Attends):
    """The gradient of attention by its queries, given its result and the cotangent of that."""

    name = "attention_queries"

    def shape_of(self, batch: tuple[Size, ...], sizes: tuple[Size, ...]) -> tuple[Size, ...]:
        """That of the queries."""
        return (*batch, sizes[0], sizes[2])

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, /, *inputs: V) -> tuple[V | None, ...]:
        """With stored scores."""
        k = inputs[1]
        scores = Scores(f, self, inputs)
        found = scores.cotangents(self.scale * (dy @ k.mT), None)
        found[1] = found[1] + self.scale * (scores.slope.mT @ dy)
        return (*found, *(None for _ in inputs[5:]))

    def evaluate(self, *arrays: Array) -> Array:
        """The slopes of all scores times the keys."""
        _, slope, _ = slopes(self, *arrays)
        return np.asarray(slope @ arrays[1] * self.scale, arrays[0].dtype)


class AttentionKeys(Attends):
    """The gradient of attention by its keys, and behind it that by its values."""

    name = "attention_keys"

    def shape_of(self, batch: tuple[Size, ...], sizes: tuple[Size, ...]) -> tuple[Size, ...]:
        """The columns of both."""
        return (*batch, sizes[1], sizes[2] + sizes[3])

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, /, *inputs: V) -> tuple[V | None, ...]:
        """With stored scores."""
        q, _, v, _, dz, *mask = inputs
        last, d, e = q.ndim - 1, q.shape[-1], v.shape[-1]
        by_keys, by_values = f.narrow(dy, last, 0, d), f.narrow(dy, last, d, e)
        scores = Scores(f, self, inputs)
        found = scores.cotangents(self.scale * (q @ by_keys.mT), scores.g @ by_values.mT)
        found[0] = found[0] + self.scale * (scores.slope @ by_keys)
        direct = f.concat([scores.weights @ by_values, f.zeros_like(scores.column(dz))], axis=last)
        found[4] = found[4] + direct
        return (*found, *(None for _ in mask))

    def evaluate(self, *arrays: Array) -> Array:
        """The slopes of all scores times the queries, and the weights times the cotangent."""
        weights, slope, g = slopes(self, *arrays)
        dk = np.swapaxes(slope, -1, -2) @ arrays[0] * self.scale
        both = np.concatenate([dk, np.swapaxes(weights, -1, -2) @ g], -1)
        return np.asarray(both, arrays[0].dtype)


class Scores(Generic[V]):
    """All weights of an attention and the slopes of all scores, as the gradient of it has them."""

    def __init__(self, f: ArrayFunctions[V], op: Attends, inputs: tuple[V, ...]) -> None:
        self.f, self.op = f, op
        self.q, self.k, self.v, y, dy, *mask = inputs
        self.e = self.v.shape[-1]
        self.y, self.g = (f.narrow(x, x.ndim - 1, 0, self.e) for x in (y, dy))
        scores = op.scale * (self.q @ self.k.mT)
        log = f.broadcast_to(self.column(y), scores.shape)
        allowed = self._allowed(scores, mask)
        if allowed is not None:  # where it may not look: exp(0), of which nothing is taken
            scores = f.choose(allowed, scores, log)
        weights = f.exp(scores - log)
        self.weights = weights if allowed is None else f.choose(allowed, weights, 0.0)
        last = self.q.ndim - 1
        mean = f.sum(self.g * self.y, axis=last, keepdims=True) - self.column(dy)
        self.rise = self.g @ self.v.mT - mean
        self.slope = self.weights * self.rise

    def column(self, packed: V) -> V:
        """What stands behind the values."""
        return self.f.narrow(packed, packed.ndim - 1, self.e, 1)

    def _allowed(self, scores: V, mask: list[V]) -> V | None:
        if not self.op.causal:
            return mask[0] if mask else None
        n, m = scores.shape[-2:]
        f = self.f
        past = f.expand_dims(f.arange(m, dtype=int64), 0) <= f.expand_dims(
            f.arange(n, dtype=int64), 1
        )
        past = f.broadcast_to(past, scores.shape)
        return f.logical_and(past, mask[0]) if mask else past

    def cotangents(self, of_slope: V, of_weights: V | None) -> list[V]:
        """Those of q, k, v, the result and its cotangent, given those of slopes and weights."""
        f, scale, last = self.f, self.op.scale, self.q.ndim - 1
        of_rise = self.weights * of_slope
        of_mean = -f.sum(of_rise, axis=last, keepdims=True)
        whole = of_slope * self.rise
        of_scores = self.weights * (whole if of_weights is None else whole + of_weights)
        of_log = -f.sum(of_scores, axis=last, keepdims=True)
        by_cotangent = of_rise @ self.v + of_mean * self.y
        return [
            scale * (of_scores @ self.k),
            scale * (of_scores.mT @ self.q),
            of_rise.mT @ self.g,
            f.concat([of_mean * self.g, of_log], axis=last),
            f.concat([by_cotangent, -of_mean], axis=last),
        ]


def seen_by(op: Attends, q: Array, k: Array, mask: Array | None = None) -> Array:
    """Where a query may look."""
    n, m = q.shape[-2], k.shape[-2]
    allowed = np.tri(n, m, dtype=bool) if op.causal else np.ones((n, m), bool)
    return allowed if mask is None else allowed & mask


def slopes(op: Attends, *arrays: Array) -> tuple[Array, Array, Array]:
    """All weights, the slopes of all scores, and the cotangent of the means."""
    q, k, v, y, dy, *mask = arrays
    scores = (q @ np.swapaxes(k, -1, -2)) * q.dtype.type(op.scale)
    seen = seen_by(op, q, k, *mask)
    weights = np.exp(np.where(seen, scores - y[..., -1:], -np.inf))
    g = dy[..., :-1]
    mean = (g * y[..., :-1]).sum(-1, keepdims=True) - dy[..., -1:]
    return weights, weights * (g @ np.swapaxes(v, -1, -2) - mean), g


__all__ = ["Attends", "Attention", "AttentionKeys", "AttentionQueries"]
