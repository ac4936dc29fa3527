"""Attention: means of values, weighted by how well their keys match a query."""

from __future__ import annotations

import math

import numpy as np

from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.frontend import functions as fn
from graphc.frontend.functions.logic import choose
from graphc.frontend.functions.operands import cast, fail, same_dtype, shape_text, widened
from graphc.frontend.tensor import Tensor, lift, lift_op
from graphc.frontend.typing import DTypeLike, TensorLike
from graphc.ir.dims import Size, Sizes
from graphc.ir.ops.attention import Attention
from graphc.ir.types import bool_
from graphc.nn.activations import softmax
from graphc.nn.layers import Dense, Dropout, Layer, check_count
from graphc.nn.owner import owned


def scaled_dot_product_attention(
    q: TensorLike,
    k: TensorLike,
    v: TensorLike,
    mask: TensorLike | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    *,
    store_weights: bool = True,
) -> Tensor:
    """softmax(scale * q @ k.mT) @ v (Vaswani et al. 2017): (..., queries, d), (..., keys, d) and
    (..., keys, e) give (..., queries, e).

    `mask` broadcasts to (..., queries, keys): bools say which keys a query may look at, floats
    are added to the scores, where -inf forbids. `is_causal` lets query i look at keys 0 to i. A
    query that may look at nothing gets zeros. `scale` is 1 / sqrt(d) if not given. 16-bit floats
    are computed in float32.

    Without `store_weights` the weights are computed block by block, and again in the gradient
    (Dao et al. 2022): memory grows with queries and keys, not with their product, and causal
    attention skips what is masked. The mask must hold bools then.
    """
    v = lift(v)
    if not store_weights:
        return in_blocks(q, k, v, mask, is_causal, scale)
    weights = attention_weights(q, k, mask, is_causal, scale)
    if v.ndim < 2 or v.shape[-2] != weights.shape[-1]:
        text = f"scaled_dot_product_attention: v must have {weights.shape[-1]} rows, got {v.type}"
        fail(ShapeError, text, (lift(k), v), "one for every key")
    return seen(weights, v, lift(q))


