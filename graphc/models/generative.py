"""Models that make pictures: variational autoencoder, DCGAN, diffusion."""

from __future__ import annotations

import math
from functools import partial

from graphc import init
from graphc.frontend import functions as fn
from graphc.frontend.tensor import Tensor
from graphc.frontend.typing import TensorLike
from graphc.nn import (
    BatchNorm,
    Conv2D,
    ConvTranspose2D,
    Dense,
    Flatten,
    GroupNorm,
    Layer,
    Sequential,
    UpSampling,
    layer,
    leaky_relu,
    relu,
    sigmoid_cross_entropy,
    silu,
    tanh,
)
from graphc.nn.model import Function
from graphc.nn.owner import owned
from graphc.random import normal


class VAE(Layer):
    """A variational autoencoder of values between 0 and 1 (Kingma and Welling 2014).

    `net(x)` gives the negative evidence bound (batch,) of (batch, inputs); `encode(x)` the mean and
    the logarithm of the variance (batch, latent); `decode(z)` logits (batch, inputs).
    """

    def __init__(self, inputs: int, latent: int = 20, units: int = 400) -> None:
        self.reader = Dense(units, "relu", name="reader")
        self.mean, self.spread = Dense(latent, name="mean"), Dense(latent, name="spread")
        self.writer = Sequential([Dense(units, "relu"), Dense(inputs)], name="writer")

    def call(self, x: Tensor) -> Tensor:
        """The negative evidence bound, with one draw."""
        mean, log_variance = self.encode(x)
        z = mean + fn.exp(0.5 * log_variance) * normal(mean.shape, name="z")
        lost = fn.sum(sigmoid_cross_entropy(self.decode(z), x), axis=-1)
        away = fn.exp(log_variance) + mean * mean - 1.0 - log_variance
        return lost + 0.5 * fn.sum(away, axis=-1)

    @owned
    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance."""
        h = self.reader(x)
        return self.mean(h), self.spread(h)

    @owned
    def decode(self, z: Tensor) -> Tensor:
        """Logits of the values."""
        return self.writer(z)


def _small() -> init.Initializer:
    return init.normal(std=0.02)


def dcgan_generator(size: int = 32, channels: int = 3, filters: int = 64) -> Function:
    """The generator of DCGAN (Radford, Metz and Chintala 2016): noise (batch, n) -> pictures
    (batch, size, size, channels) between -1 and 1; size is 4 times a power of 2."""
    return layer(partial(_generate, size, channels, filters), name="generator")


def _generate(size: int, channels: int, filters: int, z: Tensor) -> Tensor:
    steps = int(math.log2(size // 4))
    width = filters << (steps - 1)
    x = fn.reshape(Dense(16 * width, use_bias=False)(z), (z.shape[0], 4, 4, width))
    x = relu(BatchNorm()(x))
    for i in reversed(range(steps - 1)):
        conv = ConvTranspose2D(filters << i, 4, 2, "same", use_bias=False, kernel_init=_small())
        x = relu(BatchNorm()(conv(x)))
    return tanh(ConvTranspose2D(channels, 4, 2, "same", kernel_init=_small())(x))


def dcgan_discriminator(size: int = 32, filters: int = 64) -> Function:
    """The discriminator of DCGAN: (batch, size, size, channels) -> logits (batch, 1)."""
    return layer(partial(_judge, size, filters), name="discriminator")


def _judge(size: int, filters: int, x: Tensor) -> Tensor:
    for i in range(int(math.log2(size // 4))):
        conv = Conv2D(filters << i, 4, 2, "same", use_bias=not i, kernel_init=_small())
        x = conv(x)
        x = leaky_relu(BatchNorm()(x) if i else x, 0.2)
    return Dense(1)(Flatten()(x))


def diffusion_unet(channels: int = 1, filters: int = 32, levels: int = 2) -> Function:
    """What tells the noise in a picture (Ho, Jain and Abbeel 2020, without attention): (x, t) with
    (batch, height, width, channels) and times (batch,) from 0 to 1 -> the noise."""
    return layer(partial(_denoise, channels, filters, levels), name="diffusion_unet")


def _denoise(channels: int, filters: int, levels: int, x: Tensor, t: TensorLike) -> Tensor:
    time = Dense(4 * filters, "silu")(_waves(t, filters))
    x, kept = Conv2D(filters, 3, padding="same")(x), []
    for level in range(levels):
        x = _timed(x, time, filters << level)
        kept.append(x)
        x = Conv2D(filters << level, 3, 2, "same")(x)
    x = _timed(x, time, filters << levels)
    for level in reversed(range(levels)):
        x = Conv2D(filters << level, 3, padding="same")(UpSampling(2)(x))
        x = _timed(fn.concat([x, kept[level]], axis=-1), time, filters << level)
    x = silu(GroupNorm(8)(x))
    return Conv2D(channels, 3, padding="same", kernel_init=init.zeros())(x)


def _timed(x: Tensor, time: Tensor, filters: int) -> Tensor:
    """A residual block that knows the time."""
    y = Conv2D(filters, 3, padding="same")(x)
    y = silu(GroupNorm(8)(y)) + fn.expand_dims(Dense(filters)(time), (1, 2))
    y = silu(GroupNorm(8)(Conv2D(filters, 3, padding="same")(y)))
    return y + (x if x.shape[-1] == filters else Conv2D(filters, 1)(x))


def _waves(t: TensorLike, count: int) -> Tensor:
    """Sines and cosines of times, (batch, count)."""
    half = count // 2
    rates = fn.exp(fn.arange(half, dtype="float32") * (-math.log(1e4) / max(half - 1, 1)))
    angles = 1000.0 * fn.expand_dims(fn.asarray(t), 1) * rates
    return fn.concat([fn.sin(angles), fn.cos(angles)], axis=-1)
