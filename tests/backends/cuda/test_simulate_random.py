"""Random kernels mean the same to both executors: what they compute, and what they miss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphc_cuda.simulate import SimulationError, simulate
from tests.backends.cuda.executors import HAS_GREENLET
from tests.backends.cuda.random_texts import Drawing

pytestmark = pytest.mark.skipif(not HAS_GREENLET, reason="greenlet is not installed")


def results(text: str, executor: str, seed: int = 0, width: int = 32) -> Any:
    rng = np.random.default_rng(1)
    x, n = rng.standard_normal(64).astype("f4"), rng.integers(0, 64, 64).astype("i4")
    y = np.full(64, -7.0, "f4")
    simulate(text, "drawn", 64 // width, width, [x, n, y], executor=executor, seed=seed)
    return y


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_threads_that_go_their_own_ways(first: int) -> None:
    for seed in range(first, first + 20):
        text = Drawing(seed).text(statements=8)
        np.testing.assert_array_equal(
            results(text, "vector"), results(text, "threads", seed), f"seed {seed}:\n{text}"
        )


def report(text: str, executor: str, seed: int = 0) -> str | None:
    try:
        results(text, executor, seed, width=64)
    except SimulationError as error:
        return error.kind
    return None


def test_missing_barriers_are_missed_by_both() -> None:
    found = []
    for seed in range(100, 160):
        text = Drawing(seed).text_of_block(statements=9)
        found.append(report(text, "vector"))
        assert report(text, "threads", seed) == found[-1], f"seed {seed}:\n{text}"
    assert 10 < found.count("race") < 50
    assert set(found) == {"race", None}
