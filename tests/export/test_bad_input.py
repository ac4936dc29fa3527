"""Names that C does not like, folders that cannot be written, functions of every kind."""

from __future__ import annotations

import errno
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, FormatError
from graphc.export.library import Library
from tests.export.trained import network

Array = np.ndarray[Any, Any]
WORDS = [
    "int", "while", "class", "workspace", "thread", "a b", "a_b", "a-b", "_x", "1x", "état", "NULL",
    "errno", "main", "nullptr", "and", "linux", "wchar_t", "I", "status", "size_t", "x*/",
]  # fmt: skip


def count(*shape: int) -> Array:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape) / 8


def leaves(value: Any) -> Iterator[Array]:
    if isinstance(value, (dict, tuple, list)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from leaves(part)
    else:
        yield np.asarray(value)


def same(function: Any, library: Library, *arrays: Array) -> None:
    wanted, found = list(leaves(function(*arrays))), list(leaves(library(*arrays)))
    assert [a.tobytes() for a in wanted] == [a.tobytes() for a in found]
    for name, parameter in function.parameters.items():
        np.testing.assert_array_equal(parameter.value, library.parameters[name])


def test_names_that_mean_something_in_c(tmp_path: Path) -> None:
    xs = [gx.input(word, (2,)) for word in WORDS]
    f = gx.compile(xs, {"if": sum(xs[1:], xs[0]), "out put": xs[0] * 2, "int": xs[1]}, name="f")
    library = f.export(tmp_path, also={"init": f, "a b": f, "a_b": f, "run_bind": f}).load()
    library.selftest()
    same(f, library, *(count(2) + i for i in range(len(xs))))
    assert {f["symbol"] for f in library.manifest["functions"]} == {
        "f_run", "f_init_2", "f_a_b", "f_a_b_2", "f_run_bind_2",
    }  # fmt: skip
    for command in (["cc", "-x", "c", "-std=gnu11"], ["c++", "-x", "c++", "-std=c++20"]):
        if shutil.which(command[0]):
            headers = [
                x for h in ("stdio", "errno", "complex", "wchar") for x in ("-include", h + ".h")
            ]
            options = ["-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
            subprocess.run([*command, *options, *headers, tmp_path / "f.h"], check=True)
    with pytest.raises(ArgumentError, match="`also` needs another name"):
        f.export(tmp_path, also={"run": f})


@pytest.mark.parametrize("frozen", [False, True])
def test_functions_of_every_kind(frozen: bool, tmp_path: Path) -> None:
    w = gx.parameter("w", value=np.eye(3, dtype=np.float32))
    same(*exported(tmp_path / "0", [], w * 2, frozen=frozen))
    x = gx.input("x", (2,))
    same(*exported(tmp_path / "1", [x], {"x": x, "w": w, "again": x}, frozen=frozen), count(2))
    xs = gx.input("xs", (gx.dim("n", max=5), 3))
    last, ys = gx.scan(lambda c, x: (gx.tanh(c @ w + x), c * 2), gx.zeros((3,)), xs)
    loss = (last**2).sum()
    updates = gx.optim.SGD(0.1).minimize(loss)
    both = exported(tmp_path / "2", [xs], {"l": loss, "ys": ys}, updates, frozen=frozen)
    for n in (1, 5, 3):
        same(*both, count(n, 3))
    ids = gx.input("ids", (4,), dtype="int32")
    loss = (gx.nn.Embedding(50, 6)(ids) ** 2).mean()
    updates = gx.optim.Adagrad(0.1).minimize(loss)
    both = exported(tmp_path / "3", [ids], loss, updates, frozen=frozen)
    for _ in range(3):
        same(*both, np.array([1, 3, 1, 7], np.int32))
    both = exported(tmp_path / "4", [x], gx.random.normal((2,)) + x, frozen=frozen)
    for _ in range(3):
        same(*both, count(2))


def exported(folder: Path, *definition: Any, frozen: bool) -> tuple[Any, Library]:
    f = gx.compile(*definition, name="f")
    library = f.export(folder, frozen=frozen).load()
    library.selftest()
    return f, library


@pytest.mark.parametrize("target", ["host", "baseline", "wasm32", "cortex-m4"])
def test_arrays_without_elements(target: str, tmp_path: Path) -> None:
    z = gx.input("z", (0, 3))
    f = gx.compile([z], {"s": gx.sum(z), "z": z * 2}, name="f")
    assert "f.h" in f.export(tmp_path, target=target).files


def test_folders_that_cannot_be_written(tmp_path: Path, monkeypatch: Any) -> None:
    step, _ = network()
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileExistsError):
        step.export(tmp_path / "file")
    with pytest.raises(NotADirectoryError):
        step.export(tmp_path / "file" / "below")

    def full(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        step.export(tmp_path / "full")
    assert not list((tmp_path / "full").iterdir())


@pytest.mark.parametrize("options", ["size=20k", "size=1m,ro"])
def test_file_systems_that_are_full_or_read_only(options: str, tmp_path: Path) -> None:
    f = network()[1]
    command = ["mount", "-t", "tmpfs", "-o", options, "none", tmp_path]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("needs to be allowed to mount")
    try:
        with pytest.raises(OSError, match=r"No space left|Read-only") as caught:
            f.export(tmp_path)
        assert caught.value.filename == str(tmp_path)
        assert not list(tmp_path.iterdir())
    finally:
        subprocess.run(["umount", tmp_path], check=True)


STACK = r"""
#include "net.h"
#include <stdio.h>
#include <string.h>
#include <ucontext.h>
#include <stdlib.h>

enum { BYTES = 1 << 18 };
_Alignas(64) static unsigned char workspace[NET_WORKSPACE_BYTES], stack[BYTES];
static unsigned char state[NET_STATE_BYTES];
static float x[24 * 12], loss, a[24 * 5], b[24 * 5];
static int32_t t[24];
static int64_t best[24];
static ucontext_t outside, inside;

static void nothing(void) {}
static void everything(void) {
  if (net_init(workspace, sizeof workspace)) exit(1);
  if (net_step(workspace, 24, x, t, &loss, best)) exit(2);
  if (net_predict(workspace, 24, x, a, b)) exit(3);
  if (net_save(workspace, state, sizeof state) || net_load(workspace, state, sizeof state)) exit(4);
  if (net_selftest()) exit(5);
}

static size_t used(void (*work)(void)) {
  memset(stack, 0xa5, sizeof stack);
  getcontext(&inside);
  inside.uc_stack.ss_sp = stack;
  inside.uc_stack.ss_size = sizeof stack;
  inside.uc_link = &outside;
  makecontext(&inside, work, 0);
  swapcontext(&outside, &inside);
  size_t i = 0;
  while (i < sizeof stack && stack[i] == 0xa5) i++;
  return sizeof stack - i;
}

int main(void) {
  printf("%zu %d\n", used(everything) - used(nothing), NET_STACK_BYTES);
  return 0;
}
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
@pytest.mark.parametrize("target", ["host", "baseline"])
def test_no_more_stack_than_the_header_says(target: str, tmp_path: Path) -> None:
    step, predict = network()
    step.export(tmp_path, target=target, name="net", also={"predict": predict})
    (tmp_path / "main.c").write_text(STACK)
    options = ["-O2", "-Wall", "-Wextra", "-Werror"]
    options.append("-Wl,-z,now")  # looking memcpy up at its first call takes stack, too
    subprocess.run(["cc", *options, "main.c", "net.a", "-o", "main"], cwd=tmp_path, check=True)
    done = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True)
    used, promised = map(int, done.stdout.split())
    # what the C library's memcpy needs, and the caller, is not in the promise
    assert 0 < used <= promised + 256
    assert promised < 2 * used + 512


def test_two_bundles_of_one_folder(tmp_path: Path) -> None:
    """Each loads itself; only the folder does not say which."""
    x = gx.input("x", (2,))
    once = gx.compile([x], x + 1.0).export(tmp_path, name="one")
    twice = gx.compile([x], x * 2.0).export(tmp_path, name="two")
    assert once.load()(np.ones(2, np.float32) * 3).tolist() == [4.0, 4.0]
    assert twice.load()(np.ones(2, np.float32) * 3).tolist() == [6.0, 6.0]
    with pytest.raises(FormatError, match=r"one\.json, two\.json") as caught:
        gx.load_library(tmp_path)
    assert str(tmp_path / "one.json") in str(caught.value)
