"""Generated text, parsed: kernels, functions, and where their lines come from."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import lru_cache

from graphc.errors import ArgumentError, FormatError
from graphc.origin import Origin

_USER_LINE = re.compile(r"\s*#\s*([^\s:]+):(\d+)\s*(.*)")


@dataclass(frozen=True, eq=False)
class KernelSource:
    """One kernel or device function of a text."""

    name: str
    tree: ast.FunctionDef
    text: tuple[str, ...]  # all lines
    filename: str
    is_kernel: bool

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the arguments."""
        return tuple(a.arg for a in self.tree.args.args)

    def shown(self, line: int) -> tuple[str, Origin]:
        """A line of the text as errors show it."""
        says = self.text[line - 1].strip() if 0 < line <= len(self.text) else ""
        return says, Origin(self.filename, line, says=says or " ")

    def user_line(self, line: int) -> tuple[str, Origin] | None:
        """The user's line behind a line: the last that a comment of this kernel names."""
        for number in range(min(line, len(self.text)), self.tree.lineno, -1):
            found = _USER_LINE.fullmatch(self.text[number - 1])
            if found is not None:
                says = found[3].strip()
                return says, Origin(found[1], int(found[2]), says=says or " ")
        return None


@dataclass(frozen=True, eq=False)
class SourceText:
    """A whole text: its functions, callees first, as written."""

    text: str
    filename: str
    functions: tuple[KernelSource, ...]

    def kernel(self, name: str) -> KernelSource:
        """The kernel of that name."""
        for function in self.functions:
            if function.name == name and function.is_kernel:
                return function
        known = ", ".join(f.name for f in self.functions if f.is_kernel)
        raise ArgumentError(f"no kernel {name!r} in the text", hint=f"it has: {known}")


@lru_cache(maxsize=64)
def parse(text: str) -> SourceText:
    """Parse generated text."""
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise FormatError(f"not a text of kernels: {error}") from error
    title = (ast.get_docstring(tree) or "kernels").partition(":")[0].split()[0]
    filename, lines = f"{title}.py", tuple(text.splitlines())
    found = [
        KernelSource(d.name, d, lines, filename, _is_kernel(d))
        for d in tree.body
        if isinstance(d, ast.FunctionDef)
    ]
    return SourceText(text, filename, tuple(found))


def _is_kernel(definition: ast.FunctionDef) -> bool:
    return not any(isinstance(d, ast.Call) for d in definition.decorator_list)
