"""A residual network with batch normalisation, of any depth, on handwritten digits.

    python examples/resnet.py --depth 14 --epochs 10

The network of He et al. (2016) for small pictures: three stages of (depth - 2) / 6 blocks of two
convolutions, with half the resolution and twice the filters from stage to stage. Uses the 1,797
digits of 8 by 8 pixels that come with graphc; nothing is downloaded.
"""

from __future__ import annotations

import argparse

import graphc as gx
from graphc import nn


def convolution(x: gx.Tensor, filters: int, size: int, strides: int = 1) -> gx.Tensor:
    """A convolution, normalised over the batch, whose own bias would do nothing."""
    kernel = gx.init.he_normal()
    layer = nn.Conv2D(filters, size, strides, "same", use_bias=False, kernel_init=kernel)
    return nn.BatchNorm()(layer(x))


def block(x: gx.Tensor, filters: int, strides: int) -> gx.Tensor:
    """Two convolutions and a short cut around them."""
    y = nn.relu(convolution(x, filters, 3, strides))
    y = convolution(y, filters, 3)
    same = strides == 1 and x.shape[-1] == filters
    short = x if same else convolution(x, filters, 1, strides)
    return nn.relu(y + short)


def network(x: gx.Tensor, depth: int, filters: int = 16) -> gx.Tensor:
    """The logits of ten classes; `depth` counts the layers with weights: 8, 14, 20, ..."""
    x = nn.relu(convolution(x, filters, 3))
    for stage in range(3):
        for i in range((depth - 2) // 6):
            strides = 2 if stage and not i else 1
            x = block(x, filters << stage, strides)
    return nn.Dense(10)(nn.global_avg_pool(x))


def main() -> None:
    """Train, and say how good it is."""
    parser = argparse.ArgumentParser(description="A residual network on handwritten digits")
    parser.add_argument("--depth", type=int, default=14)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=64)
    chosen = parser.parse_args()
    if chosen.depth < 8 or (chosen.depth - 2) % 6:
        parser.error(f"--depth must be 6 n + 2: 8, 14, 20, ..., got {chosen.depth}")

    gx.seed(0)
    (x_train, y_train), (x_test, y_test) = gx.data.digits()
    x = gx.input("x", ("batch", 64))
    labels = gx.input("labels", ("batch",), dtype="int32")
    logits = network(gx.reshape(x, (x.shape[0], 8, 8, 1)), chosen.depth)
    loss = nn.softmax_cross_entropy(logits, labels).mean()

    # Training moves the running statistics of the batch norms by itself; inference uses them.
    updates = gx.optim.Adam(2e-3).minimize(loss)
    step = gx.compile([x, labels], {"loss": loss}, updates)
    outputs = {"loss": loss, "accuracy": nn.accuracy(logits, labels)}
    evaluate = gx.compile([x, labels], outputs, mode="inference", name="evaluate")
    history = gx.fit(
        step,
        [x_train, y_train],
        epochs=chosen.epochs,
        batch_size=chosen.batch_size,
        validation=(evaluate, [x_test, y_test]),
    )
    print(f"test accuracy {history.last('val_accuracy'):.4f}")


if __name__ == "__main__":
    main()
