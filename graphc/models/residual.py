"""Residual networks (He et al. 2016): for small pictures and for ImageNet."""

from __future__ import annotations

from functools import partial

from graphc import init
from graphc.errors import ArgumentError
from graphc.frontend.tensor import Tensor
from graphc.nn import BatchNorm, Conv2D, Dense, global_avg_pool, layer, max_pool, relu
from graphc.nn.model import Function


def resnet_cifar(depth: int = 20, classes: int = 10, filters: int = 16) -> Function:
    """The network for small pictures: (batch, 32, 32, 3) -> (batch, classes).

    Three stages of (depth - 2) / 6 blocks of two convolutions; short cuts are convolutions of size
    1 where the resolution changes.
    """
    if depth < 8 or (depth - 2) % 6:
        raise ArgumentError(f"resnet_cifar: depth must be 6 n + 2: 8, 14, 20, ..., got {depth}")
    return layer(partial(_small, depth, classes, filters), name=f"resnet{depth}")


def resnet20(classes: int = 10) -> Function:
    """resnet_cifar of depth 20: 272,474 parameters that learn."""
    return resnet_cifar(20, classes)


def resnet50(classes: int = 1000) -> Function:
    """(batch, 224, 224, 3) -> (batch, classes), 25,557,032 parameters that learn."""
    return layer(partial(_large, (3, 4, 6, 3), classes), name="resnet50")


def resnet152(classes: int = 1000) -> Function:
    """(batch, 224, 224, 3) -> (batch, classes), 60,192,808 parameters that learn."""
    return layer(partial(_large, (3, 8, 36, 3), classes), name="resnet152")


def convolution(x: Tensor, filters: int, size: int, strides: int = 1) -> Tensor:
    """A convolution, normalised over the batch, whose own bias would do nothing."""
    kernel = init.he_normal()
    conv = Conv2D(filters, size, strides, "same", use_bias=False, kernel_init=kernel)
    return BatchNorm()(conv(x))


def _short(x: Tensor, filters: int, strides: int) -> Tensor:
    same = strides == 1 and x.shape[-1] == filters
    return x if same else convolution(x, filters, 1, strides)


def _small(depth: int, classes: int, filters: int, x: Tensor) -> Tensor:
    y = relu(convolution(x, filters, 3))
    for stage in range(3):
        for i in range((depth - 2) // 6):
            y = _plain(y, filters << stage, 2 if stage and not i else 1)
    return Dense(classes)(global_avg_pool(y))


def _plain(x: Tensor, filters: int, strides: int) -> Tensor:
    y = relu(convolution(x, filters, 3, strides))
    y = convolution(y, filters, 3)
    return relu(y + _short(x, filters, strides))


def _large(blocks: tuple[int, ...], classes: int, x: Tensor) -> Tensor:
    y = relu(convolution(x, 64, 7, 2))
    y = max_pool(y, 3, 2, "same")
    for stage, count in enumerate(blocks):
        for i in range(count):
            y = _bottleneck(y, 64 << stage, 2 if stage and not i else 1)
    return Dense(classes)(global_avg_pool(y))


def _bottleneck(x: Tensor, filters: int, strides: int) -> Tensor:
    y = relu(convolution(x, filters, 1))
    y = relu(convolution(y, filters, 3, strides))  # the resolution falls here, as in later versions
    y = convolution(y, 4 * filters, 1)
    return relu(y + _short(x, 4 * filters, strides))
