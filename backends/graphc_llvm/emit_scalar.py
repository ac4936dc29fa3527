"""The primitives of the loop level over LLVM scalars and vectors."""

from __future__ import annotations

from typing import Any

from graphc.ir.loops import elementary
from graphc.ir.loops.scalar import PRIMITIVES
from graphc.ir.types import DType, bool_, float32
from graphc_llvm import emit_convert as convert
from graphc_llvm.ir_builder import FunctionBuilder, FunctionParameter, LoopCarried, vector
from graphc_llvm.target import Target
from graphc_llvm.values import LaneWriter, Value, element_type, literal_text


class LaneEmitter(LaneWriter):
    """`graphc.ir.loops.scalar.ScalarEmitter` over LLVM values of any width.

    `active` is the mask of lanes that exist in the last, partial vector of a loop; it keeps
    integer division from dividing by what stands in the others.
    """

    def __init__(self, builder: FunctionBuilder, target: Target) -> None:
        super().__init__(builder, target)
        self.active: Value | None = None

    def _via_float32(self, method: Any, *arguments: Value) -> Value:
        """Compute in float32 and round once: exact for + - * / and sqrt of 16-bit floats."""
        wide = [self.cast(a, float32) for a in arguments]
        return self.cast(method(*wide), arguments[0].dtype)

    def _arithmetic(self, method: Any, name: str, x: Value, y: Value) -> Value:
        if not x.dtype.is_float:
            return self.op(name, (x, y))
        return (
            self._via_float32(method, x, y) if x.dtype.bits == 16 else self.op(f"f{name}", (x, y))
        )

    # ------------------------------------------------------------------ arithmetic

    def add(self, x: Value, y: Value) -> Value:
        """x + y"""
        return self._arithmetic(self.add, "add", x, y)

    def sub(self, x: Value, y: Value) -> Value:
        """x - y"""
        return self._arithmetic(self.sub, "sub", x, y)

    def mul(self, x: Value, y: Value) -> Value:
        """x * y"""
        return self._arithmetic(self.mul, "mul", x, y)

    def div(self, x: Value, y: Value) -> Value:
        """x / y; integers truncate."""
        if x.dtype.is_float:
            return self._arithmetic(self.div, "div", x, y)
        return self._divide("udiv" if x.dtype.kind == "u" else "sdiv", x, y)

    def rem(self, x: Value, y: Value) -> Value:
        """The remainder of integers, with the sign of x."""
        return self._divide("urem" if x.dtype.kind == "u" else "srem", x, y)

    def _divide(self, name: str, x: Value, y: Value) -> Value:
        if y.literal:
            return self.op(name, (x, y))
        if self.active is not None and y.width > 1:
            y = self.select(self.active, y, self.const(1, y.dtype))
        # a division that nobody asked for could be by 0
        return self.op(name, (x, y), at_least=self.builder.speculation_level)

    def mulhi(self, x: Value, y: Value) -> Value:
        """The upper half of the product of two uint32."""
        return convert.high_product(self, x, y)

    def fma(self, x: Value, y: Value, z: Value) -> Value:
        """x * y + z, rounded once where the target can."""
        if x.dtype.is_float and x.dtype.bits == 16:
            return self._via_float32(self.fma, x, y, z)
        if x.dtype.is_float and self.target.has_fma:
            return self.intrinsic("fma", (x, y, z))
        return self.add(self.mul(x, y), z)

    def neg(self, x: Value) -> Value:
        """-x"""
        if not x.dtype.is_float:
            return self.sub(self.const(0, x.dtype), x)
        if x.dtype.bits == 16:
            return self.op("xor", (x, self._bits_of(-0.0, x)))
        return self.op("fneg", (x,))

    def abs(self, x: Value) -> Value:
        """|x|"""
        if x.dtype.kind == "u":
            return x
        if not x.dtype.is_float:
            return self.select(self.lt(x, self.const(0, x.dtype)), self.neg(x), x)
        if x.dtype.bits == 16:
            return self.op("and", (x, Value(str(0x7FFF), x.dtype, literal=True)))
        return self.intrinsic("fabs", (x,))

    def _bits_of(self, value: float, like: Value) -> Value:
        return Value(literal_text(value, like.dtype), like.dtype, literal=True)

    def sqrt(self, x: Value) -> Value:
        """The square root."""
        if x.dtype.bits == 16:
            return self._via_float32(self.sqrt, x)
        return self.intrinsic("sqrt", (x,))

    def floor(self, x: Value) -> Value:
        """Round down."""
        return convert.round_to_integer(self, "floor", x)

    def ceil(self, x: Value) -> Value:
        """Round up."""
        return convert.round_to_integer(self, "ceil", x)

    def trunc(self, x: Value) -> Value:
        """Round towards 0."""
        return convert.round_to_integer(self, "trunc", x)

    def rint(self, x: Value) -> Value:
        """Round half to even."""
        return convert.round_to_integer(self, "rint", x)

    # ------------------------------------------------------------------ comparisons

    def _compare(self, how: str, x: Value, y: Value) -> Value:
        if x.dtype.is_float:
            if x.dtype.bits == 16:
                x, y = self.cast(x, float32), self.cast(y, float32)
            return self.op(f"fcmp {'u' if how == 'ne' else 'o'}{how}", (x, y), bool_)
        if how not in ("eq", "ne"):
            how = ("s" if x.dtype.kind == "i" else "u") + how
        return self.op(f"icmp {how}", (x, y), bool_)

    def lt(self, x: Value, y: Value) -> Value:
        """x < y"""
        return self._compare("lt", x, y)

    def le(self, x: Value, y: Value) -> Value:
        """x <= y"""
        return self._compare("le", x, y)

    def eq(self, x: Value, y: Value) -> Value:
        """x == y"""
        return self._compare("eq", x, y)

    def ne(self, x: Value, y: Value) -> Value:
        """x != y; true for NaN."""
        return self._compare("ne", x, y)

    # ------------------------------------------------------------------ bits

    def logical_and(self, x: Value, y: Value) -> Value:
        """Both of two bools."""
        return self.op("and", (x, y))

    def logical_or(self, x: Value, y: Value) -> Value:
        """Either of two bools."""
        return self.op("or", (x, y))

    def logical_not(self, x: Value) -> Value:
        """The other bool."""
        return self.op("xor", (x, self.const(True, bool_)))

    def bit_and(self, x: Value, y: Value) -> Value:
        """x & y"""
        return self.op("and", (x, y))

    def bit_or(self, x: Value, y: Value) -> Value:
        """x | y"""
        return self.op("or", (x, y))

    def bit_xor(self, x: Value, y: Value) -> Value:
        """x ^ y"""
        return self.op("xor", (x, y))

    def shl(self, x: Value, y: Value) -> Value:
        """x << y"""
        return self.op("shl", (x, y))

    def shr(self, x: Value, y: Value) -> Value:
        """x >> y"""
        return self.op("lshr" if x.dtype.kind == "u" else "ashr", (x, y))

    def cast(self, x: Value, dtype: DType) -> Value:
        """Convert the value."""
        return convert.cast(self, x, dtype)

    def select_unlikely(self, condition: Value, function: str, x: Value, usual: Value) -> Value:
        """Call the outlined function if the condition holds for any lane."""
        kind = vector(element_type(usual.dtype), usual.width)

        def choose() -> list[str]:
            call = f"call {kind} @{self._outlined(function, usual)}({self.typed(x, usual.width)})"
            rare = Value(self.builder.effect_value(function, call), usual.dtype, usual.width)
            return [self.select(condition, rare, usual).text]

        carried = LoopCarried(kind, self.operand(usual, usual.width), self.hint or "usual")
        (text,) = self.builder.when(self._any(condition), [carried], choose, "seldom")
        return Value(text, usual.dtype, usual.width)

    def _any(self, condition: Value) -> str:
        """Whether the condition holds in a lane that exists."""
        width = condition.width
        if width == 1:
            return condition.text
        if self.active is not None:
            condition = self.select(self.active, condition, self.const(False, bool_))
        many = vector("i1", width)
        name = f"@llvm.vector.reduce.or.v{width}i1"
        return self.builder.call("any", "i1", name, [(many, condition.text)])

    def _outlined(self, function: str, like: Value) -> str:
        """Outline a function of one value; its name in the module."""
        module, kind = self.builder.module, vector(element_type(like.dtype), like.width)
        key = function, like.dtype, like.width
        if key not in module.helpers:
            name = f"{self.builder.name}.{function}.{like.width}{element_type(like.dtype)}"
            module.helpers[key] = name
            body = FunctionBuilder(
                module,
                name,
                [FunctionParameter(kind, "x")],
                "cold noinline nounwind",
                "internal",
                kind,
            )
            argument = Value("%x", like.dtype, like.width)
            result = LaneEmitter(body, self.target).apply(function, argument)
            body.finish(result.text)
        return module.helpers[key]

    def apply(self, function: str, *xs: Any) -> Value:
        """Any function of `graphc.ir.loops.scalar.FUNCTIONS` by its name."""
        if function in PRIMITIVES:
            result: Value = getattr(self, function)(*xs)
        elif function == "times_power" and convert.has_scaling(self, xs[0]):
            result = convert.scale(self, xs[0], xs[1])
        else:
            result = getattr(elementary, function)(self, *xs)
        return result
