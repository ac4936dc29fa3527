"""What operations on numbers mean in LLVM, for numba."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

from graphc_cuda.numba_meaning import (
    F32,
    F64,
    I16,
    I32,
    I64,
    INTEGERS,
    Meaning,
    Typing,
    assembly,
    bits,
    call_llvm,
    fixed,
    float_rule,
    integer_rule,
    llvm_type,
    register,
    unliteral,
)


def _rounding(name: str) -> Meaning:
    def code(b: ir.IRBuilder, typing: Typing, args: Sequence[Any]) -> Any:
        full = f"llvm.{name}.{typing.form}"
        return call_llvm(b, full, llvm_type(typing.form), args)

    return Meaning(3 if name == "fma" else 1, float_rule, code)


def _absolute_rule(types: Sequence[str]) -> Typing:
    return float_rule(types) if types[0][0] == "f" else integer_rule(types)


def _absolute(b: ir.IRBuilder, typing: Typing, args: Sequence[Any]) -> Any:
    (x,) = args
    if typing.form[0] == "f":
        constraint = f"={register(typing.form)},{register(typing.form)}"
        return assembly(b, f"abs.{typing.form} $0, $1;", constraint, x.type, args)
    if typing.form[0] == "u":
        return x
    return b.select(b.icmp_signed("<", x, ir.Constant(x.type, 0)), b.neg(x), x)


def _whole(form: str) -> Meaning:
    """Round to a whole number in the type."""

    def code(b: ir.IRBuilder, typing: Typing, args: Sequence[Any]) -> Any:
        kind = typing.form
        constraint = f"={register(kind)},{register(kind)}"
        return assembly(b, f"cvt.{form}.{kind}.{kind} $0, $1;", constraint, args[0].type, args)

    return Meaning(1, float_rule, code)


def _divide(name: str) -> Meaning:
    """Divide; by 0 it is 0, and the least number by -1 wraps around."""

    def code(b: ir.IRBuilder, typing: Typing, args: Sequence[Any]) -> Any:
        x, y = args
        zero, one = ir.Constant(x.type, 0), ir.Constant(x.type, 1)
        by_zero = b.icmp_unsigned("==", y, zero)
        if typing.form[0] == "u":
            return b.select(by_zero, zero, getattr(b, f"u{name}")(x, b.select(by_zero, one, y)))
        by_minus_one = b.icmp_signed("==", y, ir.Constant(x.type, -1))
        safe = b.select(b.or_(by_zero, by_minus_one), one, y)
        found = b.select(by_zero, zero, getattr(b, f"s{name}")(x, safe))
        return b.select(by_minus_one, b.neg(x) if name == "div" else zero, found)

    return Meaning(2, integer_rule, code)


def _of_indices(name: str) -> Meaning:
    """Divide what is never negative by what is never 0."""

    def code(b: ir.IRBuilder, typing: Typing, args: Sequence[Any]) -> Any:
        return getattr(b, name)(*args)

    return Meaning(2, integer_rule, code)


def _shift_rule(types: Sequence[str]) -> Typing:
    """64 bits, whose upper ones are dropped where less is meant."""
    name = "u64" if types[0][0] == "u" else "i64"
    return Typing((name, name), (name,), name)


def _shift(left: bool) -> Meaning:
    """Shift; beyond the width nothing is left, or the sign."""

    def code(b: ir.IRBuilder, typing: Typing, args: Sequence[Any]) -> Any:
        x, count = args
        last, zero = ir.Constant(I64, 63), ir.Constant(I64, 0)
        fits = b.icmp_unsigned("<=", count, last)
        capped = b.select(fits, count, last)
        if not left and typing.form == "i64":
            return b.ashr(x, capped)
        return b.select(fits, b.shl(x, capped) if left else b.lshr(x, capped), zero)

    return Meaning(2, _shift_rule, code)


def _extreme(sign: str) -> Meaning:
    def code(b: ir.IRBuilder, typing: Typing, args: Sequence[Any]) -> Any:
        compare = b.icmp_signed if typing.form[0] == "i" else b.icmp_unsigned
        return b.select(compare(sign, *args), *args)

    return Meaning(2, integer_rule, code)


def _mulhi(b: ir.IRBuilder, typing: Typing, args: Sequence[Any]) -> Any:
    x, y = (b.zext(a, I64) for a in args)
    return b.trunc(b.lshr(b.mul(x, y), ir.Constant(I64, 32)), I32)


# ----------------------------------------------------------------- conversions


def _saturate(name: str) -> Meaning:
    def rule(types: Sequence[str]) -> Typing:
        return Typing((_float(types[0]),), (name,), _float(types[0]))

    def code(b: ir.IRBuilder, typing: Typing, args: Sequence[Any]) -> Any:
        (x,) = args
        wide = name if bits(name) >= 32 else "i32"
        short = f"{wide[0].replace('i', 's')}{wide[1:]}"
        text = f"cvt.rzi.{short}.{typing.form} $0, $1;"
        constraint = f"={register(wide)},{register(typing.form)}"
        number = assembly(b, text, constraint, llvm_type(wide), args)
        zero = ir.Constant(number.type, 0)
        number = b.select(b.fcmp_unordered("uno", x, x), zero, number)
        return number if wide == name else _clamp(b, number, name)

    return Meaning(1, rule, code)


def _float(name: str) -> str:
    return name if name in ("f32", "f64") else "f64"


def _clamp(b: ir.IRBuilder, number: Any, name: str) -> Any:
    """An int32 as the nearest number of a narrower type."""
    low = -(1 << bits(name) - 1) if name[0] == "i" else 0
    high = (1 << bits(name) - (name[0] == "i")) - 1
    for sign, limit in ((">", low), ("<", high)):
        edge = ir.Constant(I32, limit)
        number = b.select(b.icmp_signed(sign, number, edge), number, edge)
    return b.trunc(number, ir.IntType(bits(name)))


def _bitcast(name: str) -> Meaning:
    def rule(types: Sequence[str]) -> Typing:
        return Typing((unliteral(types[0]),), (name,), unliteral(types[0]))

    def code(b: ir.IRBuilder, typing: Typing, args: Sequence[Any]) -> Any:
        (x,) = args
        if typing.form[0] != "f" and bits(typing.form) > bits(name):
            x = b.trunc(x, ir.IntType(bits(name)))
        return b.bitcast(x, llvm_type(name))

    return Meaning(1, rule, code)


def _cvt(text: str, result: str, operand: str) -> Meaning:
    def code(b: ir.IRBuilder, _: Typing, args: Sequence[Any]) -> Any:
        constraint = f"={register(result)},{register(operand)}"
        return assembly(b, f"{text} $0, $1;", constraint, llvm_type(result), args)

    return Meaning(1, fixed(result, operand), code)


def _bf16_to_f32(b: ir.IRBuilder, _: Typing, args: Sequence[Any]) -> Any:
    return b.bitcast(b.shl(b.zext(args[0], I32), ir.Constant(I32, 16)), F32)


def _f64_to_bf16(b: ir.IRBuilder, _: Typing, args: Sequence[Any]) -> Any:
    """Round to odd in float32 first, so that the second rounding is the only one."""
    (x,) = args
    short = assembly(b, "cvt.rz.f32.f64 $0, $1;", "=f,d", F32, args)
    exact = b.fcmp_unordered("ueq", b.fpext(short, F64), x)
    word = b.bitcast(short, I32)
    odd = b.select(exact, word, b.or_(word, ir.Constant(I32, 1)))
    return assembly(b, "cvt.rn.bf16.f32 $0, $1;", "=h,f", I16, [b.bitcast(odd, F32)])


def _pack(name: str) -> Meaning:
    def code(b: ir.IRBuilder, _: Typing, args: Sequence[Any]) -> Any:
        return assembly(b, f"cvt.rn.{name}x2.f32 $0, $2, $1;", "=r,f,f", I32, args)

    return Meaning(2, fixed("u32", "f32", "f32"), code)


SIGNS = {
    "index_quotient": _of_indices("udiv"),
    "index_remainder": _of_indices("urem"),
    "shift_left": _shift(left=True),
    "shift_right": _shift(left=False),
}
SCALARS: dict[str, Meaning] = {
    **{name: _rounding(name) for name in ("fma", "sqrt")},
    "floor": _whole("rmi"),
    "ceil": _whole("rpi"),
    "trunc": _whole("rzi"),
    "rint": _whole("rni"),
    "absolute": Meaning(1, _absolute_rule, _absolute),
    "quotient": _divide("div"),
    "remainder": _divide("rem"),
    "min": _extreme("<"),
    "max": _extreme(">"),
    "mulhi": Meaning(2, fixed("u32", "u32", "u32"), _mulhi),
    **{f"saturate_{name}": _saturate(name) for name in INTEGERS},
    **{f"bitcast_{name}": _bitcast(name) for name in (*INTEGERS, "f32", "f64")},
    "bf16_to_f32": Meaning(1, fixed("f32", "u16"), _bf16_to_f32),
    "f16_to_f32": _cvt("cvt.f32.f16", "f32", "u16"),
    "f32_to_bf16": _cvt("cvt.rn.bf16.f32", "u16", "f32"),
    "f32_to_f16": _cvt("cvt.rn.f16.f32", "u16", "f32"),
    "f64_to_f16": _cvt("cvt.rn.f16.f64", "u16", "f64"),
    "f64_to_bf16": Meaning(1, fixed("u16", "f64"), _f64_to_bf16),
    "pack_bf16": _pack("bf16"),
    "pack_f16": _pack("f16"),
    "round_tf32": _cvt("cvt.rna.tf32.f32", "u32", "f32"),
}
