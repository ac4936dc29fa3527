"""Cases of ops for tests: instances, input types, and arrays drawn from the op's domain."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

import numpy as np

from graphc.frontend.symbols import input as make_input
from graphc.frontend.tensor import Tensor, lift_op
from graphc.ir import ops
from graphc.ir.dims import evaluate
from graphc.ir.ops.base import Elementwise, Op
from graphc.ir.ops.matrix import Matrix
from graphc.ir.types import (
    Array,
    DType,
    TensorType,
    bfloat16,
    bool_,
    find_dtype,
    float16,
    float32,
    float64,
    int8,
    int32,
    int64,
    uint8,
    uint32,
)  # fmt: skip

SHAPES: tuple[tuple[int, ...], ...] = ((), (1,), (17,), (3, 5), (0, 3), (2, 1, 33))
DTYPES = (bool_, int8, int32, int64, uint8, uint32, float16, bfloat16, float32, float64)

# Where integers are drawn if the floats' domain does not do.
INTEGERS: dict[type[Op], tuple[tuple[float, float], ...]] = {ops.Pow: ((1.0, 3.0), (0.0, 4.0))}


@dataclass(frozen=True)
class Case:
    """An op with the types of its inputs."""

    op: Op
    types: tuple[TensorType, ...]

    def __str__(self) -> str:
        inputs = ",".join(map(str, self.types))
        return f"{self.op.name}[{self.op.attributes()}]({inputs})".replace(" ", "")

    @property
    def seed(self) -> int:
        """A number that depends on nothing but the case."""
        return zlib.crc32(str(self).encode())

    def arrays(self) -> list[Array]:
        """Inputs drawn from the op's domain."""
        rng = np.random.default_rng(self.seed)
        return [draw(self, i, rng) for i in range(len(self.types))]

    def tensors(self, arrays: list[Array], number: int = 0) -> tuple[list[Tensor], Tensor]:
        """Inputs of the arrays' types and the op applied to them."""
        inputs = [
            make_input(f"x{number}_{i}", a.shape, dtype=dtype_of(a).name)
            for i, a in enumerate(arrays)
        ]
        return inputs, lift_op(self.op, *inputs)


def draw(case: Case, i: int, rng: np.random.Generator) -> Array:
    """One input."""
    t = case.types[i]
    shape = tuple(evaluate(s, {}) for s in t.shape)
    domain = getattr(case.op, "domain", ())
    low, high = domain[i] if i < len(domain) else (-3.0, 3.0)
    if t.dtype == bool_:
        # a check that fails is no value, it is tested by itself; and a sorted vector is sorted
        fixed = case.op.name == "guard" or (domain and low == high)
        return np.ones(shape, bool) if fixed else rng.random(shape) < 0.5
    if t.dtype.is_float:
        drawn = rng.uniform(low, high, shape)
        return (regular(drawn) if is_matrix(case.op, i) else drawn).astype(t.dtype.numpy)
    if type(case.op) in INTEGERS:
        low, high = INTEGERS[type(case.op)][i]
    bounds = np.iinfo(t.dtype.numpy)
    if not domain:
        low, high = (0, bounds.max) if case.op.name.endswith("float") else (low, high)
    low, high = max(math.ceil(low), bounds.min), min(math.floor(high), bounds.max)
    return rng.integers(low, high, shape, endpoint=True).astype(t.dtype.numpy)


def is_matrix(op: Op, i: int) -> bool:
    """Whether an input is a matrix that must not be nearly singular."""
    return isinstance(op, Matrix) and i == 0


def regular(x: Array) -> Array:
    """A matrix with a large diagonal of different numbers."""
    m, n = x.shape[-2:]
    return 0.03 * x + np.eye(m, n) * np.arange(2, n + 2)


def dtype_of(a: Array) -> DType:
    """The DType of an array."""
    found = find_dtype(a.dtype)
    assert found is not None
    return found


def arity(op: Elementwise) -> int:
    """How many operands an elementwise op takes."""
    return len(op.domain) or type(op).emit.__code__.co_argcount - 2  # itself and the emitter


def cases_of(cls: type[Op]) -> list[Case]:
    """What the op lists itself, else every shape in float32 and every dtype in one shape."""
    if cls.samples():
        return [Case(op, types) for op, types in cls.samples()]
    if not issubclass(cls, Elementwise):
        return []
    op = cls()
    legal = [d for d in DTYPES if d.kind in op.kinds]
    first = float32 if float32 in legal else legal[0]
    pairs = [(first, shape) for shape in SHAPES] + [(d, (17,)) for d in legal if d != first]
    return [Case(op, (TensorType(d, shape),) * arity(op)) for d, shape in pairs]
