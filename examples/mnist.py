"""Digits or clothes of 28 by 28 pixels: a convolutional network, LeNet-5 or none at all.

    python examples/mnist.py                                  # made-up digits, some seconds
    python examples/mnist.py --data DIR --epochs 12           # MNIST
    python examples/mnist.py --data DIR --epochs 25 --set fashion --model cnn

DIR holds the four IDX files of MNIST or of Fashion-MNIST (train-images-idx3-ubyte, ..., also with
.gz); Debian's package dataset-fashion-mnist puts them into /usr/share/datasets/fashion-mnist. The
models are `cnn`, `lenet5`, `mlp` and `logistic`. --export DIR leaves the trained network there as
a C library.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import classify, parser, picture_options

import graphc as gx
from graphc import nn


def convolutions(filters: int, dropout: float) -> list[nn.Layer]:
    """Two convolutions, normalised, and half the resolution."""
    twice = [
        part
        for _ in range(2)
        for part in (
            nn.Conv2D(filters, 3, padding="same", use_bias=False, kernel_init=gx.init.he_normal()),
            nn.BatchNorm(),
            nn.Activation("relu"),
        )
    ]
    return [*twice, nn.MaxPool2D(2), nn.Dropout(dropout)]


def cnn(filters: int = 16) -> nn.Sequential:
    """Four convolutions and a hidden layer: 420,698 parameters."""
    parts = [*convolutions(filters, 0.2), *convolutions(2 * filters, 0.3), nn.Flatten()]
    return nn.Sequential([*parts, nn.Dense(256, "relu"), nn.Dropout(0.4), nn.Dense(10)])


MODELS = {
    "cnn": cnn,
    "lenet5": gx.models.lenet5,
    "mlp": lambda: gx.models.mlp((512, 256), dropout=0.3),
    "logistic": gx.models.logistic,
}


def moved(x: gx.Tensor, clothes: bool) -> gx.Tensor:
    """Pictures a little beside their place; clothes also flipped, digits turned instead."""
    x = nn.RandomFlip()(x) if clothes else nn.RandomRotation(0.03)(x)
    return nn.RandomCrop(28, 28, padding=2)(x)


def build(options: Namespace, steps: int) -> Sequence[gx.CompiledFunction]:
    """Training step, evaluation and prediction, for bytes of shape (batch, 28, 28)."""
    batch = gx.dim("batch", max=options.batch_size)
    images = gx.input("images", (batch, 28, 28), dtype="uint8")
    labels = gx.input("labels", (batch,), dtype="int32")
    clothes = options.set == "fashion"
    mean, deviation = (0.286, 0.353) if clothes else (0.1307, 0.3081)
    x = (images[..., None].astype("float32") / 255.0 - mean) / deviation
    if options.model in ("cnn", "lenet5"):
        x = moved(x, clothes)
    logits = MODELS[options.model]()(x)
    loss = nn.softmax_cross_entropy(logits, labels).mean()
    outputs = {"loss": loss, "accuracy": nn.accuracy(logits, labels)}
    adam = gx.optim.AdamW(gx.schedules.one_cycle(options.rate, steps), weight_decay=0.01)
    both, threads = [images, labels], options.threads
    classes = gx.argmax(logits, axis=-1)
    return (
        gx.compile(both, outputs, adam.minimize(loss), threads=threads, name="train"),
        gx.compile(both, outputs, mode="inference", threads=threads, name="evaluate"),
        gx.compile([images], classes, mode="inference", threads=threads, name="predict"),
    )


def pictures(directory: Path | None) -> Any:
    """((x, y) for training, (x, y) for testing), of files or made up."""
    if directory is None:
        return gx.data.synthetic.digits_28x28(2000)
    return gx.data.mnist(directory)


def main() -> None:
    """Read the data, train, and print the accuracy on the test set."""
    options = picture_options(parser(__doc__, epochs=3))
    options.add_argument("--model", choices=MODELS, default="lenet5")
    options.add_argument("--set", choices=["mnist", "fashion"], default="mnist")
    options.add_argument("--rate", type=float, default=3e-3, help="the highest rate of the cycle")
    chosen = options.parse_args()
    gx.seed(chosen.seed)
    training, testing = pictures(chosen.data)
    steps = chosen.epochs * -(-len(training[0]) // chosen.batch_size)
    classify(build(chosen, steps), training, testing, chosen)


if __name__ == "__main__":
    main()
