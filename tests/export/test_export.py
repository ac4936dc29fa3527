"""Exported libraries beside the functions in this process: the same bits, with everything used."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import (
    ArgumentError,
    DTypeError,
    FormatError,
    MemoryBudgetError,
    NameError,
    RuntimeCheckError,
    ShapeError,
    UnsupportedError,
)  # fmt: skip
from tests.export.trained import MOST, data, network

Array = np.ndarray[Any, Any]
STEPS = 100
needs_linker = pytest.mark.skipif(
    not any(map(shutil.which, ("ld", "ld.lld", "cc"))), reason="needs a linker"
)
pytestmark = needs_linker


@pytest.mark.parametrize("weights", ["embedded", "separate"])
def test_100_training_steps_have_the_same_bits(weights: str, tmp_path: Path) -> None:
    step, predict = network()
    bundle = step.export(tmp_path, name="net", weights=weights, also={"predict": predict})
    library = bundle.load()
    library.selftest()
    rng = np.random.default_rng(0)
    for i in range(STEPS):
        x, t = data(rng, int(rng.integers(1, MOST + 1)))
        wanted, found = step(x, t), library(x, t=t)
        assert list(found) == ["loss", "best"]
        assert wanted["loss"].tobytes() == found["loss"].tobytes(), i
        np.testing.assert_array_equal(wanted["best"], found["best"])
        if i % 20 == 0:
            (a, (b,)), (c, (d,)) = predict(x), library.predict(x)
            assert a.tobytes() == c.tobytes()
            assert b.tobytes() == d.tobytes()
    for name, parameter in step.parameters.items():
        np.testing.assert_array_equal(parameter.value, library.parameters[name])


def test_state_can_be_saved_and_put_back(tmp_path: Path) -> None:
    step, _ = network()
    library = step.export(tmp_path, name="net").load()
    rng = np.random.default_rng(1)
    batches = [data(rng, 8) for _ in range(6)]
    for batch in batches[:3]:
        library(*batch)
    saved, seed = library.save(), library.functions["step"].random
    assert seed[1] == 3
    first = [library(*batch)["loss"] for batch in batches]
    library.load(saved)
    assert library.functions["step"].random == seed
    assert [library(*batch)["loss"] for batch in batches] == first
    with pytest.raises(RuntimeCheckError, match="bytes"):
        library.load(saved[:-1])
    with pytest.raises(ArgumentError, match="takes the bytes of `save`, got 'no'"):
        library.load("no")  # type: ignore[arg-type]
    with pytest.raises(RuntimeCheckError, match="not saved values"):
        library.load(b"\1" * len(saved))


def test_parameters_can_be_read_and_set(tmp_path: Path) -> None:
    x = gx.input("x", (3,))
    w = gx.parameter("a b/c", value=np.arange(3, dtype=np.float32))
    s = gx.parameter("scalar", value=np.float32(2))
    f = gx.compile([x], x * w.astype("float64").astype("float32") * s, name="f")
    library = f.export(tmp_path).load()
    np.testing.assert_array_equal(library(np.ones(3, np.float32)), [0, 2, 4])
    library.parameters["a b/c"] = np.full(3, 5)
    library.parameters["scalar"] = np.float32(1)
    assert float(library.parameters["scalar"]) == 1
    np.testing.assert_array_equal(library(np.ones(3, np.float32)), [5, 5, 5])
    with pytest.raises(ShapeError):
        library.parameters["a b/c"] = np.ones(4)
    with pytest.raises(NameError, match="a b/c, scalar"):
        library.parameters["d"]


def test_prepared_values_follow_the_parameters(tmp_path: Path) -> None:
    x = gx.input("x", (2, 3))
    w = gx.parameter("w", value=np.eye(3, dtype=np.float32))
    deep = w @ w @ w  # depends on parameters alone
    f = gx.compile([x], x @ deep, name="f")
    assert f.program.schedule.prepare
    library, given = f.export(tmp_path).load(), np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(library(given), given)
    library.parameters["w"] = 2 * np.eye(3)
    np.testing.assert_array_equal(library(given), 8 * given)


def test_failed_checks_change_nothing(tmp_path: Path) -> None:
    step, _ = network()
    library = step.export(tmp_path, name="net").load()
    before, (x, t) = library.save(), data(np.random.default_rng(0), 4)
    t[2] = 5
    with pytest.raises(RuntimeCheckError, match=r"label is outside 0 to 4 \(trained.py:\d+\)"):
        library(x, t)
    assert library.save() == before


def test_two_exports_are_equal_byte_for_byte(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        step, predict = network()
        step.export(tmp_path / folder, name="net", weights="separate", also={"predict": predict})
    for file in sorted((tmp_path / "a").iterdir()):
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes(), file.name


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "uint16", "int64", "float16", "bfloat16", "float64"]
)
def test_every_kind_of_number(dtype: str, tmp_path: Path) -> None:
    x = gx.input("x", (gx.dim("n", max=9), 3), dtype=dtype)
    y = gx.logical_not(x) if dtype == "bool" else x + x
    f = gx.compile([x], {"y": y, "sum": gx.sum(x.astype("float32"))}, name="f")
    library = f.export(tmp_path).load()
    library.selftest()
    from graphc.export.library_files import numpy_dtype

    for n in (0, 1, 9):
        given = np.arange(3 * n).reshape(n, 3).astype(numpy_dtype(dtype))
        wanted, found = f(given), library(given)
        assert wanted["y"].dtype == found["y"].dtype
        assert wanted["y"].tobytes() == found["y"].tobytes()
        assert wanted["sum"] == found["sum"]


def test_sizes_that_the_graph_does_not_have_are_refused(tmp_path: Path) -> None:
    x = gx.input("x", (gx.dim("n", max=9),))
    f = gx.compile([x], gx.max(x[2:]), name="f")
    library = f.export(tmp_path).load()
    assert library(np.arange(5, dtype=np.float32)) == 4
    for n in (0, 2, 10):
        with pytest.raises(ShapeError, match="outside of 3 to 9"):
            library(np.zeros(n, np.float32))


def test_loops_and_constants(tmp_path: Path) -> None:
    n = gx.dim("n", max=7)
    xs = gx.input("xs", (n, 4))
    table = gx.constant(np.random.default_rng(0).standard_normal((4, 4)).astype(np.float32))
    carry, ys = gx.scan(lambda c, x: (gx.tanh(c @ table + x), c), gx.zeros((4,)), xs)
    f = gx.compile([xs], (carry, ys), name="f")
    library = f.export(tmp_path).load()
    for count in (1, 5, 7):
        given = np.random.default_rng(count).standard_normal((count, 4)).astype(np.float32)
        for a, b in zip(f(given), library(given)):
            assert a.tobytes() == b.tobytes()


def test_fixed_sizes_become_constants(tmp_path: Path) -> None:
    step, predict = network(most=None)
    with pytest.raises(ShapeError, match="dim batch of step has no maximum"):
        step.export(tmp_path)
    library = predict.export(tmp_path, dims={"batch": 6}).load()
    given = data(np.random.default_rng(0), 6)[0]
    np.testing.assert_array_equal(library(given)[0], predict(given)[0])
    with pytest.raises(ShapeError, match="must have shape"):
        library(given[:5])


def test_bounds_can_be_given_where_a_dim_has_none(tmp_path: Path) -> None:
    step, predict = network(most=None)
    library = step.export(tmp_path, dims={"batch": (2, 9)}, also={"predict": predict}).load()
    for n in (2, 9):
        x, t = data(np.random.default_rng(n), n)
        assert library(x, t)["loss"] == step(x, t)["loss"]
    with pytest.raises(ShapeError, match="outside of 2 to 9"):
        library.predict(x[:1])
    with pytest.raises(ArgumentError, match="dim batch must be an int of at least 0, got None"):
        step.export(tmp_path, dims={"batch": (1, None)})


def test_several_instances_are_independent(tmp_path: Path) -> None:
    step, _ = network()
    bundle = step.export(tmp_path, name="net")
    one, two = bundle.load(), bundle.load()
    batch = data(np.random.default_rng(0), 8)
    first = [one(*batch)["loss"] for _ in range(3)]
    assert [two(*batch)["loss"] for _ in range(3)] == first
    assert first[0] != first[2]


def test_a_folder_that_is_written_again(tmp_path: Path) -> None:
    x = gx.input("x", (gx.dim("n", max=5), 3))
    old = gx.compile([x], x * 2, name="f").export(tmp_path).load()
    new = gx.compile([x], {"y": x * 3 + 1, "s": gx.sum(x)}, name="f")
    fresh, given = new.export(tmp_path, dims={"n": 2}).load(), np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(fresh(given)["y"], np.full((2, 3), 4))
    assert fresh(given)["s"] == 6
    np.testing.assert_array_equal(old(given), given * 2)


def test_wrong_calls(tmp_path: Path) -> None:
    step, _ = network()
    library = step.export(tmp_path, name="net").load()
    x, t = data(np.random.default_rng(0), 4)
    with pytest.raises(NameError, match="missing: t"):
        library(x)
    with pytest.raises(NameError, match="is none of x, t"):
        library(x, t, z=1)
    with pytest.raises(ArgumentError, match="takes 2 inputs"):
        library(x, t, t)
    with pytest.raises(DTypeError, match="must be float32"):
        library(x.astype(np.complex64), t)
    with pytest.raises(ArgumentError, match="input x: list is no array"):
        library([[1.0], [2.0, 3.0]], t)
    with pytest.raises(ShapeError, match="must have shape"):
        library(x[:, :5], t)
    with pytest.raises(ShapeError, match="must have shape"):
        library(x, t[:3])
    with pytest.raises(ShapeError, match="outside of 1 to 24"):
        library(np.zeros((25, 12), np.float32), np.zeros(25, np.int32))
    np.testing.assert_array_equal(library(x.astype(float), t.astype(np.int64))["best"].shape, (4,))


def test_limits(tmp_path: Path) -> None:
    step, _ = network()
    with pytest.raises(MemoryBudgetError, match=r"(?s)bytes of flash.*net/dense/"):
        step.export(tmp_path, max_flash="2kB")
    with pytest.raises(MemoryBudgetError, match=r"(?s)bytes of RAM.*largest items"):
        step.export(tmp_path, max_ram="1kB")
    assert not list(tmp_path.iterdir())
    with pytest.raises(ArgumentError, match="no target 'z80'"):
        step.export(tmp_path, target="z80")
    with pytest.raises(ArgumentError, match="weights must be"):
        step.export(tmp_path, weights="none")
    with pytest.raises(ArgumentError, match="there is no dim n"):
        step.export(tmp_path, dims={"n": 3})


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"directory": 3}, "the directory must be a str or a path, got 3"),
        ({"target": 3}, "target must be a str, got 3"),
        ({"features": None}, "features must be a str, got None"),
        ({"name": 3}, "name must be a str, got 3"),
        ({"frozen": "yes"}, "frozen must be True or False, got 'yes'"),
        ({"selftest": 1}, "selftest must be True or False, got 1"),
        ({"dims": 3}, "dims must be a dict of names and sizes, got 3"),
        ({"dims": {"n": 6}}, "dim n must be an int of at least 0 and at most 5, got 6"),
        ({"threads": 0}, "threads must be an int from 1 to 1024, got 0"),
        ({"also": [3]}, "`also` must be a dict of names and compiled functions"),
        ({"also": {"g": 3}}, "`also` must be a dict of names and compiled functions"),
        ({"max_flash": "lots"}, "max_flash must be bytes or a text"),
        ({"max_ram": -1}, "max_ram must be bytes or a text"),
    ],
    ids=str,
)
def test_arguments_of_the_wrong_kind(wrong: dict[str, Any], text: str, tmp_path: Path) -> None:
    x = gx.input("x", (gx.dim("n", max=5), 3))
    f = gx.compile([x], x * 2, name="f")
    with pytest.raises(ArgumentError) as caught:
        f.export(**({"directory": tmp_path} | wrong))
    assert f"export: {text}" in str(caught.value)
    assert "test_export.py" in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_damaged_bundles(tmp_path: Path, monkeypatch: Any) -> None:
    step, _ = network()
    bundle = step.export(tmp_path, name="net")
    manifest = tmp_path / "net.json"
    library = next(f for f in bundle.files if f.endswith((".so", ".dylib")))
    whole, text = (tmp_path / library).read_bytes(), manifest.read_text()
    for content in (whole[:1000], whole[:-1] + b"\1", b""):
        (tmp_path / library).write_bytes(content)
        with pytest.raises(FormatError, match="not the file"):
            gx.load_library(tmp_path)
    (tmp_path / library).unlink()
    with pytest.raises(FileNotFoundError, match="missing"):
        gx.load_library(tmp_path)
    for content in ("", "{", "[]", "{}", text.replace('"format": 2', '"format": 99')):
        manifest.write_text(content)
        with pytest.raises(FormatError):
            gx.load_library(manifest)
    manifest.write_text(text)
    (tmp_path / library).write_bytes(whole)
    for word, other in (("machine", "sparc"), ("system", "Plan9")):
        with monkeypatch.context() as patch:
            patch.setattr(f"platform.{word}", lambda other=other: other)
            with pytest.raises(UnsupportedError, match="this machine"):
                gx.load_library(tmp_path)
    with pytest.raises(ArgumentError, match="must be a str or a path, got 3"):
        gx.load_library(3)  # type: ignore[arg-type]
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(FormatError, match="none"):
        gx.load_library(empty)


@pytest.mark.parametrize(
    "change",
    [
        {"workspace": {"bytes": 64}}, {"workspace": {"bytes": 1 << 60}}, {"functions": []},
        {"functions": [3]}, {"name": "other"}, {"files": {"library": "../x.so"}}, {"sha256": {}},
        {"target": None}, {"parameters": 3}, {"digest": 0},
    ],
    ids=str,
)  # fmt: skip
def test_changed_manifests(change: dict[str, Any], tmp_path: Path) -> None:
    """What they say of sizes is what memory is made by: a changed one must not be believed."""
    x = gx.input("x", (gx.dim("n", max=5), 3))
    gx.compile([x], x * 2, name="f").export(tmp_path)
    content = json.loads((tmp_path / "f.json").read_text())
    assert gx.load_library(tmp_path)(np.ones((2, 3), np.float32)).sum() == 12
    (tmp_path / "f.json").write_text(json.dumps(content | change))
    with pytest.raises(FormatError, match=r"f.json is not as `export` wrote it"):
        gx.load_library(tmp_path)
    shape = content["functions"][0]["outputs"][0]
    shape["shape"] = [1, 1]  # too few bytes for what the code writes
    (tmp_path / "f.json").write_text(json.dumps(content))
    with pytest.raises(FormatError, match="changed since"):
        gx.load_library(tmp_path)


C_PROGRAM = r"""
#include "net.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Alignas(64) static unsigned char memory[NET_WORKSPACE_BYTES], other[NET_WORKSPACE_BYTES];
static float x[24 * 12], loss;
static int32_t t[24];
static int64_t best[24];

