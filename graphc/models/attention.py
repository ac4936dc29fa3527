"""Transformers: GPT, an encoder like BERT, and the vision transformer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from graphc import init
from graphc.errors import ShapeError
from graphc.frontend import functions as fn
from graphc.frontend.functions.operands import fail
from graphc.frontend.tensor import Tensor, lift
from graphc.frontend.typing import TensorLike
from graphc.ir.dims import Size
from graphc.nn import (
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Layer,
    LayerNorm,
    MultiHeadAttention,
    gelu,
)
from graphc.nn.layers import check_count
from graphc.nn.owner import owned


def small() -> init.Initializer:
    """Normal with deviation 0.02."""
    return init.normal(std=0.02)


class Block(Layer):
    """Attention and two dense layers, each on what is normalised before (or, with `post_norm`, with
    a norm behind the sum)."""

    def __init__(
        self, heads: int, units: int, dropout: float, post_norm: bool = False, causal: bool = False
    ) -> None:
        super().__init__()
        self.attend = MultiHeadAttention(heads, name="attention")
        self.wide = Dense(units, partial(gelu, approximate=True), kernel_init=small(), name="wide")
        self.narrow: Dense | None = None
        self.norms = LayerNorm(name="norm_1"), LayerNorm(name="norm_2")
        self.drops = Dropout(dropout, name="dropout_1"), Dropout(dropout, name="dropout_2")
        self.post_norm, self.causal = post_norm, causal

    def call(self, x: Tensor, mask: TensorLike | None = None) -> Tensor:
        """(batch, time, features) -> the same."""
        if self.narrow is None:
            self.narrow = Dense(self.features(x), kernel_init=small(), name="narrow")
        attend = partial(self.attend, mask=mask, is_causal=self.causal)
        parts: tuple[Callable[[Tensor], Tensor], ...] = (attend, self._dense)
        for part, norm, drop in zip(parts, self.norms, self.drops):
            x = norm(x + drop(part(x))) if self.post_norm else x + drop(part(norm(x)))
        return x

    @owned
    def step(
        self, x: Tensor, keys: Tensor, values: Tensor, position: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The same for what comes next, with the keys and values of what came before."""
        if self.narrow is None:
            self.narrow = Dense(self.features(x), kernel_init=small(), name="narrow")
        seen, keys, values = self.attend.step(self.norms[0](x), keys, values, position)
        x = x + seen
        return x + self._dense(self.norms[1](x)), keys, values

    def _dense(self, x: Tensor) -> Tensor:
        assert self.narrow is not None
        return self.narrow(self.wide(x))


class Tokens(Layer):
    """Embeddings of tokens and of their places, added."""

    def __init__(self, vocabulary: int, length: int, units: int) -> None:
        super().__init__()
        self.tokens = Embedding(vocabulary, units, small(), name="tokens")
        self.places = Embedding(length, units, small(), name="places")
        self.length = length

    def call(self, ids: Tensor) -> Tensor:
        """(batch, time) -> (batch, time, units)."""
        time = ids.shape[1] if ids.ndim == 2 else None
        if not isinstance(time, int) or time > self.length:
            text = f"{self.name}: needs (batch, time) with a known time of at most {self.length}"
            fail(ShapeError, f"{text}, got {ids.type}", (ids,))
        return self.tokens(ids) + self.places(fn.arange(time))

    @owned
    def after(self, ids: Tensor, position: Tensor) -> Tensor:
        """The same for tokens that come after `position` (batch,) others."""
        places = fn.expand_dims(position, 1) + fn.arange(ids.shape[1], dtype=position.dtype)
        return self.tokens(ids) + self.places(places)

    def scores(self, x: Tensor) -> Tensor:
        """The logits of all tokens, by the same table."""
        (table,) = self.tokens.parameters
        return x @ fn.matrix_transpose(table)


class GPT(Layer):
    """Causal blocks over embedded tokens, and their scores by the table of embeddings."""

    kind = "gpt"

    def __init__(
        self, vocabulary: int, length: int, layers: int, heads: int, units: int, dropout: float
    ) -> None:
        super().__init__()
        for role, count in (("vocabulary", vocabulary), ("length", length), ("layers", layers)):
            check_count("gpt", role, count)
        self.embed = Tokens(vocabulary, length, units)
        self.blocks = [Block(heads, 4 * units, dropout, causal=True) for _ in range(layers)]
        self.norm = LayerNorm(name="norm")

    def call(self, ids: Tensor) -> Tensor:
        """(batch, time) -> (batch, time, vocabulary)."""
        x = self.embed(ids)
        for block in self.blocks:
            x = block(x)
        return self.embed.scores(self.norm(x))

    def start(self, rows: Size, length: int | None = None) -> tuple[Tensor, ...]:
        """The state of no tokens for `step`, with room for `length` (as many as it has places for):
        how many a row has had, then keys and values of each block."""
        count = self.embed.length if length is None else length
        caches = (block.attend.cache(rows, count, self.embed.tokens.units) for block in self.blocks)
        return (fn.zeros((rows,), "int32"), *(part for cache in caches for part in cache))

    @owned
    def step(self, tokens: TensorLike, *state: Tensor) -> tuple[Tensor, ...]:
        """The logits of the token after `tokens`, and the new state: a step for gx.decode.

        Tokens (rows,) give (rows, vocabulary). A prompt (rows, time) gives (rows, time,
        vocabulary), those of the whole sequence, and the state after all of it.
        """
        ids = lift(tokens)
        if ids.ndim not in (1, 2) or len(state) != 1 + 2 * len(self.blocks):
            text = f"{self.name}: a step takes tokens (rows,) or (rows, time) and a state of"
            many = f"{1 + 2 * len(self.blocks)} parts, got {ids.type} and {len(state)} parts"
            fail(ShapeError, f"{text} {many}", (ids,), "start(rows) makes the state")
        position, *kept = map(lift, state)
        block_of_ids = ids if ids.ndim == 2 else fn.expand_dims(ids, 1)
        x = self.embed.after(block_of_ids, position)
        for i, block in enumerate(self.blocks):
            x, *kept[2 * i : 2 * i + 2] = block.step(x, kept[2 * i], kept[2 * i + 1], position)
        scores = self.embed.scores(self.norm(x))
        following = position + fn.astype(block_of_ids.shape[1], position.dtype)
        return (scores if ids.ndim == 2 else scores[:, 0], following, *kept)


