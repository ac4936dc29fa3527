"""Faults of the world: kills, forks, signals, full disks, threads, damaged files.

One step adds 1 to every element of its parameters, so whatever happens to it, they are all equal
to one whole number: a step that was half done shows. Files hold one whole version or are refused
with an error of ours or the system's; nothing hangs and nothing crashes.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import graphc as gx
from graphc.compiler.cache import CacheEntry, DiskCache
from graphc.errors import GraphcError
from graphc.frontend.parameter import Parameter
from tests.fuzz import damage

ROWS = np.ones((640, 300), np.float32)
SECONDS = 60  # after which a child hangs


@dataclass(frozen=True)
class Counter:
    """A step that counts in its parameters."""

    step: Any
    parameters: tuple[Parameter, ...]

    def count(self) -> int:
        """How many steps were made; an error where they are not whole."""
        found = np.unique(np.concatenate([p.value.ravel() for p in self.parameters]))
        assert found.size == 1, f"a step was half done: {found[:5]}"
        return int(found[0])


@cache
def counter() -> Counter:
    """A step of two threads with a loop and several kernels before its updates."""
    x = gx.input("x", ("batch", 300))
    a, b = gx.parameter("a", value=np.zeros((300, 40))), gx.parameter("b", value=np.zeros(5))
    h = x @ gx.astype(a, "float32")
    last, _ = gx.scan(lambda c, r: (gx.tanh(c + r), None), gx.zeros(40), h)
    zero = gx.astype(gx.mean(last) * 0.0, "float64")
    step = gx.compile([x], gx.mean(h), {a: a + 1.0 + zero, b: b + 1.0 + zero}, threads=2)
    step(ROWS[:64])
    step(ROWS[:32])
    return Counter(step, (a, b))


def check(seed: int) -> str:
    """One fault; the names of the kinds."""
    counter()
    kind = KINDS[seed % len(KINDS)]
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        kind(rng, Path(folder))
    return kind.__name__


# ------------------------------------------------------------------------------- kinds


def killed(rng: Any, folder: Path) -> None:
    """A process that writes files is killed: every file is a whole one."""
    c, path, cache_of = counter(), folder / "a.safetensors", DiskCache(folder / "cache")
    image = bytes(range(256)) * 4000

    def writes() -> None:
        while True:
            c.step(ROWS[:32])
            gx.save(path, c.step)
            cache_of.put("0" * 64, CacheEntry(image, {"count": c.count()}))

    child = start(writes)
    time.sleep(float(rng.uniform(0.0, 0.05)))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    if path.exists():
        arrays = gx.load(path)
        found = np.unique(np.concatenate([arrays[p.name].ravel() for p in c.parameters]))
        assert found.size == 1, f"half a file: {found[:5]}"
    kept = cache_of.get("0" * 64)
    assert kept is None or kept.image == image
    gx.save(path, c.step)


def forked(rng: Any, folder: Path) -> None:
    """Children are forked while threads call and compile; they do the same."""
    c, ended = counter(), threading.Event()

    def calls() -> None:
        while not ended.is_set():
            c.step(ROWS[: int(batches[0])])

    batches = rng.integers(1, 65, 8)
    threads = [threading.Thread(target=calls), threading.Thread(target=compiles, args=(ended,))]
    for thread in threads:
        thread.start()
    time.sleep(float(rng.uniform(0.0, 0.02)))

    def works() -> None:
        for batch in batches:
            c.step(ROWS[:batch])
        fresh(int(rng.integers(10**9)))

    children = [start(works) for _ in range(2)]
    try:
        for child in children:
            finish(child)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    c.count()


def interrupted(rng: Any, folder: Path) -> None:
    """Ctrl-C at any moment of any work: what was begun is done or undone, and all goes on."""
    c, which = counter(), int(rng.integers(6))
    moment = float(rng.uniform(0.001, 0.06))

    def works() -> None:
        forever: list[Callable[[], Any]] = [
            lambda: c.step(ROWS[:64]),
            lambda: c.step(ROWS[::2][:64]),
            lambda: c.step.run_epoch([ROWS], 16),
            lambda: gx.fit(c.step, [ROWS], epochs=3, batch_size=64, verbose=False),
            lambda: gx.save(folder / "a", c.step),
            lambda: fresh(int(rng.integers(10**9))),
        ]
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        with contextlib.suppress(KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, moment)
            while True:
                history = forever[which]()
                if getattr(history, "interrupted", False):
                    break
        before = c.count()
        c.step(ROWS[:64])
        assert c.count() == before + 1
        gx.save(folder / "a", c.step)
        assert not [p for p in folder.iterdir() if p.name != "a"], "a file was left behind"
        assert np.isfinite(fresh(1)).all()

    finish(start(works))


def filled(rng: Any, folder: Path) -> None:
    """The disk is full: an error of the system's, and the old file stays."""
    import resource

    c, path = counter(), folder / "a.file"
    path.write_text("old")
    limit = int(rng.integers(0, 3000))
    writers: list[Callable[[], Any]] = [
        lambda: gx.save(path, c.step),
        lambda: c.step.html(path.with_suffix(".html")),
        lambda: c.step.dot(path.with_suffix(".dot")),
        lambda: c.step.export(folder / "bundle"),
        lambda: DiskCache(folder / "cache").put("0" * 64, CacheEntry(bytes(9000))),
    ]
    which = int(rng.integers(len(writers)))

    def writes() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        with contextlib.suppress(OSError, GraphcError):
            assert not writers[which](), "what does not fit was written"
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        assert path.read_text() == "old"
        left = [p.name for p in folder.iterdir() if p.is_file() and p != path]
        assert not [n for n in left if n.startswith(".")], f"left behind: {left}"
        c.step(ROWS[:32])
        c.count()

    finish(start(writes))