static void *part(void *number) {
  return (void *)(intptr_t)net_step_part(memory, (int32_t)(intptr_t)number, 3);
}

int main(void) {
  if (net_step(memory, 8, x, t, &loss, best) != NET_NOT_READY) return 1;
  if (net_init(memory + 1, sizeof memory) != NET_ALIGNMENT) return 2;
  if (net_init(memory, sizeof memory - 1) != NET_WORKSPACE) return 3;
  if (net_init(NULL, sizeof memory) != NET_NULL) return 4;
  if (net_workspace_bytes() != sizeof memory || net_init(memory, sizeof memory)) return 5;
  for (int i = 0; i < 24 * 12; i++) x[i] = (float)(i % 7) - 3;
  for (int i = 0; i < 24; i++) t[i] = i % 5;
  if (net_step(memory, 25, x, t, &loss, best) != NET_DIM) return 6;
  if (net_step(memory, 0, x, t, &loss, best) != NET_DIM) return 7;
  if (net_step(memory, 8, NULL, t, &loss, best) != NET_NULL) return 8;
  if (net_step_part(memory, 0, 1) != NET_NOT_BOUND) return 9;
  if (net_get_parameter(memory, "none", x, 4) != NET_NO_PARAMETER) return 10;
  if (net_get_parameter(memory, "net/dense_1/bias", x, 4) != NET_BYTES) return 11;
  if (strcmp(net_status_text(NET_DIM), "a size is outside of its bounds")) return 12;
  if (strcmp(net_status_text(-7), "unknown status")) return 13;
  if (net_selftest()) return 14;
  if (net_init(other, sizeof other)) return 15;
  for (int step = 0; step < 5; step++) { /* one thread there, three here */
    float alone;
    if (net_step(other, 24, x, t, &alone, best)) return 16;
    if (net_step_bind(memory, 24, x, t, &loss, best)) return 17;
    if (net_step_part(memory, 3, 3) != NET_THREADS) return 18;
    if (net_step_part(memory, 0, NET_MAX_THREADS + 1) != NET_THREADS) return 19;
    pthread_t threads[2];
    for (intptr_t i = 0; i < 2; i++) pthread_create(&threads[i], NULL, part, (void *)(i + 1));
    if (part(NULL)) return 20;
    for (int i = 0; i < 2; i++) {
      void *status;
      pthread_join(threads[i], &status);
      if (status) return 21;
    }
    if (memcmp(&loss, &alone, sizeof loss)) return 22;
  }
  unsigned char *a = malloc(NET_STATE_BYTES), *b = malloc(NET_STATE_BYTES);
  if (net_save(memory, a, NET_STATE_BYTES) || net_save(other, b, net_state_bytes())) return 23;
  if (memcmp(a, b, NET_STATE_BYTES)) return 24;
  free(a);
  free(b);
  printf("fine\n");
  return 0;
}
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
@pytest.mark.parametrize("sanitize", [False, True])
def test_from_c(sanitize: bool, tmp_path: Path) -> None:
    step, _ = network()
    step.export(tmp_path, name="net")
    (tmp_path / "main.c").write_text(C_PROGRAM)
    options = ["-fsanitize=address,undefined", "-fno-sanitize-recover"] if sanitize else ["-O2"]
    build = ["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", *options]
    command = [*build, "main.c", "net.a", "-lpthread", "-o", "main"]
    subprocess.run(command, cwd=tmp_path, check=True)
    done = subprocess.run([tmp_path / "main"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "fine\n"), done.stderr


@pytest.mark.skipif(shutil.which("nm") is None, reason="needs nm")
def test_nothing_but_memory_functions_is_called(tmp_path: Path) -> None:
    step, predict = network()
    step.export(tmp_path, name="net", also={"predict": predict})
    listed = subprocess.run(["nm", "-u", tmp_path / "net.o"], capture_output=True, text=True)
    undefined = {line.split()[-1] for line in listed.stdout.splitlines() if line.strip()}
    assert undefined <= {"memcpy", "memset", "memmove"}
