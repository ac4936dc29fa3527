"""Scalars and vectors of lanes as LLVM values, and how instructions over them are written."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import c_float
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from graphc.ir.types import DType
from graphc_llvm.ir_builder import FunctionBuilder, elements, float_literal, vector
from graphc_llvm.target import Target


@dataclass(frozen=True, slots=True)
class Value:
    """One number (width 1, the same for all lanes) or one for each of `width` lanes.

    `text` is an SSA name, or the literal of one element where `literal` is true. A bool is an
    i1; float16 and bfloat16 are held as their bits in an i16.
    """

    text: str
    dtype: DType
    width: int = 1
    literal: bool = False


@cache
def element_type(dtype: DType) -> str:
    """The LLVM type of one value in a register."""
    if dtype.is_float and dtype.bits >= 32:
        return "float" if dtype.bits == 32 else "double"
    return f"i{dtype.bits}"


def memory_type(dtype: DType) -> str:
    """The LLVM type of one element in memory."""
    return "i8" if dtype.kind == "b" else element_type(dtype)


def literal_text(value: Any, dtype: DType) -> str:
    """How a constant of a dtype is written."""
    if dtype.kind == "b":
        return "true" if value else "false"
    if dtype.is_integer:
        wrapped = int(value) & (2**dtype.bits - 1)
        return str(wrapped - 2**dtype.bits if wrapped >> (dtype.bits - 1) else wrapped)
    if dtype.bits == 16:
        return str(int(np.array(value, dtype.numpy).view(np.int16)))
    return float_literal(c_float(value).value if dtype.bits == 32 else float(value))


class LaneWriter:
    """Writes instructions over values of any width.

    A value of width 1 meets a vector as the same number in every lane.
    """

    def __init__(self, builder: FunctionBuilder, target: Target) -> None:
        self.builder = builder
        self.target = target
        # what the values of a statement are named after
        self.hint = ""

    # ------------------------------------------------------------------ values

    def const(self, value: Any, dtype: DType) -> Value:
        """A literal, the same in all lanes."""
        return Value(literal_text(value, dtype), dtype, literal=True)

    def dtype(self, x: Value) -> DType:
        """The element type."""
        return x.dtype

    def typed(self, x: Value, width: int | None = None) -> str:
        """``<16 x float> %x``: type and operand at a width (its own unless given)."""
        width = x.width if width is None else width
        return f"{vector(element_type(x.dtype), width)} {self.operand(x, width)}"

    def operand(self, x: Value, width: int) -> str:
        """The operand text of x at a width."""
        if x.width == width:
            return x.text
        assert x.width == 1, f"a value of {x.width} lanes cannot have {width}"
        element = element_type(x.dtype)
        if x.literal:
            return f"splat ({element} {x.text})"
        many, f = vector(element, width), self.builder
        inserted = f"insertelement {many} poison, {element} {x.text}, i64 0"
        first = f.define("first", inserted, (x.text,))
        shuffled = f"shufflevector {many} {first}, {many} poison, <{width} x i32> zeroinitializer"
        return f.define("all", shuffled, (first,))

    def spread(self, x: Value, width: int) -> Value:
        """The same number in `width` lanes."""
        return x if x.width == width else Value(self.operand(x, width), x.dtype, width)

    def lanes(self, x: Value, start: int, count: int) -> Value:
        """Lanes start .. start + count - 1; a single number stays one."""
        if x.width == 1 or x.width == count:
            return x
        many, f = self.typed(x), self.builder
        if count == 1:
            text = f.define("lane", f"extractelement {many}, i64 {start}", (x.text,))
            return Value(text, x.dtype)
        mask = elements("i32", range(start, start + count))
        kind = vector(element_type(x.dtype), x.width)
        text = f"shufflevector {many}, {kind} poison, <{count} x i32> {mask}"
        return Value(f.define("part", text, (x.text,)), x.dtype, count)

    def join(self, parts: Sequence[Value]) -> Value:
        """The lanes of all parts, one after the other; all parts have the same width."""
        while len(parts) > 1:
            parts = [self._join_two(a, b) for a, b in zip(parts[::2], parts[1::2])]
        return parts[0]

    def _join_two(self, x: Value, y: Value) -> Value:
        return self.shuffle(x, y, range(2 * x.width))

    def shuffle(self, x: Value, y: Value, lanes: Sequence[int]) -> Value:
        """Some lanes of two vectors, those of y counted after those of x."""
        chosen = f"<{len(lanes)} x i32> {elements('i32', lanes)}"
        text = f"shufflevector {self.typed(x)}, {self.typed(y)}, {chosen}"
        return Value(self.builder.define("joined", text, (x.text, y.text)), x.dtype, len(lanes))

    def vector_of(self, values: Sequence[Any], dtype: DType) -> Value:
        """A constant with its own number in each lane."""
        texts = [literal_text(v, dtype) for v in values]
        return Value(elements(element_type(dtype), texts), dtype, len(values))

    # ------------------------------------------------------------------ writing instructions

    def op(
        self, name: str, arguments: Sequence[Value], dtype: DType | None = None, at_least: int = 0
    ) -> Value:
        """``name <type> x, y``: an instruction over operands of one type."""
        width = max(a.width for a in arguments)
        texts = [self.operand(a, width) for a in arguments]
        kind = vector(element_type(arguments[0].dtype), width)
        expression = f"{name} {kind} {', '.join(texts)}"
        hint = self.hint or name.split()[0]
        text = self.builder.define(hint, expression, texts, at_least=at_least)
        return Value(text, dtype or arguments[0].dtype, width)

    def intrinsic(self, name: str, arguments: Sequence[Value], dtype: DType | None = None) -> Value:
        """``llvm.name`` overloaded on the type of its operands (and the result's, if given)."""
        width = max(a.width for a in arguments)
        kinds = [arguments[0].dtype] if dtype is None else [dtype, arguments[0].dtype]
        suffix = ".".join(_mangled(kind, width) for kind in kinds)
        result = vector(element_type(kinds[0]), width)
        kind = vector(element_type(arguments[0].dtype), width)
        listed = [(kind, self.operand(a, width)) for a in arguments]
        hint = self.hint or name.split(".")[0]
        text = self.builder.call(hint, result, f"@llvm.{name}.{suffix}", listed)
        return Value(text, kinds[0], width)

    def change(self, name: str, x: Value, dtype: DType) -> Value:
        """``name <type> x to <type>``: a conversion instruction."""
        kind, many = vector(element_type(dtype), x.width), self.typed(x)
        if x.literal:
            many = f"{element_type(x.dtype)} {x.text}"
        text = self.builder.define(self.hint or name, f"{name} {many} to {kind}", (x.text,))
        return Value(text, dtype, x.width)

    def select(self, condition: Value, x: Value, y: Value) -> Value:
        """x where the condition holds, else y."""
        if condition.literal:
            return x if condition.text == "true" else y
        width = max(condition.width, x.width, y.width)
        texts = [condition.text, self.operand(x, width), self.operand(y, width)]
        kind = vector(element_type(x.dtype), width)
        choice = f"select {self.typed(condition)}, {kind} {texts[1]}, {kind} {texts[2]}"
        return Value(self.builder.define(self.hint or "chosen", choice, texts), x.dtype, width)

    def bitcast(self, x: Value, dtype: DType) -> Value:
        """The same bits as another dtype."""
        if element_type(x.dtype) == element_type(dtype):
            return Value(x.text, dtype, x.width, x.literal)
        return self.change("bitcast", x, dtype)


def _mangled(dtype: DType, width: int) -> str:
    kind = element_type(dtype)
    short = {"float": "f32", "double": "f64"}.get(kind, kind)
    return short if width == 1 else f"v{width}{short}"
