"""Recurrent networks over characters, pairs of sequences, and speech."""

from __future__ import annotations

from functools import partial
from typing import Any

from graphc.errors import ShapeError
from graphc.frontend import functions as fn
from graphc.frontend.functions.operands import fail
from graphc.frontend.tensor import Tensor, lift
from graphc.frontend.typing import TensorLike
from graphc.ir.dims import Size
from graphc.nn import (
    GRU,
    LSTM,
    Bidirectional,
    Conv1D,
    Dense,
    Dropout,
    Embedding,
    Layer,
    Sequential,
    layer,
    scaled_dot_product_attention,
)
from graphc.nn.model import Function
from graphc.nn.owner import owned


class CharLSTM(Sequential):
    """Embedded tokens, an LSTM over them, and scores of what comes next."""

    def __init__(
        self, vocabulary: int, units: int, layers: int, embedding: int, dropout: float
    ) -> None:
        self.embed = Embedding(vocabulary, embedding)
        self.lstm = LSTM(
            units, num_layers=layers, dropout=dropout, return_sequences=True, return_state=True
        )
        self.scores = Dense(vocabulary)
        super().__init__([self.embed, self.lstm, self.scores], name="char_lstm")

    def call(self, x: Any) -> Tensor:
        """(batch, time) -> (batch, time, vocabulary)."""
        return self.scores(self.lstm(self.embed(x))[0])

    def start(self, rows: Size) -> tuple[Tensor, ...]:
        """The state of no tokens for `step`: h and c (rows, units) of each layer."""
        return (fn.zeros((rows, self.lstm.units)),) * (2 * self.lstm.num_layers)

    @owned
    def step(self, tokens: TensorLike, *state: TensorLike) -> tuple[Tensor, ...]:
        """The logits of the token after `tokens`, and the new state: a step for gx.decode.

        Tokens (rows,) give (rows, vocabulary). A prompt (rows, time) gives (rows, time,
        vocabulary), and the state after all of it.
        """
        ids = lift(tokens)
        if ids.ndim not in (1, 2) or len(state) != 2 * self.lstm.num_layers:
            text = f"{self.name}: a step takes tokens (rows,) or (rows, time) and a state of"
            many = f"{2 * self.lstm.num_layers} parts, got {ids.type} and {len(state)} parts"
            fail(ShapeError, f"{text} {many}", (ids,), "start(rows) makes the state")
        block = ids if ids.ndim == 2 else fn.expand_dims(ids, 1)
        outputs, *after = self.lstm(self.embed(block), list(state))
        scores = self.scores(outputs)
        return (scores if ids.ndim == 2 else scores[:, 0], *after)


def char_lstm(
    vocabulary: int, units: int = 256, layers: int = 2, embedding: int = 64, dropout: float = 0.0
) -> CharLSTM:
    """A language model (Zaremba, Sutskever and Vinyals 2014): tokens (batch, time) -> logits
    (batch, time, vocabulary) of the token after each.

    Its `step` and `start` are for gx.decode, and for a stream of text that is read in pieces: what
    it remembers of one is where the next one starts.
    """
    return CharLSTM(vocabulary, units, layers, embedding, dropout)


class Seq2Seq(Layer):
    """A recurrent encoder and a decoder that attends to it (Bahdanau, Cho and Bengio 2015, with the
    attention of Luong, Pham and Manning 2015).

    `net(source, target)` gives the logits (batch, time, vocabulary) of the token after each of the
    target's (batch, time), whose first is the one to begin with. `encode(source)` and
    `step(tokens, state, memory)` are for `gx.decode`. Sources of different lengths have a mask
    (batch, time), True where there is a token, which all three take last. `dropout` is that of
    embeddings and of what is scored.
    """

    def __init__(
        self,
        source_vocabulary: int,
        target_vocabulary: int,
        units: int = 128,
        embedding: int = 64,
        dropout: float = 0.0,
    ) -> None:
        self.source = Embedding(source_vocabulary, embedding, name="source")
        self.target = Embedding(target_vocabulary, embedding, name="target")
        half = GRU(units // 2, return_sequences=True, name="reader")
        self.reader = Bidirectional(half, name="encoder")
        self.writer = GRU(units, return_sequences=True, return_state=True, name="writer")
        self.join = Dense(units, "tanh", name="join")
        self.scores = Dense(target_vocabulary, name="scores")
        self.start = Dense(units, "tanh", name="start")
        self.drops = [Dropout(dropout, name=f"dropout_{i}") for i in (1, 2, 3)]

    def __call__(self, source: Any, target: Any = None, mask: TensorLike | None = None) -> Any:
        """Logits of the target's next tokens."""
        memory, state = self.encode(source, mask)
        return self._write(target, state, memory, mask)[0]

    @owned
    def encode(self, source: Tensor, mask: TensorLike | None = None) -> tuple[Tensor, Tensor]:
        """What the decoder attends to (batch, time, units), and its first state (batch, units)."""
        memory = self.reader(self.drops[0](self.source(source)), mask=mask)
        if mask is None:
            return memory, self.start(fn.mean(memory, axis=1))
        inside = fn.astype(fn.expand_dims(mask, -1), memory.dtype)
        count = fn.maximum(fn.sum(inside, axis=1), 1.0)
        return memory, self.start(fn.sum(memory * inside, axis=1) / count)

    @owned
    def step(
        self, tokens: Tensor, state: Tensor, memory: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Logits of the token after these (batch,), the next state, and the same memory (and
        mask)."""
        scores, after = self._write(fn.expand_dims(tokens, 1), state, memory, mask)
        kept = (memory,) if mask is None else (memory, mask)
        return scores[:, 0], after, *kept

    def _write(
        self, target: Any, state: Tensor, memory: Tensor, mask: TensorLike | None
    ) -> tuple[Tensor, Tensor]:
        outputs, after = self.writer(self.drops[1](self.target(target)), state)
        allowed = None if mask is None else fn.expand_dims(mask, 1)
        seen = scaled_dot_product_attention(outputs, memory, memory, allowed)
        joined = self.join(fn.concat([outputs, seen], axis=-1))
        return self.scores(self.drops[2](joined)), after


def ctc_speech(symbols: int, units: int = 128, layers: int = 2) -> Function:
    """A speech recogniser for `gx.nn.ctc` (Graves et al. 2006): features (batch, time, bands) ->
    logits (batch, time / 2, symbols + 1), of which one is the blank."""
    return layer(partial(_speech, symbols, units, layers), name="ctc_speech")


def _speech(symbols: int, units: int, layers: int, x: Tensor) -> Tensor:
    x = Conv1D(units, 5, 2, "same", activation="relu")(x)
    for _ in range(layers):
        x = Bidirectional(GRU(units, return_sequences=True))(x)
    return Dense(symbols + 1)(x)
