"""Every optimiser against its paper's formulas over many steps, and what they have in common."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, GradientError, NameError
from graphc.testing import assert_close
from tests.optim import optimizer_formulas as oracles
from tests.optim.quadratic import follow, quadratic
from tests.tolerances import FORMULA

CASES: dict[str, tuple[Callable[[], Any], oracles.Rule]] = {
    "sgd": (lambda: gx.optim.SGD(0.1), oracles.sgd(0.1)),
    "momentum": (lambda: gx.optim.SGD(0.1, momentum=0.9), oracles.sgd(0.1, 0.9)),
    "nesterov": (lambda: gx.optim.SGD(0.1, 0.9, nesterov=True), oracles.sgd(0.1, 0.9, True)),
    "adam": (gx.optim.Adam, oracles.adam(1e-3)),
    "adam options": (
        lambda: gx.optim.Adam(0.05, beta1=0.8, beta2=0.99, epsilon=1e-3),
        oracles.adam(0.05, 0.8, 0.99, 1e-3),
    ),
    "adam without memory": (
        lambda: gx.optim.Adam(0.01, beta1=0.0, beta2=0.0),
        oracles.adam(0.01, 0.0, 0.0),
    ),
    "adamw": (lambda: gx.optim.AdamW(0.05, weight_decay=0.1), oracles.adamw(0.05, 0.1)),
    "adamax": (lambda: gx.optim.Adamax(0.05), oracles.adamax(0.05)),
    "nadam": (lambda: gx.optim.Nadam(0.05), oracles.nadam(0.05)),
    "adagrad": (lambda: gx.optim.Adagrad(0.1), oracles.adagrad(0.1)),
    "adagrad start": (
        lambda: gx.optim.Adagrad(0.1, initial_accumulator=0.5),
        oracles.adagrad(0.1, 0.5),
    ),
    "rmsprop": (lambda: gx.optim.RMSprop(0.01), oracles.rmsprop(0.01)),
    "rmsprop momentum": (
        lambda: gx.optim.RMSprop(0.01, decay=0.99, momentum=0.5),
        oracles.rmsprop(0.01, 0.99, momentum=0.5),
    ),
    "adadelta": (lambda: gx.optim.Adadelta(), oracles.adadelta(1.0)),
}


@pytest.mark.parametrize("target", ["interpret", "cpu"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", CASES)
def test_twenty_steps_follow_the_paper(case: str, dtype: str, target: str) -> None:
    make, rule = CASES[case]
    value, expected = follow(make(), rule, dtype, target)
    assert_close(value, expected, each=True, floor=1.0)


@pytest.mark.parametrize("shape", [(), (1,), (0,), (7,), (2, 0, 3)])
def test_any_shape(shape: tuple[int, ...]) -> None:
    p, x, loss = quadratic("float64", shape)
    step = gx.compile([x], loss, updates=gx.optim.Adam(0.1).minimize(loss), target="interpret")
    before, batch = p.value, np.ones(shape)
    step(batch)
    expected = oracles.adam(0.1)(before, batch * (before + 0.5), 1, {})
    assert_close(p.value, expected)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_16_bit_parameters_are_updated_in_float32(dtype: str) -> None:
    p = gx.parameter("p", (4,), init=gx.init.ones(), dtype=dtype)
    loss = (p * p).sum()
    updates = gx.optim.Adam(0.25).minimize(loss)
    step = gx.compile([], loss, updates=updates, target="interpret")
    step()
    assert {q.dtype.name for q in updates if "/p/" in q.name} == {"float32"}
    np.testing.assert_array_equal(p.value.astype(np.float32), 0.75)


def test_zero_gradient_leaves_adagrad_and_sgd_unchanged_in_bits() -> None:
    for make in (lambda: gx.optim.SGD(0.1, 0.9), lambda: gx.optim.Adagrad(0.1)):
        p, x, loss = quadratic("float32")
        before = p.value
        gx.compile([x], loss, updates=make().minimize(loss), target="interpret")(0 * before)
        np.testing.assert_array_equal(p.value, before)


# ------------------------------------------------------------------------------ the learning rate


def test_the_learning_rate_can_be_changed_between_steps() -> None:
    p, x, loss = quadratic("float64")
    step = gx.compile([x], loss, updates=gx.optim.SGD(0.1).minimize(loss), target="interpret")
    assert float(step.optimizer.learning_rate.value) == 0.1
    step.optimizer.learning_rate.value = 0.0
    before = p.value
    step(np.ones(p.shape))
    np.testing.assert_array_equal(p.value, before)
    step.optimizer.learning_rate.value = 2.0
    step(np.ones(p.shape))
    assert_close(p.value, before - 2.0 * (before + 0.5), tolerance="ulps", each=True)


SCHEDULES: dict[str, tuple[Any, Callable[[int], float]]] = {
    "constant": (gx.schedules.constant(0.3), lambda t: 0.3),
    "exponential": (gx.schedules.exponential(0.3, 0.5, 4), lambda t: 0.3 * 0.5 ** (t / 4)),
    "staircase": (gx.schedules.staircase(0.3, 0.5, 4), lambda t: 0.3 * 0.5 ** (t // 4)),
    "inverse": (gx.schedules.inverse_time(0.3, 0.5, 4), lambda t: 0.3 / (1 + 0.5 * t / 4)),
    "linear": (gx.schedules.linear(0.3, 0.1, 8), lambda t: 0.3 - 0.2 * min(t / 8, 1)),
    "cosine": (
        gx.schedules.cosine(0.3, 8, end=0.1),
        lambda t: 0.1 + 0.1 * (1 + np.cos(np.pi * min(t / 8, 1))),
    ),
    "warmup": (
        gx.schedules.cosine(0.3, 8, warmup=3),
        lambda t: 0.3 * (t + 1) / 3 if t < 3 else 0.15 * (1 + np.cos(np.pi * min((t - 3) / 5, 1))),
    ),
    "piecewise": (
        gx.schedules.piecewise([2, 5], [0.3, 0.2, 0.1]),
        lambda t: 0.3 if t < 2 else 0.2 if t < 5 else 0.1,
    ),
}


@pytest.mark.parametrize("target", ["interpret", "cpu"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules(name: str, target: str) -> None:
    schedule, rate = SCHEDULES[name]
    p = gx.parameter("p", value=np.zeros(()))
    updates = gx.optim.SGD(schedule).minimize(p * 1.0)
    step = gx.compile([], p, updates=updates, target=target)
    moves = -np.diff([float(step()) for _ in range(12)])
    assert_close(moves, [rate(t) for t in range(11)], each=True)
    with pytest.raises(ArgumentError, match="is a schedule, not a parameter"):
        _ = updates.optimizer.learning_rate


def test_adam_with_a_schedule() -> None:
    p, x, loss = quadratic("float64")
    optimizer = gx.optim.Adam(gx.schedules.staircase(0.1, 0.5, 3))
    step = gx.compile([x], loss, updates=optimizer.minimize(loss), target="interpret")
    expected, state = p.value, {}
    for t in range(1, 10):
        step(np.ones(p.shape))
        rule = oracles.adam(0.1 * 0.5 ** ((t - 1) // 3))
        expected = rule(expected, expected + 0.5, t, state)
    assert_close(p.value, expected, each=True)
    assert optimizer.step.value == 9


@pytest.mark.parametrize(
    "make",
    [
        lambda: gx.schedules.exponential(0.1, 0.0),
        lambda: gx.schedules.linear(0.1, 0.0, 0),
        lambda: gx.schedules.cosine(0.1, 4, warmup=4),
        lambda: gx.schedules.piecewise([5, 2], [1, 2, 3]),
        lambda: gx.schedules.piecewise([5], [1]),
    ],
)
def test_schedules_refuse_nonsense(make: Callable[[], Any]) -> None:
    with pytest.raises(ArgumentError, match="schedules"):
        make()


# ------------------------------------------------------------------------------------- clipping


def two_parameters(scale: float) -> tuple[Any, Any, Any]:
    a = gx.parameter("a", value=np.array([1.0, 2.0]))
    b = gx.parameter("b", value=np.array([[3.0]]))
    return a, b, scale * ((a * [3.0, 0.0]).sum() + (b * 4.0).sum())


@pytest.mark.parametrize(("scale", "factor"), [(1.0, 0.2), (0.1, 1.0), (0.2, 1.0), (100.0, 0.002)])
def test_clip_norm_scales_by_the_global_norm(scale: float, factor: float) -> None:
    a, b, loss = two_parameters(scale)  # the gradient's norm is 5 * scale
    updates = gx.optim.SGD(1.0).minimize(loss, clip_norm=1.0)
    gx.compile([], loss, updates=updates, target="interpret")()
    assert_close(a.value, [1 - 3 * scale * factor, 2], tolerance="ulps", each=True)
    assert_close(b.value, [[3 - 4 * scale * factor]], tolerance="ulps")


def test_clip_value_bounds_every_element_and_comes_first() -> None:
    a, b, loss = two_parameters(10.0)
    updates = gx.optim.SGD(1.0).minimize(loss, clip_value=2.0, clip_norm=1.0)
    gx.compile([], loss, updates=updates, target="interpret")()
    moved = 1 / np.sqrt(2)  # (30, 0, 40) -> (2, 0, 2) -> norm 1
    assert_close(a.value, [1 - moved, 2], tolerance="ulps", each=True)
    assert_close(b.value, [[3 - moved]], tolerance="ulps")


def test_clip_norm_passes_nan_on() -> None:
    a, _, loss = two_parameters(float("nan"))
    updates = gx.optim.SGD(1.0).minimize(loss, clip_norm=1.0)
    gx.compile([], loss, updates=updates, target="interpret")()
    assert np.isnan(a.value).all()


def test_clipping_refuses_nonsense() -> None:
    _, _, loss = two_parameters(1.0)
    with pytest.raises(ArgumentError, match="clip_norm must be positive, got 0"):
        gx.optim.SGD(1.0).minimize(loss, clip_norm=0)
    with pytest.raises(ArgumentError, match="clip_value must be positive, got -1"):
        gx.optim.SGD(1.0).minimize(loss, clip_value=-1)


# ------------------------------------------------------------------- which parameters, merging


def test_minimize_takes_the_trainable_parameters_that_the_loss_reaches() -> None:
    a = gx.parameter("a", value=np.ones(2))
    frozen = gx.parameter("frozen", value=np.ones(2), trainable=False)
    gx.parameter("unused", value=np.ones(2))
    loss = (a * frozen).sum()
    assert next(iter(gx.optim.SGD(0.1).minimize(loss))) is a
    names = [p.name for p in gx.optim.SGD(0.1, name="s").minimize(loss)]
    assert names == ["a"]
    names = [p.name for p in gx.optim.SGD(0.1).minimize(loss, parameters=[a, frozen])]
    assert names == ["a"]


def test_weight_decay_mask() -> None:
    for mask in (lambda p: p.ndim > 1, None):
        a, b, loss = two_parameters(0.0)
        chosen = mask or [b]
        updates = gx.optim.AdamW(0.5, weight_decay=0.5, mask=chosen).minimize(loss)
        gx.compile([], loss, updates=updates, target="interpret")()
        np.testing.assert_array_equal(a.value, [1.0, 2.0])
        np.testing.assert_array_equal(b.value, [[2.25]])


def test_updates_merge_by_or() -> None:
    a, b, loss = two_parameters(1.0)
    first = gx.optim.SGD(1.0, name="one").minimize(loss, parameters=[a])
    second = gx.optim.Adam(0.1, name="two").minimize(loss, parameters=[b])
    both = first | second
    assert set(both) == {*first, *second}
    assert both.optimizer == (first.optimizer, second.optimizer)
    assert both[a] is first[a]
    counter = gx.parameter("counter", value=np.int64(0))
    merged = {counter: counter + 1} | both
    step = gx.compile([], loss, updates=merged, target="interpret")
    step()
    assert counter.value == 1
    np.testing.assert_array_equal(a.value, [-2.0, 2.0])


def test_updates_of_one_parameter_do_not_merge() -> None:
    a, _, loss = two_parameters(1.0)
    first = gx.optim.SGD(1.0).minimize(loss, parameters=[a])
    with pytest.raises(NameError, match="parameter a is updated twice"):
        _ = first | gx.optim.SGD(0.5).minimize(loss, parameters=[a])


def test_one_optimizer_for_two_sets_of_gradients_counts_once() -> None:
    a, b, loss = two_parameters(1.0)
    optimizer = gx.optim.Adam(0.1)
    updates = optimizer.minimize(loss, [a]) | optimizer.minimize(loss, [b])
    step = gx.compile([], loss, updates=updates, target="interpret")
    step()
    step()
    assert optimizer.step.value == 2
    assert updates.optimizer is optimizer


def test_two_functions_share_the_state_of_one_optimizer() -> None:
    p, x, loss = quadratic("float64")
    optimizer = gx.optim.Adam(0.1)
    steps = [
        gx.compile([x], loss, updates=optimizer.minimize(loss), target="interpret", name=f"s{i}")
        for i in range(2)
    ]
    expected, state = p.value, {}
    for t in range(1, 7):
        steps[t % 2](np.ones(p.shape))
        expected = oracles.adam(0.1)(expected, expected + 0.5, t, state)
    np.testing.assert_allclose(p.value, expected, **FORMULA)


def test_apply_takes_mappings_and_pairs() -> None:
    for form in ("mapping", "pairs"):
        a, _, loss = two_parameters(1.0)
        gradient = gx.grad(loss, a) * 2.0
        given = {a: gradient} if form == "mapping" else [(gradient, a)]
        updates = gx.optim.SGD(1.0).apply(given)
        gx.compile([], loss, updates=updates, target="interpret")()
        np.testing.assert_array_equal(a.value, [-5.0, 2.0])


def test_names_of_the_state() -> None:
    gx.seed(0)
    a, _, loss = two_parameters(1.0)
    with gx.name_scope("critic"):
        scoped = gx.optim.Adam(0.1)
    optimizer = gx.optim.Adam(0.1)
    names = [p.name for p in optimizer.minimize(loss, [a])]
    assert sorted(names) == ["a", "adam/a/m", "adam/a/v", "adam/step"]
    scoped.minimize(loss, [a])
    assert scoped.parameters[-1].name == "critic/adam/a/v"
    assert gx.optim.Adam(0.1).name == "adam_1"
    assert not any(p.trainable for p in optimizer.parameters)
    assert optimizer.step.dtype.name == "int64"


def test_updates_are_marked_as_the_update_part() -> None:
    from graphc.ir.graph import topological

    p, _, loss = quadratic("float32")
    updates = gx.optim.Adam(0.1).minimize(loss)
    before = set(topological([loss.node]))
    added = [n for n in topological([t.node for t in updates.values()]) if n not in before]
    parts = {n.step_part for n in added if n.inputs}
    assert updates[p].node.step_part == "update"
    assert parts == {"backward", "update"}


# ---------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gx.optim.SGD(0.1, momentum=1.0), r"momentum must be in \[0, 1\), got 1.0"),
        (lambda: gx.optim.SGD(0.1, nesterov=True), "nesterov needs momentum"),
        (lambda: gx.optim.Adam(beta1=1.5), r"beta1 must be in \[0, 1\), got 1.5"),
        (lambda: gx.optim.RMSprop(decay=-0.1), r"decay must be in \[0, 1\), got -0.1"),
        (lambda: gx.optim.Adagrad(initial_accumulator=-1.0), "must not be negative, got -1.0"),
    ],
)
def test_bad_options(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make()


def test_bad_arguments() -> None:
    a, _, loss = two_parameters(1.0)
    optimizer = gx.optim.SGD(0.1)
    with pytest.raises(ArgumentError, match='sparse must be "exact" or "lazy"'):
        optimizer.minimize(loss, sparse="sometimes")
    with pytest.raises(ArgumentError, match="reaches no trainable parameter"):
        optimizer.minimize(gx.input("x", (2,), dtype="float64").sum())
    with pytest.raises(GradientError):
        optimizer.minimize(a)
    with pytest.raises(ArgumentError, match="apply: needs"):
        optimizer.apply({a: 3.0})
    with pytest.raises(ArgumentError, match=r"parameter a is f64\[2\], its gradient f64\[\]"):
        optimizer.apply({a: loss})
    with pytest.raises(NameError, match="two gradients"):
        optimizer.apply(list(itertools.repeat((gx.grad(loss, a), a), 2)))


def test_maximize_goes_up_as_minimize_of_the_negative_does() -> None:
    """Of -(w - 3)^2 to its top."""
    up, down = (gx.parameter(name, value=np.zeros(2)) for name in ("up", "down"))
    steps = [
        gx.compile([], [], gx.optim.Adam(0.1).maximize(-((up - 3.0) ** 2).sum(), clip_norm=1.0)),
        gx.compile([], [], gx.optim.Adam(0.1).minimize(((down - 3.0) ** 2).sum(), [down], 1.0)),
    ]
    for _ in range(300):
        for step in steps:
            step()
    np.testing.assert_array_equal(up.value, down.value)
    assert np.abs(up.value - 3).max() < 0.05
    with pytest.raises(ArgumentError, match="maximize: loss must be a tensor, got 3"):
        gx.optim.Adam(0.1).maximize(3)  # type: ignore[arg-type]
