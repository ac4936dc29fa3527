"""Seven fused kernels: their text, and what they compute, against numpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from graphc.ir.dims import evaluate
from graphc.ir.loops import ir
from graphc.ir.loops.kernel_interpreter import run_kernel
from graphc.ir.loops.kernel_printer import kernel_text
from graphc.testing import assert_close
from tests.ir.loops.seven_convolutions import convolution_with_moments, winograd
from tests.ir.loops.seven_sequences import causal_attention, lstm_step
from tests.ir.loops.seven_training import (
    CHUNKS,
    softmax_cross_entropy,
    sparse_adagrad,
    split_weight_gradient,
)
from tests.tolerances import SHARES_OF_LOSS

Array = NDArray[Any]

SEVEN = (
    convolution_with_moments, winograd, lstm_step, causal_attention, sparse_adagrad,
    softmax_cross_entropy, split_weight_gradient,
)  # fmt: skip

# transforms of Lavin and Gray, "Fast algorithms for convolutional neural networks", 2016
WINOGRAD_B = np.array(
    [[4, 0, 0, 0, 0, 0], [0, -4, 4, -2, 2, 4], [-5, -4, -4, -1, -1, 0],
     [0, 1, -1, 2, -2, -5], [1, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 1]], np.float32,
)  # fmt: skip
WINOGRAD_G = np.array(
    [[1 / 4, 0, 0], [-1 / 6, -1 / 6, -1 / 6], [-1 / 6, 1 / 6, -1 / 6],
     [1 / 24, 1 / 12, 1 / 6], [1 / 24, -1 / 12, 1 / 6], [0, 0, 1]],
)  # fmt: skip
WINOGRAD_A = np.array(
    [[1, 0, 0, 0], [1, 1, 1, 1], [1, -1, 1, -1], [1, 2, 4, 8], [1, -2, 4, -8], [0, 0, 0, 1]],
    np.float32,
)  # fmt: skip


def run(
    kernel: ir.Kernel, inputs: dict[str, Array], dims: dict[str, int]
) -> tuple[dict[str, Array], int | None]:
    """Run on copies of the inputs; outputs start as NaN."""
    arrays = {name: array.copy() for name, array in inputs.items()}
    for buffer in kernel.writes:
        shape = tuple(evaluate(size, dims) for size in buffer.shape)
        arrays.setdefault(buffer.name, np.full(shape, np.nan, buffer.dtype.numpy))
    failed = run_kernel(kernel, arrays, dims)
    return arrays, failed


def draw(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def convolve(x: Array, w: Array) -> Array:
    """3 x 3, padded by 1, in float64."""
    batch, height, width, _ = x.shape
    padded = np.pad(x.astype(np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    y = np.zeros((batch, height, width, w.shape[3]))
    for r in range(3):
        for s in range(3):
            y += padded[:, r : r + height, s : s + width] @ w[r, s].astype(np.float64)
    return y


@pytest.mark.parametrize("build", SEVEN, ids=lambda build: build.__name__)
def test_text(build: Any, golden: Callable[[str, str], None]) -> None:
    kernel = build()
    golden(kernel.name, kernel_text(kernel))
    assert kernel_text(build()) == kernel_text(kernel)


@pytest.mark.parametrize("shape", [(3, 3, 5, 2, 3), (1, 1, 1, 1, 1), (0, 3, 2, 1, 2)])
def test_convolution_with_moments(shape: tuple[int, ...]) -> None:
    dims = dict(zip(("batch", "height", "width", "channels", "filters"), shape))
    n, h, w, c, k = shape
    x, filters = draw(0, n, h, w, c), draw(1, 3, 3, c, k)
    got, failed = run(convolution_with_moments(), {"x": x, "w": filters}, dims)
    y = convolve(x, filters)
    assert failed is None
    assert_close(got["y"], y, tolerance="ulps", each=True, floor=1.0)
    if n:
        assert_close(got["mean"], y.mean((0, 1, 2)), tolerance="ulps")
        assert_close(got["m2"] / (n * h * w), y.var((0, 1, 2)), each=True)
    else:
        assert not got["mean"].any()


@pytest.mark.parametrize("shape", [(1, 5, 7, 2, 3), (2, 4, 4, 1, 1), (1, 1, 2, 1, 2)])
def test_winograd(shape: tuple[int, ...]) -> None:
    dims = dict(zip(("batch", "height", "width", "channels", "filters"), shape))
    n, h, w, c, k = shape
    x, filters = draw(2, n, h, w, c), draw(3, 3, 3, c, k)
    u = np.einsum("ar,bs,rsck->abck", WINOGRAD_G, WINOGRAD_G, filters).astype(np.float32)
    inputs = {"x": x, "u": u, "b": WINOGRAD_B, "a": WINOGRAD_A}
    got, _ = run(winograd(), inputs, dims)
    assert_close(got["y"], convolve(x, filters))


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("shape", [(3, 5, 7), (1, 1, 1), (2, 0, 3)])
def test_lstm_step(shape: tuple[int, int, int]) -> None:
    b, d, u = shape
    shapes = {
        "x": (b, d), "h": (b, u), "c": (b, u), "wx": (4, d, u), "wh": (4, u, u), "bias": (4, u),
    }  # fmt: skip
    inputs = {name: draw(i, *s) for i, (name, s) in enumerate(shapes.items())}
    got, _ = run(lstm_step(), inputs, {"batch": b, "depth": d, "units": u})
    wide = {name: array.astype(np.float64) for name, array in inputs.items()}
    sums = np.einsum("bd,gdu->gbu", wide["x"], wide["wx"])
    sums += np.einsum("bd,gdu->gbu", wide["h"], wide["wh"]) + wide["bias"][:, None]
    i, f, g, o = sums
    c = sigmoid(f) * wide["c"] + sigmoid(i) * np.tanh(g)
    assert_close(got["new_c"], c)
    assert_close(got["new_h"], sigmoid(o) * np.tanh(c))


@pytest.mark.parametrize("shape", [(2, 9, 3), (1, 1, 1), (1, 4, 5)])
def test_causal_attention(shape: tuple[int, int, int]) -> None:
    b, t, d = shape
    q, k, v = (draw(i, b, t, d) for i in range(3))
    q[..., 0] *= 30  # scores far apart, so that rescaling matters
    dims = {"batch": b, "time": t, "depth": d}
    got, _ = run(causal_attention(), {"q": q, "k": k, "v": v}, dims)
    scores = np.einsum("bid,bjd->bij", q.astype(np.float64), k) / np.sqrt(d)
    scores = np.where(np.tri(t, dtype=bool), scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    assert_close(got["y"], weights @ v.astype(np.float64))


def adagrad_inputs(ids: list[int], width: int, rows: int) -> dict[str, Array]:
    found = np.array(ids, np.int64)
    order = np.argsort(found, kind="stable")
    return {
        "ids": found[order],
        "order": order,
        "grads": draw(0, len(ids), width),
        "rate": np.float32(0.1).reshape(()),
        "table": draw(1, rows, width),
        "squares": np.abs(draw(2, rows, width)),
    }


@pytest.mark.parametrize("ids", [[3, 0, 3, 5, 0, 3, 1], [2], [], [4, 4, 4, 4]])
def test_sparse_adagrad(ids: list[int]) -> None:
    width, rows = 3, 6
    inputs = adagrad_inputs(ids, width, rows)
    dims = {"batch": len(ids), "width": width, "rows": rows}
    got, failed = run(sparse_adagrad(), inputs, dims)
    gradient = np.zeros((rows, width))
    np.add.at(gradient, np.array(ids, int), inputs["grads"].astype(np.float64))
    squares = inputs["squares"] + gradient**2
    table = inputs["table"] - 0.1 * gradient / (np.sqrt(squares) + 1e-10)
    assert failed is None
    assert_close(got["squares"], squares, each=True)
    assert_close(got["table"], table, each=True, floor=0.5)
    untouched = sorted(set(range(rows)) - set(ids))
    np.testing.assert_array_equal(got["table"][untouched], inputs["table"][untouched])


@pytest.mark.parametrize("wrong", [-1, 6, 10**12])
def test_sparse_adagrad_reports_rows_outside(wrong: int) -> None:
    inputs = adagrad_inputs([1, wrong, 1], 2, 6)
    assert run(sparse_adagrad(), inputs, {"batch": 3, "width": 2, "rows": 6})[1] == 1


@pytest.mark.parametrize("shape", [(3, 10), (1, 1), (2, 19), (0, 4)])
def test_softmax_cross_entropy(shape: tuple[int, int]) -> None:
    x = draw(0, *shape) * 20
    labels = np.random.default_rng(1).integers(0, shape[1], shape[0])
    dims = {"batch": shape[0], "width": shape[1]}
    got, failed = run(softmax_cross_entropy(), {"x": x, "labels": labels}, dims)
    wide = x.astype(np.float64)
    power = np.exp(wide - wide.max(1, keepdims=True, initial=-np.inf))
    share = power / power.sum(1, keepdims=True)
    picked = np.arange(shape[0]), labels
    loss = np.logaddexp.reduce(wide, axis=1) - wide[picked]
    share[picked] -= 1
    assert failed is None
    assert_close(got["loss"], loss)
    np.testing.assert_allclose(got["dx"], share / max(1, shape[0]), **SHARES_OF_LOSS)


def test_softmax_cross_entropy_reports_labels_outside() -> None:
    inputs = {"x": draw(0, 2, 3), "labels": np.array([1, 3])}
    assert run(softmax_cross_entropy(), inputs, {"batch": 2, "width": 3})[1] == 1


@pytest.mark.parametrize("shape", [(37, 2, 3), (1, 1, 2), (16, 1, 1), (0, 2, 2)])
def test_split_weight_gradient(shape: tuple[int, int, int]) -> None:
    m, c, k = shape
    x, dy = draw(0, m, c), draw(1, m, k)
    dims = {"batch": m, "inputs": c, "outputs": k}
    got, _ = run(split_weight_gradient(), {"x": x, "dy": dy}, dims)
    wanted = x.T.astype(np.float64) @ dy.astype(np.float64)
    assert_close(got["dw"], wanted, tolerance="ulps")


def test_split_weight_gradient_adds_chunks_as_a_tree() -> None:
    x, dy = draw(2, 16, 1), np.ones((16, 1), np.float32)
    got, _ = run(
        split_weight_gradient(), {"x": x, "dy": dy}, {"batch": 16, "inputs": 1, "outputs": 1}
    )
    parts = list(x[:, 0])
    while len(parts) > 1:
        half = len(parts) // 2
        parts = [low + high for low, high in zip(parts[:half], parts[half:])]
    assert CHUNKS == 16
    assert got["dw"][0, 0] == parts[0]
    assert parts[0] != x.sum(dtype=np.float64)
