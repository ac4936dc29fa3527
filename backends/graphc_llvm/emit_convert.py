"""Conversions and roundings that never call a library, whatever the target can do itself."""

from __future__ import annotations

from graphc.ir.types import (
    UNSIGNED,
    DType,
    bool_,
    float16,
    float32,
    float64,
    uint16,
    uint32,
    uint64,
)  # fmt: skip
from graphc_llvm.ir_builder import vector
from graphc_llvm.values import LaneWriter, Value, element_type

# instruction sets with instructions for floor, ceil, trunc and rint
_ROUNDING = ("avx512", "avx2", "neon")
_INTRINSICS = {"floor": "floor", "ceil": "ceil", "trunc": "trunc", "rint": "rint"}

# instruction sets that multiply whole registers by powers of two
_SCALING = ("avx512",)

# instruction sets (little-endian) whose vector products of 32 bits are those of the even lanes
_EVEN_PRODUCTS = ("avx512", "avx2", "sse2")
LOW_HALF = 0xFFFFFFFF

FLOAT16_NORMAL = 0x38800000  # 2^-14, the smallest normal float16, as float32 bits
FLOAT16_OVERFLOW = 0x47800000  # 2^16
FLOAT32_INFINITY = 0x7F800000


def cast(e: LaneWriter, x: Value, dtype: DType) -> Value:
    """Convert the value; float to integer saturates, NaN gives 0; to bool is x != 0."""
    source = x.dtype
    if source == dtype:
        return x
    if dtype.kind == "b":
        return _is_nonzero(e, x)
    if dtype.is_float:
        return _to_float(e, x, dtype)
    if source.is_float:
        wide = x if source.bits > 16 else _half_to_float(e, x)
        name = "fptoui.sat" if dtype.kind == "u" else "fptosi.sat"
        return e.intrinsic(name, (wide,), dtype)
    if source.bits == dtype.bits:
        return Value(x.text, dtype, x.width, x.literal)
    if source.bits > dtype.bits:
        return e.change("trunc", x, dtype)
    return e.change("sext" if source.kind == "i" else "zext", x, dtype)


def _is_nonzero(e: LaneWriter, x: Value) -> Value:
    if not x.dtype.is_float:
        return e.op("icmp ne", (x, e.const(0, x.dtype)), bool_)
    if x.dtype.bits == 16:
        x = _half_to_float(e, x)
    return e.op("fcmp une", (x, e.const(0.0, x.dtype)), bool_)


def _to_float(e: LaneWriter, x: Value, dtype: DType) -> Value:
    if x.dtype.is_float:
        return _float_to_float(e, x, dtype)
    if dtype.bits > 16:
        return e.change("sitofp" if x.dtype.kind == "i" else "uitofp", x, dtype)
    if x.dtype.bits <= 16 or dtype == float16:
        # exact in float32, or beyond what float16 can hold
        return _float_to_half(e, _to_float(e, x, float32), dtype)
    return _float_to_half(e, _integer_to_odd(e, x), dtype)


def _float_to_float(e: LaneWriter, x: Value, dtype: DType) -> Value:
    if x.dtype.bits == 16:
        wide = _half_to_float(e, x)
        return wide if dtype == float32 else _float_to_float(e, wide, dtype)
    if dtype.bits == 16:
        narrow = _double_to_odd(e, x) if x.dtype == float64 else x
        return _float_to_half(e, narrow, dtype)
    return e.change("fpext" if dtype.bits > x.dtype.bits else "fptrunc", x, dtype)


# ----------------------------------------------------------------- 16-bit floats


def _half_to_float(e: LaneWriter, x: Value) -> Value:
    if x.dtype != float16:
        wide = e.change("zext", Value(x.text, uint16, x.width, x.literal), uint32)
        return e.bitcast(_binary(e, "shl", wide, 16), float32)
    if e.target.has_half_conversion:
        return _through_half(e, "fpext", x, float32)
    bits = e.change("zext", Value(x.text, uint16, x.width, x.literal), uint32)
    magnitude = _binary(e, "shl", _binary(e, "and", bits, 0x7FFF), 13)
    normal = _binary(e, "add", magnitude, 112 << 23)
    special = _binary(e, "add", normal, 112 << 23)  # infinity and NaN
    shifted = e.bitcast(_binary(e, "add", magnitude, 113 << 23), float32)
    tiny = e.op("fsub", (shifted, e.const(2.0**-14, float32)))  # exact: a subnormal float16
    result = e.select(_below(e, magnitude, 0x1F << 23), normal, special)
    result = e.select(_below(e, magnitude, 1 << 23), e.bitcast(tiny, uint32), result)
    sign = _binary(e, "shl", _binary(e, "and", bits, 0x8000), 16)
    return e.bitcast(e.op("or", (result, sign)), float32)


