"""Small networks whose gradients, sizes and limits are known on paper."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.testing import assert_close
from tests.coverage.compute import gradients, value
from tests.tolerances import FLAT, SAME_MINIMUM, SKLEARN_STOPS

RNG = np.random.default_rng(0)
nn = gx.nn


def test_multinomial_regression_ends_where_scikit_learn_ends() -> None:
    """Their minimum is flat to us (there is but one), and our descent leads there."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    (x, y), (test, labels) = gx.data.digits()
    x, y = x[:300].astype("float64"), y[:300]
    net, inputs = gx.models.logistic(), gx.input("x", ("batch", 64), "float64")
    logits, t = net(inputs), gx.input("t", ("batch",), "int32")
    kernel, bias = net.parameters
    loss = nn.softmax_cross_entropy(logits, t).sum() + gx.regularizers.l2([kernel])
    slopes = gx.compile([inputs, t], gx.grad(loss, [kernel, bias]), threads=1)
    step = gx.compile([inputs, t], loss, gx.optim.Adam(0.1).minimize(loss), threads=1)
    losses = [float(step(x, y)) for _ in range(300)]
    theirs = linear_model.LogisticRegression(C=1.0, **SKLEARN_STOPS).fit(x, y)
    shares = theirs.predict_proba(x)[np.arange(300), y]
    reached = -np.log(shares).sum() + 0.5 * (theirs.coef_**2).sum()
    np.testing.assert_allclose(losses[-1], reached, **SAME_MINIMUM)
    found = test.astype("float64") @ kernel.value + bias.value
    assert (found.argmax(1) == theirs.predict(test)).mean() > 0.99
    assert (found.argmax(1) == labels).mean() > 0.9
    kernel.value, bias.value = theirs.coef_.T, theirs.intercept_
    for slope in slopes(x, y):
        np.testing.assert_allclose(slope, 0.0, **FLAT)


def test_a_sigmoid_neuron_has_the_gradient_difference_times_input() -> None:
    """Of pictures of cats, laid out as a row: (a - y) x."""
    x, y = RNG.random((4, 2 * 2 * 3)), np.array([1.0, 0, 0, 1])

    def loss(w: Any, b: Any) -> Any:
        return nn.sigmoid_cross_entropy(x @ w + b, y)

    w, b = RNG.normal(size=12), RNG.normal()
    a = 1 / (1 + np.exp(-(x @ w + b)))
    by_w, by_b = gradients(loss, w, b)
    assert_close(by_w, x.T @ (a - y))
    assert_close(by_b, (a - y).sum())


def test_a_network_of_three_two_and_one_has_the_gradients_of_the_board() -> None:
    x, t = RNG.normal(size=3), 0.7
    weights = [RNG.normal(size=shape) for shape in ((3, 3), (2, 3), (1, 2))]

    def loss(w1: Any, w2: Any, w3: Any) -> Any:
        return 0.5 * (gx.sigmoid(w3 @ gx.sigmoid(w2 @ gx.sigmoid(w1 @ x))) - t) ** 2

    a1 = 1 / (1 + np.exp(-weights[0] @ x))
    a2 = 1 / (1 + np.exp(-weights[1] @ a1))
    a3 = 1 / (1 + np.exp(-weights[2] @ a2))
    d3 = (a3 - t) * a3 * (1 - a3)
    d2 = weights[2].T @ d3 * a2 * (1 - a2)
    d1 = weights[1].T @ d2 * a1 * (1 - a1)
    expected = [np.outer(d1, x), np.outer(d2, a1), np.outer(d3, a2)]
    for found, wanted in zip(gradients(loss, *weights), expected):
        assert_close(found, wanted)


def test_one_hidden_layer_and_a_squared_loss() -> None:
    """V s(W x + b) + c: with l the slope of a layer, l x^T, l, and W^T l further down."""
    x, t = RNG.normal(size=4), RNG.normal(size=2)
    w, b, v, c = (RNG.normal(size=shape) for shape in ((3, 4), (3,), (2, 3), (2,)))

    def loss(x: Any, w: Any, b: Any, v: Any, c: Any) -> Any:
        return ((v @ gx.sigmoid(w @ x + b) + c - t) ** 2).sum()

    h = 1 / (1 + np.exp(-(w @ x + b)))
    l2 = 2 * (v @ h + c - t)
    l1 = v.T @ l2 * h * (1 - h)
    expected = [w.T @ l1, np.outer(l1, x), l1, np.outer(l2, h), l2]
    for found, wanted in zip(gradients(loss, x, w, b, v, c), expected):
        assert_close(found, wanted)


