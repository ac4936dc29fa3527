"""Initial values: moments and bounds from the papers' formulas, shapes, dtypes, reproducibility."""

from __future__ import annotations

import math

import numpy as np
import pytest

import graphc as gx
from graphc import init
from graphc.errors import ArgumentError, ShapeError
from graphc.testing import assert_close
from tests.tolerances import DRAWN


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((), (1, 1)),
        ((7,), (7, 7)),
        ((3, 5), (3, 5)),
        ((3, 3, 16, 32), (144, 288)),
        ((5, 2, 4), (10, 20)),
    ],
)
def test_fans(shape: tuple[int, ...], expected: tuple[int, int]) -> None:
    assert init.fans(shape) == expected


# (initialiser, variance as a function of the fans, factor of the largest value or None)
LAWS = [
    (init.glorot_uniform(), lambda i, o: 2 / (i + o), math.sqrt(3)),
    (init.glorot_normal(), lambda i, o: 2 / (i + o), None),
    (init.he_uniform(), lambda i, o: 2 / i, math.sqrt(3)),
    (init.he_normal(), lambda i, o: 2 / i, None),
    (init.lecun_uniform(), lambda i, o: 1 / i, math.sqrt(3)),
    (init.lecun_normal(), lambda i, o: 1 / i, None),
    (init.glorot_uniform(gain=2.0), lambda i, o: 8 / (i + o), math.sqrt(3)),
]


@pytest.mark.parametrize("law", range(len(LAWS)))
@pytest.mark.parametrize("shape", [(200, 300), (3, 3, 40, 60)])
def test_variance_follows_the_fans(law: int, shape: tuple[int, ...]) -> None:
    initializer, variance, bound = LAWS[law]
    values = initializer(shape, "float32", generator())
    wanted = variance(*init.fans(shape))
    count = values.size
    assert values.dtype == np.float32
    assert abs(values.mean()) < 5 * math.sqrt(wanted / count)
    assert values.var() == pytest.approx(wanted, rel=5 * math.sqrt(2 / count))
    if bound is not None:
        limit = bound * math.sqrt(wanted)
        assert 0.99 * limit < np.abs(values).max() <= np.float32(limit)


def test_constants() -> None:
    np.testing.assert_array_equal(init.zeros()((2, 3), "float64", generator()), np.zeros((2, 3)))
    np.testing.assert_array_equal(init.ones()((2,), "int32", generator()), [1, 1])
    value = init.constant([1.5, 2.5])((3, 2), "float32", generator())
    np.testing.assert_array_equal(value, [[1.5, 2.5]] * 3)
    assert value.flags.writeable
    with pytest.raises(ShapeError, match=r"init\.constant"):
        init.constant([1.0, 2.0])((3,), "float32", generator())


def test_truncated_normal_stays_within_two_deviations() -> None:
    values = init.truncated_normal(1.0, 0.5)((300, 300), "float64", generator())
    assert np.abs(values - 1.0).max() <= 1.0
    # variance of a standard normal cut at 2: 1 - 2 * 2 * pdf(2) / (2 cdf(2) - 1)
    pdf = math.exp(-2) / math.sqrt(2 * math.pi)
    variance = 1 - 4 * pdf / math.erf(math.sqrt(2))
    assert values.var() == pytest.approx(0.25 * variance, **DRAWN)


@pytest.mark.parametrize("shape", [(5, 5), (7, 3), (3, 7), (2, 2, 3, 4), (1, 1), (0, 3), (3, 0)])
def test_orthogonal(shape: tuple[int, ...]) -> None:
    w = init.orthogonal(2.0)(shape, "float64", generator())
    assert w.shape == shape
    flat = w.reshape(-1, shape[-1]) if w.size else np.zeros((0, 0))
    small = flat.T @ flat if len(flat) >= flat.shape[-1] else flat @ flat.T
    assert_close(small, 4.0 * np.eye(len(small)))


def test_orthogonal_is_uniform_over_signs() -> None:
    draws = [init.orthogonal()((1, 1), "float64", generator(seed))[0, 0] for seed in range(200)]
    assert 60 < sum(d > 0 for d in draws) < 140


def test_orthogonal_needs_two_axes() -> None:
    with pytest.raises(ShapeError, match="at least two axes"):
        init.orthogonal()((3,), "float32", generator())


def test_same_generator_same_values() -> None:
    a = init.he_normal()((4, 5), "float32", generator(3))
    np.testing.assert_array_equal(a, init.he_normal()((4, 5), "float32", generator(3)))
    assert not np.array_equal(a, init.he_normal()((4, 5), "float32", generator(4)))


def test_unknown_dtype() -> None:
    with pytest.raises(ArgumentError, match="unknown dtype 'float99'"):
        init.zeros()((2,), "float99", generator())


@pytest.mark.parametrize("shape", [(0, 0), (0,), ()])
def test_no_fan_is_no_division_by_zero(shape: tuple[int, ...]) -> None:
    for initializer, _, _ in LAWS:
        assert np.isfinite(initializer(shape, "float32", generator())).all()


@pytest.mark.parametrize("shape", [(400, 30), (5, 5, 16, 40)])
def test_inverse_fan_has_the_deviation_of_one_over_n(shape: tuple[int, ...]) -> None:
    values = init.inverse_fan(gain=2.0)(shape, "float64", generator())
    assert values.std() == pytest.approx(2.0 / 400, rel=5 / math.sqrt(2 * values.size))
    assert abs(values.mean()) < 5 * values.std() / math.sqrt(values.size)


@pytest.mark.parametrize("shape", [(3, 3), (2, 4), (4, 2), (1, 1), (0, 3)])
def test_identity_of_matrices(shape: tuple[int, int]) -> None:
    values = init.identity(1.5)(shape, "float32", generator())
    np.testing.assert_array_equal(values, 1.5 * np.eye(*shape, dtype="float32"))


@pytest.mark.parametrize("window", [(1,), (3,), (4,), (3, 3), (5, 3, 1)])
def test_identity_of_convolutions_passes_channels_on(window: tuple[int, ...]) -> None:
    kernel = init.identity()((*window, 2, 2), "float32", generator())
    shape = (2, *(6,) * len(window), 2)
    x = gx.input("x", shape)
    array = generator().normal(size=shape).astype("float32")
    same = gx.compile([x], gx.nn.conv(x, gx.constant(kernel), padding="same"), target="interpret")
    np.testing.assert_array_equal(same(array), array)


def test_identity_needs_a_matrix() -> None:
    with pytest.raises(ShapeError, match="identity: needs at least two axes"):
        init.identity()((3,), "float32", generator())
