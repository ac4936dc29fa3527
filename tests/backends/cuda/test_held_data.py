"""`fit` sends its data to a device once, where nothing can change them, and gives them back."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

import graphc as gx
from graphc.errors import MemoryBudgetError
from graphc.runtime.kept_data import is_immutable
from graphc.train.callback import Callback
from graphc_cuda.epoch import EpochData
from graphc_cuda.open_device import OpenDevice
from graphc_cuda.simulated_device import SimulatedDevice, SimulatedMemory
from tests.backends.cuda.stepwise import same_bits

SIMULATED = "cuda-simulate"
SAMPLES, BATCH, EPOCHS = 37, 8, 3


def data() -> list[Any]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((SAMPLES, 5)).astype("float32")
    return [x, rng.integers(0, 4, SAMPLES).astype("int32")]


def train(target: str, arrays: list[Any], callbacks: Sequence[Any] = ()) -> tuple[Any, Any]:
    """A step and what its history holds; validated on other data with batches of the same size."""
    gx.seed(0)
    x, t = gx.input("x", ("batch", 5)), gx.input("t", ("batch",), dtype="int32")
    logits = gx.nn.Dense(4)(gx.nn.Dropout(0.2)(gx.nn.Dense(6, activation="relu")(x)))
    loss = gx.nn.softmax_cross_entropy(logits, t).mean()
    step = gx.compile([x, t], {"loss": loss}, gx.optim.Adam(0.01).minimize(loss), target=target)
    check = gx.compile([x, t], {"loss": loss}, mode="inference", target=target, name="check")
    history = gx.fit(
        step, arrays, EPOCHS, BATCH, (check, data()), callbacks, seed=1, verbose=False
    )  # fmt: skip
    return step, [history["loss"], history["val_loss"]]


def compare(arrays: Any, callbacks: Any = lambda arrays: ()) -> int:
    """How often data sets were sent, where every bit is the CPU's."""
    expected, losses = train("cpu", (given := arrays()), callbacks(given))
    sent, begin = [], EpochData.__init__

    def counted(self: EpochData, *args: Any) -> None:
        sent.append(self)
        begin(self, *args)

    with patch.object(EpochData, "__init__", counted):
        found, same = train(SIMULATED, (given := arrays()), callbacks(given))
    assert same == losses
    for name, parameter in expected.parameters.items():
        same_bits(found.parameters[name].value, parameter.value, name)
    assert all(not e._owned for e in sent)
    return len(sent)


class Seeing(Callback):
    """A user's callback, which could do anything."""


