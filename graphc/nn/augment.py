"""Layers that change pictures (batch, height, width, channels) at random while training.

Every example draws its own change, from the step's random numbers. Inference leaves pictures as
they are.
"""

from __future__ import annotations

import math
from typing import Any

from graphc import origin as origins
from graphc.errors import ArgumentError, ShapeError
from graphc.frontend import functions as fn
from graphc.frontend.arguments import integer
from graphc.frontend.functions.operands import cast, fail, widened
from graphc.frontend.tensor import Tensor, lift_op
from graphc.ir import naming
from graphc.ir.ops.training import ModeSwitch
from graphc.ir.types import float32
from graphc.nn.layers import Layer, check_count
from graphc.random import draw

FLIPS = {"horizontal": (2,), "vertical": (1,), "horizontal_and_vertical": (1, 2)}
LUMA = (0.299, 0.587, 0.114)  # what red, green and blue add to brightness (ITU-R BT.601)


class _Augmentation(Layer):
    """A change of every picture, at training alone."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name)
        self._streams: dict[str, int] = {}

    def call(self, x: Tensor) -> Tensor:
        """(batch, height, width, channels) -> the same, or the size of a crop."""
        if x.ndim != 4:
            text = f"{self.name}: needs pictures (batch, height, width, channels), got {x.type}"
            fail(ShapeError, text, (x,))
        stream = naming.of_call(self._streams, self.name)
        return lift_op(ModeSwitch(), self.changed(x, stream), self.kept(x))

    def changed(self, x: Tensor, stream: str) -> Tensor:
        """What training sees."""
        raise NotImplementedError

    def kept(self, x: Tensor) -> Tensor:
        """What inference sees."""
        return x

    def size(self, x: Tensor) -> tuple[int, int]:
        """Height and width, which must be known."""
        height, width = x.shape[1:3]
        if not isinstance(height, int) or not isinstance(width, int):
            fail(ShapeError, f"{self.name}: needs a known height and width, got {x.type}", (x,))
        return height, width


def _uniform(x: Tensor, stream: str, low: float = 0.0, high: float = 1.0) -> Tensor:
    """A number from [low, high) for each picture, (batch,), float32."""
    unit = draw.unit_of(draw.stream((x.shape[0],), stream), float32)
    return unit * (high - low) + low


def _for_each(values: Tensor) -> Tensor:
    """(batch,) -> (batch, 1, 1, 1)."""
    return fn.reshape(values, (values.shape[0], 1, 1, 1))


class RandomFlip(_Augmentation):
    """Mirror half of the pictures: left and right ("horizontal"), up and down ("vertical"), or
    each on its own ("horizontal_and_vertical")."""

    kind = "random_flip"

    def __init__(self, mode: str = "horizontal", name: str | None = None) -> None:
        super().__init__(name)
        if mode not in FLIPS:
            raise ArgumentError(
                f"RandomFlip: mode must be one of {', '.join(FLIPS)}, got {mode!r}",
                origin=origins.find_origin(),
            )
        self.mode = mode

    def changed(self, x: Tensor, stream: str) -> Tensor:
        """Some pictures mirrored."""
        for axis in FLIPS[self.mode]:
            flipped = _uniform(x, f"{stream}/axis_{axis}") < 0.5
            x = fn.where(_for_each(flipped), fn.flip(x, axis=axis), x)
        return x


class RandomCrop(_Augmentation):
    """Cut a piece (height, width) from anywhere in each picture, with `padding` of zeros around it;
    inference cuts the middle.

    RandomCrop(32, 32, padding=4) moves pictures of 32 x 32 by up to four elements.
    """

    kind = "random_crop"

    def __init__(self, height: int, width: int, padding: int = 0, name: str | None = None) -> None:
        super().__init__(name)
        check_count("RandomCrop", "height", height)
        check_count("RandomCrop", "width", width)
        self.height, self.width = height, width
        self.padding = integer("RandomCrop", "padding", padding)
        if self.padding < 0:
            text = f"RandomCrop: padding must be 0 or more, got {padding!r}"
            raise ArgumentError(text, origin=origins.find_origin())

    def changed(self, x: Tensor, stream: str) -> Tensor:
        """A piece of each picture."""
        p = self.padding
        room = self._room(x)
        x = fn.pad(x, ((0, 0), (p, p), (p, p), (0, 0))) if p else x
        for axis, (free, wanted) in enumerate(zip(room, (self.height, self.width)), 1):
            first = fn.floor(_uniform(x, f"{stream}/axis_{axis}") * (free + 2 * p + 1))
            places = fn.expand_dims(fn.astype(first, "int32"), 1) + fn.arange(wanted, dtype="int32")
            shape = (x.shape[0], wanted, 1, 1) if axis == 1 else (x.shape[0], 1, wanted, 1)
            x = fn.take_along_axis(x, fn.reshape(places, shape), axis=axis)
        return x

    def kept(self, x: Tensor) -> Tensor:
        """The middle of each picture."""
        top, left = (free // 2 for free in self._room(x))
        return x[:, top : top + self.height, left : left + self.width]

    def _room(self, x: Tensor) -> tuple[int, int]:
        """How much larger the pictures are."""
        height, width = self.size(x)
        if height < self.height or width < self.width:
            text = f"{self.name}: cannot cut {self.height} x {self.width} from {x.type}"
            fail(ShapeError, text, (x,))
        return height - self.height, width - self.width


class RandomRotation(_Augmentation):
    """Turn each picture about its middle, by an angle from [-factor, factor] whole turns, or from
    (low, high); more than 0 is counterclockwise.

    Elements are interpolated bilinearly; outside of the picture is `fill_value`.
    """

    kind = "random_rotation"

    def __init__(self, factor: Any, fill_value: float = 0.0, name: str | None = None) -> None:
        super().__init__(name)
        self.factor = interval("RandomRotation", "factor", factor, 0.0)
        self.fill_value = fill_value

    def changed(self, x: Tensor, stream: str) -> Tensor:
        """The pictures, turned."""
        self.check_float(x)
        height, width = self.size(x)
        low, high = self.factor
        angle = fn.reshape(_uniform(x, stream, low, high) * (2.0 * math.pi), (x.shape[0], 1, 1))
        down = fn.arange(height, dtype="float32")[:, None] - (height - 1) / 2
        right = fn.arange(width, dtype="float32") - (width - 1) / 2
        cos, sin = fn.cos(angle), fn.sin(angle)
        rows = cos * down + sin * right + (height - 1) / 2
        columns = cos * right - sin * down + (width - 1) / 2
        return bilinear(x, rows, columns, self.fill_value)


def bilinear(x: Tensor, rows: Tensor, columns: Tensor, fill: float) -> Tensor:
    """Pictures read at places between their elements, (batch, height, width) of each."""
    batch, height, width, channels = x.shape
    flat = fn.reshape(x, (batch, height * width, channels))
    top, left = fn.floor(rows), fn.floor(columns)
    total: Tensor | None = None
    for r, c in ((0, 0), (0, 1), (1, 0), (1, 1)):
        row, column = top + float(r), left + float(c)
        share = (1.0 - fn.abs(rows - row)) * (1.0 - fn.abs(columns - column))
        inside = (row >= 0.0) & (row < height) & (column >= 0.0) & (column < width)
        place = fn.astype(fn.where(inside, row * width + column, 0.0), "int32")
        found = fn.take_along_axis(flat, fn.reshape(place, (batch, height * width, 1)), axis=1)
        found = fn.where(fn.expand_dims(inside, 3), fn.reshape(found, x.shape), fill)
        part = fn.expand_dims(fn.astype(share, widened(x).dtype), 3) * widened(found)
        total = part if total is None else total + part
    assert total is not None
    return cast(total, x.dtype)


class ColorJitter(_Augmentation):
    """Change brightness (x f), contrast (about the mean grey f-fold) and saturation (about the grey
    of each place f-fold), each by a factor f from [1 - b, 1 + b], or from (low, high).

    In this order, each result within `value_range` (None: no limits). Saturation needs three
    channels.
    """

    kind = "color_jitter"

    def __init__(
        self,
        brightness: Any = 0.0,
        contrast: Any = 0.0,
        saturation: Any = 0.0,
        value_range: tuple[float, float] | None = (0.0, 1.0),
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        given = {"brightness": brightness, "contrast": contrast, "saturation": saturation}
        self.factors = {k: interval("ColorJitter", k, v, 1.0) for k, v in given.items()}
        for role, (low, _) in self.factors.items():
            if low < 0:
                text = f"ColorJitter: factors of {role} must be 0 or more, got {given[role]!r}"
                raise ArgumentError(text, origin=origins.find_origin())
        self.value_range = None
        if value_range is not None:
            self.value_range = interval("ColorJitter", "value_range", value_range, 0.0)

    def changed(self, x: Tensor, stream: str) -> Tensor:
        """The pictures in other colours."""
        self.check_float(x)
        y = widened(x)
        for role, (low, high) in self.factors.items():
            if (low, high) != (1.0, 1.0):
                factor = _for_each(_uniform(x, f"{stream}/{role}", low, high))
                y = self._limited(self._towards(role, y, fn.astype(factor, y.dtype)))
        return cast(y, x.dtype)

    def _towards(self, role: str, x: Tensor, factor: Tensor) -> Tensor:
        if role == "brightness":
            return x * factor
        grey = self._grey(x, role)
        if role == "contrast":
            grey = fn.mean(grey, axis=(1, 2), keepdims=True)
        return grey + factor * (x - grey)

    def _grey(self, x: Tensor, role: str) -> Tensor:
        if x.shape[3] == 3:
            red, green, blue = (x[..., i : i + 1] for i in range(3))
            return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
        if role == "saturation":
            fail(ShapeError, f"{self.name}: saturation needs three channels, got {x.type}", (x,))
        return fn.mean(x, axis=3, keepdims=True)

    def _limited(self, x: Tensor) -> Tensor:
        return x if self.value_range is None else fn.clip(x, *self.value_range)


def interval(layer: str, role: str, given: Any, middle: float) -> tuple[float, float]:
    """A pair as it is, a number as what is about a middle; raises ArgumentError."""
    pair = given if isinstance(given, (list, tuple)) else (given,)
    known = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in pair)
    if known and all(map(math.isfinite, pair)):
        if len(pair) == 2 and pair[0] <= pair[1]:
            return float(pair[0]), float(pair[1])
        if len(pair) == 1 and pair[0] >= 0:
            low = middle - pair[0]
            return (max(0.0, low) if middle else low), middle + pair[0]
    raise ArgumentError(
        f"{layer}: {role} must be a number of 0 or more, or (low, high), got {given!r:.60}",
        origin=origins.find_origin(),
    )
