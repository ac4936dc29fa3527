"""Small steps of each kind, for tests of whole launch plans."""

from __future__ import annotations

import graphc as gx
from graphc_cuda.launch import LaunchPlan
from graphc_cuda.plan_launches import plan_launches

SGD = gx.optim.SGD(0.1)


def dense() -> gx.CompiledFunction:
    """Two layers, Adam."""
    x, labels = gx.input("x", (8, 16)), gx.input("labels", (8,), dtype="int32")
    logits = gx.nn.Dense(4)(gx.nn.Dense(8, activation="relu")(x))
    loss = gx.nn.softmax_cross_entropy(logits, labels).mean()
    return gx.compile([x, labels], {"loss": loss}, updates=gx.optim.Adam(1e-3).minimize(loss))


def embedding() -> gx.CompiledFunction:
    """Rows of a table: a check of indices, sparse updates."""
    i = gx.input("i", (32,), dtype="int32")
    rows = gx.nn.Embedding(100, 16)(i)
    loss = (rows * rows).mean()
    return gx.compile([i], {"loss": loss}, updates=SGD.minimize(loss))


def convolution() -> gx.CompiledFunction:
    """A convolution and both its gradients."""
    x = gx.input("x", (2, 6, 6, 3))
    y = gx.nn.Conv2D(4, 3, activation="relu")(x)
    loss = (y * y).mean()
    return gx.compile([x], {"loss": loss}, updates=SGD.minimize(loss))


def recurrent() -> gx.CompiledFunction:
    """A loop over time, and the loop back."""
    x = gx.input("x", (2, 5, 3))
    loss = gx.nn.LSTM(4)(x).mean()
    return gx.compile([x], {"loss": loss}, updates=SGD.minimize(loss))


def until() -> gx.CompiledFunction:
    """A loop of which only the device knows when it ends."""
    x = gx.input("x", (8,))
    out = gx.while_loop(lambda v: v.sum() < 100.0, lambda v: v * 2.0, x, max_steps=6)
    return gx.compile([x], [out])


NETWORKS = {f.__name__: f for f in (dense, embedding, convolution, recurrent, until)}


def plan_for(name: str) -> LaunchPlan:
    """The launches of one of them."""
    return plan_launches(NETWORKS[name]().program, {})
