"""Rounding to formats that are no dtype."""

from __future__ import annotations

from graphc.errors import DTypeError
from graphc.ir.loops.scalar import S, ScalarEmitter
from graphc.ir.ops.elementwise import PiecewiseConstant
from graphc.ir.ops.op import Samples
from graphc.ir.precision import TF32_HALF, TF32_MASK, rounded_to_tf32
from graphc.ir.types import Array, TensorType, float32, uint32


class RoundToTF32(PiecewiseConstant):
    """A float32 with 10 bits behind the point, away from 0 where two are as near; NaN stays"""

    name = "round_to_tf32"
    kinds = "f"
    cost = 2
    domain = ((-8.0, 8.0),)

    def infer(self, *types: TensorType) -> TensorType:
        """float32 only."""
        if types[0].dtype != float32:
            raise DTypeError(f"{self.name}: needs float32, got {types[0].dtype.name} (input 0)")
        return types[0]

    def evaluate(self, x: Array) -> Array:
        """In 64 bits, so that no carry is lost."""
        return rounded_to_tf32(x)

    def emit(self, e: ScalarEmitter[S], x: S) -> S:
        """Add half of the last bit that stays and clear those below; a carry may reach infinity."""
        above = e.add(e.bitcast(x, uint32), e.const(TF32_HALF, uint32))
        near = e.bitcast(e.bit_and(above, e.const(TF32_MASK, uint32)), float32)
        return e.select(e.ne(x, x), x, near)

    @classmethod
    def samples(cls) -> Samples:
        """Several sizes."""
        return tuple((cls(), (TensorType(float32, shape),)) for shape in ((3, 5), (0,), (101,)))
