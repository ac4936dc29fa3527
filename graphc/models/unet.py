"""U-Net, for a class at every pixel."""

from __future__ import annotations

from functools import partial

from graphc import init
from graphc.frontend import functions as fn
from graphc.frontend.tensor import Tensor
from graphc.nn import Conv2D, ConvTranspose2D, layer, max_pool
from graphc.nn.model import Function


def unet(classes: int = 1, filters: int = 64, levels: int = 4) -> Function:
    """U-Net (Ronneberger, Fischer and Brox 2015): (batch, height, width, channels) -> (batch,
    height, width, classes), with zeros around the pictures so that sizes stay; height and width are
    multiples of 2^levels. 31,030,593 parameters for pictures of one channel.
    """
    return layer(partial(_unet, classes, filters, levels), name="unet")


def _unet(classes: int, filters: int, levels: int, x: Tensor) -> Tensor:
    kept = []
    for level in range(levels):
        x = _twice(x, filters << level)
        kept.append(x)
        x = max_pool(x, 2)
    x = _twice(x, filters << levels)
    for level in reversed(range(levels)):
        x = ConvTranspose2D(filters << level, 2, 2)(x)
        x = _twice(fn.concat([kept[level], x], axis=-1), filters << level)
    return Conv2D(classes, 1)(x)


def _twice(x: Tensor, filters: int) -> Tensor:
    for _ in range(2):
        conv = Conv2D(filters, 3, padding="same", activation="relu", kernel_init=init.he_normal())
        x = conv(x)
    return x
