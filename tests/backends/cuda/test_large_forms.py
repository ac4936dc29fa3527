"""Shapes that take every form of a launch: the CPU's bits in the simulator, gradients included."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import graphc as gx
from tests.backends.cuda.stepwise import same_bits

Shapes = Sequence[tuple[int, ...]]


def _normalised(x: gx.Tensor) -> gx.Tensor:
    spread = gx.var(x, axis=-1, keepdims=True)
    return (x - gx.mean(x, axis=-1, keepdims=True)) / gx.sqrt(spread + 1e-5)


def _factor(x: gx.Tensor) -> gx.Tensor:
    return gx.linalg.cholesky(x @ gx.matrix_transpose(x) + 20 * gx.eye(x.shape[-1]))


def _attention(q: gx.Tensor, k: gx.Tensor, v: gx.Tensor) -> gx.Tensor:
    attend = gx.nn.scaled_dot_product_attention
    return attend(q, k, v, is_causal=True, store_weights=False)


CASES: dict[str, tuple[Callable[..., Any], Shapes, set[str]]] = {
    "softmax of long rows": (gx.nn.softmax, [(7, 5000)], {"rows"}),
    "softmax of short rows": (gx.nn.softmax, [(40, 300)], {"rows"}),
    "log-sum-exp": (lambda x: gx.logsumexp(x, axis=-1), [(6, 9000)], {"rows"}),
    "sum over everything": (lambda x: gx.sum(x * x), [(3, 70001)], {"group"}),
    "columns": (lambda x: gx.sum(x, axis=0), [(4099, 33)], set()),
    "few columns": (lambda x: gx.sum(x, axis=0), [(20000, 3)], set()),
    "layer norm": (_normalised, [(9, 1500)], {"rows"}),
    "product": (lambda x, y: x @ y, [(100, 130), (130, 70)], {"tile"}),
    "batched products": (lambda x, y: x @ y, [(3, 50, 40), (3, 40, 60)], {"tile"}),
    "einsum": (
        lambda x, y: gx.einsum("bij,bkj->bik", x, y), [(4, 30, 50), (4, 20, 50)], {"tile"}
    ),
    "convolution": (lambda x: gx.nn.Conv2D(16, 3, padding="same")(x), [(4, 16, 16, 8)], {"tile"}),
    "strided convolution": (
        lambda x: gx.nn.Conv2D(13, 5, strides=2, padding="same")(x), [(3, 17, 15, 7)], {"tile"}
    ),
    "pooling": (lambda x: gx.nn.MaxPool2D(2)(x), [(4, 16, 16, 8)], {"element"}),
    "running sums": (lambda x: gx.cumulative_sum(x, axis=-1), [(5, 3000)], set()),
    "running sums of columns": (lambda x: gx.cumulative_sum(x, axis=0), [(3000, 5)], set()),
    "transposition": (lambda x: gx.permute_dims(x, (1, 0)) * 2, [(300, 500)], set()),
    "three axes": (lambda x: gx.permute_dims(x, (2, 0, 1)) + 1, [(40, 50, 60)], set()),
    "the largest": (lambda x: gx.topk(x, 7)[0], [(10, 400)], set()),
    "attention": (_attention, [(2, 70, 8), (2, 90, 8), (2, 90, 20)], {"rows"}),
    "attention to nothing": (_attention, [(33, 3), (0, 3), (0, 20)], {"rows"}),
    "cholesky": (_factor, [(3, 20, 20)], set()),
}  # fmt: skip
DTYPES = {"product": ("float64",), "running sums": ("bfloat16",), "transposition": ("float16",)}
NAMES = [(name, "float32") for name in CASES]
NAMES += [(name, dtype) for name, dtypes in DTYPES.items() for dtype in dtypes]


@pytest.mark.parametrize(("name", "dtype"), NAMES)
def test_same_bits_as_the_cpu(name: str, dtype: str) -> None:
    function, shapes, forms = CASES[name]
    rng = np.random.default_rng(len(name))
    wanted: Any = ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype
    arrays = [rng.standard_normal(shape).astype(wanted) for shape in shapes]
    inputs = [gx.input(f"x{i}", shape, dtype=dtype) for i, shape in enumerate(shapes)]
    result = function(*inputs)
    weights = gx.constant(rng.standard_normal(result.shape).astype(wanted))
    outputs = [result, *gx.grad(gx.sum(result * weights), inputs)]
    expected = gx.compile(inputs, outputs, name="large")(*arrays)
    simulated = gx.compile(inputs, outputs, name="large", target="cuda-simulate")
    for number, (a, b) in enumerate(zip(simulated(*arrays), expected)):
        same_bits(np.asarray(a), np.asarray(b), f"{name}: output {number}")
    runner = simulated.variants[0].runner
    assert runner is not None
    assert forms <= {launch.form.split(":")[0].split()[0] for launch in runner.launches()}


@pytest.mark.slow
def test_a_long_sort() -> None:
    x = gx.input("x", (3, 5000))
    data = np.random.default_rng(0).standard_normal((3, 5000)).astype("float32")
    simulated = gx.compile([x], gx.sort(x, axis=-1), target="cuda-simulate")
    assert np.array_equal(simulated(data), np.sort(data, axis=-1))
