"""Recurrent networks over characters, pairs of sequences, and speech."""

from __future__ import annotations

from functools import partial
from typing import Any

from graphc.frontend import functions as fn
from graphc.frontend.tensor import Tensor
from graphc.nn import (
    GRU,
    LSTM,
    Bidirectional,
    Conv1D,
    Dense,
    Embedding,
    Layer,
    Sequential,
    layer,
    scaled_dot_product_attention,
)
from graphc.nn.model import Function


def char_lstm(
    vocabulary: int, units: int = 256, layers: int = 2, embedding: int = 64, dropout: float = 0.0
) -> Sequential:
    """A language model (Zaremba, Sutskever and Vinyals 2014): tokens (batch, time) -> logits
    (batch, time, vocabulary) of the token after each."""
    return Sequential(
        [
            Embedding(vocabulary, embedding),
            LSTM(units, num_layers=layers, dropout=dropout, return_sequences=True),
            Dense(vocabulary),
        ],
        name="char_lstm",
    )


class Seq2Seq(Layer):
    """A recurrent encoder and a decoder that attends to it (Bahdanau, Cho and Bengio 2015, with the
    attention of Luong, Pham and Manning 2015).

    `net(source, target)` gives the logits (batch, time, vocabulary) of the token after each of the
    target's (batch, time), whose first is the one to begin with. `encode(source)` and
    `step(tokens, state, memory)` are for `gx.decode`.
    """

    def __init__(
        self, source_vocabulary: int, target_vocabulary: int, units: int = 128, embedding: int = 64
    ) -> None:
        self.source = Embedding(source_vocabulary, embedding, name="source")
        self.target = Embedding(target_vocabulary, embedding, name="target")
        half = GRU(units // 2, return_sequences=True, name="reader")
        self.reader = Bidirectional(half, name="encoder")
        self.writer = GRU(units, return_sequences=True, return_state=True, name="writer")
        self.join = Dense(units, "tanh", name="join")
        self.scores = Dense(target_vocabulary, name="scores")
        self.start = Dense(units, "tanh", name="start")

    def __call__(self, source: Any, target: Any = None) -> Any:
        """Logits of the target's next tokens."""
        memory, state = self.encode(source)
        return self._write(self.target(target), state, memory)[0]

    def encode(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """What the decoder attends to (batch, time, units), and its first state (batch, units)."""
        memory = self.reader(self.source(source))
        return memory, self.start(fn.mean(memory, axis=1))

    def step(self, tokens: Tensor, state: Tensor, memory: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of the token after these (batch,), the next state, and the same memory."""
        embedded = self.target(fn.expand_dims(tokens, 1))
        scores, after = self._write(embedded, state, memory)
        return scores[:, 0], after, memory

    def _write(self, embedded: Tensor, state: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        outputs, after = self.writer(embedded, state)
        seen = scaled_dot_product_attention(outputs, memory, memory)
        return self.scores(self.join(fn.concat([outputs, seen], axis=-1))), after


def ctc_speech(symbols: int, units: int = 128, layers: int = 2) -> Function:
    """A speech recogniser for `gx.nn.ctc` (Graves et al. 2006): features (batch, time, bands) ->
    logits (batch, time / 2, symbols + 1), of which one is the blank."""
    return layer(partial(_speech, symbols, units, layers), name="ctc_speech")


def _speech(symbols: int, units: int, layers: int, x: Tensor) -> Tensor:
    x = Conv1D(units, 5, 2, "same", activation="relu")(x)
    for _ in range(layers):
        x = Bidirectional(GRU(units, return_sequences=True))(x)
    return Dense(symbols + 1)(x)
