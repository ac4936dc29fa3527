"""One number out: a cat or none (one sigmoid neuron), the price of a house, the reward of a move.

    python examples/regressors.py
    python examples/regressors.py --data DIR

DIR may hold a folder `cats` with a folder of pictures for each of two classes, and `houses.csv`
with a column `price`. A price is never negative, so the last layer is a rectifier; a reward is
between -1 and 1, so it is a tanh; the probability of a cat is a sigmoid of one weighted sum.
"""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
from common import parser, show

import graphc as gx
from graphc import nn


def cats(directory: Path | None) -> tuple[Any, Any]:
    """Pictures as rows of red, green and blue from 0 to 1, and 1 where there is a cat."""
    if directory is not None and (directory / "cats").is_dir():
        x, y, _ = gx.data.image_folder(directory / "cats", size=(32, 32))
    else:
        x, y = gx.data.synthetic.cats(1200)
    return x.reshape(len(x), -1) / np.float32(255.0), y


def neuron(options: Namespace) -> gx.CompiledFunction:
    """a = s(w x + b), by gradient descent; its gradient is (a - y) x^T, averaged."""
    training, (x_test, y_test) = gx.data.split(*cats(options.data))
    x = gx.input("x", ("batch", training[0].shape[1]))
    y = gx.input("y", ("batch",), dtype="int32")
    w, b = gx.parameter("w", (x.shape[1],)), gx.parameter("b", ())
    z, t = x @ w + b, y.astype("float32")
    loss = nn.sigmoid_cross_entropy(z, t).mean()
    by_hand = (gx.sigmoid(z) - t) @ x / t.shape[0]
    both = gx.compile([x, y], [gx.grad(loss, w), by_hand], name="both")
    step = gx.compile(
        [x, y], {"loss": loss}, gx.optim.SGD(0.02, momentum=0.9).minimize(loss),
        threads=options.threads, name="neuron",
    )  # fmt: skip
    gx.fit(step, training, options.epochs, options.batch_size, verbose=False)
    graph, board = both(*training)
    print(f"(a - y) x^T differs by at most {np.abs(graph - board).max():.1e}")
    answers = gx.compile([x], gx.sigmoid(z), name="cat")(x_test) > 0.5
    print(f"cats: test accuracy {(answers == (y_test == 1)).mean():.4f}")
    return step


def houses(directory: Path | None) -> tuple[Any, Any]:
    """What is known of houses (n, features), and their prices (n, 1)."""
    table = gx.data.synthetic.houses(800)
    if directory is not None and (directory / "houses.csv").exists():
        table = gx.data.csv(directory / "houses.csv")
    known = [name for name in table.columns if name != "price"]
    return table.matrix(*known), table.matrix("price")


def rewards(count: int = 1000, seed: int = 0) -> tuple[Any, Any]:
    """Where a player and a ball are and how fast it goes; how good that is, from -1 to 1."""
    x = np.random.default_rng(seed).uniform(-1.0, 1.0, (count, 3)).astype("float32")
    return x, np.tanh(2.0 - 6.0 * abs(x[:, 0] - np.tanh(x[:, 1] + x[:, 2])))[:, None]


def regressor(x: Any, y: Any, last: str, options: Namespace) -> float:
    """Train a network with one number out; the share of the variance that it explains."""
    training, (x_test, y_test) = gx.data.split(x, y)
    scale = nn.Standardize()
    scale.adapt(training[0])
    ending = nn.Dense(1, last, bias_init=gx.init.constant(float(last == "relu")))
    net = nn.Sequential([scale, nn.Dense(32, "relu"), nn.Dense(32, "relu"), ending])
    net.compile(gx.optim.Adam(5e-3), loss="mse")
    net.fit(*training, options.epochs, options.batch_size, verbose=False, seed=options.seed)
    error = net.predict(x_test) - y_test
    assert last != "relu" or (net.predict(x_test) >= 0.0).all()
    return float(1.0 - (error**2).mean() / y_test.var())


def main() -> None:
    """Train all three, and print how good they are."""
    options = parser(__doc__, epochs=60, batch_size=32).parse_args()
    gx.seed(options.seed)
    step = neuron(options)
    x, prices = houses(options.data)
    share = regressor(x, prices / prices.mean(), "relu", options)
    print(f"prices: share of the variance explained {share:.4f}")
    share = regressor(*rewards(), "tanh", options)
    print(f"rewards: share of the variance explained {share:.4f}")
    image = next(p for name, p in step.parameters.items() if name == "w").value
    show(step, options.out, weights=image.reshape(1, 32, 32, 3))


if __name__ == "__main__":
    main()
