"""Ensembles beside members trained alone; averages beside a loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError
from graphc.testing import assert_close
from tests.tolerances import ONE_NUMBER

nn = gx.nn

TARGETS: tuple[dict[str, Any], ...] = (
    {"target": "interpret"},
    {"threads": 1},
    {"threads": 2},
)


@pytest.fixture(autouse=True)
def _fresh_names() -> None:
    gx.seed(0)


def build() -> Any:
    return nn.Sequential(
        [nn.Dense(5, use_bias=False), nn.BatchNorm(), nn.tanh, nn.Dense(3)], name="m"
    )


def batches(count: int) -> list[tuple[Any, Any]]:
    rng = np.random.default_rng(0)
    draw = [(rng.normal(size=(7, 4)), rng.integers(0, 3, 7)) for _ in range(count)]
    return [(x.astype("float32"), y.astype("int32")) for x, y in draw]


def inputs() -> tuple[gx.Tensor, gx.Tensor]:
    return gx.input("x", ("batch", 4)), gx.input("t", ("batch",), dtype="int32")


@pytest.mark.parametrize("options", TARGETS, ids=str)
@pytest.mark.parametrize("k", [1, 3])
def test_members_train_as_if_they_were_alone(k: int, options: dict[str, Any]) -> None:
    x, t = inputs()
    many = gx.ensemble(build, k)
    logits = many(x)
    assert logits.shape[0] == k
    labels = gx.broadcast_to(t, (k, t.shape[0]))
    losses = nn.softmax_cross_entropy(logits, labels).mean(axis=1)
    step = gx.compile([x, t], losses, gx.optim.Adam(0.02).minimize(losses.sum()), **options)
    predict = gx.compile([x], logits, **options)
    assert all(len(p.value) == k for p in many.parameters)  # made before the members move
    alone = []
    for member in many.members:
        one = nn.softmax_cross_entropy(member(x), t).mean()
        optimizer = gx.optim.Adam(0.02)
        alone.append(gx.compile([x, t], one, optimizer.minimize(one), **options))
    for data in batches(5):
        expected = [function(*data) for function in alone]
        assert_close(step(*data), expected)
    array = batches(1)[0][0]
    for i, member in enumerate(many.members):
        named = {p.name: p for p in member.parameters}
        assert len(named) == len(many.parameters)
        for stacked in many.parameters:
            p = named[stacked.name.replace("ensemble", f"ensemble/{i}")]
            assert stacked.trainable == p.trainable
            assert_close(stacked.value[i], p.value)
        single = gx.compile([x], member(x), **options)
        assert_close(predict(array)[i], single(array))


def test_names_shapes_and_first_values() -> None:
    x, _ = inputs()
    many = gx.ensemble(build, 3, name="e")
    many(x)
    assert [(p.name, p.shape) for p in many.parameters] == [
        ("e/m/dense/kernel", (3, 4, 5)),
        ("e/m/batch_norm/running_mean", (3, 5)),
        ("e/m/batch_norm/running_variance", (3, 5)),
        ("e/m/batch_norm/scale", (3, 5)),
        ("e/m/batch_norm/bias", (3, 5)),
        ("e/m/dense_1/kernel", (3, 5, 3)),
        ("e/m/dense_1/bias", (3, 3)),
    ]
    kernels = many.parameters[0].value
    assert not np.array_equal(kernels[0], kernels[1])
    for kernel, member in zip(kernels, many.members):
        np.testing.assert_array_equal(kernel, member.parameters[0].value)


def test_a_second_call_shares_the_weights() -> None:
    x, _ = inputs()
    z = gx.input("z", ("other", 4))
    many = gx.ensemble(lambda: nn.Dense(2), 3)
    a, b = many(x), many(z)
    assert len(many.parameters) == 2
    array = batches(1)[0][0]
    values = gx.compile([x, z], [a, b])(array, array)
    np.testing.assert_array_equal(*values)


def test_what_all_members_use_is_shared() -> None:
    x, _ = inputs()
    trunk = nn.Dense(6)

    def head() -> Any:
        own = nn.Dense(2)
        return lambda h: own(trunk(h))

    many = gx.ensemble(head, 3)
    y = many(x)
    assert y.shape == (3, x.shape[0], 2)
    assert sorted(p.shape for p in many.parameters) == [(3, 2), (3, 6, 2), (4, 6), (6,)]
    gradient = gx.grad(y.sum(), trunk.parameters[0])
    assert gradient.shape == (4, 6)


def test_dropout_differs_from_member_to_member() -> None:
    x = gx.input("x", (20, 30))
    many = gx.ensemble(lambda: nn.Sequential([nn.Dropout(0.5), nn.Dense(1)]), 2)
    dropped = gx.ensemble(lambda: nn.Dropout(0.5), 2)(x)
    a, b = gx.compile([x], dropped, mode="train")(np.ones((20, 30), "float32"))
    assert 0.3 < (a != b).mean() < 0.7
    assert many(x).shape == (2, 20, 1)


def test_models_of_several_arguments_and_results() -> None:
    x, z = gx.input("x", (2, 3)), gx.input("z", (2, 4))

    def pair() -> Any:
        first, second = nn.Dense(5), nn.Dense(5)
        return lambda a, b: {"sum": first(a) + second(b["z"]), "same": a}

    many = gx.ensemble(pair, 4)
    found = many(x, {"z": z})
    assert (found["sum"].shape, found["same"].shape) == ((4, 2, 5), (4, 2, 3))


def test_ensembles_are_saved_and_loaded(tmp_path: Path) -> None:
    x, _ = inputs()
    many = gx.ensemble(build, 2)
    predict = gx.compile([x], many(x))
    array = batches(1)[0][0]
    wanted = predict(array)
    gx.save(tmp_path / "e.safetensors", many)
    for p in many.parameters:
        p.value = p.value + 1
    assert not np.array_equal(predict(array), wanted)
    gx.load(tmp_path / "e.safetensors", many)
    np.testing.assert_array_equal(predict(array), wanted)


def test_ensemble_refuses_nonsense() -> None:
    x, _ = inputs()
    one = nn.Dense(3)
    with pytest.raises(ArgumentError, match="the members share all parameters"):
        gx.ensemble(lambda: one, 2)(x)
    with pytest.raises(ArgumentError, match="ensemble: build must be a function, got 3"):
        gx.ensemble(3, 2)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="ensemble: k must be an int of 1 or more, got 0"):
        gx.ensemble(build, 0)
    sizes = iter([3, 4])
    with pytest.raises(ArgumentError, match=r"ensemble_1: member 0 .* f32\[4,3\].* f32\[4,4\]"):
        gx.ensemble(lambda: nn.Dense(next(sizes)), 2)(x)


# ----------------------------------------------------------------------------- averages


@pytest.mark.parametrize("options", TARGETS, ids=str)
@pytest.mark.parametrize("after", [True, False])
def test_averages_follow_the_parameters(after: bool, options: dict[str, Any]) -> None:
    x, t = inputs()
    model = build()
    logits = model(x)
    loss = nn.softmax_cross_entropy(logits, t).mean()
    updates = gx.optim.Adam(0.05).minimize(loss)
    trained = [p for p in model.parameters if p.trainable]
    averages = gx.ema(updates if after else trained, 0.8)
    assert set(averages.of) == set(trained)
    step = gx.compile([x, t], loss, [updates, averages], **options)
    expected = {p.name: p.value for p in trained}
    for data in batches(4):
        before = {p.name: p.value for p in trained}
        step(*data)
        for p in trained:
            seen = p.value if after else before[p.name]
            expected[p.name] = 0.8 * expected[p.name] + 0.2 * seen
    for p, average in averages.of.items():
        assert_close(average.value, expected[p.name], each=True)  # type: ignore[attr-defined]
    array = batches(1)[0][0]
    smooth = gx.compile([x], gx.substitute(logits, averages.of), **options)(array)
    for p in trained:
        p.value = expected[p.name]
    assert_close(gx.compile([x], logits)(array), smooth)


def test_averages_of_16_bits_are_kept_in_32() -> None:
    w = gx.parameter("w", (3,), gx.init.ones(), dtype="bfloat16")
    updates = gx.optim.SGD(1.0).minimize(w.astype("float32").sum())
    averages = gx.ema(updates, 0.999)
    step = gx.compile([], [], [updates, averages])
    step()
    (average,) = averages.parameters
    assert average.dtype.name == "float32"
    np.testing.assert_allclose(average.value, 0.999, **ONE_NUMBER)  # bfloat16 would keep 1
    assert next(iter(averages.of.values())).dtype.name == "bfloat16"


def test_names_of_averages() -> None:
    w = gx.parameter("w", (3,))
    assert [p.name for p in gx.ema([w], 0.9).parameters] == ["ema/w"]
    assert [p.name for p in gx.ema([w], 0.9).parameters] == ["ema_1/w"]
    assert [p.name for p in gx.ema([w], 0.9, name="slow").parameters] == ["slow/w"]


def test_ema_refuses_nonsense() -> None:
    w = gx.parameter("w", (3,))
    with pytest.raises(ArgumentError, match="decay must be a number between 0 and 1"):
        gx.ema([w], 1.5)
    with pytest.raises(ArgumentError, match="there is no parameter to average"):
        gx.ema([], 0.9)
    with pytest.raises(ArgumentError, match="only parameters of floats have averages"):
        gx.ema([gx.parameter("n", value=np.arange(3))], 0.9)
    with pytest.raises(ArgumentError, match="only parameters of floats have averages"):
        gx.ema([w * 2.0], 0.9)  # type: ignore[list-item]
