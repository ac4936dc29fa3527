"""A loss before and after its inputs are standardised: a valley, and nearly a bowl.

    python examples/standardise.py --out pictures

A line is fitted to two columns of very different scale, by gradient descent at the best rate that
each surface stands. `--out` draws both surfaces as contours, around their minima.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from common import parser, show

import graphc as gx


def surface(x: Any, y: Any) -> gx.CompiledFunction:
    """The loss at points (n, 2)."""
    w = gx.input("w", ("points", 2))
    errors = w @ gx.constant(x.T.astype("float32")) - gx.constant(y.astype("float32"))
    return gx.compile([w], 0.5 * (errors**2).mean(axis=1), name="surface")


def descent(x: Any, y: Any, steps: int, threads: int | None) -> gx.CompiledFunction:
    """A step of gradient descent; its input is a row of nothing for each step of an epoch."""
    count = gx.input("count", ("steps",))
    w = gx.parameter("w", value=np.zeros(2))
    loss = 0.5 * gx.nn.mse(gx.constant(x) @ w, y).mean()
    rate = 1.0 / np.linalg.eigvalsh(x.T @ x / len(x)).max()
    updates = gx.optim.SGD(float(rate)).minimize(loss)
    return gx.compile([count], loss, updates, threads=threads, name="descent")


def main() -> None:
    """Count steps, and draw."""
    options = parser(__doc__, epochs=3000, data=None).parse_args()
    rng = np.random.default_rng(options.seed)
    raw = rng.normal(size=(200, 2)) * [1.0, 20.0] + [2.0, 30.0]
    noise = 0.3 * rng.normal(size=200)
    figures = {}
    for name, x in (("raw", raw), ("standardised", (raw - raw.mean(0)) / raw.std(0))):
        y = x @ (1.0 / x.std(0)) + noise
        best = np.linalg.lstsq(x, y, rcond=None)[0]
        least = 0.5 * ((x @ best - y) ** 2).mean()
        step = descent(x, y, options.epochs, options.threads)
        losses = step.run_epoch([np.zeros(options.epochs, "float32")], batch_size=1)
        taken = int((losses > 1.01 * least).sum())
        values = np.linalg.eigvalsh(x.T @ x)
        print(f"{name}: {values[1] / values[0]:.0f} times as steep across as along")
        print(f"steps of {name}: {taken}")
        bounds = tuple((b - 2.0, b + 2.0) for b in best)
        figures[name] = partial(gx.plot.contours, surface(x, y), bounds)
    show(step, options.out, **figures)


if __name__ == "__main__":
    main()