def _float_to_half(e: LaneWriter, x: Value, dtype: DType) -> Value:
    if dtype != float16:
        return _float_to_bfloat(e, x, dtype)
    if e.target.has_half_conversion:
        return _through_half(e, "fptrunc", x, dtype)
    bits = e.bitcast(x, uint32)
    magnitude = _binary(e, "and", bits, 0x7FFFFFFF)
    odd = _binary(e, "and", _binary(e, "lshr", magnitude, 13), 1)
    rounded = e.op("add", (_binary(e, "add", magnitude, 0xFFF - (112 << 23)), odd))
    normal = _binary(e, "lshr", rounded, 13)
    # adding 1/2 makes the unit in the last place that of a subnormal float16
    shifted = e.op("fadd", (e.bitcast(magnitude, float32), e.const(0.5, float32)))
    tiny = _binary(e, "sub", e.bitcast(shifted, uint32), 0x3F000000)
    payload = _binary(e, "or", _binary(e, "and", _binary(e, "lshr", magnitude, 13), 0x3FF), 0x7E00)
    is_nan = e.op("icmp ugt", (magnitude, e.const(FLOAT32_INFINITY, uint32)), bool_)
    special = e.select(is_nan, payload, e.const(0x7C00, uint32))
    result = e.select(_below(e, magnitude, FLOAT16_OVERFLOW), normal, special)
    result = e.select(_below(e, magnitude, FLOAT16_NORMAL), tiny, result)
    sign = _binary(e, "and", _binary(e, "lshr", bits, 16), 0x8000)
    narrow = e.change("trunc", e.op("or", (result, sign)), uint16)
    return Value(narrow.text, dtype, narrow.width)


def _float_to_bfloat(e: LaneWriter, x: Value, dtype: DType) -> Value:
    bits = e.bitcast(x, uint32)
    upper = _binary(e, "lshr", bits, 16)
    odd = _binary(e, "and", upper, 1)
    rounded = _binary(e, "lshr", e.op("add", (_binary(e, "add", bits, 0x7FFF), odd)), 16)
    is_nan = e.op("fcmp uno", (x, x), bool_)
    result = e.select(is_nan, _binary(e, "or", upper, 0x40), rounded)
    narrow = e.change("trunc", result, uint16)
    return Value(narrow.text, dtype, narrow.width)


def _through_half(e: LaneWriter, name: str, x: Value, dtype: DType) -> Value:
    """Convert with the target's instruction; outside of it a float16 is an i16."""
    f, half, bits = e.builder, vector("half", x.width), vector("i16", x.width)
    if name == "fpext":
        inner = f.define("half", f"bitcast {e.typed(x)} to {half}", (x.text,))
        wide = f"fpext {half} {inner} to {vector('float', x.width)}"
        return Value(f.define("wide", wide, (inner,)), dtype, x.width)
    inner = f.define("half", f"fptrunc {e.typed(x)} to {half}", (x.text,))
    return Value(f.define("bits", f"bitcast {half} {inner} to {bits}", (inner,)), dtype, x.width)


def _double_to_odd(e: LaneWriter, x: Value) -> Value:
    """Convert float64 to float32, rounding to odd.

    A second rounding to 16 bits then gives what one rounding would have given.
    """
    near = e.change("fptrunc", x, float32)
    back = e.change("fpext", near, float64)
    inexact = e.op("fcmp one", (back, x), bool_)
    magnitudes = (e.intrinsic("fabs", (back,)), e.intrinsic("fabs", (x,)))
    return _make_odd(e, near, inexact, e.op("fcmp ogt", magnitudes, bool_))


def _integer_to_odd(e: LaneWriter, x: Value) -> Value:
    """Convert an integer to float32, rounding to odd."""
    near = _to_float(e, x, float32)
    back = cast(e, near, x.dtype)
    inexact = e.op("icmp ne", (back, x), bool_)
    if x.dtype.kind == "u":
        return _make_odd(e, near, inexact, e.op("icmp ugt", (back, x), bool_))
    above = e.op("icmp sgt", (back, x), bool_)
    negative = e.op("icmp slt", (x, e.const(0, x.dtype)), bool_)
    return _make_odd(e, near, inexact, e.op("xor", (above, negative)))


def _make_odd(e: LaneWriter, near: Value, inexact: Value, too_large: Value) -> Value:
    bits = e.bitcast(near, uint32)
    even = e.op("icmp eq", (_binary(e, "and", bits, 1), e.const(0, uint32)), bool_)
    step = e.select(too_large, e.const(-1, uint32), e.const(1, uint32))
    moved = e.op("add", (bits, step))
    return e.bitcast(e.select(e.op("and", (inexact, even)), moved, bits), float32)


def _binary(e: LaneWriter, name: str, x: Value, number: int) -> Value:
    return e.op(name, (x, e.const(number, x.dtype)))


