"""Beam search: the best few sequences are kept at every step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.decode.checks import check, check_count, is_number
from graphc.decode.steps import Model, Step, best, functions, loop, loop_until, number
from graphc.errors import ArgumentError
from graphc.frontend.functions.operands import fail


def beam_search(
    step: Step,
    first: Any,
    state: Any = (),
    *,
    length: int,
    beams: int,
    end: int | None = None,
    length_penalty: float = 0.0,
    repetition_penalty: float = 1.0,
) -> tuple[Any, Any]:
    """The best continuations found by keeping `beams` of each row at every step, best first:
    tokens (rows, beams, length), scores (rows, beams).

    The step sees rows * beams rows, those of a row one after the other. Where there are fewer
    sequences than beams, the scores of the others are -inf. With a `length_penalty` a, scores are
    sums of log-probabilities over ((5 + n) / 6)^a for n tokens up to `end` (Wu et al. 2016): more
    than 0 favours long sequences, which have lower sums.
    """
    check("beam_search", first, state, length, end, repetition_penalty)
    check_count("beam_search", "beams", beams)
    if not is_number(length_penalty):
        text = f"decode.beam_search: length_penalty must be a number, got {length_penalty!r}"
        fail(ArgumentError, text)
    model = Model("beam_search", step, repetition_penalty)
    search = Beams(model, first, beams, end, float(length_penalty))
    xp, start = functions(first), search.start(state, length)
    ends = xp.broadcast_to(xp.arange(beams, dtype="int64"), (first.shape[0], beams))
    if end is None:
        last, steps = loop(search, start, length)
    else:
        over = xp.broadcast_to(xp.asarray(end, dtype=first.dtype), ends.shape)
        last, steps = loop_until(search.over, search, start, (over, ends), length)
    _, (tokens,) = loop(back, ends, length, steps, reverse=True)
    return xp.moveaxis(tokens, 0, -1), search.ranked(last[1], last[2])


def back(beam: Any, row: Any) -> tuple[Any, tuple[Any, ...]]:
    """One step from the end of sequences to their start."""
    token, parent = (functions(x).take_along_axis(x, beam, axis=1) for x in row)
    return parent, (token,)


@dataclass(frozen=True)
class Beams:
    """The next tokens of the best sequences, and which sequences these continue."""

    model: Model
    first: Any
    beams: int
    end: int | None
    length_penalty: float

    def start(self, state: Any, length: int) -> Any:
        """What is carried at first: of the beams of a row, one."""
        xp, shape = functions(self.first), (self.first.shape[0], self.beams)
        alone = xp.where(xp.arange(self.beams) == 0, number(0.0), number(-np.inf))
        tokens, *state = (xp.repeat(s, self.beams, axis=0) for s in (self.first, *state))
        return (
            tokens,
            xp.broadcast_to(alone, shape),
            xp.broadcast_to(xp.zeros((), dtype="float32"), shape),
            xp.broadcast_to(xp.zeros((), dtype="bool"), shape),
            self.model.history(tokens, length),
            tuple(state),
        )

    def __call__(self, carry: Any, xs: Any) -> tuple[Any, tuple[Any, ...]]:
        """Continue all sequences and keep the best."""
        tokens, total, counts, done, had, state = carry
        xp = functions(tokens)
        gains, state = self.model.scores(tokens, had, state)
        rows, size = self.first.shape[0], gains.shape[-1]
        gains = xp.reshape(gains, (rows, self.beams, size))
        if self.end is not None:
            rest = xp.where(xp.arange(size) == self.end, number(0.0), number(-np.inf))
            gains = xp.where(done[:, :, None], rest, gains)
        sums = total[:, :, None] + gains
        counts = counts + xp.where(done, number(0.0), number(1.0))
        ranks = xp.reshape(self.ranked(sums, counts[:, :, None]), (rows, self.beams * size))
        _, place = best(ranks, self.beams)
        parent, token = place // size, (place % size).astype(self.first.dtype)
        total = xp.take_along_axis(xp.reshape(sums, ranks.shape), place, axis=1)
        counts = xp.take_along_axis(counts, parent, axis=1)
        if self.end is not None:
            done = xp.take_along_axis(done, parent, axis=1) | (token == self.end)
        origin = xp.reshape(xp.arange(rows)[:, None] * self.beams + parent, (rows * self.beams,))
        had, *state = (xp.take(s, origin, axis=0) for s in (had, *state))
        tokens = xp.reshape(token, (rows * self.beams,))
        had = self.model.remember(had, tokens, xs[0])
        return (tokens, total, counts, done, had, tuple(state)), (token, parent)

    def over(self, carry: Any) -> Any:
        """Whether all sequences have ended, or are impossible."""
        _, total, _, done, *_ = carry
        return functions(total).all(done | (total == number(-np.inf)))

    def ranked(self, sums: Any, counts: Any) -> Any:
        """The scores of sequences."""
        if not self.length_penalty:
            return sums
        return sums / ((counts + number(5.0)) / number(6.0)) ** number(self.length_penalty)
