"""A GPU behind the protocol, against a driver that records what it is asked for."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from graphc.errors import BackendError
from graphc.installed import install_hint
from graphc_cuda.driver import Driver
from graphc_cuda.foreign_array import foreign_array
from graphc_cuda.launch import FillNode, KernelNode
from tests.backends.cuda import plans
from tests.backends.cuda.fake_cuda import run_scenario

CLEAN = (
    "parts", "rebinding", "loops", "preparing", "borrowing", "other_threads", "errors", "networks",
)  # fmt: skip
COPIES = 2  # the stream of uploads


@pytest.mark.parametrize("name", ["steps", "copies", "rebinding"])
def test_uploads_as_early_as_they_may_be(name: str, fake_cuda: Path, tmp_path: Path) -> None:
    run_scenario(name, fake_cuda, tmp_path / "log", eager=COPIES).check_clean()


@pytest.mark.parametrize("name", CLEAN)
def test_scenarios(name: str, fake_cuda: Path, tmp_path: Path) -> None:
    run_scenario(name, fake_cuda, tmp_path / "log").check_clean()


def test_a_step_takes_arrays_in_place(fake_cuda: Path, tmp_path: Path) -> None:
    assert run_scenario("lending", fake_cuda, tmp_path / "log").starting("wrong:") == []


@pytest.mark.parametrize(
    "name", ["steps", "rebinding", "loops", "borrowing", "errors", "shared_memory"]
)
def test_the_same_without_cuda_bindings(name: str, fake_cuda: Path, tmp_path: Path) -> None:
    run = run_scenario(name, fake_cuda, tmp_path / "log", bindings="ctypes")
    run.check_clean()


def test_the_graph_is_the_plan(fake_cuda: Path, tmp_path: Path) -> None:
    run = run_scenario("steps", fake_cuda, tmp_path / "log")
    run.check_clean()
    plan = plans.training()
    blocks = {region: f"m{i + 1}" for i, region in enumerate(plan.regions)}
    nodes, edges = run.starting("node g1 "), set()
    assert len(nodes) == len(plan.nodes)
    for i, (line, node) in enumerate(zip(nodes, plan.nodes)):
        found = re.fullmatch(r"node g1 (\d+) after=([\d,]*) (.*)", line)
        assert found is not None
        assert int(found[1]) == i
        edges |= {(int(a), i) for a in found[2].split(",") if a}
        assert found[3] == described(node, blocks)
    assert edges == set(plan.edges)
    assert len(run.starting("cuGraphInstantiate")) == 1
    assert len(run.starting("cuGraphLaunch x1")) == 5
    assert run.starting("cuLaunchKernel") == []


def described(node: object, blocks: dict[object, str]) -> str:
    """A node as the recording driver writes it."""
    if isinstance(node, FillNode):
        place = node.place
        where = f"{blocks[place.region]}+{place.offset}"
        return f"fill to={where} value={node.value} bytes={place.size}"
    assert isinstance(node, KernelNode)
    places = ",".join(f"{blocks[p.region]}+{p.offset}" for p in node.arguments)
    name, threads = node.kernel.name, node.kernel.block
    return f"kernel={name} grid={node.grid} block={threads} arguments={places}"


def test_shared_memory_is_asked_for(fake_cuda: Path, tmp_path: Path) -> None:
    run = run_scenario("shared_memory", fake_cuda, tmp_path / "log")
    run.check_clean()
    assert run.starting("shared ") == ["shared move_x 100000"]
    assert "shared=100000" in run.starting("node g1 0")[0]
    assert "shared=100000" in run.starting("cuLaunchKernel")[0]


def test_whole_functions(fake_cuda: Path, tmp_path: Path) -> None:
    run = run_scenario("whole_function", fake_cuda, tmp_path / "log")
    assert run.starting("wrong:") == []
    assert len(run.starting("cuGraphLaunch")) >= 6


def test_interrupts_get_through(fake_cuda: Path, tmp_path: Path) -> None:
    run = run_scenario("interrupted", fake_cuda, tmp_path / "log")
    run.check_clean()
    first = run.lines.index(run.starting("cuMemFree m")[0])
    launch = run.lines.index(run.starting("cuGraphLaunch")[0])
    assert any(line.startswith("cuStreamSynchronize s1") for line in run.lines[launch:first])


def test_the_recording_driver_finds_mistakes(fake_cuda: Path, tmp_path: Path) -> None:
    run = run_scenario("what_the_fake_finds", fake_cuda, tmp_path / "log")
    wrong = "\n".join(run.starting("wrong:"))
    for text in ("a fill outside", "write of 64 bytes at m2+0", "used after its end", "given back"):
        assert text in wrong


def test_a_forgotten_wait_shows(fake_cuda: Path, tmp_path: Path) -> None:
    run_scenario("forgotten_waits", fake_cuda, tmp_path / "log")
    run_scenario("forgotten_users", fake_cuda, tmp_path / "log", eager=COPIES)


# -- without the recording driver ----------------------------------------------------------


def stub(monkeypatch: pytest.MonkeyPatch, module: ModuleType | None) -> None:
    """Put something in the place of cuda-bindings."""
    for name in ("cuda", "cuda.bindings"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "cuda.bindings.driver", module)


def test_package_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    stub(monkeypatch, None)
    with pytest.raises(BackendError, match="cuda-bindings is missing") as caught:
        Driver()
    assert caught.value.hint == install_hint("cuda", "cuda-bindings")


def test_driver_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_: int) -> tuple[int]:
        raise RuntimeError("libcuda.so.1 was not found")

    module = ModuleType("cuda.bindings.driver")
    module.cuInit = absent  # type: ignore[attr-defined]
    stub(monkeypatch, module)
    with pytest.raises(BackendError, match="there is no NVIDIA driver: libcuda") as caught:
        Driver()
    assert "cuda-simulate" in (caught.value.hint or "")


class OnGpu:
    """An array of the host that says that it is on a GPU."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0

    def __dlpack__(self, stream: int) -> object:
        return self.array.__dlpack__()


def test_arrays_that_speak_dlpack() -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    found = foreign_array(OnGpu(array), 5)
    assert found is not None
    assert (found.address, found.shape, found.dtype) == (array.ctypes.data, (3, 4), "float32")
    assert found.nbytes == 48
    assert foreign_array(OnGpu(array.T), 5) is None
    assert foreign_array(array, 5) is None


@pytest.mark.parametrize(
    ("typestr", "dtype"), [("<f4", "float32"), ("|b1", "bool"), ("<u2", "uint16"), (">f4", None)]
)
def test_arrays_with_an_interface(typestr: str, dtype: str | None) -> None:
    facts = {"shape": (2, 3), "typestr": typestr, "data": (4096, True), "version": 3, "stream": 7}
    found = foreign_array(SimpleNamespace(__cuda_array_interface__=facts), 5)
    assert (found and found.dtype) == dtype
    if found is not None:
        assert (found.address, found.shape, found.stream) == (4096, (2, 3), 7)
