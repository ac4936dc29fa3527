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


def amsgrad(rate: float, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> Rule:
    """Reddi, Kale and Kumar 2018, with the bias correction that PyTorch documents."""

    def rule(p: Array, g: Array, t: int, state: dict[str, Any]) -> Array:
        m = b1 * state.get("m", 0.0) + (1 - b1) * g
        v = b2 * state.get("v", 0.0) + (1 - b2) * g**2
        top = np.maximum(state.get("top", 0.0), v)
        state.update(m=m, v=v, top=top)
        return p - rate * (m / (1 - b1**t)) / (np.sqrt(top / (1 - b2**t)) + eps)

    return rule


def adam_uncorrected(rate: float, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> Rule:
    """Adam without its corrections."""

    def rule(p: Array, g: Array, t: int, state: dict[str, Any]) -> Array:
        m = b1 * state.get("m", 0.0) + (1 - b1) * g
        v = b2 * state.get("v", 0.0) + (1 - b2) * g**2
        state.update(m=m, v=v)
        return p - rate * m / (np.sqrt(v) + eps)

    return rule


def adam_with_rates(rate: float, beta: Callable[[int], float], eps: float = 1e-8) -> Rule:
    """Adam whose beta1 at step t is beta(t); products take the place of powers."""
    b2 = 0.999

    def rule(p: Array, g: Array, t: int, state: dict[str, Any]) -> Array:
        b1 = beta(t - 1)
        m = b1 * state.get("m", 0.0) + (1 - b1) * g
        v = b2 * state.get("v", 0.0) + (1 - b2) * g**2
        product = state.get("product", 1.0) * b1
        state.update(m=m, v=v, product=product)
        return p - rate * (m / (1 - product)) / (np.sqrt(v / (1 - b2**t)) + eps)

    return rule


def nadam_warmed(rate: float, psi: float = 0.004, b1: float = 0.9, b2: float = 0.999) -> Rule:
    """Dozat 2016 with its momentum schedule, as PyTorch documents it."""

    def rule(p: Array, g: Array, t: int, state: dict[str, Any]) -> Array:
        mu, ahead = (b1 * (1 - 0.5 * 0.96 ** (k * psi)) for k in (t, t + 1))
        product = state.get("product", 1.0) * mu
        m = b1 * state.get("m", 0.0) + (1 - b1) * g
        v = b2 * state.get("v", 0.0) + (1 - b2) * g**2
        state.update(m=m, v=v, product=product)
        mean = ahead * m / (1 - product * ahead) + (1 - mu) * g / (1 - product)
        return p - rate * mean / (np.sqrt(v / (1 - b2**t)) + 1e-8)

    return rule


def rprop(rate: float, low: float = 0.5, high: float = 1.2) -> Rule:
    """Igel and Huesken 2000, iRprop-."""

    def rule(p: Array, g: Array, t: int, state: dict[str, Any]) -> Array:
        sign = np.sign(g) * np.sign(state.get("g", np.zeros_like(p)))
        size = state.get("size", np.full_like(p, rate))
        size = np.clip(size * np.where(sign > 0, high, np.where(sign < 0, low, 1.0)), 1e-6, 50.0)
        kept = np.where(sign < 0, 0.0, g)
        state.update(g=kept, size=size)
        return p - np.sign(kept) * size

    return rule


def lion(rate: float, b1: float = 0.9, b2: float = 0.99, decay: float = 0.0) -> Rule:
    """Chen et al. 2023, program 1."""

    def rule(p: Array, g: Array, t: int, state: dict[str, Any]) -> Array:
        m = state.get("m", np.zeros_like(p))
        state["m"] = b2 * m + (1 - b2) * g
        return p - rate * (np.sign(b1 * m + (1 - b1) * g) + decay * p)

    return rule


def lamb(rate: float, decay: float, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-6) -> Rule:
    """You et al. 2020, algorithm 2, with the identity for phi."""

    def rule(p: Array, g: Array, t: int, state: dict[str, Any]) -> Array:
        m = b1 * state.get("m", 0.0) + (1 - b1) * g
        v = b2 * state.get("v", 0.0) + (1 - b2) * g**2
        state.update(m=m, v=v)
        r = m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps) + decay * p
        size, length = np.linalg.norm(p), np.linalg.norm(r)
        return p - rate * (size / length if size > 0 and length > 0 else 1.0) * r

    return rule


def adafactor(rate: float, decay: float = 0.0, eps: float = 2.220446049250313e-16) -> Rule:
    """Shazeer and Stern 2018, algorithms 4 and 5, as PyTorch documents them; of matrices."""

    def rule(p: Array, g: Array, t: int, state: dict[str, Any]) -> Array:
        taken = t**-0.8
        rows = (g**2).mean(-1, keepdims=True), (g**2).mean(-2, keepdims=True)
        r, c = (
            old + taken * (new - old)
            for old, new in zip(state.get("rc", (0 * rows[0], 0 * rows[1])), rows)
        )
        state["rc"] = r, c
        v = r * c / np.maximum(r.mean(-2, keepdims=True), eps)
        u = g / np.sqrt(np.maximum(v, eps**2))
        size = max(1e-3, np.sqrt((p**2).mean())) * min(rate, t**-0.5)
        u = u / max(1.0, np.sqrt((u**2).mean()))
        return p * (1 - rate * decay) - size * u

    return rule


def muon(rate: float, momentum: float = 0.95, decay: float = 0.0) -> Rule:
    """Jordan et al. 2024: Nesterov momentum, five Newton-Schulz iterations."""

    def rule(p: Array, g: Array, t: int, state: dict[str, Any]) -> Array:
        v = momentum * state.get("v", np.zeros_like(p)) + (1 - momentum) * g
        state["v"] = v
        x = momentum * v + (1 - momentum) * g
        x = x / max(np.linalg.norm(x), 1e-7)
        for _ in range(5):
            a = x @ x.T
            x = 3.4445 * x + (-4.775 * a + 2.0315 * a @ a) @ x
        rows, columns = p.shape
        return p - rate * (max(1.0, rows / columns) ** 0.5 * x + decay * p)

    return rule


def schedule_free_sgd(rate: float, beta: float) -> Rule:
    """Defazio et al. 2024, with the parameter at y and weights rate^2."""

    def rule(p: Array, g: Array, t: int, state: dict[str, Any]) -> Array:
        z, x = state.get("z", p), state.get("x", p)
        z = z - rate * g
        x = (1 - 1 / t) * x + z / t
        state.update(z=z, x=x)
        return (1 - beta) * z + beta * x

    return rule


def adagrad_then_momentum(rate: float, decay: float) -> Rule:
    """The moves of Adagrad, accumulated."""

    def rule(p: Array, g: Array, t: int, state: dict[str, Any]) -> Array:
        a = state.get("a", 0.0) + g**2
        v = decay * state.get("v", 0.0) + rate * g / (np.sqrt(a) + 1e-10)
        state.update(a=a, v=v)
        return p - v

    return rule


def clipped(rule: Rule, limit: float) -> Rule:
    """A rule that gets gradients of a bounded norm."""

    def new(p: Array, g: Array, t: int, state: dict[str, Any]) -> Array:
        return rule(p, g * limit / max(limit, float(np.linalg.norm(g))), t, state)

    return new


def penalised(rule: Rule, decay: float) -> Rule:
    """A rule that gets the gradient of a quadratic penalty too."""

    def new(p: Array, g: Array, t: int, state: dict[str, Any]) -> Array:
        return rule(p, g + decay * p, t, state)

    return new
