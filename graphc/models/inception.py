"""GoogLeNet."""

from __future__ import annotations

from graphc.nn import (
    Conv2D,
    Dense,
    Dropout,
    GlobalAvgPool2D,
    Inception,
    LocalResponseNorm,
    MaxPool2D,
    Sequential,
)

# Table 1 of the paper; None is a pool that halves the resolution.
BLOCKS = (
    (64, (96, 128), (16, 32), 32), (128, (128, 192), (32, 96), 64), None,
    (192, (96, 208), (16, 48), 64), (160, (112, 224), (24, 64), 64),
    (128, (128, 256), (24, 64), 64), (112, (144, 288), (32, 64), 64),
    (256, (160, 320), (32, 128), 128), None,
    (256, (160, 320), (32, 128), 128), (384, (192, 384), (48, 128), 128),
)  # fmt: skip


def googlenet(classes: int = 1000) -> Sequential:
    """GoogLeNet (Szegedy et al. 2015): (batch, 224, 224, 3) -> (batch, classes), 6,998,552
    parameters.

    Without the two classifiers that help training from the middle.
    """
    net = Sequential(
        [
            Conv2D(64, 7, 2, "same", activation="relu"),
            MaxPool2D(3, 2, "same"),
            LocalResponseNorm(),
            Conv2D(64, 1, activation="relu"),
            Conv2D(192, 3, padding="same", activation="relu"),
            LocalResponseNorm(),
            MaxPool2D(3, 2, "same"),
        ],
        name="googlenet",
    )
    for block in BLOCKS:
        net.add(MaxPool2D(3, 2, "same") if block is None else Inception(block))
    for layer in (GlobalAvgPool2D(), Dropout(0.4), Dense(classes)):
        net.add(layer)
    return net
