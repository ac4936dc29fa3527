"""The threads of a block that run one after the other, and where each of them waits."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any, NoReturn

from graphc_cuda.simulate.errors import refuse, thread_name
from graphc_cuda.simulate.lanes import WARP
from graphc_cuda.simulate.source import KernelSource

# what threads wait for
BARRIER, WARP_BARRIER, SHUFFLE, MATRIX = "barrier", "warp barrier", "shuffle", "matrix"


@dataclass(eq=False)
class Exchange:
    """What the threads of a mask brought to where they met; `result` is computed once."""

    values: dict[int, Any]
    result: Any = None


@dataclass(eq=False)
class Thread:
    """One thread of the block that runs: where it waits, and when it last met its warp."""

    block: int
    thread: int
    greenlet: Any = None
    kind: str = ""  # what it waits for; empty while it can run
    mask: int = 0
    line: int = 0
    value: Any = None
    is_done: bool = False
    met: list[int] = field(default_factory=lambda: [0] * WARP)
    committed: int = 0  # groups of copies
    copies: list[Any] = field(default_factory=list)

    @property
    def lane(self) -> int:
        """The number in the warp."""
        return self.thread % WARP


class LaunchState:
    """What the threads of a launch know: which one runs, where, and when."""

    def __init__(self, source: KernelSource, grid: int, threads: int, check: bool) -> None:
        self.source, self.grid, self.count, self.check = source, grid, threads, check
        self.time = self.met = 0
        self.current = Thread(0, 0)
        self.shared: dict[int, Any] = {}  # arrays of the block, by line

    def line(self, depth: int = 2) -> int:
        """The line of the text that called what calls this."""
        return sys._getframe(depth).f_lineno

    def tick(self) -> int:
        """The time of the next access."""
        self.time += 1
        return self.time

    # ------------------------------------------------------------- meeting

    def meet(self, kind: str, mask: Any, value: Any, line: int) -> Any:
        """Stop the current thread until those that it waits for are here as well."""
        me = self.current
        me.kind, me.mask, me.value, me.line = kind, int(mask), value, line
        if kind != BARRIER and not me.mask >> me.lane & 1:
            name = thread_name(me.block, me.thread)
            self.refuse("shuffle", f"{name} is not in its own mask {me.mask:#x}", line)
        return me.greenlet.parent.switch()

    def refuse(self, kind: str, message: str, line: int) -> NoReturn:
        """Stop with an error."""
        refuse(kind, message, self.source, line)
