"""One device kernel for every operation of device programs, on every dtype that it takes.

`expected` is the meaning in numpy, by the emitter of the loop level.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

import ml_dtypes
import numpy as np

from graphc.ir.loops.numpy_emitter import NumpyEmitter
from graphc.ir.types import (
    ALL_DTYPES,
    Array,
    DType,
    bool_,
    find_dtype,
    float32,
    float64,
    int32,
    uint8,
    uint16,
    uint32,
)
from graphc_cuda.device.program import (
    Assign,
    DeviceArray,
    DeviceKernel,
    For,
    Get,
    Literal,
    Op,
    Put,
    Select,
    Value,
    Variable,
    literal,
)

INTEGERS = tuple(d for d in ALL_DTYPES if d.is_integer)
FLOATS = (float32, float64)
NUMBERS = INTEGERS + FLOATS
FLOAT_EDGES = (
    0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 3.0, 127.5, 255.5, -128.5, 65504.0, 65519.99,
    65520.0, 1e-7, 2.0**-14, 2.0**-24, 2.0**-25, 2.0**-126, 2.0**-149, -(2.0**-149), 3.3e38,
    3.3895314e38, 3.4e38, -3.4e38, 8388607.5, 8388608.5, 2147483647.0, 2147483648.0,
    -2147483649.0, 4294967296.0, 9.2e18, 2.0**63, -(2.0**63), 2.0**64, 1e300, -1e300, 1e-300,
    1.00390625, 1.01171875, 1 + 2.0**-8 + 2.0**-30, 1 + 2.0**-11 + 2.0**-40, 5e-324,
    np.inf, -np.inf, np.nan,
)  # fmt: skip
LEAST, MOST = 3, 7  # literal divisors and shifts of the cases that have them


@dataclass(frozen=True)
class ScalarCase:
    """One operation from some dtypes to one; `constant` is a literal second operand."""

    function: str
    takes: tuple[DType, ...]
    gives: DType
    constant: int | None = None

    @property
    def name(self) -> str:
        """The name of its result."""
        kinds = "_".join(d.short for d in (*self.takes, self.gives))
        return f"{self.function}_{kinds}" + ("" if self.constant is None else "_literal")


def cases() -> Iterator[ScalarCase]:
    """Every operation on every dtype."""
    for d in NUMBERS:
        yield from (ScalarCase(f, (d, d), d) for f in ("add", "sub", "mul"))
        yield from (ScalarCase(f, (d,), d) for f in ("neg", "abs"))
        yield from (ScalarCase(f, (d, d), bool_) for f in ("lt", "le", "eq", "ne"))
        yield ScalarCase("select", (bool_, d, d), d)
    for d in FLOATS:
        yield ScalarCase("div", (d, d), d)
        yield ScalarCase("fma", (d, d, d), d)
        yield from (ScalarCase(f, (d,), d) for f in ("sqrt", "floor", "ceil", "trunc", "rint"))
        yield from (ScalarCase("saturate", (d,), to) for to in INTEGERS)
    for d in INTEGERS:
        yield from (ScalarCase(f, (d, d), d) for f in ("bit_and", "bit_or", "bit_xor"))
        yield from (ScalarCase(f, (d, d), d) for f in ("quotient", "remainder", "min", "max"))
        yield from (ScalarCase(f, (d, d), d) for f in ("shl", "shr"))
        yield from (ScalarCase(f, (d,), d, MOST) for f in ("quotient", "remainder", "shl", "shr"))
        yield from (ScalarCase(f, (d,), d, LEAST) for f in ("floordiv", "mod"))
    yield from _of_bools()
    yield from _conversions()


def _of_bools() -> Iterator[ScalarCase]:
    for f in ("logical_and", "logical_or", "bit_and", "bit_or", "bit_xor", "eq", "ne", "lt", "le"):
        yield ScalarCase(f, (bool_, bool_), bool_)
    yield ScalarCase("logical_not", (bool_,), bool_)
    yield ScalarCase("select", (bool_, bool_, bool_), bool_)
    yield ScalarCase("mulhi", (uint32, uint32), uint32)


def _conversions() -> Iterator[ScalarCase]:
    kinds = (bool_, *NUMBERS)
    for source, target in product(kinds, kinds):
        if not (source.is_float and target.is_integer):
            yield ScalarCase("convert", (source,), target)
        if source.bits == target.bits and bool_ not in (source, target):
            yield ScalarCase("bitcast", (source,), target)
    for half, (short, wide) in product(("bf16", "f16"), (("f32", float32), ("f64", float64))):
        yield ScalarCase(f"{short}_to_{half}", (wide,), uint16)
    yield from (ScalarCase(f"{half}_to_f32", (uint16,), float32) for half in ("bf16", "f16"))


# -------------------------------------------------------------------- operands


@cache
def operands(case: ScalarCase) -> tuple[Array, ...]:
    """Edges against edges, and random bits, in reproducible order."""
    pools = [_pool(d, case) for d in case.takes]
    if len(pools) == 3 and case.function == "fma":
        pools = [p[:: 2 if p.dtype == np.float32 else 4] for p in pools]
    grid = [g.ravel() for g in np.meshgrid(*pools, indexing="ij")]
    rng = np.random.default_rng(len(case.name))
    if case.takes == (uint16,) and "_to_" in case.function:
        return (np.arange(65536, dtype=np.uint16),)
    extra = [_random(d, rng, case) for d in case.takes]
    return tuple(np.concatenate([g, e]) for g, e in zip(grid, extra, strict=True))


def _pool(dtype: DType, case: ScalarCase) -> Array:
    if dtype == bool_:
        return np.array([False, True])
    if dtype.is_float:
        with np.errstate(over="ignore"):
            return np.array(FLOAT_EDGES).astype(dtype.numpy)
    facts = np.iinfo(dtype.numpy)
    middle = [m for m in (-7, -3, -1, 0, 1, 2, 3, 7, 8, 31, 64, 100) if m >= facts.min]
    values = [facts.min, facts.min + 1, *middle, facts.max - 1, facts.max, facts.max // 2 + 1]
    kept = [v for v in values if v >= 0 or case.function not in ("floordiv", "mod")]
    return np.array(kept, dtype.numpy)


def _random(dtype: DType, rng: np.random.Generator, case: ScalarCase) -> Array:
    if dtype == bool_:
        return rng.integers(0, 2, 200).astype(np.bool_)
    bits = rng.integers(0, 2**64, 200, dtype=np.uint64).astype(f"u{dtype.itemsize}")
    found = bits.view(dtype.numpy)
    if case.function in ("floordiv", "mod") and dtype.kind == "i":
        found = found & np.iinfo(dtype.numpy).max
    if dtype.is_float:
        half = rng.standard_normal(100) * 2.0 ** rng.integers(-30, 30, 100)
        found[:100] = half.astype(dtype.numpy)
    return found


# --------------------------------------------------------------------- kernels


def memory_dtype(dtype: DType) -> DType:
    """What memory holds for a value."""
    return uint8 if dtype == bool_ else dtype


def kernel_of(function: str, group: list[ScalarCase]) -> DeviceKernel:
    """One thread that computes every case of a function for all of its operands."""
    arrays: list[DeviceArray] = []
    body: list[Any] = []
    for case in group:
        count = len(operands(case)[0])
        ins = [_array(f"{case.name}_{i}", d, count) for i, d in enumerate(case.takes)]
        out = _array(f"{case.name}_out", case.gives, count)
        arrays += [*ins, out]
        i = Variable(int32, f"i_{case.name}", is_index=True)
        values = [Get(d, a, i) for d, a in zip(case.takes, ins)]
        result = Variable(case.gives, f"value_{case.name}")
        inner = (Assign(result, _value(case, values)), Put(out, i, result))
        body.append(For(i, literal(0), literal(count), literal(1), inner))
    written = frozenset(a for a in arrays if a.name.endswith("_out"))
    return DeviceKernel(f"k_{function}", tuple(arrays), tuple(body), 1, written)


def _array(name: str, dtype: DType, count: int) -> DeviceArray:
    return DeviceArray(name, memory_dtype(dtype), count, holds="bool" if dtype == bool_ else "")


def _value(case: ScalarCase, values: list[Value]) -> Value:
    args = tuple(values)
    if case.function == "select":
        return Select(case.gives, *args)
    if case.constant is not None:
        args = (*args, Literal(case.takes[0], case.constant))
    return Op(case.gives, case.function, args)


# -------------------------------------------------------------------- meaning


def expected(case: ScalarCase) -> Array:
    """What numpy says."""
    xs = operands(case)
    if case.constant is not None:
        xs = (*xs, xs[0].dtype.type(case.constant))
    with np.errstate(all="ignore"):
        return np.asarray(_meaning(case, xs))


def _meaning(case: ScalarCase, xs: tuple[Any, ...]) -> Any:
    e, function, bits = NumpyEmitter(), case.function, case.takes[0].bits
    renamed = {"quotient": "div", "remainder": "rem"}
    if function in ("convert", "saturate"):
        return e.cast(xs[0], case.gives)
    if function == "bitcast":
        return e.bitcast(xs[0], case.gives)
    if "_to_" in function:
        return _half(e, function, xs[0])
    if function in ("min", "max"):
        return {"min": np.minimum, "max": np.maximum}[function](*xs)
    if function in ("floordiv", "mod"):
        return {"floordiv": np.floor_divide, "mod": np.mod}[function](*xs)
    if function in ("shl", "shr"):
        is_inside = (xs[1] >= 0) & (xs[1] < bits)
        moved = getattr(e, function)(xs[0], np.where(is_inside, xs[1], 0).astype(xs[0].dtype))
        beyond = np.where(xs[0] < 0, -1, 0) if function == "shr" else 0
        return np.where(is_inside, moved, np.asarray(beyond).astype(xs[0].dtype))
    return getattr(e, renamed.get(function, function))(*xs)


def _half(e: NumpyEmitter, function: str, x: Array) -> Array:
    names = {"bf16": np.dtype(ml_dtypes.bfloat16), "f16": np.dtype(np.float16)}
    source, target = function.split("_to_")
    if source in names:
        return np.asarray(x.view(names[source]).astype(np.float32))
    dtype = find_dtype("bfloat16" if target == "bf16" else "float16")
    assert dtype is not None
    return np.asarray(e.cast(x, dtype)).view(np.uint16)


def same(found: Array, wanted: Array, case: ScalarCase) -> Array:
    """Equal bits, or both NaN."""
    if case.gives == bool_:
        return found == wanted.astype(np.uint8)
    word = f"u{found.dtype.itemsize}"
    numbers = [a.view(_meant(case, a)) for a in (found, wanted)]
    with np.errstate(invalid="ignore"):
        both_nan = np.isnan(numbers[0].astype(float)) & np.isnan(numbers[1].astype(float))
    equal: Array = (found.view(word) == wanted.view(word)) | both_nan
    return equal


def _meant(case: ScalarCase, array: Array) -> Any:
    if case.function.endswith("_to_bf16"):
        return ml_dtypes.bfloat16
    return np.float16 if case.function.endswith("_to_f16") else array.dtype
