"""Functions that add up on the way compute 16-bit floats in float32 and round once at the end.

Every one of them, with numbers near the limits of float16 and sums beyond them, against itself in
float64 (where the functions have tests of their own): values and gradients to one unit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import graphc as gx
from graphc import nn
from graphc.frontend.tensor import Tensor
from graphc.ir.types import find_dtype

Array = NDArray[Any]
norm, rng = gx.linalg.vector_norm, np.random.default_rng(0)


def some(*shape: int) -> Array:
    return rng.normal(size=shape)


def constant(x: Tensor, array: Any) -> Tensor:
    return gx.constant(np.asarray(array).astype(x.dtype.numpy))


LARGE = np.array([[300.0, 400, 0, 0], [6e4, -6e4, 1, 2], [-200, 1e-3, 5, 6e4]])
SMALL = np.array([[1e-4, 2e-4, 3e-5, 6e-8], [1e-5, 0, 0, 0]])
ALIKE = np.zeros((1, 70000))
ROWS = np.full((2, 3000), 2.5)
IMAGE = np.full((1, 6, 6, 2), 300.0)
SAME = gx.constant(np.zeros(5000, np.int64))

CASES: dict[str, tuple[Callable[[Tensor], Tensor], Array]] = {
    "softmax of many": (nn.softmax, ALIKE),
    "softmax": (lambda x: nn.softmax(x, axis=0), 3 * some(300, 5)),
    "log_softmax of many": (nn.log_softmax, ALIKE),
    "log_softmax": (nn.log_softmax, 3 * some(5, 300)),
    "logsumexp of many": (lambda x: gx.logsumexp(x, axis=-1), ALIKE),
    "logsumexp": (lambda x: gx.logsumexp(x, axis=-1), 3 * some(5, 300)),
    "logaddexp": (lambda x: gx.logaddexp(x[:, 0], x[:, 1]), 2 * some(300, 2)),
    "vector_norm": (lambda x: norm(x, axis=-1), LARGE),
    "vector_norm of little": (lambda x: norm(x, axis=-1), SMALL),
    "vector_norm 3": (lambda x: norm(x, axis=-1, ord=3), LARGE),
    "vector_norm 1": (lambda x: norm(x, axis=-1, ord=1), some(4, 2000)),
    "matrix_norm": (gx.linalg.matrix_norm, LARGE[:1]),
    "matrix_norm 1": (lambda x: gx.linalg.matrix_norm(x, ord=1), some(40, 40)),
    "l2_normalize": (nn.l2_normalize, LARGE),
    "l2_normalize of little": (nn.l2_normalize, SMALL),
    "cosine_similarity": (
        lambda x: nn.cosine_similarity(x, constant(x, LARGE[:, ::-1])), LARGE),
    "cosine_distance": (
        lambda x: nn.cosine_distance(x, constant(x, LARGE[:, ::-1])), LARGE),
    "mean": (lambda x: gx.mean(x, axis=-1), LARGE),
    "var": (lambda x: gx.var(x, axis=-1), 20 * some(5, 3000)),
    "std": (lambda x: gx.std(x, axis=-1), LARGE),
    "std of little": (lambda x: gx.std(x, axis=-1), some(3, 40) / 1000),
    "layer_norm": (nn.layer_norm, LARGE), "rms_norm": (nn.rms_norm, LARGE),
    "group_norm": (lambda x: nn.group_norm(x, 2), 300 * some(3, 5, 4)),
    "batch_norm": (nn.batch_norm, 300 * some(300, 4)),
    "softmax_cross_entropy": (
        lambda x: nn.softmax_cross_entropy(x, gx.constant(np.array([7]))), ALIKE),
    "softmax_cross_entropy of shares": (
        lambda x: nn.softmax_cross_entropy(x, constant(x, np.full((4, 512), 2.0**-9))),
        some(4, 512)),
    "sigmoid_cross_entropy": (
        lambda x: nn.sigmoid_cross_entropy(x, constant(x, np.full(40, 0.625))), 8 * some(40)),
    "mse": (lambda x: gx.mean(nn.mse(x, 0.5)), 50 * some(40)),
    "huber": (lambda x: nn.huber(x, 0.5, delta=1000.0), LARGE[0]),
    "kl_divergence": (
        lambda x: nn.kl_divergence(constant(x, np.full((4, 64), 2.0**-6)), x),
        np.abs(some(4, 64)) + 0.01),
    "ctc": (lambda x: nn.ctc(x, gx.constant(np.array([[1, 2]]))), some(1, 30, 5)),
    "sampled_softmax": (
        lambda x: nn.sampled_softmax(
            x, constant(x, np.resize([1.0, 0.5, -2, 0.25], (50, 30))),
            gx.constant(np.array([1])), 10, name="s"),
        30 * np.ones((1, 30))),
    "avg_pool": (lambda x: nn.avg_pool(x, 3), 60 * IMAGE),
    "lp_pool": (lambda x: nn.lp_pool(x, 3), IMAGE),
    "global_avg_pool": (nn.global_avg_pool, 60 * IMAGE),
    "global_lp_pool": (lambda x: nn.global_lp_pool(x, p=3.0), IMAGE / 10),
    "l1": (lambda x: gx.regularizers.l1([x], 1e-4), 100 * ROWS),
    "l2 of two": (lambda x: gx.regularizers.l2([x, constant(x, ROWS)], 1e-4), 100 * ROWS),
    "lp": (lambda x: gx.regularizers.lp([x], 3.0, 1e-6), 10 * ROWS),
    "attention": (
        lambda x: nn.scaled_dot_product_attention(
            x, constant(x, 200 * np.eye(3, 16)), constant(x, 60 * np.eye(3, 16))),
        300 * some(1, 3, 16)),
    "attention to many": (
        lambda x: nn.scaled_dot_product_attention(constant(x, [[1, 1]]), constant(
            x, np.ones((70000, 2))), x),
        np.ones((70000, 2))),
    "vecdot": (
        lambda x: gx.vecdot(x, constant(x, [300, 1, 300.0])), np.array([[300, 1, -300.0]])),
    "matmul": (lambda x: x @ constant(x, np.ones((400, 3))), some(5, 400)),
    "einsum of three": (
        lambda x: gx.einsum("ij,kj,kl->il", x, constant(x, ROWS[:, :50]),
                            constant(x, 0.001 * ROWS[:, :4])),
        500 * np.abs(some(6, 50))),
    "einsum of sums": (
        lambda x: gx.einsum("ij,k->k", x, constant(x, [0.001, 0.002])), np.full((40, 40), 60.0)),
    "einsum of products": (
        lambda x: gx.einsum("ij,ij->i", x, constant(x, [[300, -300.0]])),
        np.array([[300.0, 299]])),
    "prod": (lambda x: gx.prod(x, axis=1), np.array([[300, 0.001, 300, 0.001, 7, 2]])),
    "scatter_add": (
        lambda x: gx.scatter_add(gx.zeros(3, dtype=x.dtype), SAME, x), np.ones(5000)),
    "put_along_axis": (
        lambda x: gx.put_along_axis(
            gx.zeros(3, dtype=x.dtype), SAME, x, axis=0, mode="add"), np.ones(5000)),
    "at": (lambda x: gx.zeros(3, dtype=x.dtype).at[SAME].add(x), np.ones(5000)),
    "take": (lambda x: gx.take(x, SAME, axis=0), np.ones(3)),
    "take_along_axis": (lambda x: gx.take_along_axis(x, SAME, axis=0), np.ones(3)),
    "cumulative_sum": (lambda x: gx.cumulative_sum(x, axis=1), np.ones((1, 5000))),
    "cumulative_max": (lambda x: gx.cumulative_max(x, axis=0), -np.arange(5000.0)),
    "max of many": (lambda x: gx.max(x, axis=-1), ALIKE),
    "min of many": (lambda x: gx.min(x, axis=-1), ROWS),
    "resize": (lambda x: nn.resize(x, (7, 9)), some(1, 4, 5, 2)),
    "gelu": (nn.gelu, np.linspace(-3, 3, 50)), "mish": (nn.mish, np.linspace(-3, 3, 50)),
}  # fmt: skip
# What else differs in native code: one of each family.
NATIVE = (
    "softmax of many", "log_softmax", "logsumexp of many", "vector_norm", "cosine_similarity",
    "std", "batch_norm", "kl_divergence", "lp_pool", "attention", "einsum of three", "prod",
    "scatter_add", "take", "max of many",
)  # fmt: skip


def units(values: Array, dtype: str) -> Array:
    """The distance of the floats of a dtype around numbers."""
    digits, least = (10, -14) if dtype == "float16" else (7, -126)
    exponents = np.floor(np.log2(np.maximum(np.abs(values), 2.0**least)))
    return np.asarray(2.0 ** (exponents - digits))


def derived(function: Callable[[Tensor], Tensor], x: Tensor) -> list[Tensor]:
    """A value, and the gradient of its elements with weights that every dtype holds."""
    y = function(x)
    wide = gx.astype(y, "float64" if x.dtype.name == "float64" else "float32")
    weights = np.resize(np.array([1, -0.5, 0.25, 2, 1, 0.125, -2]), y.shape)
    return [y, gx.grad(gx.sum(wide * constant(wide, weights)), x)]


def compare(name: str, dtype: str, target: str) -> None:
    function, array = CASES[name]
    rounded = array.astype(find_dtype(dtype).numpy)
    gx.seed(1)
    x, z = (gx.input("x", array.shape, dtype=d) for d in (dtype, "float64"))
    found = gx.compile([x], derived(function, x), target=target)(rounded)
    gx.seed(1)
    exact = gx.compile([z], derived(function, z), target="interpret")(rounded.astype(np.float64))
    largest = 65504.0 if dtype == "float16" else 3e38
    for a, b in zip(found, exact, strict=True):
        assert a.dtype == rounded.dtype
        kept = np.abs(b) <= largest  # elsewhere the result itself is infinite
        unit = units(np.maximum(np.abs(b), 2.0**-20 * np.max(np.abs(b[kept]))), dtype)
        off = np.abs(a.astype(np.float64) - b)[kept] / unit[kept]
        assert np.all(off <= 1.01), f"{np.max(off)} units"


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", CASES)
def test_rounded_once(name: str, dtype: str) -> None:
    compare(name, dtype, "interpret")


@pytest.mark.parametrize("name", NATIVE)
def test_rounded_once_in_native_code(name: str) -> None:
    compare(name, "float16", "cpu")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_wide_floats_are_not_converted(name: str, dtype: str) -> None:
    function, array = CASES[name]
    x = gx.input("x", array.shape, dtype=dtype)
    nodes = gx.compile([x], derived(function, x), target="interpret").graph.nodes
    made = [n for n in nodes if n.op.name == "cast" and n.inputs[0].type.dtype.is_float]
    other = {"ctc", "sampled_softmax"}  # these count in integers and in float64
    assert not made or name in other


def test_values_by_numpy() -> None:
    x = gx.input("x", (4,), dtype="float16")
    array = np.array([300, 400, 0, 0], np.float16)
    assert norm(x).eval({x: array}) == 500
    many = np.zeros(70000, np.float16)
    y = gx.input("y", (70000,), dtype="float16")
    share = np.float16(1 / 70000)
    for target in ("interpret", "cpu"):
        outputs = [nn.softmax(y), nn.log_softmax(y), gx.logsumexp(y)]
        soft, logs, total = gx.compile([y], outputs, target=target)(many)
        assert np.all(soft == share)
        assert np.all(logs == np.float16(-np.log(70000)))
        assert total == np.float16(np.log(70000))


def test_rows_of_a_table_are_added_up_wide() -> None:
    table = gx.parameter("table", value=np.zeros((8, 2), np.float16))
    ids = gx.input("ids", 3000, dtype="int32")
    loss = gx.sum(gx.astype(gx.take(table, ids, axis=0), "float32"))
    for sparse in (False, True):
        table.value = np.zeros((8, 2), np.float16)
        rows = loss if sparse else loss + 0.0 * gx.sum(gx.astype(table, "float32"))
        gx.compile([ids], rows, gx.optim.SGD(1e-3).minimize(rows, [table]))(np.zeros(3000, int))
        assert table.value[0, 0] == np.float16(-3.0)
