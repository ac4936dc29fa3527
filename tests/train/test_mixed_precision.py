"""Networks trained in mixed precision stay beside those trained in float32."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.ir.types import Array
from tests.tolerances import MIXED_LOSSES

STEPS, BATCH = 40, 32
# losses of single batches move apart as they do where weights change in their last bits
LAST = 16
Network = Callable[[gx.Tensor], gx.Tensor]


def digits_mlp(x: gx.Tensor) -> gx.Tensor:
    hidden = gx.nn.dropout(gx.nn.Dense(128, activation="relu")(x), 0.2)
    hidden = gx.nn.dropout(gx.nn.Dense(64, activation="relu")(hidden), 0.2)
    return gx.nn.Dense(10)(hidden)


def lenet(x: gx.Tensor) -> gx.Tensor:
    images = x.reshape((x.shape[0], 8, 8, 1))
    first = gx.nn.Conv2D(6, 3, padding="same", activation="tanh")(images)
    second = gx.nn.Conv2D(16, 3, activation="tanh")(gx.nn.MaxPool2D(2)(first))
    return gx.nn.Dense(10)(gx.nn.Dense(32, activation="tanh")(gx.nn.Flatten()(second)))


def lstm(x: gx.Tensor) -> gx.Tensor:
    return gx.nn.Dense(10)(gx.nn.LSTM(24)(x.reshape((x.shape[0], 8, 8))))


def attention_block(x: gx.Tensor) -> gx.Tensor:
    rows = gx.nn.Dense(16)(x.reshape((x.shape[0], 8, 8)))
    rows = rows + gx.nn.MultiHeadAttention(4)(gx.nn.LayerNorm()(rows))
    rows = rows + gx.nn.Dense(16)(gx.nn.gelu(gx.nn.Dense(32)(gx.nn.LayerNorm()(rows))))
    return gx.nn.Dense(10)(gx.nn.LayerNorm()(rows).mean(axis=1))


def trained(network: Network, precision: Any, target: str = "cpu", steps: int = STEPS) -> Array:
    """The losses of so many steps."""
    gx.seed(1)
    x, labels = gx.input("x", ("batch", 64)), gx.input("labels", ("batch",), dtype="int32")
    loss = gx.nn.softmax_cross_entropy(network(x), labels).mean()
    updates = gx.optim.Adam(3e-3).minimize(loss)
    step = gx.compile([x, labels], loss, updates, precision=precision, target=target)
    (images, answers), _ = gx.data.digits()
    rows = slice(0, BATCH * steps)
    found: Array = step.run_epoch([images[rows], answers[rows]], BATCH, shuffle=False)
    return found


@cache
def in_float32(network: Network) -> Array:
    return trained(network, None)


@pytest.mark.parametrize("precision", ["bf16", "fp16", "tf32"])
@pytest.mark.parametrize("network", [digits_mlp, lenet, lstm, attention_block])
def test_the_loss_stays_within_a_hundredth(network: Network, precision: str) -> None:
    found, wanted = trained(network, precision), in_float32(network)
    assert wanted[-LAST:].mean() < 0.95 * wanted[0]
    assert found[-LAST:].mean() == pytest.approx(wanted[-LAST:].mean(), **MIXED_LOSSES)
    assert not (found == wanted).all()


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_the_interpreter_trains_alike(precision: str) -> None:
    found = trained(digits_mlp, precision, "interpret", 8)
    assert found == pytest.approx(trained(digits_mlp, precision, steps=8), **MIXED_LOSSES)


def test_layers_of_keras_form_train_and_predict() -> None:
    gx.seed(0)
    (x, y), _ = gx.data.digits()
    net = gx.nn.Sequential([gx.nn.Dense(16, activation="relu"), gx.nn.Dense(10)])
    net.compile("adam", loss="softmax_cross_entropy", precision="fp16")
    net.fit(x[:256], y[:256], epochs=2, verbose=False)
    assert np.isfinite(net.evaluate(x[:64], y[:64])["loss"])
    assert net.predict(x[:64]).dtype == np.float32


def test_a_run_that_is_resumed_has_the_same_bits(tmp_path: Path) -> None:
    (x, y), _ = gx.data.digits()

    def fresh() -> gx.CompiledFunction:
        gx.seed(2)
        images, labels = gx.input("x", ("batch", 64)), gx.input("labels", ("batch",), dtype="int32")
        with gx.name_scope("resumed"):
            loss = gx.nn.softmax_cross_entropy(lenet(images), labels).mean()
            updates = gx.optim.SGD(0.1, momentum=0.9).minimize(loss)
        half = gx.precision("fp16", growth_steps=3)
        return gx.compile([images, labels], {"loss": loss}, updates, precision=half)

    def run(step: gx.CompiledFunction, epochs: int, *callbacks: Any) -> dict[str, bytes]:
        gx.fit(step, [x[:256], y[:256]], epochs=epochs, callbacks=callbacks, verbose=False)
        return {name: p.value.tobytes() for name, p in step.parameters.items()}

    saved = gx.callbacks.Checkpoint(str(tmp_path / "last.safetensors"))
    whole = run(fresh(), 2)
    run(fresh(), 1, saved)
    resumed = fresh()
    saved.restore(resumed)
    assert run(resumed, 1) == whole
    assert any(name.endswith("/loss_scale") for name in whole)
