"""A builder of textual LLVM IR: functions, structured loops, code motion.

An i64 operand is a Python ``int`` (folded as far as possible) or the name of an SSA value.
Pure instructions are placed at the outermost level at which their operands exist and are never
emitted twice there, so invariant code leaves loops without a pass that looks for it.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache

from graphc.ir.schedule import ALIGNMENT
from graphc_llvm.blocks import BlockBuilder, Module

Operand = int | str  # an i64


def vector(element: str, width: int) -> str:
    """The type of `width` elements; a scalar type for width 1."""
    return element if width == 1 else f"<{width} x {element}>"


def float_literal(value: float) -> str:
    """A float or double constant; round `value` to float before, where it is one."""
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"


def elements(element: str, values: Sequence[object]) -> str:
    """A constant vector, or the one scalar constant."""
    if len(values) == 1:
        return str(values[0])
    return "<" + ", ".join(f"{element} {v}" for v in values) + ">"


@cache
def identifier(name: str) -> str:
    """A name that can stand in LLVM text without quotes."""
    plain = re.sub(r"[^A-Za-z0-9_.]", "_", name) or "_"
    return f"_{plain}" if plain[0].isdigit() else plain


@dataclass(frozen=True)
class FunctionParameter:
    """A parameter of a function: ``ptr noalias`` and a name without the percent sign."""

    type: str
    name: str


@dataclass(frozen=True)
class LoopCarried:
    """A loop-carried value or the result of an if: its type, initial value and name hint."""

    type: str
    initial: str
    hint: str


@dataclass
class _Scope:
    """A region: the lines in front of it that take invariant code, and what is known inside.

    `may_be_skipped` regions and the lines in front of them run only if some condition holds.
    """

    before: list[str]
    may_be_skipped: bool = False
    before_known: dict[object, str] = field(default_factory=dict)
    known: dict[object, str] = field(default_factory=dict)


class FunctionBuilder(BlockBuilder):
    """Writes one function with loops and ifs; `finish` adds it to the module."""

    def __init__(
        self,
        module: Module,
        name: str,
        parameters: Sequence[FunctionParameter],
        attributes: str = "nounwind",
        linkage: str = "",
        result: str = "void",
    ) -> None:
        super().__init__(
            name, [f"{p.type} %{p.name}" for p in parameters], attributes, linkage, result
        )
        self.module = module
        self.name = name
        self._entry: list[str] = []
        self._lines.append(self._entry)
        self._used: dict[str, int] = {p.name: 1 for p in parameters} | {"entry": 1}
        self._levels: dict[str, int] = {f"%{p.name}": 0 for p in parameters}
        self._scopes = [_Scope(self._entry)]

    @property
    def level(self) -> int:
        """How many loops and ifs are open."""
        return len(self._scopes) - 1

    @property
    def speculation_level(self) -> int:
        """How far out code may be placed that must not run unless it is needed here."""
        inner = [k for k, scope in enumerate(self._scopes) if scope.may_be_skipped]
        return inner[-1] - 1 if inner else 0

    def level_of(self, operand: Operand) -> int:
        """The level at which an operand exists; 0 for constants and parameters."""
        return 0 if isinstance(operand, int) else self._levels.get(operand, 0)

    def fresh(self, hint: str) -> str:
        """An unused name without the percent sign."""
        hint = identifier(hint)
        count = self._used.get(hint, 0)
        self._used[hint] = count + 1
        return self.fresh(f"{hint}.{count}") if count else hint

    def define(
        self,
        hint: str,
        expression: str,
        operands: Sequence[Operand],
        key: object = None,
        at_least: int = 0,
    ) -> str:
        """Name a pure expression; place it where all operands exist, not above `at_least`.

        Two expressions with the same key (the text, unless given) are the same value.
        """
        level = max([at_least, *map(self.level_of, operands)])
        assert level <= self.level, f"{expression}: an operand is not visible here"
        key = expression if key is None else key
        known = self._scopes[level].known
        if key in known:
            return known[key]
        if level == self.level:
            lines: list[str] | list[str | list[str]] = self._lines
        else:
            inner = self._scopes[level + 1]
            lines, known = inner.before, inner.before_known
            if key in known:
                return known[key]
        name = f"%{self.fresh(hint)}"
        self.module.note()
        lines.append(f"  {name} = {expression}")
        self._levels[name] = level
        known[key] = name
        return name

    def effect(self, instruction: str) -> None:
        """Write an instruction that has no result and stays where it is."""
        self.module.note()
        super().effect(instruction)

    def effect_value(self, hint: str, expression: str) -> str:
        """Name an expression that is neither moved nor merged."""
        name = super().effect_value(hint, expression)
        self._levels[name] = self.level
        return name

    def stack(self, hint: str, element: str, count: int, align: int = ALIGNMENT) -> str:
        """Reserve memory for the duration of the call."""
        name = f"%{self.fresh(hint)}"
        self._entry.append(f"  {name} = alloca {element}, i64 {count}, align {align}")
        return name

    def call(
        self, hint: str, result: str, name: str, arguments: Sequence[tuple[str, Operand]]
    ) -> str:
        """Call a pure function, declaring it."""
        self.module.declare(name, result, [t for t, _ in arguments])
        listed = ", ".join(f"{t} {value}" for t, value in arguments)
        return self.define(hint, f"call {result} {name}({listed})", [v for _, v in arguments])

    def call_effect(self, name: str, arguments: Sequence[tuple[str, Operand]]) -> None:
        """Call a function without result for its effect, declaring it."""
        self.module.declare(name, "void", [t for t, _ in arguments])
        listed = ", ".join(f"{t} {value}" for t, value in arguments)
        self.effect(f"call void {name}({listed})")

    # ------------------------------------------------------------------ i64 arithmetic, memory

    def add(self, x: Operand, y: Operand, hint: str = "sum") -> Operand:
        """x + y"""
        if isinstance(x, int) and isinstance(y, int):
            return x + y
        if isinstance(x, int):
            x, y = y, x
        return x if y == 0 else self.define(hint, f"add i64 {x}, {y}", (x, y))

    def sub(self, x: Operand, y: Operand, hint: str = "difference") -> Operand:
        """x - y"""
        if isinstance(y, int):
            return self.add(x, -y, hint)
        return 0 if x == y else self.define(hint, f"sub i64 {x}, {y}", (x, y))

    def mul(self, x: Operand, y: Operand, hint: str = "product") -> Operand:
        """x * y"""
        if isinstance(x, int) and isinstance(y, int):
            return x * y
        if isinstance(x, int):
            x, y = y, x
        if y == 0 or y == 1:
            return 0 if y == 0 else x
        return self.define(hint, f"mul i64 {x}, {y}", (x, y))

    def div(self, x: Operand, y: Operand, hint: str = "quotient") -> Operand:
        """x // y of non-negative numbers."""
        if isinstance(x, int) and isinstance(y, int):
            return x // y
        return x if y == 1 else self._divide("udiv", x, y, hint)

    def rem(self, x: Operand, y: Operand, hint: str = "remainder") -> Operand:
        """x % y of non-negative numbers."""
        if isinstance(x, int) and isinstance(y, int):
            return x % y
        return 0 if y == 1 else self._divide("urem", x, y, hint)

    def _divide(self, name: str, x: Operand, y: Operand, hint: str) -> Operand:
        level = 0 if isinstance(y, int) else self.speculation_level
        return self.define(hint, f"{name} i64 {x}, {y}", (x, y), at_least=level)

    def round_down(self, x: Operand, unit: int, hint: str = "whole") -> Operand:
        """The largest multiple of `unit`, a power of two, that is at most x."""
        if isinstance(x, int):
            return x // unit * unit
        return x if unit == 1 else self.define(hint, f"and i64 {x}, {-unit}", (x,))

    def minimum(self, x: Operand, y: Operand, hint: str = "least") -> Operand:
        """The smaller of two signed numbers."""
        if isinstance(x, int) and isinstance(y, int):
            return min(x, y)
        return x if x == y else self.call(hint, "i64", "@llvm.smin.i64", [("i64", x), ("i64", y)])

    def maximum(self, x: Operand, y: Operand, hint: str = "greatest") -> Operand:
        """The larger of two signed numbers."""
        if isinstance(x, int) and isinstance(y, int):
            return max(x, y)
        return x if x == y else self.call(hint, "i64", "@llvm.smax.i64", [("i64", x), ("i64", y)])

    def compare(self, how: str, x: Operand, y: Operand, hint: str = "test") -> str:
        """An i1: ``icmp how`` of two i64."""
        return self.define(hint, f"icmp {how} i64 {x}, {y}", (x, y))

    def gep(self, pointer: str, element: str, index: Operand, hint: str = "at") -> str:
        """The address of element `index`."""
        if index == 0:
            return pointer
        text = f"getelementptr {element}, ptr {pointer}, i64 {index}"
        return self.define(hint, text, (pointer, index))

    def load(self, type: str, pointer: str, align: int, hint: str = "x") -> str:
        """Read memory here."""
        return self.effect_value(hint, f"load {type}, ptr {pointer}, align {align}")

    def store(self, type: str, value: Operand, pointer: str, align: int) -> None:
        """Write memory here."""
        self.effect(f"store {type} {value}, ptr {pointer}, align {align}")

    def loop(
        self,
        hint: str,
        begin: Operand,
        end: Operand,
        step: int,
        carried: Sequence[LoopCarried],
        body: Callable[[Operand, list[str]], Sequence[str]],
    ) -> list[str]:
        """Emit ``for i in range(begin, end, step)``; return the carried values after it.

        `body` gets i and the carried values and returns the next ones. Loops that are known to
        run never or once become straight code.
        """
        initial = [c.initial for c in carried]
        trips = _trips(begin, end, step)
        if trips == 0:
            return initial
        if trips == 1:
            return list(body(begin, initial))
        after, outside = self.fresh(f"{hint}.done"), self.label
        if trips is None:
            inside = self.fresh(f"{hint}.pre")
            some = self.effect_value("some", f"icmp slt i64 {begin}, {end}")
            self.branch_if(some, inside, after)
            self.start(inside)
        self._enter(may_be_skipped=trips is None)
        results, latch = self._repeat(hint, (begin, end, step), carried, body, after)
        self._close(after)
        if trips is not None:
            return [self._lift(r) for r in results]
        return self._merge(carried, results, latch, outside)

    def _repeat(
        self,
        hint: str,
        bounds: tuple[Operand, Operand, int],
        carried: Sequence[LoopCarried],
        body: Callable[[Operand, list[str]], Sequence[str]],
        after: str,
    ) -> tuple[list[str], str]:
        """Run the body at least once; the results, and the block that leaves for `after`."""
        (begin, end, step), before = bounds, self.label
        head, index, following = (self.fresh(hint + end) for end in ("", ".i", ".next"))
        self.branch(head)
        self.start(head)
        names = [f"%{self.fresh(c.hint)}" for c in carried]
        place = self.reserve()
        self._levels.update(dict.fromkeys((f"%{index}", *names), self.level))
        results = list(body(f"%{index}", names))
        self.effect(f"%{following} = add nsw i64 %{index}, {step}")
        again = self.effect_value("again", f"icmp slt i64 %{following}, {end}")
        latch = self.label
        self.branch_if(again, head, after)
        rows = [("i64", f"%{index}", str(begin), f"%{following}")]
        rows += [(c.type, n, c.initial, r) for c, n, r in zip(carried, names, results)]
        self.fill(place, _phis(rows, before, latch))
        return results, latch

    def when(
        self,
        condition: str,
        chosen: Sequence[LoopCarried],
        body: Callable[[], Sequence[str]],
        hint: str = "if",
    ) -> list[str]:
        """Emit ``if condition``; the results of `body`, or the initial values of `chosen`."""
        inside, after = self.fresh(hint), self.fresh(f"{hint}.done")
        outside = self.label
        self.branch_if(condition, inside, after)
        self.start(inside)
        self._enter(may_be_skipped=True)
        results = list(body())
        leaving = self.label
        self.branch(after)
        self._close(after)
        return self._merge(chosen, results, leaving, outside)

    def _merge(
        self, carried: Sequence[LoopCarried], results: Sequence[str], inner: str, outer: str
    ) -> list[str]:
        return [
            self.effect_value(c.hint, f"phi {c.type} [ {c.initial}, %{outer} ], [ {r}, %{inner} ]")
            for c, r in zip(carried, results)
        ]

    def _enter(self, may_be_skipped: bool) -> None:
        self._scopes.append(_Scope([], may_be_skipped))
        self._lines.append(self._scopes[-1].before)

    def _close(self, label: str) -> None:
        self._scopes.pop()
        self.start(label)

    def _lift(self, value: str) -> str:
        self._levels[value] = min(self._levels.get(value, 0), self.level)
        return value

    def finish(self, result: str = "") -> None:
        """End the function and add it to the module."""
        self.module.functions.append(f"{self.end(result)}\n")


def _trips(begin: Operand, end: Operand, step: int) -> int | None:
    if begin == end:
        return 0
    if isinstance(begin, int) and isinstance(end, int):
        return max(0, -(-(end - begin) // step))
    return None


def _phis(rows: Sequence[tuple[str, str, str, str]], before: str, latch: str) -> list[str]:
    return [
        f"{name} = phi {type} [ {first}, %{before} ], [ {following}, %{latch} ]"
        for type, name, first, following in rows
    ]
