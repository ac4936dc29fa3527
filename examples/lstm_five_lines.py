"""A long short-term memory in five lines of its own, and what it is good for.

    python examples/lstm_five_lines.py

Adds the two marked ones of thirty numbers: what a network must keep for many steps, ordinary
recurrent networks forget.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from common import parser, show

import graphc as gx

STEPS, UNITS = 30, 24
Gates = Callable[[gx.Tensor, gx.Tensor], gx.Tensor]


def lstm(gates: Gates, x: gx.Tensor, h: gx.Tensor, c: gx.Tensor) -> tuple[gx.Tensor, gx.Tensor]:
    """Three gates and a memory."""
    i, f, o, new = gx.split(gates(x, h), 4, axis=-1)
    i, f, o = gx.sigmoid(i), gx.sigmoid(f + 1.0), gx.sigmoid(o)
    c = f * c + i * gx.tanh(new)
    h = o * gx.tanh(c)
    return h, c


def build() -> gx.CompiledFunction:
    """The training step: the loop over time, its gradient and the update in one program."""
    x = gx.input("x", ("batch", STEPS, 2))
    total = gx.input("total", ("batch",))
    kernel = gx.parameter("kernel", (2, 4 * UNITS), gx.init.glorot_uniform())
    recurrent = gx.parameter("recurrent", (UNITS, 4 * UNITS), gx.init.orthogonal())

    def gates(row: gx.Tensor, h: gx.Tensor) -> gx.Tensor:
        return row @ kernel + h @ recurrent

    def step(state: Any, row: gx.Tensor) -> Any:
        return lstm(gates, row, *state), None

    nothing = gx.zeros((x.shape[0], UNITS))
    (h, _), _ = gx.scan(step, (nothing, nothing), gx.permute_dims(x, (1, 0, 2)))
    loss = gx.nn.mse(gx.nn.Dense(1)(h)[:, 0], total).mean()
    return gx.compile([x, total], {"loss": loss}, updates=gx.optim.Adam(0.01).minimize(loss))


def adding(count: int) -> tuple[Any, Any]:
    """Numbers in [0, 1) of which two are marked, and the sums of those."""
    rng = np.random.default_rng(0)
    numbers, marks, rows = rng.random((count, STEPS)), np.zeros((count, STEPS)), np.arange(count)
    marks[rows, rng.integers(0, STEPS // 2, count)] = 1
    marks[rows, rng.integers(STEPS // 2, STEPS, count)] = 1
    x = np.stack([numbers, marks], axis=-1).astype("float32")
    return x, (numbers * marks).sum(1).astype("float32")


def main() -> None:
    """Train, and show how the error falls from that of always saying 1 (0.167)."""
    options = parser(__doc__, epochs=10, batch_size=50, data=None).parse_args()
    gx.seed(options.seed)
    step = build()
    history = gx.fit(step, list(adding(4000)), options.epochs, options.batch_size, seed=0)
    print(f"mean squared error {history.last('loss'):.4f}")
    show(step, options.out)


if __name__ == "__main__":
    main()
