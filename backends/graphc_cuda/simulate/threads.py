"""The threads executor: the plain Python text, one greenlet for each thread of a block.

A thread runs until it meets others: at a barrier, or at what a warp does together. A print or a
breakpoint in the text works as in any Python.
"""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from graphc.errors import BackendError
from graphc.ir.types import Array
from graphc_cuda import language
from graphc_cuda.simulate.errors import refuse, thread_name
from graphc_cuda.simulate.lanes import WARP
from graphc_cuda.simulate.source import KernelSource, SourceText
from graphc_cuda.simulate.thread_language import ThreadLanguage
from graphc_cuda.simulate.thread_memory import Records, ThreadArray, poisoned

BARRIER, WARP_BARRIER = "barrier", "warp barrier"  # besides: shuffle, matrix


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


class Launch:
    """One launch of a kernel."""

    def __init__(self, source: KernelSource, grid: int, threads: int, check: bool) -> None:
        self.source, self.grid, self.count, self.check = source, grid, threads, check
        self.time = self.met = 0
        self.current = Thread(0, 0)
        self.shared: dict[int, ThreadArray] = {}  # by line
        self.threads: list[Thread] = []

    def line(self, depth: int = 2) -> int:
        """The line of the text that called what calls this."""
        return sys._getframe(depth).f_lineno

    def tick(self) -> int:
        """The time of the next access."""
        self.time += 1
        return self.time

    def shared_array(self, size: int, kind: language.ElementType, line: int) -> ThreadArray:
        """The block's memory that is declared at a line."""
        if line not in self.shared:
            self.shared[line] = self.new_array(size, kind, line, Records(self.check))
        return self.shared[line]

    def new_array(
        self, size: int, kind: language.ElementType, line: int, records: Records | None
    ) -> ThreadArray:
        """Memory that nobody has written; its name is what it is assigned to."""
        data = poisoned(size, kind.dtype)
        name = self.source.text[line - 1].partition("=")[0].strip()
        return ThreadArray(self, name, data, records)

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

    def run_block(
        self, block: int, kernel: Callable[..., None], arguments: Sequence[Any], seed: int
    ) -> None:
        """Run all threads of a block to their ends."""
        self.shared, self.met = {}, self.tick()
        self.threads = [Thread(block, t) for t in range(self.count)]
        order = np.random.default_rng([seed, block])
        greenlet = _greenlet()
        for thread in self.threads:
            thread.greenlet = greenlet(_quiet(kernel))
        starting, results = self.threads, dict.fromkeys(self.threads, arguments)
        while starting:
            if seed:
                starting = [starting[i] for i in order.permutation(len(starting))]
            for thread in starting:
                self.current, thread.kind = thread, ""
                thread.greenlet.switch(*results[thread])
                thread.is_done = thread.greenlet.dead
            results = dict(self._released())
            starting = list(results)
        self._check_end()

    def _released(self) -> Iterator[tuple[Thread, tuple[Any, ...]]]:
        """The threads that can go on, and what they get."""
        now = self.tick()
        waiting = [t for t in self.threads if t.kind == BARRIER]
        if len(waiting) == self.count and len({t.line for t in waiting}) == 1:
            self.met = now
            yield from ((t, (None,)) for t in waiting)
        for first in range(0, self.count, WARP):
            warp = self.threads[first : first + WARP]
            for group in _complete_groups(warp):
                exchange = Exchange({t.lane: t.value for t in group})
                for thread in group:
                    if thread.kind == WARP_BARRIER:
                        _note_meeting(thread, group, now)
                    yield thread, (exchange,)

    def _check_end(self) -> None:
        """All threads must be done when none can go on."""
        for thread in self.threads:
            if thread.kind not in ("", BARRIER) and not thread.is_done:
                self._refuse_group(thread)
        for thread in self.threads:
            if thread.kind == BARRIER and not thread.is_done:
                here = [t for t in self.threads if t.kind == BARRIER and t.line == thread.line]
                message = f"{len(here)} of {self.count} threads of block {thread.block}"
                self.refuse("divergence", f"{message} reach this barrier", thread.line)

    def _refuse_group(self, thread: Thread) -> NoReturn:
        first = thread.thread - thread.lane
        here = [t for t in self.threads[first : first + WARP] if _together(t, thread)]
        name, wanted = thread_name(thread.block, thread.thread), thread.mask.bit_count()
        message = f"the mask {thread.mask:#x} of {name} names {wanted} threads"
        self.refuse("shuffle", f"{message}, but {len(here)} of them are here", thread.line)


def _together(one: Thread, other: Thread) -> bool:
    return not one.is_done and (one.kind, one.mask) == (other.kind, other.mask)


def _complete_groups(warp: list[Thread]) -> Iterator[list[Thread]]:
    """Threads that wait for each other and are all here."""
    groups: dict[tuple[str, int], list[Thread]] = {}
    for thread in warp:
        if thread.kind not in ("", BARRIER) and not thread.is_done:
            groups.setdefault((thread.kind, thread.mask), []).append(thread)
    for (_, mask), group in groups.items():
        if len(group) == mask.bit_count():
            yield group


def _note_meeting(thread: Thread, group: list[Thread], now: int) -> None:
    for other in group:
        thread.met[other.lane] = now


def _quiet(kernel: Callable[..., None]) -> Callable[..., None]:
    """The kernel without warnings of numpy: their settings do not reach into greenlets."""

    def run(*arguments: Any) -> None:
        with np.errstate(all="ignore"):
            kernel(*arguments)

    return run


def _greenlet() -> Any:
    try:
        import greenlet
    except ImportError as error:
        raise BackendError(
            "the executor 'threads' of the simulator needs greenlet, which is not installed",
            hint="pip install 'graphc[cuda]', or take the executor 'vector'",
        ) from error
    return greenlet.greenlet


def run_threads(
    text: SourceText,
    name: str,
    grid: int,
    threads: int,
    arrays: Sequence[Array],
    seed: int,
    check: bool,
) -> None:
    """Run a kernel of a text, block after block."""
    source = text.kernel(name)
    launch = Launch(source, grid, threads, check)
    filename = f"<{text.filename}>"
    linecache.cache[filename] = (len(text.text), None, text.text.splitlines(True), filename)
    names: dict[str, Any] = {"__name__": "graphc_cuda.simulated"}
    exec(compile(text.text, filename, "exec"), names)
    kernel = names[name].function
    meanings = ThreadLanguage(launch).meanings()
    names |= {n: m for n, m in meanings.items() if n in names}
    records = Records(check)
    arguments = [ThreadArray(launch, n, a, records) for n, a in zip(source.parameters, arrays)]
    blocks = np.arange(grid)
    if seed:
        np.random.default_rng(seed).shuffle(blocks)
    for block in blocks.tolist():
        launch.run_block(block, kernel, arguments, seed)
