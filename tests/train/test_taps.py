"""The tensors inside a step: which there are, and that watching them changes nothing."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError
from graphc.testing import assert_close

RNG = np.random.default_rng(0)
DATA = [RNG.normal(size=(60, 3)).astype("float32"), RNG.integers(0, 2, 60).astype("int32")]


def network(target: str = "interpret", bias: float = 0.0) -> tuple[Any, Any, Any]:
    """Two layers, a batch norm, a dropout and a ReLU by itself; inputs and loss."""
    gx.seed(0)
    x, labels = gx.input("x", ("n", 3)), gx.input("labels", ("n",), "int32")
    with gx.name_scope("net"):
        hidden = gx.nn.Dense(4, activation="relu", name="hidden", bias_init=gx.init.constant(bias))
        h = gx.nn.BatchNorm(name="norm")(hidden(x))
        h = gx.nn.relu(gx.nn.Dense(3, name="second")(gx.nn.dropout(h, 0.5)))
        scores = gx.nn.Dense(2, name="scores")(h)
    return [x, labels], gx.nn.softmax_cross_entropy(scores, labels).mean(), hidden


def learner(**named: Any) -> Any:
    inputs, loss, _ = network(**named)
    updates = gx.optim.SGD(0.1).minimize(loss)
    return gx.compile(inputs, {"loss": loss}, updates, target=named.get("target", "interpret"))


def test_names_of_parameters_gradients_and_layers() -> None:
    inputs, loss, hidden = network()
    found = gx.taps(loss, parameters=False)
    outputs = [name for name in found if not name.endswith("gradient")]
    assert outputs == [
        "net/hidden/output", "net/norm/output", "net/output", "net/second/output",
        "net/second/relu", "net/scores/output",
    ]  # fmt: skip
    assert list(gx.taps(loss, match="net/hidden/kernel*")) == [
        "net/hidden/kernel", "net/hidden/kernel/gradient"
    ]  # fmt: skip
    chosen = [found["net/hidden/output"], found["net/hidden/kernel/gradient"]]
    look = gx.compile(inputs, chosen, target="interpret")
    kernel, bias = hidden.parameters
    output, gradient = look(*DATA)
    assert_close(output, np.maximum(DATA[0] @ kernel.value + bias.value, 0.0), "float32")
    expected = gx.compile(inputs, gx.grad(loss, kernel), target="interpret")(*DATA)
    np.testing.assert_array_equal(gradient, expected)


def test_a_step_has_the_same_taps_as_its_loss() -> None:
    inputs, loss, _ = network()
    step = gx.compile(inputs, loss, gx.optim.Adam().minimize(loss), target="interpret")
    assert list(gx.taps(step)) == list(gx.taps(loss))
    plain = gx.compile(inputs, loss, target="interpret")  # without an optimiser: its outputs
    assert "net/second/relu" in gx.taps(plain, gradients=False)
    with pytest.raises(ArgumentError, match=r"taps: needs a loss or what gx\.compile"):
        gx.taps(3)


def test_each_of_two_losses_has_the_gradients_of_its_own_parameters() -> None:
    x = gx.input("x", ("n", 3))
    w, v = (gx.parameter(name, value=np.ones(3, "float32")) for name in "wv")
    made = gx.exp(x @ w)
    first, second = (made * gx.sum(v)).mean(), (made - gx.sum(v)).mean()
    updates = [gx.optim.SGD(0.1).minimize(first, w), gx.optim.SGD(0.1).minimize(second, v)]
    step = gx.compile([x], {}, updates, target="interpret")
    found = gx.taps(step)
    assert sorted(found) == ["v", "v/gradient", "w", "w/gradient"]
    look = gx.compile([x], [found["v/gradient"], found["w/gradient"]], target="interpret")
    v_gradient, w_gradient = look(DATA[0])
    assert_close(v_gradient, np.full(3, -1.0), "float32")
    wanted = gx.compile([x], gx.grad(first, w), target="interpret")(DATA[0])
    np.testing.assert_array_equal(w_gradient, wanted)


def test_layers_that_are_called_twice_and_relus_without_a_layer() -> None:
    x = gx.input("x", ("n", 3))
    layer = gx.nn.Dense(3, name="shared")
    loss = (gx.nn.relu(x * 2.0) + layer(gx.exp(layer(x)))).mean()
    names = list(gx.taps(loss, parameters=False, gradients=False))
    assert sorted(names)[1:] == ["shared/output", "shared/output_1"]
    assert sorted(names)[0].startswith("relu test_taps.py:")


@pytest.mark.parametrize("target", ["cpu", "interpret"])
def test_a_histogram_in_the_step_is_exact_over_ragged_batches(target: str) -> None:
    x = gx.input("x", ("n", 5))
    metric = gx.metrics.Histogram()
    step = gx.compile([x], {}, metric.update(x), target=target)
    values = RNG.normal(size=(37, 5)).astype("float32") * 10.0 ** RNG.integers(-14, 9, (37, 5))
    values = values.astype("float32")
    values[0] = [0.0, -0.0, np.inf, np.nan, 1.0]
    for start in range(0, 37, 10):
        step(values[start : start + 10])
    edges = metric.edges.astype("float32").astype("float64")
    inside = np.clip(values[np.isfinite(values)].astype("float64"), -9.99e5, 9.99e5)
    expected = np.histogram(inside, edges)[0]
    np.testing.assert_array_equal(metric.value, expected)
    counts, kept = metric.pair
    assert counts.sum() == 37 * 5 - 2
    assert len(kept) == len(counts) + 1
    assert counts[0] > 0 < counts[-1]


def test_wrong_operands_of_these_metrics() -> None:
    with pytest.raises(gx.errors.DTypeError, match="histogram: needs floats, got i32"):
        gx.metrics.Histogram().update(gx.input("i", ("n",), "int32"))
    with pytest.raises(gx.errors.ShapeError, match="the last axis must have a known number"):
        gx.metrics.DeadUnits().update(gx.input("x", (3, "n")))


def test_dead_units_are_those_that_never_fire() -> None:
    x = gx.input("x", ("n", 2, 3))
    metric = gx.metrics.DeadUnits()
    step = gx.compile([x], {}, metric.update(x), target="interpret")
    values = -np.ones((6, 2, 3), "float32")
    values[5, 1, 2] = 0.5
    step(values[:4])
    assert (metric.value, metric.units) == (3.0, [0, 1, 2])
    step(values[4:])
    assert (metric.value, metric.units, metric.count) == (2.0, [0, 1], 3)


@pytest.mark.parametrize("target", ["cpu", "interpret"])
def test_watching_leaves_the_run_as_it_is(target: str, tmp_path: Path) -> None:
    plain, watched = learner(target=target), learner(target=target)
    histograms = gx.callbacks.Histograms("net/hidden/*", samples=30)
    callbacks = [histograms, gx.callbacks.DeadUnits(stream=io.StringIO())]
    for step, watchers in ((plain, []), (watched, callbacks)):
        gx.fit(step, DATA, epochs=2, batch_size=20, callbacks=watchers, verbose=False, seed=1)
    for a, b in zip(plain.parameters.values(), watched.parameters.values()):
        np.testing.assert_array_equal(a.value, b.value)
    kernel = np.histogram(watched.parameters["net/hidden/kernel"].value, 1)[1]
    counts, edges = histograms.series["net/hidden/kernel"][-1]
    assert counts.sum() == 12
    assert edges[0] <= kernel[0] <= kernel[1] <= edges[-1]
    assert histograms.epochs == [1, 2]
    assert histograms.series["net/hidden/output"][0][0].sum() == 20 * 4  # whole batches
    assert set(histograms.series) == set(gx.taps(watched, match="net/hidden/*"))


def test_a_step_with_a_loss_scale_is_watched_too() -> None:
    inputs, loss, _ = network()
    step = gx.compile(
        inputs, loss, gx.optim.Adam().minimize(loss), target="interpret", precision="fp16"
    )
    histograms = gx.callbacks.Histograms("net/scores/*gradient")
    gx.fit(step, DATA, callbacks=[histograms], verbose=False)
    edges = [pairs[-1][1] for pairs in histograms.series.values()]
    assert all(abs(e).max() < 10.0 for e in edges)  # of the loss as it is, not scaled


def test_metrics_need_no_loss_scale() -> None:
    x, labels = gx.input("x", ("n", 3)), gx.input("labels", ("n",), "int32")
    with gx.precision("fp16"):
        scores = gx.nn.Dense(2)(gx.nn.Dense(4, activation="relu", name="half")(x))
    loss = gx.nn.softmax_cross_entropy(scores, labels).mean()
    updates = gx.optim.SGD(0.1).minimize(loss)
    step = gx.compile([x, labels], loss, updates, target="interpret")
    accuracy = gx.metrics.Accuracy().update(scores, labels)
    check = gx.compile([x, labels], {}, accuracy, mode="inference", target="interpret")
    alarm = gx.callbacks.DeadUnits(stream=io.StringIO())
    history = gx.fit(step, DATA, validation=(check, DATA), callbacks=[alarm], verbose=False)
    assert "val_accuracy" in history
    assert list(alarm.found) == ["half"]
    w = gx.parameter("w", value=np.ones(2, "float32"))
    by_hand = {w: w - gx.grad((scores @ w).mean(), w)}
    with pytest.raises(gx.errors.UnsupportedError, match="scales the loss of minimize"):
        gx.compile([x, labels], loss, by_hand)


def test_dead_units_are_reported_with_their_layer_and_number() -> None:
    step, stream = learner(bias=-100.0), io.StringIO()
    alarm = gx.callbacks.DeadUnits(stream=stream)
    gx.fit(step, DATA, epochs=3, batch_size=20, callbacks=[alarm], verbose=False)
    assert alarm.found["net/hidden"] == (4, 4)
    first = stream.getvalue().splitlines()[0]
    assert first.startswith("net/hidden: 4 of 4 units fire for no sample of 60 after epoch 1:")
    assert "LeakyReLU" in first
    assert sum("net/hidden" in text for text in alarm.messages) == 1  # not again every epoch
    ended = gx.callbacks.DeadUnits(stop_at=0.9, stream=stream)
    history = gx.fit(learner(bias=-100.0), DATA, 5, callbacks=[ended], verbose=False)
    assert history.epochs == 1
    assert history.note == "net/hidden: 4 of 4 units are dead"


def test_a_resumed_run_goes_on_with_the_distributions(tmp_path: Path) -> None:
    path = tmp_path / "last"

    def run(step: Any, epochs: int, checkpoint: Any) -> Any:
        histograms = gx.callbacks.Histograms("*/kernel", every=2)
        callbacks = [histograms, checkpoint]
        gx.fit(step, DATA, epochs, 20, callbacks=callbacks, verbose=False, seed=3)
        return histograms

    whole = run(learner(), 4, gx.callbacks.Checkpoint(tmp_path / "whole"))
    run(learner(), 3, gx.callbacks.Checkpoint(path))
    step, checkpoint = learner(), gx.callbacks.Checkpoint(path)
    checkpoint.restore(step)
    resumed = run(step, 1, checkpoint)
    assert resumed.epochs == whole.epochs == [2, 4]
    for name, pairs in whole.series.items():
        for wanted, found in zip(pairs, resumed.series[name]):
            np.testing.assert_array_equal(wanted[0], found[0])


def test_wrong_arguments() -> None:
    with pytest.raises(ArgumentError, match="nothing is called 'nonsense': there is net/hidden"):
        gx.fit(learner(), DATA, callbacks=[gx.callbacks.Histograms("nonsense")], verbose=False)
    with pytest.raises(ArgumentError, match="every must be 1 or more epochs, got 0"):
        gx.callbacks.Histograms(every=0)
    with pytest.raises(ArgumentError, match="samples must be 1 or more, got 0"):
        gx.callbacks.DeadUnits(samples=0)
    with pytest.raises(ArgumentError, match=r"share must be in \[0, 1\], got 2"):
        gx.callbacks.DeadUnits(share=2)
    x = gx.input("x", ("n", 3))
    loss = (gx.nn.Dense(1)(x) ** 2).mean()
    step = gx.compile([x], loss, gx.optim.SGD(0.1).minimize(loss), target="interpret")
    with pytest.raises(ArgumentError, match="DeadUnits: step has no ReLU"):
        gx.fit(step, [DATA[0]], callbacks=[gx.callbacks.DeadUnits()], verbose=False)


@pytest.mark.parametrize("rate", ["number", "schedule", "parameter", "groups"])
def test_the_learning_rate_of_every_epoch_is_logged(rate: str) -> None:
    inputs, loss, _ = network()
    kinds: dict[str, Any] = {
        "number": lambda: gx.optim.SGD(0.5),
        "schedule": lambda: gx.optim.SGD(gx.schedules.staircase(0.5, 0.1, 3)),
        "parameter": lambda: gx.optim.SGD(
            gx.parameter("rate", value=np.float32(0.5), trainable=False)
        ),
        "groups": lambda: gx.optim.groups(
            [("*/bias", gx.optim.SGD(0.25, name="a")), ("*", gx.optim.SGD(0.5, name="b"))]
        ),
    }
    step = gx.compile(inputs, loss, kinds[rate]().minimize(loss), target="interpret")
    history = gx.fit(step, DATA, epochs=2, batch_size=20, verbose=False)
    if rate == "groups":
        assert history["learning_rate/a"] == [0.25, 0.25]
        assert history["learning_rate/b"] == [0.5, 0.5]
    else:
        assert_close(history["learning_rate"], [0.5, 0.05 if rate == "schedule" else 0.5])


def test_a_plateau_shows_in_the_logged_rate() -> None:
    inputs, loss, _ = network()
    step = gx.compile(inputs, loss, gx.optim.SGD(0.0).minimize(loss), target="interpret")
    step.optimizer.learning_rate.value = 1e-30
    lower = gx.callbacks.ReduceOnPlateau("loss", factor=0.5, patience=1, min_delta=10.0)
    history = gx.fit(step, DATA, epochs=3, callbacks=[lower], verbose=False)
    assert history["learning_rate"] == [1e-30, 1e-30, 5e-31]


def test_tensorboard_has_numbers_rates_and_distributions(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX", reason="needs tensorboardX (graphc[tensorboard])")
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import RecordWriter  # noqa: F401

    inputs, loss, _ = network()
    own = gx.metrics.Histogram("scores")
    step = gx.compile(inputs, {"loss": loss}, gx.optim.SGD(0.1).minimize(loss), target="interpret")
    check = gx.compile(inputs, {"loss": loss}, own.update(loss * gx.constant([1.0, 2.0])),
                       target="interpret", mode="inference")  # fmt: skip
    board = gx.callbacks.TensorBoard(
        tmp_path / "logs", histograms=gx.callbacks.Histograms("*/kernel")
    )
    history = gx.fit(step, DATA, 2, 20, validation=(check, DATA), callbacks=[board], verbose=False)
    (path,) = (tmp_path / "logs").iterdir()
    scalars: dict[str, list[float]] = {}
    histograms: dict[str, Any] = {}
    for record in records(path.read_bytes()):
        for value in Event.FromString(record).summary.value:
            if value.HasField("histo"):
                histograms[value.tag] = value.histo
            else:
                scalars.setdefault(value.tag, []).append(value.simple_value)
    assert_close(scalars["loss/training"], history["loss"], "float32")
    assert_close(scalars["loss/validation"], history["val_loss"], "float32")
    assert_close(scalars["learning_rate"], [0.1, 0.1], "float32")
    assert histograms["net/hidden/kernel"].num == 12
    assert histograms["scores"].num == 2 * 3
    with pytest.raises(ArgumentError, match="histograms must be True, False or a Histograms"):
        gx.callbacks.TensorBoard(tmp_path, histograms=[])  # type: ignore[arg-type]


def records(data: bytes) -> list[bytes]:
    """The records of an event file: length, its checksum, content, its checksum."""
    found, place = [], 0
    while place < len(data):
        size = int.from_bytes(data[place : place + 8], "little")
        found.append(data[place + 12 : place + 12 + size])
        place += 16 + size
    return found
