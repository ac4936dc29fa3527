"""Layers over sequences, images and volumes: convolutions."""

from __future__ import annotations

from typing import Any

from graphc import init
from graphc import origin as origins
from graphc.errors import ArgumentError, ShapeError
from graphc.frontend import functions as fn
from graphc.frontend.tensor import Tensor
from graphc.ir import graph as graphs
from graphc.nn import activations
from graphc.nn.activations import ActivationLike
from graphc.nn.convolution import conv, conv_transpose
from graphc.nn.layers import Layer, check_count
from graphc.nn.windows import (
    CHANNELS_FIRST,
    CHANNELS_LAST,
    Extent,
    Padding,
    channel_axis,
    check_layout,
    per_axis,
)


def channel_count(layer: Layer, x: Tensor, rank: int, layout: str) -> int:
    """The size of the channel axis of x; raises where it is not known or the rank is another."""
    check_layout(layer.name, layout, (x,))
    if x.ndim != rank + 2:
        raise ShapeError(
            f"{layer.name}: needs {rank + 2} axes, got {x.type}",
            operands=graphs.describe((x.node,)),
            origin=origins.find_origin(),
            hint=f"batch, {rank} spatial axes and channels ({layout})",
        )
    axis = channel_axis(layout, x.ndim)
    size = x.shape[axis]
    if not isinstance(size, int):
        raise ShapeError(
            f"{layer.name}: the channel axis {axis} must have a known size, got {x.type}",
            operands=graphs.describe((x.node,)),
            origin=origins.find_origin(),
        )
    return size


