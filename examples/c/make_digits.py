"""A network for handwritten digits as a C library, with its training step, and the data as files.

    python examples/c/make_digits.py [FOLDER [TARGET]]

Writes the library (`digits.h`, `digits.a`, ...) and `train.x train.y test.x test.y` (float32 and
int32, in C order) to FOLDER, by default `digits` beside this file.
"""

from __future__ import annotations

import sys
from pathlib import Path

import graphc as gx

folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "digits")
target = sys.argv[2] if len(sys.argv) > 2 else "host"

gx.seed(0)
batch = gx.dim("batch", max=64)
x, labels = gx.input("x", (batch, 64)), gx.input("labels", (batch,), dtype="int32")
hidden = gx.nn.Dense(32, activation="relu")(x)
logits = gx.nn.Dense(10)(hidden)
loss = gx.nn.softmax_cross_entropy(logits, labels).mean()

step = gx.compile([x, labels], {"loss": loss}, gx.optim.Adam(5e-3).minimize(loss), name="step")
best = gx.argmax(logits, axis=-1).astype("int32")
predict = gx.compile([x], {"digit": best}, mode="inference", name="predict")

bundle = step.export(folder, target, name="digits", also={"predict": predict})
for word, (images, numbers) in zip(("train", "test"), gx.data.digits()):
    images.astype("float32").tofile(folder / f"{word}.x")
    numbers.astype("int32").tofile(folder / f"{word}.y")
print(bundle)
