"""Every pass keeps the meaning of random graphs; so does the compiled code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from graphc.compiler.passes import GRAPH_PASSES
from graphc.testing import random_graph
from tests.random_graphs.run import Passes, Report, check

SEEDS = range(50)
PASSES = tuple(dict.fromkeys(GRAPH_PASSES))


def agrees(seed: int, combinations: Sequence[Passes], native: int = 0) -> None:
    """Assert that a graph means the same after every combination of passes."""
    rng = np.random.default_rng(seed)
    assert check(random_graph(seed), combinations, native, rng, Report()) is None


@pytest.mark.parametrize("apply_pass", PASSES, ids=lambda p: p.__name__)
@pytest.mark.parametrize("seed", SEEDS)
def test_pass_keeps_meaning(seed: int, apply_pass: Any) -> None:
    agrees(seed, [(apply_pass,)])


@pytest.mark.parametrize("seed", SEEDS)
def test_meaning_is_kept_after_every_step(seed: int) -> None:
    agrees(2000 + seed, [GRAPH_PASSES[: n + 1] for n in range(len(GRAPH_PASSES))])


@pytest.mark.parametrize("seed", range(30))
def test_compiled_code_agrees(seed: int) -> None:
    agrees(3000 + seed, [GRAPH_PASSES], native=1)


@pytest.mark.parametrize("without", PASSES, ids=lambda p: p.__name__)
def test_compiled_code_agrees_without(without: Any) -> None:
    kept = tuple(p for p in GRAPH_PASSES if p is not without)
    for seed in range(4000, 4004):
        agrees(seed, [kept], native=1)


def test_compiled_code_agrees_without_any() -> None:
    for seed in range(4100, 4106):
        agrees(seed, [()], native=1)
