"""Captions of pictures, and losses whose gradient changes a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc import origin as origins
from graphc.errors import ArgumentError, ShapeError
from graphc.frontend import functions as fn
from graphc.frontend.functions.operands import fail
from graphc.frontend.tensor import Tensor
from graphc.nn import (
    LSTM,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Layer,
    max_pool,
    mse,
    scaled_dot_product_attention,
)
from graphc.nn.owner import owned


class Captioner(Layer):
    """Convolutions that see a picture, and an LSTM that says what is there (Vinyals et al. 2015),
    looking at places as it goes on (Xu et al. 2015).

    `net(pictures, words)` gives logits (batch, time, vocabulary) of the word after each of (batch,
    time). `look(pictures)` and `step(words, h, c, places)` are for `gx.decode`. `dropout` is that
    of places, of embedded words and of what is scored.
    """

    def __init__(
        self, vocabulary: int, units: int = 128, filters: int = 32, dropout: float = 0.0
    ) -> None:
        self.eyes = [
            Conv2D(filters << i, 3, padding="same", activation="relu", name=f"conv_{i + 1}")
            for i in range(3)
        ]
        self.words = Embedding(vocabulary, units, name="words")
        self.places = Dense(units, name="places")
        self.first = Dense(2 * units, "tanh", name="first")
        self.writer = LSTM(units, return_sequences=True, return_state=True, name="writer")
        self.scores = Dense(vocabulary, name="scores")
        self.drops = [Dropout(dropout, name=f"dropout_{i}") for i in (1, 2, 3)]
        self.units = units

    def __call__(self, pictures: Any, words: Any = None) -> Any:
        """Logits of the next words."""
        h, c, places = self.look(pictures)
        return self._write(self.words(words), h, c, places)[0]

    @owned
    def look(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The writer's first state (batch, units) twice, and places (batch, count, units)."""
        x = pictures
        for conv in self.eyes:
            x = max_pool(conv(x), 2)
        batch, rows, columns, features = x.shape
        flat = fn.reshape(x, (batch, rows * columns, features))
        places = self.places(self.drops[0](flat))
        h, c = fn.split(self.first(fn.mean(places, axis=1)), 2, axis=-1)
        return h, c, places

    @owned
    def step(
        self, words: Tensor, h: Tensor, c: Tensor, places: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits of the word after these (batch,), and the next state."""
        scores, h, c = self._write(self.words(fn.expand_dims(words, 1)), h, c, places)
        return scores[:, 0], h, c, places

    def _write(
        self, embedded: Tensor, h: Tensor, c: Tensor, places: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        outputs, h, c = self.writer(self.drops[1](embedded), [h, c])
        seen = scaled_dot_product_attention(outputs, places, places)
        return self.scores(self.drops[2](fn.concat([outputs, seen], axis=-1))), h, c


def gram(features: Tensor) -> Tensor:
    """How channels go together, wherever: (batch, height, width, channels) -> (batch, channels,
    channels), divided by the number of positions."""
    if features.ndim != 4:
        text = f"gram: needs (batch, height, width, channels), got {features.type}"
        fail(ShapeError, text, (features,))
    batch, rows, columns, channels = features.shape
    flat = fn.reshape(features, (batch, rows * columns, channels))
    return fn.matrix_transpose(flat) @ flat / fn.astype(fn.asarray(rows * columns), flat.dtype)


def style_loss(features: Sequence[Tensor], style: Sequence[Tensor]) -> Tensor:
    """How far Gram matrices of layers are from those of a style (Gatys, Ecker and Bethge 2016): the
    mean of squares for each layer, added up."""
    _check_lists("style_loss", features, style)
    total = mse(gram(features[0]), gram(style[0])).mean()
    for mine, theirs in zip(features[1:], style[1:]):
        total = total + mse(gram(mine), gram(theirs)).mean()
    return total


def content_loss(features: Sequence[Tensor], content: Sequence[Tensor]) -> Tensor:
    """How far features of layers are from those of a picture: the mean of squares for each layer,
    added up."""
    _check_lists("content_loss", features, content)
    total = mse(features[0], content[0]).mean()
    for mine, theirs in zip(features[1:], content[1:]):
        total = total + mse(mine, theirs).mean()
    return total


def dream_loss(features: Sequence[Tensor]) -> Tensor:
    """Minus the mean square of features, so that minimising it makes a picture of what excites
    them (Mordvintsev, Olah and Tyka 2015)."""
    _check_lists("dream_loss", features, features)
    total = -(features[0] * features[0]).mean()
    for more in features[1:]:
        total = total - (more * more).mean()
    return total


def _check_lists(name: str, a: Sequence[Tensor], b: Sequence[Tensor]) -> None:
    for given in (a, b):
        if not isinstance(given, (list, tuple)) or not all(isinstance(t, Tensor) for t in given):
            raise ArgumentError(
                f"{name}: needs lists of tensors, got {given!r:.60}", origin=origins.find_origin()
            )
    if not a or len(a) != len(b):
        raise ArgumentError(
            f"{name}: needs as many layers of both: {len(a)} and {len(b)}",
            origin=origins.find_origin(),
        )