def test_layers_without_activations_are_one_layer() -> None:
    x = gx.input("x", ("batch", 5), "float64")
    net = nn.Sequential([nn.Dense(7), nn.Activation("identity"), nn.Dense(6), nn.Dense(2)])
    y = net(x)
    for p in net.parameters:
        p.value = RNG.normal(size=p.shape)
    (w1, b1), (w2, b2), (w3, b3) = (
        tuple(p.value for p in net.parameters[i : i + 2]) for i in (0, 2, 4)
    )
    array = RNG.normal(size=(8, 5))
    collapsed = array @ (w1 @ w2 @ w3) + ((b1 @ w2 + b2) @ w3 + b3)
    assert_close(gx.compile([x], y)(array), collapsed)
    slopes = gx.jacobian(y[0], x).eval({x: array})
    assert_close(slopes[:, 0], (w1 @ w2 @ w3).T)


@pytest.mark.parametrize("scale", [1.5, 0.5])
def test_ten_layers_of_a_scaled_identity(scale: float) -> None:
    x = gx.input("x", ("batch", 4))
    net = nn.Sequential([nn.Dense(4, kernel_init=gx.init.identity(scale)) for _ in range(10)])
    y = net(x)
    ones = np.ones((2, 4), "float32")
    assert_close(y.eval({x: ones}), np.full((2, 4), scale**10), tolerance="ulps")
    assert_close(gx.grad(y.sum(), x).eval({x: ones}), np.full((2, 4), scale**10), tolerance="ulps")


def test_a_memory_of_all_examples_is_always_right_about_them() -> None:
    """The nearest neighbour: no error on what it has seen, some on what it has not."""
    (x, y), (test, labels) = gx.data.digits()
    seen, asked = gx.constant(x), gx.input("asked", ("batch", 64))
    distances = (asked**2).sum(1, keepdims=True) - 2.0 * asked @ seen.T + (seen**2).sum(1)
    nearest = gx.compile([asked], gx.take(gx.constant(y), gx.argmin(distances, axis=1)))
    np.testing.assert_array_equal(nearest(x), y)
    assert 0.95 < (nearest(test) == labels).mean() < 1.0


def test_outputs_that_are_prices_and_rewards() -> None:
    """Prices are not below 0, rewards between -1 and 1: the last activation sees to it."""
    houses = gx.data.synthetic.houses(300)
    x = houses.matrix("area", "rooms", "age", "distance")
    price = houses.matrix("price") / houses["price"].mean()
    reward = np.tanh(price - 1.0)
    for activation, y in (("relu", price), ("tanh", reward)):
        gx.seed(0)
        scale = nn.Standardize()
        scale.adapt(x)
        net = nn.Sequential([scale, nn.Dense(16, "tanh"), nn.Dense(1, activation, bias_init=one)])
        net.compile(gx.optim.Adam(0.02), "mse", threads=1)
        net.fit(x, y, epochs=60, verbose=False, seed=0)
        found = net.predict(x * 3.0)
        assert found.min() >= (0 if activation == "relu" else -1)
        assert net.evaluate(x, y)["loss"] < 0.5 * y.var()


def one(shape: Any, dtype: str, _: Any) -> Any:
    """A bias that begins where a relu has a slope."""
    return np.full(shape, 0.5, dtype)


# ------------------------------------------------------------------------- first weights


def deviations(scale: float, activation: str, depth: int = 10, units: int = 256) -> Any:
    """The deviation of the values of each layer, of weights of a deviation scale / sqrt(units)."""
    gx.seed(0)
    x = gx.input("x", ("batch", units))
    outputs, h = [], x
    for _ in range(depth):
        init = gx.init.normal(std=scale / units**0.5)
        h = nn.Dense(units, activation, kernel_init=init)(h)
        outputs.append(h)
    values = gx.compile([x], outputs)(RNG.normal(size=(200, units)).astype("float32"))
    return np.array([np.sqrt((v**2).mean()) for v in values])


