"""What moves how: short films in eight classes that no single picture tells apart.

    python examples/video.py --out DIR

A disc moves up, down, to a side or along a diagonal. Convolutions over time and space see the
motion; the same network on one picture of the film can but guess.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from common import parser, show

import graphc as gx
from graphc import nn

SIZE, LENGTH = 16, 6
WAYS = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)]


def films(count: int, seed: int) -> tuple[Any, Any]:
    """Films (n, time, 16, 16, 1) and which way the disc goes, 0 to 7."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, len(WAYS), count, dtype="int32")
    time = np.arange(LENGTH)[:, None] - (LENGTH - 1) / 2.0
    middle = rng.uniform(6.0, 9.0, (count, 1, 2))
    place = middle + time * np.array(WAYS)[y][:, None] * rng.uniform(0.8, 1.4, (count, 1, 1))
    grid = np.stack(np.mgrid[:SIZE, :SIZE], -1)
    far = np.linalg.norm(grid - place[:, :, None, None], axis=-1)
    x = (far < rng.uniform(1.5, 3.0, (count, 1, 1, 1))) + rng.normal(0.0, 0.3, far.shape)
    return x[..., None].astype("float32"), y


def network() -> nn.Sequential:
    """(batch, time, 16, 16, 1) -> logits (batch, 8)."""
    return nn.Sequential(
        [
            nn.Conv3D(8, 3, padding="same", activation="relu"),
            nn.MaxPool3D((1, 2, 2)),
            nn.Conv3D(16, 3, padding="same", activation="relu"),
            nn.MaxPool3D((1, 2, 2)),
            nn.Flatten(),
            nn.Dense(32, "relu"),
            nn.Dense(len(WAYS)),
        ]
    )


def main() -> None:
    """Train on films, and on one picture of each."""
    options = parser(__doc__, epochs=8, batch_size=32, data=None)
    options.add_argument("--count", type=int, default=800)
    chosen = options.parse_args()
    (x_train, y_train), (x_test, y_test) = films(chosen.count, 0), films(200, 1)
    for name, still in (("one picture", True), ("films", False)):
        gx.seed(chosen.seed)
        x = gx.input("x", ("batch", *x_train.shape[1:]))
        y = gx.input("y", ("batch",), dtype="int32")
        with gx.name_scope(name.replace(" ", "_")):
            logits = network()(x[:, LENGTH // 2 : LENGTH // 2 + 1] if still else x)
        loss = nn.softmax_cross_entropy(logits, y).mean()
        updates = gx.optim.Adam(3e-3).minimize(loss)
        step = gx.compile([x, y], {"loss": loss}, updates, threads=chosen.threads, name="video")
        gx.fit(step, [x_train, y_train], chosen.epochs, chosen.batch_size, verbose=False)
        answers = gx.compile([x], gx.argmax(logits, axis=1), name="answers")(x_test)
        print(f"test accuracy on {name} {(answers == y_test).mean():.4f}")
    shown = x_test[:6].reshape(-1, SIZE, SIZE)
    show(step, chosen.out, films=partial(gx.plot.images, shown, columns=LENGTH))


if __name__ == "__main__":
    main()
