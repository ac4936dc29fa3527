"""A convolutional network that knows a face, and what its layers have come to look for.

    python examples/faces.py --out DIR                 # made-up faces
    python examples/faces.py --data DIR --epochs 30    # faces of people

DIR holds lfw_subset.npy, 100 faces and 100 other patches of 25 by 25 pixels, which comes with
scikit-image (pip download scikit-image --no-deps, unzip). The plots show the kernels of the first
layer, edges and spots, and for the units of every layer the pieces of pictures that excite them
most: edges, then parts, then faces.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from common import parser, show

import graphc as gx
from graphc import nn

# Of each convolution: how far apart its fields are in the picture, and how large.
FIELDS = ((1, 5), (2, 10), (4, 22))


def patches(directory: Path | None) -> Any:
    """((x, y) for training, (x, y) for testing): grey, float32 from 0 to 1, 1 for a face."""
    if directory is None:
        x, y = gx.data.synthetic.faces(1200)
        x = x.astype("float32") / 255.0
    else:
        x = np.load(directory / "lfw_subset.npy").astype("float32")
        y = (np.arange(len(x)) < len(x) // 2).astype("int32")
    return gx.data.split(x, y, share=0.25)


def network() -> nn.Sequential:
    """Three convolutions and what decides; (batch, 25, 25, 1) -> (batch, 1)."""
    return nn.Sequential(
        [
            nn.Conv2D(8, 5, activation="relu"),
            nn.MaxPool2D(2),
            nn.Conv2D(16, 3, activation="relu"),
            nn.MaxPool2D(2),
            nn.Conv2D(24, 4, activation="relu"),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Dense(1),
        ]
    )


def exciting(x: Any, features: Any, step: int, size: int, best: int = 8) -> Any:
    """The pieces (units * best, size, size) of pictures at which each unit is highest."""
    rows = []
    for unit in np.moveaxis(features, -1, 0)[:8]:
        peaks = unit.reshape(len(unit), -1)
        for picture in np.argsort(-peaks.max(axis=1))[:best]:
            i, j = np.unravel_index(peaks[picture].argmax(), unit.shape[1:])
            piece = x[picture, i * step : i * step + size, j * step : j * step + size]
            rows.append(np.pad(piece, [(0, size - s) for s in piece.shape], mode="edge"))
    return np.stack(rows)


def main() -> None:
    """Train, and look at what was learnt."""
    options = parser(__doc__, epochs=8, batch_size=32).parse_args()
    gx.seed(options.seed)
    training, testing = patches(options.data)
    x = gx.input("x", ("batch", 25, 25))
    y = gx.input("y", ("batch",), dtype="int32")
    net = network()
    seen, layers = x[..., None] - 0.5, []
    for layer in net.layers:
        seen = layer(seen)
        if isinstance(layer, nn.Conv2D):
            layers.append(seen)
    score = seen[:, 0]
    loss = nn.sigmoid_cross_entropy(score, y.astype("float32")).mean()
    right = ((score > 0.0) == (y == 1)).astype("float32").mean()
    outputs = {"loss": loss, "accuracy": right}
    updates = gx.optim.AdamW(2e-3, weight_decay=0.01).minimize(loss)
    step = gx.compile([x, y], outputs, updates, threads=options.threads, name="faces")
    evaluate = gx.compile([x, y], outputs, mode="inference", name="evaluate")
    gx.fit(step, training, options.epochs, options.batch_size, validation=(evaluate, testing))
    print(f"test accuracy {float(evaluate(*testing)['accuracy']):.4f}")

    look = gx.compile([x], layers, name="look")
    found = look(testing[0])
    plots: dict[str, Any] = {
        f"layer_{i + 1}": partial(gx.plot.images, exciting(testing[0], features, *field), columns=8)
        for i, (features, field) in enumerate(zip(found, FIELDS))
    }
    kernels = net.layers[0].parameters[0]
    show(step, options.out, kernels=lambda: gx.plot.filters(kernels), **plots)


if __name__ == "__main__":
    main()
