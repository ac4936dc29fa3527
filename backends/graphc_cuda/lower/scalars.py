"""The primitives of the loop level over values of device programs."""

from __future__ import annotations

from collections.abc import Callable

from graphc.ir.loops.elementary import DEFINITIONS
from graphc.ir.types import (
    DType,
    bool_,
    float32,
    float64,
    int32,
    int64,
    uint16,
    uint32,
    uint64,
)
from graphc_cuda.device.program import Call, DeviceFunction, Literal, Op, Select, Value, Variable
from graphc_cuda.lower.naming import name_shared
from graphc_cuda.lower.ranges import INT32, INT64, Range, holds, known_comparison, result_range
from graphc_cuda.lower.scalar import SHORT, Scalar, as_index, held_as

# inlined where they are about indices, so that their operands stay narrow
_INLINE = ("maximum", "minimum", "floor_div", "remainder", "sign")


class Functions:
    """The device functions of a program, each defined when it is first asked for."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, tuple[DType, ...]], tuple[DeviceFunction, DType]] = {}

    def get(self, name: str, dtypes: tuple[DType, ...]) -> tuple[DeviceFunction, DType]:
        """The function for operands of these dtypes, and the dtype of its result."""
        key = (name, dtypes)
        if key not in self.known:
            self.known[key] = self._define(name, dtypes)
        return self.known[key]

    def listed(self) -> tuple[DeviceFunction, ...]:
        """All of them, callees first."""
        return tuple(function for function, _ in self.known.values())

    def _define(self, name: str, dtypes: tuple[DType, ...]) -> tuple[DeviceFunction, DType]:
        letters = ("x", "y", "z", "u", "v")
        parameters = tuple(Variable(held_as(d), n) for d, n in zip(dtypes, letters))
        emitter = DeviceEmitter(self)
        arguments = [Scalar(p, d) for p, d in zip(parameters, dtypes)]
        result: Scalar = DEFINITIONS[name](emitter, *arguments)
        body, (value,) = name_shared([result.value], _counter("t"))
        kinds = dict.fromkeys(d.short for d in dtypes)
        note = (DEFINITIONS[name].__doc__ or "").split("\n")[0]
        full = "_".join([name, *kinds])
        return DeviceFunction(full, parameters, tuple(body), value, note), result.dtype


def _counter(prefix: str) -> Callable[[DType], Variable]:
    made: list[Variable] = []

    def fresh(dtype: DType) -> Variable:
        made.append(Variable(dtype, f"{prefix}{len(made)}"))
        return made[-1]

    return fresh


class DeviceEmitter:
    """`graphc.ir.loops.scalar.ScalarEmitter` over scalars of device programs."""

    def __init__(self, functions: Functions) -> None:
        self.functions = functions

    # -- making values ----------------------------------------------------------------

    def const(self, value: float, dtype: DType) -> Scalar:
        """A literal; integers wrap around."""
        if dtype.is_integer:
            number = int(value) % 2**dtype.bits
            if dtype.kind == "i" and number >= 2 ** (dtype.bits - 1):
                number -= 2**dtype.bits
            return as_index(number) if dtype == int64 else Scalar(Literal(dtype, number), dtype)
        if dtype in SHORT:
            bits = int(dtype.numpy.type(value).view("uint16"))
            return Scalar(Literal(uint16, bits), dtype)
        if dtype == bool_:
            return Scalar(Literal(bool_, bool(value)), bool_)
        return Scalar(Literal(dtype, float(dtype.numpy.type(value))), dtype)

    def dtype(self, x: Scalar) -> DType:
        """The dtype of a value."""
        return x.dtype

    def wide(self, x: Scalar) -> Value:
        """The value with all the bits of its dtype."""
        if x.dtype != int64 or x.value.dtype == int64:
            return x.value
        if isinstance(x.value, Literal):
            return Literal(int64, x.value.value, is_index=True)
        return Op(int64, "convert", (x.value,), is_index=True)

    def _narrow(self, x: Scalar) -> Value:
        if x.value.dtype == int32:
            return x.value
        return Op(int32, "convert", (x.value,), is_index=True)

    def op(self, dtype: DType, function: str, *args: Value) -> Scalar:
        """An operation whose result has all the bits of its dtype."""
        return Scalar(Op(held_as(dtype), function, args), dtype)

    # -- arithmetic ---------------------------------------------------------------------

    def _arithmetic(self, name: str, x: Scalar, y: Scalar) -> Scalar:
        if x.dtype in SHORT:
            wide = [self.cast(v, float32) for v in (x, y)]
            return self.cast(self._arithmetic(name, *wide), x.dtype)
        if x.range is not None and y.range is not None:
            found = result_range(name, x.range, y.range)
            if holds(INT64, found):
                return self._index(name, found, x, y)
        return self.op(x.dtype, name, self.wide(x), self.wide(y))

    def _index(self, name: str, found: Range, x: Scalar, y: Scalar) -> Scalar:
        """Index arithmetic, as narrow as operands and result are; literals fold."""
        if found[0] == found[1]:
            return as_index(found[0])
        if name in ("add", "sub") and y.range == (0, 0):
            return x
        if (name == "add" and x.range == (0, 0)) or (name == "mul" and x.range == (1, 1)):
            return y
        if name in ("mul", "floordiv") and y.range == (1, 1):
            return x
        narrow = all(holds(INT32, r) for r in (found, x.range, y.range))
        dtype = int32 if narrow else int64
        args = tuple(self._narrow(v) if narrow else self.wide(v) for v in (x, y))
        return Scalar(Op(dtype, name, args, is_index=True), int64, found)

    def add(self, x: Scalar, y: Scalar) -> Scalar:
        """x + y"""
        return self._arithmetic("add", x, y)

    def sub(self, x: Scalar, y: Scalar) -> Scalar:
        """x - y"""
        return self._arithmetic("sub", x, y)

    def mul(self, x: Scalar, y: Scalar) -> Scalar:
        """x * y"""
        return self._arithmetic("mul", x, y)

    def div(self, x: Scalar, y: Scalar) -> Scalar:
        """x / y; integers truncate."""
        if x.dtype.is_float:
            return self._arithmetic("div", x, y)
        return self._divide("floordiv", "quotient", x, y)

    def rem(self, x: Scalar, y: Scalar) -> Scalar:
        """The remainder of integers, with the sign of x."""
        return self._divide("mod", "remainder", x, y)

    def _divide(self, index: str, general: str, x: Scalar, y: Scalar) -> Scalar:
        """Division of an index that is not negative by a positive number, or any other."""
        if x.range is not None and y.range is not None and x.range[0] >= 0:
            divisor = y.range[0]
            if y.range[0] == y.range[1] > 0:
                high = x.range[1] // divisor if index == "floordiv" else divisor - 1
                low = x.range[0] // divisor if index == "floordiv" else 0
                if index == "mod" and x.range[1] < divisor:
                    return x
                return self._index(index, (low, min(high, x.range[1])), x, y)
        return self.op(x.dtype, general, self.wide(x), self.wide(y))

    def mulhi(self, x: Scalar, y: Scalar) -> Scalar:
        """The upper half of the product of two uint32."""
        return self.op(uint32, "mulhi", x.value, y.value)

    def fma(self, x: Scalar, y: Scalar, z: Scalar) -> Scalar:
        """x * y + z, rounded once."""
        if x.dtype in SHORT:
            # the product is exact in float64, and narrowing the sum rounds once
            return self.cast(self.fma(*(self.cast(v, float32) for v in (x, y, z))), x.dtype)
        if not x.dtype.is_float:
            return self.add(self.mul(x, y), z)
        return self.op(x.dtype, "fma", x.value, y.value, z.value)

    def neg(self, x: Scalar) -> Scalar:
        """-x"""
        if x.dtype in SHORT:
            return self.op(x.dtype, "bit_xor", x.value, Literal(uint16, 0x8000))
        if x.range is not None:
            return self.sub(as_index(0), x)
        return self.op(x.dtype, "neg", self.wide(x))

    def abs(self, x: Scalar) -> Scalar:
        """|x|"""
        if x.dtype in SHORT:
            return self.op(x.dtype, "bit_and", x.value, Literal(uint16, 0x7FFF))
        if x.dtype.kind == "u":
            return x
        return self.op(x.dtype, "abs", self.wide(x))

    def _rounded(self, name: str, x: Scalar) -> Scalar:
        if x.dtype in SHORT:
            return self.cast(self.op(float32, name, self.cast(x, float32).value), x.dtype)
        return self.op(x.dtype, name, x.value)

    def sqrt(self, x: Scalar) -> Scalar:
        """The square root."""
        return self._rounded("sqrt", x)

    def floor(self, x: Scalar) -> Scalar:
        """Round down."""
        return self._rounded("floor", x)

    def ceil(self, x: Scalar) -> Scalar:
        """Round up."""
        return self._rounded("ceil", x)

    def trunc(self, x: Scalar) -> Scalar:
        """Round towards 0."""
        return self._rounded("trunc", x)

    def rint(self, x: Scalar) -> Scalar:
        """Round half to even."""
        return self._rounded("rint", x)

    # -- comparisons and bits ------------------------------------------------------------

    def _compare(self, name: str, x: Scalar, y: Scalar) -> Scalar:
        if x.dtype in SHORT:
            x, y = self.cast(x, float32), self.cast(y, float32)
        if x.range is not None and y.range is not None:
            known = known_comparison(name, x.range, y.range)
            if known is not None:
                return self.const(known, bool_)
        a, b = self._alike(x, y)
        return Scalar(Op(bool_, name, (a, b)), bool_)

    def _alike(self, x: Scalar, y: Scalar) -> tuple[Value, Value]:
        """Two values of one width."""
        if x.value.dtype == y.value.dtype:
            return x.value, y.value
        return self.wide(x), self.wide(y)

    def lt(self, x: Scalar, y: Scalar) -> Scalar:
        """x < y"""
        return self._compare("lt", x, y)

    def le(self, x: Scalar, y: Scalar) -> Scalar:
        """x <= y"""
        return self._compare("le", x, y)

    def eq(self, x: Scalar, y: Scalar) -> Scalar:
        """x == y"""
        return self._compare("eq", x, y)

    def ne(self, x: Scalar, y: Scalar) -> Scalar:
        """x != y"""
        return self._compare("ne", x, y)

    def _logical(self, name: str, absorbs: bool, x: Scalar, y: Scalar) -> Scalar:
        for this, other in ((x, y), (y, x)):
            if isinstance(this.value, Literal):
                return this if this.value.value == absorbs else other
        return self.op(bool_, name, x.value, y.value)

    def logical_and(self, x: Scalar, y: Scalar) -> Scalar:
        """x and y"""
        return self._logical("logical_and", False, x, y)

    def logical_or(self, x: Scalar, y: Scalar) -> Scalar:
        """x or y"""
        return self._logical("logical_or", True, x, y)

    def logical_not(self, x: Scalar) -> Scalar:
        """not x"""
        if isinstance(x.value, Literal):
            return self.const(not x.value.value, bool_)
        return self.op(bool_, "logical_not", x.value)

    def _bits(self, name: str, x: Scalar, y: Scalar) -> Scalar:
        if x.dtype == bool_:
            same = {"bit_and": self.logical_and, "bit_or": self.logical_or, "bit_xor": self.ne}
            return same[name](x, y)
        return self.op(x.dtype, name, self.wide(x), self.wide(y))

    def bit_and(self, x: Scalar, y: Scalar) -> Scalar:
        """x & y"""
        return self._bits("bit_and", x, y)

    def bit_or(self, x: Scalar, y: Scalar) -> Scalar:
        """x | y"""
        return self._bits("bit_or", x, y)

    def bit_xor(self, x: Scalar, y: Scalar) -> Scalar:
        """x ^ y"""
        return self._bits("bit_xor", x, y)

    def shl(self, x: Scalar, y: Scalar) -> Scalar:
        """x << y"""
        return self.op(x.dtype, "shl", self.wide(x), self.wide(y))

    def shr(self, x: Scalar, y: Scalar) -> Scalar:
        """x >> y, with the sign of x."""
        return self.op(x.dtype, "shr", self.wide(x), self.wide(y))

    # -- choice and conversion -------------------------------------------------------------

    def select(self, condition: Scalar, x: Scalar, y: Scalar) -> Scalar:
        """x where the condition holds, else y."""
        if x is y or isinstance(condition.value, Literal):
            known = condition.value
            return y if isinstance(known, Literal) and not known.value else x
        if x.range is None or y.range is None:
            a, b = self._alike(x, y)
            return Scalar(Select(a.dtype, condition.value, a, b), x.dtype)
        a, b = self._alike(x, y)
        found = min(x.range[0], y.range[0]), max(x.range[1], y.range[1])
        if _is_less(condition.value, a, b):
            found = found[0], min(x.range[1], y.range[1])
        return Scalar(Select(a.dtype, condition.value, a, b, is_index=True), int64, found)

    def select_unlikely(self, condition: Scalar, function: str, x: Scalar, usual: Scalar) -> Scalar:
        """A defined function of x where the condition holds, else `usual`."""
        return self.select(condition, self.apply(function, x), usual)

    def cast(self, x: Scalar, dtype: DType) -> Scalar:
        """Convert the value; float to integer saturates, NaN gives 0."""
        if x.dtype == dtype:
            return x
        if dtype == bool_:
            return self.ne(x, self.const(0, x.dtype))
        if x.dtype in SHORT:
            wide = Scalar(Op(float32, f"{SHORT[x.dtype]}_to_f32", (x.value,)), float32)
            return self.cast(wide, dtype)
        if dtype in SHORT:
            return self._narrowed(x, dtype)
        if x.dtype.is_float and dtype.is_integer:
            return self.op(dtype, "saturate", x.value)
        if isinstance(x.value, Literal) and x.dtype.is_integer:
            return self.const(x.value.value, dtype)
        if dtype == int64:
            return self._widened(x)
        if x.dtype == int64 and dtype.is_integer:  # wraps whatever the width
            return self.op(dtype, "convert", x.value)
        return self.op(dtype, "convert", self.wide(x))

    def _widened(self, x: Scalar) -> Scalar:
        """An integer or a bool as int64: the narrow ones are indices."""
        if x.dtype == uint64:
            return self.op(int64, "convert", x.value)
        if x.dtype == bool_:
            return Scalar(Op(int32, "convert", (x.value,), is_index=True), int64, (0, 1))
        signed = x.dtype.kind == "i"
        low = -(2 ** (x.dtype.bits - 1)) if signed else 0
        high = 2 ** (x.dtype.bits - signed) - 1
        dtype = int32 if holds(INT32, (low, high)) else int64
        if dtype == x.dtype:
            return Scalar(x.value, int64, (low, high))
        return Scalar(Op(dtype, "convert", (x.value,), is_index=True), int64, (low, high))

    def _narrowed(self, x: Scalar, dtype: DType) -> Scalar:
        """A number as a 16-bit float, rounded once."""
        if x.dtype == float32:
            return self.op(dtype, f"f32_to_{SHORT[dtype]}", x.value)
        wide = x if x.dtype == float64 else self.cast(x, float64)
        return self.op(dtype, f"f64_to_{SHORT[dtype]}", wide.value)

    def bitcast(self, x: Scalar, dtype: DType) -> Scalar:
        """The same bits as another dtype."""
        if x.dtype == dtype:
            return x
        if held_as(x.dtype) == held_as(dtype):
            return Scalar(x.value, dtype)
        return self.op(dtype, "bitcast", self.wide(x))

    def apply(self, function: str, *xs: Scalar) -> Scalar:
        """A primitive, or a call of a defined function."""
        if function not in DEFINITIONS:
            result: Scalar = getattr(self, function)(*xs)
            return result
        indices = all(x.range is not None for x in xs)
        if (function in _INLINE and indices) or xs[0].dtype == bool_:
            inlined: Scalar = DEFINITIONS[function](self, *xs)
            return inlined
        defined, dtype = self.functions.get(function, tuple(x.dtype for x in xs))
        args = tuple(self.wide(x) for x in xs)
        return Scalar(Call(held_as(dtype), defined, args), dtype)


def _is_less(condition: Value, x: Value, y: Value) -> bool:
    """Whether a condition is x < y."""
    if not isinstance(condition, Op) or condition.function != "lt":
        return False
    return all(a is b or _same_number(a, b) for a, b in zip(condition.args, (x, y)))


def _same_number(x: Value, y: Value) -> bool:
    return isinstance(x, Literal) and isinstance(y, Literal) and x.value == y.value
