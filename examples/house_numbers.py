"""Read house numbers: up to four digits at once, by one network with an output for each place.

    python examples/house_numbers.py
    python examples/house_numbers.py --data DIR --epochs 30

DIR holds pictures whose names begin with the number: 372_0001.png. The network sees the whole
number and says for every place which digit stands there, or none (Goodfellow et al. 2014); a number
is right if all its places are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from common import parser, show

import graphc as gx
from graphc import nn

PLACES, NOTHING = 4, 10


def pictures(directory: Path | None) -> Any:
    """((x, y) for training, (x, y) for testing): bytes (n, 32, 64, 3), digits (n, 4)."""
    if directory is None:
        return gx.data.synthetic.house_numbers(2000)
    paths = sorted(directory.glob("*_*.*"))
    x = np.stack([gx.data.image(path, size=(32, 64)) for path in paths])
    y = np.full((len(paths), PLACES), NOTHING, "int32")
    for label, path in zip(y, paths):
        digits = path.name.split("_")[0][:PLACES]
        label[: len(digits)] = [int(digit) for digit in digits]
    held = max(1, len(x) // 5)
    return (x[held:], y[held:]), (x[:held], y[:held])


def network(x: gx.Tensor) -> gx.Tensor:
    """(batch, 32, 64, 1) -> logits (batch, places, 11)."""
    for filters in (12, 24, 48):
        x = nn.Conv2D(filters, 5, padding="same", use_bias=False)(x)
        x = nn.max_pool(nn.relu(nn.BatchNorm()(x)), 2)
    x = nn.dropout(nn.Dense(128, "relu")(nn.Flatten()(x)), 0.1)
    return gx.reshape(nn.Dense(PLACES * (NOTHING + 1))(x), (x.shape[0], PLACES, NOTHING + 1))


def main() -> None:
    """Train, and count digits and whole numbers that are right."""
    options = parser(__doc__, epochs=10, batch_size=32).parse_args()
    gx.seed(options.seed)
    training, testing = pictures(options.data)
    x = gx.input("x", ("batch", 32, 64, 3), dtype="uint8")
    y = gx.input("y", ("batch", PLACES), dtype="int32")
    light = x.astype("float32") / 255.0
    paint = light - light.mean(axis=(1, 2), keepdims=True)
    # how far a colour is from that of the wall says where ink is, whatever the colours
    logits = network(gx.sqrt(gx.sum(paint**2, axis=-1, keepdims=True) + 1e-4))
    loss = nn.softmax_cross_entropy(logits, y).sum(axis=1).mean()
    right = gx.argmax(logits, axis=-1) == y
    outputs = {
        "loss": loss,
        "places": right.astype("float32").mean(),
        "accuracy": gx.all(right, axis=1).astype("float32").mean(),
    }
    steps = options.epochs * -(-len(training[0]) // options.batch_size)
    updates = gx.optim.Adam(gx.schedules.one_cycle(5e-3, steps)).minimize(loss)
    step = gx.compile([x, y], outputs, updates, threads=options.threads, name="house_numbers")
    evaluate = gx.compile([x, y], outputs, mode="inference", name="evaluate")
    gx.fit(step, training, options.epochs, options.batch_size, validation=(evaluate, testing))
    result = evaluate(*testing)
    print(f"places that are right {float(result['places']):.4f}")
    print(f"numbers that are right {float(result['accuracy']):.4f}")
    read = gx.compile([x], gx.argmax(logits, axis=-1), name="read")(testing[0][:20])
    said = ["".join(str(d) for d in number if d != NOTHING) for number in read]
    show(step, options.out, read=lambda: gx.plot.images(testing[0][:20], titles=said, columns=5))


if __name__ == "__main__":
    main()
