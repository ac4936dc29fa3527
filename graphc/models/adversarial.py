"""More generators of pictures: CoGAN, progressive growing, StyleGAN."""

from __future__ import annotations

import math
from functools import partial

from graphc import init
from graphc import origin as origins
from graphc.errors import ArgumentError
from graphc.frontend import functions as fn
from graphc.frontend.functions.operands import fail
from graphc.frontend.symbols import parameter
from graphc.frontend.tensor import Tensor
from graphc.frontend.typing import TensorLike
from graphc.nn import (
    BatchNorm,
    Conv2D,
    ConvTranspose2D,
    Dense,
    InstanceNorm,
    Layer,
    UpSampling,
    layer,
    leaky_relu,
    relu,
    tanh,
)
from graphc.nn.model import Function
from graphc.random import normal


def cogan_generator(size: int = 32, channels: int = 3, filters: int = 64) -> Function:
    """The generators of CoGAN (Liu and Tuzel 2016): noise (batch, n) -> two pictures (batch, size,
    size, channels) between -1 and 1, of two kinds, which share all layers but the last two."""
    return layer(partial(_couple, _doublings("cogan_generator", size), channels, filters), "cogan")


def _couple(steps: int, channels: int, filters: int, z: Tensor) -> tuple[Tensor, Tensor]:
    width = filters << (steps - 1)
    x = fn.reshape(Dense(16 * width, use_bias=False)(z), (z.shape[0], 4, 4, width))
    x = relu(BatchNorm()(x))
    for i in reversed(range(1, steps - 1)):
        x = _larger(x, filters << i)
    first, second = (_own(x, channels, filters, steps) for _ in range(2))
    return first, second


def _larger(x: Tensor, filters: int) -> Tensor:
    return relu(BatchNorm()(ConvTranspose2D(filters, 4, 2, "same", use_bias=False)(x)))


def _own(x: Tensor, channels: int, filters: int, steps: int) -> Tensor:
    x = _larger(x, filters) if steps > 1 else x
    return tanh(ConvTranspose2D(channels, 4, 2, "same")(x))


class Growing(Layer):
    """A generator whose resolution is doubled while it learns."""

    kind = "progressive_generator"

    def __init__(self, steps: int, channels: int, filters: int) -> None:
        super().__init__()
        self.first = Dense(16 * filters, name="first")
        self.blocks = [
            [_convolution(max(8, filters >> i), f"block_{4 << i}_{part}") for part in range(2)]
            for i in range(steps + 1)
        ]
        self.pictures = [Conv2D(channels, 1, name=f"picture_{4 << i}") for i in range(steps + 1)]
        self.enlarge, self.filters = UpSampling(2), filters

    def call(self, z: Tensor, fade: TensorLike = 1.0, size: int | None = None) -> Tensor:
        """Noise (batch, n) -> pictures of `size`, at most and by default the last one."""
        steps = len(self.blocks) - 1 if size is None else _doublings(self.name, size)
        if steps >= len(self.blocks):
            fail(ArgumentError, f"{self.name}: grows to {2 << len(self.blocks)}, not {size}", (z,))
        x = self._block(0, fn.reshape(self.first(_pixel_norm(z)), (-1, 4, 4, self.filters)))
        below = x
        for i in range(1, steps + 1):
            below, x = x, self._block(i, self.enlarge(x))
        now = self.pictures[steps](x)
        if not steps:
            return now
        share = fn.astype(fn.asarray(fade), now.dtype)
        return share * now + (1.0 - share) * self.enlarge(self.pictures[steps - 1](below))

    def _block(self, i: int, x: Tensor) -> Tensor:
        for conv in self.blocks[i]:
            x = _pixel_norm(leaky_relu(conv(x), 0.2))
        return x


def progressive_generator(size: int = 32, channels: int = 3, filters: int = 64) -> Growing:
    """A generator that grows (Karras et al. 2018): noise (batch, n) -> pictures (batch, size, size,
    channels).

    `net(z, fade, size)` makes smaller ones, by the parameters that larger ones go on with; `fade`
    says how much of a picture is of its last resolution, the rest being that of the one before,
    enlarged: it goes from 0 to 1 when a resolution is added.
    """
    return Growing(_doublings("progressive_generator", size), channels, filters)


def _convolution(filters: int, name: str | None = None) -> Conv2D:
    return Conv2D(filters, 3, padding="same", kernel_init=init.he_normal(), name=name)


def _pixel_norm(x: Tensor) -> Tensor:
    """Vectors of mean square 1."""
    return x / fn.sqrt(fn.mean(x * x, axis=-1, keepdims=True) + 1e-8)


def stylegan_generator(size: int = 32, channels: int = 3, filters: int = 64) -> Function:
    """The generator of StyleGAN (Karras, Laine and Aila 2019): noise (batch, n) -> pictures (batch,
    size, size, channels).

    Eight dense layers, `mapping_1` and so on (in the paper they learn a hundredth as fast as the
    rest), make a style of the noise; a constant grows to a picture, and at every resolution the
    style scales and moves its normalised channels, twice, after noise of a single channel was
    added.
    """
    return layer(
        partial(_styled, _doublings("stylegan_generator", size), channels, filters), "stylegan"
    )


def _styled(steps: int, channels: int, filters: int, z: Tensor) -> Tensor:
    w = _pixel_norm(z)
    for i in range(8):
        dense = Dense(2 * filters, kernel_init=init.he_normal(), name=f"mapping_{i + 1}")
        w = leaky_relu(dense(w), 0.2)
    start = parameter("constant", (1, 4, 4, filters), init.ones())
    x = fn.broadcast_to(start, (z.shape[0], 4, 4, filters))
    for i in range(steps + 1):
        width = max(8, filters >> i)
        if i:
            x = UpSampling(2)(x)
        for part in range(2):
            if i or part:
                x = _convolution(width)(x)
            x = _style(leaky_relu(_noisy(x, f"noise_{4 << i}_{part}"), 0.2), w)
    return Conv2D(channels, 1)(x)


def _noisy(x: Tensor, name: str) -> Tensor:
    """Noise of one channel added, as strong for each channel as is learnt."""
    strength = parameter(f"{name}_strength", (x.shape[-1],), init.zeros())
    return x + strength * normal((*x.shape[:-1], 1), name=name)


def _style(x: Tensor, w: Tensor) -> Tensor:
    """Adaptive instance normalisation (Huang and Belongie 2017)."""
    count = x.shape[-1]
    assert isinstance(count, int)
    scale, move = (fn.expand_dims(Dense(count)(w), (1, 2)) for _ in range(2))
    normed = InstanceNorm(use_scale=False, use_bias=False)(x)
    return normed * (1.0 + scale) + move


def _doublings(name: str, size: int) -> int:
    """How often 4 is doubled to get a size."""
    if size < 4 or size & (size - 1):
        raise ArgumentError(
            f"{name}: size must be 4, 8, 16, ..., got {size}", origin=origins.find_origin()
        )
    return int(math.log2(size // 4))
