"""Loss scaling: overflows skip a whole step and halve the scale, good steps double it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, UnsupportedError
from graphc.ir.ops import Dot, PutRows, Where
from graphc.ir.types import Array
from graphc.testing import assert_close

TARGETS = ("cpu", "interpret")
OPTIMIZERS = ("SGD", "Adagrad", "RMSprop", "Adadelta", "Adam", "AdamW", "Adamax", "Nadam")
BOUNDS: tuple[dict[str, float], ...] = ({}, {"clip_norm": 0.1, "clip_value": 0.05})


def regression() -> tuple[list[gx.Tensor], gx.Tensor]:
    """A network of two layers whose loss grows with its first input."""
    gx.seed(3)
    x, t = gx.input("x", ("batch", 6)), gx.input("t", ("batch",))
    hidden = gx.nn.Dense(5, activation="tanh", name="hidden")(x)
    y = gx.nn.Dense(1, name="out")(hidden)[:, 0]
    return [x, t], gx.nn.mse(y, t).mean()


def batch(seed: int, planted: float = 0.0) -> list[Array]:
    """Numbers, with one that makes a gradient overflow."""
    rng = np.random.default_rng(seed)
    x, t = rng.normal(size=(8, 6)).astype(np.float32), rng.normal(size=8).astype(np.float32)
    t[0] += planted
    return [x, t]


def values(step: Any) -> dict[str, bytes]:
    return {name: p.value.tobytes() for name, p in step.parameters.items()}


def changed(before: dict[str, bytes], step: Any) -> list[str]:
    after = values(step)
    return sorted(name.rpartition("/")[2] for name in after if after[name] != before[name])


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_overflow_skips_the_step_and_halves_the_scale(name: str, target: str) -> None:
    inputs, loss = regression()
    optimizer = getattr(gx.optim, name)()
    step = gx.compile(inputs, loss, optimizer.minimize(loss), precision="fp16", target=target)
    assert optimizer.loss_scale.value == 2.0**16
    step(*batch(0))
    before = values(step)
    step(*batch(1, planted=1e6))
    assert changed(before, step) == ["good_steps", "loss_scale", "skipped_steps"]
    assert (optimizer.loss_scale.value, optimizer.skipped_steps.value) == (2.0**15, 1)
    before = values(step)
    step(*batch(2))
    assert {"kernel", "bias", "good_steps"} <= set(changed(before, step))
    assert (optimizer.loss_scale.value, optimizer.skipped_steps.value) == (2.0**15, 1)


@pytest.mark.parametrize("target", TARGETS)
def test_the_scale_doubles_after_good_steps_in_a_row(target: str) -> None:
    inputs, loss = regression()
    optimizer = gx.optim.SGD(1e-3)
    half = gx.precision("fp16", growth_steps=3)
    step = gx.compile(inputs, loss, optimizer.minimize(loss), precision=half, target=target)
    optimizer.loss_scale.value = 64.0
    planted = [0, 0, 0, 0, 0, 1e30, 0, 0, 0, 0]
    scales = []
    for i, size in enumerate(planted):
        step(*batch(i, size))
        scales.append(float(optimizer.loss_scale.value))
    assert scales == [64, 64, 128, 128, 128, 64, 64, 64, 128, 128]
    assert optimizer.skipped_steps.value == 1


def test_the_scale_has_bounds() -> None:
    inputs, loss = regression()
    optimizer = gx.optim.SGD(1e-3)
    dynamic = gx.precision("fp32", loss_scale="dynamic", growth_steps=1)
    step = gx.compile(inputs, loss, optimizer.minimize(loss), precision=dynamic)
    optimizer.loss_scale.value = 2.0**24
    step(*batch(0))
    assert optimizer.loss_scale.value == 2.0**24
    optimizer.loss_scale.value = 1.0
    step(*batch(0, np.inf))
    assert optimizer.loss_scale.value == 1.0


@pytest.mark.parametrize("bounds", BOUNDS, ids=["free", "clipped"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_power_of_two_alone_changes_no_bit(name: str, bounds: dict[str, float]) -> None:
    losses = []
    for precision in (None, gx.precision("fp32", loss_scale="dynamic", growth_steps=2)):
        inputs, loss = regression()
        updates = getattr(gx.optim, name)().minimize(loss, **bounds)
        step = gx.compile(inputs, loss, updates, precision=precision, target="interpret")
        losses.append([float(step(*batch(i))) for i in range(5)])
    assert losses[0] == losses[1]


def test_a_fixed_scale() -> None:
    inputs, loss = regression()
    optimizer = gx.optim.SGD(1e-3)
    fixed = gx.precision("fp16", loss_scale=128)
    step = gx.compile(inputs, loss, optimizer.minimize(loss), precision=fixed)
    before = values(step)
    step(*batch(0, 1e30))
    assert changed(before, step) == ["skipped_steps"]
    step(*batch(1))
    assert optimizer.skipped_steps.value == 1
    with pytest.raises(ArgumentError, match="there is no loss_scale"):
        _ = optimizer.loss_scale


def test_small_gradients_survive() -> None:
    x = gx.input("x", (4, 3))
    found = []
    for precision in (gx.precision("fp16", loss_scale=1.0), gx.precision("fp16")):
        w = gx.parameter(f"w{len(found)}", value=np.zeros((3, 2), np.float32))
        loss = gx.sum(x @ w) * 2.0**-30
        step = gx.compile([x], loss, gx.optim.SGD(1.0).minimize(loss), precision=precision)
        step(np.ones((4, 3), np.float32))
        found.append(w.value)
    assert (found[0] == 0).all()
    assert (found[1] == -(2.0**-28)).all()


def test_statistics_averages_and_draws_are_part_of_the_step() -> None:
    gx.seed(0)
    x = gx.input("x", ("batch", 6))
    y = gx.nn.BatchNorm(name="norm")(gx.nn.Dense(4, name="dense")(x))
    loss = gx.mean(y * gx.nn.dropout(y, 0.5)) * gx.max(x)
    updates = gx.optim.Adam().minimize(loss)
    averages = gx.ema(updates, 0.5, name="ema")
    step = gx.compile([x], loss, [updates, averages], precision="fp16")
    given = np.random.default_rng(0).normal(size=(8, 6)).astype(np.float32)
    step(given)
    before = values(step)
    given[0, 0] = 1e30
    step(given)
    assert changed(before, step) == ["good_steps", "loss_scale", "skipped_steps"]
    kernel, average = step.parameters["dense/kernel"], step.parameters["ema/dense/kernel"]
    old = average.value
    given[0, 0] = 1.0
    step(given)
    assert_close(average.value, 0.5 * old + 0.5 * kernel.value)


@pytest.mark.parametrize("form", ["merged", "listed", "one optimiser"])
def test_several_losses_are_one_step(form: str) -> None:
    x = gx.input("x", (4, 3))
    a, b = (gx.parameter(n, value=np.ones((3, 2), np.float32)) for n in "ab")
    first, second = gx.mean((x @ a) ** 2), gx.mean((x @ b) ** 4)
    one = gx.optim.SGD(1e-2, name="one")
    other = one if form == "one optimiser" else gx.optim.Adam(name="other")
    parts = one.minimize(first), other.minimize(second)
    updates = list(parts) if form == "listed" else parts[0] | parts[1]
    step = gx.compile([x], [first, second], updates, precision="fp16")
    before = values(step)
    step(np.full((4, 3), 1e3, np.float32))  # only the fourth powers overflow
    assert set(changed(before, step)) == {"good_steps", "loss_scale", "skipped_steps"} - {
        "good_steps"
    }
    assert {float(o.loss_scale.value) for o in (one, other)} == {2.0**15}
    step(np.full((4, 3), 0.1, np.float32))
    assert {"a", "b"} <= set(changed(before, step))


def test_a_loss_of_updated_parameters_sees_those_of_the_scaled_loss() -> None:
    """A generator that is trained against the discriminator of the same step."""
    steps = []
    for precision in (None, gx.precision("fp32", loss_scale="dynamic")):
        x = gx.input("x", (4, 3))
        a, b = (gx.parameter(n, value=np.ones((3, 2), np.float32)) for n in "ab")
        first = gx.optim.SGD(1e-2, momentum=0.5).minimize(gx.mean((x @ a) ** 2), [a])
        second = gx.substitute(gx.mean(gx.tanh(x @ a) * gx.tanh(x @ b)), first)
        updates = first | gx.optim.SGD(1e-1).minimize(second, [b])
        step = gx.compile([x], second, updates, precision=precision, target="interpret")
        given = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
        found = [float(step(given)) for _ in range(4)]
        products = [n for n in step.program.optimized.nodes if isinstance(n.op, Dot)]
        steps.append((len(products), found))
    assert steps[0] == steps[1]  # nothing is computed twice either


def test_rows_of_a_table_are_guarded_one_by_one() -> None:
    table = gx.parameter("table", value=np.ones((1000, 4), np.float32))
    ids, w = gx.input("ids", (8,), dtype="int32"), gx.input("w", (8, 4))
    loss = gx.sum(gx.take(table, ids, axis=0) * w)
    optimizer = gx.optim.Adagrad(0.1)
    step = gx.compile([ids, w], loss, optimizer.minimize(loss), precision="fp16")
    assert sum(isinstance(n.op, PutRows) for n in step.graph.nodes) == 2
    chosen = [n for n in step.graph.nodes if isinstance(n.op, Where)]
    assert all(n.type.shape != (1000, 4) for n in chosen)
    rows = np.array([3, 1, 3, 7, 1, 0, 9, 3], np.int32)
    weights = np.ones((8, 4), np.float32)
    step(rows, weights)
    before = values(step)
    weights[4, 2] = np.inf
    step(rows, weights)
    assert changed(before, step) == ["good_steps", "loss_scale", "skipped_steps"]


def test_a_block_of_fp16_is_enough() -> None:
    x = gx.input("x", (4, 3))
    w = gx.parameter("w", value=np.ones((3, 2), np.float32))
    with gx.precision("fp16"):
        y = x @ w
    loss = gx.mean(y * y)
    optimizer = gx.optim.SGD(0.1)
    step = gx.compile([x], loss, optimizer.minimize(loss))
    step(np.ones((4, 3), np.float32))
    assert optimizer.loss_scale.value == 2.0**16


def test_an_epoch_skips_its_bad_steps() -> None:
    inputs, loss = regression()
    optimizer = gx.optim.SGD(1e-3)
    step = gx.compile(inputs, loss, optimizer.minimize(loss), precision="fp16")
    x, t = (np.concatenate(parts) for parts in zip(*(batch(i) for i in range(6))))
    t[20] = t[41] = 1e30
    step.run_epoch([x, t], 8, shuffle=False)
    assert (optimizer.skipped_steps.value, optimizer.loss_scale.value) == (2, 2.0**14)
    assert all(np.isfinite(p.value).all() for p in step.parameters.values())


def test_the_scale_is_saved(tmp_path: Path) -> None:
    found = []
    for i in range(2):
        inputs, loss = regression()
        optimizer = gx.optim.SGD(1e-3, name="sgd")
        step = gx.compile(inputs, loss, optimizer.minimize(loss), precision="fp16")
        if i == 0:
            step(*batch(0, 1e30))
            gx.save(tmp_path / "state.safetensors", step)
        else:
            gx.load(tmp_path / "state.safetensors", into=step)
        found.append((optimizer.loss_scale.value.tolist(), optimizer.skipped_steps.value.tolist()))
    assert found == [(2.0**15, 1)] * 2


def test_a_library_has_the_same_bits(tmp_path: Path) -> None:
    inputs, loss = regression()
    optimizer = gx.optim.Adam(name="adam")
    half = gx.precision("fp16", growth_steps=2)
    step = gx.compile(inputs, loss, optimizer.minimize(loss), precision=half, name="half")
    step.export(tmp_path, dims={"batch": 8})
    library = gx.load_library(tmp_path)
    for i, planted in enumerate([0, 0, 1e30, 0, 0, 0]):
        given = batch(i, planted)
        assert library(*given).tobytes() == step(*given).tobytes()
    for name, parameter in step.parameters.items():
        assert np.asarray(library.parameters[name]).tobytes() == parameter.value.tobytes(), name
    assert optimizer.skipped_steps.value == 1


# ---------------------------------------------------------------------------------- errors


def test_updates_that_nobody_minimised() -> None:
    inputs, loss = regression()
    optimizer = gx.optim.SGD(0.1)
    updates = optimizer.minimize(loss)
    gradients = {p: gx.grad(loss, p) for p in updates}
    for plain in ({**updates}, optimizer.apply(gradients)):
        with pytest.raises(UnsupportedError, match="scales the loss of minimize") as caught:
            gx.compile(inputs, loss, plain, precision="fp16")
        assert caught.value.hint is not None
        assert "loss_scale=1.0" in caught.value.hint
        gx.compile(inputs, loss, plain, precision=gx.precision("fp16", loss_scale=1.0))
    gx.compile(inputs, loss, precision="fp16")  # nothing is updated


def test_a_scale_that_is_not_there() -> None:
    optimizer = gx.optim.SGD(0.1, name="plain")
    for role in ("loss_scale", "skipped_steps"):
        with pytest.raises(ArgumentError, match=f"plain: there is no {role}"):
            getattr(optimizer, role)
