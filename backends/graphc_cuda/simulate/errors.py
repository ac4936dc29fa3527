"""What a simulated kernel does wrong, with the line of the text and the user's line."""

from __future__ import annotations

from typing import NoReturn

from graphc.errors import GraphcError
from graphc_cuda.simulate.source import KernelSource


class SimulationError(GraphcError, RuntimeError):
    """A kernel that does what a GPU does not allow, or does not define.

    `kind` is one of bounds, race, divergence, shuffle, alignment, copy, type; `kernel` is its
    name, `lines` are the lines of the generated text that matter, the one that failed first.
    """

    def __init__(
        self,
        kind: str,
        message: str,
        source: KernelSource,
        lines: tuple[int, ...],
        roles: tuple[str, ...] = ("line", "before"),
        hint: str | None = None,
    ) -> None:
        rows = [(role, *source.shown(line)) for role, line in zip(roles, lines)]
        user = source.user_line(lines[0]) if lines else None
        if user is not None:
            rows.append(("from", *user))
        super().__init__(f"{source.name}: {message}", operands=tuple(rows), hint=hint)
        self.kind, self.kernel, self.lines = kind, source.name, lines


def refuse(kind: str, message: str, source: KernelSource, *lines: int) -> NoReturn:
    """Stop: the kernel does something wrong at the first of the lines."""
    raise SimulationError(kind, message, source, lines)


def thread_name(block: int, thread: int) -> str:
    """How messages name a thread."""
    return f"thread {thread} of block {block}"
