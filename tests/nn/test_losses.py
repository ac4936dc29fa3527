"""Losses and metrics against numpy, their gradients, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy import special

import graphc as gx
from graphc.errors import ArgumentError, DTypeError, RuntimeCheckError, ShapeError
from graphc.testing import assert_close
from tests.tolerances import HALF_LOSSES

nn = gx.nn


def draw(shape: tuple[int, ...], classes: int, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(*shape, classes)) * 4, rng.integers(0, classes, shape)


@pytest.mark.parametrize("labels_dtype", ["uint8", "int8", "int32", "int64", "uint32"])
@pytest.mark.parametrize(
    ("shape", "classes"), [((), 3), ((5,), 10), ((2, 3), 7), ((0,), 4), ((6,), 1)]
)
def test_cross_entropy_values(shape: tuple[int, ...], classes: int, labels_dtype: str) -> None:
    array, index = draw(shape, classes)
    x = gx.input("x", array.shape, dtype="float64")
    t = gx.input("t", shape, dtype=labels_dtype)
    loss = nn.softmax_cross_entropy(x, t)
    assert loss.shape == shape
    logs = special.log_softmax(array, axis=-1)
    expected = -np.take_along_axis(logs, index[..., None], axis=-1)[..., 0]
    values = loss.eval({x: array, t: index.astype(labels_dtype)})
    assert_close(values, expected, each=True)


def test_cross_entropy_gradient_is_softmax_minus_one_hot() -> None:
    array, index = draw((9,), 11)
    x = gx.input("x", ("batch", 11), dtype="float64")
    t = gx.input("t", ("batch",), dtype="int32")
    gradient = gx.grad(nn.softmax_cross_entropy(x, t).sum(), x)
    expected = special.softmax(array, axis=-1) - np.eye(11)[index]
    values = gradient.eval({x: array, t: index.astype("int32")})
    assert_close(values, expected, each=True)


def test_cross_entropy_second_derivative() -> None:
    array, index = draw((3,), 4)
    x = gx.input("x", (3, 4), dtype="float64")
    t = gx.constant(index.astype("int32"))
    first = gx.grad(nn.softmax_cross_entropy(x, t).sum(), x)
    weights = np.random.default_rng(1).normal(size=(3, 4))
    report = gx.check_gradients((first * weights).sum(), [x], {x: array})
    assert report.passed, report


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_cross_entropy_is_stable(dtype: str) -> None:
    array = np.array([[1e4, -1e4], [-1e4, 1e4], [3e4, 3e4]], np.float32)
    x = gx.input("x", (3, 2))
    t = gx.constant(np.zeros(3, np.int32))
    logits = x.astype(dtype)
    loss = nn.softmax_cross_entropy(logits, t)
    assert loss.dtype.name == dtype
    values = loss.eval({x: array}).astype(np.float64)
    np.testing.assert_allclose(values, [0, 2e4, np.log(2)], **HALF_LOSSES)
    gradient = gx.grad(loss.astype("float32").sum(), x).eval({x: array})
    assert_close(gradient, [[0, 0], [-1, 1], [-0.5, 0.5]])


def test_cross_entropy_with_a_class_ruled_out() -> None:
    array = np.array([[0.0, -np.inf, 0.0]], "float32")
    x = gx.input("x", (1, 3))
    t = gx.constant(np.array([2], np.int32))
    loss = nn.softmax_cross_entropy(x, t)
    assert_close(loss.eval({x: array}), [np.log(2)], tolerance="ulps")
    assert_close(
        gx.grad(loss.sum(), x).eval({x: array}), [[0.5, 0, -0.5]], tolerance="ulps", each=True
    )


@pytest.mark.parametrize("label", [-1, 4, 127, -128])
@pytest.mark.parametrize("dtype", ["int8", "int64"])
def test_a_label_out_of_range_fails_and_updates_nothing(label: int, dtype: str) -> None:
    w = gx.parameter("w", value=np.ones((2, 4), "float32"))
    t = gx.input("t", (3,), dtype=dtype)
    loss = nn.softmax_cross_entropy(np.ones((3, 2), "float32") @ w, t).mean()
    step = gx.compile([t], loss, updates=gx.optim.SGD(0.1).minimize(loss), target="interpret")
    with pytest.raises(RuntimeCheckError, match=r"a label is outside 0 to 3"):
        step(np.array([0, label, 1], dtype))
    np.testing.assert_array_equal(w.value, 1.0)
    step(np.array([0, 3, 1], dtype))
    assert not (w.value == 1.0).all()


def test_cross_entropy_with_distributions() -> None:
    array, _ = draw((5,), 6)
    weights = np.random.default_rng(2).dirichlet(np.ones(6), 5)
    weights[0, 2] = 0.0
    weights[0] /= weights[0].sum()
    x = gx.input("x", (5, 6), dtype="float64")
    loss = nn.softmax_cross_entropy(x, weights)
    expected = -(weights * special.log_softmax(array, axis=-1)).sum(-1)
    assert_close(loss.eval({x: array}), expected, each=True)
    gradient = gx.grad(loss.sum(), x).eval({x: array})
    assert_close(gradient, special.softmax(array, axis=-1) - weights)


def test_label_smoothing_agrees_between_labels_and_distributions() -> None:
    array, index = draw((5,), 6)
    x = gx.input("x", (5, 6), dtype="float64")
    smooth = np.eye(6)[index] * 0.9 + 0.1 / 6
    expected = -(smooth * special.log_softmax(array, axis=-1)).sum(-1)
    hard = nn.softmax_cross_entropy(x, index, label_smoothing=0.1)
    soft = nn.softmax_cross_entropy(x, np.eye(6)[index], label_smoothing=0.1)
    assert_close(hard.eval({x: array}), expected, each=True)
    assert_close(soft.eval({x: array}), expected, each=True)


def test_cross_entropy_refuses_what_does_not_fit() -> None:
    x = gx.input("x", ("batch", 10))
    with pytest.raises(
        ShapeError, match=r"without the last axis, f32\[batch,10\]\[:-1\]"
    ) as caught:
        nn.softmax_cross_entropy(x, gx.input("t", ("batch", 1), dtype="int32"))
    assert "test_losses.py" in str(caught.value)
    with pytest.raises(ShapeError, match="float labels must have the logits' shape"):
        nn.softmax_cross_entropy(x, gx.input("t", ("batch",)))
    with pytest.raises(DTypeError, match="labels must be integers, got bool"):
        nn.softmax_cross_entropy(x, gx.input("t", ("batch",), dtype="bool"))
    with pytest.raises(DTypeError, match="logits must be floats"):
        nn.softmax_cross_entropy(gx.input("i", (3, 4), dtype="int32"), gx.input("t", (3,), "int32"))
    with pytest.raises(ArgumentError, match="label_smoothing"):
        nn.softmax_cross_entropy(x, x, label_smoothing=2.0)


# -------------------------------------------------------------------------- elementwise losses

PAIRS: dict[str, tuple[Callable[..., Any], Callable[[Any, Any], Any]]] = {
    "mse": (nn.mse, lambda p, t: (p - t) ** 2),
    "mae": (nn.mae, lambda p, t: np.abs(p - t)),
    "huber": (
        nn.huber,
        lambda p, t: np.where(abs(p - t) <= 1, 0.5 * (p - t) ** 2, abs(p - t) - 0.5),
    ),
    "huber 0.3": (
        lambda p, t: nn.huber(p, t, delta=0.3),
        lambda p, t: np.where(abs(p - t) <= 0.3, 0.5 * (p - t) ** 2, 0.3 * (abs(p - t) - 0.15)),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_elementwise_losses(name: str) -> None:
    function, oracle = PAIRS[name]
    rng = np.random.default_rng(7)
    a, b = rng.normal(size=(4, 5)) * 2, rng.normal(size=(4, 5))
    x, t = gx.input("x", (4, 5), dtype="float64"), gx.input("t", (4, 5), dtype="float64")
    loss = function(x, t)
    assert loss.shape == (4, 5)
    assert_close(loss.eval({x: a, t: b}), oracle(a, b), tolerance="ulps", each=True)
    report = gx.check_gradients(loss.sum(), [x, t], {x: a, t: b})
    assert report.passed, report


@pytest.mark.parametrize("dtype", ["int32", "bool"])
def test_targets_may_be_integers(dtype: str) -> None:
    x = gx.input("x", (3,))
    t = gx.input("t", (3,), dtype=dtype)
    feeds = {x: np.array([0.5, 2, -1], "float32"), t: np.array([0, 1, 1], dtype)}
    np.testing.assert_allclose(nn.mse(x, t).eval(feeds), [0.25, 1, 4])


def test_sigmoid_cross_entropy() -> None:
    a = np.array([-1000.0, -5, -0.1, 0, 0.1, 5, 1000])
    x = gx.input("x", (7,), dtype="float64")
    for label in (0.0, 1.0, 0.3):
        loss = nn.sigmoid_cross_entropy(x, np.full(7, label))
        expected = label * np.logaddexp(0, -a) + (1 - label) * np.logaddexp(0, a)
        assert_close(loss.eval({x: a}), expected, each=True)
        gradient = gx.grad(loss.sum(), x).eval({x: a})
        assert_close(gradient, special.expit(a) - label, each=True)


def test_hinge() -> None:
    x = gx.input("x", (5,), dtype="float64")
    scores, labels = np.array([2.0, 0.5, 1.0, -3, 0]), np.array([1.0, 1, 1, 1, -1])
    loss = nn.hinge(x, labels)
    np.testing.assert_allclose(loss.eval({x: scores}), [0, 0.5, 0, 4, 1])
    np.testing.assert_allclose(gx.grad(loss.sum(), x).eval({x: scores}), [0, -1, 0, -1, 1])


def test_kl_divergence() -> None:
    rng = np.random.default_rng(8)
    p, q = rng.dirichlet(np.ones(6), 3), rng.dirichlet(np.ones(6), 3)
    p[0, 1] = 0.0
    a, b = gx.input("p", (3, 6), dtype="float64"), gx.input("q", (3, 6), dtype="float64")
    loss = nn.kl_divergence(a, b)
    expected = special.rel_entr(p, q).sum(-1)
    assert_close(loss.eval({a: p, b: q}), expected)
    assert np.isfinite(gx.grad(loss.sum(), [a, b])[0].eval({a: p, b: q})).all()


TWO_OPERANDS = ["mse", "mae", "huber", "hinge", "sigmoid_cross_entropy", "kl_divergence"]


@pytest.mark.parametrize("name", [*TWO_OPERANDS, "accuracy"])
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("size", ["n", 4])
def test_a_column_beside_a_row_of_numbers_is_refused(name: str, first: int, size: Any) -> None:
    pair = [gx.input("p", (size, 1)), gx.input("t", (size,))]
    text = r"f32\[\w,1\] vs f32\[\w\]" if not first else r"f32\[\w\] vs f32\[\w,1\]"
    with pytest.raises(ShapeError, match=f"{name}: .* must have one shape.*{text}") as caught:
        getattr(nn, name)(pair[first], pair[1 - first])
    assert "[..., 0] has the shape of" in str(caught.value.hint)
    assert "test_losses.py" in str(caught.value)
    getattr(nn, name)(pair[0], pair[1][:, None])


@pytest.mark.parametrize("name", TWO_OPERANDS)
def test_rows_and_one_row_are_refused(name: str) -> None:
    with pytest.raises(ShapeError, match="must have one shape"):
        getattr(nn, name)(gx.input("p", ("n", 3)), gx.input("t", (3,)))


def test_labels_of_another_shape_are_refused() -> None:
    x, column = gx.input("x", ("n", 3)), gx.input("t", ("n", 1), dtype="int32")
    for metric in (nn.accuracy, partial(nn.top_k_accuracy, k=2), nn.softmax_cross_entropy):
        with pytest.raises(ShapeError, match="labels") as caught:
            metric(x, column)
        assert caught.value.hint
        assert metric(x, column[..., 0]).dtype.name == "float32"


def test_a_number_stands_beside_any_shape() -> None:
    x = gx.input("x", (3,))
    feeds = {x: np.array([0.5, 2, -1], "float32")}
    for target in (1, 1.0, np.float64(1), np.array(1), gx.constant(np.float32(1)), True):
        loss = nn.mse(x, target)
        assert loss.dtype.name == "float32"
        np.testing.assert_allclose(loss.eval(feeds), [0.25, 1, 4])
    assert nn.mse(x, np.arange(3.0)).dtype.name == "float32"
    assert nn.hinge(x, -1).shape == (3,)


def test_similarity_of_rows_that_do_not_meet_is_refused() -> None:
    x, y = gx.input("x", ("n", 1, 4)), gx.input("y", ("n", 4))
    with pytest.raises(ShapeError, match="need equal ranks"):
        nn.cosine_similarity(x, y)
    with pytest.raises(ShapeError, match="sizes along axis -1 differ: 1 vs 4"):
        nn.cosine_similarity(x[..., :1], x)
    with pytest.raises(ShapeError, match="need equal ranks"):
        nn.cosine_distance(gx.input("x", (4, 4)), gx.input("y", (4,)), axis=0)
    assert nn.cosine_similarity(x, gx.expand_dims(y, 0)).shape == y.shape[:1] * 2
    assert nn.cosine_similarity(y, np.ones(4, "float32")).shape == y.shape[:1]


# ------------------------------------------------------------------------------------ metrics


def test_accuracy_counts_the_first_of_equal_logits() -> None:
    x = gx.input("x", (4, 3))
    t = gx.input("t", (4,), dtype="int32")
    logits = np.array([[1, 2, 0], [5, 5, 1], [0, 7, 7], [1, 0, 0]], "float32")
    for labels, share in (([1, 0, 1, 0], 1.0), ([1, 1, 2, 0], 0.5), ([0, 2, 0, 1], 0.0)):
        value = nn.accuracy(x, t).eval({x: logits, t: np.array(labels, "int32")})
        assert value.dtype == np.float32
        assert value == share


def test_accuracy_of_two_classes() -> None:
    x = gx.input("x", (4,))
    t = gx.input("t", (4,), dtype="float32")
    feeds = {x: np.array([1, -1, 3, -2], "float32"), t: np.array([1, 1, 1, 0], "float32")}
    assert nn.accuracy(x, t).eval(feeds) == 0.75


@pytest.mark.parametrize("k", [1, 2, 3, 7])
def test_top_k_accuracy(k: int) -> None:
    rng = np.random.default_rng(0)
    logits = rng.integers(0, 4, (50, 7)).astype("float32")  # many ties
    labels = rng.integers(0, 7, 50).astype("int32")
    order = np.argsort(-logits, axis=-1, kind="stable")
    expected = (order[:, :k] == labels[:, None]).any(-1).mean()
    x, t = gx.input("x", ("batch", 7)), gx.input("t", ("batch",), dtype="int32")
    value = nn.top_k_accuracy(x, t, k).eval({x: logits, t: labels})
    assert_close(value, expected, tolerance="ulps")


def test_a_cross_entropy_reads_a_product_of_matrices() -> None:
    """One element of each row of a product, which another kernel stores masked."""
    rng = np.random.default_rng(0)
    p, q, labels = rng.random((5, 3)), rng.random((3, 4)), np.array([0, 3, 1, 2, 3], "int32")
    a, b = gx.input("a", p.shape, "float64"), gx.input("b", q.shape, "float64")
    t = gx.input("t", labels.shape, "int32")
    found = gx.compile([a, b, t], gx.nn.sparse_categorical_crossentropy(a @ b, t))(p, q, labels)
    assert_close(found, -np.log((p @ q)[np.arange(5), labels]))
