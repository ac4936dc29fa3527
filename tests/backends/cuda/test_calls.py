"""Calls on the simulated device: checks, limits, processes, and a machine without a GPU."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import (
    ArgumentError,
    BackendError,
    DTypeError,
    MemoryBudgetError,
    RuntimeCheckError,
)
from graphc.ir.types import Array
from graphc_cuda import simulated_device
from graphc_cuda.driver import Driver
from graphc_cuda.simulated_device import SimulatedDevice
from tests.networks import data, mlp_step

SIMULATED = "cuda-simulate"
ROOT = Path(__file__).parents[3]


def both(make: Callable[[str], Any], *arrays: Any) -> tuple[Any, Any]:
    """What a function returns on the CPU and on the simulated device."""
    return make("cpu")(*arrays), make(SIMULATED)(*arrays)


def state(step: Any) -> dict[str, bytes]:
    return {name: p.value.tobytes() for name, p in step.parameters.items()}


def test_a_failed_check_updates_nothing() -> None:
    found = {}
    for target in ("cpu", SIMULATED):
        step = mlp_step(target)
        step(*data(8))
        before, random = state(step), step.rng.copy()
        x, labels = data(8)
        labels[3] = 9
        with pytest.raises(RuntimeCheckError) as caught:
            step(x, labels)
        found[target] = caught.value.message, caught.value.origin
        assert state(step) == before
        assert (step.rng == random).all()
        step(*data(8))
        assert state(step) != before
    assert found["cpu"] == found[SIMULATED]


def test_a_check_of_ones_own() -> None:
    x = gx.input("x", (4,))
    total = gx.parameter("total", (4,), init=gx.init.zeros(), trainable=False)
    checked = gx.check(x, x > 0.0, "x must be positive")
    step = gx.compile([x], checked * 2.0, {total: total + checked}, target=SIMULATED)
    step(np.ones(4, np.float32))
    with pytest.raises(RuntimeCheckError, match="x must be positive"):
        step(-np.ones(4, np.float32))
    assert (total.value == 1).all()


def test_loops_and_branches() -> None:
    x = gx.input("x", (5, 3))
    scanned, _ = gx.scan(lambda c, r: (c * 0.5 + r, c), gx.zeros((3,)), x)
    counted = gx.while_loop(lambda v: v.sum() < 40.0, lambda v: v * 2.0, abs(x[0]) + 1.0, 9)
    branched = gx.cond(x.sum() > 0.0, lambda v: gx.exp(v), lambda v: v - 1.0, x)

    def make(target: str) -> Any:
        return gx.compile([x], [scanned, counted, branched], target=target)

    for sign in (1.0, -1.0):
        given = (sign * np.abs(data(5)[0][:, :3])).astype(np.float32)
        expected, found = both(make, given)
        for one, other in zip(expected, found):
            assert np.array_equal(one, other)


def test_a_limit_on_memory_names_the_numbers() -> None:
    x = gx.input("x", (64, 64))
    y = gx.nn.softmax(x @ x) @ x
    with pytest.raises(MemoryBudgetError, match="100"):
        gx.compile([x], y, target=SIMULATED, memory=100)(np.ones((64, 64), np.float32))


def test_prepared_values_follow_their_parameter() -> None:
    x = gx.input("x", (4, 8))
    w = gx.parameter("w", (8, 8), init=gx.init.normal(1.0))
    infer = gx.compile([x], x @ gx.exp(w), target=SIMULATED)
    given = np.ones((4, 8), np.float32)
    before = infer(given)
    w.value = w.value * 0.5
    after = infer(given)
    assert not np.array_equal(before, after)
    assert np.array_equal(after, gx.compile([x], x @ gx.exp(w))(given))


def _train(target: str, path: Path, epochs: int) -> tuple[Any, Any, Any]:
    """A network with running statistics and averages, as `fit` trains it."""
    gx.seed(5)
    x, t = gx.input("x", ("batch", 23)), gx.input("t", ("batch",), dtype="int32")
    layers = [gx.nn.Dense(16), gx.nn.BatchNorm(), gx.nn.Dropout(0.2), gx.nn.Dense(7)]
    model = gx.nn.Sequential(layers)
    loss = gx.nn.softmax_cross_entropy(model(x), t).mean()
    updates = gx.ema(gx.optim.SGD(0.05, momentum=0.9).minimize(loss), 0.9)
    step = gx.compile([x, t], {"loss": loss}, updates, target=target)
    evaluate = gx.compile([x, t], {"loss": loss}, mode="inference", target=target, name="evaluate")
    saved = gx.callbacks.Checkpoint(path)
    history = gx.fit(
        step, [*data(40)], epochs, 16, validation=(evaluate, [*data(20, 9)]),
        callbacks=[saved, gx.callbacks.EarlyStopping(patience=2), gx.callbacks.StopOnNaN()],
        seed=1, verbose=False,
    )  # fmt: skip
    return step, saved, history


def test_fit_with_callbacks_and_a_run_that_goes_on_elsewhere(tmp_path: Path) -> None:
    expected, _, history = _train("cpu", tmp_path / "cpu", 3)
    step, saved, found = _train(SIMULATED, tmp_path / "simulated", 3)
    assert found["loss"] == history["loss"]
    assert found["val_loss"] == history["val_loss"]
    assert state(step) == state(expected)
    other, _, _ = _train("cpu", tmp_path / "other", 1)
    saved.restore(other)
    assert state(other) == state(step)
    assert other(*data(16, 3))["loss"] == step(*data(16, 3))["loss"]


class OnDevice:
    """An array of another library on the simulated device."""

    def __init__(self, array: Array) -> None:
        self.memory = SimulatedDevice().allocate(array.nbytes)
        self.memory.upload(array)
        self.__cuda_array_interface__ = {
            "shape": array.shape, "typestr": array.dtype.str, "version": 3,
            "data": (self.memory.data.ctypes.data, False), "strides": None,
        }  # fmt: skip


def test_arrays_of_the_device_are_taken_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SimulatedDevice, "borrow", lambda _, array: array.memory)
    expected, step = mlp_step(), mlp_step(SIMULATED)
    for i, lend in enumerate([(1,), (), (0,), (0, 1), ()]):
        arrays = data(8, i)
        given = [OnDevice(a) if n in lend else a for n, a in enumerate(arrays)]
        assert step(*given)["loss"] == expected(*arrays)["loss"]
    x, labels = data(8)
    labels[3] = 77
    with pytest.raises(RuntimeCheckError, match="77"):
        step(t=OnDevice(labels), x=OnDevice(x))
    found = step.run_epoch([*data(8)], 4, shuffle=False)["loss"]
    assert np.array_equal(found, expected.run_epoch([*data(8)], 4, shuffle=False)["loss"])
    with pytest.raises(DTypeError, match="input x must be float32, got float64 on a GPU"):
        step(OnDevice(x.astype(np.float64)), labels)
    monkeypatch.undo()
    with pytest.raises(ArgumentError, match="input x is not on cuda-simulate"):
        step(OnDevice(x), labels)


def test_an_interrupted_step_has_not_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    step, twin = mlp_step(SIMULATED), mlp_step(SIMULATED)
    step(*data(8)), twin(*data(8))
    launches, real = iter(range(1000)), simulated_device.simulate

    def interrupted(*arguments: Any, **named: Any) -> None:
        real(*arguments, **named)
        if next(launches) == 20:
            raise KeyboardInterrupt

    monkeypatch.setattr(simulated_device, "simulate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        [step(*data(8, 1)) for _ in range(20)]
    monkeypatch.undo()
    done = int(step.rng[1]) - 1
    for _ in range(done):
        twin(*data(8, 1))
    assert state(step) == state(twin)
    assert step(*data(8, 2))["loss"] == twin(*data(8, 2))["loss"]


def test_another_process_takes_the_code_from_the_cache(tmp_path: Path) -> None:
    script = (
        "from tests.networks import mlp_step, data\n"
        "step = mlp_step('cuda-simulate')\n"
        "print(step(*data(8))['loss'], sorted(step.times))\n"
    )
    paths = os.pathsep.join((str(ROOT), str(ROOT / "backends")))
    environment = os.environ | {"GRAPHC_CACHE": str(tmp_path), "PYTHONPATH": paths}
    found = [
        subprocess.run(
            [sys.executable, "-c", script], env=environment, cwd=ROOT, check=True,
            capture_output=True, text=True, timeout=120,
        ).stdout.split(maxsplit=1)
        for _ in range(2)
    ]  # fmt: skip
    assert found[0][0] == found[1][0] == str(mlp_step()(*data(8))["loss"])
    assert "launches" in found[0][1]
    assert found[1][1].strip() == "[]"


def _go_on(step: Any, given: tuple[Array, Array], results: Any) -> None:
    results.put(float(step(*given)["loss"]))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_goes_on_by_itself() -> None:
    step = mlp_step(SIMULATED)
    step(*data(8))
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    child = context.Process(target=_go_on, args=(step, data(8, 1), results))
    child.start()
    found = results.get(timeout=60)
    child.join(60)
    assert found == float(step(*data(8, 1))["loss"])


def test_a_machine_without_a_gpu_says_so_at_once() -> None:
    try:
        Driver()
    except BackendError:
        pass
    else:
        pytest.skip("there is a driver here")
    x = gx.input("x", ())
    with pytest.raises(BackendError, match="cuda: ") as caught:
        gx.compile([x], x, target="cuda")
    assert caught.value.hint
