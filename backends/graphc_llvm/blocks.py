"""Textual LLVM IR: modules, and functions block by block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


class ModuleTooLongError(Exception):
    """A module that has more lines than it may."""


@dataclass
class Module:
    """Functions and the declarations they need, in order of first use.

    `helpers` are the names of functions that are called where they are seldom needed.
    """

    functions: list[str] = field(default_factory=list)
    declarations: dict[str, str] = field(default_factory=dict)
    helpers: dict[object, str] = field(default_factory=dict)
    count: int = 0  # lines that were written
    most: int | None = None  # so many may be

    def note(self) -> None:
        """Count one more line; raise ModuleTooLongError where there are too many."""
        self.count += 1
        if self.most is not None and self.count > self.most:
            raise ModuleTooLongError(f"more than {self.most} lines")

    def declare(self, name: str, result: str, parameters: Sequence[str]) -> None:
        """Declare a function once."""
        if name not in self.declarations:
            self.declarations[name] = f"declare {result} {name}({', '.join(parameters)})"

    def text(self) -> str:
        """The whole module; declarations sorted by name."""
        declared = [self.declarations[name] for name in sorted(self.declarations)]
        return "\n".join([*self.functions, *declared, ""])


class BlockBuilder:
    """Writes one function, an instruction after the other.

    Names are hints with a number, counted through the function. `FunctionBuilder` names and places
    instructions its own way.
    """

    def __init__(
        self,
        name: str,
        parameters: Sequence[str],
        attributes: str = "nounwind",
        linkage: str = "",
        result: str = "void",
    ) -> None:
        words = " ".join(word for word in ("define", linkage, result) if word)
        self._head = f"{words} @{name}({', '.join(parameters)}) {attributes} {{"
        # without attributes such as signext, which vectors (whose types have spaces) never have
        self._result = result if result.endswith(">") else result.rpartition(" ")[2]
        self._lines: list[str | list[str]] = ["entry:"]
        self._count = 0
        self.label = "entry"

    def labels(self, *hints: str) -> list[str]:
        """Return unused names without the percent sign, all with one number."""
        self._count += 1
        return [f"{hint}.{self._count}" for hint in hints]

    def fresh(self, hint: str) -> str:
        """Return an unused name without the percent sign."""
        return self.labels(hint)[0]

    def effect(self, instruction: str) -> None:
        """Write an instruction that has no result."""
        self._lines.append(f"  {instruction}")

    def effect_value(self, hint: str, expression: str) -> str:
        """Write an instruction and name its result."""
        name = f"%{self.fresh(hint)}"
        self.effect(f"{name} = {expression}")
        return name

    def start(self, label: str) -> None:
        """Start a basic block."""
        self._lines.append(f"{label}:")
        self.label = label

    def branch(self, label: str) -> None:
        """End the block with a jump."""
        self.effect(f"br label %{label}")

    def branch_if(self, condition: str, chosen: str, other: str) -> None:
        """End the block with a conditional branch."""
        self.effect(f"br i1 {condition}, label %{chosen}, label %{other}")

    def ret(self, result: object = "") -> None:
        """End the block with a return."""
        self.effect(f"ret {self._result} {result}".rstrip())

    def reserve(self) -> int:
        """Reserve a line for what is known later: the phis of a loop."""
        self._lines.append([])
        return len(self._lines) - 1

    def fill(self, place: int, instructions: Sequence[str]) -> None:
        """Fill in a reserved line."""
        self._lines[place] = [f"  {instruction}" for instruction in instructions]

    def finished(self) -> str:
        """The text, whose last block has ended."""
        lines = [self._head]
        for line in self._lines:
            lines.extend(line if isinstance(line, list) else [line])
        return "\n".join([*lines, "}"])

    def end(self, result: object = "") -> str:
        """Return from the function; its text."""
        self.ret(result)
        return self.finished()
