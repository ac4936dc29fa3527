"""Modules in a chain against one differentiable pipeline: read the digits of a cheque, add them up.

    python examples/pipeline.py
    python examples/pipeline.py --places 8

The chain is what a system of separate modules does: one reads a digit, the next ones take its
answer for the truth. If it is right 95 times of 100, four of them are right 81 times. The pipeline
hands on probabilities instead of answers: those of a sum follow from those of its digits, and a
wrong sum tells the reader through all the modules what to read next time (Manhaeve et al. 2018).
It sees sums alone, no digit; the reader was trained on few digits before.
"""

from __future__ import annotations

from typing import Any

from common import parser, show

import graphc as gx
from graphc import nn


def reader() -> nn.Sequential:
    """Pictures of one digit (n, 16, 16, 1) -> logits (n, 10)."""
    return nn.Sequential(
        [
            nn.Conv2D(12, 5, activation="relu"),
            nn.MaxPool2D(2),
            nn.Conv2D(24, 3, activation="relu"),
            nn.MaxPool2D(2),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Dense(10),
        ]
    )


def added(a: gx.Tensor, b: gx.Tensor) -> gx.Tensor:
    """The distribution (n, i + j - 1) of a sum, from (n, i) and (n, j) of its parts."""
    rows = int(a.shape[1])
    shifted = [gx.pad(b, [(0, 0), (i, rows - 1 - i)]) for i in range(rows)]
    return gx.einsum("ni,nis->ns", a, gx.stack(shifted, axis=1))


def cut(lines: Any, places: int) -> Any:
    """Lines (n, 16, 16 places) as single digits (n places, 16, 16)."""
    return lines.reshape(len(lines), 16, places, 16).swapaxes(1, 2).reshape(-1, 16, 16)


def main() -> None:
    """Train the reader alone, then the whole; compare how often the sum is right."""
    options = parser(__doc__, epochs=6, batch_size=32, data=None)
    options.add_argument("--places", type=int, default=4, help="digits of a cheque")
    options.add_argument("--labelled", type=int, default=60, help="cheques whose digits are given")
    options.add_argument("--cheques", type=int, default=2000, help="of which the sum is given")
    chosen = options.parse_args()
    gx.seed(chosen.seed)
    places = chosen.places
    (lines, digits), (test, truth) = gx.data.synthetic.cheques(chosen.cheques, places)
    net = reader()

    one = gx.input("one", ("n", 16, 16), dtype="uint8")
    label = gx.input("label", ("n",), dtype="int32")
    logits = net(one[..., None].astype("float32") / 255.0)
    loss = nn.softmax_cross_entropy(logits, label).mean()
    learn = gx.compile(
        [one, label], {"loss": loss}, gx.optim.Adam(3e-3).minimize(loss), name="read"
    )
    few = chosen.labelled
    gx.fit(
        learn, [cut(lines[:few], places), digits[:few].reshape(-1)], 40, chosen.batch_size,
        verbose=False,
    )  # fmt: skip
    read = gx.compile([one], gx.argmax(logits, axis=1), name="reader")

    line = gx.input("line", ("batch", 16, 16 * places), dtype="uint8")
    total = gx.input("total", ("batch",), dtype="int32")
    seen = line.astype("float32") / 255.0
    sums = None
    for place in range(places):
        shares = nn.softmax(net(seen[:, :, 16 * place : 16 * place + 16, None]))
        sums = shares if sums is None else added(sums, shares)
    wrong = nn.sparse_categorical_crossentropy(sums, total).mean()
    step = gx.compile(
        [line, total], {"loss": wrong}, gx.optim.Adam(1e-3).minimize(wrong),
        threads=chosen.threads, name="pipeline",
    )  # fmt: skip
    answer = gx.compile([line], gx.argmax(sums, axis=1), name="answer")

    def chained() -> tuple[float, float]:
        found = read(cut(test, places)).reshape(truth.shape)
        right = found.sum(axis=1) == truth.sum(axis=1)
        return float((found == truth).mean()), float(right.mean())

    digit, chain = chained()
    print(f"one digit {digit:.4f}, to the power of {places}: {digit**places:.4f}")
    print(f"sums of the chain of modules {chain:.4f}")
    gx.fit(step, [lines, digits.sum(axis=1).astype("int32")], chosen.epochs, chosen.batch_size)
    end = (answer(test) == truth.sum(axis=1)).mean()
    print(f"one digit of the reader inside {chained()[0]:.4f}")
    print(f"sums of the pipeline {float(end):.4f}")
    show(step, chosen.out, cheques=test[:12])


if __name__ == "__main__":
    main()
