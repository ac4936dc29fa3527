"""L-BFGS against Adam: a small network, all samples at once, nothing drawn at random; then noise.

    python examples/full_batch.py

L-BFGS (Nocedal and Wright 2006, 7.2) builds a picture of the curvature from successive gradients.
On a deterministic loss that wins by orders of magnitude per evaluation. On minibatches the
gradients come from different functions, and the advantage is gone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from common import parser, show

import graphc as gx
from graphc import optim

UNITS, WAVES = 12, 4.0


def curve(count: int, seed: int) -> tuple[Any, Any]:
    """Points of a damped wave."""
    x = np.random.default_rng(seed).uniform(-2.0, 2.0, (count, 1))
    return x.astype("float32"), (np.sin(WAVES * x) * np.exp(-x * x / 2.0)).astype("float32")


def build(optimiser: optim.Optimizer, seed: int) -> gx.CompiledFunction:
    """The training step of a network with one hidden layer."""
    gx.seed(seed)
    x, t = gx.input("x", ("batch", 1)), gx.input("t", ("batch", 1))
    h = gx.nn.Dense(UNITS, "tanh", kernel_init=gx.init.normal(std=2.0))(x)
    loss = gx.nn.mse(gx.nn.Dense(1)(h), t).mean()
    return gx.compile([x, t], loss, optimiser.minimize(loss), name="step", threads=1)


def whole(step: gx.CompiledFunction, x: Any, t: Any, evaluations: int) -> list[float]:
    """The losses of a run on all samples, as evaluations of loss and gradient allow."""
    return [float(step(x, t)) for _ in range(evaluations)]


def noisy(step: gx.CompiledFunction, x: Any, t: Any, calls: int, size: int = 16) -> None:
    """A run on minibatches."""
    rng = np.random.default_rng(0)
    for _ in range(calls):
        rows = rng.integers(0, len(x), size)
        step(x[rows], t[rows])


def main() -> None:
    """Run both ways, and print the losses over all samples."""
    chosen = parser(__doc__, epochs=200, data=None).parse_args()
    x, t = curve(200, chosen.seed)
    # A step of L-BFGS evaluates the loss once or twice: Adam gets twice as many steps.
    runs = {
        "L-BFGS": (optim.LBFGS, 1),
        "Adam, 0.003": (lambda: optim.Adam(0.003), 2),
        "Adam, 0.01": (lambda: optim.Adam(0.01), 2),
        "Adam, 0.03": (lambda: optim.Adam(0.03), 2),
    }
    print(f"{'':<14}{'all samples':>14}{'minibatches of 16':>20}")
    for name, (make, share) in runs.items():
        calls = share * chosen.epochs
        step = build(make(), chosen.seed)
        loss = whole(step, x, t, calls)[-1]
        with_noise = build(make(), chosen.seed)
        noisy(with_noise, x, t, calls)
        print(f"{name:<14}{loss:>14.2e}{float(with_noise(x, t)):>20.2e}")
    show(step, chosen.out)


if __name__ == "__main__":
    main()