def gpt(
    vocabulary: int = 50257,
    length: int = 1024,
    layers: int = 12,
    heads: int = 12,
    units: int = 768,
    dropout: float = 0.1,
) -> GPT:
    """A generative transformer (Radford et al. 2019): tokens (batch, time) -> logits (batch, time,
    vocabulary) of the token after each. Its `step` and `start` are for gx.decode: keys and values
    of what it has read are kept.

    By default the small GPT-2, 124,439,808 parameters.
    """
    return GPT(vocabulary, length, layers, heads, units, dropout)


class BERT(Layer):
    """Blocks over embedded tokens, places and segments."""

    kind = "bert"

    def __init__(
        self, vocabulary: int, length: int, layers: int, heads: int, units: int, dropout: float
    ) -> None:
        super().__init__()
        self.embed = Tokens(vocabulary, length, units)
        self.segments = Embedding(2, units, small(), name="segments")
        self.norm, self.drop = LayerNorm(name="norm"), Dropout(dropout, name="dropout")
        self.blocks = [Block(heads, 4 * units, dropout, post_norm=True) for _ in range(layers)]
        self.pool = Dense(units, "tanh", kernel_init=small(), name="pool")

    def __call__(self, ids: Any, segments: Any = None, mask: TensorLike | None = None) -> Any:
        """Tokens (batch, time) -> (batch, time, units), and (batch, units) of the first token."""
        which = fn.zeros_like(ids) if segments is None else segments
        x = self.drop(self.norm(self.embed(ids) + self.segments(which)))
        for block in self.blocks:
            x = block(x, mask)
        return x, self.pool(x[:, 0])


def bert(
    vocabulary: int = 30522,
    length: int = 512,
    layers: int = 12,
    heads: int = 12,
    units: int = 768,
    dropout: float = 0.1,
) -> BERT:
    """An encoder like BERT (Devlin et al. 2019), by default of its base size, 109,482,240
    parameters.

    Called on tokens (batch, time), and if wanted segments (batch, time) of 0 and 1 and the mask of
    `nn.MultiHeadAttention`, it gives features (batch, time, units) and a summary (batch, units).
    """
    return BERT(vocabulary, length, layers, heads, units, dropout)


class ViT(Layer):
    """Blocks over patches of a picture and a token that stands for all of it."""

    kind = "vit"

    def __init__(
        self, classes: int, patch: int, layers: int, heads: int, units: int, dropout: float
    ) -> None:
        super().__init__()
        self.patches = Conv2D(units, patch, patch, name="patches")
        self.blocks = [Block(heads, 4 * units, dropout) for _ in range(layers)]
        self.norm, self.head = LayerNorm(name="norm"), Dense(classes, name="head")
        self.units = units

    def call(self, x: Tensor) -> Tensor:
        """(batch, height, width, channels) -> (batch, classes)."""
        y = self.patches(x)
        batch, rows, columns, units = y.shape
        if not isinstance(rows, int) or not isinstance(columns, int):
            fail(ShapeError, f"{self.name}: needs pictures of known size, got {x.type}", (x,))
        whole = self.parameter("token", (1, 1, self.units), init.zeros(), x.dtype)
        y = fn.reshape(y, (batch, rows * columns, units))
        y = fn.concat([fn.broadcast_to(whole, (batch, 1, units)), y], axis=1)
        y = y + self.parameter("places", (1, rows * columns + 1, self.units), small(), x.dtype)
        for block in self.blocks:
            y = block(y)
        return self.head(self.norm(y)[:, 0])


def vit(
    classes: int = 1000,
    patch: int = 16,
    layers: int = 12,
    heads: int = 12,
    units: int = 768,
    dropout: float = 0.0,
) -> ViT:
    """The vision transformer (Dosovitskiy et al. 2021): (batch, height, width, channels) -> (batch,
    classes); by default ViT-B/16, 86,567,656 parameters at 224 x 224 x 3."""
    return ViT(classes, patch, layers, heads, units, dropout)
