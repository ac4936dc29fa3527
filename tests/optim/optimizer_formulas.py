"""The optimisers' formulas in numpy float64, written from the papers, one parameter at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Rule = Callable[[Array, Array, int, dict[str, Any]], Array]  # (p, g, t from 1, state) -> new p


def sgd(rate: float, momentum: float = 0.0, nesterov: bool = False) -> Rule:
    """Sutskever et al. 2013, in the form that PyTorch documents."""

    def rule(p: Array, g: Array, t: int, state: dict[str, Any]) -> Array:
        v = momentum * state.get("v", np.zeros_like(p)) + g
        state["v"] = v
        return p - rate * (g + momentum * v if nesterov else v)

    return rule


def adam(rate: float, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> Rule:
    """Kingma and Ba 2015, algorithm 1."""

    def rule(p: Array, g: Array, t: int, state: dict[str, Any]) -> Array:
        m = b1 * state.get("m", 0.0) + (1 - b1) * g
        v = b2 * state.get("v", 0.0) + (1 - b2) * g**2
        state.update(m=m, v=v)
        return p - rate * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)

    return rule


def adamw(rate: float, decay: float) -> Rule:
    """Loshchilov and Hutter 2019, algorithm 2, with a constant schedule."""
    inner = adam(rate)

    def rule(p: Array, g: Array, t: int, state: dict[str, Any]) -> Array:
        return inner(p, g, t, state) - rate * decay * p

    return rule


def adamax(rate: float, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> Rule:
    """Kingma and Ba 2015, algorithm 2."""

    def rule(p: Array, g: Array, t: int, state: dict[str, Any]) -> Array:
        m = b1 * state.get("m", 0.0) + (1 - b1) * g
        u = np.maximum(b2 * state.get("u", 0.0), np.abs(g))
        state.update(m=m, u=u)
        return p - rate / (1 - b1**t) * m / (u + eps)

    return rule


def nadam(rate: float, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> Rule:
    """Dozat 2016, algorithm 2, with a constant momentum."""

    def rule(p: Array, g: Array, t: int, state: dict[str, Any]) -> Array:
        m = b1 * state.get("m", 0.0) + (1 - b1) * g
        v = b2 * state.get("v", 0.0) + (1 - b2) * g**2
        state.update(m=m, v=v)
        ahead = b1 * m / (1 - b1 ** (t + 1)) + (1 - b1) * g / (1 - b1**t)
        return p - rate * ahead / (np.sqrt(v / (1 - b2**t)) + eps)

    return rule


def adagrad(rate: float, start: float = 0.0, eps: float = 1e-10) -> Rule:
    """Duchi, Hazan and Singer 2011, diagonal form."""

    def rule(p: Array, g: Array, t: int, state: dict[str, Any]) -> Array:
        a = state.get("a", start) + g**2
        state["a"] = a
        return p - rate * g / (np.sqrt(a) + eps)

    return rule


def rmsprop(rate: float, decay: float = 0.9, eps: float = 1e-8, momentum: float = 0.0) -> Rule:
    """Hinton's lecture 6e, momentum as PyTorch documents it."""

    def rule(p: Array, g: Array, t: int, state: dict[str, Any]) -> Array:
        a = decay * state.get("a", 0.0) + (1 - decay) * g**2
        v = momentum * state.get("v", 0.0) + g / (np.sqrt(a) + eps)
        state.update(a=a, v=v)
        return p - rate * v

    return rule


def adadelta(rate: float, decay: float = 0.9, eps: float = 1e-6) -> Rule:
    """Zeiler 2012, algorithm 1, times a rate."""

    def rule(p: Array, g: Array, t: int, state: dict[str, Any]) -> Array:
        a = decay * state.get("a", 0.0) + (1 - decay) * g**2
        d = np.sqrt(state.get("u", 0.0) + eps) / np.sqrt(a + eps) * g
        state.update(a=a, u=decay * state.get("u", 0.0) + (1 - decay) * d**2)
        return p - rate * d

    return rule
