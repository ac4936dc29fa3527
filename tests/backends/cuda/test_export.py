"""Libraries for GPUs: the C compiles, launches what the plan says, and Python runs them.

Nothing here needs a GPU: the launch lists run in the simulator, with the text of the kernels where
their machine code was, and the C runs against the recording driver.
"""

from __future__ import annotations

import json
import re
import subprocess
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, FormatError, ShapeError
from graphc.export.library import Library
from graphc_cuda.export.engine import GpuEngine
from graphc_cuda.export.statuses import STATUSES
from graphc_cuda.launch import DynamicLoop, FillNode, KernelNode
from graphc_cuda.plan_data import plan_from_data
from graphc_cuda.plan_launches import plan_launches
from graphc_cuda.print_numba import numba_text
from graphc_cuda.simulated_device import SimulatedDevice
from tests.backends.cuda.fake_cuda import c_compiler, run_program, run_scenario
from tests.export.trained import data, network

BATCH = 8
WARNINGS = ["-std=c99", "-Wall", "-Wextra", "-Werror"]
pytestmark = pytest.mark.skipif(find_spec("safetensors") is None, reason="needs safetensors")


def exported(folder: Path) -> tuple[Any, Any, dict[str, Any]]:
    """A training step and a prediction in a folder, and the manifest."""
    step, predict = network()
    also = {"predict": predict}
    step.export(folder, target="cuda", name="net", also=also, dims={"batch": BATCH})
    manifest: dict[str, Any] = json.loads((folder / "net.json").read_text())
    return step, predict, manifest


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library, exported once."""
    found = tmp_path_factory.mktemp("library")
    exported(found)
    return found


# -- Python, on the simulator ----------------------------------------------------------------


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[Any, Any, Library]:
    """The functions, and the library of them on the simulator."""
    step, predict, manifest = exported(tmp_path)
    for facts, function in zip(manifest["launches"], (step, predict)):
        plan = plan_launches(function.program, {"batch": BATCH})
        facts["code"] = [f"{facts['name']}.ptx"]
        (tmp_path / facts["code"][0]).write_text(numba_text(plan.program))
    engine = GpuEngine(tmp_path, manifest, SimulatedDevice())
    monkeypatch.setattr(
        "graphc_cuda.CudaBackend.open_device_library", lambda self, folder, manifest: engine
    )
    monkeypatch.setattr("graphc.export.device_library.check_files", lambda *_: None)
    return step, predict, gx.load_library(tmp_path)


def test_steps_are_those_of_this_process(simulated: tuple[Any, Any, Library]) -> None:
    step, predict, library = simulated
    rng = np.random.default_rng(0)
    for _ in range(3):
        x, t = data(rng, BATCH)
        wanted, found = step(x, t), library(x, t=t)
        assert wanted["loss"].tobytes() == found["loss"].tobytes()
        np.testing.assert_array_equal(wanted["best"], found["best"])
        (a, _), (c, _) = predict(x), library.predict(x)
        assert a.tobytes() == c.tobytes()
    for name, parameter in step.parameters.items():
        np.testing.assert_array_equal(parameter.value, library.parameters[name])
    assert library.functions["step"].random[1] == 3


def test_state_and_parameters(simulated: tuple[Any, Any, Library]) -> None:
    _, _, library = simulated
    x, t = data(np.random.default_rng(1), BATCH)
    saved, first = library.save(), library(x, t)["loss"]
    assert library(x, t)["loss"] != first
    library.load(saved)
    assert library(x, t)["loss"] == first
    library.parameters["net/dense_1/bias"] = np.arange(5, dtype=np.float32)
    np.testing.assert_array_equal(library.parameters["net/dense_1/bias"], np.arange(5))
    library.functions["step"].set_random(7, 9)
    assert library.functions["step"].random == (7, 9)
    with pytest.raises(gx.errors.RuntimeCheckError, match="the number of bytes"):
        library.load(saved[:-1])
    with pytest.raises(gx.errors.RuntimeCheckError, match="not saved values of this library"):
        library.load(bytes(len(saved)))


def test_failed_checks_change_nothing(simulated: tuple[Any, Any, Library]) -> None:
    _, _, library = simulated
    x, t = data(np.random.default_rng(2), BATCH)
    before = library.save()
    with pytest.raises(gx.errors.RuntimeCheckError, match="a label is outside 0 to 4"):
        library(x, t + 100)
    assert library.save() == before


# -- what is in a folder -------------------------------------------------------------------------


def test_the_manifest_is_the_plan(tmp_path: Path) -> None:
    step, _, manifest = exported(tmp_path)
    plan, facts = plan_launches(step.program, {"batch": BATCH}), manifest["launches"][0]
    read = plan_from_data(facts["plan"])
    assert read.edges == plan.edges
    assert len(read.nodes) == len(plan.nodes)
    assert list(manifest["statuses"].values()) == list(STATUSES.values())
    ends = [o + plan.regions[r] for o, r in zip(facts["regions"], plan.regions)]
    assert max(ends) <= manifest["memory"]["bytes"]
    shared = sorted(zip(facts["regions"], ends))
    assert all(a[1] <= b[0] for a, b in pairwise(shared)), "regions overlap"


def test_other_options_are_refused(tmp_path: Path) -> None:
    step, _ = network()
    with pytest.raises(ShapeError, match="dim batch of step must have one size on a GPU"):
        step.export(tmp_path, target="cuda")
    with pytest.raises(ArgumentError, match="threads=2 is not for target='cuda'"):
        step.export(tmp_path, target="cuda", threads=2, dims={"batch": 8})


def test_files_that_have_changed(tmp_path: Path) -> None:
    exported(tmp_path)
    (tmp_path / "net_step.ptx").write_text("changed")
    with pytest.raises(FormatError, match=r"net_step.ptx is not the file that"):
        gx.load_library(tmp_path)


# -- C ---------------------------------------------------------------------------------------------


def installed_headers() -> list[str]:
    """The compiler's options for the installed <cuda.h>."""
    found = find_spec("nvidia")
    for place in (found.submodule_search_locations if found else None) or ():
        for header in Path(place).glob("*/include/cuda.h"):
            return ["-DGRAPHC_CUDA_H", "-isystem", str(header.parent)]
    pytest.skip("needs <cuda.h> (pip install nvidia-cuda-runtime)")


