"""Gradients written as products of shapes."""

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, GradientError
from tests.inspect.programs import line


def test_a_layer():
    with line(1):
        x = gx.input("x", ("batch", 3))
    with line(2):
        w, b = gx.parameter("w", (3, 2)), gx.parameter("b", (2,))
    with line(3):
        y = gx.tanh(x @ w + b)
    assert gx.explain_grad((y * y).sum()).splitlines() == [
        "d w  f32[3,2] = dot(x, d add, ab,ac->bc)",
        f"    x      f32[batch,3]  {x.node.origin}",
        f"    d add  f32[batch,2]  {y.node.origin}",
        "d b  f32[2] = sum(d add, axes=(0,))",
        f"    d add  f32[batch,2]  {y.node.origin}",
    ]
    inside = gx.explain_grad((y * y).sum(), x)
    assert inside.startswith("d x  f32[batch,3] = dot(d add, w, ac,bc->ab)")


def test_every_use_is_a_term():
    a, b = gx.input("a", (3,)), gx.input("b", (3,))
    first, _, second, *_ = gx.explain_grad(((a * b) + b).sum(), [b]).splitlines()
    assert first == "d b  f32[3] = d add"
    assert second == "            + multiply(d add, a)"


def test_shapes_are_those_of_the_gradient():
    """Every operand's shape is that of an array with its values."""
    x, w = gx.input("x", (5, 3)), gx.parameter("w", (3, 2))
    loss = (gx.exp(x @ w) ** 2).sum()
    text = gx.explain_grad(loss)
    assert text.startswith(f"d w  {gx.grad(loss, w).type} = ")
    assert gx.grad(loss, w).eval({x: np.ones((5, 3), "float32")}).shape == (3, 2)


def test_a_gradient_of_nothing():
    x, w = gx.input("x", (2,)), gx.parameter("w", (2,))
    assert gx.explain_grad(x.sum(), w).startswith("d w  f32[2] = ")
    with pytest.raises(ArgumentError, match="reaches no trainable parameter"):
        gx.explain_grad(x.sum())
    with pytest.raises(ArgumentError, match="loss must be a tensor, got 1"):
        gx.explain_grad(1.0)
    with pytest.raises(ArgumentError, match="wrt must be tensors, got 3"):
        gx.explain_grad(w.sum(), [3])
    with pytest.raises(GradientError, match="scalar"):
        gx.explain_grad(w * 1.0)
