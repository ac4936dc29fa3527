"""Linear and convolutional classifiers from logistic regression to VGG."""

from __future__ import annotations

from collections.abc import Sequence

from graphc import init
from graphc.nn import (
    AvgPool2D,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    LocalResponseNorm,
    MaxPool2D,
    Sequential,
)


def logistic(classes: int = 10) -> Sequential:
    """Multinomial logistic regression: (batch, ...) -> (batch, classes), (inputs + 1) * classes
    parameters."""
    return Sequential([Flatten(), Dense(classes)], name="logistic")


def mlp(
    units: Sequence[int] = (128,),
    classes: int = 10,
    activation: str = "relu",
    dropout: float = 0.0,
) -> Sequential:
    """A multilayer perceptron: (batch, ...) -> (batch, classes)."""
    net = Sequential([Flatten()], name="mlp")
    for count in units:
        net.add(Dense(count, activation))
        if dropout:
            net.add(Dropout(dropout))
    net.add(Dense(classes))
    return net


def lenet5(classes: int = 10) -> Sequential:
    """LeNet-5 (LeCun et al. 1998): (batch, 28, 28, 1) -> (batch, classes), 61,706 parameters.

    With full connections in its third layer, and softmax in place of the radial outputs.
    """
    return Sequential(
        [
            Conv2D(6, 5, padding="same", activation="tanh"),
            AvgPool2D(2),
            Conv2D(16, 5, activation="tanh"),
            AvgPool2D(2),
            Flatten(),
            Dense(120, "tanh"),
            Dense(84, "tanh"),
            Dense(classes),
        ],
        name="lenet5",
    )


def m19_cnn(classes: int = 10) -> Sequential:
    """Two convolutions, a pool and two dense layers with dropout: (batch, 28, 28, 1) -> (batch,
    classes), 596,042 parameters. The first network of many courses."""
    return Sequential(
        [
            Conv2D(16, 3, activation="relu"),
            Conv2D(32, 3, activation="relu"),
            MaxPool2D(2),
            Dropout(0.25),
            Flatten(),
            Dense(128, "relu"),
            Dropout(0.5),
            Dense(classes),
        ],
        name="m19_cnn",
    )


def alexnet(classes: int = 1000) -> Sequential:
    """AlexNet (Krizhevsky, Sutskever and Hinton 2012): (batch, 227, 227, 3) -> (batch, classes),
    60,965,224 parameters.

    The two halves of its second, fourth and fifth convolution are groups.
    """

    def conv(filters: int, size: int, groups: int = 1, strides: int = 1) -> Conv2D:
        padding = "valid" if strides > 1 else "same"
        return Conv2D(filters, size, strides, padding, groups=groups, activation="relu")

    return Sequential(
        [
            conv(96, 11, strides=4),
            LocalResponseNorm(),
            MaxPool2D(3, 2),
            conv(256, 5, groups=2),
            LocalResponseNorm(),
            MaxPool2D(3, 2),
            conv(384, 3),
            conv(384, 3, groups=2),
            conv(256, 3, groups=2),
            MaxPool2D(3, 2),
            Flatten(),
            Dropout(0.5),
            Dense(4096, "relu"),
            Dropout(0.5),
            Dense(4096, "relu"),
            Dense(classes),
        ],
        name="alexnet",
    )


def zfnet(classes: int = 1000) -> Sequential:
    """ZFNet (Zeiler and Fergus 2014): (batch, 225, 225, 3) -> (batch, classes), 62,357,608
    parameters.

    AlexNet without groups, with windows of 7 at every second place in its first convolution and of
    5 at every second in the next. The paper has pictures of 224 and a border that it does not give.
    """

    def conv(filters: int, size: int, strides: int = 1) -> Conv2D:
        padding = "valid" if strides > 1 else "same"
        return Conv2D(filters, size, strides, padding, activation="relu")

    return Sequential(
        [
            conv(96, 7, 2),
            MaxPool2D(3, 2, padding="same"),
            LocalResponseNorm(),
            conv(256, 5, 2),
            MaxPool2D(3, 2, padding="same"),
            LocalResponseNorm(),
            conv(384, 3),
            conv(384, 3),
            conv(256, 3),
            MaxPool2D(3, 2),
            Flatten(),
            Dense(4096, "relu"),
            Dropout(0.5),
            Dense(4096, "relu"),
            Dropout(0.5),
            Dense(classes),
        ],
        name="zfnet",
    )


def vgg16(classes: int = 1000) -> Sequential:
    """VGG-16 (Simonyan and Zisserman 2015): (batch, 224, 224, 3) -> (batch, classes), 138,357,544
    parameters."""
    net = Sequential(name="vgg16")
    for filters, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(count):
            kernel = init.he_normal()
            net.add(Conv2D(filters, 3, padding="same", activation="relu", kernel_init=kernel))
        net.add(MaxPool2D(2))
    net.add(Flatten())
    for _ in range(2):
        net.add(Dense(4096, "relu"))
        net.add(Dropout(0.5))
    net.add(Dense(classes))
    return net
