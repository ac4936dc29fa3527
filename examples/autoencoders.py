"""Squeeze digits through a few numbers and back: an autoencoder, and a variational one.

    python examples/autoencoders.py --out DIR
    python examples/autoencoders.py --data DIR --epochs 20 --units 400    # MNIST's four files

The autoencoder only has to give back what it got. The variational one (Kingma and Welling 2014)
also keeps its codes near a normal distribution, so what it decodes from normal numbers looks like
digits.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from common import parser, show

import graphc as gx
from graphc import nn


def pictures(directory: Path | None) -> tuple[Any, Any]:
    """Pictures for training and for testing as rows of values from 0 to 1."""
    if directory is None:
        (x, _), (x_test, _) = gx.data.digits()
        return x / x.max(), x_test / x.max()
    (x, _), (x_test, _) = gx.data.mnist(directory)
    flat = [(part.reshape(len(part), -1) / np.float32(255.0)) for part in (x, x_test)]
    return flat[0], flat[1]


def principal(x: Any, x_test: Any, count: int) -> float:
    """The mean squared error of as many principal components: the best linear autoencoder."""
    mean = x.mean(axis=0)
    directions = np.linalg.svd(x - mean, full_matrices=False)[2][:count]
    return float(((x_test - mean - (x_test - mean) @ directions.T @ directions) ** 2).mean())


def main() -> None:
    """Train both, give pictures back, and make new ones."""
    options = parser(__doc__, epochs=60)
    options.add_argument("--codes", type=int, default=8, help="numbers in the middle")
    options.add_argument("--units", type=int, default=128, help="of the hidden layers")
    chosen = options.parse_args()
    gx.seed(chosen.seed)
    x_train, x_test = pictures(chosen.data)
    size = x_train.shape[1]
    x = gx.input("x", ("batch", size))

    encode = nn.Sequential([nn.Dense(chosen.units, "relu"), nn.Dense(chosen.codes)])
    decode = nn.Sequential([nn.Dense(chosen.units, "relu"), nn.Dense(size, "sigmoid")])
    back = decode(encode(x))
    vae = gx.models.VAE(size, chosen.codes, chosen.units)
    z = gx.input("z", ("batch", chosen.codes))
    steps = []
    for name, loss in (("autoencoder", nn.mse(back, x).mean()), ("vae", vae(x).mean())):
        updates = gx.optim.Adam(2e-3).minimize(loss)
        step = gx.compile([x], {"loss": loss}, updates, threads=chosen.threads, name=name)
        gx.fit(step, [x_train], chosen.epochs, chosen.batch_size, verbose=False)
        steps.append(step)

    mean, _ = vae.encode(x)
    again = gx.compile([x], [back, gx.sigmoid(vae.decode(mean))], name="again")(x_test)
    dream = gx.compile([z], gx.sigmoid(vae.decode(z)), name="dream")
    errors = [float(((part - x_test) ** 2).mean()) for part in again]
    linear = principal(x_train, x_test, chosen.codes)
    print(f"mean squared error of {chosen.codes} components {linear:.5f}")
    print(f"mean squared error of the autoencoder {errors[0]:.5f}")
    print(f"mean squared error of the variational one {errors[1]:.5f}")
    drawn = dream(np.random.default_rng(chosen.seed).normal(size=(20, chosen.codes)))
    nearest = ((drawn[:, None] - x_train[None, :500]) ** 2).mean(axis=-1).min(axis=1)
    print(f"new ones are as far from a known one as {nearest.mean():.5f}")
    side = round(size**0.5)
    rows = np.concatenate([x_test[:10], again[0][:10], again[1][:10]]).reshape(-1, side, side)
    given_back = partial(gx.plot.images, rows, columns=10)
    show(steps[1], chosen.out, again=given_back, new=drawn.reshape(-1, side, side))


if __name__ == "__main__":
    main()
