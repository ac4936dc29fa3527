"""One step of a model, and loops over it, for tensors and for arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.errors import ArgumentError, ShapeError
from graphc.frontend import functions as fn
from graphc.frontend.functions.control import scan, while_loop
from graphc.frontend.functions.operands import fail
from graphc.frontend.tensor import Tensor
from graphc.ir.structure import flatten

Step = Callable[..., Any]
Body = Callable[[Any, Any], tuple[Any, tuple[Any, ...]]]


@dataclass(frozen=True)
class Model:
    """A step, who uses it, and how much tokens are held against a row that has had them."""

    caller: str
    step: Step
    penalty: float = 1.0

    def scores(self, tokens: Any, had: Any, state: Any) -> tuple[Any, tuple[Any, ...]]:
        """The log-probabilities of all next tokens, and the new state."""
        result = self.step(tokens, *state)
        parts = list(result) if isinstance(result, (list, tuple)) else [result]
        if len(parts) != 1 + len(state):
            text = f"the step returned {len(parts)} values, not scores and {len(state)} parts"
            fail(ArgumentError, f"decode.{self.caller}: {text} of the state")
        scores, *new = parts
        self._check(scores, tokens)
        xp = functions(tokens)
        x = self._penalized(scores.astype("float32"), had)
        x = x - xp.max(x, axis=-1, keepdims=True)
        return x - xp.log(xp.sum(xp.exp(x), axis=-1, keepdims=True)), tuple(new)

    def history(self, first: Any, length: int) -> Any:
        """Room for the tokens that rows have had: at first all are the first one."""
        xp = functions(first)
        width = length if self.penalty != 1.0 else 1
        return xp.broadcast_to(first[:, None], (first.shape[0], width))

    def remember(self, had: Any, tokens: Any, count: Any) -> Any:
        """The history with the tokens that were chosen after `count` others."""
        if self.penalty == 1.0:
            return had
        xp = functions(tokens)
        return xp.where(xp.arange(had.shape[1]) == count, tokens[:, None], had)

    def _penalized(self, x: Any, had: Any) -> Any:
        if self.penalty == 1.0:
            return x
        xp = functions(x)
        old = xp.take_along_axis(x, had, axis=1)
        new = xp.where(old > 0, old / number(self.penalty), old * number(self.penalty))
        if isinstance(x, Tensor):
            return fn.put_along_axis(x, had, new, axis=1)
        x = np.array(x)
        np.put_along_axis(x, had, new, axis=1)
        return x

    def _check(self, scores: Any, tokens: Any) -> None:
        if isinstance(scores, Tensor) is not isinstance(tokens, Tensor):
            fail(
                ArgumentError,
                f"decode.{self.caller}: the step returned a {type(scores).__name__} for a"
                f" {type(tokens).__name__}",
                hint="tensors as first tokens build a graph, arrays run a compiled step",
            )
        if scores.ndim != 2 or scores.shape[0] != tokens.shape[0]:
            text = f"scores must be (rows, vocabulary) with {tokens.shape[0]} rows"
            fail(ShapeError, f"decode.{self.caller}: {text}, got {tuple(scores.shape)}")


def loop(
    body: Body, start: Any, length: int, xs: Any = None, reverse: bool = False
) -> tuple[Any, tuple[Any, ...]]:
    """gx.scan, also for arrays; rows are tuples, those of `xs` by default the step's number."""
    is_graph = isinstance(flatten(start)[0][0], Tensor)
    xs = (functions(flatten(start)[0][0]).arange(length),) if xs is None else xs
    if is_graph:
        return scan(body, start, xs, length=length, reverse=reverse)
    found: list[tuple[Any, ...]] = [()] * length
    carry = start
    for i in reversed(range(length)) if reverse else range(length):
        carry, found[i] = body(carry, tuple(x[i] for x in xs))
    return carry, tuple(np.stack(part) for part in zip(*found))


def loop_until(
    over: Callable[[Any], Any], body: Body, start: Any, blank: tuple[Any, ...], length: int
) -> tuple[Any, tuple[Any, ...]]:
    """A loop that ends where `over(carry)`; `blank` is the row of a step that was not needed."""
    if isinstance(blank[0], Tensor):
        return _while(over, body, start, blank, length)
    found, carry = [blank] * length, start
    for i in range(length):
        if over(carry):
            break
        carry, found[i] = body(carry, (i,))
    return carry, tuple(np.stack(part) for part in zip(*found))


def _while(
    over: Callable[[Any], Any], body: Body, start: Any, blank: tuple[Tensor, ...], length: int
) -> tuple[Any, tuple[Any, ...]]:
    def again(given: Any) -> Any:
        i, carry, _ = given
        return (i < length) & ~over(carry)

    def once(given: Any) -> Any:
        i, carry, kept = given
        carry, row = body(carry, (i,))
        return i + 1, carry, tuple(_put(rows, i, new) for rows, new in zip(kept, row))

    rows = tuple(fn.broadcast_to(x, (length, *x.shape)) for x in blank)
    first = (fn.zeros((), dtype="int64"), start, rows)
    _, last, kept = while_loop(again, once, first, max_steps=length)
    return last, kept


def _put(rows: Tensor, i: Tensor, new: Tensor) -> Tensor:
    """Rows with a new one at i."""
    here = fn.reshape(fn.arange(rows.shape[0]) == i, (rows.shape[0],) + (1,) * new.ndim)
    return fn.where(here, new, rows)


# ------------------------------------------------------------------- for tensors and arrays


def best(x: Any, k: int) -> tuple[Any, Any]:
    """The k largest along the last axis, best first, and where they are."""
    if isinstance(x, Tensor):
        return fn.topk(x, k)
    places = np.argsort(-x, axis=-1, kind="stable")[..., :k]
    return np.take_along_axis(x, places, axis=-1), places


def functions(x: Any) -> Any:
    """The functions for a tensor or an array: they have the same names."""
    return fn if isinstance(x, Tensor) else np


def number(value: float) -> Any:
    """A number that leaves float32 as it is."""
    return np.float32(value)
