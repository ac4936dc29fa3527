"""Every pass keeps the meaning of random graphs; so does the compiled code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from random_graphs import Maker, Sample

import graphc as gx
from graphc import pipeline
from graphc.graph import Graph
from graphc.interpret import Executor
from graphc.passes import GRAPH_PASSES
from graphc.passes.driver import run_passes

Array = NDArray[Any]
SEEDS = range(50)
TOLERANCE = {"float64": 1e-9, "float32": 2e-4}
PASSES = tuple(dict.fromkeys(GRAPH_PASSES))


def values(graph: Graph, sample: Sample) -> list[Array]:
    """The outputs by the interpreter."""
    outputs, _ = Executor(graph).compute(sample.arrays, sample.dims, (7, 0))
    return outputs


def close(found: list[Array], expected: list[Array], dtype: str) -> None:
    """Assert that arrays agree."""
    assert len(found) == len(expected)
    for a, b in zip(found, expected):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        if a.dtype.kind == "f":
            scale = np.maximum(1.0, np.abs(b))
            np.testing.assert_allclose(a / scale, b / scale, rtol=0, atol=TOLERANCE[dtype])
        else:
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("apply_pass", PASSES, ids=lambda p: p.__name__)
@pytest.mark.parametrize("seed", SEEDS)
def test_pass_keeps_meaning(seed: int, apply_pass: Any) -> None:
    sample = Maker(seed).sample()
    graph, _ = run_passes(sample.graph, (apply_pass,))
    close(values(graph, sample), values(sample.graph, sample), "float64")


@pytest.mark.parametrize("seed", SEEDS)
def test_whole_numbers_are_exact(seed: int) -> None:
    sample = Maker(1000 + seed, integral=True).sample()
    expected = values(sample.graph, sample)
    _, trace = run_passes(sample.graph, GRAPH_PASSES)
    for step in trace:
        for a, b in zip(values(step.graph, sample), expected):
            np.testing.assert_array_equal(a, b, err_msg=step.name)


@pytest.mark.parametrize("seed", SEEDS)
def test_all_passes_keep_meaning(seed: int) -> None:
    sample = Maker(2000 + seed).sample()
    expected = values(sample.graph, sample)
    _, trace = run_passes(sample.graph, GRAPH_PASSES)
    for step in trace:
        close(values(step.graph, sample), expected, "float64")


def compiled(sample: Sample, name: str) -> list[Array]:
    """The outputs by code for this CPU, with the random numbers that `values` draws."""
    function = gx.compile(sample.inputs, sample.outputs, target="cpu", name=name)
    function.rng[:] = 7, 0
    return [np.asarray(a) for a in function(*sample.arrays)]


@pytest.mark.parametrize("seed", range(30))
def test_compiled_code_agrees(seed: int) -> None:
    sample = Maker(3000 + seed, "float32", integral=seed % 3 == 0).sample()
    close(compiled(sample, "all"), values(sample.graph, sample), "float32")


@pytest.mark.parametrize("without", PASSES, ids=lambda p: p.__name__)
def test_compiled_code_agrees_without(without: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tuple(p for p in GRAPH_PASSES if p is not without)
    monkeypatch.setattr(pipeline, "GRAPH_PASSES", kept)
    for seed in range(4000, 4004):
        sample = Maker(seed, "float32").sample()
        name = f"without_{without.__name__}"  # the cache of compiled code knows names, not passes
        close(compiled(sample, name), values(sample.graph, sample), "float32")


def test_compiled_code_agrees_without_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "GRAPH_PASSES", ())
    for seed in range(4100, 4106):
        sample = Maker(seed, "float32", integral=seed % 2 == 0).sample()
        close(compiled(sample, "without_any"), values(sample.graph, sample), "float32")
