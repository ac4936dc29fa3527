"""A map of the digits: t-SNE (van der Maaten and Hinton 2008), written as a graph.

    python examples/tsne.py

Affinities, the bisection that fits them to a perplexity, the loss, its gradient and the steps are
graphs: what the formulas say, and `minimize`. The map keeps neighbours together, which the
first two principal components do not.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from common import parser, show

import graphc as gx


def distances(x: gx.Tensor) -> gx.Tensor:
    """Squared distances between all rows (n, n)."""
    squares = gx.sum(x * x, axis=1)
    products = x @ gx.matrix_transpose(x)
    return gx.maximum(squares[:, None] + squares - 2.0 * products, 0.0)


def others(n: int) -> gx.Tensor:
    """Where a row meets another row."""
    return gx.arange(n)[:, None] != gx.arange(n)


def affinities(x: gx.Tensor, perplexity: float) -> gx.Tensor:
    """p(j | i) with a width for each row that gives it the perplexity, by bisection."""
    n = int(x.shape[0])
    d = distances(x) / gx.mean(distances(x))

    def given(width: gx.Tensor) -> tuple[gx.Tensor, gx.Tensor]:
        p = gx.nn.softmax(gx.where(others(n), -d * gx.exp(width)[:, None], -1e30))
        entropy = -gx.sum(gx.where(p > 0.0, p * gx.log(gx.where(p > 0.0, p, 1.0)), 0.0), axis=1)
        return p, entropy

    def halve(ends: Any, _: None) -> tuple[Any, None]:
        low, high = ends
        middle = (low + high) / 2.0
        wide = given(middle)[1] > math.log(perplexity)
        return (gx.where(wide, middle, low), gx.where(wide, high, middle)), None

    (low, high), _ = gx.scan(halve, (gx.full((n,), -10.0), gx.full((n,), 15.0)), length=40)
    return given((low + high) / 2.0)[0]


def divergence(p: gx.Tensor, y: gx.Tensor, factor: Any = 1.0) -> gx.Tensor:
    """KL(factor * p, q) but for a constant, of joint affinities p and those of the map y (n, 2)."""
    near = gx.where(others(int(y.shape[0])), 1.0 / (1.0 + distances(y)), 0.0)
    log_q = gx.log(gx.maximum(near / gx.sum(near), 1e-30))
    return gx.sum(gx.where(p > 0.0, factor * p * (gx.log(gx.maximum(p, 1e-30)) - log_q), 0.0))


def tsne(
    rows: Any, perplexity: float = 20.0, steps: int = 300, seed: int = 0
) -> tuple[Any, gx.CompiledFunction]:
    """A map (n, 2) of rows (n, features), and the step that made it."""
    n = len(rows)
    x, factor = gx.input("x", rows.shape), gx.input("factor", ())
    one_way = affinities(x, perplexity)
    joint = gx.compile([x], (one_way + gx.matrix_transpose(one_way)) / (2.0 * n))(rows)
    start = np.random.default_rng(seed).normal(size=(n, 2)) * 1e-4
    y = gx.parameter("map", value=start.astype("float32"))
    p = gx.input("p", (n, n))
    loss = divergence(p, y, factor)
    step = gx.compile([p, factor], loss, gx.optim.SGD(n / 12, momentum=0.8).minimize(loss))
    for i in range(steps):
        step(joint, np.float32(12.0 if i < steps // 3 else 1.0))
    return y.value, step


def same_neighbours(points: Any, labels: Any) -> float:
    """How often the nearest point has the same label."""
    d = ((points[:, None] - points) ** 2).sum(axis=-1)
    np.fill_diagonal(d, np.inf)
    return float((labels[d.argmin(axis=1)] == labels).mean())


def main() -> None:
    """Map some digits."""
    options = parser(__doc__, epochs=300, data=None).parse_args()
    (digits, labels), _ = gx.data.digits()
    digits, labels = digits[:400], labels[:400]
    centred = digits - digits.mean(axis=0)
    flat = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
    mapped, step = tsne(digits, steps=options.epochs, seed=options.seed)
    print(f"neighbours of one label: {same_neighbours(mapped, labels):.3f} in the map,")
    print(f"{same_neighbours(flat, labels):.3f} in the first two principal components")
    show(step, options.out, map=lambda: gx.plot.embedding(mapped, labels))


if __name__ == "__main__":
    main()
