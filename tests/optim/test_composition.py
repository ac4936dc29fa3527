"""Optimisers made of parts, scalars that change, groups, sums over steps, target networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError
from graphc.optim import (
    SGD,
    Adagrad,
    Adam,
    accumulate,
    chain,
    clip_by_global_norm,
    clip_by_norm,
    clip_by_value,
    groups,
    momentum,
    scale,
    weight_decay,
)
from graphc.testing import assert_close
from tests.optim import optimizer_formulas as oracles
from tests.optim.quadratic import follow, quadratic

BETAS = gx.schedules.linear(0.5, 0.9, 10)


def beta(t: int) -> float:
    """The same in Python."""
    return 0.5 + 0.4 * min(t / 10, 1)


CASES: dict[str, tuple[Callable[[], Any], oracles.Rule]] = {
    "adagrad and momentum": (
        lambda: chain(Adagrad(0.1), momentum(0.9)),
        oracles.adagrad_then_momentum(0.1, 0.9),
    ),
    "clipped before": (
        lambda: chain(clip_by_global_norm(0.5), SGD(0.1, 0.9)),
        oracles.clipped(oracles.sgd(0.1, 0.9), 0.5),
    ),
    "each clipped": (
        lambda: chain(clip_by_norm(0.5), SGD(0.1, 0.9)),
        oracles.clipped(oracles.sgd(0.1, 0.9), 0.5),
    ),
    "L2": (
        lambda: chain(weight_decay(0.1), SGD(0.1, 0.9)),
        oracles.penalised(oracles.sgd(0.1, 0.9), 0.1),
    ),
    "decoupled decay": (
        lambda: chain(Adam(1.0), weight_decay(0.1), scale(0.05)),
        oracles.adamw(0.05, 0.1),
    ),
    "momentum, Nesterov": (
        lambda: chain(momentum(0.9, nesterov=True), scale(0.1)),
        oracles.sgd(0.1, 0.9, True),
    ),
    "adamw inside": (
        lambda: chain(gx.optim.AdamW(0.05, weight_decay=0.1), scale(1.0)),
        oracles.adamw(0.05, 0.1),
    ),
    "a chain in a chain": (
        lambda: chain(chain(scale(2.0), SGD(0.1)), scale(0.5)),
        oracles.sgd(0.1),
    ),
    "beta1 of a schedule": (lambda: Adam(0.05, beta1=BETAS), oracles.adam_with_rates(0.05, beta)),
}


@pytest.mark.parametrize("target", ["interpret", "cpu"])
@pytest.mark.parametrize("case", CASES)
def test_twenty_steps_follow_the_formulas(case: str, target: str) -> None:
    make, rule = CASES[case]
    value, expected = follow(make(), rule, "float64", target)
    assert_close(value, expected, each=True, floor=1.0)


def test_a_clip_between_parts_bounds_the_moves() -> None:
    p, x, loss = quadratic("float64")
    optimizer = chain(SGD(10.0), clip_by_value(0.5), clip_by_global_norm(1.0))
    before = p.value
    gx.compile([x], loss, optimizer.minimize(loss), target="interpret")(np.ones(p.shape))
    moved = np.clip(10 * (before + 0.5), -0.5, 0.5)
    assert_close(before - p.value, moved / max(1.0, float(np.linalg.norm(moved))), each=True)


@pytest.mark.parametrize("role", ["rate", "momentum", "clip"])
def test_scalars_are_parameters_that_can_be_set(role: str) -> None:
    knob = gx.parameter("knob", value=np.float64(0.5), trainable=False)
    p, x, loss = quadratic("float64")
    optimizer = SGD(knob if role == "rate" else 0.1, knob if role == "momentum" else 0.9)
    limit = knob if role == "clip" else None
    step = gx.compile([x], loss, optimizer.minimize(loss, clip_norm=limit), target="interpret")
    expected, v = p.value, np.zeros(p.shape)
    for value in (0.5, 0.25, 0.75):
        knob.value = value
        step(np.ones(p.shape))
        g = expected + 0.5
        if role == "clip":
            g = g * value / max(value, float(np.linalg.norm(g)))
        v = (value if role == "momentum" else 0.9) * v + g
        expected = expected - (value if role == "rate" else 0.1) * v
    assert_close(p.value, expected, each=True)
    if role == "rate":
        assert optimizer.learning_rate is knob


def two(start: float = 1.0) -> tuple[Any, Any, Any]:
    """Two parameters, and a loss with the gradients 3 and 4."""
    a = gx.parameter("net/kernel", value=np.full((), start))
    b = gx.parameter("net/bias", value=np.full((), start))
    return a, b, a * 3.0 + b * 4.0


def test_groups_have_optimisers_of_their_own_and_one_clip() -> None:
    a, b, loss = two()
    optimizer = groups([("*/bias", SGD(0.5)), ([a], SGD(1.0, 0.9))])
    step = gx.compile([], loss, optimizer.minimize(loss, clip_norm=1.0), target="interpret")
    step()
    assert_close(a.value, 1.0 - 0.6, tolerance="ulps")
    assert_close(b.value, 1.0 - 0.5 * 0.8, tolerance="ulps")
    step()
    assert_close(a.value, 0.4 - (0.9 * 0.6 + 0.6), tolerance="ulps")
    with pytest.raises(ArgumentError, match="a learning rate of its own"):
        _ = optimizer.learning_rate


def test_groups_without_an_optimiser_stay() -> None:
    a, b, loss = two()
    optimizer = groups([(lambda p: p.name.endswith("bias"), None), ("*", SGD(1.0))])
    updates = optimizer.minimize(loss)
    assert b not in updates
    gx.compile([], loss, updates, target="interpret")()
    assert float(a.value) == -2.0
    with pytest.raises(ArgumentError, match="net/kernel is in no group"):
        groups([("*/bias", SGD(1.0))]).minimize(loss)


@pytest.mark.parametrize("target", ["interpret", "cpu"])
def test_accumulated_steps_equal_one_of_the_mean(target: str) -> None:
    p, x, loss = quadratic("float64")
    optimizer = accumulate(Adam(0.1), 3)
    step = gx.compile([x], loss, optimizer.minimize(loss, clip_norm=0.5), target=target)
    rule, expected, state = oracles.clipped(oracles.adam(0.1), 0.5), p.value, {}
    rng = np.random.default_rng(3)
    for t in range(1, 4):
        batches = rng.normal(size=(3, *p.shape))
        for batch in batches:
            assert_close(p.value, expected, each=True)
            step(batch)
        expected = rule(expected, batches.mean(0) * (expected + 0.5), t, state)
    assert_close(p.value, expected, each=True)
    assert float(optimizer.learning_rate.value) == 0.1


def test_rows_alone_are_updated_through_a_chain() -> None:
    table = gx.parameter("table", value=np.ones((50, 2)))
    ids = gx.input("ids", (3,), "int32")
    loss = (table[ids] * [1.0, 2.0]).sum()
    optimizer = chain(clip_by_global_norm(1.0), Adagrad(0.5), scale(2.0))
    whole = chain(Adagrad(0.5), clip_by_global_norm(1.0))
    step = gx.compile([ids], loss, optimizer.minimize(loss), target="interpret")
    step(np.array([4, 7, 4]))
    assert optimizer.sparse == {"table": "rows with a gradient only"}
    whole.minimize(loss)
    assert whole.sparse == {"table": "whole: chain needs all rows"}
    moved = np.ones((50, 2))
    clipped = np.array([[0.4, 0.8], [0.2, 0.4]])  # of (2, 4) and (1, 2), whose norm is 5
    moved[[4, 7]] -= clipped / (clipped + 1e-10)  # Adagrad's first step
    assert_close(table.value, moved, each=True)


def test_a_parameter_behind_stop_gradient_alone_is_left_out() -> None:
    a, b, _ = two()
    loss = (a - gx.stop_gradient(b)) ** 2
    assert list(SGD(0.1).minimize(loss)) == [a]
    with pytest.raises(ArgumentError, match="reaches no trainable parameter"):
        SGD(0.1).minimize(gx.stop_gradient(a * b))


def test_masks_are_patterns_of_names() -> None:
    a, b, loss = two()
    updates = gx.optim.AdamW(0.5, weight_decay=0.5, mask="*/kernel").minimize(loss * 0.0)
    gx.compile([], loss, updates, target="interpret")()
    assert (float(a.value), float(b.value)) == (0.75, 1.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: chain(), "at least one part"),
        (lambda: chain(SGD(0.1), 0.5), "needs optimisers and transforms, got 0.5"),
        (lambda: groups([SGD(0.1)]), "needs pairs"),
        (lambda: accumulate(SGD(0.1), 0), "steps must be 1 or more, got 0"),
        (lambda: accumulate(0.1, 2), "needs an optimiser, got 0.1"),
        (lambda: weight_decay(-1.0), "rate must not be negative, got -1.0"),
        (lambda: clip_by_norm(0.0), "limit must be positive, got 0.0"),
        (lambda: momentum(1.0), r"decay must be in \[0, 1\), got 1.0"),
        (lambda: SGD(gx.input("r", (2,))), r"must be a float of rank 0, got f32\[2\]"),
        (lambda: Adam(epsilon=-1e-8), "epsilon must not be negative"),
        (lambda: SGD(-0.1), "learning_rate must be a finite number"),
        (lambda: gx.optim.AdamW(mask=["a"]), "mask must hold parameters, got names"),
        (lambda: chain(SGD(0.1), SGD(0.2)).learning_rate, "2 of its parts have a learning rate"),
    ],
)
def test_nonsense_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: groups([("*", accumulate(SGD(0.1), 2))]),
        lambda: chain(clip_by_norm(1.0), groups([("*", SGD(0.1))])),
        lambda: gx.optim.ScheduleFree(gx.optim.LBFGS()),
        lambda: accumulate(gx.optim.BFGS(), 2),
    ],
)
def test_what_takes_all_gradients_together_is_no_part_of_another(make: Callable[[], Any]) -> None:
    w = gx.parameter("w", (3,), gx.init.ones())
    optimizer = make()
    with pytest.raises(ArgumentError, match="no rule for one gradient alone, so it is no part of"):
        optimizer.minimize(gx.square(w).sum())


def test_a_chain_without_a_rate_can_be_fitted() -> None:
    x, w = gx.input("x", ("batch",)), gx.parameter("w", value=np.float32(1))
    loss = gx.square(x * w).mean()
    updates = chain(clip_by_norm(0.5), momentum(0.8), gx.optim.scale(0.1)).minimize(loss)
    step = gx.compile([x], loss, updates, target="interpret")
    history = gx.fit(step, [np.ones(8, "float32")], 2, 4, verbose=False)
    assert history["loss"][1] < history["loss"][0]
    assert "learning_rate" not in history
