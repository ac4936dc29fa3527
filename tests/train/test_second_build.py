"""A model that is built a second time in one process takes the files of the first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import NameError, ShapeError
from graphc.train.callbacks import Checkpoint
from graphc.train.match import match_names

DATA = [np.random.default_rng(0).normal(size=(40, 6)).astype("float32")]


def autoencoder() -> tuple[Any, Any, Any]:
    """(step, optimisers, reconstruct): nothing has a name, two optimisers, averages."""
    x = gx.input("x", ("batch", 6))
    encoder = gx.nn.Sequential([gx.nn.Dense(6, "tanh"), gx.nn.Dense(3)])
    decoder = gx.nn.Sequential([gx.nn.Dense(6, "tanh"), gx.nn.Dense(6)])
    y = decoder(encoder(x))
    loss = gx.square(y - x).mean()
    optimizers = [gx.optim.Adam(0.01), gx.optim.Adam(0.02)]
    parts = [encoder.parameters, decoder.parameters]
    updates = [o.minimize(loss, p) for o, p in zip(optimizers, parts)]
    averages = gx.ema([*encoder.parameters], 0.9)
    step = gx.compile([x], loss, [*updates, averages], target="interpret")
    return step, optimizers, gx.compile([x], y, target="interpret", name="reconstruct")


def in_order(step: Any) -> list[bytes]:
    return [p.value.tobytes() for p in step.parameters.values()]


def test_a_checkpoint_goes_into_a_second_build(tmp_path: Path) -> None:
    gx.seed(0)
    first, optimizers, _ = autoencoder()
    gx.nn.Dense(3)(gx.input("other", (2, 2)))  # something else is built in between
    optimizers[1].learning_rate.value = 0.005
    last = Checkpoint(tmp_path / "last")
    gx.fit(first, DATA, 2, 10, callbacks=[last], seed=1, verbose=False)
    second, others, reconstruct = autoencoder()
    assert not set(first.parameters) & set(second.parameters)
    last.restore(second)
    assert in_order(second) == in_order(first)
    assert [float(o.learning_rate.value) for o in others] == [0.01, 0.005]
    third, _, _ = autoencoder()
    last.restore(third)
    histories = [gx.fit(s, DATA, 2, 10, seed=1, verbose=False)["loss"] for s in (second, third)]
    assert histories[0] == histories[1]
    assert in_order(second) == in_order(third)
    gx.load(tmp_path / "last", into=reconstruct)  # weights alone, from the file of the run
    weights = [p.value for p in reconstruct.parameters.values()]
    stored = gx.load(tmp_path / "last")
    for value in weights:
        assert any(np.array_equal(value, array) for array in stored.values())


def test_the_state_of_an_optimiser_alone(tmp_path: Path) -> None:
    def build() -> tuple[Any, Any]:
        w = gx.parameter("w", (3,), gx.init.ones())
        optimizer = gx.optim.Adam(0.1)
        loss = gx.square(w).sum()
        return optimizer, gx.compile([], loss, optimizer.minimize(loss), target="interpret")

    (first, step), (second, _) = build(), build()
    step()
    gx.save(tmp_path / "state", first)
    gx.load(tmp_path / "state", into=second)
    assert [p.value.tolist() for p in first.parameters] == [
        p.value.tolist() for p in second.parameters
    ]
    assert first.name != second.name


def test_other_numbers_of_layers_are_an_error_that_lists_both(tmp_path: Path) -> None:
    x = gx.input("x", ("batch", 6))
    small, large = (gx.nn.Sequential([gx.nn.Dense(6) for _ in range(n)]) for n in (2, 3))
    small(x)
    large(x)
    gx.save(tmp_path / "f", small)
    before = [p.value for p in large.parameters]
    with pytest.raises(NameError, match="in the file") as error:
        gx.load(tmp_path / "f", into=large)
    for parameter in [*small.parameters, *large.parameters]:
        assert parameter.name in (error.value.hint or "")
    for p, value in zip(large.parameters, before):
        np.testing.assert_array_equal(p.value, value)


def test_names_that_were_given_are_never_renumbered(tmp_path: Path) -> None:
    x = gx.input("x", ("batch", 6))
    old = [gx.nn.Dense(6, name=f"block_{i}") for i in (1, 2)]
    new = [gx.nn.Dense(6, name=f"block_{i}") for i in (2, 3)]
    for layer in [*old, *new]:
        layer(x)
    gx.save(tmp_path / "f", [p for layer in old for p in layer.parameters])
    with pytest.raises(NameError, match="no block_3/kernel in the file"):
        gx.load(tmp_path / "f", into=[p for layer in new for p in layer.parameters])


def test_shapes_are_checked_by_place(tmp_path: Path) -> None:
    x = gx.input("x", ("batch", 6))
    one, other = gx.nn.Dense(3), gx.nn.Dense(4)
    one(x)
    other(x)
    gx.save(tmp_path / "f", one)
    with pytest.raises(ShapeError, match=rf"{other.name}/kernel has shape \(6, 3\), not \(6, 4\)"):
        gx.load(tmp_path / "f", into=other)


def test_exact_names_come_first() -> None:
    assert match_names(["a", "b"], ["b", "a", "c"]) == {"a": "a", "b": "b"}
    assert match_names(["a", "d"], ["b", "a", "c"]) == {"a": "a"}
    assert match_names([], ["b"]) == {}
    assert match_names(["a", "a/b"], ["a", "a/b"]) == {"a": "a", "a/b": "a/b"}


def noisy(name: str | None = None) -> Any:
    x = gx.input("x", ("batch", 6))
    loss = gx.square(gx.nn.Dense(2)(gx.nn.Dropout(0.5, name=name)(x))).mean()
    return gx.compile([x], loss, gx.optim.SGD(0.1).minimize(loss), target="interpret")


def test_other_masks_than_those_of_the_run_are_told(tmp_path: Path) -> None:
    """Names of streams are part of what is drawn; a seed before the build gives them again."""
    gx.seed(0)
    last = Checkpoint(tmp_path / "last")
    gx.fit(noisy(), DATA, 1, 10, callbacks=[last], verbose=False)
    with pytest.warns(RuntimeWarning, match=r"draws from dropout_1, not dropout, so the run goes"):
        last.restore(noisy())
    gx.seed(0)
    last.restore(noisy())
    gx.fit(noisy("masks"), DATA, 1, 10, callbacks=[last], verbose=False)
    last.restore(noisy("masks"))


@pytest.mark.parametrize(
    "make",
    [
        lambda: gx.optim.chain(gx.optim.clip_by_norm(0.5), gx.optim.Adam(0.01)),
        lambda: gx.optim.ScheduleFree(gx.optim.SGD(0.1)),
        lambda: gx.optim.accumulate(
            gx.optim.groups([("*bias", gx.optim.SGD(0.1)), ("*", gx.optim.Adam(0.01))]), 3
        ),
    ],
    ids=["chain", "schedule_free", "groups"],
)
def test_a_sequential_goes_on_in_a_second_build(tmp_path: Path, make: Any) -> None:
    """Whatever its layers and the parts of its optimiser are called there."""
    x, last = DATA[0], Checkpoint(tmp_path / "last")
    y = (x[:, 0] > 0).astype("int32")

    def build() -> Any:
        net = gx.nn.Sequential([gx.nn.Dense(8, "relu"), gx.nn.BatchNorm(), gx.nn.Dense(2)])
        net.compile(make(), "softmax_cross_entropy", target="interpret")
        return net

    def run(net: Any, epochs: int, *callbacks: Any) -> list[float]:
        found: list[float] = net.fit(
            x, y, epochs=epochs, batch_size=16, seed=2, callbacks=callbacks, verbose=False
        )["loss"]
        return found

    gx.seed(1)
    whole = build()
    wanted = run(whole, 4)
    gx.seed(1)
    run(build(), 2, last)
    second = build()
    last.restore(second)
    assert run(second, 2) == wanted[2:]
    for one, other in zip(whole.parameters, second.parameters):
        assert one.name != other.name
        np.testing.assert_array_equal(other.value, one.value)