def test_the_installed_header_says_the_same(folder: Path, tmp_path: Path) -> None:
    command = [c_compiler(), *WARNINGS, *installed_headers(), "-c", "net.c", "-o"]
    subprocess.run([*command, str(tmp_path / "net.o")], cwd=folder, check=True)


PROGRAM = r"""
#include "net.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition) do { if (!(condition)) { \
    fprintf(stderr, "line %d: %s\n", __LINE__, #condition); return 1; } } while (0)

static unsigned char a[NET_STATE_BYTES], b[NET_STATE_BYTES];

int main(int count, char **words) {
    struct net *net = NULL;
    float x[8 * 12] = {0}, loss = 0, bias[5] = {1, 2, 3, 4, 5}, found[5];
    int32_t t[8] = {0}, status;
    int64_t best[8];
    uint64_t seed, step;
    CHECK(count == 2);
    CHECK(net_init(&net, "/nowhere", 0) == NET_FILE && !net);
    CHECK(net_init(&net, words[1], 5) == NET_NO_GPU && !net);
    CHECK(net_init(NULL, words[1], 0) == NET_NULL);
    status = net_init(&net, words[1], 0);
    CHECK(status == NET_OK);
    CHECK(net_set_parameter(net, "net/dense_1/bias", bias, sizeof bias) == NET_OK);
    CHECK(net_get_parameter(net, "net/dense_1/bias", found, sizeof found) == NET_OK);
    CHECK(!memcmp(bias, found, sizeof bias));
    CHECK(net_get_parameter(net, "none", found, 4) == NET_NO_PARAMETER);
    CHECK(net_get_parameter(net, "net/dense_1/bias", found, 4) == NET_BYTES);
    CHECK(net_step(net, x, NULL, &loss, best) == NET_NULL);
    net_step_set_random(net, 3, 4);
    for (int i = 0; i < 2; i++) CHECK(net_step(net, x, t, &loss, best) == NET_OK);
    net_step_get_random(net, &seed, &step);
    CHECK(seed == 3 && step == 6);
    CHECK(net_state_bytes() == sizeof a && net_save(net, a, sizeof a) == NET_OK);
    CHECK(net_load(net, a, sizeof a) == NET_OK && net_save(net, b, sizeof b) == NET_OK);
    CHECK(!memcmp(a, b, sizeof a));
    a[0] ^= 1;
    CHECK(net_load(net, a, sizeof a) == NET_STATE && net_load(net, a, 3) == NET_BYTES);
    CHECK(!strcmp(net_status_text(NET_OK), "done"));
    CHECK(!strcmp(net_status_text(-7), "unknown status"));
    CHECK(net_driver_error(net) == 0);
    net_free(net);
    return 0;
}
"""


