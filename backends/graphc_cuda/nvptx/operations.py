"""The operations of device programs as LLVM instructions on scalars.

Arithmetic on floats is IEEE: no flags, so that PTX has `mul.rn` and `add.rn`, which nobody
contracts, `div.rn` and `sqrt.rn`, and keeps denormals.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc.ir.types import UNSIGNED, DType, uint32
from graphc_cuda.device import program as device
from graphc_cuda.device.program import Op
from graphc_cuda.nvptx.function_text import FunctionText, type_text

_PLAIN = {
    "add": "add", "sub": "sub", "mul": "mul", "bit_and": "and", "bit_or": "or", "bit_xor": "xor",
    "logical_and": "and", "logical_or": "or", "floordiv": "udiv", "mod": "urem",
}  # fmt: skip
_ROUNDING = {"fma": "fma", "sqrt": "sqrt", "abs": "fabs"} | {
    name: name for name in ("floor", "ceil", "trunc", "rint")
}


def operand_type(op: Op) -> DType | None:
    """The type in which all operands are taken; None where each has its own."""
    if op.function in device.CONVERSIONS + device.HALVES:
        return None
    if op.function in device.COMPARISONS:
        named = [a.dtype for a in op.args if not isinstance(a, device.Literal)]
        return max(named or [op.args[0].dtype], key=lambda d: d.bits)
    return op.dtype


def operation_text(f: FunctionText, op: Op, args: Sequence[str], hint: str) -> str:
    """Write an operation on operands of its `operand_type`; the name of the result."""
    dtype = operand_type(op)
    if dtype is None:
        return _conversion(f, op, args[0], hint)
    if op.function in device.COMPARISONS:
        return _comparison(f, op.function, dtype, args, hint)
    if dtype.is_float:
        assert dtype.bits > 16, f"{op.function} of the bits of {dtype}"
        return _of_floats(f, op.function, dtype, args, hint)
    return _of_integers(f, op, args, hint)


def call_text(f: FunctionText, name: str, result: str, args: Sequence[str], hint: str) -> str:
    """Call a function on operands that stand with their types."""
    return f.define(hint, f"call {result} {name}({', '.join(args)})")


def _comparison(f: FunctionText, name: str, dtype: DType, args: Sequence[str], hint: str) -> str:
    if dtype.is_float:
        how = f"fcmp {'u' if name == 'ne' else 'o'}{name}"
    else:
        sign = "" if name in ("eq", "ne") else "s" if dtype.kind == "i" else "u"
        how = f"icmp {sign}{name}"
    return f.define(hint, f"{how} {type_text(dtype)} {', '.join(args)}")


def _of_floats(f: FunctionText, name: str, dtype: DType, args: Sequence[str], hint: str) -> str:
    kind = type_text(dtype)
    if name == "neg":
        return f.define(hint, f"fneg {kind} {args[0]}")
    if name in _ROUNDING:
        typed = [f"{kind} {a}" for a in args]
        return call_text(f, f"@llvm.{_ROUNDING[name]}.f{dtype.bits}", kind, typed, hint)
    assert name in ("add", "sub", "mul", "div"), f"{name} of floats"
    return f.define(hint, f"f{name} {kind} {', '.join(args)}")


def _of_integers(f: FunctionText, op: Op, args: Sequence[str], hint: str) -> str:
    name, dtype, kind = op.function, op.dtype, type_text(op.dtype)
    if name in ("shl", "shr"):
        return _shift(f, op, args, hint)
    if name in ("quotient", "remainder"):
        return _division(f, op, args, hint)
    if name in ("min", "max"):
        which = f"@llvm.{'s' if dtype.kind == 'i' else 'u'}{name}.i{dtype.bits}"
        return call_text(f, which, kind, [f"{kind} {a}" for a in args], hint)
    if name == "abs":
        least = f"@llvm.abs.i{dtype.bits}"
        signed = [f"{kind} {args[0]}", "i1 false"]
        return args[0] if dtype.kind == "u" else call_text(f, least, kind, signed, hint)
    if name == "mulhi":
        return call_text(f, f.module.helper("mulhi.u32"), kind, [f"i32 {a}" for a in args], hint)
    # indices never overflow
    wraps = " nsw" if op.is_index and dtype.kind == "i" and name in ("add", "sub", "mul") else ""
    if name == "neg":
        return f.define(hint, f"sub {kind} 0, {args[0]}")
    if name == "logical_not":
        return f.define(hint, f"xor i1 {args[0]}, true")
    return f.define(hint, f"{_PLAIN[name]}{wraps} {kind} {', '.join(args)}")


def _shift(f: FunctionText, op: Op, args: Sequence[str], hint: str) -> str:
    """Shift; beyond the width of the type nothing is left, or the sign."""
    kind, (x, count), is_signed = type_text(op.dtype), args, op.dtype.kind == "i"
    how = "shl" if op.function == "shl" else "ashr" if is_signed else "lshr"
    if isinstance(op.args[1], device.Literal) and 0 <= op.args[1].value < op.dtype.bits:
        return f.define(hint, f"{how} {kind} {x}, {count}")
    least = f"{kind} {op.dtype.bits - 1}"
    capped = f.define("count", f"call {kind} @llvm.umin.i{op.dtype.bits}({kind} {count}, {least})")
    if how == "ashr":
        return f.define(hint, f"ashr {kind} {x}, {capped}")
    fits = f.define("fits", f"icmp ult {kind} {count}, {op.dtype.bits}")
    moved = f.define("moved", f"{how} {kind} {x}, {capped}")
    return f.define(hint, f"select i1 {fits}, {kind} {moved}, {kind} 0")


def _division(f: FunctionText, op: Op, args: Sequence[str], hint: str) -> str:
    """Divide; what LLVM does not define (by 0, and the least number by -1) has a helper."""
    kind, divisor = type_text(op.dtype), op.args[1]
    sign = "u" if op.dtype.kind == "u" else "s"
    if isinstance(divisor, device.Literal) and divisor.value not in (0, -1):
        how = {"quotient": "div", "remainder": "rem"}[op.function]
        return f.define(hint, f"{sign}{how} {kind} {', '.join(args)}")
    name = f.module.helper(f"{op.function}.{'u' if sign == 'u' else 'i'}{op.dtype.bits}")
    return call_text(f, name, kind, [f"{kind} {a}" for a in args], hint)


# ------------------------------------------------------------- conversions


def _conversion(f: FunctionText, op: Op, x: str, hint: str) -> str:
    source, target = op.args[0].dtype, op.dtype
    kind = type_text(target)
    if op.function in device.HALVES:
        name = f.module.helper(op.function.replace("_", "."))
        return call_text(f, name, kind, [f"{type_text(source)} {x}"], hint)
    if op.function == "saturate":
        assert (source.kind, target.is_integer) == ("f", True), f"saturate {source} to {target}"
        sign = "s" if target.kind == "i" else "u"
        name = f"@llvm.fpto{sign}i.sat.i{target.bits}.f{source.bits}"
        return call_text(f, name, kind, [f"{type_text(source)} {x}"], hint)
    if op.function == "bitcast":
        assert source.bits == target.bits, f"bitcast from {source} to {target}"
        same = type_text(source) == kind
        return x if same else f.define(hint, f"bitcast {type_text(source)} {x} to {kind}")
    return convert_text(f, x, source, target, hint)


def convert_text(f: FunctionText, x: str, source: DType, target: DType, hint: str) -> str:
    """Convert a number: integers wrap, or round to floats; bool is 0 or 1, and x != 0."""
    kinds = type_text(source), type_text(target)
    if source == target:
        return x
    if target.kind == "b":
        zero = "icmp ne" if not source.is_float else "fcmp une"
        nothing = "0x0000000000000000" if source.is_float else "0"
        return f.define(hint, f"{zero} {kinds[0]} {x}, {nothing}")
    if target.is_float:
        how = "sitofp" if source.kind == "i" else "uitofp"
        if source.is_float:
            how = "fpext" if target.bits > source.bits else "fptrunc"
        assert min(source.bits if source.is_float else 32, target.bits) > 16, "bits are no numbers"
        return f.define(hint, f"{how} {kinds[0]} {x} to {kinds[1]}")
    assert not source.is_float, f"floats saturate to {target}"
    return resize_text(f, x, source, target, hint)


def resize_text(f: FunctionText, x: str, source: DType, target: DType, hint: str) -> str:
    """The integer (or bool) in as many bits as another type has."""
    if source.bits == target.bits:
        return x
    widening = "sext" if source.kind == "i" else "zext"
    how = "trunc" if source.bits > target.bits else widening
    return f.define(hint, f"{how} {type_text(source)} {x} to {type_text(target)}")


def to_word(f: FunctionText, x: str, dtype: DType) -> tuple[str, DType]:
    """The bits of a value as an unsigned integer of 32 or 64 bits."""
    if dtype.is_float and dtype.bits > 16:
        word = UNSIGNED[dtype.bits]
        return f.define("bits", f"bitcast {type_text(dtype)} {x} to i{dtype.bits}"), word
    if dtype.bits >= 32:
        return x, UNSIGNED[dtype.bits]
    return f.define("bits", f"zext {type_text(dtype)} {x} to i32"), uint32


def from_word(f: FunctionText, x: str, dtype: DType, hint: str) -> str:
    """The value that `to_word` took."""
    if dtype.is_float and dtype.bits > 16:
        return f.define(hint, f"bitcast i{dtype.bits} {x} to {type_text(dtype)}")
    return x if dtype.bits >= 32 else f.define(hint, f"trunc i32 {x} to {type_text(dtype)}")
