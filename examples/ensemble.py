"""Eight networks trained as one program, and what their mean gains over one of them.

    python examples/ensemble.py                            # the digits of the package
    python examples/ensemble.py --data DIR --epochs 8      # IDX files: MNIST, Fashion-MNIST

The networks differ in their first weights and their dropout, and see the same batches. Their mean
probabilities make fewer errors than they do on average, and they share one pass over the data.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from common import batches, parser, show

import graphc as gx
from graphc import nn


def member() -> nn.Sequential:
    """One network."""
    layers = [nn.Flatten(), nn.Dense(128, "relu"), nn.Dropout(0.2), nn.Dense(10)]
    return nn.Sequential(layers)


def build(
    shape: tuple[int, ...], count: int, threads: int | None
) -> tuple[gx.CompiledFunction, gx.CompiledFunction]:
    """The step that trains all, and the probabilities (count, batch, 10) of all."""
    images = gx.input("images", ("batch", *shape), dtype="uint8")
    labels = gx.input("labels", ("batch",), dtype="int32")
    logits = gx.ensemble(member, count)(images.astype("float32") / 255.0)
    many = gx.broadcast_to(labels, (count, images.shape[0]))
    losses = nn.softmax_cross_entropy(logits, many).mean(axis=1)
    updates = gx.optim.Adam(1e-3).minimize(gx.sum(losses))
    outputs = {"loss": losses.mean(), "worst": losses.max()}
    probabilities = nn.softmax(logits)
    return (
        gx.compile([images, labels], outputs, updates, threads=threads, name="train"),
        gx.compile([images], probabilities, mode="inference", threads=threads, name="predict"),
    )


def pictures(options: Any) -> Any:
    """((x, y) for training, (x, y) for testing) as bytes."""
    if options.data is not None:
        return gx.data.mnist(options.data)
    (x, y), (x_test, y_test) = gx.data.digits()
    return (np.uint8(x * 255.0), y), (np.uint8(x_test * 255.0), y_test)


def main() -> None:
    """Train, and compare the members with their mean."""
    options = parser(__doc__, epochs=15)
    options.add_argument("--members", type=int, default=8)
    chosen = options.parse_args()
    gx.seed(chosen.seed)
    (x, y), (x_test, y_test) = pictures(chosen)
    step, predict = build(x.shape[1:], chosen.members, chosen.threads)
    gx.fit(step, [x, y], chosen.epochs, chosen.batch_size)
    found = np.concatenate([predict(part) for part in batches(x_test, 500)], axis=1)
    each = (found.argmax(axis=2) == y_test).mean(axis=1)
    mean = float((found.mean(axis=0).argmax(axis=1) == y_test).mean())
    print("accuracy of each", " ".join(f"{a:.4f}" for a in each))
    print(f"their mean {each.mean():.4f}, best {each.max():.4f}, together {mean:.4f}")
    show(step, chosen.out)


if __name__ == "__main__":
    main()
