"""Pictures to pictures: pix2pix and CycleGAN."""

from __future__ import annotations

from functools import partial

from graphc import init
from graphc.frontend import functions as fn
from graphc.frontend.tensor import Tensor
from graphc.nn import (
    BatchNorm,
    Conv2D,
    ConvTranspose2D,
    InstanceNorm,
    dropout,
    layer,
    leaky_relu,
    relu,
    tanh,
)
from graphc.nn.model import Function


def _small() -> init.Initializer:
    return init.normal(std=0.02)


def pix2pix_generator(channels: int = 3, filters: int = 64, levels: int = 8) -> Function:
    """The U-Net of pix2pix (Isola et al. 2017): (batch, size, size, in) -> (batch, size, size,
    channels) between -1 and 1, size a multiple of 2^levels. 54,413,955 parameters that learn."""
    return layer(partial(_pix2pix, channels, filters, levels), name="pix2pix")


def _pix2pix(channels: int, filters: int, levels: int, x: Tensor) -> Tensor:
    widths = [min(filters << i, 8 * filters) for i in range(levels)]
    kept: list[Tensor] = []
    for i, width in enumerate(widths):
        y = leaky_relu(x, 0.2) if i else x
        x = _conv(y, width, norm=i not in (0, levels - 1))
        kept.append(x)
    for i in reversed(range(1, levels)):
        conv = ConvTranspose2D(widths[i - 1], 4, 2, "same", use_bias=False, kernel_init=_small())
        x = BatchNorm()(conv(relu(x)))
        x = dropout(x, 0.5) if levels - 5 < i < levels - 1 else x
        x = fn.concat([kept[i - 1], x], axis=-1)
    return tanh(ConvTranspose2D(channels, 4, 2, "same", kernel_init=_small())(relu(x)))


def _conv(x: Tensor, filters: int, norm: bool) -> Tensor:
    y = Conv2D(filters, 4, 2, "same", use_bias=False, kernel_init=_small())(x)
    return BatchNorm()(y) if norm else y


def patch_discriminator(filters: int = 64, depth: int = 3) -> Function:
    """Logits for overlapping patches (Isola et al. 2017): (batch, size, size, channels) -> (batch,
    rows, columns, 1); the 70 x 70 patches of the paper at depth 3."""
    return layer(partial(_patches, filters, depth), name="patch_discriminator")


def _patches(filters: int, depth: int, x: Tensor) -> Tensor:
    x = leaky_relu(Conv2D(filters, 4, 2, 1, kernel_init=_small())(x), 0.2)
    for i in range(1, depth + 1):
        strides, width = (2 if i < depth else 1), filters * min(1 << i, 8)
        y = Conv2D(width, 4, strides, 1, use_bias=False, kernel_init=_small())(x)
        x = leaky_relu(BatchNorm()(y), 0.2)
    return Conv2D(1, 4, 1, 1, kernel_init=_small())(x)


def cyclegan_generator(channels: int = 3, filters: int = 64, blocks: int = 9) -> Function:
    """The residual generator of CycleGAN (Zhu et al. 2017): (batch, size, size, in) -> (batch,
    size, size, channels) between -1 and 1."""
    return layer(partial(_cyclegan, channels, filters, blocks), name="cyclegan")


def _cyclegan(channels: int, filters: int, blocks: int, x: Tensor) -> Tensor:
    x = _normed(Conv2D(filters, 7, padding="same", use_bias=False, kernel_init=_small())(x))
    for i in (1, 2):
        conv = Conv2D(filters << i, 3, 2, "same", use_bias=False, kernel_init=_small())
        x = _normed(conv(x))
    for _ in range(blocks):
        x = x + _inner(x, filters << 2)
    for i in (1, 0):
        up = ConvTranspose2D(filters << i, 3, 2, "same", use_bias=False, kernel_init=_small())
        x = _normed(up(x))
    return tanh(Conv2D(channels, 7, padding="same", kernel_init=_small())(x))


def _normed(x: Tensor) -> Tensor:
    return relu(InstanceNorm()(x))


def _inner(x: Tensor, filters: int) -> Tensor:
    y = _normed(Conv2D(filters, 3, padding="same", use_bias=False, kernel_init=_small())(x))
    return InstanceNorm()(
        Conv2D(filters, 3, padding="same", use_bias=False, kernel_init=_small())(y)
    )
