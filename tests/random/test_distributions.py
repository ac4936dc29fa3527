"""More distributions: their shape, their ends, and the same numbers in compiled code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

import graphc as gx
from graphc.errors import ArgumentError, DTypeError
from graphc.ir.loops.numpy_emitter import NumpyEmitter
from graphc.ir.loops.random_bits import exponential_float
from tests.tolerances import VARIATES

N = 60_000
random = gx.random


@pytest.fixture(autouse=True)
def _seed() -> None:
    gx.seed(0)


CONTINUOUS: dict[str, tuple[Callable[[], Any], Any]] = {
    "exponential": (lambda: random.exponential((N,)), stats.expon()),
    "exponential 2.5": (
        lambda: random.exponential((N,), 2.5, dtype="float64"),
        stats.expon(0, 2.5),
    ),
    "gumbel": (lambda: random.gumbel((N,), 1.0, 0.5), stats.gumbel_r(1.0, 0.5)),
    "truncated": (lambda: random.truncated_normal((N,)), stats.truncnorm(-2, 2)),
    "one side": (
        lambda: random.truncated_normal((N,), 1.0, 6.0, 3.0, 2.0, dtype="float64"),
        stats.truncnorm(1, 6, 3, 2),
    ),
    **{
        f"gamma {a}": (lambda a=a: random.gamma((N,), a, dtype="float64"), stats.gamma(a))
        for a in (0.05, 0.4, 1.0, 1.7, 30.0)
    },
    "gamma float32": (lambda: random.gamma((N,), 2.5, 3.0), stats.gamma(2.5, 0, 3)),
}


@pytest.mark.parametrize("name", CONTINUOUS)
def test_distribution(name: str) -> None:
    draw, wanted = CONTINUOUS[name]
    values = draw().eval()
    assert np.isfinite(values).all()
    assert stats.kstest(values.astype(float), wanted.cdf).pvalue > 1e-3
    assert abs(values.mean() - wanted.mean()) < 5 * wanted.std() / np.sqrt(N)


def test_exponential_variates_are_exact_at_both_ends() -> None:
    tops = 2**32 - 1 - np.array([0, 1, 2, 1000, 2**20, 2**30, 2**30 + 1, 2**31], np.uint64)
    bits = np.concatenate([np.array([0, 1, 5, 2**16], np.uint64), tops]).astype(np.uint32)
    found = exponential_float(NumpyEmitter(), bits)
    gaps = (2.0**32 - bits.astype(float) - 0.5) * 2.0**-32
    np.testing.assert_allclose(found, -np.log1p(-gaps), **VARIATES)
    assert found.min() > 0
    assert found.max() < 23


def test_truncated_variates_stay_inside() -> None:
    for low, high in ((-2.0, 2.0), (0.0, 0.01), (3.0, 4.0), (-1.0, np.inf)):
        values = random.truncated_normal((N,), low, high).eval()
        assert low <= values.min() < values.max() <= high


@pytest.mark.parametrize(
    ("low", "high", "dtype"),
    [(0, 6, "int32"), (-3, 4, "int8"), (0, 2**32, "uint32"), (-(2**31), 2**31, "int32"),
     (0, 2**64, "uint64"), (-(2**63), 2**63, "int64"), (10**12, 10**12 + 3 * 2**40, "int64")],
)  # fmt: skip
def test_integers(low: int, high: int, dtype: str) -> None:
    values = random.randint((N,), low, high, dtype=dtype).eval()
    assert values.dtype == dtype
    exact = [int(v) for v in values]
    assert low <= min(exact) <= max(exact) < high
    parts = min(8, high - low)
    counts = np.bincount([(v - low) * parts // (high - low) for v in exact], minlength=parts)
    sizes = [-(-(k + 1) * (high - low) // parts) - -(-k * (high - low) // parts)
             for k in range(parts)]  # fmt: skip
    wanted = np.array([N * s / (high - low) for s in sizes])
    assert stats.chisquare(counts, wanted).pvalue > 1e-3


@pytest.mark.parametrize("target", ["cpu", "interpret"])
def test_no_part_of_a_wide_range_is_preferred(target: str) -> None:
    for low, high, dtype in ((0, 3 * 2**61, "uint64"), (-(2**63), 2**62, "int64")):
        drawn = random.randint((N,), low, high, dtype=dtype)
        values = gx.compile([], drawn, target=target)()
        assert low <= values.min() <= values.max() < high
        thirds = np.histogram(values.astype(float), 3, (low, high))[0]
        assert stats.chisquare(thirds).pvalue > 1e-3


def test_integers_below_a_number() -> None:
    values = random.randint((1000,), 3).eval()
    assert sorted(set(values.tolist())) == [0, 1, 2]


def test_categories() -> None:
    p = np.array([[0.1, 0.2, 0.7], [0.5, 0.5, 0.0]])
    with np.errstate(divide="ignore"):
        logits = np.log(p).astype(np.float32)
    x = gx.input("x", (2, 3))
    step = gx.compile([x], [random.categorical(x, shape=(N, 2)), random.categorical(x.mT, axis=0)])
    many, one = step(logits)
    assert many.dtype == np.int64
    assert one.shape == (2,)
    for row in range(2):
        counts = np.bincount(many[:, row], minlength=3)
        kept = p[row] > 0
        assert counts[~kept].sum() == 0
        assert stats.chisquare(counts[kept], N * p[row][kept]).pvalue > 1e-3


def test_permutations() -> None:
    orders = np.stack([random.permutation(4, name=f"p{i}").eval() for i in range(2400)])
    assert (np.sort(orders, axis=1) == np.arange(4)).all()
    counts = np.bincount(orders @ 4 ** np.arange(4), minlength=256)
    assert stats.chisquare(counts[counts > 0], np.full(24, 100)).pvalue > 1e-3
    x = gx.input("x", ("n", 3))
    step = gx.compile([x], random.permutation(x))
    for n in (1, 5, 17):
        a = np.arange(3.0 * n, dtype=np.float32).reshape(n, 3)
        first, second = step(a), step(a)
        np.testing.assert_array_equal(first[np.argsort(first[:, 0])], a)
        assert n < 5 or (first != second).any()


def one_of_each(dtype: str) -> dict[str, Any]:
    """Every distribution, with numbers and with a tensor of parameters."""
    count = 20_000
    a = np.linspace(0.05, 30, count).astype(gx.input("a", (), dtype).dtype.numpy)
    logits = np.linspace(0, 3, 7, dtype="float32")
    return {
        "uniform": random.uniform((count,), dtype=dtype),
        "between": random.uniform((count,), -3.0, 7.0, dtype=dtype),
        "varying": random.uniform((count,), -a, a, dtype=dtype),
        "normal": random.normal((count,), 0.3, 1.7, dtype=dtype),
        "exponential": random.exponential((count,), 2.3, dtype=dtype),
        "gumbel": random.gumbel((count,), 0.3, 1.3, dtype=dtype),
        "truncated": random.truncated_normal((count,), -1.0, 3.0, 0.2, 0.7, dtype=dtype),
        "gamma": random.gamma((count,), a, 1.7, dtype=dtype),
        "bernoulli": random.bernoulli((count,), a / 40.0),
        "integers": random.randint((count,), -5, 10**9, dtype="int64"),
        "categories": random.categorical(logits, shape=(count,)),
        "permutation": random.permutation(count),
        "candidates": gx.nn.sampling.candidates(10**5, count, "log_uniform", "candidates"),
    }  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_all_targets_draw_the_same_bits(dtype: str) -> None:
    """Whatever else is fused with a draw, and before and after every pass."""
    draws = one_of_each(dtype)
    wide = [t.astype("float32") for t in draws.values()]
    beside = [(t * 3.0 + 1.0).sum() for t in wide] + [gx.exp(-t) for t in wide]
    oracle = gx.compile([], draws, target="interpret")()
    native = gx.compile([], (draws, beside))()[0]
    for name, wanted in oracle.items():
        assert native[name].dtype == wanted.dtype
        np.testing.assert_array_equal(native[name], wanted, err_msg=name)
        np.testing.assert_array_equal(draws[name].eval(), wanted, err_msg=name)


def test_gradients_reach_locations_and_scales() -> None:
    s = gx.input("s", (), dtype="float64")
    drawn = random.gamma((50,), 2.0, s, dtype="float64") + random.exponential((50,), s)
    (slope,) = gx.grad(gx.sum(drawn), [s])
    total, found = gx.compile([s], [gx.sum(drawn), slope])(np.array(2.0))
    assert found == pytest.approx(total / 2.0)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: random.truncated_normal((2,), 2.0, 2.0), ArgumentError, "2.0 is not below 2.0"),
        (lambda: random.randint((2,), 5, 5), ArgumentError, "5 to 4 is no range of int32"),
        (lambda: random.randint((2,), 0, 300, dtype="int8"), ArgumentError, "no range of int8"),
        (lambda: random.randint((2,), 3, dtype="float32"), DTypeError, "needs an integer dtype"),
        (lambda: random.exponential((2,), dtype="int32"), DTypeError, "exponential: needs a float"),
        (lambda: random.categorical(gx.ones((2, 3)), shape=(3,)), ArgumentError, "does not end in"),
        (lambda: random.categorical(gx.ones((3,), dtype="int32")), DTypeError, "needs floats"),
    ],
)
def test_messages(make: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        make()
