"""Layers that reduce windows, or all positions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from graphc.errors import ArgumentError
from graphc.frontend.tensor import Tensor
from graphc.nn.layers import Layer
from graphc.nn.pooling import avg_pool, global_avg_pool, global_max_pool, max_pool
from graphc.nn.spatial import channel_count
from graphc.nn.windows import CHANNELS_LAST, Extent, Padding

Pool = Callable[..., Tensor]


class PoolingLayer(Layer):
    """A reduction of windows that slide over `rank` axes; by default they do not overlap.

    `pool_size` is Keras' name of the window. (batch, *spatial, channels) -> the same with fewer
    positions.
    """

    rank: ClassVar[int] = 0

    def __init__(
        self,
        window: Extent = 2,
        strides: Extent = None,
        padding: Padding = "valid",
        layout: str = CHANNELS_LAST,
        name: str | None = None,
        pool_size: Extent = None,
        **arguments: Any,
    ) -> None:
        super().__init__(name)
        if pool_size is not None and window != 2:
            raise ArgumentError(
                f"{type(self).__name__}: window and pool_size are the same: give one"
            )
        self.window = window if pool_size is None else pool_size
        self.strides, self.padding, self.layout = strides, padding, layout
        self.arguments = arguments

    def pool(self) -> Pool:
        """The function that reduces."""
        raise NotImplementedError

    def call(self, x: Tensor) -> Tensor:
        """(batch, *spatial, channels) -> the same with fewer positions."""
        channel_count(self, x, self.rank, self.layout)
        return self.pool()(
            x, self.window, self.strides, self.padding, layout=self.layout, **self.arguments
        )


class _MaxPool(PoolingLayer):
    def pool(self) -> Pool:
        """The largest element."""
        return max_pool


class _AvgPool(PoolingLayer):
    def pool(self) -> Pool:
        """The mean."""
        return avg_pool


class MaxPool1D(_MaxPool):
    """The largest element of each window along one axis; see nn.max_pool."""

    kind, rank = "max_pool1d", 1


class MaxPool2D(_MaxPool):
    """The largest element of each window; see nn.max_pool."""

    kind, rank = "max_pool2d", 2


class MaxPool3D(_MaxPool):
    """The largest element of each window in three axes; see nn.max_pool."""

    kind, rank = "max_pool3d", 3


class AvgPool1D(_AvgPool):
    """The mean of each window along one axis; see nn.avg_pool."""

    kind, rank = "avg_pool1d", 1


class AvgPool2D(_AvgPool):
    """The mean of each window; see nn.avg_pool."""

    kind, rank = "avg_pool2d", 2


class AvgPool3D(_AvgPool):
    """The mean of each window in three axes; see nn.avg_pool."""

    kind, rank = "avg_pool3d", 3


class GlobalPoolingLayer(Layer):
    """A reduction over all of `rank` spatial axes: (batch, *spatial, channels) -> (batch,
    channels)."""

    rank: ClassVar[int] = 0

    def __init__(
        self, layout: str = CHANNELS_LAST, keepdims: bool = False, name: str | None = None
    ) -> None:
        super().__init__(name)
        self.layout, self.keepdims = layout, keepdims

    def pool(self) -> Pool:
        """The function that reduces."""
        raise NotImplementedError

    def call(self, x: Tensor) -> Tensor:
        """(batch, *spatial, channels) -> (batch, channels)."""
        channel_count(self, x, self.rank, self.layout)
        return self.pool()(x, self.layout, self.keepdims)


class _GlobalMax(GlobalPoolingLayer):
    def pool(self) -> Pool:
        """The largest element."""
        return global_max_pool


class _GlobalAvg(GlobalPoolingLayer):
    def pool(self) -> Pool:
        """The mean."""
        return global_avg_pool


class GlobalMaxPool1D(_GlobalMax):
    """The largest element along time."""

    kind, rank = "global_max_pool1d", 1


class GlobalMaxPool2D(_GlobalMax):
    """The largest element over both spatial axes."""

    kind, rank = "global_max_pool2d", 2


class GlobalAvgPool1D(_GlobalAvg):
    """The mean along time."""

    kind, rank = "global_avg_pool1d", 1


class GlobalAvgPool2D(_GlobalAvg):
    """The mean over both spatial axes."""

    kind, rank = "global_avg_pool2d", 2


MaxPooling1D, MaxPooling2D, MaxPooling3D = MaxPool1D, MaxPool2D, MaxPool3D  # Keras' names
AveragePooling1D, AveragePooling2D, AveragePooling3D = AvgPool1D, AvgPool2D, AvgPool3D
GlobalMaxPooling1D, GlobalMaxPooling2D = GlobalMaxPool1D, GlobalMaxPool2D
GlobalAveragePooling1D, GlobalAveragePooling2D = GlobalAvgPool1D, GlobalAvgPool2D
