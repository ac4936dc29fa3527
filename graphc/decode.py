"""Generate sequences of tokens from a model that scores the next one.

`step(tokens, *state)` returns `(scores, *state)`: for every row the scores (logits or
log-probabilities, (rows, vocabulary)) of the token after `tokens` (rows,), and what it remembers,
each part with one row for every row. Given tensors, the functions here build a graph, a `gx.scan`
over the step, to be compiled; given arrays they call the step, say a compiled function, `length`
times. `first` (rows,) are the tokens to begin with, not part of the result. A sequence that has
reached the token `end` goes on with it at no cost. Scores of sequences are sums of
log-probabilities, in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.frontend import functions as fn
from graphc.frontend.functions.control import scan
from graphc.frontend.functions.operands import fail
from graphc.frontend.tensor import Tensor
from graphc.ir.structure import flatten
from graphc.random.distributions import gumbel

__all__ = ["beam_search", "greedy", "sample"]

Step = Callable[..., Any]
Choice = Callable[[Any], Any]


def greedy(
    step: Step, first: Any, state: Any = (), *, length: int, end: int | None = None
) -> tuple[Any, Any]:
    """The most likely token each time (the first of several): tokens (rows, length), scores
    (rows,)."""
    xp = _check("greedy", first, state, length, end)
    return _one_by_one("greedy", step, first, state, length, end, lambda x: xp.argmax(x, axis=-1))


def sample(
    step: Step,
    first: Any,
    state: Any = (),
    *,
    length: int,
    end: int | None = None,
    temperature: float = 1.0,
    top_k: int | None = None,
    seed: int | None = None,
) -> tuple[Any, Any]:
    """Tokens drawn with probabilities softmax(scores / temperature), among the `top_k` best if
    given: tokens (rows, length) and their scores (rows,) at temperature 1.

    With arrays, `seed` is that of numpy's generator; graphs draw from gx.random.
    """
    xp = _check("sample", first, state, length, end)
    if not temperature > 0:
        fail(ArgumentError, f"decode.sample: temperature must be above 0, got {temperature!r}")
    if top_k is not None:
        _check_count("sample", "top_k", top_k)
    rng = np.random.default_rng(seed)

    def choose(x: Any) -> Any:
        if top_k is not None and top_k < x.shape[-1]:
            least = _best(x, top_k)[0][:, -1:]
            x = xp.where(x < least, -np.inf, x)
        noise = gumbel(x.shape) if isinstance(x, Tensor) else rng.gumbel(size=x.shape)
        return xp.argmax(x / temperature + noise, axis=-1)

    return _one_by_one("sample", step, first, state, length, end, choose)


def beam_search(
    step: Step,
    first: Any,
    state: Any = (),
    *,
    length: int,
    beams: int,
    end: int | None = None,
) -> tuple[Any, Any]:
    """The best continuations found by keeping `beams` of each row at every step, best first:
    tokens (rows, beams, length), scores (rows, beams).

    The step sees rows * beams rows, those of a row one after the other. Where there are fewer
    sequences than beams, the scores of the others are -inf.
    """
    xp = _check("beam_search", first, state, length, end)
    _check_count("beam_search", "beams", beams)
    rows = first.shape[0]
    places = xp.reshape(xp.arange(rows) * beams, (rows, 1))

    def body(carry: Any, _: Any) -> tuple[Any, Any]:
        tokens, total, done, state = carry
        gains, state = _scores("beam_search", step, tokens, state)
        size = gains.shape[-1]
        gains = xp.reshape(gains, (rows, beams, size))
        if end is not None:
            rest = xp.where(xp.arange(size) == end, _float(0.0), _float(-np.inf))
            gains = xp.where(done[:, :, None], rest, gains)
        sums = xp.reshape(total[:, :, None] + gains, (rows, beams * size))
        total, place = _best(sums, beams)
        parent, token = place // size, (place % size).astype(first.dtype)
        if end is not None:
            done = xp.take_along_axis(done, parent, axis=1) | (token == end)
        origin = xp.reshape(places + parent, (rows * beams,))
        state = tuple(xp.take(s, origin, axis=0) for s in state)
        return (xp.reshape(token, (rows * beams,)), total, done, state), (token, parent)

    def back(beam: Any, row: Any) -> tuple[Any, Any]:
        token, parent = (xp.take_along_axis(x, beam, axis=1) for x in row)
        return parent, token

    alone = xp.where(xp.arange(beams) == 0, _float(0.0), _float(-np.inf))
    start = (
        xp.repeat(first, beams, axis=0),
        xp.broadcast_to(alone, (rows, beams)),
        xp.broadcast_to(xp.zeros((), dtype="bool"), (rows, beams)),
        tuple(xp.repeat(s, beams, axis=0) for s in state),
    )
    last, steps = _loop(body, start, None, length)
    ends = xp.broadcast_to(xp.arange(beams, dtype="int64"), (rows, beams))
    _, tokens = _loop(back, ends, steps, length, reverse=True)
    return xp.moveaxis(tokens, 0, -1), last[1]


# ------------------------------------------------------------------- for tensors and arrays


def _one_by_one(
    name: str, step: Step, first: Any, state: Any, length: int, end: int | None, choose: Choice
) -> tuple[Any, Any]:
    """One token after the other, each chosen from the log-probabilities (rows, vocabulary)."""
    xp = _functions(first)

    def body(carry: Any, _: Any) -> tuple[Any, Any]:
        tokens, total, done, state = carry
        gains, state = _scores(name, step, tokens, state)
        chosen = choose(gains)
        gain = xp.take_along_axis(gains, chosen[:, None], axis=1)[:, 0]
        chosen = chosen.astype(first.dtype)
        if end is not None:
            chosen = xp.where(done, xp.asarray(end, dtype=first.dtype), chosen)
            gain = xp.where(done, _float(0.0), gain)
            done = done | (chosen == end)
        return (chosen, total + gain, done, state), chosen

    rows = (first.shape[0],)
    start = (first, xp.zeros(rows, dtype="float32"), xp.zeros(rows, dtype="bool"), tuple(state))
    last, tokens = _loop(body, start, None, length)
    return xp.moveaxis(tokens, 0, -1), last[1]


def _scores(name: str, step: Step, tokens: Any, state: Any) -> tuple[Any, tuple[Any, ...]]:
    """The log-probabilities of all next tokens, and the new state."""
    result = step(tokens, *state)
    parts = list(result) if isinstance(result, (list, tuple)) else [result]
    if len(parts) != 1 + len(state):
        fail(
            ArgumentError,
            f"decode.{name}: the step returned {len(parts)} values, not scores and"
            f" {len(state)} parts of the state",
        )
    scores, *new = parts
    xp = _functions(tokens)
    if isinstance(scores, Tensor) is not isinstance(tokens, Tensor):
        fail(
            ArgumentError,
            f"decode.{name}: the step returned a {type(scores).__name__} for a"
            f" {type(tokens).__name__}",
            hint="tensors as first tokens build a graph, arrays run a compiled step",
        )
    if scores.ndim != 2 or scores.shape[0] != tokens.shape[0]:
        fail(
            ShapeError,
            f"decode.{name}: scores must be (rows, vocabulary) with {tokens.shape[0]} rows,"
            f" got {tuple(scores.shape)}",
        )
    x = scores.astype("float32")
    x = x - xp.max(x, axis=-1, keepdims=True)
    return x - xp.log(xp.sum(xp.exp(x), axis=-1, keepdims=True)), tuple(new)


def _loop(body: Any, start: Any, xs: Any, length: int, reverse: bool = False) -> tuple[Any, Any]:
    """gx.scan, also for arrays."""
    if isinstance(flatten(start)[0][0], Tensor):
        return scan(body, start, xs, length=length, reverse=reverse)
    found: list[Any] = [None] * length
    carry = start
    for i in reversed(range(length)) if reverse else range(length):
        carry, found[i] = body(carry, None if xs is None else tuple(x[i] for x in xs))
    if isinstance(found[0], tuple):
        return carry, tuple(np.stack(part) for part in zip(*found))
    return carry, np.stack(found)


def _best(x: Any, k: int) -> tuple[Any, Any]:
    """The k largest along the last axis, best first, and where they are."""
    if isinstance(x, Tensor):
        return fn.topk(x, k)
    places = np.argsort(-x, axis=-1, kind="stable")[..., :k]
    return np.take_along_axis(x, places, axis=-1), places


def _functions(x: Any) -> Any:
    """The functions for a tensor or an array: they have the same names."""
    return fn if isinstance(x, Tensor) else np


def _float(value: float) -> Any:
    return np.float32(value)


# ------------------------------------------------------------------------------- mistakes


def _check(name: str, first: Any, state: Any, length: Any, end: Any) -> Any:
    """The functions to use; raises where an argument is wrong."""
    if not isinstance(first, (Tensor, np.ndarray)):
        text = f"decode.{name}: first must be a tensor or an array, got {first!r}"
        fail(ArgumentError, text, hint="the tokens to begin with, one for every row")
    kind = np.dtype(first.dtype.numpy if isinstance(first, Tensor) else first.dtype)
    if first.ndim != 1 or kind.kind not in "iu":
        error = ShapeError if first.ndim != 1 else DTypeError
        fail(error, f"decode.{name}: first must be a vector of integers, got {kind}{first.shape}")
    _check_count(name, "length", length)
    if end is not None and (isinstance(end, bool) or not isinstance(end, (int, np.integer))):
        fail(ArgumentError, f"decode.{name}: end must be a token or None, got {end!r}")
    if not isinstance(state, (list, tuple)):
        text = f"decode.{name}: state must be a list or tuple, got {type(state).__name__}"
        fail(ArgumentError, text)
    for i, part in enumerate(state):
        if not part.ndim or part.shape[0] != first.shape[0]:
            text = f"decode.{name}: part {i} of the state must have {first.shape[0]} rows"
            fail(ShapeError, f"{text}, got {tuple(part.shape)}")
    return _functions(first)


def _check_count(name: str, role: str, count: Any) -> None:
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 1:
        fail(ArgumentError, f"decode.{name}: {role} must be an int of 1 or more, got {count!r}")
