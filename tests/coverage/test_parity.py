"""A hundred steps of optimisers beside those of torch and optax, where these are installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.testing import assert_close

STEPS = 100
RNG = np.random.default_rng(0)
START, BATCHES = RNG.normal(size=7), RNG.normal(size=(STEPS, 7))


def ours(optimizer: Any) -> Any:
    """Where sum(x (p^2 + p)) / 2 leads."""
    p, x = gx.parameter("p", value=START), gx.input("x", ("batch", 7), "float64")
    loss = (x[0] * (p * p + p)).sum() * 0.5
    step = gx.compile([x], loss, optimizer.minimize(loss), threads=1)
    step.run_epoch([BATCHES], batch_size=1, shuffle=False)
    return p.value


TORCH = {
    "adadelta": (gx.optim.Adadelta, "Adadelta", {"lr": 1.0, "rho": 0.9, "eps": 1e-6}),
    "adamax": (lambda: gx.optim.Adamax(0.02, epsilon=0.0), "Adamax", {"lr": 0.02, "eps": 0.0}),
    "nadam": (lambda: gx.optim.Nadam(0.02, momentum_decay=4e-3), "NAdam", {"lr": 0.02}),
    "rmsprop": (lambda: gx.optim.RMSprop(0.01, 0.99), "RMSprop", {"lr": 0.01, "alpha": 0.99}),
}
OPTAX = {
    "rmsprop": (
        lambda: gx.optim.RMSprop(0.01, 0.99, epsilon=1e-7),
        lambda o: o.rmsprop(0.01, 0.99, 1e-7, eps_in_sqrt=False),
    ),
    "adam": (
        lambda: gx.optim.Adam(0.02, beta2=0.995),
        lambda o: o.adam(0.02, b2=0.995),
    ),
    "nadam": (lambda: gx.optim.Nadam(0.02), lambda o: o.nadam(0.02)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TORCH)
def test_a_hundred_steps_are_those_of_torch(name: str) -> None:
    torch = pytest.importorskip("torch")
    make, theirs, options = TORCH[name]
    p = torch.tensor(START, requires_grad=True)
    optimizer = getattr(torch.optim, theirs)([p], **options)
    for batch in BATCHES:
        optimizer.zero_grad()
        (torch.tensor(batch) * (p * p + p)).sum().mul(0.5).backward()
        optimizer.step()
    # torch keeps Nadam's product of momenta in float32
    kept, row = ("float32", "rounding") if name == "nadam" else ("float64", "sums")
    assert_close(ours(make()), p.detach().numpy(), kept, tolerance=row, each=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTAX)
def test_a_hundred_steps_are_those_of_optax(name: str) -> None:
    jax = pytest.importorskip("jax")
    optax = pytest.importorskip("optax")
    make, theirs = OPTAX[name]
    with jax.experimental.enable_x64():
        rule = theirs(optax)
        p = jax.numpy.asarray(START)
        state = rule.init(p)
        for batch in BATCHES:
            moves, state = rule.update(jax.numpy.asarray(batch * (np.asarray(p) + 0.5)), state, p)
            p = optax.apply_updates(p, moves)
    assert_close(ours(make()), np.asarray(p), tolerance="sums", each=True)
