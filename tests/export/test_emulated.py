"""Frozen libraries, several sizes and the stated stack, on machines other than this one."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc_llvm.library.frozen import compatible_host_target
from graphc_llvm.target import Target, export_target
from tests.export import linux
from tests.export.test_targets import needs_wasm
from tests.export.trained import MOST, data, network

Array = np.ndarray[Any, Any]
COUNTS = (0, 1, 9, MOST)
LINUX = ["baseline", "neon", "riscv64"]


def chosen(name: str) -> Target:
    """A target whose programs run here, and whose bits this machine can make, too."""
    target = export_target(name)
    here = platform.machine() == target.triple.split("-")[0]
    if not here and (reason := linux.missing_tools(target)):
        pytest.skip(reason)
    if here and not shutil.which("ld.lld") and not shutil.which("ld"):
        pytest.skip("needs a linker")
    if compatible_host_target(target).has_fma != target.has_fma:
        pytest.skip("this machine rounds products differently")
    return target


def as_there(function: Any, target: Target, *arrays: Array) -> Any:
    """What a function that never ran gives here by code that rounds products as a target does."""
    function.native.target = compatible_host_target(target)
    return function(*arrays)


def prepared(most: int = MOST) -> Any:
    """An inference function with much that depends on parameters alone."""
    rng = np.random.default_rng(0)
    x = gx.input("x", (gx.dim("n", max=most), 12))
    a = gx.parameter("a", value=rng.standard_normal((12, 12)).astype(np.float32))
    b = gx.parameter("b", value=rng.standard_normal((12, 3)).astype(np.float32))
    return gx.compile([x], gx.tanh(x @ (a @ a @ b)), name="net")


def facts(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / "net.json").read_text())
    return read


@pytest.mark.parametrize("name", LINUX)
def test_frozen_libraries_at_several_sizes(name: str, tmp_path: Path) -> None:
    target = chosen(name)
    _, predict = network()
    predict.export(tmp_path, name="net", target=name, frozen=True)
    memory = {"space": np.zeros(facts(tmp_path)["workspace"]["bytes"], np.uint8)}
    calls: list[Any] = [("net_selftest", ()), ("net_init", ("space", memory["space"].size))]
    wanted, xs = {}, {}
    for n in COUNTS:
        xs[n] = data(np.random.default_rng(n), n)[0]
        memory |= {f"x{n}": xs[n]}
        memory |= {f"{word}{n}": np.full((n, 5), 7, np.float32) for word in ("p", "l")}
        calls.append(("net_run", ("space", n, f"x{n}", f"p{n}", f"l{n}")))
    results = [f"{word}{n}" for n in COUNTS for word in ("p", "l")]
    found = linux.run(target, tmp_path, "net", calls, memory, results)
    _, fresh = network()
    for n in COUNTS:
        probabilities, (doubled,) = as_there(fresh, target, xs[n])
        wanted |= {f"p{n}": probabilities, f"l{n}": doubled}
    for word in results:
        assert found[word].tobytes() == wanted[word].tobytes(), word


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("dims", [{}, {"n": 9}], ids=["dynamic", "fixed"])
@pytest.mark.parametrize("name", LINUX)
def test_what_depends_on_parameters_alone(
    name: str, dims: dict[str, int], frozen: bool, tmp_path: Path
) -> None:
    target, f = chosen(name), prepared()
    assert f.program.schedule.prepare
    f.export(tmp_path, target=name, frozen=frozen, dims=dims)
    x = data(np.random.default_rng(1), 9)[0]
    memory = {
        "space": np.zeros(facts(tmp_path)["workspace"]["bytes"], np.uint8), "x": x,
        "y": np.zeros((9, 3), np.float32),
    }  # fmt: skip
    size = () if dims else (9,)
    run = ("net_run", ("space", *size, "x", "y"))
    calls = [("net_selftest", ()), ("net_init", ("space", memory["space"].size)), run, run]
    found = linux.run(target, tmp_path, "net", calls, memory, ["y"])
    assert found["y"].tobytes() == as_there(prepared(), target, x).tobytes()


@pytest.mark.parametrize("name", LINUX)
def test_no_more_stack_than_the_header_says(name: str, tmp_path: Path) -> None:
    target = chosen(name)
    step, predict = network()
    step.export(tmp_path, name="net", target=name, also={"predict": predict})
    about, (x, t) = facts(tmp_path), data(np.random.default_rng(0), MOST)
    state = about["workspace"]["state_bytes"]
    memory = {
        "space": np.zeros(about["workspace"]["bytes"], np.uint8), "x": x, "t": t,
        "loss": np.zeros(1, np.float32), "best": np.zeros(MOST, np.int64),
        "p": np.zeros((MOST, 5), np.float32), "saved": np.zeros(state, np.uint8),
        "used": np.zeros(1, np.int64),
    }  # fmt: skip
    calls: list[Any] = [
        ("net_init", ("space", memory["space"].size)),
        ("net_step", ("space", MOST, "x", "t", "loss", "best")),
        ("net_predict", ("space", MOST, "x", "p", "p")),
        ("net_save", ("space", "saved", state)), ("net_load", ("space", "saved", state)),
        ("net_selftest", ()),
    ]  # fmt: skip
    used = int(linux.run(target, tmp_path, "net", calls, memory, ["used"])["used"][0])
    promised = about["stack_bytes"]
    assert 0 < used <= promised + 64  # memcpy's frame, which the promise leaves out
    assert promised < 2 * used + 512


NODE = """\
import { load } from "./net.mjs";
const net = await load(), results = [], STACK = %d, PAINT = 90;
new Uint8Array(net.code.memory.buffer).fill(PAINT, 0, STACK);
net.selftest();
for (const x of %s) {
  const found = net.%s({ x: Float32Array.from(x) }, { %s: x.length / 12 });
  results.push(Object.values(found).map((values) => [...values]));
}
const below = new Uint8Array(net.code.memory.buffer, 0, STACK);
let clean = 0;
while (clean < STACK && below[clean] === PAINT) clean++;
console.log(JSON.stringify({ results, used: STACK - clean }));
"""


def in_node(folder: Path, function: str, dim: str, counts: tuple[int, ...]) -> Any:
    """Results at several sizes, and the bytes of stack that were used."""
    xs = [data(np.random.default_rng(n), n)[0].reshape(-1).tolist() for n in counts]
    script = NODE % (1 << 16, json.dumps(xs), function, dim)
    (folder / "main.mjs").write_text(script)
    done = subprocess.run(["node", folder / "main.mjs"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@needs_wasm
@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
@pytest.mark.parametrize("frozen", [False, True])
def test_webassembly(frozen: bool, tmp_path: Path) -> None:
    target = export_target("wasm32")
    if compatible_host_target(target).has_fma != target.has_fma:
        pytest.skip("this machine rounds products differently")
    for which in ("network", "prepared"):
        f, fresh = (network()[1] if which == "network" else prepared() for _ in range(2))
        folder = tmp_path / which
        f.export(folder, name="net", target="wasm32", frozen=frozen)
        found = in_node(folder, "run", "batch" if which == "network" else "n", COUNTS)
        for n, results in zip(COUNTS, found["results"], strict=True):
            wanted = as_there(fresh, target, data(np.random.default_rng(n), n)[0])
            wanted = [wanted[0], *wanted[1]] if which == "network" else [wanted]
            for a, b in zip(results, wanted, strict=True):
                assert np.asarray(a, np.float32).tobytes() == b.tobytes(), (which, n)
        promised = facts(folder)["stack_bytes"]
        assert 0 <= found["used"] <= promised
