"""Long expressions in parts: what is nested too deep to be read gets names of its own."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from graphc_cuda.device.program import Assign, Call, Op, Select, Value, Variable
from graphc_cuda.layout import flat
from graphc_cuda.numba_value import Spelling

WORTH = 16  # columns that a part has at least
LAZY = ("logical_and", "logical_or")  # their second operand may not be evaluated


@dataclass
class Parts:
    """Cuts expressions that are wider than the room there is."""

    spelling: Spelling
    room: int
    made: list[Assign] = field(default_factory=list)

    def cut(self, value: Value) -> Value:
        """The value of which parts have become variables, assigned in `made`."""
        if self._width(value) <= self.room:
            return value
        match value:
            case Select(condition=condition):
                return replace(value, condition=self.cut(condition))
            case Op(function=function, args=args) if function in LAZY:
                return replace(value, args=(self.cut(args[0]), args[1]))
            case Op() | Call():
                return self._cut_widest(replace(value, args=tuple(map(self.cut, value.args))))
        return value

    def _cut_widest(self, value: Op | Call) -> Value:
        """Name operands, the widest first, until the rest fits."""
        while self._width(value) > self.room:
            widths = [self._width(x) if isinstance(x, Op | Call) else 0 for x in value.args]
            if max(widths) < WORTH:
                break
            place = widths.index(max(widths))
            args = list(value.args)
            args[place] = self._name(args[place])
            value = replace(value, args=tuple(args))
        return value

    def _name(self, value: Value) -> Variable:
        key = f"part {len(self.spelling.names.variables)}"  # like no name of the program
        self.spelling.names.variables[key] = self.spelling.names.free("part")
        variable = Variable(value.dtype, key, is_index=value.is_index)
        self.made.append(Assign(variable, value))
        return variable

    def _width(self, value: Value) -> int:
        return len(flat(self.spelling.node(value)))