class Changing(Callback):
    """Changes the data after every epoch."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def epoch_end(self, run: Any, logs: dict[str, float]) -> None:
        self.array *= np.float32(0.5)


def frozen() -> list[Any]:
    arrays = data()
    for array in arrays:
        array.flags.writeable = False
    return arrays


def test_one_call_sends_data_once() -> None:
    assert compare(data) == 2  # and those of the validation


def test_data_that_a_callback_changes_are_sent_again() -> None:
    assert compare(data, lambda arrays: [Changing(arrays[0])]) > 2 * EPOCHS


def test_read_only_arrays_cannot_change() -> None:
    assert compare(frozen, lambda arrays: [Seeing()]) > EPOCHS  # the validation data can
    whole = np.zeros(4)
    view = whole[:2]
    view.flags.writeable = False
    assert not is_immutable(view)
    whole.flags.writeable = False
    assert is_immutable(whole[:2])
    assert is_immutable(np.frombuffer(b"1234", "uint8"))
    assert not is_immutable(np.frombuffer(bytearray(b"1234"), "uint8"))


def epochs(data: Sequence[Any], target: str = SIMULATED) -> tuple[Any, list[Any], list[EpochData]]:
    """A step, what two epochs of each data set returned, and the data sets that were sent."""
    gx.seed(0)
    x, t = gx.input("x", ("batch", 5)), gx.input("t", ("batch",), dtype="int32")
    loss = gx.nn.softmax_cross_entropy(gx.nn.Dense(4)(x), t).mean()
    step = gx.compile([x, t], loss, gx.optim.Adam(0.01).minimize(loss), target=target)
    sent: list[EpochData] = []
    begin = EpochData.__init__

    def counted(self: EpochData, *args: Any) -> None:
        sent.append(self)
        begin(self, *args)

    with patch.object(EpochData, "__init__", counted):
        losses = [step.run_epoch(each, BATCH) for each in data for _ in range(2)]
    return step, [loss for each in losses for loss in each], sent


def on_device(sent: Sequence[EpochData]) -> list[bool]:
    """Which data sets are still there."""
    return [bool(each._owned) for each in sent]


def test_epochs_send_read_only_arrays_once() -> None:
    first, second = frozen(), frozen()
    step, losses, sent = epochs([first, second])
    assert on_device(sent) == [False, True]
    assert losses == epochs([first, second], "cpu")[1]
    step.run_epoch(data(), BATCH)
    assert on_device(sent) == [False, False]  # one set at a time


def test_epochs_send_arrays_that_can_change_again() -> None:
    arrays = data()
    _, losses, sent = epochs([arrays])
    assert on_device(sent) == [False, False]
    assert losses == epochs([arrays], "cpu")[1]


def test_a_data_set_takes_the_room_of_others() -> None:
    arrays, others = frozen(), frozen()
    step, _, sent = epochs([arrays])
    nbytes = sent[0].nbytes

    def free(self: SimulatedDevice) -> int:
        return 2 * nbytes - sum(each.nbytes for each in sent)

    with patch.object(SimulatedDevice, "free_bytes", free):
        second, losses, later = epochs([others])
    assert losses == epochs([others], "cpu")[1]
    assert on_device([*sent, *later]) == [False, True]
    assert second.epochs == 2
    assert len(step.run_epoch(arrays, BATCH)) == len(losses) // 2


@pytest.mark.parametrize("dies", ["array", "step"])
def test_what_an_epoch_kept_goes_with_its_arrays_or_its_step(dies: str) -> None:
    arrays = frozen()
    step, _, sent = epochs([arrays])
    assert on_device(sent) == [True]
    if dies == "array":
        del arrays[0]
    else:
        del step
    gc.collect()
    assert on_device(sent) == [False]


def test_data_make_room_for_what_needs_memory() -> None:
    """Nothing but a data set is left to be given back: it is sent again afterwards."""
    allocate, refused, devices = SimulatedDevice.allocate, [0], []

    def full(self: SimulatedDevice, nbytes: int) -> SimulatedMemory:
        spare = any(d.spare for d in devices)
        if spare and nbytes > 0 and not refused[0]:
            refused[0] += 1
            raise MemoryBudgetError("full")
        return allocate(self, nbytes)

    begin = OpenDevice.allocate

    def noted(self: OpenDevice, nbytes: int) -> Any:
        devices.append(self)
        with patch.object(SimulatedDevice, "allocate", full):
            return begin(self, nbytes)

    with patch.object(OpenDevice, "allocate", noted):
        assert compare(data) == 3
    assert refused == [1]


def test_a_failing_run_gives_its_data_back() -> None:
    x = gx.input("x", ("batch",))
    w = gx.parameter("held_w", ())
    loss = (gx.check(x, x > 0, "x must be positive") * w).mean()
    step = gx.compile([x], loss, gx.optim.SGD(0.1).minimize(loss), target=SIMULATED)
    values = np.ones(16, "float32")
    values[11] = -1
    made, begin = [], EpochData.__init__

    def counted(self: EpochData, *args: Any) -> None:
        made.append(self)
        begin(self, *args)

    with (
        patch.object(EpochData, "__init__", counted),
        pytest.raises(gx.errors.RuntimeCheckError, match="positive"),
    ):
        gx.fit(step, [values], 2, 4, shuffle=False, verbose=False)
    assert len(made) == 1
    assert not made[0]._owned
