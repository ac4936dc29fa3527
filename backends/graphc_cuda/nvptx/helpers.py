"""Small LLVM functions that generated code calls; they are always inlined.

Where they stand for one instruction of the GPU, that instruction's NaN is the canonical one.
"""

from __future__ import annotations

from collections.abc import Iterable

_ATTRIBUTES = "alwaysinline nounwind memory(none)"


def _function(result: str, name: str, parameters: str, body: str) -> str:
    lines = [f"  {line.strip()}" for line in body.strip().splitlines()]
    head = f"define internal {result} @{name}({parameters}) {_ATTRIBUTES} {{"
    return "\n".join([head, *lines, "}"])


def _signed_division(how: str, bits: int) -> str:
    """The least number by -1 wraps around; by 0 it is 0."""
    kind = f"i{bits}"
    by_minus_one = "%negated" if how == "div" else "0"
    name = {"div": "quotient", "rem": "remainder"}[how]
    return _function(kind, f"{name}.{kind}", f"{kind} %x, {kind} %y", f"""
        %is_zero = icmp eq {kind} %y, 0
        %is_minus_one = icmp eq {kind} %y, -1
        %is_special = or i1 %is_zero, %is_minus_one
        %divisor = select i1 %is_special, {kind} 1, {kind} %y
        %usual = s{how} {kind} %x, %divisor
        %negated = sub {kind} 0, %x
        %whole = select i1 %is_minus_one, {kind} {by_minus_one}, {kind} %usual
        %result = select i1 %is_zero, {kind} 0, {kind} %whole
        ret {kind} %result""")  # fmt: skip


def _unsigned_division(how: str, bits: int) -> str:
    kind, name = f"i{bits}", {"div": "quotient", "rem": "remainder"}[how]
    return _function(kind, f"{name}.u{bits}", f"{kind} %x, {kind} %y", f"""
        %is_zero = icmp eq {kind} %y, 0
        %divisor = select i1 %is_zero, {kind} 1, {kind} %y
        %usual = u{how} {kind} %x, %divisor
        %result = select i1 %is_zero, {kind} 0, {kind} %usual
        ret {kind} %result""")  # fmt: skip


def _narrow(source: str, half: str, name: str) -> str:
    return _function("i16", name, f"{source} %x", f"""
        %near = fptrunc {source} %x to {half}
        %bits = bitcast {half} %near to i16
        ret i16 %bits""")  # fmt: skip


def _narrow_double(short: str) -> str:
    return _function("i16", f"f64.to.{short}", "double %x", f"""
        %odd = call float @f64.to.odd(double %x)
        %bits = call i16 @f32.to.{short}(float %odd)
        ret i16 %bits""")  # fmt: skip


def _pack(short: str, half: str) -> str:
    return _function("i32", f"pack.{short}", "float %low, float %high", f"""
        %pair = call <2 x {half}> @llvm.nvvm.ff2{short}x2.rn(float %high, float %low)
        %word = bitcast <2 x {half}> %pair to i32
        ret i32 %word""")  # fmt: skip


# by the odd neighbour a second rounding gives what one rounding would have given
_DOUBLE_TO_ODD = _function("float", "f64.to.odd", "double %x", """
    %near = fptrunc double %x to float
    %back = fpext float %near to double
    %is_inexact = fcmp one double %back, %x
    %size = call double @llvm.fabs.f64(double %x)
    %near_size = call double @llvm.fabs.f64(double %back)
    %is_larger = fcmp ogt double %near_size, %size
    %bits = bitcast float %near to i32
    %last = and i32 %bits, 1
    %is_even = icmp eq i32 %last, 0
    %step = select i1 %is_larger, i32 -1, i32 1
    %moved = add i32 %bits, %step
    %moves = and i1 %is_inexact, %is_even
    %odd = select i1 %moves, i32 %moved, i32 %bits
    %result = bitcast i32 %odd to float
    ret float %result""")  # fmt: skip

_TEXTS: dict[str, str] = {
    "bf16.to.f32": _function("float", "bf16.to.f32", "i16 %x", """
        %wide = zext i16 %x to i32
        %bits = shl i32 %wide, 16
        %result = bitcast i32 %bits to float
        ret float %result"""),
    "f16.to.f32": _function("float", "f16.to.f32", "i16 %x", """
        %half = bitcast i16 %x to half
        %result = fpext half %half to float
        ret float %result"""),
    "f32.to.bf16": _narrow("float", "bfloat", "f32.to.bf16"),
    "f32.to.f16": _narrow("float", "half", "f32.to.f16"),
    "f64.to.odd": _DOUBLE_TO_ODD,
    "f64.to.bf16": _narrow_double("bf16"),
    "f64.to.f16": _narrow_double("f16"),
    "pack.bf16": _pack("bf16", "bfloat"),
    "pack.f16": _pack("f16", "half"),
    "round.tf32": _function("i32", "round.tf32", "float %x", """
        %bits = call i32 @llvm.nvvm.f2tf32.rna(float %x)
        ret i32 %bits"""),
    "mulhi.u32": _function("i32", "mulhi.u32", "i32 %x, i32 %y", """
        %a = zext i32 %x to i64
        %b = zext i32 %y to i64
        %product = mul nuw i64 %a, %b
        %upper = lshr i64 %product, 32
        %result = trunc i64 %upper to i32
        ret i32 %result"""),
}  # fmt: skip
_TEXTS |= {
    f"{name}.i{bits}": _signed_division(how, bits)
    for name, how in (("quotient", "div"), ("remainder", "rem"))
    for bits in (8, 16, 32, 64)
}
_TEXTS |= {
    f"{name}.u{bits}": _unsigned_division(how, bits)
    for name, how in (("quotient", "div"), ("remainder", "rem"))
    for bits in (8, 16, 32, 64)
}
_CALLS = {
    "f64.to.bf16": ("f64.to.odd", "f32.to.bf16"),
    "f64.to.f16": ("f64.to.odd", "f32.to.f16"),
}


def helper_texts(names: Iterable[str]) -> list[str]:
    """The functions of these names and those that they call, callees first."""
    wanted: dict[str, None] = {}
    for name in names:
        wanted |= dict.fromkeys((*_CALLS.get(name, ()), name))
    return [_TEXTS[name] for name in wanted]
