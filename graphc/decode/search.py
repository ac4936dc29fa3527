"""One token after the other: the most likely, or one that is drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from graphc.decode.checks import check, check_sampling
from graphc.decode.steps import Model, Step, best, functions, loop, loop_until, number
from graphc.errors import ArgumentError
from graphc.frontend import functions as fn
from graphc.frontend.functions.operands import fail
from graphc.frontend.tensor import Tensor
from graphc.ir.types import Array
from graphc.random.distributions import gumbel

Choice = Callable[[Any], Any]


def greedy(
    step: Step,
    first: Any,
    state: Any = (),
    *,
    length: int,
    end: int | None = None,
    repetition_penalty: float = 1.0,
) -> tuple[Any, Any]:
    """The most likely token each time (the first of several): tokens (rows, length), scores
    (rows,)."""
    check("greedy", first, state, length, end, repetition_penalty)
    choose = partial(functions(first).argmax, axis=-1)
    one = OneToken(Model("greedy", step, repetition_penalty), choose, end)
    return one.all(first, state, length)


def sample(
    step: Step,
    first: Any,
    state: Any = (),
    *,
    length: int,
    end: int | None = None,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    repetition_penalty: float = 1.0,
    seed: int | None = None,
) -> tuple[Any, Any]:
    """Tokens drawn with probabilities softmax(scores / temperature): tokens (rows, length) and
    their scores (rows,) at temperature 1.

    If given, only the `top_k` best are drawn, and of these the fewest whose probabilities sum up
    to `top_p` or more (Holtzman et al. 2020); those as likely as the last of them stay, too. With
    arrays, `seed` is that of numpy's generator; graphs draw from gx.random.
    """
    check("sample", first, state, length, end, repetition_penalty)
    check_sampling("sample", temperature, top_k, top_p)
    choose = _drawing(temperature, top_k, top_p, seed)
    return OneToken(Model("sample", step, repetition_penalty), choose, end).all(
        first, state, length
    )


def stream(
    step: Step,
    first: Any,
    state: Any = (),
    *,
    length: int,
    end: int | None = None,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    repetition_penalty: float = 1.0,
    seed: int | None = None,
) -> Iterator[Array]:
    """Yield the tokens (rows,) that `sample` returns as columns, each as soon as it is drawn.

    For arrays and a compiled step. It ends after `length` tokens, or where all rows have reached
    `end`. `top_k=1` takes the most likely ones.
    """
    check("stream", first, state, length, end, repetition_penalty)
    check_sampling("stream", temperature, top_k, top_p)
    if isinstance(first, Tensor):
        text = "decode.stream: first must be an array: a graph returns all tokens at once"
        fail(ArgumentError, text, (first,), "compile the step, or use decode.sample")
    choose = _drawing(temperature, top_k, top_p, seed)
    return OneToken(Model("stream", step, repetition_penalty), choose, end).each(
        first, state, length
    )


@dataclass(frozen=True)
class OneToken:
    """A token for every row, chosen from the log-probabilities (rows, vocabulary)."""

    model: Model
    choose: Choice
    end: int | None

    def __call__(self, carry: Any, xs: Any) -> tuple[Any, tuple[Any, ...]]:
        """Choose one for every row."""
        tokens, total, done, had, state = carry
        xp = functions(tokens)
        gains, state = self.model.scores(tokens, had, state)
        chosen = self.choose(gains)
        gain = xp.take_along_axis(gains, chosen[:, None], axis=1)[:, 0]
        chosen = chosen.astype(tokens.dtype)
        if self.end is not None:
            chosen = xp.where(done, xp.asarray(self.end, dtype=tokens.dtype), chosen)
            gain = xp.where(done, number(0.0), gain)
            done = done | (chosen == self.end)
        had = self.model.remember(had, chosen, xs[0])
        return (chosen, total + gain, done, had, state), (chosen,)

    def start(self, first: Any, state: Any, length: int) -> Any:
        """What is carried at first."""
        xp, rows = functions(first), (first.shape[0],)
        nothing = xp.zeros(rows, dtype="float32"), xp.zeros(rows, dtype="bool")
        return first, *nothing, self.model.history(first, length), tuple(state)

    def all(self, first: Any, state: Any, length: int) -> tuple[Any, Any]:
        """All tokens (rows, length), and the scores (rows,)."""
        xp, start = functions(first), self.start(first, state, length)
        if self.end is None:
            last, (tokens,) = loop(self, start, length)
        else:
            blank = (xp.zeros_like(first) + xp.asarray(self.end, dtype=first.dtype),)
            last, (tokens,) = loop_until(lambda c: xp.all(c[2]), self, start, blank, length)
        return xp.moveaxis(tokens, 0, -1), last[1]

    def each(self, first: Array, state: Any, length: int) -> Iterator[Array]:
        """The tokens one by one."""
        carry = self.start(first, state, length)
        for i in range(length):
            carry, (tokens,) = self(carry, (i,))
            yield tokens
            if carry[2].all():
                return


def _drawing(
    temperature: float, top_k: int | None, top_p: float | None, seed: int | None
) -> Choice:
    rng = np.random.default_rng(seed)

    def choose(x: Any) -> Any:
        xp = functions(x)
        if top_k is not None and top_k < x.shape[-1]:
            least = best(x, top_k)[0][:, -1:]
            x = xp.where(x < least, number(-np.inf), x)
        x = x / number(temperature)
        if top_p is not None and top_p < 1:
            x = xp.where(x < _least_within(x, top_p), number(-np.inf), x)
        noise = gumbel(x.shape) if isinstance(x, Tensor) else rng.gumbel(size=x.shape)
        return xp.argmax(x + noise, axis=-1)

    return choose


def _least_within(x: Any, top_p: float) -> Any:
    """The lowest of the best scores (rows, 1) whose probabilities sum up to top_p."""
    xp = functions(x)
    ordered = fn.sort(x, descending=True) if isinstance(x, Tensor) else -np.sort(-x, axis=-1)
    shares = xp.exp(ordered - ordered[:, :1])
    sums = fn.cumulative_sum(shares, axis=1) if isinstance(x, Tensor) else shares.cumsum(axis=1)
    needed = sums - shares < number(top_p) * sums[:, -1:]
    return xp.min(xp.where(needed, ordered, number(np.inf)), axis=-1, keepdims=True)
