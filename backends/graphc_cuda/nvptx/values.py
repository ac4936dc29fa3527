"""Values of device programs as LLVM text."""

from __future__ import annotations

from graphc.ir.types import DType, int64, uint64
from graphc_cuda.device.program import (
    Call,
    DeviceArray,
    Get,
    Literal,
    Op,
    Select,
    Special,
    Value,
    Variable,
    operands_of,
)
from graphc_cuda.nvptx.function_text import (
    POINTERS,
    FunctionText,
    identifier,
    literal_text,
    type_text,
)
from graphc_cuda.nvptx.operations import (
    call_text,
    convert_text,
    operand_type,
    operation_text,
    resize_text,
)

_REGISTERS = {"thread": "tid", "block": "ctaid", "blocks": "nctaid"}
_MOST_BLOCKS = 2**31 - 1


class ValueText:
    """Writes the values of one function; a value that a statement names twice is written once.

    `current` says what variables are; those that change are in memory, at `places`.
    """

    def __init__(self, f: FunctionText, threads: int = 1024) -> None:
        self.f = f
        self.threads = threads
        self.current: dict[str, str] = {}
        self.places: dict[str, str] = {}
        self.pointers: dict[DeviceArray, str] = {}
        self._specials: dict[str, str] = {}
        self._known: dict[Value, str] = {}

    def forget(self) -> None:
        """Begin a statement: memory and variables have changed."""
        self._known = {}

    def text(self, value: Value, hint: str = "") -> str:
        """The name of a value, or a constant."""
        if isinstance(value, Literal):
            return literal_text(value.value, value.dtype)
        if value not in self._known:
            self._known[value] = self._write(value, hint)
        return self._known[value]

    def as_type(self, value: Value, dtype: DType) -> str:
        """The same in another integer type, where an index is one."""
        if isinstance(value, Literal):
            return literal_text(value.value, dtype)
        if value.dtype == dtype:
            return self.text(value)
        assert {value.dtype.kind, dtype.kind} <= {"i", "u"}, f"{value.dtype} is not {dtype}"
        return resize_text(self.f, self.text(value), value.dtype, dtype, "index")

    def typed(self, value: Value) -> str:
        """The value after its type."""
        return f"{type_text(value.dtype)} {self.text(value)}"

    def _write(self, value: Value, hint: str) -> str:
        match value:
            case Variable(name=name):
                return self._variable(name, value.dtype)
            case Special(name=name):
                return self._special(name)
            case Get(array=array, index=index):
                return self._get(array, index, value.dtype, hint)
            case Op(function="logical_and" | "logical_or", args=(x, y)) if is_guarded(y):
                is_and = value.function == "logical_and"
                rest, fixed = (y, Literal(y.dtype, False)), (Literal(y.dtype, True), y)
                return self._branches(value, x, rest if is_and else fixed, hint)
            case Op(function=function, args=args):
                dtype = operand_type(value)
                texts = [self.text(a) if dtype is None else self.as_type(a, dtype) for a in args]
                return operation_text(self.f, value, texts, hint or function)
            case Select(condition=condition, value=taken, otherwise=other):
                if is_guarded(taken) or is_guarded(other):
                    return self._branches(value, condition, (taken, other), hint)
                return self._select(value, hint)
            case Call(function=function, args=args):
                typed = [self.typed(a) for a in args]
                name = f"@{identifier(function.name)}"
                result = type_text(function.result.dtype)
                return call_text(self.f, name, result, typed, hint or identifier(function.name))
        raise AssertionError(f"unknown value {value}")

    # ---------------------------------------------------------------- choices

    def _select(self, value: Select, hint: str) -> str:
        kind = type_text(value.dtype)
        taken, other = (self.as_type(v, value.dtype) for v in (value.value, value.otherwise))
        condition = self.text(value.condition)
        expression = f"select i1 {condition}, {kind} {taken}, {kind} {other}"
        return self.f.define(hint or "chosen", expression)

    def _branches(
        self, value: Value, condition: Value, sides: tuple[Value, Value], hint: str
    ) -> str:
        """Evaluate one side only."""
        f, before = self.f, self._known
        asked = self.text(condition)
        labels = f.labels("taken", "otherwise")
        (joined,) = f.labels("joined")
        f.branch_if(asked, *labels)
        arriving = []
        for label, side in zip(labels, sides):
            f.start(label)
            self._known = dict(before)
            result = self.as_type(side, value.dtype)
            arriving.append(f"[ {result}, %{f.label} ]")
            f.branch(joined)
        f.start(joined)
        self._known = before
        return f.define(hint or "chosen", f"phi {type_text(value.dtype)} {', '.join(arriving)}")

    # ---------------------------------------------------------------- memory

    def element(self, array: DeviceArray, index: Value) -> str:
        """The typed address of an element."""
        kind, pointer = POINTERS[array.space], self.pointers[array]
        at, dtype = self.text(index), index.dtype
        if dtype.kind == "u":  # LLVM takes an index for signed
            at, dtype = resize_text(self.f, at, dtype, uint64, "index"), int64
        place = f"{kind} {pointer}, {type_text(dtype)} {at}"
        element = f"getelementptr inbounds {type_text(array.dtype)}, {place}"
        return f"{kind} {self.f.define(f'{array.name}_at', element)}"

    def _get(self, array: DeviceArray, index: Value, dtype: DType, hint: str) -> str:
        name, kind = hint or f"{array.name}_", type_text(array.dtype)
        found = self.f.define(name, f"load {kind}, {self.element(array, index)}")
        return self.from_memory(found, array, dtype, name)

    def from_memory(self, text: str, array: DeviceArray, dtype: DType, hint: str) -> str:
        """What an element means as a value: bool is uint8 in memory."""
        if type_text(array.dtype) == type_text(dtype):
            return text
        return convert_text(self.f, text, array.dtype, dtype, hint)

    def to_memory(self, value: Value, array: DeviceArray) -> str:
        """What an array holds for a value."""
        if type_text(array.dtype) == type_text(value.dtype):
            return self.text(value)
        if isinstance(value, Literal):
            return literal_text(value.value, array.dtype)
        return convert_text(self.f, self.text(value), value.dtype, array.dtype, "element")

    # ------------------------------------------------------------- variables

    def _variable(self, name: str, dtype: DType) -> str:
        if name in self.places:
            loaded = f"load {type_text(dtype)}, ptr {self.places[name]}"
            return self.f.define(f"{name}_", loaded)
        return self.current[name]

    def _special(self, name: str) -> str:
        if name not in self._specials:
            first, last = {"thread": (0, self.threads), "blocks": (1, _MOST_BLOCKS)}.get(
                name, (0, _MOST_BLOCKS)
            )
            register = f"@llvm.nvvm.read.ptx.sreg.{_REGISTERS[name]}.x()"
            read = f"call range(i32 {first}, {last}) i32 {register}"
            self._specials[name] = self.f.define_first(name, read)
        return self._specials[name]


def is_guarded(value: Value) -> bool:
    """Whether a value must not, or had better not, be evaluated where it is not asked for."""
    waiting, seen = [value], {value}
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, Get | Call):
            return True
        fresh = [v for v in operands_of(inner) if v not in seen]
        seen.update(fresh)
        waiting += fresh
    return False
