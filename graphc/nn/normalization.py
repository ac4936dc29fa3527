"""Layers that normalise."""

from __future__ import annotations

from collections.abc import Callable

from graphc import init
from graphc.errors import ArgumentError
from graphc.frontend.functions.operands import cast, widened
from graphc.frontend.parameter import Parameter
from graphc.frontend.tensor import Tensor, lift_op
from graphc.ir.ops.training import ModeSwitch, StateUpdate
from graphc.nn.layers import Layer, check_count
from graphc.nn.normalize import (
    batch_norm,
    check_channels,
    group_norm,
    layer_norm,
    moments,
    rms_norm,
)
from graphc.nn.windows import CHANNELS_LAST, channel_axis, check_layout


class Normalization(Layer):
    """A normalisation with a learned scale and bias for each channel."""

    def __init__(
        self,
        epsilon: float = 1e-5,
        use_scale: bool = True,
        use_bias: bool = True,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.epsilon, self.use_scale, self.use_bias = epsilon, use_scale, use_bias

    def scale(self, x: Tensor, channels: int) -> Parameter | None:
        """The factors, ones at first."""
        return self._vector("scale", x, channels, init.ones()) if self.use_scale else None

    def bias(self, x: Tensor, channels: int) -> Parameter | None:
        """The summands, zeros at first."""
        return self._vector("bias", x, channels, init.zeros()) if self.use_bias else None

    def _vector(self, role: str, x: Tensor, channels: int, first: init.Initializer) -> Parameter:
        return self.parameter(role, (channels,), first, x.dtype)


class LayerNorm(Normalization):
    """Layer normalisation over the last axis with learned scale and bias."""

    kind = "layer_norm"

    def call(self, x: Tensor) -> Tensor:
        """The shape of x."""
        self.check_float(x)
        count = self.features(x)
        return layer_norm(x, self.scale(x, count), self.bias(x, count), epsilon=self.epsilon)


class RMSNorm(Normalization):
    """Division by the root of the mean square over the last axis, with a learned scale."""

    kind = "rms_norm"

    def __init__(
        self, epsilon: float = 1e-6, use_scale: bool = True, name: str | None = None
    ) -> None:
        super().__init__(epsilon, use_scale, False, name)

    def call(self, x: Tensor) -> Tensor:
        """The shape of x."""
        self.check_float(x)
        return rms_norm(x, self.scale(x, self.features(x)), epsilon=self.epsilon)


class GroupNorm(Normalization):
    """Normalisation of groups of channels of one example, with learned scale and bias."""

    kind = "group_norm"

    def __init__(
        self,
        groups: int = 32,
        epsilon: float = 1e-5,
        use_scale: bool = True,
        use_bias: bool = True,
        layout: str = CHANNELS_LAST,
        name: str | None = None,
    ) -> None:
        super().__init__(epsilon, use_scale, use_bias, name)
        check_count("GroupNorm", "groups", groups)
        self.groups, self.layout = groups, layout

    def call(self, x: Tensor) -> Tensor:
        """The shape of x."""
        self.check_float(x)
        check_layout(self.name, self.layout, (x,))
        axis, count = check_channels(self.name, x, channel_axis(self.layout, x.ndim))
        scale, bias = self.scale(x, count), self.bias(x, count)
        return group_norm(x, self.groups, scale, bias, axis, self.epsilon)


class InstanceNorm(Normalization):
    """Normalisation of every channel of one example over its positions, with learned scale and
    bias (Ulyanov, Vedaldi and Lempitsky 2016)."""

    kind = "instance_norm"

    def __init__(
        self,
        epsilon: float = 1e-5,
        use_scale: bool = True,
        use_bias: bool = True,
        layout: str = CHANNELS_LAST,
        name: str | None = None,
    ) -> None:
        super().__init__(epsilon, use_scale, use_bias, name)
        self.layout = layout

    def call(self, x: Tensor) -> Tensor:
        """The shape of x."""
        self.check_float(x)
        check_layout(self.name, self.layout, (x,))
        axis, count = check_channels(self.name, x, channel_axis(self.layout, x.ndim))
        scale, bias = self.scale(x, count), self.bias(x, count)
        return group_norm(x, count, scale, bias, axis, self.epsilon)


class BatchNorm(Normalization):
    """Normalisation of every channel over the batch, with learned scale and bias.

    Training uses the mean and the (population) variance of the batch; every step in which the
    layer takes part moves the running ones towards them, `momentum` being the share of the old
    ones. Inference uses the running ones.
    """

    kind = "batch_norm"

    def __init__(
        self,
        momentum: float = 0.9,
        epsilon: float = 1e-5,
        use_scale: bool = True,
        use_bias: bool = True,
        layout: str = CHANNELS_LAST,
        name: str | None = None,
    ) -> None:
        super().__init__(epsilon, use_scale, use_bias, name)
        if not 0.0 <= momentum <= 1.0:
            raise ArgumentError(
                f"BatchNorm: momentum, the share of the old statistic, must be between 0 and 1,"
                f" got {momentum!r}"
            )
        self.momentum, self.layout = momentum, layout
        self._calls = 0

    def call(self, x: Tensor) -> Tensor:
        """The shape of x."""
        self.check_float(x)
        check_layout(self.name, self.layout, (x,))
        axis, count = check_channels(self.name, x, channel_axis(self.layout, x.ndim))
        scale, bias = self.scale(x, count), self.bias(x, count)
        wide = widened(x)
        mean, variance = moments(wide, axis)
        self._calls += 1
        y = batch_norm(
            wide, scale, bias, axis, self.epsilon,
            self._statistic("running_mean", mean, init.zeros()),
            self._statistic("running_variance", variance, init.ones()),
        )  # fmt: skip
        return cast(y, x.dtype)

    def _statistic(self, role: str, now: Tensor, first: Callable[..., object]) -> Tensor:
        """The statistic to normalise by: the batch's, which moves the running one, or that."""
        size = int(now.shape[0])  # type: ignore[arg-type]
        running = self.parameter(role, (size,), first, now.dtype, trainable=False)
        moved = running * self.momentum + now * (1.0 - self.momentum)
        return lift_op(
            ModeSwitch(), lift_op(StateUpdate(self._calls), now, running, moved), running
        )
