"""Recurrent cells as plain numpy, one step after the other."""

from __future__ import annotations

from typing import Any

import numpy as np


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def rnn(x: Any, state: Any, kernel: Any, recurrent: Any, bias: Any) -> Any:
    return (np.tanh(x @ kernel + state[0] @ recurrent + bias),)


def lstm(x: Any, state: Any, kernel: Any, recurrent: Any, bias: Any) -> Any:
    h, c = state
    u = h.shape[-1]
    a = x @ kernel + h @ recurrent + bias
    i, f, o = (sigmoid(a[:, k * u : (k + 1) * u]) for k in (0, 1, 3))
    c = f * c + i * np.tanh(a[:, 2 * u : 3 * u])
    return o * np.tanh(c), c


def gru(x: Any, state: Any, kernel: Any, recurrent: Any, bias: Any) -> Any:
    """Of a bias (2, 3 * units) the reset gate comes after the product, else before."""
    (h,) = state
    u = h.shape[-1]
    after = bias.ndim == 2
    a = x @ kernel + (bias[0] if after else bias)
    b = h @ recurrent + (bias[1] if after else 0)
    z, r = sigmoid(a[:, :u] + b[:, :u]), sigmoid(a[:, u : 2 * u] + b[:, u : 2 * u])
    inner = r * b[:, 2 * u :] if after else (r * h) @ recurrent[:, 2 * u :]
    return (z * h + (1 - z) * np.tanh(a[:, 2 * u :] + inner),)


def run(
    cell: Any, x: Any, state: Any, weights: Any, mask: Any = None, reverse: bool = False
) -> tuple[Any, Any]:
    """The outputs (batch, time, units) and the last state."""
    time = x.shape[1]
    state = tuple(np.asarray(s) for s in state)
    ys = np.zeros((len(x), time, state[0].shape[-1]), x.dtype)
    for t in reversed(range(time)) if reverse else range(time):
        new = cell(x[:, t], state, *weights)
        if mask is not None:
            inside = mask[:, t][:, None]
            new = tuple(np.where(inside, a, b) for a, b in zip(new, state))
        state = new
        ys[:, t] = state[0]
    return ys, state
