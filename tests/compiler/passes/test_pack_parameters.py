"""Parameters that are stored in panels for products of few rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.compiler.passes.driver import run_passes
from graphc.compiler.passes.pack_parameters import pack_parameters
from graphc.frontend.tensor import Tensor
from graphc.ir.graph import Graph
from graphc.testing import assert_close

RNG = np.random.default_rng(0)


def draw(*shape: int) -> Any:
    """Normal variates."""
    return RNG.standard_normal(shape).astype(np.float32)


def stored(*outputs: Tensor) -> list[tuple[Any, ...]]:
    """The shapes of what the pass stores."""
    graph = Graph((), tuple((f"y{i}", t.node) for i, t in enumerate(outputs)))
    after, _ = run_passes(graph, (pack_parameters,))
    return [n.type.shape for n in after.nodes if n.op.name == "stored"]


def test_panels_and_single_panels() -> None:
    x = gx.input("x", ("batch", 5))
    wide, narrow = (gx.parameter(f"w{n}", value=draw(n, 5)) for n in (150, 20))
    assert stored(x @ wide.T) == [(3, 5, 64)]
    assert stored(x @ narrow.T) == [(5, 20)]
    assert stored(wide @ x.T) == [(3, 5, 64)]


def test_what_is_read_fast_as_it_is_stays() -> None:
    x, many = gx.input("x", (3, 5)), gx.input("many", (1000, 5))
    w, few = gx.parameter("w", value=draw(5, 64)), gx.parameter("few", value=draw(7, 5))
    assert stored(x @ w, many @ w, x @ few.T) == []
    assert stored(w.T @ few.T) == []  # of parameters alone: computed ahead as a whole


def test_one_copy_for_all_readers() -> None:
    x, y = gx.input("x", (3, 5)), gx.input("y", (4, 5))
    w = gx.parameter("w", value=draw(100, 5))
    turned = w.T
    assert stored(x @ turned, y @ turned) == [(2, 5, 64)]


def test_functions_that_update_parameters_read_them_as_they_are() -> None:
    x, w = gx.input("x", (3, 5)), gx.parameter("w", value=draw(100, 5))
    step = gx.compile([x], x @ w.T, updates={w: w * 0.5})
    assert "stored" not in step.text("optimized")


CASES = {
    "product": ((7, 70), (130, 70), lambda x, w: x @ w.T),
    "left": ((70, 7), (130, 70), lambda x, w: w @ x),
    "batch": ((2, 3, 9), (2, 9, 100), lambda x, w: x @ w),
    "two axes": ((6, 10), (4, 10, 80), lambda x, w: gx.einsum("bk,hkn->bhn", x, w)),
    "two sums": ((6, 4, 10), (4, 70, 10), lambda x, w: gx.einsum("bhk,hnk->bn", x, w)),
    "image": (
        (1, 9, 6, 6),
        (75, 9, 3, 3),
        lambda x, w: gx.nn.conv(
            x, gx.permute_dims(w, (2, 3, 1, 0)), padding=1, layout="channels_first"
        ),
    ),
    "groups": ((2, 5, 5, 8), (3, 3, 4, 140), lambda x, w: gx.nn.conv(x, w, groups=2, strides=2)),
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", CASES)
def test_same_bits_as_without(name: str, threads: int) -> None:
    shape, weights, function = CASES[name]
    x, w = gx.input("x", shape), gx.parameter("w", value=draw(*weights))
    other = gx.parameter("other", value=draw(3))
    y = function(x, w)
    packed = gx.compile([x], y, threads=threads)
    plain = gx.compile([x], y, updates={other: other + 1.0}, threads=threads)
    assert "stored" in packed.text("optimized")
    assert "stored" not in plain.text("optimized")
    for _ in range(2):
        given = draw(*shape)
        found = packed(given)
        np.testing.assert_array_equal(found, plain(given))
        assert_close(found, y.eval({x: given}))
        w.value = draw(*weights)  # the panels are made again


def test_any_number_of_rows() -> None:
    x, w = gx.input("x", ("batch", 40)), gx.parameter("w", value=draw(200, 40))
    function = gx.compile([x], x @ w.T)
    for rows in (1, 0, 5, 300):
        given = draw(rows, 40)
        assert_close(function(given), given @ w.value.T)