def build(folder: Path, out: Path, fake: Path) -> Path:
    """The program with the library in it."""
    (out / "main.c").write_text(PROGRAM)
    (out / "libcuda.so").unlink(missing_ok=True)
    (out / "libcuda.so").symlink_to(fake / "libcuda.so.1")
    command = [
        c_compiler(), *WARNINGS, "-pedantic", "-g", f"-I{folder}", str(out / "main.c"),
        str(folder / "net.c"), f"-L{out}", "-lcuda", "-o", str(out / "main"),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    return out / "main"


@pytest.mark.parametrize("capability", [80, 90, 120], ids=["sm_80", "sm_90", "ptx"])
def test_c_launches_what_the_plan_says(
    capability: int, folder: Path, fake_cuda: Path, tmp_path: Path
) -> None:
    program = build(folder, tmp_path, fake_cuda)
    log = tmp_path / "log"
    run = run_program([str(program), str(folder)], fake_cuda, log, capability=capability)
    run.check_clean()
    manifest = json.loads((folder / "net.json").read_text())
    plan = plan_from_data(manifest["launches"][0]["plan"])
    facts = manifest["launches"][0]
    base = dict(zip(plan.regions, facts["regions"]))
    block = run.starting("cuMemAlloc")[-1].split()[1]
    (graph,) = {line.split()[2] for line in run.starting("cuGraphInstantiate x1")}
    nodes = run.starting(f"node {graph} ")
    edges = set()
    for i, (line, node) in enumerate(zip(nodes, plan.nodes, strict=True)):
        found = re.fullmatch(r"node g\d+ (\d+) after=([\d,]*) (.*)", line)
        assert found is not None
        edges |= {(int(a), i) for a in found[2].split(",") if a}
        if isinstance(node, FillNode):
            where = base[node.place.region] + node.place.offset
            assert found[3].startswith(f"fill to={block}+{where} value={node.value}")
            continue
        assert isinstance(node, KernelNode)
        places = ",".join(f"{block}+{base[p.region] + p.offset}" for p in node.arguments)
        assert found[3].startswith(f"kernel={facts['symbols'][node.kernel.name]} ")
        assert f" grid={node.grid} block={node.kernel.block} " in found[3]
        assert found[3].endswith(f" arguments={places}")
    assert edges == set(plan.edges)
    assert len(run.starting("cuGraphLaunch x1")) == 2
    cubins = list(folder.glob("net_step.sm_*.cubin"))
    kind = "cubin" if cubins and capability < 100 else "ptx"
    assert run.starting("cuModuleLoadDataEx")[-1].endswith(kind)


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"capability": 75}, "CAPABILITY"),
        ({"memory": 4096}, "MEMORY"),
        ({"devices": 0}, "NO_GPU"),
        ({"fail": "cuGraphInstantiate:1:999"}, "DRIVER"),
        ({"fail": "cuModuleLoadDataEx:2:218"}, "DRIVER"),
    ],
)
def test_c_says_what_is_missing(
    options: dict[str, object], status: str, folder: Path, fake_cuda: Path, tmp_path: Path
) -> None:
    (tmp_path / "small.c").write_text(
        '#include "net.h"\n#include <stdio.h>\nint main(int n, char **w) {\n'
        " struct net *net;\n return n == 2 && net_init(&net, w[1], 0) == NET_"
        f"{status} && !net ? 0 : 1;\n}}\n"
    )
    (tmp_path / "libcuda.so").symlink_to(fake_cuda / "libcuda.so.1")
    command = [
        c_compiler(), *WARNINGS, f"-I{folder}", str(tmp_path / "small.c"), str(folder / "net.c"),
        f"-L{tmp_path}", "-lcuda", "-o", str(tmp_path / "small"),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    words = [str(tmp_path / "small"), str(folder)]
    run_program(words, fake_cuda, tmp_path / "log", **options).check_clean()


LOOP = r"""
#include "until.h"

int main(int count, char **words) {
    struct until *until;
    float x[8] = {0}, y[8];
    int32_t status;
    if (count != 2 || until_init(&until, words[1], 0)) return 1;
    status = until_run(until, x, y);
    until_free(until);
    return status;
}
"""


def test_loops_in_c(fake_cuda: Path, tmp_path: Path) -> None:
    x = gx.input("x", (8,))
    out = gx.while_loop(lambda v: v.sum() < 100.0, lambda v: v * 2.0, x, max_steps=6)
    function = gx.compile([x], [out], name="until")
    function.export(tmp_path, target="cuda")
    (tmp_path / "main.c").write_text(LOOP)
    (tmp_path / "libcuda.so").symlink_to(fake_cuda / "libcuda.so.1")
    command = [c_compiler(), *WARNINGS, "main.c", "until.c", "-L.", "-lcuda", "-o", "main"]
    subprocess.run(command, cwd=tmp_path, check=True)
    run = run_program([str(tmp_path / "main"), str(tmp_path)], fake_cuda, tmp_path / "log")
    run.check_clean()
    (loop,) = [n for n in plan_launches(function.program, {}).nodes if isinstance(n, DynamicLoop)]
    # the recording driver changes no memory, and what it gives out first is not 0: no end in sight
    wanted = [*loop.before, *(n for part in loop.iterations for n in part), *loop.after[-1]]
    found = [line.split("kernel=")[1].split()[0] for line in run.starting("cuLaunchKernel")]
    assert found == [n.kernel.name for n in wanted if isinstance(n, KernelNode)]
    assert len(found) >= 6


def test_python_launches_it_through_ctypes(folder: Path, fake_cuda: Path, tmp_path: Path) -> None:
    run = run_scenario("exported", fake_cuda, tmp_path / "log", library=folder)
    run.check_clean()
    assert len(run.starting("cuGraphLaunch x1")) == 2