def attention_weights(
    q: TensorLike,
    k: TensorLike,
    mask: TensorLike | None = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """How much each query looks at each key, float32 for 16-bit floats; the arguments of
    scaled_dot_product_attention."""
    q, k, factor = _checked(q, k, scale)
    scores = (widened(q) * factor) @ fn.matrix_transpose(widened(k))
    scores, allowed = _masked(scores, mask, is_causal)
    weights = softmax(scores)
    if mask is not None and allowed is not None:  # a row of nothing: no weight at all
        weights = choose(allowed, weights, 0.0)
    return weights


def _checked(q: TensorLike, k: TensorLike, scale: float | None) -> tuple[Tensor, Tensor, float]:
    """Queries and keys that fit, and the scale."""
    q, k = lift(q), lift(k)
    for role, t in (("q", q), ("k", k)):
        if t.ndim < 2 or not t.dtype.is_float:
            kind = ShapeError if t.dtype.is_float else DTypeError
            text = f"scaled_dot_product_attention: {role} needs floats and 2 axes or more"
            fail(kind, f"{text}, got {t.type}", (q, k))
    if q.shape[-1] != k.shape[-1] or not isinstance(q.shape[-1], int):
        text = "scaled_dot_product_attention: q and k need the same known last size"
        fail(ShapeError, f"{text}, got {q.shape[-1]} and {k.shape[-1]}", (q, k))
    factor = 1.0 / math.sqrt(max(q.shape[-1], 1)) if scale is None else scale
    return q, k, factor


def in_blocks(
    q: TensorLike,
    k: TensorLike,
    v: TensorLike,
    mask: TensorLike | None = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """Attention that stores no weights; the arguments of scaled_dot_product_attention."""
    q, k, factor = _checked(q, k, scale)
    name, v = "scaled_dot_product_attention", lift(v)
    if v.ndim < 2 or v.shape[-2] != k.shape[-2]:
        text = f"{name}: v must have {k.shape[-2]} rows, got {v.type}"
        fail(ShapeError, text, (k, v), "one for every key")
    dtype = same_dtype(name, (q, v))[0].dtype
    looks = (*fn.broadcast_shapes(q.shape[:-2], k.shape[:-2]), q.shape[-2], k.shape[-2])
    batch = fn.broadcast_shapes(looks[:-2], v.shape[:-2])
    q, k, v = same_dtype(name, (widened(q), widened(k), widened(v)))
    operands = [fn.broadcast_to(x, (*batch, *x.shape[-2:])) for x in (q, k, v)]
    if mask is not None:
        m = lift(mask)
        _check_mask(m, looks)
        if m.dtype != bool_:
            text = f"{name}: without stored weights the mask must hold bools, got {m.type}"
            fail(DTypeError, text, (m,), "leave out store_weights=False")
        operands.append(fn.broadcast_to(m, (*batch, *looks[-2:])))
    packed = lift_op(Attention(float(factor), bool(is_causal)), *operands)
    return cast(packed[..., : v.shape[-1]], dtype)


def seen(weights: Tensor, v: Tensor, q: Tensor) -> Tensor:
    """The means of values, in the dtype of queries and values."""
    dtype = same_dtype("scaled_dot_product_attention", (q, v))[0].dtype
    return cast(weights @ widened(v), dtype)


def _masked(
    scores: Tensor, mask: TensorLike | None, is_causal: bool
) -> tuple[Tensor, Tensor | None]:
    """The scores, very low where a query may not look; and where it may."""
    allowed = None
    if mask is not None:
        m = lift(mask)
        _check_mask(m, scores.shape)
        if m.dtype == bool_:
            allowed = m
        else:  # -inf forbids, as False does; added, a row of it would leave inf - inf
            m = fn.astype(m, scores.dtype)
            allowed = m != float("-inf")
            scores = scores + choose(allowed, m, 0.0)
    if is_causal:
        queries, keys = scores.shape[-2:]
        past = fn.expand_dims(fn.arange(queries), 1) >= fn.arange(keys)
        allowed = past if allowed is None else allowed & past
    if allowed is None:
        return scores, None
    lowest = float(np.finfo(scores.dtype.numpy).min)
    return choose(allowed, scores, lowest), allowed


def _check_mask(mask: Tensor, scores: Sizes) -> None:
    name = "scaled_dot_product_attention"
    if mask.dtype != bool_ and not mask.dtype.is_float:
        text = f"{name}: mask must hold bools or floats, got {mask.type}"
        fail(DTypeError, text, (mask,), "convert with astype('bool')")
    ends = zip(reversed(mask.shape), reversed(scores))
    if mask.ndim > len(scores) or any(m not in (1, s) for m, s in ends):
        shape = shape_text(scores)
        fail(ShapeError, f"{name}: mask must broadcast to {shape}, got {mask.type}", (mask,))


class MultiHeadAttention(Layer):
    """Attention in `num_heads` learned projections at once (Vaswani et al. 2017).

    `layer(x)` is self-attention of (batch, time, features); `layer(query, value, key)` looks from
    queries at other sequences (key is value if not given). The result has the shape of the
    query. `key_dim` and `value_dim` are sizes of one head (default: features / num_heads, and
    key_dim). `mask` is (queries, keys), (batch, queries, keys) or (batch, heads, queries, keys),
    or what broadcasts to one of these; see nn.scaled_dot_product_attention, also for
    `is_causal` and `store_weights`. `dropout` drops weights, which must be stored for it.
    The projections are Dense layers: NAME/query/kernel is (features, num_heads * key_dim), head
    after head, and so are key, value and output. `step` is causal self-attention of what comes next
    in a sequence, whose keys and values so far are kept.
    """

    kind = "multi_head_attention"

    def __init__(
        self,
        num_heads: int,
        key_dim: int | None = None,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        name: str | None = None,
        store_weights: bool = True,
    ) -> None:
        super().__init__(name)
        check_count("MultiHeadAttention", "num_heads", num_heads)
        for role, size in (("key_dim", key_dim), ("value_dim", value_dim)):
            if size is not None:
                check_count("MultiHeadAttention", role, size)
        self.num_heads, self.key_dim, self.value_dim = num_heads, key_dim, value_dim
        self.use_bias, self.store_weights = use_bias, store_weights
        if dropout and not store_weights:
            text = f"MultiHeadAttention: dropout must be 0 without stored weights, got {dropout}"
            fail(ArgumentError, text, (), "leave out store_weights=False")
        self.dropout = Dropout(dropout, name="dropout")
        self._projections: dict[str, Dense] = {}

    def __call__(
        self,
        query: TensorLike,
        value: TensorLike | None = None,
        key: TensorLike | None = None,
        mask: TensorLike | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """Look from a query at values."""
        q = lift(query)
        v = q if value is None else lift(value)
        k = v if key is None else lift(key)
        for role, t in (("query", q), ("value", v), ("key", k)):
            if t.ndim != 3:
                text = f"{self.name}: {role} must be (batch, time, features), got {t.type}"
                fail(ShapeError, text, (q, v, k))
        features = self.features(q)
        width = self.key_dim or self._shared(q, features)
        operands = self._heads("query", q, width), self._heads("key", k, width)
        rule = None if mask is None else self._mask(lift(mask))
        if self.store_weights:
            weights = attention_weights(*operands, rule, is_causal)
            y = seen(self.dropout(weights), self._heads("value", v, self.value_dim or width), q)
        else:
            values = self._heads("value", v, self.value_dim or width)
            y = in_blocks(*operands, values, rule, is_causal)
        return self._joined(y, features)

    def cache(
        self, rows: Size, length: int, features: int, dtype: DTypeLike = "float32"
    ) -> tuple[Tensor, Tensor]:
        """Keys and values of no tokens, with room for `length`, for `step`: (rows, heads, length,
        size of a head)."""
        check_count("MultiHeadAttention.cache", "length", length)
        check_count("MultiHeadAttention.cache", "features", features)
        width = self.key_dim or self._shared(None, features)
        return (
            fn.zeros((rows, self.num_heads, length, width), dtype),
            fn.zeros((rows, self.num_heads, length, self.value_dim or width), dtype),
        )

    @owned
    def step(
        self, x: TensorLike, keys: TensorLike, values: TensorLike, position: TensorLike
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The rows of `layer(sequence, is_causal=True)` for what comes next, and the keys and
        values with its own.

        x (batch, time, features) comes after `position` (batch,) others, whose keys and values
        are in the caches. Past the end of a cache is a RuntimeCheckError.
        """
        x, keys, values, at = lift(x), lift(keys), lift(values), lift(position)
        features = self._check_step(x, keys, values, at)
        width = self.key_dim or self._shared(x, features)
        query, key = self._heads("query", x, width), self._heads("key", x, width)
        value = self._heads("value", x, self.value_dim or width)
        places = fn.expand_dims(at, 1) + fn.arange(x.shape[1], dtype=at.dtype)
        places = fn.reshape(places, (x.shape[0], 1, x.shape[1], 1))
        keys = fn.put_along_axis(keys, places, cast(key, keys.dtype), axis=2)
        values = fn.put_along_axis(values, places, cast(value, values.dtype), axis=2)
        seen_so_far = fn.arange(keys.shape[2], dtype=at.dtype) <= places
        y = scaled_dot_product_attention(
            query, keys, values, seen_so_far, store_weights=self.store_weights
        )
        return self._joined(y, features), keys, values

    def _check_step(self, x: Tensor, keys: Tensor, values: Tensor, position: Tensor) -> int:
        """The features of what comes next; raises where it does not fit the caches."""
        if x.ndim != 3:
            text = f"{self.name}: x must be (batch, time, features), got {x.type}"
            fail(ShapeError, text, (x,), "of one token, x[:, None]")
        if position.shape != x.shape[:1] or position.dtype.kind not in "iu":
            text = f"{self.name}: position must hold an integer for each of the rows of {x.type}"
            fail(ShapeError, f"{text}, got {position.type}", (position, x))
        features = self.features(x)
        width = self.key_dim or self._shared(x, features)
        sizes = (("keys", keys, width), ("values", values, self.value_dim or width))
        for role, t, last in sizes:
            if t.ndim != 4 or (t.shape[0], t.shape[1], t.shape[3]) != (
                x.shape[0], self.num_heads, last,
            ):  # fmt: skip
                text = (
                    f"{self.name}: {role} must be ({x.shape[0]}, {self.num_heads}, length, {last})"
                )
                fail(ShapeError, f"{text}, got {t.type}", (t, x), "layer.cache makes them")
        return features

    def _joined(self, y: Tensor, features: int) -> Tensor:
        """What all heads saw, (batch, time, features)."""
        joined = fn.permute_dims(y, (0, 2, 1, 3))
        flat = fn.reshape(joined, (*joined.shape[:2], -1))
        return self._project("output", flat, features)

    def _shared(self, q: Tensor | None, features: int) -> int:
        if features % self.num_heads:
            text = f"{self.name}: {features} features do not divide among {self.num_heads} heads"
            fail(ArgumentError, text, () if q is None else (q,), "give key_dim")
        return features // self.num_heads

    def _mask(self, mask: Tensor) -> Tensor:
        """(batch, queries, keys) for all heads; other ranks broadcast as they are."""
        return fn.expand_dims(mask, 1) if mask.ndim == 3 else mask

    def _heads(self, role: str, x: Tensor, width: int) -> Tensor:
        """(batch, heads, time, width)."""
        y = self._project(role, x, self.num_heads * width)
        parted = fn.reshape(y, (*y.shape[:2], self.num_heads, width))
        return fn.permute_dims(parted, (0, 2, 1, 3))

    def _project(self, role: str, x: Tensor, width: int) -> Tensor:
        if role not in self._projections:
            self._projections[role] = Dense(width, use_bias=self.use_bias, name=role)
        return self._projections[role](x)
