"""The optimisers that came after Adam, against their papers' formulas, and their small print."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError
from graphc.testing import assert_close
from tests.optim import optimizer_formulas as oracles
from tests.optim.quadratic import follow, quadratic

CASES: dict[str, tuple[Callable[[], Any], oracles.Rule]] = {
    "amsgrad": (lambda: gx.optim.Adam(0.05, amsgrad=True), oracles.amsgrad(0.05)),
    "uncorrected": (
        lambda: gx.optim.Adam(0.05, bias_correction=False),
        oracles.adam_uncorrected(0.05),
    ),
    "nadam warmed up": (
        lambda: gx.optim.Nadam(0.05, momentum_decay=0.004),
        oracles.nadam_warmed(0.05),
    ),
    "rprop": (lambda: gx.optim.Rprop(0.01), oracles.rprop(0.01)),
    "lion": (lambda: gx.optim.Lion(0.01, weight_decay=0.1), oracles.lion(0.01, decay=0.1)),
    "lamb": (lambda: gx.optim.LAMB(0.01, weight_decay=0.1), oracles.lamb(0.01, 0.1)),
    "adafactor": (
        lambda: gx.optim.Adafactor(0.05, weight_decay=0.1),
        oracles.adafactor(0.05, 0.1),
    ),
    "muon": (lambda: gx.optim.Muon(0.02, weight_decay=0.1), oracles.muon(0.02, decay=0.1)),
    "schedule-free": (
        lambda: gx.optim.ScheduleFree(gx.optim.SGD(0.1), 0.9),
        oracles.schedule_free_sgd(0.1, 0.9),
    ),
}


@pytest.mark.parametrize("target", ["interpret", "cpu"])
@pytest.mark.parametrize("case", CASES)
def test_twenty_steps_follow_the_paper(case: str, target: str) -> None:
    make, rule = CASES[case]
    value, expected = follow(make(), rule, "float64", target)
    assert_close(value, expected, each=True, floor=1.0)


@pytest.mark.parametrize("case", [c for c in CASES if c not in ("rprop", "lion")])
def test_float32(case: str) -> None:
    """Rprop and Lion go by signs, which rounding may change."""
    make, rule = CASES[case]
    value, expected = follow(make(), rule, "float32", "cpu")
    assert_close(value, expected, tolerance="sums", floor=1.0)


@pytest.mark.parametrize("shape", [(), (1,), (0,), (7,), (1, 1), (0, 3), (3, 0), (2, 3, 4)])
@pytest.mark.parametrize("case", CASES)
def test_any_shape_stays_finite(case: str, shape: tuple[int, ...]) -> None:
    make, _ = CASES[case]
    p, x, loss = quadratic("float32", shape)
    if case == "muon" and len(shape) < 2:
        with pytest.raises(ArgumentError, match="not a matrix"):
            make().minimize(loss)
        return
    step = gx.compile([x], loss, make().minimize(loss), target="interpret")
    for size in (1.0, 0.0, 1e-20):
        step(np.full(shape, size, "float32"))
    assert p.value.shape == shape
    assert np.isfinite(p.value).all()


def test_a_gradient_of_zero_leaves_muon_lamb_and_adafactor_in_place() -> None:
    for make in (gx.optim.Muon, lambda: gx.optim.LAMB(weight_decay=0.0), gx.optim.Adafactor):
        p, x, loss = quadratic("float64")
        before = p.value
        gx.compile([x], loss, make().minimize(loss), target="interpret")(np.zeros(p.shape))
        np.testing.assert_array_equal(p.value, before)


def test_adafactor_keeps_rows_and_columns_alone() -> None:
    loss = quadratic("float32", (64, 48))[2]
    optimizer = gx.optim.Adafactor()
    optimizer.minimize(loss)
    assert sorted(s.size for s in optimizer.parameters) == [1, 1, 48, 64]


def test_muon_makes_the_singular_values_about_one() -> None:
    optimizer = gx.optim.Muon()
    x = gx.input("x", (6, 4), "float64")
    f = gx.compile([x], optimizer.orthogonal(x, wide=False), target="interpret")
    values = np.linalg.svd(f(np.random.default_rng(0).normal(size=(6, 4))), compute_uv=False)
    assert (values > 0.6).all()
    assert (values < 1.3).all()


def test_schedule_free_averages_take_the_place_of_parameters() -> None:
    p, x, loss = quadratic("float64")
    optimizer = gx.optim.ScheduleFree(gx.optim.SGD(0.1), 0.9)
    step = gx.compile([x], loss, optimizer.minimize(loss), target="interpret")
    averaged = gx.compile([], gx.substitute(p * 1.0, optimizer.averages), target="interpret")
    state: dict[str, Any] = {}
    expected = p.value
    np.testing.assert_array_equal(averaged(), expected)
    for t in range(1, 6):
        step(np.ones(p.shape))
        expected = oracles.schedule_free_sgd(0.1, 0.9)(expected, expected + 0.5, t, state)
    assert_close(averaged(), state["x"], each=True)
    assert float(optimizer.learning_rate.value) == 0.1


def test_a_gradient_of_1e23_does_not_stop_training() -> None:
    for dtype, huge in (("float32", 1e23), ("float64", 1e200)):
        p, x, loss = quadratic(dtype)
        before = p.value
        updates = gx.optim.SGD(0.1).minimize(loss, clip_norm=1.0)
        gx.compile([x], loss, updates)(np.full(p.shape, huge, dtype))
        g = before + 0.5
        assert_close(p.value, before - 0.1 * g / np.linalg.norm(g), each=True, floor=1.0)
