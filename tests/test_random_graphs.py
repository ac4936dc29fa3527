"""Random graphs: every combination of passes, and native code, agree with the interpreter.

More of them by hand: `python -m tests.random_graphs --count 10000 --seed 1`.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphc.compiler.passes import GRAPH_PASSES
from graphc.ir import ops
from graphc.ir.ops.loop import Scan
from graphc.testing import random_graph
from tests.random_graphs.run import Report, check, define_sample

SEEDS_FOR_EVERY_OP = range(900)
switches = st.lists(st.booleans(), min_size=len(GRAPH_PASSES), max_size=len(GRAPH_PASSES))
PER_TEST = 100  # graphs in each of 20 parts
NATIVE = 30  # of them as native code


@pytest.mark.parametrize("part", range(20))
def test_every_combination_of_passes_keeps_the_meaning(part: int) -> None:
    report = Report()

    @settings(max_examples=PER_TEST, derandomize=True, database=None, deadline=None)
    @given(st.integers(0, 10**6), st.integers(5, 40), switches)
    def agrees(seed: int, count: int, on: list[bool]) -> None:
        sample = random_graph(20 * seed + part, count)
        some = tuple(p for p, chosen in zip(GRAPH_PASSES, on) if chosen)
        assert check(sample, [some, GRAPH_PASSES], 0, np.random.default_rng(seed), report) is None

    agrees()
    assert report.graphs >= PER_TEST


@pytest.mark.parametrize("part", range(20))
def test_native_code_agrees(part: int) -> None:
    report = Report()

    @settings(max_examples=NATIVE, derandomize=True, database=None, deadline=None)
    @given(st.integers(0, 10**6), st.integers(5, 20), switches)
    def agrees(seed: int, count: int, on: list[bool]) -> None:
        sample = random_graph(20 * seed + part, count)
        some = tuple(p for p, chosen in zip(GRAPH_PASSES, on) if chosen)
        passes = GRAPH_PASSES if seed % 2 else some
        assert check(sample, [passes], 1, np.random.default_rng(seed), report) is None

    agrees()
    assert report.runs >= NATIVE


def test_every_op_is_drawn() -> None:
    drawn: set[type] = set()
    for seed in SEEDS_FOR_EVERY_OP:
        stack = list(define_sample(random_graph(seed)).graph.nodes)
        while stack:
            op = stack.pop().op
            drawn.add(type(op))
            stack += op.body.nodes if isinstance(op, Scan) else []
    assert not set(ops.ALL_OPS) - drawn