class ConvolutionLayer(Layer):
    """activation(convolution of x and kernel, plus bias) over `rank` spatial axes."""

    rank = 0

    def __init__(
        self,
        filters: int,
        kernel_size: Extent,
        strides: Extent = 1,
        padding: Padding = "valid",
        dilation: Extent = 1,
        groups: int = 1,
        activation: ActivationLike = None,
        use_bias: bool = True,
        layout: str = CHANNELS_LAST,
        kernel_init: init.Initializer | None = None,
        bias_init: init.Initializer | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.filters, self.use_bias, self.layout = filters, use_bias, layout
        self.kernel_size = per_axis(self.kind, "kernel_size", kernel_size, self.rank, 1, ())
        self.arguments: dict[str, Any] = {
            "strides": strides, "padding": padding, "dilation": dilation,
            "groups": groups, "layout": layout,
        }  # fmt: skip
        self.activation = activations.find(activation)
        self.kernel_init = kernel_init or init.glorot_uniform()
        self.bias_init = bias_init or init.zeros()

    def call(self, x: Tensor) -> Tensor:
        """(batch, *spatial, in) -> (batch, *spatial, filters)."""
        self.check_float(x)
        channels = channel_count(self, x, self.rank, self.layout)
        shape = (*self.kernel_size, *self.kernel_channels(channels))
        y = self.convolve(x, self.parameter("kernel", shape, self.kernel_init, x.dtype))
        if self.use_bias:
            bias = self.parameter("bias", (self.filters,), self.bias_init, x.dtype)
            first = self.layout == CHANNELS_FIRST
            ones = (1,) * self.rank if first else ()
            y = y + fn.reshape(bias, (self.filters, *ones))
        result: Tensor = self.activation(y)
        return result

    def kernel_channels(self, channels: int) -> tuple[int, int]:
        """The last two sizes of the kernel."""
        return self.divided(channels), self.filters

    def divided(self, channels: int) -> int:
        """The channels of one group."""
        groups = self.arguments["groups"]
        if not isinstance(groups, int) or groups < 1 or channels % groups:
            raise ArgumentError(
                f"{self.name}: {channels} channels do not fall into {groups} groups",
                origin=origins.find_origin(),
            )
        return channels // groups

    def convolve(self, x: Tensor, kernel: Tensor) -> Tensor:
        """The convolution itself."""
        return conv(x, kernel, **self.arguments)


class Conv1D(ConvolutionLayer):
    """A convolution over one spatial axis; see nn.conv."""

    kind, rank = "conv1d", 1


class Conv2D(ConvolutionLayer):
    """A convolution over two spatial axes; see nn.conv."""

    kind, rank = "conv2d", 2


class Conv3D(ConvolutionLayer):
    """A convolution over three spatial axes; see nn.conv."""

    kind, rank = "conv3d", 3


class ConvTranspose(ConvolutionLayer):
    """The transpose of a convolution over `rank` spatial axes."""

    def __init__(self, *arguments: Any, output_padding: Extent = 0, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.arguments["output_padding"] = output_padding

    def kernel_channels(self, channels: int) -> tuple[int, int]:
        """The kernel is that of the convolution which this one transposes."""
        return self.divided(self.filters), channels

    def convolve(self, x: Tensor, kernel: Tensor) -> Tensor:
        """The transposed convolution."""
        return conv_transpose(x, kernel, **self.arguments)


class ConvTranspose1D(ConvTranspose):
    """The transpose of a convolution over one spatial axis; see nn.conv_transpose."""

    kind, rank = "conv_transpose1d", 1


class ConvTranspose2D(ConvTranspose):
    """The transpose of a convolution over two spatial axes; see nn.conv_transpose."""

    kind, rank = "conv_transpose2d", 2


class DepthwiseConv2D(ConvolutionLayer):
    """A convolution of each channel by itself, with `depth_multiplier` kernels each.

    (batch, *spatial, in) -> (batch, *spatial, in * depth_multiplier); the kernel is
    (*kernel_size, 1, in * depth_multiplier).
    """

    kind, rank = "depthwise_conv2d", 2

    def __init__(self, kernel_size: Extent, depth_multiplier: int = 1, **arguments: Any) -> None:
        for word in ("filters", "groups"):
            if word in arguments:
                raise ArgumentError(f"DepthwiseConv2D: takes no {word}: every channel is a group")
        super().__init__(1, kernel_size, **arguments)
        check_count("DepthwiseConv2D", "depth_multiplier", depth_multiplier)
        self.depth_multiplier = depth_multiplier

    def call(self, x: Tensor) -> Tensor:
        """(batch, *spatial, in) -> (batch, *spatial, in * depth_multiplier)."""
        channels = channel_count(self, x, self.rank, self.layout)
        self.filters = channels * self.depth_multiplier
        self.arguments["groups"] = channels
        return super().call(x)


class SeparableConv2D(ConvolutionLayer):
    """A convolution of each channel, then one of size 1 that mixes them (Chollet 2017).

    The parameters are depthwise_kernel (*kernel_size, 1, in * depth_multiplier), kernel
    (1, 1, in * depth_multiplier, filters) and bias.
    """

    kind, rank = "separable_conv2d", 2

    def __init__(
        self, filters: int, kernel_size: Extent, depth_multiplier: int = 1, **arguments: Any
    ) -> None:
        if "groups" in arguments:
            raise ArgumentError("SeparableConv2D: takes no groups: every channel is a group")
        super().__init__(filters, kernel_size, **arguments)
        check_count("SeparableConv2D", "depth_multiplier", depth_multiplier)
        self.depth_multiplier = depth_multiplier
        self.depth_size, self.kernel_size = self.kernel_size, (1, 1)

    def kernel_channels(self, channels: int) -> tuple[int, int]:
        """Those of the kernel of size 1."""
        return channels * self.depth_multiplier, self.filters

    def convolve(self, x: Tensor, kernel: Tensor) -> Tensor:
        """Both convolutions."""
        channels = channel_count(self, x, self.rank, self.layout)
        shape = (*self.depth_size, 1, channels * self.depth_multiplier)
        first = self.parameter("depthwise_kernel", shape, self.kernel_init, x.dtype)
        y = conv(x, first, **{**self.arguments, "groups": channels})
        return conv(y, kernel, layout=self.layout)
