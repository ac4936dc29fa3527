"""MobileNet."""

from __future__ import annotations

from graphc.frontend import functions as fn
from graphc.frontend.tensor import Tensor
from graphc.nn import (
    Activation,
    BatchNorm,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    GlobalAvgPool2D,
    Sequential,
)

# (filters, strides) of the pointwise convolutions and of the depthwise ones before them
BLOCKS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *(((512, 1),) * 5), (1024, 2),
    (1024, 1),
)  # fmt: skip


def mobilenet(classes: int = 1000, width: float = 1.0) -> Sequential:
    """MobileNet (Howard et al. 2017): (batch, 224, 224, 3) -> (batch, classes), 4,231,976
    parameters that learn at width 1."""

    def scaled(filters: int) -> int:
        return max(8, int(filters * width))

    net = Sequential(name="mobilenet")
    layers: list[Conv2D | DepthwiseConv2D] = [Conv2D(scaled(32), 3, 2, "same", use_bias=False)]
    for filters, strides in BLOCKS:
        layers.append(DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False))
        layers.append(Conv2D(scaled(filters), 1, use_bias=False))
    for conv in layers:
        for part in (conv, BatchNorm(), Activation(_relu6)):
            net.add(part)
    net.add(GlobalAvgPool2D())
    net.add(Dense(classes))
    return net


def _relu6(x: Tensor) -> Tensor:
    return fn.clip(x, 0.0, 6.0)
