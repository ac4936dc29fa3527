"""The difference of two graphs as text."""

import pytest

import graphc as gx
from graphc.errors import ArgumentError
from graphc.frontend.tensor import handle
from graphc.ir.graph import Graph
from graphc.ir.ops.leaf import Input


def network(batch="batch", width=16, dtype="float32", extra=False):
    gx.seed(0)
    x = gx.input("x", (batch, 8), dtype)
    w, b = gx.parameter("w", (8, width), dtype=dtype), gx.parameter("b", (width,), dtype=dtype)
    y = x @ w + b
    return gx.tanh(gx.nn.relu(y) if extra else y)


def test_same():
    assert gx.diff_graphs(network(), network()) == (
        "7 the same, 0 changed, 0 only in the first, 0 only in the second"
    )


def test_one_more():
    text = gx.diff_graphs(network(), network(extra=True))
    first, *rest = text.splitlines()
    assert first == "6 the same, 1 changed, 0 only in the first, 1 only in the second"
    assert rest[0] == "changed"
    assert "tanh" in rest[1]
    assert rest[1].endswith("other inputs")
    assert rest[2] == "only in the second"
    assert "relu" in rest[3]
    assert gx.diff_graphs(network(extra=True), network()).splitlines()[0] == (
        "6 the same, 1 changed, 1 only in the first, 0 only in the second"
    )


def test_changed_types_and_attributes():
    text = gx.diff_graphs(network(), network(width=32))
    assert "0 only in the first, 0 only in the second" in text
    assert "f32[8,16] -> f32[8,32]" in text
    assert "shape=(batch, 16) -> shape=(batch, 32)" in text
    kinds = gx.diff_graphs(network(), network(dtype="float64"))
    assert kinds.splitlines()[0].startswith("0 the same, 7 changed")
    assert "x  : f32[batch,8]" in kinds
    assert "f32[batch,8] -> f64[batch,8]" in kinds


def test_functions_and_updates():
    loss = network().mean()
    one = gx.optim.SGD(0.1).minimize(loss)
    again = network().mean()
    two = gx.optim.SGD(0.1).minimize(again)
    first = gx.diff_graphs(one, two).splitlines()[0]
    assert first.endswith("the same, 0 changed, 0 only in the first, 0 only in the second")
    assert "0 only in the first, 0 only in the second" not in gx.diff_graphs(one, loss)
    steps = [gx.compile(find(t), t) for t in (loss, again)]
    assert "0 changed, 0 only in the first, 0 only in the second" in gx.diff_graphs(*steps)


def find(tensor):
    """The inputs of a tensor."""
    nodes = Graph((), (("y", tensor.node),)).leaves(Input)
    return [handle(n) for n in nodes]


def test_numbers():
    x = gx.input("x", (3,))
    text = gx.diff_graphs(x * 2.0, x * 3.0)
    assert (
        text.splitlines()[0] == "2 the same, 1 changed, 0 only in the first, 0 only in the second"
    )
    assert "broadcast_to(2.0" in text
    assert text.endswith("2.0 -> 3.0")


def test_nothing_in_common():
    x, y = gx.input("x", (2,)), gx.input("y", (2,))
    text = gx.diff_graphs(gx.exp(x), gx.tanh(y))
    assert (
        text.splitlines()[0] == "0 the same, 0 changed, 2 only in the first, 2 only in the second"
    )


def test_what_is_no_graph():
    with pytest.raises(ArgumentError):
        gx.diff_graphs(network(), 3)


def test_large_graphs_are_compared_in_linear_time():
    def chain(count):
        x = gx.input("x", (2,))
        y = x
        for i in range(count):
            y = gx.tanh(y) if i % 2 else y * 2.0
        return y

    assert gx.diff_graphs(chain(10_000), chain(10_000)).split(" ")[0] == "15001"