def test_values_keep_their_size_where_weights_have_the_right_one() -> None:
    """1/n for a line and nearly for tanh, 2/n for relu; too small dies, too large saturates."""
    assert (np.abs(deviations(1.0, "identity") - 1) < 0.25).all()
    relu = deviations(2.0**0.5, "relu")
    assert (np.abs(relu - 1) < 0.25).all()
    assert deviations(1.0, "relu")[-1] < 0.06  # 2**-5
    assert deviations(0.1, "tanh")[-1] < 1e-9
    assert deviations(10.0, "tanh")[-1] > 0.9
    assert 0.1 < deviations(1.0, "tanh")[-1] < 0.6


def test_small_weights_have_flat_scores_and_large_ones_peaks() -> None:
    """And flat scores have the loss log 10."""
    x, _ = gx.data.digits()[0]
    losses = {}
    for std in (0.001, 0.1, 10.0):
        gx.seed(0)
        inputs = gx.input("x", ("batch", 64))
        logits = nn.Dense(10, kernel_init=gx.init.normal(std=std))(inputs)
        shares = nn.softmax(logits).eval({inputs: x[:200]})
        losses[std] = shares.max(1).mean()
    assert losses[0.001] < 0.11
    assert losses[0.1] < 0.5
    assert losses[10.0] > 0.95


def test_biases_begin_at_zero() -> None:
    x = gx.input("x", (2, 8, 8, 3))
    layers = [nn.Dense(3), nn.Conv2D(3, 3), nn.LayerNorm(), nn.GRU(3)]
    for layer, given in zip(layers, (x, x, x, x[:, 0])):
        layer(given)
        (bias,) = [p for p in layer.parameters if p.name.endswith("bias")]
        assert not bias.value.any()


def test_neurons_that_begin_alike_stay_alike() -> None:
    (x, y), _ = gx.data.digits()
    inputs, t = gx.input("x", ("batch", 64)), gx.input("t", ("batch",), "int32")
    moved = []
    for init in (gx.init.constant(0.05), gx.init.glorot_uniform()):
        gx.seed(0)
        hidden = nn.Dense(8, "tanh", kernel_init=init)
        logits = nn.Dense(10, kernel_init=rows_alike)(hidden(inputs))
        loss = nn.softmax_cross_entropy(logits, t).mean()
        step = gx.compile([inputs, t], loss, gx.optim.SGD(0.1).minimize(loss), threads=1)
        before = hidden.parameters[0].value
        step.run_epoch([x, y], batch_size=32, seed=0)
        kernel = hidden.parameters[0].value
        assert np.abs(kernel - before).max() > 0.05
        moved.append(np.ptp(kernel, axis=1).max())
    assert moved[0] < 1e-5  # one neuron, eight times
    assert moved[1] > 0.1


def rows_alike(shape: Any, dtype: str, generator: Any) -> Any:
    """Weights of the classes, the same from every neuron."""
    return np.tile(generator.normal(size=(1, shape[1])), (shape[0], 1)).astype(dtype)


def test_the_eigenvalues_of_an_orthogonal_matrix_lie_on_the_unit_circle() -> None:
    w = gx.init.orthogonal()((30, 30), "float64", np.random.default_rng(0))
    assert_close(np.abs(np.linalg.eigvals(w)), np.ones(30))


def test_values_of_a_batch_are_centred_and_the_landscape_is_rounder() -> None:
    """The curvature of a squared loss: from a valley to nearly a bowl."""
    x = RNG.normal(size=(400, 2)) * [1.0, 30.0] + [5.0, -10.0]
    w, t = np.zeros(2), RNG.normal(size=400)

    def narrowness(x: Any) -> float:
        p = gx.parameter("p", value=w)
        loss = nn.mse(gx.constant(x) @ p, t).mean()
        values = np.linalg.eigvalsh(gx.hessian(loss, p).eval({}))
        return float(values[-1] / values[0])

    assert narrowness(x) > 30
    assert narrowness(value(lambda x: nn.layer_norm(x, axis=0), x)) < 1.5


@pytest.mark.slow
def test_alexnet_compiles() -> None:
    net, x = gx.models.alexnet(), gx.input("x", (1, 227, 227, 3))
    predict = gx.compile([x], nn.softmax(net(x)))
    shares = predict(RNG.random((1, 227, 227, 3)).astype("float32"))
    assert shares.shape == (1, 1000)
    assert_close(shares.sum(), np.float32(1.0), tolerance="sums")
