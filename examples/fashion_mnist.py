"""Train a network on Fashion-MNIST: 60,000 pictures of clothes, 28 by 28 pixels, 10 classes.

    python examples/fashion_mnist.py [DIRECTORY]

DIRECTORY holds the four IDX files (train-images-idx3-ubyte.gz, ...). Without it the environment
variable FASHION_MNIST is used, or where Debian's package dataset-fashion-mnist puts them:

    sudo apt-get install dataset-fashion-mnist
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import graphc as gx

DEBIAN = "/usr/share/datasets/fashion-mnist"


def build(steps: int, threads: int | None) -> tuple[gx.CompiledFunction, gx.CompiledFunction]:
    """The training step and the evaluation of a 784-256-128-10 network.

    The learning rate falls along a cosine over so many steps.
    """
    images = gx.input("images", ("batch", 28, 28), dtype="uint8")
    labels = gx.input("labels", ("batch",), dtype="int32")
    model = gx.nn.Sequential(
        [
            gx.nn.Flatten(),
            gx.nn.Dense(256, activation="relu", kernel_init=gx.init.he_normal()),
            gx.nn.Dropout(0.2),
            gx.nn.Dense(128, activation="relu", kernel_init=gx.init.he_normal()),
            gx.nn.Dropout(0.2),
            gx.nn.Dense(10),
        ]
    )
    logits = model(images.astype("float32") / 255.0 - 0.286)  # the mean pixel; part of the graph
    loss = gx.nn.softmax_cross_entropy(logits, labels).mean()
    outputs = {"loss": loss, "accuracy": gx.nn.accuracy(logits, labels)}
    updates = gx.optim.Adam(gx.schedules.cosine(2e-3, steps, warmup=200)).minimize(loss)
    both = [images, labels]
    return (
        gx.compile(both, outputs, updates=updates, threads=threads),
        gx.compile(both, outputs, mode="inference", threads=threads, name="evaluate"),
    )


def main() -> None:
    """Read the data, train, and print the accuracy on the test set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", nargs="?", default=os.environ.get("FASHION_MNIST", DEBIAN))
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--threads", type=int, default=None)
    options = parser.parse_args()
    if not Path(options.directory).is_dir():
        parser.error(
            f"no directory {options.directory}: give the one with the IDX files, set"
            " FASHION_MNIST, or install Debian's dataset-fashion-mnist"
        )
    gx.seed(0)
    training, testing = gx.data.fashion_mnist(options.directory)
    steps = options.epochs * -(-len(training[0]) // options.batch_size)
    step, evaluate = build(max(steps, 201), options.threads)
    history = gx.fit(
        step,
        training,
        epochs=options.epochs,
        batch_size=options.batch_size,
        validation=(evaluate, testing),
    )
    print(f"test accuracy {history.last('val_accuracy'):.4f}")


if __name__ == "__main__":
    main()
