"""What courses say of optimisers: valleys, steps that shrink, averages, noise, curvature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc import optim
from graphc.testing import assert_close
from tests.tolerances import NOISE

START, CURVATURE = np.array([-10.0, 1.0]), np.array([1.0, 50.0])  # a narrow valley


class Descent:
    """Steps of an optimiser down a surface, in native code, from the same start whenever asked."""

    def __init__(self, optimizer: Any, surface: Callable[[Any], Any], start: Any) -> None:
        p = gx.parameter("p", value=np.asarray(start, np.float64))
        loss = surface(p)
        updates = optimizer.minimize(loss)
        count = gx.input("count", ("steps",))  # one row of nothing for every step
        self.step = gx.compile([count], (loss, p * 1.0), updates, threads=1)
        self.first = {q: q.value for q in self.step.parameters.values()}

    def run(self, steps: int, rate: float | None = None) -> tuple[Any, Any]:
        """The losses and places on the way."""
        for q, value in self.first.items():
            q.value = value
        if rate is not None:
            self.step.optimizer.learning_rate.value = rate
        found = self.step.run_epoch([np.zeros(steps, "float32")], batch_size=1, shuffle=False)
        return np.asarray(found[0]), np.asarray(found[1])


def valley(p: Any) -> Any:
    """Fifty times as steep across as along."""
    return 0.5 * (p * p * CURVATURE).sum()


def descent(optimizer: Any, steps: int) -> tuple[Any, Any]:
    """The losses and places on the way through the valley."""
    return Descent(optimizer, valley, START).run(steps)


def test_momentum_leaves_a_valley_sooner_and_nesterov_overshoots_less() -> None:
    """The largest rate that plain descent stands is 2 / 50."""
    plain, _ = descent(optim.SGD(0.02), 100)
    fast, swing = descent(optim.SGD(0.02, momentum=0.9), 100)
    ahead, less = descent(optim.SGD(0.02, momentum=0.9, nesterov=True), 100)
    assert fast[-1] < plain[-1] / 100
    assert ahead[-1] < plain[-1] / 100
    assert 0 < less[:, 0].max() < 0.8 * swing[:, 0].max()  # beyond the minimum, along the valley


def test_plain_descent_is_the_slowest_of_the_set() -> None:
    """Each at its best of four rates, to a thousandth of the first loss."""
    rates = {
        "SGD": (0.0005, 0.001, 0.002, 0.0035), "Momentum": (0.0005, 0.001, 0.002, 0.0035),
        "RMSprop": (0.03, 0.1, 0.3, 1.0), "Adam": (0.1, 0.3, 1.0, 3.0),
    }  # fmt: skip
    taken = {}
    for name, choices in rates.items():
        made = optim.SGD(0.1, 0.9) if name == "Momentum" else getattr(optim, name)(0.1)
        down = Descent(made, lambda p: 0.5 * (p * p * [1.0, 500.0]).sum(), START)
        losses = [down.run(1500, rate)[0] for rate in choices]
        taken[name] = min(int((found > found[0] / 1e3).sum()) for found in losses)
    assert max(taken, key=lambda name: taken[name]) == "SGD", taken
    assert taken["SGD"] > 3 * taken["Momentum"], taken


def moves(optimizer: Any, steps: int) -> Any:
    """How far each step goes under a gradient that stays 1."""
    return -np.diff(Descent(optimizer, lambda p: p * 1.0, 0.0).run(steps + 1)[1])


def test_adagrad_stalls_in_long_runs_and_rmsprop_does_not() -> None:
    slow, steady = (
        moves(optim.Adagrad(0.1, epsilon=0.0), 900),
        moves(optim.RMSprop(0.1, decay=0.9, epsilon=0.0), 900),
    )
    assert_close(slow, 0.1 / np.sqrt(np.arange(1, 901)), tolerance="sums")
    assert slow[-1] < slow[0] / 25
    assert_close(steady[-100:], np.full(100, 0.1), tolerance="sums")


def test_the_bias_correction_of_adam_matters_in_early_steps_alone() -> None:
    exact = {"epsilon": 0.0}
    with_it, without = (
        moves(optim.Adam(0.1, bias_correction=on, **exact), 6000) for on in (True, False)
    )
    assert_close(with_it, np.full(6000, 0.1), tolerance="sums")  # from the first step on
    assert without[0] > 3 * with_it[0]  # (1 - b1) / sqrt(1 - b2): 3.2 times as far
    assert 1 < without[-1] / with_it[-1] < 1.002


@pytest.mark.parametrize("nesterov", [False, True])
def test_both_conventions_of_signs_and_both_forms_of_nesterov_agree(nesterov: bool) -> None:
    """v := mu v - rate g, p := p + v; and the look-ahead at p + mu v."""
    _, places = descent(optim.SGD(0.02, momentum=0.9, nesterov=nesterov), 20)
    p, v, visited = START, np.zeros(2), []
    for _ in range(20):
        ahead = p + 0.9 * v if nesterov else p
        visited.append(ahead)
        v = 0.9 * v - 0.02 * CURVATURE * ahead
        p = p + v
    assert_close(places, visited)


def test_momentum_is_annealed_from_a_half() -> None:
    beta = gx.schedules.linear(0.5, 0.99, 10)
    _, places = descent(optim.SGD(0.01, momentum=beta), 15)
    p, v = START, np.zeros(2)
    for t, place in enumerate(places):
        assert_close(place, p)
        v = (0.5 + 0.49 * min(t / 10, 1)) * v + CURVATURE * p
        p = p - 0.01 * v


def test_the_noise_of_a_step_grows_as_the_batch_shrinks() -> None:
    """Its deviation is that of one example over the root of the size; none for the whole set."""
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(512, 5)), rng.normal(size=512)
    inputs, target = gx.input("x", ("batch", 5), "float64"), gx.input("t", ("batch",), "float64")
    w = gx.parameter("w", value=np.zeros(5))
    gradient = gx.grad(gx.nn.mse(inputs @ w, target).mean(), w)
    function = gx.compile([inputs, target], gradient)
    noise = {}
    for size in (1, 16, 128):
        rows = rng.integers(0, 512, 600 * size)
        noise[size] = function.run_epoch([x[rows], t[rows]], batch_size=size).std(0).mean()
    assert noise[1] / noise[16] == pytest.approx(4.0, **NOISE)
    assert noise[16] / noise[128] == pytest.approx(np.sqrt(8.0), **NOISE)
    whole = [function(x[r], t[r]) for r in (np.arange(512), np.arange(512)[::-1])]
    assert_close(whole[0], whole[1])


def test_the_curve_of_whole_batches_is_smooth_and_that_of_small_ones_is_not() -> None:
    (x, y), _ = gx.data.digits()
    net = gx.models.logistic()
    inputs, t = gx.input("x", ("batch", 64)), gx.input("t", ("batch",), "int32")
    loss = gx.nn.softmax_cross_entropy(net(inputs), t).mean()
    step = gx.compile([inputs, t], loss, optim.SGD(0.5).minimize(loss))
    curve = np.array([float(step(x[:600], y[:600])) for _ in range(40)])
    assert (np.diff(curve) < 0).all()
    small = step.run_epoch([x[:600], y[:600]], batch_size=8, seed=0)
    assert (np.diff(small) > 0).mean() > 0.3


def test_newton_jumps_and_bfgs_needs_as_many_steps_as_there_are_numbers() -> None:
    matrix = np.array([[3.0, 1.0, 0.5], [1.0, 2.0, 0.0], [0.5, 0.0, 1.0]])

    def quadratic(optimizer: Any, steps: int) -> Any:
        surface = Descent(optimizer, lambda p: 0.5 * (p * (matrix @ p)).sum(), [5.0, -3.0, 2.0])
        return surface.run(steps)[0]

    assert quadratic(optim.Newton(), 2)[1] < 1e-25
    exact = quadratic(optim.BFGS(), 12)
    assert exact[3] > 1e-6  # the curvature of three directions is learned one by one
    assert exact[-1] < 1e-12


def test_averages_of_the_past_take_one_array_and_a_window_one_for_each_step() -> None:
    """What the state of an optimiser takes, and what the summary of a step says of it."""

    def state(make: Callable[[], Any]) -> int:
        p = gx.parameter("p", value=np.ones(1000, "float32"))
        optimizer = make()
        optimizer.minimize((p * p).sum())
        counted = gx.summary([q for q in optimizer.parameters if q is not p])
        assert counted.total == sum(q.size for q in optimizer.parameters if q is not p)
        return int(counted.total) // 1000

    assert state(lambda: optim.SGD(0.1)) == 0
    assert state(lambda: optim.SGD(0.1, momentum=0.9)) == 1  # the leaky counters
    assert state(lambda: optim.RMSprop(0.1)) == 1
    assert state(lambda: optim.Adam(0.1)) == 2
    # windows of the last 5 and 20 gradients, each with the move that belongs to it
    five, twenty = (state(lambda n=n: optim.LBFGS(history=n)) for n in (5, 20))
    assert twenty - five == 2 * 15


def test_lbfgs_wins_where_nothing_is_random_and_fails_with_noise() -> None:
    """Batches of ten examples have a curvature each of their own."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(200, 10))
    t = (1 / (1 + np.exp(-x @ rng.normal(size=10))) > rng.random(200)).astype("float64")
    whole, batches = np.tile(np.arange(200), 15), rng.integers(0, 200, 600)
    inputs, labels = gx.input("x", ("n", 10), "float64"), gx.input("t", ("n",), "float64")
    found: list[tuple[float, float]] = []
    for optimizer in (optim.LBFGS(), optim.Adam(0.1)):
        p = gx.parameter("p", value=np.zeros(10))
        loss = gx.nn.sigmoid_cross_entropy(inputs @ p, labels).mean() + 1e-3 * (p * p).sum()
        step = gx.compile([inputs, labels], p * 1.0, optimizer.minimize(loss), threads=1)
        first = {q: q.value for q in step.parameters.values()}
        for rows, size in ((whole, 200), (batches, 10)):
            for q, value in first.items():
                q.value = value
            w = step.run_epoch([x[rows], t[rows]], batch_size=size, shuffle=False)
            z = x @ w.T
            losses = (np.logaddexp(0, z) - t[:, None] * z).mean(0) + 1e-3 * (w**2).sum(1)
            found.append((losses[-1], losses[-len(losses) // 3 :].mean()))
    (exact, _), (_, lost), (slower, _), (_, noisy) = found
    assert exact < slower - 0.003
    assert lost > noisy + 0.08
    assert lost > exact + 0.1


def test_standardised_inputs_need_fewer_steps() -> None:
    """The rate is the best that each surface stands; the valley's narrowness decides."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 3)) * [1.0, 5.0, 20.0] + [0.0, 10.0, -40.0]
    y = x @ [1.0, -0.3, 0.1] + 0.1 * rng.normal(size=100)

    def steps(x: Any) -> int:
        a = np.c_[np.ones(100), x]
        rate = 1 / np.linalg.eigvalsh(a.T @ a / 100).max()
        best = 0.5 * ((y - a @ np.linalg.lstsq(a, y, rcond=None)[0]) ** 2).mean()
        surface = Descent(
            optim.SGD(rate), lambda w: 0.5 * gx.nn.mse(gx.constant(a) @ w, y).mean(), np.zeros(4)
        )
        return int((surface.run(3000)[0] > 1.01 * best).sum())

    assert steps((x - x.mean(0)) / x.std(0)) < 60
    assert steps(x) == 3000


def test_a_high_rate_begins_faster_and_ends_worse_and_lowering_it_has_both() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 10)).astype("float32")
    y = (x @ rng.normal(size=10) + rng.normal(size=2000)).astype("float32")
    rows = rng.integers(0, 2000, (600, 4))
    inputs, t = gx.input("x", ("n", 10)), gx.input("t", ("n",))

    def curve(rate: Any) -> Any:
        p = gx.parameter("p", (10,), gx.init.zeros())
        loss = gx.nn.mse(inputs @ p, t).mean()
        places = (p * 1.0, gx.optim.SGD(rate).minimize(loss))
        step = gx.compile([inputs, t], *places, threads=1)
        data = [x[rows].reshape(-1, 10), y[rows].reshape(-1)]
        w = step.run_epoch(data, batch_size=4, shuffle=False)
        return ((x @ w.T - y[:, None]) ** 2).mean(0)

    high, low = curve(0.15), curve(0.01)
    lowered = curve(gx.schedules.piecewise([60], [0.15, 0.01]))
    assert high[20] < 0.6 * low[20]
    assert high[-100:].mean() > 1.3 * low[-100:].mean()
    np.testing.assert_array_equal(lowered[:60], high[:60])
    assert lowered[-100:].mean() < 1.05 * low[-100:].mean()
