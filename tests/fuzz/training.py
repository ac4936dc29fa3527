"""Training runs that stop and go on, perhaps on another target.

By seed: a network (dense layers, batch norm, dropout, an embedding), an optimiser with its options
(every one that there is), a schedule of its rate (likewise), clipping, accumulation, an average of
the parameters, mixed precision with its loss scale, sizes, rates that are lowered by hand and on a
plateau, the epoch after which or in which the run stops, and the targets of the three runs. A run
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
EPOCHS = 4
SAMPLES = 19


def check(seed: int) -> str:
    """Draw one run; compare it with one that is interrupted."""
    rng = np.random.default_rng((seed, 47))
    make = drawn_step(seed)
    batch, stop = int(rng.integers(4, 12)), int(rng.integers(1, EPOCHS))
    begin, end = (TARGETS[int(i)] for i in rng.integers(0, 2, 2))
    order, midway = int(rng.integers(0, 2)) or None, bool(rng.integers(2))
    given = samples(rng)
    options: dict[str, Any] = {"seed": order, "verbose": False}
    with tempfile.TemporaryDirectory() as folder:
        every = 1 if midway and rng.integers(2) else None  # goes on within the epoch
        last = gx.callbacks.Checkpoint(Path(folder) / "last", every_steps=every)
        whole, part, rest = make("cpu"), make(begin), make(end)
        expected = gx.fit(whole, given, EPOCHS, batch, callbacks=watchers(whole), **options)
        stopping = [*watchers(part), last, *([Interrupt(stop)] if midway else [])]
        epochs = EPOCHS if midway else stop
        gx.fit(part, given, epochs, batch, callbacks=stopping, **options)
        last.restore(rest)
    found = gx.fit(rest, given, EPOCHS - stop, batch, callbacks=watchers(rest), **options)
    name = type(whole.optimizer).__name__
    where = f"{name}: stopped on {begin} after {stop} epochs, went on on {end}"
    assert found["loss"] == expected["loss"][stop:], f"{where}: {found['loss']}"
    for key, parameter in whole.parameters.items():
        same = parameter.value.tobytes() == rest.parameters[key].value.tobytes()
        assert same, f"{where}: {key} differs"
    assert (whole.rng == rest.rng).all(), f"{where}: {rest.rng} in place of {whole.rng}"
    return f"{begin} to {end}"


class ByHand(gx.callbacks.Callback):
    """Lowers the rates after the first epoch of all."""

    def epoch_end(self, run: Any, logs: dict[str, float]) -> None:
        """Lower them."""
        if run.done + run.history.epochs == 1:
            for optimizer in run.optimizers:
                for part in optimizer.with_rates:
                    part.lower_rate(0.7)


class Interrupt(gx.callbacks.Callback):
    """Ctrl-C within the epoch after some."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def slice_end(self, run: Any, logs: dict[str, float]) -> None:
        """Raise where it is time."""
        if run.history.epochs == self.epochs:
            raise KeyboardInterrupt


def watchers(step: Any) -> list[gx.callbacks.Callback]:
    """What changes the rates of a step that has any."""
    if type(step.optimizer).__name__ == "Chain" and step.optimizer.with_rates == [step.optimizer]:
        return []
    return [ByHand(), gx.callbacks.ReduceOnPlateau("loss", 0.5, patience=1, min_delta=0.05)]


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
            x, loss, updates = drawn_updates(rng, precision)
            return gx.compile(x, {"loss": loss}, updates, target=target)

    return make


def drawn_updates(rng: Rng, precision: str = "fp32") -> tuple[list[Any], Any, Any]:
    """The inputs of a network, its loss, and how it learns; contractions of less than 16 rows."""
    x = gx.input("x", ("batch", 5))
    words, labels = (gx.input(n, ("batch",), dtype="int32") for n in ("words", "labels"))
    full_batch = rng.random() < 0.15 and precision != "fp16"  # which scales losses
    h = x
    if rng.random() < 0.5:
        h = gx.concat([h, gx.nn.Embedding(7, 3, name="table")(words)], axis=1)
    else:
        h = h + words.astype("float32").reshape(-1, 1) * 0.1
    h = gx.nn.Dense(int(rng.integers(2, 9)), activation="tanh", name="first")(h)
    if rng.random() < 0.5 and not full_batch:
        h = gx.nn.BatchNorm(name="norm")(h)
    if rng.random() < 0.5 and not full_batch:
        h = gx.nn.Dropout(0.3, name="drop")(h)
    loss = gx.nn.softmax_cross_entropy(gx.nn.Dense(7, name="last")(h), labels).mean()
    clip = [{}, {"clip_norm": 0.3}, {"clip_value": 0.02}, {"clip_each_norm": 0.1}]
    options: dict[str, Any] = {} if full_batch else clip[int(rng.integers(4))]
    chosen = drawn_search(rng) if full_batch else drawn_optimizer(rng)
    updates: Any = chosen.minimize(loss, **options)
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
        lambda: o.ScheduleFree(o.Adam(rate)),
        lambda: o.ProximalL1(o.SGD(rate), 0.01),
        lambda: o.accumulate(o.Adam(rate), 2),
        lambda: o.chain(o.clip_by_norm(0.5), o.momentum(0.8), o.scale(rate)),
        lambda: o.chain(o.clip_by_value(0.1), o.weight_decay(0.01), o.Adam(rate)),
    ]
    return kinds[int(rng.integers(len(kinds)))]()


def drawn_search(rng: Rng) -> Any:
    """A method of full batches, which searches along lines."""
    o = gx.optim
    kinds: list[Callable[[], Any]] = [
        lambda: o.LBFGS(history=3, max_evaluations=6),
        lambda: o.BFGS(max_evaluations=6),
        lambda: o.Newton(damping=0.5, max_evaluations=6),
    ]
    return kinds[int(rng.integers(len(kinds)))]()


def drawn_rate(rng: Rng, rate: float) -> Any:
    """A number, or a schedule whose count of steps is part of the state."""
    s = gx.schedules
    kinds: list[Any] = [
        rate, rate, rate, s.constant(rate), s.exponential(rate, 0.9), s.staircase(rate, 0.5, 2),
        s.inverse_time(rate, 0.1), s.linear(rate, rate / 9, 9), s.polynomial(rate, rate, 9),
        s.cosine(rate, 9, warmup=2), s.warmup(rate, 3), s.warmup(s.exponential(rate, 0.9), 3),
        s.piecewise([2, 5], [rate, rate / 2, rate / 4]), s.one_cycle(rate, 10),
        s.cyclical(rate / 9, rate, 3),
    ]  # fmt: skip
    return kinds[int(rng.integers(len(kinds)))]
