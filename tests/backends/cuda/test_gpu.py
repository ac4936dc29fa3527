"""On a GPU: the bits of the CPU, parameters, errors, memory, replay. `pytest -m gpu`.

`--gpu-target=cuda-simulate` runs these tests where there is no GPU.
"""

from __future__ import annotations

import gc
import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import graphc as gx
from graphc.errors import GraphcError, RuntimeCheckError, ShapeError
from graphc.ir.types import Array
from graphc.testing import random_graph
from graphc.testing.graph_maker import RandomGraph
from graphc_cuda.cuda_tools import find_tool
from tests.backends.cuda import test_shared_parameters
from tests.backends.cuda.gpu_target import only_hardware, usable
from tests.backends.cuda.op_runs import case_tensors, op_cases
from tests.benchmarks.gpu import ours
from tests.benchmarks.gpu.settings import SETTINGS, tiny
from tests.networks import data, mlp_step, run
from tests.tolerances import MIXED, MIXED_LOSSES, MIXED_ORDER, SPLIT_LOSSES

pytestmark = pytest.mark.gpu
ROOT = Path(__file__).resolve().parents[3]
PARTS = 16
GRAPHS = 24
SIZES = [32, 5, 64, 1, 33, 32]
SHARING = [
    f for name, f in inspect.getmembers(test_shared_parameters, inspect.isfunction)
    if name.startswith("test_") and not inspect.signature(f).parameters
]  # fmt: skip


@pytest.fixture
def target(request: pytest.FixtureRequest) -> str:
    """The target of these tests, which can be used here."""
    found: str = request.config.getoption("--gpu-target")
    usable(found)
    return found


def same(found: Array, expected: Array) -> bool:
    """Equal bits, or NaN on both sides."""
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return False
    equal = found.tobytes() == expected.tobytes()
    return equal or bool(np.array_equal(found, expected, equal_nan=found.dtype.kind == "f"))


def test_one_kernel(target: str) -> None:
    x = gx.input("x", (1000,))
    function = gx.compile([x], x * 2.0 + 1.0, target=target)
    given = np.arange(1000, dtype=np.float32)
    assert np.array_equal(function(given), given * 2 + 1)


@pytest.mark.parametrize("part", range(PARTS))
def test_ops_and_their_gradients(part: int, target: str) -> None:
    """Many cases in one function, which is compiled once."""
    inputs, arrays, outputs = [], [], []
    for number, case in enumerate(list(op_cases(every=False))[part::PARTS]):
        given = case.arrays()
        tensors, results = case_tensors(case, given, number)
        inputs += tensors
        arrays += given
        outputs += [(f"{case} {name}", result) for name, result in results]
    named = dict(outputs)
    expected = gx.compile(inputs, named)(*arrays)
    found = gx.compile(inputs, named, target=target)(*arrays)
    assert [name for name in named if not same(found[name], expected[name])] == []


STEPS = ["mlp", "cnn_mlvu", "resnet20", "lstm", "gpt", "word2vec"]


@pytest.mark.parametrize("name", STEPS)
def test_training_has_the_bits_of_the_cpu(name: str, target: str) -> None:
    """At sizes where no sum is split."""
    setting = tiny(SETTINGS[name])
    expected, found = (ours.build(setting, t) for t in ("cpu", target))
    for batch in setting.batches(4):
        assert found(*batch) == expected(*batch)
    for key, parameter in expected.parameters.items():
        assert same(found.parameters[key].value, parameter.value), key


@pytest.mark.parametrize("name", STEPS)
def test_large_training_has_the_losses_of_the_cpu(name: str, target: str) -> None:
    """Long sums of products are split, so that they have another order."""
    if target.startswith("cuda-simulate"):
        pytest.skip("the simulator takes too long")
    setting = SETTINGS[name]
    expected, found = (ours.build(setting, t) for t in ("cpu", target))
    for batch in setting.batches(4):
        assert found(*batch) == pytest.approx(expected(*batch), **SPLIT_LOSSES)


@pytest.mark.parametrize("name", ["resnet50_bf16", "resnet50_tf32", "gpt_12x768_bf16"])
def test_training_on_tensor_cores(name: str, target: str) -> None:
    setting = tiny(SETTINGS[name])
    expected, found = (ours.build(setting, t) for t in ("cpu", target))
    batches = setting.batches(3)
    first = pytest.approx(expected(*batches[0]), rel=MIXED_ORDER[setting.precision])
    assert found(*batches[0]) == first
    if setting.network == "resnet":
        return  # normalising two images amplifies roundings: the gradient in float32 is 38 % away
    for key, parameter in expected.parameters.items():
        close = MIXED[setting.precision]
        gx.testing.assert_close(found.parameters[key].value, parameter.value, tolerance=close)
    for batch in batches[1:]:
        assert found(*batch) == pytest.approx(expected(*batch), **MIXED_LOSSES)


