"""Libraries for other machines, run: their self-tests, and training steps with equal bits."""

from __future__ import annotations

import base64
import json
import platform
import re
import shutil
import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, MemoryBudgetError, UnsupportedError
from graphc_llvm.library import objects
from graphc_llvm.runtime.session import host
from graphc_llvm.target import export_target, host_target, make_target
from tests.export import linux
from tests.export.trained import data, network

Array = np.ndarray[Any, Any]
STEPS, BATCH = 3, 9
HELPERS = re.compile(r"__\w+[sd]f[2sid]*|__\w+[ds]i[34]|__aeabi_\w+")


def trained(fused: bool) -> dict[str, Array]:
    """What the steps give in this process, by instructions that round products so."""
    step, _ = network()
    if fused != host_target().has_fma:
        if fused or platform.machine() != "x86_64":
            pytest.skip("this machine rounds products differently")
        step.native.target = replace(make_target("baseline"), triple=host().triple)
    for _ in range(STEPS):
        outputs = step(*data(np.random.default_rng(0), BATCH))
    return {**outputs, **{name: p.value for name, p in step.parameters.items()}}


@cache
def _state(path: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((path / "net.json").read_text())
    return facts


def parameters_of(saved: Array, wanted: dict[str, Array]) -> dict[str, Array]:
    """The parameters in saved bytes, which are in the order of the library's."""
    at, found = 16 + 64, {}  # head; the random stream, rounded up
    for name, value in wanted.items():
        if name in ("loss", "best"):
            continue
        raw = saved[at : at + value.nbytes]
        found[name] = raw.view(value.dtype).reshape(value.shape)
        at += -(-value.nbytes // 64) * 64
    assert at == saved.size
    return found


def training(facts: dict[str, Any]) -> tuple[dict[str, Array], list[Any]]:
    """The arrays and the C calls of a self-test, some training steps and a save."""
    x, t = data(np.random.default_rng(0), BATCH)
    saved = np.zeros(facts["workspace"]["state_bytes"], np.uint8)
    memory = {
        "space": np.zeros(facts["workspace"]["bytes"], np.uint8), "x": x, "t": t,
        "loss": np.zeros(1, np.float32), "best": np.zeros(BATCH, np.int64), "saved": saved,
    }  # fmt: skip
    calls: list[Any] = [("net_selftest", ()), ("net_init", ("space", memory["space"].size))]
    calls += [("net_step", ("space", BATCH, "x", "t", "loss", "best"))] * STEPS
    return memory, [*calls, ("net_save", ("space", "saved", saved.size))]


def equal(found: dict[str, Array], wanted: dict[str, Array]) -> None:
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert found[name].tobytes() == np.asarray(value).tobytes(), name


@pytest.mark.parametrize(
    ("name", "features"),
    [("baseline", ""), ("baseline", "avx2"), ("neon", ""), ("riscv64", "")],
)
def test_training_on_linux(name: str, features: str, tmp_path: Path) -> None:
    target = export_target(name, features)
    here = platform.machine() == target.triple.split("-")[0]
    if not here and (reason := linux.missing_tools(target)):
        pytest.skip(reason)
    if here and not shutil.which("ld.lld") and not shutil.which("ld"):
        pytest.skip("needs a linker")
    if here and target.has_fma and not host_target().has_fma:
        pytest.skip("needs AVX2")
    step, predict = network()
    step.export(tmp_path, name="net", target=name, features=features, also={"predict": predict})
    facts = _state(tmp_path)
    assert set(facts["needs"]) <= {"memcpy", "memset", "memmove"}
    memory, calls = training(facts)
    found = linux.run(target, tmp_path, "net", calls, memory, ["loss", "best", "saved"])
    wanted = trained(target.has_fma)
    parameters = parameters_of(found.pop("saved"), wanted)
    equal(found | parameters, wanted)


NODE = """\
import { load } from "./net.mjs";
const net = await load(), other = await load();
net.selftest();
const x = Float32Array.from(%s), t = Int32Array.from(%s), dims = { batch: %d };
let got;
for (let i = 0; i < %d; i++) got = net.step({ x, t }, dims);
const result = { loss: [...got.loss], best: [...got.best].map(Number), parameters: {}, errors: [] };
for (const name of Object.keys(net.parameters))
  result.parameters[name] = [...net.get(name)].map(Number);
const saved = net.save();
other.restore(saved);
const again = [net, other].map((library) => library.step({ x, t }, dims).loss[0]);
result.same = again[0] === again[1];
const attempts = [
  () => net.step({ x, t }, { batch: 99 }), () => net.step({ x }, dims), () => net.get("none"),
  () => net.step({ x, t: t.map(() => 7) }, dims), () => net.step({ x, t, z: x }, dims),
  () => net.restore(new Uint8Array(3)), () => net.set("net/dense/bias", [1]),
];
for (const attempt of attempts)
  try {
    attempt();
    result.errors.push("none");
  } catch (error) {
    result.errors.push(error.message);
  }
net.set("net/dense/bias", new Float32Array(17).fill(2));
result.bias = net.get("net/dense/bias")[16];
console.log(JSON.stringify(result));
"""
needs_wasm = pytest.mark.skipif(
    shutil.which("wasm-ld") is None, reason="needs wasm-ld (in lld, or in ziglang)"
)


@needs_wasm
@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_training_in_node(tmp_path: Path) -> None:
    step, predict = network()
    step.export(tmp_path, name="net", target="wasm32", also={"predict": predict})
    assert _state(tmp_path)["needs"] == []
    assert b"\xfd" in (tmp_path / "net.wasm").read_bytes()  # vector instructions
    x, t = data(np.random.default_rng(0), BATCH)
    script = NODE % (x.reshape(-1).tolist(), t.tolist(), BATCH, STEPS)
    (tmp_path / "main.mjs").write_text(script)
    done = subprocess.run(
        ["node", tmp_path / "main.mjs"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    found, wanted = json.loads(done.stdout), trained(fused=False)
    given = found["parameters"] | {"loss": found["loss"], "best": found["best"]}
    equal({n: np.asarray(given[n], v.dtype).reshape(v.shape) for n, v in wanted.items()}, wanted)
    assert found["same"]
    assert found["bias"] == 2
    for text, pattern in zip(
        found["errors"],
        [
            "batch must be from 1 to 24, got 99", "t needs 9 elements", "no parameter none",
            r"label is outside 0 to 4 \(trained.py:\d+\)", "no input z", "number of bytes",
            "has 17 elements",
        ],
        strict=True,
    ):  # fmt: skip
        assert re.search(pattern, text), text


@needs_wasm
def test_a_page_trains_in_a_browser(tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("needs chromium")
    step, _ = network()
    step.export(tmp_path, name="net", target="wasm32")
    page = tmp_path / "alone" / "net.html"
    page.parent.mkdir()
    shutil.copy(tmp_path / "net.html", page)  # it needs no other file
    image = base64.b64encode((tmp_path / "net.wasm").read_bytes()).decode()
    assert image in page.read_text()
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/user"]
    command = [browser, *options, "--virtual-time-budget=20000", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "ready: the self-test has passed" in done.stdout, done.stderr[-2000:]
    told = re.search(r"step: 200 steps; loss from ([\d.e-]+) to ([\d.e-]+);", done.stdout)
    assert told is not None
    assert float(told[2]) < 0.1 * float(told[1])


def test_targets_that_there_are_not(tmp_path: Path) -> None:
    x = gx.input("x", (3,))
    f = gx.compile([x], x * 2, name="f")
    for name in ("s390x-ibm-linux-gnu", "aarch64_be-none-elf", "powerpc64-linux-gnu"):
        with pytest.raises(ArgumentError, match="big-endian"):
            f.export(tmp_path, target=name)
    for name in ("x86_64-unknown-windws", "x86_64-pc-win32", "aarch64-foo-bar"):
        with pytest.raises(
            ArgumentError, match=r"no target .*its system is none of linux, windows"
        ):
            f.export(tmp_path, target=name)
    for name in ("", "z80", "z80-none-elf", "x86_64", "host2"):
        with pytest.raises(ArgumentError, match="no target"):
            f.export(tmp_path, target=name)
    with pytest.raises(ArgumentError, match="has no avx2"):
        f.export(tmp_path, target="neon", features="avx2")
    with pytest.raises(ArgumentError, match=r"linux-gnu has no feature .*warp"):
        f.export(tmp_path, target="baseline", features="warp")
    with pytest.raises(ArgumentError, match="weights"):
        f.export(tmp_path, target="wasm32", weights="separate")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("target", "features", "reason"),
    [
        ("riscv64", "-a", "LLVM ERROR: Cannot select: .*AtomicLoadAdd"),
        ("cortex-m4", "-db", "LLVM ERROR: Cannot select: "),
        ("baseline", "+soft-float", "Assertion|LLVM ERROR"),
    ],
)
def test_what_llvm_has_no_code_for(target: str, features: str, reason: str, tmp_path: Path) -> None:
    x = gx.input("x", (gx.dim("n", max=7), 5))
    y = gx.exp(x).sum(axis=0) * 3
    f = gx.compile([x], y, name="f")
    with pytest.raises(UnsupportedError) as caught:
        f.export(tmp_path, target=target, features=features)
    text = str(caught.value)
    assert export_target(target).triple in text
    assert re.search(r"code for exp_sum\w* \(exp at test_targets.py:\d+, sum at", text), text
    assert re.search(reason, text), text
    assert re.search(r"at +f.export\(tmp_path, target=target", text), text
    assert not list(tmp_path.iterdir())
    f.export(tmp_path, target=target).sizes["f.o"]  # LLVM ended a process, not this one


def test_a_compiler_that_dies_without_a_word(tmp_path: Path, monkeypatch: Any) -> None:
    x = gx.input("x", (3,))
    f = gx.compile([x], x * 2, name="f")
    die = "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n"
    monkeypatch.setattr(objects, "_CHILD", die)
    with pytest.raises(UnsupportedError, match=r"riscv64-unknown-linux-gnu .*ended with signal 11"):
        f.export(tmp_path, target="riscv64")
    monkeypatch.setattr(objects, "_CHILD", "import sys\nsys.exit('out of paper')\n")
    with pytest.raises(UnsupportedError, match="out of paper"):
        f.export(tmp_path, target="riscv64")
    assert not list(tmp_path.iterdir())


def test_more_memory_than_a_small_machine_has(tmp_path: Path) -> None:
    x = gx.input("x", (gx.dim("n", max=400_000_000),))
    f = gx.compile([x], gx.cumulative_sum(gx.sort(x) * 2), name="f")
    with pytest.raises(MemoryBudgetError, match=r"(?s)bytes of RAM.*largest items"):
        f.export(tmp_path, target="wasm32")
