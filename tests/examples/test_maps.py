"""examples/: principal components, neighbours and maps beside numpy's formulas."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.testing import assert_close
from tests.tolerances import PERPLEXITY, TURNED

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


@pytest.fixture(autouse=True)
def path(monkeypatch: Any) -> None:
    """Programs find what they share, as they do when they are started."""
    monkeypatch.syspath_prepend(str(EXAMPLES))


def names(example: str) -> dict[str, Any]:
    """What a program defines."""
    return runpy.run_path(str(EXAMPLES / f"{example}.py"))


@pytest.mark.parametrize(
    ("example", "says"),
    [
        ("pca", "cosines between them"),
        ("retrieval", "training accuracy of the nearest 1.0000"),
        ("tsne", "neighbours of one label"),
    ],
)
def test_programs_run(example: str, says: str, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(sys, "argv", [example])
    runpy.run_path(str(EXAMPLES / f"{example}.py"), run_name="__main__")
    assert says in capsys.readouterr().out


def test_components_are_eigenvectors_of_the_covariance() -> None:
    program = names("pca")
    rng = np.random.default_rng(0)
    array = (rng.normal(size=(50, 6)) * [5, 3, 1, 0.5, 0.2, 0.1] + 2).astype("float32")
    x = gx.input("x", (50, 6))
    both = [program["by_svd"](x, 2), program["by_power_iteration"](x, 2, 50)]
    values, vectors = np.linalg.eigh(np.cov(array.T.astype("float64")))
    for directions, variances in gx.compile([x], both)(array):
        assert_close(variances, values[::-1][:2].astype("float32"))
        cosines = np.abs((directions * vectors[:, ::-1][:, :2].T).sum(axis=1))
        assert np.abs(cosines - 1).max() < TURNED


def test_neighbours_are_those_of_all_cosines() -> None:
    rng = np.random.default_rng(0)
    known, asked = rng.normal(size=(30, 5)), rng.normal(size=(7, 5))
    q, k = gx.input("q", (7, 5), "float64"), gx.input("k", (30, 5), "float64")
    similar, rows = gx.compile([q, k], names("retrieval")["nearest"](q, k, 4))(asked, known)
    cosines = asked @ known.T / np.linalg.norm(known, axis=1)
    cosines /= np.linalg.norm(asked, axis=1)[:, None]
    wanted = np.argsort(-cosines, axis=1)[:, :4]
    np.testing.assert_array_equal(rows, wanted)
    assert_close(similar, np.take_along_axis(cosines, wanted, axis=1))


def test_affinities_have_the_perplexity() -> None:
    array = np.random.default_rng(0).normal(size=(40, 5)).astype("float32")
    x = gx.input("x", array.shape)
    p = gx.compile([x], names("tsne")["affinities"](x, 7.0))(array).astype("float64")
    entropy = -np.sum(p * np.log(np.maximum(p, 1e-300)), axis=1)
    assert np.abs(np.exp(entropy) - 7.0).max() < PERPLEXITY
    assert np.abs(np.diagonal(p)).max() == 0
    d = ((array[:, None] - array) ** 2).sum(axis=-1)
    off = ~np.eye(40, dtype=bool)
    for i in range(40):  # log p is a line over the squared distances
        line = np.polyfit(d[i][off[i]], np.log(p[i][off[i]]), 1)
        assert np.abs(np.polyval(line, d[i][off[i]]) - np.log(p[i][off[i]])).max() < PERPLEXITY


def test_the_gradient_of_a_map_is_that_of_the_paper() -> None:
    """4 sum_j (p_ij - q_ij) (y_i - y_j) / (1 + |y_i - y_j|^2)."""
    rng = np.random.default_rng(0)
    p = rng.random((9, 9)) * (1 - np.eye(9))
    p = (p + p.T) / (p + p.T).sum()
    y = rng.normal(size=(9, 2))
    t, m = gx.input("p", (9, 9), "float64"), gx.input("y", (9, 2), "float64")
    found = gx.compile([t, m], gx.grad(names("tsne")["divergence"](t, m), m))(p, y)
    difference = y[:, None] - y
    near = 1 / (1 + (difference**2).sum(axis=-1)) * (1 - np.eye(9))
    wanted = 4 * ((p - near / near.sum()) * near)[..., None] * difference
    assert_close(found, wanted.sum(axis=1))
