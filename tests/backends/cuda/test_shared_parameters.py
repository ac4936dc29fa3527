"""Functions for CPUs and for GPUs share parameters: each sees what the others have written."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.ir.types import Array
from tests.networks import data, mlp_step

SIMULATED = "cuda-simulate"


def linear(targets: list[str], updates: bool = True) -> tuple[Any, ...]:
    """Functions of one model: steps for the targets, then what reads it on a CPU."""
    gx.seed(3)
    x, y = gx.input("x", (4, 3)), gx.input("y", (4,))
    dense = gx.nn.Dense(1)
    loss = ((dense(x)[:, 0] - y) ** 2).mean()
    step = gx.optim.Adam(0.1).minimize(loss)
    steps = [gx.compile([x, y], loss, step, target=target) for target in targets]
    return *steps, gx.compile([x], dense(x), name="predict")


def batch(seed: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(4, 3)).astype(np.float32), rng.normal(size=4).astype(np.float32)


def reference(count: int) -> tuple[list[Array], Any, Any]:
    step, predict = linear(["cpu"])
    return [step(*batch(i)) for i in range(count)], step, predict


@pytest.mark.parametrize("first", ["cpu", SIMULATED])
def test_steps_take_turns(first: str) -> None:
    losses, step, predict = reference(9)
    second = SIMULATED if first == "cpu" else "cpu"
    one, two, mixed_predict = linear([first, second])
    found = [(one if i % 3 else two)(*batch(i)) for i in range(9)]
    assert found == losses
    assert np.array_equal(mixed_predict(batch()[0]), predict(batch()[0]))
    for name, parameter in step.parameters.items():
        assert np.array_equal(one.parameters[name].value, parameter.value), name


def test_native_entry_compiled_before_sees_a_step_of_the_device() -> None:
    on_cpu, on_device, predict = linear(["cpu", SIMULATED])
    before = predict(batch()[0])
    on_cpu(*batch())
    entry = predict.entry
    assert not np.array_equal(entry(batch()[0]), before)
    before = entry(batch()[0])
    on_device(*batch())
    assert not np.array_equal(entry(batch()[0]), before)
    before = predict(x=batch()[0])
    on_device(*batch())
    assert not np.array_equal(predict(x=batch()[0]), before)


def test_values_set_between_calls_are_used() -> None:
    step, predict = linear([SIMULATED])
    step(*batch())
    name = next(iter(predict.parameters))
    step.parameters[name].value = np.zeros(step.parameters[name].shape, np.float32)
    assert not step.parameters[name].value.any()
    step(*batch())
    assert step.parameters[name].value.any()


def test_interpreter_sees_a_step_of_the_device() -> None:
    step, _ = linear([SIMULATED])
    x = gx.input("x", (2,))
    parameter = next(p for p in step.parameters.values() if p.trainable)
    read = gx.compile([x], parameter * 1.0, target="interpret")
    before = read(np.zeros(2))
    step(*batch())
    assert not np.array_equal(read(np.zeros(2)), before)
    assert np.array_equal(read(np.zeros(2)), parameter.value)


def test_files(tmp_path: Any) -> None:
    step, predict = linear([SIMULATED])
    step(*batch())
    gx.save(tmp_path / "model.safetensors", step)
    expected = {name: p.value for name, p in step.parameters.items()}
    step(*batch(1))
    gx.load(tmp_path / "model.safetensors", step)
    assert all(np.array_equal(step.parameters[n].value, v) for n, v in expected.items())
    after = step(*batch(1))
    gx.load(tmp_path / "model.safetensors", step)
    assert step(*batch(1)) == after
    assert predict(batch()[0]).shape == (4, 1)


def test_threads_share_a_model() -> None:
    """Steps on both targets from two threads: every one of them counts, none is half seen."""
    gx.seed(1)
    x = gx.input("x", ())
    count = gx.parameter("count", (64,), init=gx.init.zeros(), trainable=False)
    other = gx.parameter("other", (64,), init=gx.init.zeros(), trainable=False)
    updates = {count: count + x, other: other + x}
    on_cpu = gx.compile([x], count.sum(), updates)
    on_device = gx.compile([x], count.sum(), updates, target=SIMULATED)
    same = gx.compile([x], (count - other).max() * x)
    differences: list[float] = []

    def work(step: Any) -> None:
        for _ in range(25):
            step(np.float32(1))
            differences.append(float(same(np.float32(1))))

    threads = [threading.Thread(target=work, args=(s,)) for s in (on_cpu, on_device)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.array_equal(count.value, np.full(64, 50, np.float32))
    assert differences == [0.0] * 50


def test_many_sizes_and_optimiser_state() -> None:
    sizes = [4, 8, 4, 3]
    expected, found = mlp_step(), mlp_step(SIMULATED)
    for i, size in enumerate(sizes):
        assert found(*data(size, i))["loss"] == expected(*data(size, i))["loss"]
    for name, parameter in expected.parameters.items():
        assert np.array_equal(found.parameters[name].value, parameter.value), name
    assert [v.dims for v in found.variants][:1] == [(("batch", 4),)]
