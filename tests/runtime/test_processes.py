"""What a new user does around a step: copies, files, interrupts, forks, two processes at once."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import UnsupportedError

PROGRAM = """
import numpy as np
import graphc as gx
gx.seed(0)
x, w = gx.input("x", ("batch", 256)), gx.parameter("w", (256, 256), init=gx.init.normal())
loss = gx.tanh(x @ w).mean()
step = gx.compile([x], loss, gx.optim.SGD(0.01).minimize(loss))
rows = np.ones((100000, 256), np.float32)
step(rows[:32])
"""
LOOPS = {
    "gx.fit(step, [rows], epochs=10000, verbose=False).interrupted": "True",
    "[step.run_epoch([rows], 32) for _ in range(10000)]": "KeyboardInterrupt",
}


@pytest.fixture
def step() -> Any:
    x, w = gx.input("x", ("batch", 4)), gx.parameter("w", (4, 2), init=gx.init.ones())
    return gx.compile([x], x @ w, {w: w * 1.0})


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, pickle.dumps])
def test_graphs_are_not_copied(way: Callable[[Any], Any], step: Any) -> None:
    w = step.parameters["w"]
    layer = gx.nn.Dense(2)
    layer(gx.input("x", ("batch", 4)))
    for thing, hint in ((w, "gx.load"), (w * 2.0, "gx.load"), (step, "gx.load_library")):
        with pytest.raises(UnsupportedError, match="cannot be copied or pickled") as caught:
            way(thing)
        assert hint in (caught.value.hint or "")
    if way is copy.deepcopy:
        with pytest.raises(UnsupportedError, match=r"kernel f32.*cannot be copied or pickled"):
            way(layer)


def test_errors_cross_processes() -> None:
    with pytest.raises(gx.errors.AxisError) as caught:
        gx.sum(gx.input("x", (3,)), axis=5)
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)


def test_functions_are_pickled_by_name() -> None:
    for function in (gx.exp, gx.compile, gx.nn.relu, gx.linalg.solve, gx.random.normal):
        assert pickle.loads(pickle.dumps(function)) is function


@pytest.mark.parametrize("writer", [
    lambda path, step: gx.save(path, step), lambda path, step: step.dot(path),
    lambda path, step: step.html(path),
])  # fmt: skip
def test_files_that_cannot_be_written(writer: Any, step: Any, tmp_path: Path) -> None:
    step(np.ones((1, 4), np.float32))
    path = tmp_path / "missing" / "a.dot"
    with pytest.raises(FileNotFoundError) as caught:
        writer(path, step)
    assert caught.value.filename == str(path)
    folder = tmp_path / "folder.dot"
    folder.mkdir()
    with pytest.raises(OSError) as refused:
        writer(folder, step)
    assert refused.value.filename == str(folder)
    assert [p.name for p in tmp_path.iterdir()] == ["folder.dot"]


def after_ctrl_c(command: list[str], seconds: float) -> str:
    """What a program says that is interrupted so long after it was ready."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(seconds)
    process.send_signal(signal.SIGINT)
    try:
        said, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    return said


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("loop", LOOPS)
def test_interrupts(loop: str) -> None:
    code = f"""{PROGRAM}
print("ready", flush=True)
try:
    print({loop})
except KeyboardInterrupt:
    print("KeyboardInterrupt")
print(np.isfinite(w.value).all(), np.isfinite(step(rows[:32])))
"""
    said = after_ctrl_c([sys.executable, "-c", code], 0.5)
    assert said.split() == [LOOPS[loop], "True", "True"]


ENDLESS = """
import sys
import numpy as np
import graphc as gx
name, threads, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
x, w = gx.input("x", ("batch",)), gx.parameter("w", value=np.float32(1))

def scanned():
    return gx.scan(lambda c, _: (gx.sin(c * w) + 0.1, None), x, None, length=2**40)[0]

def nested():
    inner = lambda c: gx.scan(lambda d, _: (gx.cos(d) * w, None), c, None, length=3)[0]
    return gx.scan(lambda c, _: (gx.flip(inner(c)), None), x, None, length=2**40)[0]

def gone_on():
    goes = lambda c: gx.max(c) < 1e9
    return gx.while_loop(goes, lambda c: gx.sin(c) * w, x, max_steps=2**40)

loss = gx.sum({"scan": scanned, "nested": nested, "while": gone_on}[name]())
step = gx.compile([x], loss, {w: loss}, threads=threads)
fine = gx.compile([x], gx.sum(x))
rows = np.ones(size, np.float32)
print("ready", flush=True)
try:
    step.run_epoch([rows], size) if name == "scan" else step(rows)
except KeyboardInterrupt:
    print("KeyboardInterrupt")
print(float(w.value), step.rng[1], float(fine(rows)) == size)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize(("name", "threads"), [("scan", 1), ("nested", 2), ("while", 2)])
def test_interrupts_within_one_step(name: str, threads: int) -> None:
    command = [sys.executable, "-c", ENDLESS, name, str(threads), "40000"]
    said = after_ctrl_c(command, 1.0)
    assert said.split() == ["KeyboardInterrupt", "1.0", "0", "True"]


def test_processes_that_share_a_cache(tmp_path: Path) -> None:
    environment = {**os.environ, "GRAPHC_CACHE": str(tmp_path)}
    code = f"{PROGRAM}\nprint(repr(float(step(rows[:32]))))"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    found = [p.communicate(timeout=120)[0] for p in processes]
    assert len(set(found)) == 1
    assert np.isfinite(float(found[0]))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_forked_workers(step: Any) -> None:
    rows = np.arange(8, dtype=np.float32).reshape(2, 4)
    expected, call = step(rows), ForkedCall(step)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        found = pool.map_async(call, [rows] * 4).get(timeout=60)
    assert all((f == expected).all() for f in found)
    np.testing.assert_array_equal(step(rows), expected)


FORKING = """
import os, signal, sys, threading, time
import numpy as np
import graphc as gx
from graphc_llvm.runtime.session import compile_text, host
x, w = gx.input("x", ("batch", 64)), gx.parameter("w", (64, 64), init=gx.init.normal())
loss = gx.tanh(x @ w).mean()
step = gx.compile([x], loss, gx.optim.SGD(0.01).minimize(loss), threads=2)
rows, ended, text = np.ones((512, 64), np.float32), threading.Event(), []
step(rows)

def trains():
    while not ended.is_set():
        step(rows)

def compiles():
    n = 0
    while not ended.is_set():
        n += 1
        compile_text(f"define i32 @f{n}() {{ ret i32 {n} }}", host())

threads = [threading.Thread(target=t) for t in (trains, trains, compiles)]
for thread in threads:
    thread.start()
children = 0
for n in range(15):
    time.sleep(0.01)
    child = os.fork()
    if not child:
        signal.alarm(60)
        step(rows)
        compile_text("define i32 @f() { ret i32 1 }", host())
        os._exit(7)
    children += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
ended.set()
for thread in threads:
    thread.join()
print(children)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forks_while_other_threads_run_and_compile() -> None:
    command = [sys.executable, "-W", "ignore", "-c", FORKING]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=300, check=True)
    assert said.stdout == "15\n"


class ForkedCall:
    """A call of a function that the child has inherited: found by its place, not pickled."""

    functions: list[Any] = []  # noqa: RUF012

    def __init__(self, function: Any) -> None:
        self.place = len(self.functions)
        self.functions.append(function)

    def __call__(self, rows: Any) -> Any:
        return self.functions[self.place](rows)
