"""An ensemble whose members have learning rates of their own, beside members that train alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError
from graphc.testing import assert_close
from tests.nn.test_ensemble import batches, build, inputs

nn, optim = gx.nn, gx.optim
RATES = [0.1, 0.01, 0.001]
OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "SGD": lambda rate: optim.SGD(rate, momentum=0.9, nesterov=True),
    "Adam": optim.Adam,
    "AdamW": lambda rate: optim.AdamW(rate, weight_decay=0.1),
    "Adamax": optim.Adamax,
    "Nadam": optim.Nadam,
    "Adagrad": optim.Adagrad,
    "RMSprop": lambda rate: optim.RMSprop(rate, momentum=0.5),
    "Adadelta": optim.Adadelta,
    "Lion": optim.Lion,
    "chain": lambda rate: optim.chain(optim.weight_decay(0.1), optim.Adam(rate)),
    "ProximalL1": lambda rate: optim.ProximalL1(optim.SGD(rate), 0.1),
}


@pytest.fixture(autouse=True)
def _fresh_names() -> None:
    gx.seed(0)


def pair(make: Callable[[Any], Any], rates: Any, **options: Any) -> tuple[Any, Any, list[Any]]:
    """An ensemble, its step, and the steps of its members alone."""
    x, t = inputs()
    many = gx.ensemble(build, len(rates))
    logits = many(x)
    labels = gx.broadcast_to(t, (len(rates), t.shape[0]))
    losses = nn.softmax_cross_entropy(logits, labels).mean(axis=1)
    step = gx.compile([x, t], losses, make(rates).minimize(losses.sum()), **options)
    assert all(len(p.value) == len(rates) for p in many.parameters)
    alone = []
    for member, rate in zip(many.members, rates):
        one = nn.softmax_cross_entropy(member(x), t).mean()
        alone.append(gx.compile([x, t], one, make(rate).minimize(one), **options))
    return many, step, alone


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_member_trains_at_its_rate(name: str) -> None:
    many, step, alone = pair(OPTIMIZERS[name], RATES, target="interpret")
    for data in batches(4):
        assert_close(step(*data), [function(*data) for function in alone])
    for stacked in many.parameters:
        role = stacked.name.removeprefix(many.name)
        for i, member in enumerate(many.members):
            (p,) = [p for p in member.parameters if p.name == f"{many.name}/{i}{role}"]
            assert_close(stacked.value[i], p.value)


def test_compiled_steps_do_so_bit_for_bit_where_products_are() -> None:
    """Elementwise models: no sum whose order could differ."""
    first = np.linspace(-1, 1, 6, dtype="float32")

    def member() -> Any:
        w = gx.parameter("w", value=first)
        return lambda x: (w - x) ** 4

    x = gx.input("x", (6,))
    many = gx.ensemble(member, 3)
    step = gx.compile([x], [], optim.Adam(RATES).minimize(many(x).sum()))
    target = np.arange(6, dtype="float32")
    for _ in range(20):
        step(target)
    (stacked,) = many.parameters
    for i, rate in enumerate(RATES):
        w = gx.parameter("alone", value=first)
        one = gx.compile([x], [], optim.Adam(rate).minimize(((w - x) ** 4).sum()))
        for _ in range(20):
            one(target)
        np.testing.assert_array_equal(stacked.value[i], w.value)


def test_rates_are_set_while_training() -> None:
    w = gx.parameter("w", value=np.ones((3, 2), "float32"))
    optimizer = optim.SGD([1.0, 0.5, 0.0])
    step = gx.compile([], [], optimizer.minimize(w.sum()))
    step()
    assert w.value[:, 0].tolist() == [0.0, 0.5, 1.0]
    optimizer.learning_rate.value = np.array([0.0, 0.0, 1.0])
    step()
    assert w.value[:, 1].tolist() == [0.0, 0.5, 0.0]
    optimizer.lower_rate(0.5, least=0.25)
    assert optimizer.learning_rate.value.tolist() == [0.25, 0.25, 0.5]


def test_rows_of_tables_go_at_the_rate_of_their_member() -> None:
    """Updated whole: a row of a stacked table is a table."""
    table = gx.parameter("table", value=np.zeros((2, 4, 3), "float32"))
    ids = gx.input("ids", (1,), "int32")
    optimizer = optim.SGD([1.0, 2.0])
    step = gx.compile([ids], [], optimizer.minimize(gx.take(table, ids, axis=1).sum()))
    step(np.array([2], "int32"))
    assert table.value[:, :, 0].tolist() == [[0, 0, -1, 0], [0, 0, -2, 0]]
    first = optim.SGD([1.0, 2.0])
    step = gx.compile([ids], [], first.minimize(gx.take(table, ids, axis=0).sum()))
    step(np.array([1], "int32"))
    assert table.value[:, :, 0].tolist() == [[0, 0, -1, 0], [-2, -2, -4, -2]]


def test_mistakes() -> None:
    w = gx.parameter("w", (3, 2))
    with pytest.raises(ArgumentError, match="2 learning rates updates parameters that are stacked"):
        optim.SGD([0.1, 0.2]).minimize(w.sum())
    with pytest.raises(ArgumentError, match="a first axis of 2, got parameter b"):
        optim.SGD([0.1, 0.2]).minimize(gx.parameter("b", ()) * 1.0)
    for wrong in ([], [0.1, -1.0], [[0.1], [0.2]], ["a"]):
        with pytest.raises(ArgumentError, match="learning_rate must be a finite number"):
            optim.SGD(wrong)  # type: ignore[arg-type]
    for mixing in (optim.LAMB, optim.Muon, optim.Adafactor):
        with pytest.raises(ArgumentError, match="this takes one learning rate"):
            mixing([0.1, 0.2])
    with pytest.raises(ArgumentError, match="SGD: this takes one learning rate"):
        optim.ScheduleFree(optim.SGD([0.1, 0.2]))