def threaded(rng: Any, folder: Path) -> None:
    """Threads call functions that share parameters: every step counts, none is seen half."""
    c = counter()
    look = reader()
    before, threads, steps = c.count(), int(rng.integers(2, 6)), int(rng.integers(2, 12))
    wrong: list[str] = []

    def works(seed: int) -> None:
        mine = np.random.default_rng(seed)
        for _ in range(steps):
            c.step(ROWS[: int(mine.integers(1, 100))])
            lowest, highest = look()
            if lowest != highest:
                wrong.append(f"{lowest} beside {highest}")

    workers = [threading.Thread(target=works, args=(i,)) for i in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(SECONDS)
        assert not worker.is_alive(), "a thread hangs"
    assert not wrong, wrong[0]
    assert c.count() == before + threads * steps


def damaged(rng: Any, folder: Path) -> None:
    """Files with changed, missing or added bytes: read, or refused by an error of ours."""
    name = damage.NAMES[int(rng.integers(len(damage.NAMES)))]
    damage.prepare(name, folder, counter().step)

    def reads() -> None:  # in a child: a library that was changed might crash it
        with contextlib.suppress(GraphcError, OSError):
            damage.read(name, folder, counter().step)

    what = damage.harm(name, folder, rng)
    try:
        finish(start(reads))
    except AssertionError as error:
        raise AssertionError(f"{name}, {what}: {error}") from None


KINDS: tuple[Callable[[Any, Path], None], ...] = (
    killed, forked, interrupted, filled, threaded, damaged,
)  # fmt: skip


# ------------------------------------------------------------------------------- parts


@cache
def reader() -> Callable[[], Any]:
    """A function that reads what the step writes."""
    a, b = counter().parameters
    low, high = gx.minimum(gx.min(a), gx.min(b)), gx.maximum(gx.max(a), gx.max(b))
    return gx.compile([], (low, high))


def fresh(number: int) -> Any:
    """What a function computes that nobody has compiled before."""
    x = gx.input("x", ("n",))
    y = gx.tanh(x * float(number % 1000)) + float(number // 1000)
    return gx.compile([x], gx.sum(y), name="fresh")(np.ones(7, np.float32))


def compiles(ended: threading.Event) -> None:
    """Compile one function after the other."""
    number = 0
    while not ended.is_set():
        number += 1
        fresh(number)


def start(work: Callable[[], None]) -> int:
    """A child that does some work and tells its fate by how it ends."""
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads
        child = os.fork()
    if child:
        os.close(write)
        _PIPES[child] = read
        return child
    code = 1
    try:
        os.close(read)
        faulthandler.dump_traceback_later(SECONDS, exit=True, file=write)
        work()
        code = 0
    except BaseException:
        os.write(write, traceback.format_exc(limit=-4).encode()[-3000:])
    finally:
        os._exit(code)


_PIPES: dict[int, int] = {}


def finish(child: int) -> None:
    """Wait for a child; AssertionError with its last words where it failed."""
    with os.fdopen(_PIPES.pop(child), "rb") as pipe:
        said = pipe.read().decode(errors="replace")
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code == 0, f"the child ended with {code}: {said}"
