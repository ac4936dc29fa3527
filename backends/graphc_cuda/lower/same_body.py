"""One body for kernels that differ in their arrays and in numbers only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from graphc.ir.types import bool_
from graphc_cuda.device.program import (
    BLOCK_INDEX,
    GRID_SIZE,
    Assign,
    Call,
    Comment,
    DeviceArray,
    DeviceKernel,
    For,
    Get,
    If,
    Intrinsic,
    Literal,
    Op,
    Put,
    Return,
    Select,
    Shuffle,
    Special,
    Stmt,
    Value,
    Variable,
    WarpBarrier,
    While,
    literal,
    operands_of,
)

T = TypeVar("T")
_BY_LITERAL = ("floordiv", "mod")  # take a literal on the right


class DifferError(Exception):
    """The bodies differ in more than arrays and numbers."""


def choose(part: Value, items: Sequence[T], leaf: Callable[[T], Value], start: int = 0) -> Value:
    """The value of the item of a part; no choice where all items are the same."""
    if all(_is_same(item, items[0]) for item in items):
        return leaf(items[0])
    middle = len(items) // 2
    low = choose(part, items[:middle], leaf, start)
    high = choose(part, items[middle:], leaf, start + middle)
    condition = _below(part, start + middle)
    return Select(low.dtype, condition, low, high, is_index=low.is_index)


class Together:
    """Goes through the bodies of kernels side by side; `numbers` come in front of what it makes.

    `tables` say which array stands for each of a kernel, `block` is the block's number among those
    of its part, and `names` the variables that have been named.
    """

    def __init__(
        self,
        kernels: tuple[DeviceKernel, ...],
        tables: Sequence[dict[DeviceArray, DeviceArray]],
        block: Value,
        part: Variable,
        names: set[str],
    ) -> None:
        self.kernels, self.tables, self.own_block = kernels, tables, block
        self.part, self.names = part, names
        self.numbers: list[Stmt] = []
        self._numbers: dict[tuple[str, ...], Variable] = {}
        self._made: dict[tuple[Value, ...], Value] = {}
        self._variables: dict[str, tuple[tuple[str, ...], str]] = {}
        self._taken: set[tuple[int, str]] = set()  # kernels' variables that have a name here

    def block(self, *bodies: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        """Statements that do what the statements of every body do."""
        if len({len(body) for body in bodies}) != 1:
            raise DifferError
        return tuple(made for stmts in zip(*bodies) for made in self._statement(stmts))

    # ---------------------------------------------------------------------- statements

    def _statement(self, s: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        first = s[0]
        if any(type(other) is not type(first) for other in s):
            raise DifferError
        match first:
            case Assign():
                return (Assign(self._target(s, "variable"), self._field(s, "value")),)
            case Put():
                return self._put(s)
            case If():
                otherwise = self.block(*_fields(s, "otherwise"))
                return (If(self._field(s, "condition"), self._body(s), otherwise),)
            case While():
                return (While(self._field(s, "condition"), self._body(s)),)
            case For():
                return (self._for(s, first),)
            case Shuffle():
                values = (self._field(s, name) for name in ("value", "lane", "mask"))
                return (Shuffle(self._target(s, "variable"), *values),)
            case WarpBarrier():
                return (WarpBarrier(self._field(s, "mask")),)
            case Intrinsic():
                return self._intrinsic(s, first)
            case Return() | Comment():
                return (first,)
        raise DifferError  # memory of the block, and its barriers

    def _field(self, s: tuple[Stmt, ...], name: str) -> Value:
        return self.value(_fields(s, name))

    def _target(self, s: tuple[Stmt, ...], name: str) -> Variable:
        return self._variable(_fields(s, name))

    def _body(self, s: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        return self.block(*_fields(s, "body"))

    def _for(self, s: tuple[Stmt, ...], first: For) -> For:
        step = first.step
        if any(not _is_equal(step, other) for other in _fields(s, "step")):
            raise DifferError
        if len(set(_fields(s, "unroll"))) != 1:
            raise DifferError
        start, stop = self._field(s, "start"), self._field(s, "stop")
        return For(self._target(s, "variable"), start, stop, step, self._body(s), first.unroll)

    def _put(self, s: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        arrays = self._arrays(_fields(s, "array"))
        index, value = self._field(s, "index"), self._field(s, "value")
        if len(set(arrays)) == 1:
            return (Put(arrays[0], index, value),)
        front: list[Stmt] = []
        at, new = self._once(index, "at", front), self._once(value, "result", front)
        return (*front, *self._divide(arrays, lambda array: Put(array, at, new)))

    def _intrinsic(self, s: tuple[Stmt, ...], first: Intrinsic) -> tuple[Stmt, ...]:
        results = _transposed(_fields(s, "results"))
        targets = tuple(self._variable(each) for each in results)
        if len(set(_fields(s, "function"))) != 1:
            raise DifferError
        front: list[Stmt] = []
        operands: list[Value | tuple[DeviceArray, ...] | int] = []
        for each in _transposed(_fields(s, "operands")):
            operands.append(self._operand(each, front))
        choices = [x for x in operands if isinstance(x, tuple) and len(set(x)) > 1]
        if choices:  # a variable has to have a value before it gets one in a branch
            front += [Assign(v, Literal(v.dtype, 0.0 if v.dtype.is_float else 0)) for v in targets]

        def of(number: int) -> Stmt:
            here = tuple(x[number] if isinstance(x, tuple) else x for x in operands)
            return Intrinsic(targets, first.function, here)

        if not choices:
            return (*front, of(0))
        return (*front, *self._divide(range(len(self.kernels)), of))

    def _operand(
        self, each: tuple[Any, ...], front: list[Stmt]
    ) -> Value | tuple[DeviceArray, ...] | int:
        first = each[0]
        if isinstance(first, DeviceArray):
            return self._arrays(each)
        if isinstance(first, Value):
            return self._once(self.value(each), "operand", front)
        if len(set(each)) != 1:
            raise DifferError
        assert isinstance(first, int)
        return first

    def _divide(self, items: Sequence[T], leaf: Callable[[T], Stmt]) -> tuple[Stmt, ...]:
        """A statement for the item of each part."""

        def of(low: int, high: int) -> Stmt:
            if all(item == items[low] for item in items[low:high]):
                return leaf(items[low])
            middle = (low + high) // 2
            return If(_below(self.part, middle), (of(low, middle),), (of(middle, high),))

        return (of(0, len(items)),)

    def _once(self, value: Value, hint: str, front: list[Stmt]) -> Value:
        """A value that can be named in several places without being computed in each."""
        if len(self.kernels) == 1 or isinstance(value, (Literal, Variable)):
            return value
        made = Variable(value.dtype, self._fresh(hint), is_index=value.is_index)
        front.append(Assign(made, value))
        return made

    # -------------------------------------------------------------------------- values

    def value(self, values: tuple[Value, ...]) -> Value:
        """What each of the values is in its kernel."""
        if values not in self._made:
            first = values[0]
            for other in values:
                if type(other) is not type(first) or other.dtype != first.dtype:
                    raise DifferError
            self._made[values] = self._value(values, first)
        return self._made[values]

    def _value(self, values: tuple[Value, ...], first: Value) -> Value:
        match first:
            case Literal():
                return self._literal(values, first)
            case Variable():
                return self._variable(values)
            case Get():
                return self._get(values, first)
            case Op(function=function) | Call(function=function):
                if any(x != function for x in _fields(values, "function")):
                    raise DifferError
                args = self._args(values, function in _BY_LITERAL)
                return replace(first, args=args)
            case Select():
                parts = self._args(values, False)
                return Select(first.dtype, *parts, is_index=first.is_index)
            case Special(name=name):
                if any(x != name for x in _fields(values, "name")):
                    raise DifferError
                return self._special(first)
        raise DifferError

    def _args(self, values: tuple[Value, ...], by_literal: bool) -> tuple[Value, ...]:
        each = _transposed(tuple(operands_of(v) for v in values))
        if by_literal and any(not _is_equal(each[1][0], x) for x in each[1]):
            raise DifferError
        return tuple(map(self.value, each))

    def _special(self, value: Special) -> Value:
        if value.name == BLOCK_INDEX.name:
            return self.own_block
        if value.name == GRID_SIZE.name:
            raise DifferError
        return value

    def _literal(self, values: tuple[Value, ...], first: Literal) -> Value:
        if all(_is_equal(first, other) for other in values):
            return first
        given = _fields(values, "value")
        key = (first.dtype.name, str(first.is_index), *map(repr, given))
        if key not in self._numbers:
            made = Variable(first.dtype, self._fresh("number"), is_index=first.is_index)
            picked = choose(self.part, given, lambda x: replace(first, value=x))
            self.numbers.append(Assign(made, picked))
            self._numbers[key] = made
        return self._numbers[key]

    def _variable(self, values: tuple[Value, ...]) -> Variable:
        names = _fields(values, "name")
        first = values[0]
        if any(v.dtype != first.dtype for v in values):
            raise DifferError
        if names[0] not in self._variables:
            if self._taken.intersection(enumerate(names)):
                raise DifferError  # two variables of one kernel are one of another's
            self._taken.update(enumerate(names))
            self._variables[names[0]] = names, self._fresh(names[0])
        known, name = self._variables[names[0]]
        if known != names:
            raise DifferError
        return Variable(first.dtype, name, is_index=first.is_index)

    def _get(self, values: tuple[Value, ...], first: Get) -> Value:
        index = self.value(_fields(values, "index"))
        arrays = self._arrays(_fields(values, "array"))
        if len(set(arrays)) > 1 and _reads(index):
            raise DifferError  # every choice would repeat the choices inside its index
        return choose(self.part, arrays, lambda array: replace(first, array=array, index=index))

    def _arrays(self, arrays: tuple[DeviceArray, ...]) -> tuple[DeviceArray, ...]:
        pairs = list(zip(arrays, self.tables))
        if any(a not in table for a, table in pairs):
            raise DifferError
        if len({(a.dtype, a.holds) for a in arrays}) != 1:
            raise DifferError
        positions = {k.arrays.index(a) for k, a in zip(self.kernels, arrays)}
        if len(positions) != 1:
            raise DifferError
        return tuple(table[a] for a, table in pairs)

    def _fresh(self, hint: str) -> str:
        name, number = hint, 1
        while name in self.names:
            number += 1
            name = f"{hint}_{number}"
        self.names.add(name)
        return name


def _below(value: Value, stop: int) -> Op:
    return Op(bool_, "lt", (value, literal(stop)))


def _fields(items: Sequence[object], name: str) -> tuple:  # type: ignore[type-arg]
    return tuple(getattr(item, name) for item in items)


def _transposed(rows: tuple[tuple[T, ...], ...]) -> tuple[tuple[T, ...], ...]:
    """For every position what all have there."""
    if len({len(row) for row in rows}) != 1:
        raise DifferError
    return tuple(zip(*rows))


def _is_same(a: object, b: object) -> bool:
    """Whether two items are one; -0.0 is not 0.0, and NaN is NaN."""
    return repr(a) == repr(b) if isinstance(a, float) else a == b


def _is_equal(a: Value, b: Value) -> bool:
    """Whether two are the same number, to the bit."""
    both = isinstance(a, Literal) and isinstance(b, Literal)
    return a is b or (both and a.dtype == b.dtype and repr(a.value) == repr(b.value))  # type: ignore[attr-defined]


def _reads(value: Value) -> bool:
    waiting = [value]
    while waiting:
        current = waiting.pop()
        if isinstance(current, Get):
            return True
        waiting += operands_of(current)
    return False
