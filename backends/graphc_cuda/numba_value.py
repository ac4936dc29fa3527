"""Values of the device program as expressions of numba-CUDA Python.

numba computes integers in 64 bits. So what is narrower, and is no index, is wrapped in its dtype:
`u32(a * b)`. Of nested sums and products only the outermost needs it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from graphc.ir.types import DType, bool_, float64, int64, uint64
from graphc_cuda.device.program import (
    HALVES,
    Call,
    DeviceArray,
    Get,
    Literal,
    Op,
    Select,
    Special,
    Value,
    Variable,
)
from graphc_cuda.layout import Brackets, Chain, Node, Prefix
from graphc_cuda.numba_names import Names

# how tightly signs bind in Python
TERNARY, OR, AND, NOT, COMPARE, UNARY, ATOM = 1, 2, 3, 4, 5, 12, 13
INFIX = {
    "logical_or": ("or", OR), "logical_and": ("and", AND),
    "lt": ("<", COMPARE), "le": ("<=", COMPARE), "eq": ("==", COMPARE), "ne": ("!=", COMPARE),
    "gt": (">", COMPARE), "ge": (">=", COMPARE),
    "bit_or": ("|", 6), "bit_xor": ("^", 7), "bit_and": ("&", 8), "shl": ("<<", 9),
    "shr": (">>", 9), "add": ("+", 10), "sub": ("-", 10), "mul": ("*", 11), "div": ("/", 11),
    "floordiv": ("//", 11), "mod": ("%", 11),
}  # fmt: skip
MIRRORED = {"lt": "gt", "le": "ge", "eq": "eq", "ne": "ne"}
NEGATED = {"eq": "ne", "ne": "eq"}
WRAPPED = ("add", "sub", "mul", "neg", "bit_and", "bit_or", "bit_xor", "shl", "shr")
# what gives the same low bits, whatever the upper bits of its operands are
LOW_BITS = ("add", "sub", "mul", "neg", "bit_and", "bit_or", "bit_xor")
# signs that may follow without parentheses, as in a + (b - c); + and * only for indices
ASSOCIATIVE = {"add": ("+", "-"), "mul": ("*",), "logical_and": ("and",), "logical_or": ("or",)}
PLAIN = 1e9  # whole floats below are written without an exponent
HEXADECIMAL = 1 << 12  # unsigned numbers from here on are patterns of bits


@dataclass
class Spelling:
    """How values are written inside of one kernel or function; notes which names are used."""

    names: Names
    used: set[str]

    def use(self, name: str) -> str:
        """A name of the language."""
        self.used.add(name)
        return name

    def node(self, value: Value) -> Node:
        """The expression."""
        match value:
            case Literal():
                return self._literal(value)
            case Variable():
                return self.names.of(value)
            case Special(name=name):
                return name
            case Get(array=array, index=index):
                return self.element(array, index)
            case Call(function=function, args=args):
                return _call(self.names.functions[function], *map(self.node, args))
            case Select():
                return self._select(value)
            case Op():
                return self._operation(value)
        raise AssertionError(value)

    def operand(self, thing: Value | DeviceArray | int) -> Node:
        """An operand of an intrinsic function."""
        if isinstance(thing, int):
            return str(thing)
        return self.names.of(thing) if isinstance(thing, DeviceArray) else self.node(thing)

    def element(self, array: DeviceArray, index: Value) -> Node:
        """array[index]"""
        return Brackets(self.names.of(array), "[", (self.node(index),), "]")

    def _literal(self, value: Literal) -> Node:
        dtype, number = value.dtype, value.value
        if dtype == bool_:
            return str(bool(number))
        if dtype.is_float:
            text = self._float(float(number), dtype)
            return text if dtype.bits == 64 else _call(self.use(memory_name(dtype)), text)
        if is_index(value) or dtype == int64:
            return str(int(number))
        text = f"0x{number:X}" if dtype.kind == "u" and number >= HEXADECIMAL else str(int(number))
        return _call(self.use(dtype.short), text)

    def _float(self, number: float, dtype: DType) -> str:
        if math.isnan(number):
            return self.use("nan")
        if math.isinf(number):
            return ("-" if number < 0 else "") + self.use("inf")
        if number.is_integer() and 1 <= abs(number) < PLAIN:
            return f"{int(number)}.0"
        short = repr(number) if dtype == float64 else str(np.float32(number))
        # read as float64 first, a short text could end at another float32
        if dtype != float64 and np.float32(float(short)) != np.float32(number):
            short = repr(number)
        mantissa, e, exponent = short.partition("e")
        return f"{mantissa}e{int(exponent)}" if e else short

    def _select(self, value: Select) -> Node:
        taken = self._tight(value.value, TERNARY, left=False)
        condition = self._tight(value.condition, TERNARY, left=False)
        otherwise = self._tight(value.otherwise, TERNARY, left=True)
        return Chain((taken, condition, otherwise), ("if", "else"), TERNARY)

    def _operation(self, value: Op) -> Node:
        function, args = value.function, value.args
        if function == "convert":
            return self._convert(value)
        if is_index(value) and (same := _without_neutral(value)) is not None:
            return self.node(same)
        if is_wrapped(value):
            return _call(self.use(value.dtype.short), self._bare(value))
        if function in INFIX or function in ("neg", "logical_not"):
            return self._bare(value)
        if function in ("saturate", "bitcast"):
            name = self.use(f"{function}_{value.dtype.short}")
            return _call(
                name, self._exact(args[0]) if function == "bitcast" else self.node(args[0])
            )
        name = self.use("absolute" if function == "abs" else function)
        written = _call(name, *map(self.node, args))
        return self._narrow(value, written)

    def _narrow(self, value: Op, written: Node) -> Node:
        """An integer function of indices may have computed in more bits than it means."""
        wide = any(is_index(x) and not isinstance(x, Literal) for x in value.args)
        exact = value.dtype.kind not in "iu" or value.function in HALVES
        if exact or is_index(value) or not wide or value.dtype.bits == 64:
            return written
        return _call(self.use(value.dtype.short), written)

    def _convert(self, value: Op) -> Node:
        (x,) = value.args
        if (is_index(value) and is_index(x)) or (value.dtype == x.dtype and not is_index(x)):
            return self.node(x)
        if value.dtype == bool_:
            return self._bare(Op(bool_, "ne", (x, Literal(x.dtype, 0))))
        if isinstance(x, Literal) and x.dtype.is_integer and value.dtype.is_integer:
            number = int(np.array(int(x.value)).astype(value.dtype.numpy))
            return self._literal(Literal(value.dtype, number, is_index=value.is_index))
        return _call(self.use(value.dtype.short), self._inner(x, value))

    def _exact(self, value: Value) -> Node:
        """A value in its own width: indices may be wider."""
        if not is_index(value):
            return self.node(value)
        return _call(self.use(value.dtype.short), self.node(value))

    def _bare(self, value: Op) -> Node:
        """An operation with its sign, not wrapped in its dtype."""
        function, args = value.function, value.args
        if function == "neg":
            return Prefix("-", self._tight(args[0], UNARY, left=True, outer=value))
        if function == "logical_not":
            return self._not(args[0])
        a, b = args
        if function in MIRRORED and isinstance(a, Literal) and not isinstance(b, Literal):
            function, a, b = MIRRORED[function], b, a
        sign, level = INFIX[function]
        if function == "add" and is_index(value) and isinstance(b, Literal) and b.value < 0:
            function, sign, b = "sub", "-", Literal(b.dtype, -b.value, is_index=True)
        left = self._tight(a, level, left=level != COMPARE, outer=value)
        follows = ASSOCIATIVE.get(function, ()) if is_index(value) or level < COMPARE else ()
        right = self._inner(b, value)
        if not (
            isinstance(right, Chain) and right.level == level and {*right.operators} <= {*follows}
        ):
            right = self._tight(b, level, left=False, outer=value)
        return _chain(left, sign, right, level)

    def _not(self, x: Value) -> Node:
        if isinstance(x, Op) and x.function in NEGATED:
            return self._bare(Op(x.dtype, NEGATED[x.function], x.args))
        return Prefix("not ", self._tight(x, NOT, left=True))

    def _inner(self, value: Value, outer: Op | None) -> Node:
        """An operand, without its dtype around it where that of the outer operation is enough."""
        if outer is not None and isinstance(value, Op) and _keeps_low_bits(outer, value):
            return self._bare(value)
        return self.node(value)

    def _tight(self, value: Value, level: int, *, left: bool, outer: Op | None = None) -> Node:
        """An operand, in parentheses where it binds less; `left`: equal precedence needs none."""
        node = self._inner(value, outer)
        own = _level(node)
        if own > level or (left and own == level):
            return node
        return Brackets("", "(", (node,), ")")


def memory_name(dtype: DType) -> str:
    """The name of the type that elements have in memory."""
    return "u8" if dtype == bool_ else "u16" if dtype.is_float and dtype.bits == 16 else dtype.short


def is_index(value: Value) -> bool:
    """Whether a value never overflows, and may be computed in any width."""
    return value.is_index and value.dtype.kind == "i" and value.dtype.bits >= 32


def is_wrapped(value: Value) -> bool:
    """Whether numba would compute the operation in more bits than it means."""
    if not isinstance(value, Op) or value.function not in WRAPPED or is_index(value):
        return False
    return value.dtype.is_integer and value.dtype not in (int64, uint64)


def _keeps_low_bits(outer: Op, inner: Op) -> bool:
    """Whether the outer operation is wrapped, too, and needs the low bits of the inner alone."""
    if not is_wrapped(inner) or inner.function == "shr":
        return False
    if outer.function == "convert":
        return outer.dtype.is_integer and outer.dtype.bits <= inner.dtype.bits
    return is_wrapped(outer) and outer.function in LOW_BITS and outer.dtype == inner.dtype


def _without_neutral(value: Op) -> Value | None:
    """What an index is beside + 0 or * 1."""
    neutral = {"add": 0, "sub": 0, "mul": 1, "floordiv": 1}.get(value.function)
    if neutral is None:
        return None
    first, second = value.args
    if isinstance(second, Literal) and second.value == neutral:
        return first
    commutes = value.function in ("add", "mul")
    return second if commutes and isinstance(first, Literal) and first.value == neutral else None


def _call(name: str, *items: Node) -> Node:
    return Brackets(name, "(", items, ")")


def _level(node: Node) -> int:
    if isinstance(node, Chain):
        return node.level
    if isinstance(node, Prefix):
        return NOT if node.sign == "not " else UNARY
    return UNARY if isinstance(node, str) and node.startswith("-") else ATOM


def _chain(left: Node, sign: str, right: Node, level: int) -> Node:
    """One chain of all signs of a precedence."""
    operands, signs = [left], [sign]
    if isinstance(left, Chain) and left.level == level:
        operands, signs = [*left.operands], [*left.operators, sign]
    if isinstance(right, Chain) and right.level == level:
        return Chain((*operands, *right.operands), (*signs, *right.operators), level)
    return Chain((*operands, right), tuple(signs), level)
