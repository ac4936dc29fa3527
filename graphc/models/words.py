"""word2vec."""

from __future__ import annotations

from typing import Any

from graphc import init
from graphc.frontend import functions as fn
from graphc.frontend.parameter import Parameter
from graphc.nn import Embedding, Layer, sigmoid_cross_entropy


class SkipGram(Layer):
    """Skip-gram with negative samples (Mikolov et al. 2013).

    `net(words, contexts, noise)` gives the loss (batch,) of words (batch,) with words near them
    (batch,) and words drawn at random (batch, k). `vectors` is the table of embeddings.
    """

    def __init__(self, vocabulary: int, units: int = 100) -> None:
        small = init.uniform(-0.5 / units, 0.5 / units)
        self.words = Embedding(vocabulary, units, small, name="words")
        self.contexts = Embedding(vocabulary, units, init.zeros(), name="contexts")

    def __call__(self, words: Any, contexts: Any = None, noise: Any = None) -> Any:
        """How badly near words are told from random ones."""
        v = self.words(words)
        near = fn.sum(v * self.contexts(contexts), axis=-1)
        far = fn.sum(fn.expand_dims(v, 1) * self.contexts(noise), axis=-1)
        return sigmoid_cross_entropy(near, 1.0) + fn.sum(sigmoid_cross_entropy(far, 0.0), axis=-1)

    @property
    def vectors(self) -> Parameter:
        """The embeddings (vocabulary, units), once the net was called."""
        (table,) = self.words.parameters
        return table
