"""Epochs on a device: rows are taken there, outputs stay there; the CPU's bits."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

import graphc as gx
from graphc_cuda.cuda_runner import CudaRunner
from graphc_cuda.epoch import plan_taking
from graphc_cuda.launch import INPUT, Region
from tests.backends.cuda.stepwise import same_bits

SAMPLES, BATCH = 103, 16


def train(target: str, dtype: str = "float32") -> list[Any]:
    """Two shuffled epochs with dropout; what they returned, and the parameters after them."""
    gx.seed(0)
    x = gx.input("x", ("batch", 9), dtype=dtype)
    labels = gx.input("labels", ("batch",), dtype="uint8")
    factor = gx.input("factor", ())
    hidden = gx.nn.Dropout(0.2)(gx.nn.Dense(12, activation="relu")(x))
    losses = gx.nn.softmax_cross_entropy(gx.nn.Dense(10)(hidden), labels.astype("int32"))
    loss = (losses.astype("float32") * factor).mean()
    updates = gx.optim.Adam(2e-3).minimize(loss)
    step = gx.compile([x, labels, factor], [loss, gx.sum(hidden, axis=0)], updates, target=target)
    rng = np.random.default_rng(0)
    data = rng.standard_normal((SAMPLES, 9)).astype(dtype)
    classes = rng.integers(0, 10, SAMPLES).astype("uint8")
    found: list[Any] = []
    for seed in range(2):
        found += step.run_epoch([data, classes, np.float32(2)], batch_size=BATCH, seed=seed)
    return [*found, *(p.value for p in step.parameters.values())]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_the_bits_of_the_cpu(dtype: str) -> None:
    taken = []
    steps = CudaRunner._steps

    def counted(self: CudaRunner, data: Any, kept: Any, count: int) -> None:
        taken.append(count)
        steps(self, data, kept, count)

    with patch.object(CudaRunner, "_steps", counted):
        actual = train("cuda-simulate", dtype)
    assert taken == [SAMPLES // BATCH] * 2  # the rest is a batch of another size
    for number, (a, b) in enumerate(zip(actual, train("cpu", dtype), strict=True)):
        same_bits(a, b, f"result {number}")


def test_a_data_set_that_does_not_fit_is_sent_batch_by_batch() -> None:
    with patch("graphc_cuda.held_data._SHARE", 0.0):
        found = train("cuda-simulate")
    for a, b in zip(found, train("cpu"), strict=True):
        same_bits(a, b, "result")


@pytest.mark.parametrize("target", ["cpu", "cuda-simulate"])
def test_a_failing_step_stops_the_epoch(target: str) -> None:
    x = gx.input("x", ("batch",))
    total = gx.parameter(f"total_{target[:4]}", ())
    checked = gx.check(x, x > 0, "x must be positive")
    step = gx.compile([x], total + 0, {total: total + checked.sum()}, target=target)
    data = np.ones(12, "float32")
    data[9] = -1
    with pytest.raises(gx.errors.RuntimeCheckError, match="positive"):
        step.run_epoch([data], batch_size=4, shuffle=False)
    assert float(total.value) == 8


def test_rows_of_any_width_are_words() -> None:
    rows = {Region(INPUT, i): np.zeros((5, n), "uint8") for i, n in enumerate((3, 8, 0))}
    plan = plan_taking(rows, 4, 2)
    kinds = {k.name: k.arrays[0].dtype.name for k in plan.program.kernels}
    assert kinds == {"take_rows_0": "uint8", "take_rows_1": "uint32", "next_step": "int64"}
    assert len(plan.edges) == 2  # the step is counted after both have read it
