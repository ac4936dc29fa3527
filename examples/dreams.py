"""What a trained network looks for: pictures that excite a unit, made or found, and deep dreams.

    python examples/dreams.py --out DIR
    python examples/dreams.py --data DIR --epochs 20    # CIFAR-10, see cifar10.py

Once the network is trained its weights stay, and the gradient changes the picture: up for what
excites one unit most, down for what it likes least, up for all of a layer to dream (Mordvintsev,
Olah and Tyka 2015). The third way to know a unit is to search the data set for what excites it.
"""

from __future__ import annotations

from argparse import Namespace
from typing import Any

import numpy as np
from common import parser, show

import graphc as gx
from graphc import nn


class Eyes(nn.Layer):
    """Three convolutions and scores of ten classes; `features` are what it sees on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = [nn.Conv2D(f, 3, padding="same", activation="relu") for f in (16, 32, 48)]
        self.scores = nn.Dense(10)

    def features(self, x: gx.Tensor) -> list[gx.Tensor]:
        """Of pictures between -1 and 1."""
        seen = []
        for i, conv in enumerate(self.convs):
            x = conv(nn.avg_pool(x, 2) if i else x)
            seen.append(x)
        return seen

    def call(self, x: gx.Tensor) -> gx.Tensor:
        """Logits (batch, 10)."""
        return self.scores(nn.global_max_pool(self.features(x)[-1]))


def pictures(options: Namespace) -> Any:
    """((x, y) for training, (x, y) for testing) of CIFAR-10, or made up."""
    if options.data is not None:
        return gx.data.cifar10(options.data)
    made = gx.data.synthetic.cifar_like
    return made(options.count), made(options.count // 4, seed=1)


def trained(options: Namespace) -> tuple[Eyes, Any]:
    """A network that knows the classes, and the pictures of the test set from -1 to 1."""
    gx.seed(options.seed)
    training, (x_test, y_test) = pictures(options)
    x = gx.input("images", ("batch", 32, 32, 3), dtype="uint8")
    y = gx.input("labels", ("batch",), dtype="int32")
    eyes = Eyes()
    logits = eyes(x.astype("float32") / 127.5 - 1.0)
    loss = nn.softmax_cross_entropy(logits, y).mean()
    updates = gx.optim.Adam(3e-3).minimize(loss)
    step = gx.compile([x, y], {"loss": loss}, updates, threads=options.threads, name="eyes")
    gx.fit(step, training, options.epochs, options.batch_size, verbose=False)
    accuracy = gx.compile([x, y], nn.accuracy(logits, y), name="accuracy")(x_test, y_test)
    print(f"test accuracy {float(accuracy):.4f}")
    return eyes, x_test.astype("float32") / 127.5 - 1.0


class Climber:
    """A picture that changes by the gradient of what excites a network."""

    def __init__(self, eyes: Eyes, rate: float = 0.02) -> None:
        self.picture = gx.parameter("picture", (1, 32, 32, 3))
        number, way = gx.input("number", (), dtype="int32"), gx.input("way", ())
        seen = eyes.features(self.picture)
        one = way * gx.take(gx.max(seen[-1], axis=(0, 1, 2)), number)
        self.by_unit = self._step([number, way], one, rate, "unit")
        self.dream = self._step([], -gx.models.dream_loss(seen[1:]), rate, "dream")

    def _step(self, inputs: Any, goal: gx.Tensor, rate: float, name: str) -> gx.CompiledFunction:
        slope = gx.grad(goal, self.picture)
        after = self.picture + rate * slope / (gx.mean(abs(slope)) + 1e-8)
        return gx.compile(inputs, goal, {self.picture: gx.clip(after, -1.0, 1.0)}, name=name)

    def climb(self, step: gx.CompiledFunction, start: Any, steps: int, *given: Any) -> Any:
        """The picture after some steps, what excited at first, and what does at last."""
        self.picture.value = start
        scores = [float(step(*given)) for _ in range(steps)]
        return self.picture.value, scores[0], scores[-1]


def main() -> None:
    """Look at some units in three ways, and dream."""
    options = parser(__doc__, epochs=8)
    options.add_argument("--count", type=int, default=1500, help="made-up pictures")
    options.add_argument("--units", type=int, default=8, help="how many are looked at")
    options.add_argument("--steps", type=int, default=40, help="of each climb")
    chosen = options.parse_args()
    eyes, test = trained(chosen)
    x = gx.input("x", ("batch", 32, 32, 3))
    every = gx.compile([x], gx.max(eyes.features(x)[-1], axis=(1, 2)), name="search")
    found = every(test)
    liveliest = np.argsort(-found.std(axis=0))[: chosen.units]
    noise = np.random.default_rng(chosen.seed).normal(size=(1, 32, 32, 3)) * 0.1
    climber = Climber(eyes)
    most, least, best = [], [], []
    for unit in liveliest:
        up = climber.climb(climber.by_unit, noise, chosen.steps, unit, 1.0)
        down = climber.climb(climber.by_unit, test[:1], chosen.steps, unit, -1.0)
        most.append(up[0])
        least.append(down[0])
        best.append(test[found[:, unit].argmax()][None])
        print(
            f"unit {unit}: made {up[2]:.2f}, from noise of {up[1]:.2f};"
            f" the best of the data set {found[:, unit].max():.2f}; down to {-down[2]:.2f}"
        )
    dream, first, last = climber.climb(climber.dream, test[:1], chosen.steps)
    print(f"a dream excites {last / first:.2f} times as much as the picture did")
    rows = np.concatenate([*most, *best, *least])
    pair = np.concatenate([test[:1], dream])
    show(every, chosen.out, units=lambda: gx.plot.images(rows, columns=chosen.units), dream=pair)


if __name__ == "__main__":
    main()
