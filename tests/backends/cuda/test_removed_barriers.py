"""Barriers taken out of real kernels: each is missed by the simulator, or was not needed.

A barrier that is not needed: the last one of a kernel, that of a loop that turns once at these
sizes, one between accesses of the same threads. Then both executors, in any order of threads,
compute the same bits as before and report nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.ir.types import Array
from graphc_cuda import simulated_device
from graphc_cuda.simulate import SimulationError, simulate
from tests.backends.cuda.executors import HAS_GREENLET

BARRIER = re.compile(r"cuda\.sync(threads|warp)\(.*\)")
RNG = np.random.default_rng(2)


@dataclass(frozen=True, eq=False)
class Launched:
    """A launch of a step, with what its arguments held before."""

    text: str
    name: str
    grid: int
    block: int
    before: tuple[Array, ...]

    def run(self, text: str, **options: Any) -> list[bytes]:
        """What the arguments hold afterwards."""
        arrays = [np.array(a) for a in self.before]
        simulate(text, self.name, self.grid, self.block, arrays, **options)
        return [a.tobytes() for a in arrays]

    def without_barrier(self) -> Iterator[str]:
        """The text, with one barrier of this kernel less."""
        start = self.text.index(f"def {self.name}(")
        end = self.text.find("\n@", start)
        for found in BARRIER.finditer(self.text, start, end if end > 0 else len(self.text)):
            yield self.text[: found.start()] + "pass" + self.text[found.end() :]


def launches(step: Any, arguments: tuple[Array, ...], monkeypatch: Any) -> list[Launched]:
    """The launches of a step that have barriers, each kernel once."""
    found: dict[str, Launched] = {}

    def note(text: str, name: str, grid: int, block: int, arrays: list[Array], **_: Any) -> None:
        before = tuple(np.array(a) for a in arrays)
        found.setdefault(name, Launched(text, name, grid, block, before))
        simulate(text, name, grid, block, arrays)

    monkeypatch.setattr(simulated_device, "simulate", note)
    step(*arguments)
    return [launch for launch in found.values() if next(launch.without_barrier(), None)]


def normalized() -> tuple[Any, tuple[Array, ...]]:
    """Products, rows of a softmax and of a layer norm, sums over the batch."""
    gx.seed(1)
    x, labels = gx.input("x", (8, 24)), gx.input("labels", (8,), dtype="int32")
    layers = [gx.nn.Dense(16, activation="gelu"), gx.nn.LayerNorm(), gx.nn.Dense(5)]
    loss = gx.nn.softmax_cross_entropy(gx.nn.Sequential(layers)(x), labels).mean()
    updates = gx.optim.Adam(1e-3).minimize(loss)
    step = gx.compile([x, labels], loss, updates, target="cuda-simulate")
    return step, (RNG.standard_normal((8, 24)).astype("f4"), RNG.integers(0, 5, 8).astype("i4"))


def wide_rows() -> tuple[Any, tuple[Array, ...]]:
    """Long rows: whole blocks, staged sums."""
    x = gx.input("x", (3, 3000))
    y = gx.nn.softmax(x)
    step = gx.compile([x], (y * y).sum(axis=1) + x.sum(axis=0).mean(), target="cuda-simulate")
    return step, (RNG.standard_normal((3, 3000)).astype("f4"),)


@pytest.mark.parametrize("build", [normalized, wide_rows])
def test_every_barrier_is_missed_or_not_needed(build: Any, monkeypatch: Any) -> None:
    step, arguments = build()
    noticed = idle = 0
    for launch in launches(step, arguments, monkeypatch):
        wanted = launch.run(launch.text)
        for text in launch.without_barrier():
            if reports_race(launch, text):
                noticed += 1
                continue
            idle += 1
            assert launch.run(text) == wanted, f"{launch.name}: other bits, and no report"
            if launch.grid * launch.block <= 256 and HAS_GREENLET:
                assert launch.run(text, executor="threads", seed=7) == wanted
    assert noticed > idle > 0


def reports_race(launch: Launched, text: str) -> bool:
    """Whether the simulator misses something; it can only be an order."""
    try:
        launch.run(text)
    except SimulationError as error:
        return error.kind == "race"
    return False
