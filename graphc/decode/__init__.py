"""Generate sequences of tokens from a model that scores the next one.

`step(tokens, *state)` returns `(scores, *state)`: for every row the scores (logits or
log-probabilities, (rows, vocabulary)) of the token after `tokens` (rows,), and what it remembers,
each part with one row for every row: carries of recurrent layers, keys and values of attention
(`gx.nn.MultiHeadAttention.step`). Given tensors, the functions here build a graph, one loop over
the step, to be compiled; given arrays they call the step, say a compiled function, up to `length`
times. `first` (rows,) are the tokens to begin with, not part of the result. A sequence that has
reached the token `end` goes on with it at no cost; when all have, the loop ends. Scores of
sequences are sums of log-probabilities, in float32.

`repetition_penalty` (1: none) divides the scores of tokens that a row has had, `first` among
them, and multiplies those below 0 (Keskar et al. 2019), before anything else is done with them.
"""

from graphc.decode.beams import beam_search
from graphc.decode.search import greedy, sample, stream

__all__ = ["beam_search", "greedy", "sample", "stream"]
