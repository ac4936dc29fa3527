"""Diffusion in the plane: learn to take noise away, then make points out of noise alone.

    python examples/diffusion.py --kind circle --out DIR

Points get noise in steps until nothing is left of them; a network learns to tell which noise was
added, given the step; taking it away step by step makes new points from normal numbers (Ho, Jain
and Abbeel 2020). Noise and step are drawn inside the training step, and drawing all new points is
one loop in one program.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
from common import parser, show

import graphc as gx
from graphc import nn

STEPS, POINTS = 100, 4000


def kept() -> Any:
    """The share of the variance that is still the point's after each step (Nichol 2021)."""
    angle = (np.arange(STEPS + 1) / STEPS + 0.008) / 1.008 * math.pi / 2.0
    left = np.cos(angle) ** 2
    return np.clip(left[1:] / left[0], 1e-4, 0.9999).astype("float32")


@nn.layer
def noise_in(x: gx.Tensor, t: gx.Tensor) -> gx.Tensor:
    """The noise in points (n, 2) after steps (n,), (n, 2)."""
    rates = gx.constant(2.0 ** np.arange(8, dtype="float32")) * (math.pi / STEPS)
    angles = t.astype("float32")[:, None] * rates
    waves = [f(x * (math.pi * i)) for i in (1.0, 2.0) for f in (gx.sin, gx.cos)]
    h = gx.concat([x, *waves, gx.sin(angles), gx.cos(angles)], axis=1)
    for _ in range(3):
        h = nn.Dense(128, "silu")(h)
    return nn.Dense(2)(h)


def learner(options: Any) -> gx.CompiledFunction:
    """One step of training on points (n, 2)."""
    x = gx.input("x", ("batch", 2))
    t = gx.random.randint((x.shape[0],), 0, STEPS, name="t")
    noise = gx.random.normal(x.shape, name="noise")
    left = gx.take(gx.constant(kept()), t)[:, None]
    found = noise_in(gx.sqrt(left) * x + gx.sqrt(1.0 - left) * noise, t)
    loss = nn.mse(found, noise).mean()
    rate = gx.schedules.cosine(3e-3, options.epochs * -(-POINTS // options.batch_size))
    updates = gx.optim.Adam(rate).minimize(loss)
    return gx.compile([x], {"loss": loss}, updates, threads=options.threads, name="diffusion")


def sampler(count: int) -> gx.CompiledFunction:
    """New points (count, 2), and the way there (steps, count, 2)."""
    left = kept()
    before = np.concatenate([[1.0], left[:-1]]).astype("float32")
    alpha = left / before
    spread = np.sqrt((1.0 - before) / (1.0 - left) * (1.0 - alpha)).astype("float32")
    rows = np.stack([1.0 / np.sqrt(alpha), (1.0 - alpha) / np.sqrt(1.0 - left), spread], axis=1)
    times = np.arange(STEPS, dtype="int32")[::-1].copy()

    def back(x: gx.Tensor, now: Any) -> Any:
        t, row = now
        eps = noise_in(x, gx.broadcast_to(t, (count,)))
        x = row[0] * (x - row[1] * eps) + row[2] * gx.random.normal((count, 2), name="back")
        return x, x

    start = gx.random.normal((count, 2), name="start")
    ending, way = gx.scan(back, start, (gx.constant(times), gx.constant(rows[::-1].copy())))
    return gx.compile([], [ending, way], name="sampler")


def main() -> None:
    """Train, draw, and measure how far new points lie from the shape."""
    options = parser(__doc__, epochs=200, batch_size=256, data=None)
    options.add_argument("--kind", choices=["spiral", "circle", "xor", "gauss"], default="circle")
    chosen = options.parse_args()
    gx.seed(chosen.seed)
    points = 2.0 * gx.data.synthetic.playground(chosen.kind, POINTS, noise=0.01)[0]
    step = learner(chosen)
    history = gx.fit(step, [points], chosen.epochs, chosen.batch_size, verbose=False)
    print(f"squared error of the noise {history.last('loss'):.4f}")
    drawn, way = sampler(1000)()
    far = {}
    for name, some in (("noise", way[0]), ("new points", drawn)):
        far[name] = np.sqrt(((some[:, None] - points) ** 2).sum(axis=-1).min(axis=1)).mean()
        print(f"distance from {name} to the shape {far[name]:.4f}")
    back = np.sqrt(((points[:500, None] - drawn) ** 2).sum(axis=-1).min(axis=1)).mean()
    print(f"distance from the shape to new points {back:.4f}")
    plots = {"drawn": drawn, "noise": way[0], "points": points}
    show(step, chosen.out, **{n: partial(gx.plot.embedding, p) for n, p in plots.items()})


if __name__ == "__main__":
    main()
