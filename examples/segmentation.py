"""A class for every pixel: roads seen from above, membranes of cells under the microscope.

    python examples/segmentation.py --set roads --out DIR
    python examples/segmentation.py --set tissue
    python examples/segmentation.py --data DIR --size 128 --filters 32 --levels 4

DIR holds the folders `images` and `masks` with files of the same names; a mask is white where the
answer is yes. The network is a U-Net: down to see what is around, up again for where exactly.
"""

from __future__ import annotations

from argparse import Namespace
from functools import partial
from typing import Any

import numpy as np
from common import parser, show

import graphc as gx
from graphc import nn


def pictures(options: Namespace) -> tuple[Any, Any]:
    """Pictures of bytes (n, size, size, channels), and answers (n, size, size) of 0 and 1."""
    if options.data is not None:
        size = (options.size, options.size)
        names = sorted(p.name for p in (options.data / "images").iterdir())
        x = [gx.data.image(options.data / "images" / name, size) for name in names]
        y = [gx.data.image(options.data / "masks" / name, size, channels=1) for name in names]
        return np.stack(x), (np.stack(y)[..., 0] > 127).astype("uint8")
    made = gx.data.synthetic
    x, y = (made.roads if options.set == "roads" else made.tissue)(options.count, options.size)
    return x.reshape(*x.shape[:3], -1), y


def build(options: Namespace, channels: int) -> list[gx.CompiledFunction]:
    """The training step, the evaluation, and what gives the probability at every pixel."""
    x = gx.input("x", ("batch", options.size, options.size, channels), dtype="uint8")
    y = gx.input("y", ("batch", options.size, options.size), dtype="uint8")
    net = gx.models.unet(1, options.filters, options.levels)
    logits = net(x.astype("float32") / 127.5 - 1.0)[..., 0]
    loss = nn.sigmoid_cross_entropy(logits, y.astype("float32")).mean()
    yes, truth = logits > 0.0, y == 1
    either = gx.sum((yes | truth).astype("float32"))
    outputs = {"loss": loss, "iou": gx.sum((yes & truth).astype("float32")) / either}
    updates = gx.optim.Adam(2e-3).minimize(loss)
    return [
        gx.compile([x, y], outputs, updates, threads=options.threads, name="segmentation"),
        gx.compile([x, y], outputs, mode="inference", name="evaluate"),
        gx.compile([x], gx.sigmoid(logits), name="segment"),
    ]


def main() -> None:
    """Train, and compare answers and truth by intersection over union."""
    options = parser(__doc__, epochs=10, batch_size=8)
    options.add_argument("--set", choices=["roads", "tissue"], default="roads")
    options.add_argument("--size", type=int, default=64, help="of pictures, made up or resized")
    options.add_argument("--count", type=int, default=200, help="made-up pictures")
    options.add_argument("--filters", type=int, default=8)
    options.add_argument("--levels", type=int, default=2)
    chosen = options.parse_args()
    gx.seed(chosen.seed)
    x, y = pictures(chosen)
    held = len(x) // 5
    step, evaluate, segment = build(chosen, x.shape[-1])
    gx.fit(
        step, [x[held:], y[held:]], chosen.epochs, chosen.batch_size,
        validation=(evaluate, [x[:held], y[:held]]), verbose=False,
    )  # fmt: skip
    result = evaluate(x[:held], y[:held])
    print(f"intersection over union {float(result['iou']):.4f}, loss {float(result['loss']):.4f}")
    some = [
        np.broadcast_to(x[:5], (5, chosen.size, chosen.size, 3)) / np.float32(255.0),
        *(np.repeat(p[..., None], 3, axis=-1) for p in (y[:5], segment(x[:5]))),
    ]
    show(step, chosen.out, answers=partial(gx.plot.images, np.concatenate(some), columns=5))


if __name__ == "__main__":
    main()
