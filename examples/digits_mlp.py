"""Recognise handwritten digits with a small network: define, compile, then run.

    python examples/digits_mlp.py

Uses the 1,797 digits of 8 by 8 pixels that come with graphc; nothing is downloaded.
"""

from __future__ import annotations

import graphc as gx

gx.seed(0)
(x_train, y_train), (x_test, y_test) = gx.data.digits()

# Define: nothing is computed here, a graph grows.
x = gx.input("x", ("batch", 64))
labels = gx.input("labels", ("batch",), dtype="int32")

hidden = gx.nn.dropout(gx.nn.Dense(128, activation="relu")(x), 0.2)
hidden = gx.nn.dropout(gx.nn.Dense(64, activation="relu")(hidden), 0.2)
logits = gx.nn.Dense(10)(hidden)
loss = gx.nn.softmax_cross_entropy(logits, labels).mean()

# Compile: forward, backward and the optimiser's update become one native program.
optimizer = gx.optim.Adam(2e-3)
step = gx.compile([x, labels], {"loss": loss}, updates=optimizer.minimize(loss))

# The same weights without dropout: a second function that shares them.
evaluate = gx.compile(
    [x, labels],
    {"loss": loss, "accuracy": gx.nn.accuracy(logits, labels)},
    mode="inference",
    name="evaluate",
)

# Run.
history = gx.fit(
    step,
    [x_train, y_train],
    epochs=40,
    batch_size=64,
    validation=(evaluate, [x_test, y_test]),
)
print(f"test accuracy {history.last('val_accuracy'):.4f}")