@pytest.mark.parametrize("precision", ["bf16", "tf32", "fp16"])
@pytest.mark.parametrize("sizes", [(64, 64, 64), (128, 136, 200), (33, 65, 17)], ids=str)
def test_products_on_tensor_cores(precision: str, sizes: tuple[int, int, int], target: str) -> None:
    m, n, k = sizes
    x, y = gx.input("x", (m, k)), gx.input("y", (k, n))
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=t.shape).astype(np.float32) for t in (x, y)]
    found, expected = (
        gx.compile([x, y], x @ y, precision=precision, target=t)(*arrays) for t in (target, "cpu")
    )
    gx.testing.assert_close(found, expected, tolerance=MIXED_ORDER[precision])


@pytest.mark.parametrize("part", range(4))
def test_random_graphs(part: int, target: str) -> None:
    """Whole functions with their updates; graphs that their sizes forbid are left out."""
    compared = 0
    for seed in range(part, GRAPHS, 4):
        sample = random_graph(seed, 12)
        made = [_results(sample, each) for each in ("cpu", target)]
        compared += len(made[0]) > 0
        assert len(made[0]) == len(made[1])
        assert all(map(same, *made)), seed
    assert compared > GRAPHS // 5


def _results(sample: RandomGraph, target: str) -> list[Array]:
    """Outputs and updated parameters; nothing where the sizes are refused."""
    sample.reset()
    updates = sample.updates or None
    function = gx.compile(sample.inputs, sample.outputs, updates, target=target)
    try:
        outputs = function(*sample.arrays)
    except ShapeError:
        return []
    return [np.asarray(v) for v in (*outputs, *(p.value for p in sample.updates))]


def test_many_sizes_take_turns(target: str) -> None:
    expected, found = run(mlp_step(), SIZES), run(mlp_step(target), SIZES)
    assert all(same(np.asarray(a), np.asarray(b)) for a, b in zip(found, expected, strict=True))


def test_replay_has_the_same_bits(target: str) -> None:
    x = gx.input("x", (64, 64))
    function = gx.compile([x], gx.nn.softmax(x @ x), target=target)
    given = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    first = function(given)
    assert all(function(given).tobytes() == first.tobytes() for _ in range(20))


@pytest.mark.parametrize("scenario", SHARING, ids=lambda f: f.__name__)
def test_parameters_are_shared(
    scenario: object, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(test_shared_parameters, "SIMULATED", target)
    assert callable(scenario)
    scenario()


def test_a_bad_label_updates_nothing(target: str) -> None:
    step = mlp_step(target)
    step(*data(32))
    before = {name: p.value for name, p in step.parameters.items()}
    x, t = data(32)
    t[16] = 99
    with pytest.raises(RuntimeCheckError, match="label"):
        step(x, t)
    assert all(same(p.value, before[name]) for name, p in step.parameters.items())
    assert np.isfinite(step(*data(32))["loss"])


def test_more_memory_than_there_is(target: str) -> None:
    device = only_hardware(target)
    with pytest.raises(GraphcError, match="memory"):
        device.allocate(1 << 46)
    device.allocate(1 << 20).release()


def test_memory_comes_back(target: str) -> None:
    device = only_hardware(target)
    run(mlp_step(target), [32])
    gc.collect()
    before = device.free_bytes()
    for _ in range(5):
        run(mlp_step(target), [32])
        gc.collect()
    assert device.free_bytes() > before - (64 << 20)


def test_a_profile_has_every_kernel(target: str) -> None:
    only_hardware(target)
    step = mlp_step(target)
    step(*data(32))
    seconds = step.variants[0].runner.profile(
        step.binding.bind(data(32), {})[0], step.rng.copy()
    )  # fmt: skip
    if seconds is None:
        pytest.skip("kernels are not timed one by one yet")
    assert len(seconds) == len(step.kernels)
    assert all(s >= 0 for s in seconds)


@pytest.mark.parametrize("tool", ["memcheck", "racecheck"])
def test_sanitizer(tool: str, target: str) -> None:
    only_hardware(target)
    program = find_tool("compute-sanitizer")
    if program is None:
        pytest.skip("compute-sanitizer is not here")
    code = f"from tests.networks import *; run(mlp_step({target!r}), [32, 5])"
    command = [str(program), "--tool", tool, "--error-exitcode", "9", sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    if "Device not supported" in done.stdout + done.stderr:
        pytest.skip("compute-sanitizer does not support this device as it is shared here")
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
