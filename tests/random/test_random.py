"""Random tensors: moments, bounds, independence of streams, reproducibility, names."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from scipy import stats

import graphc as gx
from graphc.errors import ArgumentError, DTypeError
from graphc.ir.ops import leaf
from graphc.testing import assert_close
from tests.tolerances import MEANS

N = 100_000


@pytest.fixture(autouse=True)
def _seed() -> None:
    gx.seed(0)


def test_uniform_is_uniform() -> None:
    values = gx.random.uniform((N,), name="u").eval()
    assert values.dtype == np.float32
    assert 0.0 <= values.min() < values.max() < 1.0
    assert stats.kstest(values, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_uniform_stays_below_one_in_every_dtype(dtype: str) -> None:
    values = gx.random.uniform((N,), dtype=dtype).eval().astype(np.float64)
    assert 0.0 <= values.min() < 0.01
    assert 0.99 < values.max() < 1.0
    assert abs(values.mean() - 0.5) < 0.01


def test_uniform_between_bounds() -> None:
    values = gx.random.uniform((N,), -3.0, 5.0).eval()
    assert -3.0 <= values.min() < values.max() <= 5.0
    assert stats.kstest(values, "uniform", (-3, 8)).pvalue > 1e-3
    low = gx.constant(np.array([0.0, 10.0], "float32"))
    values = gx.random.uniform((N, 2), low, low + 1.0).eval()
    np.testing.assert_allclose(values.mean(0), [0.5, 10.5], **MEANS)


@pytest.mark.parametrize("target", ["cpu", "interpret"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_uniform_draws_stay_below_the_end(dtype: str, target: str) -> None:
    """Where rounding would reach it, and where the interval is wider than the largest number."""
    kind = gx.input("k", (), dtype).dtype.numpy.type
    most = float(gx.finfo(dtype).max)
    bounds = [(-most, most), (-0.9 * most, 0.8 * most), (100.0, 100.001), (1000.0, 1001.0),
              (-3.0, 7.0), (2.0, 2.0), (5.0, -5.0), (1.0, 1 + 2**-23)]  # fmt: skip
    draws = []
    for low, high in bounds:
        given = gx.constant(kind(low)), gx.constant(kind(high))
        draws += [gx.random.uniform((N,), low, high, dtype=dtype)]
        draws += [gx.random.uniform((N,), *given, dtype=dtype)]
    for i, found in enumerate(gx.compile([], draws, target=target)()):
        first, end = (float(kind(b)) for b in bounds[i // 2])
        values = found.astype(np.float64)
        inside = {first} if first == end else None
        if inside is not None:
            assert set(values) == inside
        elif first < end:
            assert first <= values.min() <= values.max() < end
        else:
            assert end < values.min() <= values.max() <= first
        if i < 4:  # evenly spread, not only infinite
            middle = (first / 2 + end / 2) / most
            assert abs((values / most).mean() - middle) < 0.02


def test_bounds_that_are_no_numbers() -> None:
    for low, high in ((0, np.inf), (0.0, 1e39), (-1e39, 0)):
        with pytest.raises(ArgumentError, match=r"uniform"):
            gx.random.uniform((3,), low, high)


def test_normal_is_normal() -> None:
    values = gx.random.normal((N,)).eval()
    assert stats.kstest(values, "norm").pvalue > 1e-3
    values = gx.random.normal((N,), mean=2.0, std=0.5, dtype="float64").eval()
    assert values.dtype == np.float64
    assert stats.kstest(values, "norm", (2, 0.5)).pvalue > 1e-3
    assert np.isfinite(gx.random.normal((1_000_000,)).eval()).all()


@pytest.mark.parametrize("p", [0.0, 1e-3, 0.25, 0.5, 0.999, 1.0])
def test_bernoulli(p: float) -> None:
    values = gx.random.bernoulli((N,), p).eval()
    assert values.dtype == np.bool_
    assert abs(values.mean() - p) <= 5 * np.sqrt(p * (1 - p) / N)


def test_bernoulli_of_a_tensor() -> None:
    p = gx.constant(np.array([0.0, 0.25, 1.0], "float32"))
    values = gx.random.bernoulli((N, 3), p).eval()
    np.testing.assert_allclose(values.mean(0), [0, 0.25, 1], **MEANS)


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0, 2), (7, 5)])
@pytest.mark.parametrize("kind", ["uniform", "normal", "bernoulli"])
def test_any_shape(shape: tuple[int, ...], kind: str) -> None:
    assert getattr(gx.random, kind)(shape).eval().shape == shape


def test_sizes_may_be_dims() -> None:
    x = gx.input("x", ("batch", 3))
    values = (x * 0.0 + gx.random.uniform(("batch", 3))).eval({x: np.zeros((5, 3), "float32")})
    assert len(np.unique(values)) == 15


# ------------------------------------------------------------------------------ reproducibility


def function(name: str | None = None) -> Any:
    return gx.compile([], gx.random.uniform((64,), name=name), target="interpret")


def test_values_depend_on_seed_step_and_name_alone() -> None:
    gx.seed(5)
    first = function("noise")
    one, two = first(), first()
    assert not np.array_equal(one, two)
    gx.seed(5)
    gx.random.normal((3,))
    again = function("noise")
    np.testing.assert_array_equal(again(), one)
    np.testing.assert_array_equal(again(), two)
    assert not np.array_equal(function("other")(), one)
    gx.seed(6)
    assert not np.array_equal(function("noise")(), one)


def test_the_stream_is_a_hash_of_the_name() -> None:
    tensor = gx.random.bits((2,), name="noise")
    expected = int.from_bytes(hashlib.sha256(b"noise").digest()[:8], "little")
    assert isinstance(tensor.node.op, leaf.RandomBits)
    assert tensor.node.op.stream == expected == gx.random.stream_of("noise")


def streams(*tensors: Any) -> list[str]:
    return [t.name for t in tensors]


def test_unnamed_draws_are_numbered_by_scope_and_kind() -> None:
    draw = gx.random.bits
    with gx.name_scope("a"):
        inner = draw((2,))
    first, second = draw((2,)), draw((2,))
    with gx.name_scope("a"):
        more = draw((2,))
    assert streams(inner, first, second, more) == ["a/bits", "bits", "bits_1", "a/bits_1"]
    assert len({t.node.op.stream for t in (inner, first, second, more)}) == 4


def test_names_in_a_scope_have_its_prefix() -> None:
    with gx.name_scope("a"):
        assert gx.random.bits((2,), name="b").name == "a/b"


def test_streams_are_uncorrelated() -> None:
    a, b = gx.random.normal((N,)).eval(), gx.random.normal((N,)).eval()
    assert abs(np.corrcoef(a, b)[0, 1]) < 5 / np.sqrt(N)
    assert abs(np.corrcoef(a[1:], a[:-1])[0, 1]) < 5 / np.sqrt(N)


# --------------------------------------------------------------------------------- gradients


def test_reparameterised_gradients() -> None:
    mean = gx.parameter("mean", value=np.array(1.0, "float32"))
    std = gx.parameter("std", value=np.array(2.0, "float32"))
    draw = gx.random.normal((50,), mean, std)
    values, by_mean, by_std = gx.compile(
        [], [draw, *gx.grad(draw.sum(), [mean, std])], target="interpret"
    )()
    assert by_mean == 50
    assert_close(by_std, ((values - 1) / 2).sum())


def test_refusals() -> None:
    with pytest.raises(ArgumentError, match=r"p must be between 0 and 1, got 1\.5"):
        gx.random.bernoulli((2,), 1.5)
    with pytest.raises(DTypeError, match="uniform: needs a float dtype, got int32"):
        gx.random.uniform((2,), dtype="int32")
