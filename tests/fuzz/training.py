"""Training runs that stop and go on, perhaps on another target.

By seed: a network (dense layers, batch norm, dropout, an embedding), an optimiser with its options,
a schedule of its rate, clipping, accumulation, an average of the parameters, mixed precision with
its loss scale, sizes, the epoch after which the run stops, and the targets of the three runs. A run
that is written down and goes on in a new function has, bit for bit, the parameters, the state, the
random state and the history of the uninterrupted one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import graphc as gx

Rng = np.random.Generator
TARGETS = ("cpu", "cuda-simulate")
EPOCHS = 3
SAMPLES = 19


def check(seed: int) -> str:
    """Draw one run; compare it with one that is interrupted."""
    rng = np.random.default_rng((seed, 47))
    make = drawn_step(seed)
    batch, stop = int(rng.integers(4, 12)), int(rng.integers(1, EPOCHS))
    begin, end = (TARGETS[int(i)] for i in rng.integers(0, 2, 2))
    order = int(rng.integers(0, 2)) or None
    given = samples(rng)
    with tempfile.TemporaryDirectory() as folder:
        last = gx.callbacks.Checkpoint(Path(folder) / "last")
        whole, part, rest = make("cpu"), make(begin), make(end)
        expected = gx.fit(whole, given, EPOCHS, batch, seed=order, verbose=False)
        gx.fit(part, given, stop, batch, callbacks=[last], seed=order, verbose=False)
        last.restore(rest)
    found = gx.fit(rest, given, EPOCHS - stop, batch, seed=order, verbose=False)
    name = type(whole.optimizer).__name__
    where = f"{name}: stopped on {begin} after {stop} epochs, went on on {end}"
    assert found["loss"] == expected["loss"][stop:], f"{where}: {found['loss']}"
    for key, parameter in whole.parameters.items():
        same = parameter.value.tobytes() == rest.parameters[key].value.tobytes()
        assert same, f"{where}: {key} differs"
    assert (whole.rng == rest.rng).all(), f"{where}: {rest.rng} in place of {whole.rng}"
    return f"{begin} to {end}"


def samples(rng: Rng) -> list[Any]:
    """Numbers, words and labels."""
    x = rng.standard_normal((SAMPLES, 5)).astype("float32")
    return [x, *(rng.integers(0, 7, SAMPLES).astype("int32") for _ in range(2))]


def drawn_step(seed: int) -> Callable[[str], Any]:
    """What builds the same step anew, for a target."""

    def make(target: str) -> Any:
        rng = np.random.default_rng((seed, 48))
        gx.seed(seed)
        precision = ["fp32", "fp32", "fp32", "tf32", "bf16", "fp16"][int(rng.integers(6))]
        with gx.precision(precision):
            x, loss, updates = drawn_updates(rng)
            return gx.compile(x, {"loss": loss}, updates, target=target)

    return make


def drawn_updates(rng: Rng) -> tuple[list[Any], Any, Any]:
    """The inputs of a network, its loss, and how it learns; contractions of less than 16 rows."""
    x = gx.input("x", ("batch", 5))
    words, labels = (gx.input(n, ("batch",), dtype="int32") for n in ("words", "labels"))
    h = x
    if rng.random() < 0.5:
        h = gx.concat([h, gx.nn.Embedding(7, 3, name="table")(words)], axis=1)
    else:
        h = h + words.astype("float32").reshape(-1, 1) * 0.1
    h = gx.nn.Dense(int(rng.integers(2, 9)), activation="tanh", name="first")(h)
    if rng.random() < 0.5:
        h = gx.nn.BatchNorm(name="norm")(h)
    if rng.random() < 0.5:
        h = gx.nn.Dropout(0.3, name="drop")(h)
    loss = gx.nn.softmax_cross_entropy(gx.nn.Dense(7, name="last")(h), labels).mean()
    clip = [{}, {"clip_norm": 0.3}, {"clip_value": 0.02}, {"clip_each_norm": 0.1}]
    options: dict[str, Any] = clip[int(rng.integers(4))]
    updates: Any = drawn_optimizer(rng).minimize(loss, **options)
    if rng.random() < 0.5:
        updates = [updates, gx.ema(updates, 0.9, name="average")]
    return [x, words, labels], loss, updates


def drawn_optimizer(rng: Rng) -> Any:
    """An optimiser of a drawn kind, rate and options."""
    rate = drawn_rate(rng, float(rng.choice([1e-3, 1e-2, 0.1])))
    o = gx.optim
    kinds: list[Callable[[], Any]] = [
        lambda: o.SGD(rate),
        lambda: o.SGD(rate, momentum=0.9, nesterov=bool(rng.integers(2))),
        lambda: o.Adam(rate, amsgrad=bool(rng.integers(2))),
        lambda: o.AdamW(rate, weight_decay=0.1),
        lambda: o.Nadam(rate, momentum_decay=0.004),
        lambda: o.Adamax(rate),
        lambda: o.Adagrad(rate),
        lambda: o.Adadelta(rate),
        lambda: o.RMSprop(rate, momentum=0.5),
        lambda: o.Lion(rate, weight_decay=0.1),
        lambda: o.LAMB(rate),
        lambda: o.Adafactor(rate),
        lambda: o.groups([("*kernel", o.Muon(rate)), ("*", o.Adam(rate))]),
        lambda: o.Rprop(0.01),
        lambda: o.ScheduleFree(o.SGD(rate)),
        lambda: o.accumulate(o.Adam(rate), 2),
        lambda: o.chain(o.clip_by_norm(0.5), o.momentum(0.8), o.scale(rate)),
    ]
    return kinds[int(rng.integers(len(kinds)))]()


def drawn_rate(rng: Rng, rate: float) -> Any:
    """A number, or a schedule whose count of steps is part of the state."""
    s = gx.schedules
    return [
        rate, rate, s.exponential(rate, 0.9), s.cosine(rate, 9, warmup=2), s.warmup(rate, 3),
        s.piecewise([2, 5], [rate, rate / 2, rate / 4]), s.one_cycle(rate, 10),
    ][int(rng.integers(7))]  # fmt: skip
