"""Where are head, hands and feet: a heat map for every joint, and its centre of gravity.

    python examples/pose.py --out DIR

A convolutional network gives each joint a map of scores; the softmax of a map is where the joint
may be, and the mean place under it is differentiable, so that the loss is a distance in pixels (Sun
et al. 2018). The figures are made up, of sticks.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from common import parser, show

import graphc as gx
from graphc import nn

SIZE = 32
JOINTS = ("head", "left hand", "right hand", "left foot", "right foot")


def figures(count: int, seed: int) -> tuple[Any, Any]:
    """Pictures (n, 32, 32) and places (n, 5, 2), rows and columns in pixels."""
    rng = np.random.default_rng(seed)
    middle = rng.uniform(13.0, 19.0, (count, 1, 2))
    shoulder, hip = middle - np.array([4.0, 0.0]), middle + np.array([4.0, 0.0])
    head = middle + np.stack([np.full(count, -9.0), rng.uniform(-3, 3, count)], 1)[:, None]
    turn = rng.uniform([-0.9, 2.2, 0.2, 1.7], [0.9, 4.1, 1.4, 2.9], (count, 4))
    arms = shoulder + 8.0 * np.stack([np.sin(turn), np.cos(turn)], -1)[:, :2]
    legs = hip + 8.0 * np.stack([np.sin(turn), np.cos(turn)], -1)[:, 2:]
    places = np.concatenate([head, arms, legs], axis=1)
    ends = [(shoulder, hip), (shoulder, head), *((shoulder, arms[:, i : i + 1]) for i in (0, 1))]
    ends += [(hip, legs[:, i : i + 1]) for i in (0, 1)]
    grid = np.stack(np.mgrid[:SIZE, :SIZE], -1).reshape(1, -1, 2)
    ink = np.zeros((count, SIZE * SIZE))
    for a, b in ends:
        along = ((grid - a) * (b - a)).sum(-1) / ((b - a) ** 2).sum(-1)
        near = a + np.clip(along, 0.0, 1.0)[..., None] * (b - a)
        ink = np.maximum(ink, np.exp(-((grid - near) ** 2).sum(-1)))
    ink = np.maximum(ink, np.exp(-((((grid - head) ** 2).sum(-1) / 6.0) ** 2)))
    noisy = ink.reshape(count, SIZE, SIZE) + rng.normal(0.0, 0.15, (count, SIZE, SIZE))
    return noisy.astype("float32"), places.astype("float32")


def places(x: gx.Tensor) -> gx.Tensor:
    """(batch, 32, 32, 1) -> the mean place of each joint under its map, (batch, 5, 2)."""
    for filters, step in ((16, 2), (32, 1), (32, 1)):
        x = nn.relu(nn.BatchNorm()(nn.Conv2D(filters, 5, step, "same", use_bias=False)(x)))
    half = SIZE // 2
    maps = gx.reshape(nn.Conv2D(len(JOINTS), 1)(x), (-1, half * half, len(JOINTS)))
    shares = nn.softmax(maps, axis=1)
    grid = np.stack(np.mgrid[:half, :half], -1).reshape(-1, 2) * 2.0 + 0.5
    return gx.einsum("npj,pc->njc", shares, gx.constant(grid.astype("float32")))


def main() -> None:
    """Train, and measure how far off each joint is."""
    options = parser(__doc__, epochs=12, data=None)
    options.add_argument("--count", type=int, default=1200)
    chosen = options.parse_args()
    gx.seed(chosen.seed)
    (x_train, y_train), (x_test, y_test) = figures(chosen.count, 0), figures(200, 1)
    x, y = gx.input("x", ("batch", SIZE, SIZE)), gx.input("y", ("batch", len(JOINTS), 2))
    found = places(x[..., None])
    loss = nn.huber(found, y).mean()
    updates = gx.optim.Adam(5e-3).minimize(loss)
    step = gx.compile([x, y], {"loss": loss}, updates, threads=chosen.threads, name="pose")
    gx.fit(step, [x_train, y_train], chosen.epochs, chosen.batch_size, verbose=False)
    answer = gx.compile([x], found, name="answer")(x_test)
    off = np.sqrt(((answer - y_test) ** 2).sum(axis=-1)).mean(axis=0)
    blind = np.sqrt(((y_train.mean(axis=0) - y_test) ** 2).sum(axis=-1)).mean()
    for joint, distance in zip(JOINTS, off):
        print(f"{joint}: {distance:.2f} pixels off")
    print(f"joints that are always where they are on average: off by {blind:.4f} pixels")
    print(f"joints found: off by {off.mean():.4f} pixels")
    shown = np.repeat(np.clip(x_test[:16, ..., None], 0.0, 1.0), 3, axis=-1)
    for picture, joints in zip(shown, np.clip(answer[:16].round().astype(int), 0, SIZE - 1)):
        picture[joints[:, 0], joints[:, 1]] = (1.0, 0.1, 0.1)
    show(step, chosen.out, joints=partial(gx.plot.images, shown, columns=8))


if __name__ == "__main__":
    main()
