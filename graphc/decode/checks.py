"""What the functions refuse."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.frontend.functions.operands import fail
from graphc.frontend.tensor import Tensor


def check(
    name: str, first: Any, state: Any, length: Any, end: Any, repetition_penalty: Any
) -> None:
    """Raise where an argument that all functions take is wrong."""
    check_first(name, first)
    check_count(name, "length", length)
    if end is not None and (isinstance(end, bool) or not isinstance(end, (int, np.integer))):
        fail(ArgumentError, f"decode.{name}: end must be a token or None, got {end!r}")
    if not is_number(repetition_penalty) or repetition_penalty <= 0:
        text = f"repetition_penalty must be a number above 0, got {repetition_penalty!r}"
        fail(ArgumentError, f"decode.{name}: {text}", hint="1 is none, more than 1 avoids tokens")
    if not isinstance(state, (list, tuple)):
        text = f"decode.{name}: state must be a list or tuple, got {type(state).__name__}"
        fail(ArgumentError, text)
    for i, part in enumerate(state):
        if not part.ndim or part.shape[0] != first.shape[0]:
            text = f"decode.{name}: part {i} of the state must have {first.shape[0]} rows"
            fail(ShapeError, f"{text}, got {tuple(part.shape)}")


def check_first(name: str, first: Any) -> None:
    """Raise unless these are tokens, one for every row."""
    if not isinstance(first, (Tensor, np.ndarray)):
        text = f"decode.{name}: first must be a tensor or an array, got {first!r}"
        fail(ArgumentError, text, hint="the tokens to begin with, one for every row")
    kind = np.dtype(first.dtype.numpy if isinstance(first, Tensor) else first.dtype)
    if first.ndim != 1 or kind.kind not in "iu":
        error = ShapeError if first.ndim != 1 else DTypeError
        fail(error, f"decode.{name}: first must be a vector of integers, got {kind}{first.shape}")


def check_sampling(name: str, temperature: Any, top_k: Any, top_p: Any) -> None:
    """Raise where an argument of sampling is wrong."""
    if not is_number(temperature) or not temperature > 0:
        text = f"decode.{name}: temperature must be above 0, got {temperature!r}"
        fail(ArgumentError, text, hint="top_k=1 takes the most likely token each time")
    if top_k is not None:
        check_count(name, "top_k", top_k)
    if top_p is not None and (not is_number(top_p) or not 0 < top_p <= 1):
        text = f"top_p must be above 0 and at most 1, or None, got {top_p!r}"
        fail(ArgumentError, f"decode.{name}: {text}")


def check_count(name: str, role: str, count: Any) -> None:
    """Raise unless it is an int of 1 or more."""
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 1:
        fail(ArgumentError, f"decode.{name}: {role} must be an int of 1 or more, got {count!r}")


def is_number(value: Any) -> bool:
    """Whether it is a finite number of Python or numpy."""
    known = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    return known and bool(np.isfinite(value))