def _below(e: LaneWriter, x: Value, number: int) -> Value:
    return e.op("icmp ult", (x, e.const(number, x.dtype)), bool_)


# ----------------------------------------------------------------- roundings


def round_to_integer(e: LaneWriter, how: str, x: Value) -> Value:
    """Apply floor, ceil, trunc or rint to a float."""
    if x.dtype.bits == 16:
        return cast(e, round_to_integer(e, how, cast(e, x, float32)), x.dtype)
    if e.target.isa in _ROUNDING:
        return e.intrinsic(_INTRINSICS[how], (x,))
    size = e.intrinsic("fabs", (x,))
    # from here on every float is an integer
    limit = e.const(2.0 ** (23 if x.dtype == float32 else 52), x.dtype)
    near = e.op("fsub", (e.op("fadd", (size, limit)), limit))
    one, zero = e.const(1.0, x.dtype), e.const(0.0, x.dtype)
    if how == "trunc":
        over = e.op("fcmp ogt", (near, size), bool_)
        near = e.op("fsub", (near, e.select(over, one, zero)))
    near = _with_sign(e, near, x)
    if how == "floor":
        near = e.op("fsub", (near, e.select(e.op("fcmp ogt", (near, x), bool_), one, zero)))
    if how == "ceil":
        near = e.op("fadd", (near, e.select(e.op("fcmp olt", (near, x), bool_), one, zero)))
        near = _with_sign(e, e.intrinsic("fabs", (near,)), x)
    return e.select(e.op("fcmp olt", (size, limit), bool_), near, x)


def _with_sign(e: LaneWriter, magnitude: Value, x: Value) -> Value:
    """Give a non-negative number the sign of x."""
    word = UNSIGNED[x.dtype.bits]
    sign = _binary(e, "and", e.bitcast(x, word), 1 << (x.dtype.bits - 1))
    return e.bitcast(e.op("or", (e.bitcast(magnitude, word), sign)), x.dtype)


# ----------------------------------------------------------------- powers of two


def has_scaling(e: LaneWriter, x: Value) -> bool:
    """True where the target has an instruction for x * 2**n."""
    return e.target.isa in _SCALING and x.width * x.dtype.bits >= 128


def scale(e: LaneWriter, x: Value, n: Value) -> Value:
    """x * 2**n, rounded once; n is an integer as a float."""
    width = min(x.width, e.target.vector_bits // x.dtype.bits)
    parts = [
        _scale_register(e, e.lanes(x, first, width), e.lanes(n, first, width))
        for first in range(0, x.width, width)
    ]
    return e.join(parts)


def _scale_register(e: LaneWriter, x: Value, n: Value) -> Value:
    bits, mask = x.width * x.dtype.bits, f"i{max(8, x.width)}"
    kind = vector(element_type(x.dtype), x.width)
    arguments = [(kind, x.text), (kind, n.text), (kind, "poison"), (mask, "-1")]
    if bits == 512:
        arguments.append(("i32", "4"))  # round as usual
    name = f"@llvm.x86.avx512.mask.scalef.p{'s' if x.dtype == float32 else 'd'}.{bits}"
    return Value(e.builder.call(e.hint or "scaled", kind, name, arguments), x.dtype, x.width)


# ----------------------------------------------------------------- products


def high_product(e: LaneWriter, x: Value, y: Value) -> Value:
    """The upper half of the product of two uint32."""
    width = max(x.width, y.width)
    if width > 1 and e.target.isa in _EVEN_PRODUCTS:
        return _high_product_by_pairs(e, e.spread(x, width), e.spread(y, width))
    wide = e.op("mul", (e.change("zext", x, uint64), e.change("zext", y, uint64)))
    return e.change("trunc", _binary(e, "lshr", wide, 32), uint32)


def _high_product_by_pairs(e: LaneWriter, x: Value, y: Value) -> Value:
    """Multiply the even lanes and the odd lanes where they stand, as halves of 64-bit lanes."""
    pairs = [_regroup(e, v, uint64) for v in (x, y)]
    low = e.op("mul", [_binary(e, "and", v, LOW_HALF) for v in pairs])
    high = e.op("mul", [_binary(e, "lshr", v, 32) for v in pairs])
    joined = e.op("or", (_binary(e, "lshr", low, 32), _binary(e, "and", high, LOW_HALF << 32)))
    return _regroup(e, joined, uint32)


def _regroup(e: LaneWriter, x: Value, dtype: DType) -> Value:
    """The same bits as lanes of another width."""
    width = x.width * x.dtype.bits // dtype.bits
    kind = vector(element_type(dtype), width)
    text = e.builder.define("pairs", f"bitcast {e.typed(x)} to {kind}", (x.text,))
    return Value(text, dtype, width)
