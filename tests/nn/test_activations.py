"""Activations against numpy and SciPy, their gradients by finite differences and at kinks."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import special

import graphc as gx
from graphc.errors import ArgumentError
from graphc.testing import assert_close
from tests.tolerances import ONE_NUMBER

nn = gx.nn

ORACLES: dict[str, tuple[Callable[..., Any], Callable[[Any], Any]]] = {
    "identity": (nn.identity, lambda x: x),
    "relu": (nn.relu, lambda x: np.maximum(x, 0)),
    "leaky_relu": (nn.leaky_relu, lambda x: np.where(x > 0, x, 0.01 * x)),
    "elu": (nn.elu, lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0)))),
    "selu": (
        nn.selu,
        lambda x: (
            1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0)))
        ),
    ),
    "sigmoid": (nn.sigmoid, special.expit),
    "hard_sigmoid": (nn.hard_sigmoid, lambda x: np.clip(x / 6 + 0.5, 0, 1)),
    "tanh": (nn.tanh, np.tanh),
    "softplus": (nn.softplus, lambda x: np.logaddexp(x, 0)),
    "softsign": (nn.softsign, lambda x: x / (1 + np.abs(x))),
    "silu": (nn.silu, lambda x: x * special.expit(x)),
    "mish": (nn.mish, lambda x: x * np.tanh(np.logaddexp(x, 0))),
    "gelu": (nn.gelu, lambda x: x * special.ndtr(x)),
    "softmax": (nn.softmax, lambda x: special.softmax(x, axis=-1)),
    "log_softmax": (nn.log_softmax, lambda x: special.log_softmax(x, axis=-1)),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("shape", [(7,), (3, 5), (2, 1, 4), (0, 3), (1,)])
@pytest.mark.parametrize("name", ORACLES)
def test_values(name: str, shape: tuple[int, ...], dtype: str) -> None:
    function, oracle = ORACLES[name]
    array = (np.random.default_rng(3).normal(size=shape) * 3).astype(dtype)
    x = gx.input("x", shape, dtype=dtype)
    y = function(x)
    assert (y.shape, y.dtype.name) == (shape, dtype)
    expected = oracle(array.astype(np.float64))
    assert_close(y.eval({x: array}), expected, each=True, floor=1.0)


@pytest.mark.parametrize("name", ORACLES)
def test_gradients_agree_with_finite_differences(name: str) -> None:
    function, _ = ORACLES[name]
    x = gx.input("x", (3, 5), dtype="float64")
    array = np.random.default_rng(4).normal(size=(3, 5)) * 2
    weights = np.random.default_rng(5).normal(size=(3, 5))
    report = gx.check_gradients((function(x) * weights).sum(), [x], {x: array})
    assert report.passed, report


EXTREMES = np.array([-np.inf, -1e38, -200.0, -0.0, 0.0, 200.0, 1e38, np.inf, np.nan], "float32")
LIMITS = {
    "relu": [0, 0, 0, 0, 0, 200, 1e38, np.inf, np.nan],
    "leaky_relu": [-np.inf, -1e36, -2, 0, 0, 200, 1e38, np.inf, np.nan],
    "elu": [-1, -1, -1, 0, 0, 200, 1e38, np.inf, np.nan],
    "sigmoid": [0, 0, 0, 0.5, 0.5, 1, 1, 1, np.nan],
    "tanh": [-1, -1, -1, 0, 0, 1, 1, 1, np.nan],
    "softplus": [0, 0, 0, np.log(2), np.log(2), 200, 1e38, np.inf, np.nan],
}


@pytest.mark.parametrize("name", LIMITS)
def test_extreme_values(name: str) -> None:
    x = gx.input("x", EXTREMES.shape)
    values = ORACLES[name][0](x).eval({x: EXTREMES})
    assert_close(values, np.array(LIMITS[name], "float32"), tolerance="ulps", each=True)


@pytest.mark.parametrize("name", ["elu", "selu", "leaky_relu", "softplus", "sigmoid", "relu"])
def test_gradients_are_finite_far_out(name: str) -> None:
    x = gx.input("x", (4,))
    gradient = gx.grad(ORACLES[name][0](x).sum(), x)
    array = np.array([-1e30, -200, 200, 1e30], "float32")
    assert np.isfinite(gradient.eval({x: array})).all()


@pytest.mark.parametrize(
    ("name", "at_zero"),
    [("relu", 0.0), ("leaky_relu", 0.01), ("elu", 1.0), ("softsign", 1.0), ("sigmoid", 0.25)],
)
def test_gradient_at_zero(name: str, at_zero: float) -> None:
    x = gx.input("x", (2,))
    gradient = gx.grad(ORACLES[name][0](x).sum(), x)
    zeros = np.array([0.0, -0.0], "float32")
    np.testing.assert_allclose(gradient.eval({x: zeros}), at_zero, **ONE_NUMBER)


def test_relu_needs_only_its_result_for_the_gradient() -> None:
    from graphc.ir.graph import topological

    x = gx.input("x", (3,))
    hidden = x * 2.0
    y = nn.relu(hidden)
    gradient = gx.grad(y.sum(), x)
    readers = [n for n in topological([gradient.node]) if hidden.node in n.inputs]
    assert readers == [y.node]


def test_gelu_approximation() -> None:
    x = gx.input("x", (101,), dtype="float64")
    array = np.linspace(-4, 4, 101)
    inner = np.sqrt(2 / np.pi) * (array + 0.044715 * array**3)
    expected = 0.5 * array * (1 + np.tanh(inner))
    assert_close(nn.gelu(x, approximate=True).eval({x: array}), expected, each=True)


@pytest.mark.parametrize("axis", [0, 1, -1, -3])
def test_softmax_along_an_axis(axis: int) -> None:
    x = gx.input("x", (3, 4, 5), dtype="float64")
    array = np.random.default_rng(6).normal(size=(3, 4, 5)) * 50
    feeds = {x: array}
    assert_close(nn.softmax(x, axis).eval(feeds), special.softmax(array, axis=axis), each=True)
    assert_close(
        nn.log_softmax(x, axis).eval(feeds), special.log_softmax(array, axis=axis), each=True
    )


def test_softmax_does_not_overflow() -> None:
    x = gx.input("x", (4,))
    array = np.array([3e38, 3e38, -3e38, -np.inf], "float32")
    np.testing.assert_array_equal(nn.softmax(x).eval({x: array}), [0.5, 0.5, 0, 0])


def test_activations_are_found_by_name() -> None:
    from graphc.nn.activations import find

    assert find("relu") is inspect.unwrap(nn.relu)
    assert find(None) is inspect.unwrap(nn.identity)
    assert find(nn.gelu) is nn.gelu
    with pytest.raises(ArgumentError, match="no activation is called 'rleu'"):
        find("rleu")
