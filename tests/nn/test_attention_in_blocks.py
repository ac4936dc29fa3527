"""Attention without stored weights: that with stored ones, on every target, in less memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.testing import assert_close

nn = gx.nn
TARGETS = ("interpret", "cpu")


@pytest.fixture(autouse=True)
def _fresh_names() -> None:
    gx.seed(0)


def values(*shape: int, seed: int = 0, dtype: Any = "float64") -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def both(*operands: Any, **options: Any) -> tuple[gx.Tensor, gx.Tensor]:
    """In blocks, and with stored weights."""
    attention = nn.scaled_dot_product_attention
    return attention(*operands, **options, store_weights=False), attention(*operands, **options)


# (q, k, v) and the mask: within a block, several blocks, broadcast axes, nothing
CASES = [
    ((4, 8), (6, 8), (6, 3), (4, 6)),
    ((1, 1), (1, 1), (1, 1), (1, 1)),
    ((67, 5), (70, 5), (70, 2), (67, 70)),
    ((64, 4), (64, 4), (64, 4), (64, 1)),
    ((2, 3, 5, 4), (2, 3, 37, 4), (2, 3, 37, 2), (2, 1, 1, 37)),
    ((2, 3, 1, 4), (1, 3, 7, 4), (7, 4), (3, 1, 7)),
    ((0, 5, 4), (0, 7, 4), (0, 7, 4), (7,)),
    ((2, 0, 4), (2, 7, 4), (2, 7, 4), (0, 7)),
    ((2, 5, 4), (2, 0, 4), (2, 0, 3), (5, 1)),
    ((3, 0), (5, 0), (5, 2), (5,)),
]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("case", range(len(CASES)))
def test_is_attention_with_stored_weights(
    case: int, masked: bool, causal: bool, target: str
) -> None:
    *shapes, mask_shape = CASES[case]
    arrays = [values(*s, seed=i) for i, s in enumerate(shapes)]
    inputs = [gx.input(n, s, dtype="float64") for n, s in zip("qkv", shapes)]
    mask = np.random.default_rng(0).random(mask_shape) < 0.6 if masked else None
    scale = 0.3 if masked == causal else None  # each with either, in half of the time
    found, wanted = (
        gx.compile(inputs, [y, *gx.grad((y**2).sum(), inputs)], target=target)(*arrays)
        for y in both(*inputs, mask=mask, is_causal=causal, scale=scale)
    )
    for a, b in zip(found, wanted):
        assert_close(a, b, each=True, floor=1.0)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_gradients_of_gradients(dtype: str) -> None:
    """Where a query may look at nothing, too; 16-bit floats are computed in float32."""
    inputs = [gx.input(n, (2, 3, 4), dtype=dtype) for n in "qkv"]
    arrays = [values(2, 3, 4, seed=i).astype(inputs[0].dtype.numpy) for i in range(3)]
    mask = np.array([[True, False, True], [False] * 3, [False, True, True]])
    results = []
    for y in both(*inputs, mask=mask):
        loss = (y.astype("float32") ** 2).sum()
        made = [y, *gx.grad(loss, inputs), *gx.hvp(loss, inputs, inputs)]
        results.append(gx.compile(inputs, made)(*arrays))
    for a, b in zip(*results):
        assert a.dtype == b.dtype
        assert_close(a, b, floor=1.0)
    np.testing.assert_array_equal(results[0][0][:, 1].astype("float32"), 0)
    np.testing.assert_array_equal(results[0][1][:, 1].astype("float32"), 0)


def test_third_derivatives() -> None:
    q = gx.input("q", (3, 2), dtype="float64")
    results = []
    for y in both(q, q, q, is_causal=True):
        slope = y.sum() ** 2
        for _ in range(3):
            slope = (gx.grad(slope, q) ** 2).sum()
        results.append(slope.eval({q: values(3, 2)}))
    assert_close(*results)


def test_forward_derivatives_and_examples() -> None:
    q = gx.input("q", (4, 5, 3), dtype="float64")
    a, b = (gx.jvp(y, [q], [gx.ones(q.shape, q.dtype)]) for y in both(q, q, q))
    assert_close(*gx.compile([q], [a, b])(values(4, 5, 3)), each=True, floor=1.0)
    attend = nn.scaled_dot_product_attention
    mapped = gx.vmap(lambda x: attend(x, x, x, None, True, store_weights=False))(q)
    assert_close(*gx.compile([q], [mapped, attend(q, q, q, None, True)])(values(4, 5, 3)))


@pytest.mark.parametrize("threads", [1, 2])
def test_sizes_known_late(threads: int) -> None:
    q, k = gx.input("q", ("batch", "queries", 6)), gx.input("k", ("batch", "keys", 6))
    blocks, stored = both(q, k, k, is_causal=True)
    made = [blocks, *gx.grad(blocks.sum(), [q, k]), stored, *gx.grad(stored.sum(), [q, k])]
    step = gx.compile([q, k], made, threads=threads)
    for batch, queries, keys in ((2, 3, 5), (1, 1, 1), (3, 9, 2), (0, 2, 2), (4, 70, 130)):
        a, b = values(batch, queries, 6, dtype="float32"), values(batch, keys, 6, dtype="float32")
        found = step(a, b)
        for x, y in zip(found[:3], found[3:]):
            assert_close(x, y, floor=1.0)


def test_scores_out_of_range_are_those_of_a_softmax() -> None:
    q, k = gx.input("q", (40, 2)), gx.input("k", (70, 2))
    a, b = np.ones((40, 2), "float32"), np.zeros((70, 2), "float32")
    b[:33] = -np.inf  # a whole block of nothing
    b[50] = 1000.0
    a[0] = np.nan
    blocks, stored = both(q, k, gx.astype(gx.expand_dims(gx.arange(70), 1), "float32"))
    found, wanted = gx.compile([q, k], [blocks, stored])(a, b)
    np.testing.assert_array_equal(found, wanted)
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1:]).all()


def test_memory_grows_with_the_length_alone() -> None:
    q = gx.input("q", ("time", 8))
    sizes = {}
    for stored in (False, True):
        attend = nn.scaled_dot_product_attention
        y = attend(q, q, q, is_causal=True, store_weights=stored)
        step = gx.compile([q], gx.grad((y * y).sum(), q), threads=1)
        sizes[stored] = [step.program.plan({"time": n}).arena_bytes for n in (256, 512)]
    assert sizes[False][1] <= 2 * sizes[False][0]
    assert sizes[True][1] >= 3 * sizes[True][0]


@pytest.mark.parametrize("target", TARGETS)
def test_layer(target: str) -> None:
    x = gx.input("x", (2, 40, 8))
    data = values(2, 40, 8, dtype="float32")
    layers = [nn.MultiHeadAttention(2, name=f"a{s}", store_weights=s) for s in (False, True)]
    results = [layer(x, is_causal=True) for layer in layers]
    for a, b in zip(*(layer.parameters for layer in layers)):
        a.value = b.value
    found = [gx.compile([x], [y, gx.grad((y * y).sum(), x)], target=target)(data) for y in results]
    for a, b in zip(*found):
        assert_close(a, b, floor=1.0)


def test_mistakes() -> None:
    q, k = gx.input("q", (2, 3, 4)), gx.input("k", (2, 5, 4))

    def attend(*operands: Any) -> gx.Tensor:
        return nn.scaled_dot_product_attention(*operands, store_weights=False)

    with pytest.raises(ShapeError, match=r"v must have 5 rows, got f32\[2,3,4\]"):
        attend(q, k, q)
    with pytest.raises(DTypeError, match="without stored weights the mask must hold bools, got f"):
        attend(q, k, k, gx.zeros((3, 5)))
    with pytest.raises(ShapeError, match=r"mask must broadcast to \[2,3,5\], got bool\[3,4\]"):
        attend(q, k, k, gx.zeros((3, 4), dtype="bool"))
    with pytest.raises(ArgumentError, match=r"dropout must be 0 without stored weights, got 0.5"):
        nn.MultiHeadAttention(2, dropout=0.5, store_weights=False)
