"""Gradients written by hand on a board, beside those of the graph: they are the same numbers.

    python examples/board_formulas.py

The networks are small enough to differentiate by hand: one sigmoid neuron, a 3-2-1 network of
sigmoids, a hidden layer with squared loss. A chain of linear layers is one linear layer, and a deep
one grows or shrinks what goes through it by its weight to the power of its depth.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from common import parser, show

import graphc as gx

Formulas = dict[str, tuple[Any, Any]]  # by name: what the graph's gradient is, what the board says


def some(name: str, *shape: int) -> gx.Parameter:
    """Weights that are no special ones."""
    return gx.parameter(name, shape, gx.init.normal(std=1.0))


def neuron(x: gx.Tensor, y: gx.Tensor) -> Formulas:
    """Logistic regression, a = s(w x + b) with cross-entropy: dw = (a - y) x^T."""
    w, b = some("w", 3), some("b")
    z = x @ w + b
    dw, db = gx.grad(gx.nn.sigmoid_cross_entropy(z, y), [w, b])
    error = gx.sigmoid(z) - y
    return {"(a - y) x^T": (dw, error * x), "a - y": (db, error)}


def three_two_one(x: gx.Tensor, y: gx.Tensor) -> Formulas:
    """Sigmoids in layers of 3, 2 and 1, cross-entropy: the errors flow back from the last."""
    w1, w2, w3 = some("w1", 3, 3), some("w2", 2, 3), some("w3", 1, 2)
    a1 = gx.sigmoid(w1 @ x)
    a2 = gx.sigmoid(w2 @ a1)
    z3 = w3 @ a2
    dw1, dw2, dw3 = gx.grad(gx.sum(gx.nn.sigmoid_cross_entropy(z3, y[None])), [w1, w2, w3])
    d3 = gx.sigmoid(z3) - y
    d2 = (w3.T @ d3) * a2 * (1.0 - a2)
    d1 = (w2.T @ d2) * a1 * (1.0 - a1)
    return {
        "dW3 = (a3 - y) a2^T": (dw3, gx.outer(d3, a2)),
        "dW2 = W3^T (a3 - y) a2 (1 - a2) a1^T": (dw2, gx.outer(d2, a1)),
        "dW1 = W2^T d2 a1 (1 - a1) x^T": (dw1, gx.outer(d1, x)),
    }


def hidden_layer(x: gx.Tensor, t: gx.Tensor) -> Formulas:
    """y = V s(W x + b) + c with the loss |y - t|^2 / 2."""
    w, b = some("W", 4, 3), some("hidden_b", 4)
    v, c = some("V", 2, 4), some("c", 2)
    a = gx.sigmoid(w @ x + b)
    y = v @ a + c
    dw, db, dv, dc = gx.grad(0.5 * gx.sum((y - t) ** 2), [w, b, v, c])
    last = y - t
    first = (v.T @ last) * a * (1.0 - a)
    return {
        "dV = l2 a^T": (dv, gx.outer(last, a)),
        "dc = l2": (dc, last),
        "dW = l1 x^T": (dw, gx.outer(first, x)),
        "db = l1 = (V^T l2) a (1 - a)": (db, first),
    }


def linear_chain(x: gx.Tensor) -> Formulas:
    """Layers that do nothing but multiply: W3 W2 W1 x; and ten of 1.5 I or 0.5 I."""
    w1, w2, w3 = some("W1", 4, 3), some("W2", 5, 4), some("W3", 3, 5)
    found: Formulas = {"W3 (W2 (W1 x)) = (W3 W2 W1) x": (w3 @ (w2 @ (w1 @ x)), (w3 @ w2 @ w1) @ x)}
    for weight in (1.5, 0.5):
        deep = x
        for _ in range(10):
            deep = (weight * gx.eye(3)) @ deep
        found[f"ten layers of {weight} I: {weight}^10 x"] = (deep, weight**10 * x)
    return found


def main() -> None:
    """Compute both sides of every formula in one program."""
    options = parser(__doc__, epochs=1, data=None).parse_args()
    gx.seed(options.seed)
    rng = np.random.default_rng(options.seed)
    x, y, t = gx.input("x", (3,)), gx.input("y", ()), gx.input("t", (2,))
    all_of = neuron(x, y) | three_two_one(x, y) | hidden_layer(x, t) | linear_chain(x)
    both = gx.compile([x, y, t], all_of, threads=options.threads, name="board")
    worst = 0.0
    for name, (graph, board) in both(rng.normal(size=3), 1.0, rng.normal(size=2)).items():
        numbers = " ".join(f"{v:9.5f} {w:9.5f} " for v, w in zip(graph.flat[:3], board.flat[:3]))
        print(f"{name:37} {numbers}")
        worst = max(worst, float(np.abs(graph - board).max() / np.abs(board).max()))
    print(f"largest relative difference {worst:.1e}")
    show(both, options.out)


if __name__ == "__main__":
    main()
