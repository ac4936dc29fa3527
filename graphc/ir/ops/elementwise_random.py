"""Random bits as floats, element by element."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graphc.errors import DTypeError
from graphc.ir.loops.numpy_emitter import NumpyEmitter
from graphc.ir.loops.scalar import S, ScalarEmitter
from graphc.ir.ops.elementwise import PiecewiseConstant
from graphc.ir.ops.op import Samples
from graphc.ir.types import Array, TensorType, bfloat16, float16, float32, float64, uint32


class UnitFloat(PiecewiseConstant):
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

    def emit(self, e: ScalarEmitter[S], bits: S) -> S:
        """As defined at the loop level."""
        return e.apply("unit_float", bits)

    @classmethod
    def samples(cls) -> Samples:
        """Several sizes."""
        return tuple((cls(), (TensorType(uint32, shape),)) for shape in ((3, 5), (0,), (101,)))


class NormalFloat(PiecewiseConstant):
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
        """By the definition, whose bits it is."""
        return defined(self.name, first, second)

    def emit(self, e: ScalarEmitter[S], first: S, second: S) -> S:
        """As defined at the loop level."""
        return e.apply("normal_float", first, second)

    @classmethod
    def samples(cls) -> Samples:
        """Several sizes."""
        shapes = (3, 5), (0,), (101,)
        return tuple((cls(), (TensorType(uint32, s), TensorType(uint32, s))) for s in shapes)


class ExponentialFloat(PiecewiseConstant):
    """uint32 bits as a standard exponential variate: -log((bits + 1/2) / 2**32)"""

    name = "exponential_float"
    kinds = "u"
    cost = 15

    def infer(self, *types: TensorType) -> TensorType:
        """float32 from uint32."""
        check_bits(self.name, types)
        return types[0].with_dtype(float32)

    def evaluate(self, bits: Array) -> Array:
        """By the definition, whose bits it is."""
        return defined(self.name, bits)

    def emit(self, e: ScalarEmitter[S], bits: S) -> S:
        """As defined at the loop level."""
        return e.apply("exponential_float", bits)

    @classmethod
    def samples(cls) -> Samples:
        """Several sizes."""
        return tuple((cls(), (TensorType(uint32, shape),)) for shape in ((3, 5), (0,), (101,)))


@dataclass(frozen=True)
class BitExact(PiecewiseConstant):
    """log, exp or erf_inv with the same bits on every target, for random numbers"""

    name = "plain"
    function: str = "log"
    kinds = "f"
    cost = 20
    domain = ((0.1, 0.9),)

    def evaluate(self, x: Array) -> Array:
        """By the definition, whose bits it is."""
        return defined(f"plain_{self.function}", x)

    def emit(self, e: ScalarEmitter[S], x: S) -> S:
        """As defined at the loop level."""
        return e.apply(f"plain_{self.function}", x)

    @classmethod
    def samples(cls) -> Samples:
        """Every function of every dtype."""
        return tuple(
            (cls(function), (TensorType(dtype, shape),))
            for function in ("log", "exp", "erf_inv")
            for dtype in (float16, bfloat16, float32, float64)
            for shape in ((3, 5), (0,), (101,))
        )


def defined(function: str, *xs: Array) -> Array:
    """A function of the loop level: random numbers have one definition, down to their bits."""
    return np.asarray(NumpyEmitter().apply(function, *xs))


def check_bits(name: str, types: tuple[TensorType, ...]) -> None:
    """Raise unless all dtypes are uint32."""
    for i, t in enumerate(types):
        if t.dtype != uint32:
            raise DTypeError(f"{name}: needs uint32, got {t.dtype.name} (input {i})")
