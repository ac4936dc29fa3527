"""The threads executor: the plain Python text, one greenlet for each thread of a block.

A thread runs until it meets others: at a barrier, or at what a warp does together. A print or a
breakpoint in the text works as in any Python.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import numpy as np

from graphc.errors import BackendError
from graphc.installed import install_hint
from graphc.ir.types import Array
from graphc_cuda.simulate.errors import thread_name
from graphc_cuda.simulate.lanes import WARP
from graphc_cuda.simulate.overlaps import find_stretches
from graphc_cuda.simulate.source import SourceText
from graphc_cuda.simulate.thread_language import ThreadLanguage
from graphc_cuda.simulate.thread_memory import Records, ThreadArray
from graphc_cuda.simulate.thread_state import (
    BARRIER,
    WARP_BARRIER,
    Exchange,
    LaunchState,
    Thread,
)


class Launch:
    """One launch of a kernel: runs its blocks, thread by thread."""

    def __init__(self, state: LaunchState) -> None:
        self.state = state
        self.threads: list[Thread] = []

    def run_block(
        self, block: int, kernel: Callable[..., None], arguments: Sequence[Any], seed: int
    ) -> None:
        """Run all threads of a block to their ends."""
        self.state.shared, self.state.met = {}, self.state.tick()
        self.threads = [Thread(block, t) for t in range(self.state.count)]
        order = np.random.default_rng([seed, block])
        greenlet = _greenlet()
        for thread in self.threads:
            thread.greenlet = greenlet(_quiet(kernel))
        starting, results = self.threads, dict.fromkeys(self.threads, arguments)
        while starting:
            if seed:
                starting = [starting[i] for i in order.permutation(len(starting))]
            for thread in starting:
                self.state.current, thread.kind = thread, ""
                thread.greenlet.switch(*results[thread])
                thread.is_done = thread.greenlet.dead
            results = dict(self._released())
            starting = list(results)
        self._check_end()

    def _released(self) -> Iterator[tuple[Thread, tuple[Any, ...]]]:
        """The threads that can go on, and what they get."""
        now = self.state.tick()
        waiting = [t for t in self.threads if t.kind == BARRIER]
        if len(waiting) == self.state.count and len({t.line for t in waiting}) == 1:
            self.state.met = now
            yield from ((t, (None,)) for t in waiting)
        for first in range(0, self.state.count, WARP):
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
                message = f"{len(here)} of {self.state.count} threads of block {thread.block}"
                self.state.refuse("divergence", f"{message} reach this barrier", thread.line)

    def _refuse_group(self, thread: Thread) -> NoReturn:
        first = thread.thread - thread.lane
        here = [t for t in self.threads[first : first + WARP] if _together(t, thread)]
        name, wanted = thread_name(thread.block, thread.thread), thread.mask.bit_count()
        message = f"the mask {thread.mask:#x} of {name} names {wanted} threads"
        self.state.refuse("shuffle", f"{message}, but {len(here)} of them are here", thread.line)


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
            hint=f"{install_hint('cuda', 'greenlet')}, or take the executor 'vector'",
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
    state = LaunchState(source, grid, threads, check)
    launch = Launch(state)
    filename = f"<{text.filename}>"
    linecache.cache[filename] = (len(text.text), None, text.text.splitlines(True), filename)
    names: dict[str, Any] = {"__name__": "graphc_cuda.simulated"}
    exec(compile(text.text, filename, "exec"), names)
    kernel = names[name].function
    meanings = ThreadLanguage(state).meanings()
    names |= {n: m for n, m in meanings.items() if n in names}
    arguments = _arguments(state, arrays)
    blocks = np.arange(grid)
    if seed:
        np.random.default_rng(seed).shuffle(blocks)
    for block in blocks.tolist():
        launch.run_block(block, kernel, arguments, seed)


def _arguments(state: LaunchState, arrays: Sequence[Array]) -> list[ThreadArray]:
    """The parameters; those that share memory share what is known of it."""
    names = state.source.parameters
    found = [ThreadArray(state, n, a, None) for n, a in zip(names, arrays)]
    for stretch in find_stretches(arrays):
        records = Records(state.check)
        for member in (found[i] for i in stretch.members):
            member.records, member.first = records, stretch.first(member.data)
            member.units = member.data.itemsize // stretch.unit
    return found
