"""Functions on dims: symbolic types, and the same values at every size on every target."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.frontend import functions as fn
from graphc.ir.dims import Dim
from graphc.ir.graph import topological
from graphc.testing import assert_close

N = gx.dim("n", min=1)
M = gx.dim("m")
X = gx.input("x", (N, 6))
Y = gx.input("y", (M, 6))
I = gx.input("i", (M,), dtype="int32")  # noqa: E741

# a function of (library, x, y, i), and the type it has
CASES: list[tuple[str, Any, str]] = [
    ("matmul", lambda xp, x, y, i: x @ y.T, "f32[n,m]"),
    ("scores", lambda xp, x, y, i: xp.einsum("nk,mk->mn", x, y), "f32[m,n]"),
    ("reshape", lambda xp, x, y, i: xp.reshape(x, (-1, 2, 3)), "f32[n,2,3]"),
    ("split, merge", lambda xp, x, y, i: xp.reshape(xp.reshape(x, (-1, 2)), (-1, 6)), "f32[n,6]"),
    ("flat", lambda xp, x, y, i: xp.reshape(x, (-1,)), "f32[6*n]"),
    ("merge of stacks", lambda xp, x, y, i: xp.reshape(x[:, None] * y, (-1, 6)), "f32[m*n,6]"),
    ("transposed merge", lambda xp, x, y, i: xp.reshape(x.T, (2, -1)), "f32[2,3*n]"),
    ("sum", lambda xp, x, y, i: xp.sum(x, axis=0) - xp.sum(y), "f32[6]"),
    ("mean", lambda xp, x, y, i: xp.mean(x), "f32[]"),
    ("var", lambda xp, x, y, i: xp.var(x, axis=0), "f32[6]"),
    ("max", lambda xp, x, y, i: xp.max(x, axis=0, keepdims=True) + 0 * y, "f32[m,6]"),
    ("argmax", lambda xp, x, y, i: xp.argmax(x, axis=0), "i64[6]"),
    ("prod", lambda xp, x, y, i: xp.prod(x, axis=0), "f32[6]"),
    ("tail", lambda xp, x, y, i: x[1:] - x[:-1], "f32[n-1,6]"),
    ("last", lambda xp, x, y, i: x[-1], "f32[6]"),
    ("every third", lambda xp, x, y, i: x[::3], "f32[((n+2)//3),6]"),
    ("backwards", lambda xp, x, y, i: x[::-1] + xp.flip(x, axis=0), "f32[n,6]"),
    ("backwards in steps", lambda xp, x, y, i: x[::-2], "f32[((n+1)//2),6]"),
    ("concat", lambda xp, x, y, i: xp.concat([x, y, x[:1]]), "f32[m+n+1,6]"),
    ("stack", lambda xp, x, y, i: xp.stack([x, -x], axis=1), "f32[n,2,6]"),
    ("repeat", lambda xp, x, y, i: xp.repeat(x, 2, axis=0), "f32[2*n,6]"),
    ("tile", lambda xp, x, y, i: xp.tile(x, (3, 1)), "f32[3*n,6]"),
    ("rows", lambda xp, x, y, i: x[i], "f32[m,6]"),
    ("columns", lambda xp, x, y, i: xp.take(x, i * 0, axis=1), "f32[n,m]"),
    ("pairs", lambda xp, x, y, i: x[i, i * 0 + 2], "f32[m]"),
    ("softmax", lambda xp, x, y, i: xp.exp(x) / xp.sum(xp.exp(x), axis=0), "f32[n,6]"),
    ("triangle", lambda xp, x, y, i: xp.tril(x @ x.T), "f32[n,n]"),
]  # fmt: skip


def sizes() -> list[tuple[int, int]]:
    """A first size, which gets code of its own, and others for the generic code."""
    return [(4, 3), (5, 2), (1, 1), (17, 33), (2, 0), (4, 3)]


@pytest.mark.parametrize("target", ["interpret", "cpu"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_every_size(case: Any, target: str) -> None:
    _, function, text = case
    result = function(fn, X, Y, I)
    assert str(result.type) == text
    step = gx.compile([X, Y, I], result, target=target)
    rng = np.random.default_rng(2)
    for n, m in sizes():
        x, y = (rng.standard_normal((k, 6)).astype(np.float32) for k in (n, m))
        i = rng.integers(-n, n, m).astype(np.int32)
        expected = np.asarray(function(np, x, y, i))
        found = step(x, y, i)
        assert found.shape == expected.shape
        assert_close(found, expected, each=True, floor=1.0)


GRADIENTS = [c for c in CASES if c[0] not in ("argmax",)]


@pytest.mark.parametrize("case", GRADIENTS, ids=lambda case: case[0])
def test_gradient_of_every_size(case: Any) -> None:
    function = case[1]
    x = gx.input("x", (N, 6), dtype="float64")
    y = gx.input("y", (M, 6), dtype="float64")
    loss = fn.sum(fn.square(function(fn, x, y, I)))
    reached = topological([loss.node])
    wrt = [t for t in (x, y) if t.node in reached]
    rng = np.random.default_rng(2)
    for n, m in ((4, 3), (1, 1)):
        feeds = {
            x: rng.standard_normal((n, 6)),
            y: rng.standard_normal((m, 6)),
            I: np.zeros(m, "i4"),
        }
        report = gx.check_gradients(loss, wrt, feeds)
        assert report, str(report)


def test_creation_from_dims() -> None:
    n = gx.dim("n")
    x = gx.input("x", (n,))
    tensors = [
        fn.arange(n), fn.arange(1, n + 1), fn.arange(0, n, 2), fn.arange(n, 0, -1), fn.eye(n),
        fn.zeros((n, 2)), fn.full("n", 3), fn.ones_like(x), fn.one_hot(fn.arange(n), n),
    ]  # fmt: skip
    k = 5
    expected = [
        np.arange(k), np.arange(1, k + 1), np.arange(0, k, 2), np.arange(k, 0, -1), np.eye(k),
        np.zeros((k, 2)), np.full(k, 3), np.ones(k), np.eye(k),
    ]  # fmt: skip
    for target in ("interpret", "cpu"):
        step = gx.compile([x], tensors, target=target)
        step(np.zeros(3, np.float32))
        for found, wanted in zip(step(np.zeros(k, np.float32)), expected):
            np.testing.assert_array_equal(found, wanted)


def test_a_str_names_a_dim() -> None:
    x = gx.input("x", ("n", 3))
    assert fn.broadcast_to(fn.ones((1, 3)), ("n", 3)).shape == x.shape
    assert (x + fn.zeros(("n", 3))).shape == (Dim("n"), 3)
