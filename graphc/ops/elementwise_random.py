"""Random bits as floats, element by element."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.errors import DTypeError
from graphc.loops.scalar import ScalarEmitter
from graphc.ops.base import Array, Op
from graphc.ops.elementwise import Flat
from graphc.types import TensorType, float32, uint32


class UnitFloat(Flat):
    """uint32 bits as a float32 in [0, 1): the upper 24 bits times 2**-24"""

    name = "unit_float"
    kinds = "u"
    cost = 3

    def infer(self, *types: TensorType) -> TensorType:
        """float32 from uint32."""
        check_bits(self.name, types)
        return types[0].with_dtype(float32)

    def evaluate(self, bits: Array) -> Array:
        """A product that is exact."""
        return np.asarray((bits >> np.uint32(8)) * 2.0**-24, np.float32)

    def emit(self, e: ScalarEmitter[Any], bits: Any) -> Any:
        """As defined at the loop level."""
        return e.apply("unit_float", bits)

    @classmethod
    def samples(cls) -> tuple[tuple[Op, tuple[TensorType, ...]], ...]:
        """Several sizes."""
        return tuple((cls(), (TensorType(uint32, shape),)) for shape in ((3, 5), (0,), (101,)))


class NormalFloat(Flat):
    """Two uint32 as a standard normal variate: Box and Muller's r cos(2 pi v)"""

    name = "normal_float"
    kinds = "u"
    cost = 30

    def infer(self, *types: TensorType) -> TensorType:
        """float32 from uint32."""
        self.check_shapes(types)
        check_bits(self.name, types)
        return types[0].with_dtype(float32)

    def evaluate(self, first: Array, second: Array) -> Array:
        """u = (first + 1/2) / 2**32 in float32, all else in float64 and rounded once."""
        u = (first.astype(np.float32) + np.float32(0.5)).astype(np.float64) * 2.0**-32
        v = second.astype(np.float64) * 2.0**-32
        return np.asarray(np.sqrt(-2.0 * np.log(u)) * np.cos(2.0 * np.pi * v), np.float32)

    def emit(self, e: ScalarEmitter[Any], first: Any, second: Any) -> Any:
        """As defined at the loop level."""
        return e.apply("normal_float", first, second)

    @classmethod
    def samples(cls) -> tuple[tuple[Op, tuple[TensorType, ...]], ...]:
        """Several sizes."""
        shapes = (3, 5), (0,), (101,)
        return tuple((cls(), (TensorType(uint32, s), TensorType(uint32, s))) for s in shapes)


class ExponentialFloat(Flat):
    """uint32 bits as a standard exponential variate: -log((bits + 1/2) / 2**32)"""

    name = "exponential_float"
    kinds = "u"
    cost = 15

    def infer(self, *types: TensorType) -> TensorType:
        """float32 from uint32."""
        check_bits(self.name, types)
        return types[0].with_dtype(float32)

    def evaluate(self, bits: Array) -> Array:
        """In float64, rounded once."""
        return np.asarray(-np.log((bits.astype(np.float64) + 0.5) * 2.0**-32), np.float32)

    def emit(self, e: ScalarEmitter[Any], bits: Any) -> Any:
        """As defined at the loop level."""
        return e.apply("exponential_float", bits)

    @classmethod
    def samples(cls) -> tuple[tuple[Op, tuple[TensorType, ...]], ...]:
        """Several sizes."""
        return tuple((cls(), (TensorType(uint32, shape),)) for shape in ((3, 5), (0,), (101,)))


def check_bits(name: str, types: tuple[TensorType, ...]) -> None:
    """Raise unless all dtypes are uint32."""
    for i, t in enumerate(types):
        if t.dtype != uint32:
            raise DTypeError(f"{name}: needs uint32, got {t.dtype.name} (input {i})")
