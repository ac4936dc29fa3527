"""Losses of distances, likelihoods, hard examples and probabilities against their formulas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import special

import graphc as gx
from graphc.errors import ArgumentError, RuntimeCheckError, ShapeError
from graphc.testing import assert_close

nn = gx.nn
RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(2, 7, 5)) * 2
POSITIVE = np.exp(B)
COUNTS = RNG.integers(0, 4, (7, 5)).astype(float)
ZERO_ONE = RNG.integers(0, 2, (7, 5)).astype(float)
SIGNS = 2 * ZERO_ONE - 1
LABELS = RNG.integers(0, 5, 7)
HOT = np.eye(5)[LABELS]
SAME = np.array([0.0, 1, 0, 1, 1, 0, 1])
SHARES = special.softmax(A, -1)
LOGS = special.log_softmax(A, -1)


def norm(x: Any) -> Any:
    """Lengths of rows."""
    return np.sqrt((x**2).sum(-1))


def focal(x: Any, t: Any, gamma: float, alpha: float) -> Any:
    """Lin et al. 2017, equation 5, as they write it."""
    p = special.expit(x)
    right, weight = np.where(t == 1, p, 1 - p), np.where(t == 1, alpha, 1 - alpha)
    return -weight * (1 - right) ** gamma * np.log(right)


def contrasted(x: Any, y: Any, temperature: float) -> Any:
    """The cross-entropy of every row with all others."""
    scores = x @ y.T / temperature
    return special.logsumexp(scores, -1) - np.diag(scores)


def told_apart(x: Any, y: Any, p: Any, q: Any) -> Any:
    """Gutmann and Hyvarinen 2010, equation 3, with five draws."""
    ours = special.log_expit(x - p - np.log(5))
    return -ours - special.log_expit(-(y - q - np.log(5))).sum(-1)


CASES: dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[Any, ...]]] = {
    "log_cosh": (nn.log_cosh, lambda x, y: np.log(np.cosh(x - y)), (A, B)),
    "quantile": (
        lambda x, y: nn.quantile(x, y, 0.3),
        lambda x, y: np.where(y > x, 0.3 * (y - x), 0.7 * (x - y)), (A, B),
    ),
    "poisson": (nn.poisson, lambda x, y: np.exp(x) - y * x, (A, COUNTS)),
    "poisson of rates": (
        lambda x, y: nn.poisson(x, y, log_input=False),
        lambda x, y: x - special.xlogy(y, x), (POSITIVE, COUNTS),
    ),
    "gaussian_nll": (
        nn.gaussian_nll, lambda x, y, v: (np.log(v) + (x - y) ** 2 / v) / 2, (A, B, POSITIVE),
    ),
    "squared_hinge": (nn.squared_hinge, lambda x, t: np.maximum(0, 1 - t * x) ** 2, (A, SIGNS)),
    "categorical_hinge": (
        nn.categorical_hinge,
        lambda x, t: np.maximum(
            0, 1 + np.where(HOT == 1, -np.inf, x).max(-1) - (HOT * x).sum(-1)
        ), (A, LABELS),
    ),
    "contrastive": (
        lambda x, y, s: nn.contrastive(x, y, s, margin=4.0),
        lambda x, y, s: s * norm(x - y) ** 2 + (1 - s) * np.maximum(0, 4 - norm(x - y)) ** 2,
        (A, B, SAME),
    ),
    "triplet": (
        nn.triplet,
        lambda x, y, z: np.maximum(0, norm(x - y) - norm(x - z) + 1), (A, B, POSITIVE),
    ),
    "info_nce": (
        lambda x, y: nn.info_nce(x, y, 0.5), lambda x, y: contrasted(x, y, 0.5), (A, B),
    ),
    "info_nce, symmetric": (
        lambda x, y: nn.info_nce(x, y, 0.5, symmetric=True),
        lambda x, y: (contrasted(x, y, 0.5) + contrasted(y, x, 0.5)) / 2, (A, B),
    ),
    "nce": (nn.nce, told_apart, (A[:, 0], B, B[:, 1] - 2, A - 2)),
    "sigmoid_focal": (
        lambda x, t: nn.sigmoid_focal(x, t, 1.5, 0.25),
        lambda x, t: focal(x, t, 1.5, 0.25), (A, ZERO_ONE),
    ),
    "softmax_focal": (
        nn.softmax_focal,
        lambda x, t: -((1 - (SHARES * HOT).sum(-1)) ** 2) * (LOGS * HOT).sum(-1), (A, LABELS),
    ),
    "categorical_crossentropy": (
        nn.categorical_crossentropy, lambda p, t: -(t * np.log(p)).sum(-1), (SHARES, HOT),
    ),
    "categorical_crossentropy, smoothed": (
        lambda p, t: nn.categorical_crossentropy(p, t, label_smoothing=0.1),
        lambda p, t: -((0.9 * t + 0.02) * np.log(p)).sum(-1), (SHARES, HOT),
    ),
    "categorical_crossentropy, of a softmax": (
        lambda x, t: nn.categorical_crossentropy(nn.softmax(x), t),
        lambda x, t: -(t * special.log_softmax(x, -1)).sum(-1), (A * 300, HOT),
    ),
    "sparse_categorical_crossentropy": (
        nn.sparse_categorical_crossentropy, lambda p, t: -(HOT * np.log(p)).sum(-1),
        (SHARES, LABELS),
    ),
    "binary_crossentropy": (
        nn.binary_crossentropy,
        lambda p, t: -special.xlogy(t, p) - special.xlog1py(1 - t, -p), (SHARES, ZERO_ONE),
    ),
    "binary_crossentropy, of a sigmoid": (
        lambda x, t: nn.binary_crossentropy(nn.sigmoid(x), t),
        lambda x, t: -t * special.log_expit(x) - (1 - t) * special.log_expit(-x),
        (A * 300, ZERO_ONE),
    ),
    "sigmoid_cross_entropy, smoothed": (
        lambda x, t: nn.sigmoid_cross_entropy(x, t, label_smoothing=0.2),
        lambda x, t: np.logaddexp(0, x) - (0.8 * t + 0.1) * x, (A, ZERO_ONE),
    ),
}  # fmt: skip


def inputs_of(arrays: tuple[Any, ...], dtype: str) -> tuple[list[Any], list[Any]]:
    """Inputs for arrays, floats of a dtype."""
    kinds = [dtype if a.dtype.kind == "f" else "int32" for a in arrays]
    inputs = [gx.input(f"x{i}", a.shape, k) for i, (a, k) in enumerate(zip(arrays, kinds))]
    return inputs, [a.astype(x.dtype.numpy) for a, x in zip(arrays, inputs)]


@pytest.mark.parametrize("target", ["interpret", "cpu"])
@pytest.mark.parametrize("case", CASES)
def test_values(case: str, target: str) -> None:
    make, formula, arrays = CASES[case]
    inputs, given = inputs_of(arrays, "float64")
    found = gx.compile(inputs, make(*inputs), target=target)(*given)
    assert_close(found, formula(*arrays), tolerance="sums")


@pytest.mark.parametrize("case", CASES)
def test_gradients(case: str) -> None:
    make, _, arrays = CASES[case]
    inputs, given = inputs_of(arrays, "float64")
    wrt = [inputs[0]] if "poisson" in case or "cross" in case else inputs
    wrt = [x for x in wrt if x.dtype.is_float]
    report = gx.check_gradients(make(*inputs).sum(), wrt, dict(zip(inputs, given)))
    assert report.passed, report


@pytest.mark.parametrize("case", CASES)
def test_halves_are_computed_in_float32(case: str) -> None:
    make, formula, arrays = CASES[case]
    inputs, given = inputs_of(arrays, "bfloat16")
    value = make(*inputs)
    assert value.dtype.name == "bfloat16"
    exact = formula(*(g.astype(float) if g.dtype.kind not in "iu" else g for g in given))
    found = value.eval(dict(zip(inputs, given)))
    assert_close(found.astype(np.float32), exact, dtype="bfloat16")


TWO = ["log_cosh", "quantile", "poisson", "squared_hinge", "sigmoid_focal", "binary_crossentropy"]


@pytest.mark.parametrize("name", TWO)
def test_a_column_beside_a_row_is_refused(name: str) -> None:
    x, y = gx.input("x", (4, 1)), gx.input("y", (4,))
    with pytest.raises(ShapeError, match=f"{name}: .* must have one shape"):
        getattr(nn, name)(x, y)


def test_shapes_of_embeddings_are_compared() -> None:
    x, y, z = (gx.input("x", (4, 3)), gx.input("y", (4, 2)), gx.input("z", (5, 3)))
    with pytest.raises(ShapeError, match="contrastive: a and b must have one shape"):
        nn.contrastive(x, y, np.ones(4))
    with pytest.raises(ShapeError, match="contrastive: the distances and same"):
        nn.contrastive(x, x, np.ones((4, 1)))
    with pytest.raises(ShapeError, match="triplet: anchor and negative"):
        nn.triplet(x, x, z)
    with pytest.raises(ShapeError, match="info_nce: queries and keys"):
        nn.info_nce(x, z)
    with pytest.raises(ShapeError, match="one axis more"):
        nn.nce(x, x, x, x)


def test_distances_of_nothing_have_a_finite_gradient() -> None:
    x = gx.input("x", (2, 3), "float64")
    for loss in (nn.triplet(x, x, x), nn.contrastive(x, x, np.array([1.0, 0.0]))):
        values = gx.grad(loss.sum(), x).eval({x: np.ones((2, 3))})
        np.testing.assert_array_equal(values, 0.0)


def test_log_cosh_neither_overflows_nor_cancels() -> None:
    x = gx.input("x", (4,), "float64")
    values = nn.log_cosh(x, 0.0).eval({x: np.array([0.0, 1e-5, 0.9999999, 800.0])})
    expected = [0.0, 4.99999999991666667e-11, np.log(np.cosh(0.9999999)), 800 - np.log(2)]
    assert_close(values, expected, each=True)


def test_probabilities_of_0_and_1_have_finite_losses() -> None:
    p, t = gx.input("p", (2, 2)), gx.input("t", (2, 2))
    hard, hot = np.array([[0, 1], [1, 0]], "float32"), np.eye(2, dtype="float32")
    for loss in (nn.binary_crossentropy(p, t), nn.categorical_crossentropy(p, t)):
        gradient = gx.grad(loss.sum(), p)
        value, slope = gx.compile([p, t], [loss, gradient])(hard, hot)
        assert np.isfinite(value).all()
        assert np.isfinite(slope).all()


def test_a_label_out_of_range_is_an_error() -> None:
    x, t = gx.input("x", (2, 3)), gx.input("t", (2,), "int32")
    for name in ("categorical_hinge", "softmax_focal", "sparse_categorical_crossentropy"):
        step = gx.compile([x, t], getattr(nn, name)(x, t))
        with pytest.raises(RuntimeCheckError, match="a label is outside 0 to 2"):
            step(np.zeros((2, 3), "float32"), np.array([0, 3], "int32"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: nn.quantile(x, x, 1.0), r"q must be in \(0, 1\), got 1.0"),
        (lambda x: nn.gaussian_nll(x, x, x, epsilon=0.0), "epsilon must be positive"),
        (lambda x: nn.contrastive(x, x, 1.0, margin=0.0), "margin must be positive"),
        (lambda x: nn.triplet(x, x, x, margin=-1.0), "margin must be positive"),
        (lambda x: nn.info_nce(x, x, temperature=0.0), "temperature must be positive"),
        (lambda x: nn.sigmoid_focal(x, x, gamma=-1.0), "gamma must not be negative"),
        (lambda x: nn.sigmoid_focal(x, x, alpha=2.0), "alpha must be between 0 and 1"),
        (lambda x: nn.sigmoid_cross_entropy(x, x, label_smoothing=2.0), "label_smoothing must be"),
        (lambda x: nn.binary_crossentropy(x, x, label_smoothing=-1.0), "label_smoothing must be"),
    ],
)
def test_nonsense_is_refused(make: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make(gx.input("x", (4, 3)))
