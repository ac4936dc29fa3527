"""Layers that join, repeat, scale or rearrange."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphc import init
from graphc import origin as origins
from graphc.errors import ArgumentError, ShapeError
from graphc.frontend import functions as fn
from graphc.frontend.arguments import integer, integers
from graphc.frontend.functions.operands import cast, fail, same_dtype, widened
from graphc.frontend.tensor import Tensor, lift
from graphc.ir.dims import Size
from graphc.ir.types import float32
from graphc.nn import activations
from graphc.nn.layers import Layer, check_count
from graphc.nn.pooling_layers import MaxPool2D
from graphc.nn.resize import resize
from graphc.nn.spatial import Conv2D, channel_count
from graphc.nn.windows import (
    CHANNELS_LAST,
    Extent,
    channel_axis,
    check_layout,
    check_rank,
    per_axis,
)


class Input(Layer):
    """The shape of one example, as the first layer of a `Sequential`: Input((28, 28, 1))."""

    kind = "input"

    def __init__(self, shape: Sequence[Size], name: str | None = None) -> None:
        super().__init__(name)
        self.set_option("input_shape", shape)

    def call(self, x: Tensor) -> Tensor:
        """The same; raises where an example has another shape."""
        shape = self.input_shape
        assert shape is not None
        if x.ndim != len(shape) + 1 or any(
            isinstance(a, int) and isinstance(b, int) and a != b for a, b in zip(x.shape[1:], shape)
        ):
            fail(ShapeError, f"{self.name}: needs (batch, {', '.join(map(str, shape))})", (x,))
        return x


class _OfSeveral(Layer):
    """A layer that is called on a list of tensors."""

    def __call__(self, xs: Any) -> Tensor:
        """Join the tensors of a list."""
        if not isinstance(xs, (list, tuple)) or not xs:
            raise ArgumentError(
                f"{self.name}: needs a list of tensors, got {xs!r:.60}",
                origin=origins.find_origin(),
            )
        return self.join([lift(x) for x in xs])

    def join(self, xs: list[Tensor]) -> Tensor:
        """One tensor of several."""
        raise NotImplementedError

    def alike(self, xs: list[Tensor]) -> list[Tensor]:
        """The tensors, which must have one shape."""
        for x in xs[1:]:
            if x.shape != xs[0].shape:
                fail(
                    ShapeError, f"{self.name}: shapes differ: {xs[0].type} vs {x.type}", (xs[0], x)
                )
        return list(same_dtype(self.name, xs))


class Concatenate(_OfSeveral):
    """Tensors of a list one after the other along an axis."""

    kind = "concatenate"

    def __init__(self, axis: int = -1, name: str | None = None) -> None:
        super().__init__(name)
        self.axis = integer("Concatenate", "axis", axis)

    def join(self, xs: list[Tensor]) -> Tensor:
        """All of them."""
        return fn.concat(xs, axis=self.axis)


class Add(_OfSeveral):
    """The sum of tensors of one shape."""

    kind = "add"

    def join(self, xs: list[Tensor]) -> Tensor:
        """Their sum."""
        total, *others = self.alike(xs)
        for x in others:
            total = total + x
        return total


class Multiply(_OfSeveral):
    """The product of tensors of one shape, element by element."""

    kind = "multiply"

    def join(self, xs: list[Tensor]) -> Tensor:
        """Their product."""
        total, *others = self.alike(xs)
        for x in others:
            total = total * x
        return total


class TimeDistributed(Layer):
    """A layer applied to every step by itself: (batch, time, ...) -> (batch, time, ...)."""

    kind = "time_distributed"

    def __init__(self, layer: Callable[[Tensor], Tensor], name: str | None = None) -> None:
        super().__init__(name)
        if not callable(layer):
            raise ArgumentError(f"TimeDistributed: needs a layer, got {layer!r:.60}")
        self.layer = layer

    def call(self, x: Tensor) -> Tensor:
        """The layer on all steps as one batch."""
        if x.ndim < 2:
            fail(ShapeError, f"{self.name}: needs (batch, time, ...), got {x.type}", (x,))
        batch, time = x.shape[:2]
        y = self.layer(fn.reshape(x, (batch * time, *x.shape[2:])))
        return fn.reshape(y, (batch, time, *y.shape[1:]))


class LeakyReLU(Layer):
    """x where positive, slope * x elsewhere."""

    kind = "leaky_relu"

    def __init__(self, slope: float = 0.3, name: str | None = None) -> None:
        super().__init__(name)
        self.slope = slope

    def call(self, x: Tensor) -> Tensor:
        """The shape of x."""
        return activations.leaky_relu(x, self.slope)


class PReLU(Layer):
    """x where positive, slope * x elsewhere, with a learned slope for each channel (He et al.
    2015)."""

    kind = "prelu"

    def __init__(self, slope_init: init.Initializer | None = None, name: str | None = None) -> None:
        super().__init__(name)
        self.slope_init = slope_init or init.constant(0.25)

    def call(self, x: Tensor) -> Tensor:
        """The shape of x."""
        self.check_float(x)
        slope = self.parameter("slope", (self.features(x),), self.slope_init, x.dtype)
        return activations.prelu(x, slope)


class Rescaling(Layer):
    """x * scale + offset; integers become float32: Rescaling(1 / 255) for images of bytes."""

    kind = "rescaling"

    def __init__(self, scale: float, offset: float = 0.0, name: str | None = None) -> None:
        super().__init__(name)
        self.scale, self.offset = scale, offset

    def call(self, x: Tensor) -> Tensor:
        """The shape of x."""
        y = x if x.dtype.is_float else fn.astype(x, float32)
        return y * self.scale + self.offset


class Permute(Layer):
    """The axes behind the batch in another order; 1 is the first of them."""

    kind = "permute"

    def __init__(self, axes: Sequence[int], name: str | None = None) -> None:
        super().__init__(name)
        axes = integers("Permute", "axes", axes)
        if sorted(axes) != list(range(1, len(axes) + 1)):
            raise ArgumentError(f"Permute: axes must be 1 to {len(axes)} in any order, got {axes}")
        self.axes = tuple(axes)

    def call(self, x: Tensor) -> Tensor:
        """(batch, ...) -> (batch, ...)."""
        return fn.permute_dims(x, (0, *self.axes))


class RepeatVector(Layer):
    """(batch, features) -> (batch, count, features)."""

    kind = "repeat_vector"

    def __init__(self, count: int, name: str | None = None) -> None:
        super().__init__(name)
        check_count("RepeatVector", "count", count)
        self.count = count

    def call(self, x: Tensor) -> Tensor:
        """The same vector at every step."""
        if x.ndim != 2:
            fail(ShapeError, f"{self.name}: needs (batch, features), got {x.type}", (x,))
        return fn.broadcast_to(fn.expand_dims(x, 1), (x.shape[0], self.count, x.shape[1]))


class UpSampling(Layer):
    """Images that are `size` times as large: elements repeated, or interpolated ("linear",
    "cubic"; see nn.resize)."""

    kind = "up_sampling"

    def __init__(
        self,
        size: Extent = 2,
        method: str = "nearest",
        layout: str = CHANNELS_LAST,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.size, self.method, self.layout = size, method, layout

    def call(self, x: Tensor) -> Tensor:
        """(batch, *spatial, channels) -> the same with more positions."""
        check_layout(self.name, self.layout, (x,))
        rank = check_rank(self.name, x, (x,))
        factors = per_axis(self.name, "size", self.size, rank, 1, (x,))
        first = 2 if channel_axis(self.layout, x.ndim) == 1 else 1
        if self.method != "nearest":
            sizes = [n * f for n, f in zip(x.shape[first : first + len(factors)], factors)]
            return resize(x, sizes, self.method, layout=self.layout)
        for axis, factor in enumerate(factors, first):
            x = _repeated(x, axis, factor)
        return x


class LocalResponseNorm(Layer):
    """x / (k + alpha * sum of x^2 over `size` neighbouring channels)^beta (Krizhevsky, Sutskever
    and Hinton 2012), channels last."""

    kind = "local_response_norm"

    def __init__(
        self,
        size: int = 5,
        alpha: float = 1e-4,
        beta: float = 0.75,
        k: float = 2.0,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        check_count("LocalResponseNorm", "size", size)
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def call(self, x: Tensor) -> Tensor:
        """The shape of x."""
        self.check_float(x)
        channels, wide = self.features(x), widened(x)
        before, after = self.size // 2, (self.size - 1) // 2
        squares = fn.pad(wide * wide, [(0, 0)] * (x.ndim - 1) + [(before, after)])
        total = squares[..., :channels]
        for i in range(1, self.size):
            total = total + squares[..., i : i + channels]
        return cast(wide * fn.exp(-self.beta * fn.log(self.k + self.alpha * total)), x.dtype)


class Inception(Layer):
    """Convolutions of sizes 1, 3 and 5 and a pool beside each other, joined along the channels
    (Szegedy et al. 2015).

    `filters` are those of the 1x1, of the 3x3 behind its 1x1, of the 5x5 behind its 1x1, and of the
    1x1 behind the pool: (64, (96, 128), (16, 32), 32).
    """

    kind = "inception"

    def __init__(
        self,
        filters: tuple[int, tuple[int, int], tuple[int, int], int],
        activation: activations.ActivationLike = "relu",
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        try:
            one, (reduce3, three), (reduce5, five), pooled = filters
        except (TypeError, ValueError):
            raise ArgumentError(
                f"Inception: filters must be (a, (b, c), (d, e), f), got {filters!r:.60}",
                origin=origins.find_origin(),
            ) from None
        shared: dict[str, Any] = {"padding": "same", "activation": activation}
        self.one = Conv2D(one, 1, name="one", **shared)
        self.three = [
            Conv2D(reduce3, 1, name="three_reduce", **shared),
            Conv2D(three, 3, name="three", **shared),
        ]
        self.five = [
            Conv2D(reduce5, 1, name="five_reduce", **shared),
            Conv2D(five, 5, name="five", **shared),
        ]
        self.pooled = [
            MaxPool2D(3, 1, "same", name="pool"),
            Conv2D(pooled, 1, name="pool_project", **shared),
        ]

    def call(self, x: Tensor) -> Tensor:
        """(batch, height, width, in) -> (batch, height, width, the sum of the filters)."""
        channel_count(self, x, 2, CHANNELS_LAST)
        branches: list[list[Any]] = [[self.one], self.three, self.five, self.pooled]
        return fn.concat([_through(branch, x) for branch in branches], axis=-1)


def _through(layers: Sequence[Callable[[Tensor], Tensor]], x: Tensor) -> Tensor:
    for layer in layers:
        x = layer(x)
    return x


def _repeated(x: Tensor, axis: int, count: int) -> Tensor:
    """Every element `count` times along an axis."""
    if count == 1:
        return x
    shape = x.shape
    wide = fn.broadcast_to(
        fn.expand_dims(x, axis + 1), (*shape[: axis + 1], count, *shape[axis + 1 :])
    )
    return fn.reshape(wide, (*shape[:axis], shape[axis] * count, *shape[axis + 1 :]))
