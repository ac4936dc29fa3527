"""Small models whose nodes have origins in a file of their own."""

from __future__ import annotations

from contextlib import contextmanager

import graphc as gx
from graphc import origin as origins
from graphc.compiler.options import Options
from graphc.compiler.pipeline import compile_graph
from graphc.ir import naming
from graphc.ir.graph import Graph
from graphc.origin import Origin


@contextmanager
def line(number, filename="model.py"):
    with origins.inherit(Origin(filename, number)):
        yield


def scaled_sum():
    """total = sum(x * w * 0.5), with w moved along its gradient."""
    batch = gx.dim("batch", max=64)
    with line(1):
        x = gx.input("x", (batch, 3))
    with line(2):
        w = gx.parameter("w", (3,), init=gx.init.ones())
    with line(3):
        y = x * w
    with line(4):
        total = (y * 0.5).sum()
    with line(5):
        (dw,) = gx.grad(total, [w])
    with line(6), origins.inherit(step_part=origins.UPDATE):
        new = w - dw
    return Graph((x.node,), (("total", total.node),), ((w.node, new.node),), "step")


def classifier(batch="batch"):
    """A dense layer with relu, one without, cross-entropy, gradient descent."""
    naming.restart()
    x, t = gx.input("x", (batch, 20)), gx.input("t", (batch,), dtype="int32")
    w1, b1 = gx.parameter("hidden/kernel", (20, 16)), gx.parameter("hidden/bias", (16,))
    w2, b2 = gx.parameter("out/kernel", (16, 4)), gx.parameter("out/bias", (4,))
    hidden = gx.nn.relu(x @ w1 + b1)
    loss = gx.nn.softmax_cross_entropy(hidden @ w2 + b2, t).mean()
    updates = gx.optim.SGD(0.1).minimize(loss)
    pairs = tuple((p.node, new.node) for p, new in updates.items())
    return Graph((x.node, t.node), (("loss", loss.node),), pairs, "train")


def program(graph):
    return compile_graph(graph, Options(mode="train"))
