"""What courses say of the operations: derivatives, edges, shapes, and what costs nothing."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage, special

import graphc as gx
from graphc.testing import assert_close
from tests.coverage.compute import gradients, value

RNG = np.random.default_rng(0)
nn = gx.nn


def test_gradients_of_what_was_broadcast_are_summed() -> None:
    """Of a bias: over the batch."""
    x, b, g = RNG.normal(size=(6, 4)), RNG.normal(size=4), RNG.normal(size=(6, 4))
    for function, slopes in (
        (lambda x, b: (x + b) * g, (g, g.sum(0))),
        (lambda x, b: (x - b) * g, (g, -g.sum(0))),
        (lambda x, b: x * b * g, (b * g, (x * g).sum(0))),
    ):
        for found, expected in zip(gradients(function, x, b), slopes):
            assert_close(found, expected)


def test_a_number_over_c_has_the_slope_minus_the_number_over_c_squared() -> None:
    c = np.array([-3.0, -0.5, 0.25, 4.0])
    for function in (lambda c: 2.0 / c, lambda c: 2.0 * gx.reciprocal(c)):
        assert_close(gradients(function, c)[0], -2 / c**2, tolerance="ulps", each=True)


def test_a_power_that_is_no_integer() -> None:
    x = np.array([0.25, 1.0, 7.0])
    assert_close(value(lambda x: x**2.5, x), np.sqrt(x) ** 5, each=True)
    assert_close(gradients(lambda x: x**2.5, x)[0], 2.5 * np.sqrt(x) ** 3, each=True)
    assert np.isnan(value(lambda x: x**2.5, [-1.0])).all()


def test_the_exponential_at_its_edges() -> None:
    edges = [-np.inf, -800.0, 0.0, 709.0, 710.0, np.inf, np.nan]
    with np.errstate(over="ignore"):
        assert_close(value(gx.exp, edges), np.exp(edges), tolerance="ulps", each=True)
        x = gx.input("x", (2,))
        found = gx.compile([x], gx.exp(x))(np.array([88.0, 89.0], "float32"))
    assert_close(found, np.array([np.exp(88.0), np.inf]), each=True)


def test_the_slope_of_a_root_at_0_is_infinite_unless_it_is_not_asked_for() -> None:
    assert gradients(gx.sqrt, [0.0, 4.0])[0].tolist() == [np.inf, 0.25]
    safe = gradients(lambda x: gx.where(x > 0.0, gx.sqrt(x), 0.0), [0.0, 4.0])[0]
    assert safe.tolist() == [0.0, 0.25]


def test_the_gradient_of_a_dot_product_is_the_other_vector() -> None:
    a, b = RNG.normal(size=(2, 5))
    for found, other in zip(gradients(lambda a, b: a @ b, a, b), (b, a)):
        assert_close(found, other, tolerance="ulps", each=True)


def test_the_gradient_of_weights_is_an_outer_product_and_of_a_batch_one_product() -> None:
    w, x, g = RNG.normal(size=(3, 4)), RNG.normal(size=4), RNG.normal(size=3)
    assert_close(gradients(lambda w: (w @ x) * g, w)[0], np.outer(g, x), each=True)
    weights, batch = gx.parameter("w", (4, 3)), gx.input("x", ("batch", 4))
    step = gx.compile([batch], gx.grad(((batch @ weights) ** 2).sum(), weights))
    kinds = [op for kernel in step.kernels for op in kernel.ops]
    assert kinds.count("dot") == 2  # forward, and x^T times the slopes of the batch
    assert "permute_dims" not in kinds
    assert len(step.kernels) == 2


def test_another_shape_takes_no_kernel() -> None:
    x = gx.input("x", ("batch", 4, 6))
    for y in (x.reshape((-1, 24)), nn.Flatten()(x), gx.permute_dims(x, (0, 2, 1))):
        step = gx.compile([x], gx.sum(y * y))
        assert len(step.kernels) == 1, step.report()


def test_padding_by_half_the_window_keeps_the_size() -> None:
    """floor(k / 2) for windows of an odd size."""
    x = gx.input("x", (1, 9, 9, 1), "float64")
    array = RNG.normal(size=(1, 9, 9, 1))
    for k in (1, 3, 5, 7):
        kernel = gx.constant(RNG.normal(size=(k, k, 1, 1)))
        same = nn.conv(x, kernel, padding="same")
        by_hand = nn.conv(gx.pad(x, [(0, 0), (k // 2,) * 2, (k // 2,) * 2, (0, 0)]), kernel)
        a, b = gx.compile([x], [same, by_hand], target="interpret")(array)
        assert a.shape == array.shape
        np.testing.assert_array_equal(a, b)


def test_a_sigmoid_is_no_steeper_than_a_quarter() -> None:
    x = np.r_[np.linspace(-12, 12, 4801), -1000.0, 1000.0]
    slopes, y = gradients(gx.sigmoid, x)[0], special.expit(x)
    assert_close(slopes, y * (1 - y), floor=1.0)
    assert slopes.max() == 0.25
    assert x[slopes.argmax()] == 0.0


def test_the_slope_of_tanh() -> None:
    x = np.linspace(-4, 4, 81)
    assert_close(gradients(gx.tanh, x)[0], 1 - np.tanh(x) ** 2, floor=1.0)


def test_softmax_of_ten_times_and_a_tenth_of_the_scores() -> None:
    """Of columns, which are the samples."""
    scores = np.array([[1.0, 2, 3, 6], [2, 4, 5, 6], [3, 8, 7, 6]])
    plain, sharp, flat = (value(lambda x, c=c: nn.softmax(x * c, 0), scores) for c in (1, 10, 0.1))
    assert_close(plain, special.softmax(scores, 0), each=True)
    assert_close(plain.sum(0), np.ones(4), tolerance="ulps")
    assert (np.abs(sharp[:, :3] - np.eye(3)[[2, 2, 2]].T) < 0.01).all()
    assert (np.abs(flat - 1 / 3) < 0.15).all()
    assert_close(sharp[:, 3], np.full(3, 1 / 3))


def test_cross_entropy_is_not_symmetric() -> None:
    s, one_hot = np.array([0.7, 0.2, 0.1]), np.array([1.0, 0, 0])
    there = value(nn.categorical_crossentropy, s, one_hot)
    assert_close(there, -math.log(0.7), each=True)
    back = value(nn.categorical_crossentropy, one_hot, s)  # guarded: -0.3 log 0 were infinite
    assert np.isfinite(back)
    assert back > 4.0


def test_sizes_of_convolutions() -> None:
    """28 x 28 pictures: 28 padded, 26 without, 13 at every second place; depth 8."""
    x = gx.input("x", ("batch", 28, 28, 1))
    for size, options in ((28, {"padding": "same"}), (26, {}), (13, {"strides": 2})):
        layer = nn.Conv2D(8, 3, **options)
        assert layer(x).shape[1:] == (size, size, 8)
        assert sum(p.size for p in layer.parameters) == 8 * (3 * 3 + 1)


def test_connections_and_weights() -> None:
    """5 x 5 pixels and 32 units: all are connected, or 4 pixels with each by 8 weights."""
    x = gx.input("x", (1, 5, 5, 1), "float64")
    dense, conv = nn.Dense(32, use_bias=False), nn.Conv2D(2, 2, use_bias=False)
    everything = [(dense, dense(nn.Flatten()(x)), 800, 800), (conv, conv(x), 128, 8)]
    for layer, y, connections, weights in everything:
        assert np.prod([int(n) for n in y.shape]) == 32
        assert sum(p.size for p in layer.parameters) == weights
        slopes = gx.jacobian(y, x).eval({x: np.zeros((1, 5, 5, 1))})
        assert np.count_nonzero(slopes) == connections


def banded(kernel: Any, size: int) -> Any:
    """The matrix of a convolution: its weights again and again along the diagonal."""
    rows = size - len(kernel) + 1
    matrix = np.zeros((rows, size))
    for i in range(rows):
        matrix[i, i : i + len(kernel)] = kernel
    return matrix


def test_a_convolution_of_a_line_shares_its_weights() -> None:
    x, k, g = RNG.normal(size=12), RNG.normal(size=4), RNG.normal(size=9)

    def convolved(x: Any, k: Any) -> Any:
        return nn.conv(x.reshape((1, 12, 1)), k.reshape((4, 1, 1)))[0, :, 0]

    assert_close(value(convolved, x, k), banded(k, 12) @ x)
    by_x, by_k = gradients(lambda x, k: convolved(x, k) * g, x, k)
    assert_close(by_x, banded(k, 12).T @ g)
    dense = np.outer(g, x)  # of each weight of a dense layer
    assert_close(by_k, [sum(dense[i, i + j] for i in range(9)) for j in range(4)])


def test_the_gradient_of_a_maximum_is_sparse_and_of_a_mean_is_shared() -> None:
    x = RNG.normal(size=(1, 8, 8, 1))
    largest = gradients(lambda x: nn.max_pool(x, 2), x)[0]
    assert np.count_nonzero(largest) == 16
    assert (largest[largest != 0] == 1).all()
    assert (gradients(lambda x: nn.avg_pool(x, 2), x)[0] == 0.25).all()
    overlapping = gradients(lambda x: nn.max_pool(x, 3, 2), x)[0]
    assert overlapping.sum() == 9.0
    assert np.count_nonzero(overlapping) <= 9


def test_a_gaussian_blur_is_a_convolution_with_fixed_weights() -> None:
    sigma, radius = 1.5, 4
    places = np.arange(-radius, radius + 1)
    line = np.exp(-(places**2) / (2 * sigma**2))
    kernel = np.outer(line, line) / line.sum() ** 2
    image = RNG.random((20, 17))
    x = gx.input("x", (1, 20, 17, 1), "float64")
    blurred = nn.conv(x, gx.constant(kernel[:, :, None, None]), padding="same")
    found = blurred.eval({x: image[None, :, :, None]})[0, :, :, 0]
    assert_close(found, ndimage.gaussian_filter(image, sigma, mode="constant", radius=radius))


def test_a_product_of_channels_is_a_convolution_of_one_pixel() -> None:
    x, w = RNG.normal(size=(2, 5, 6, 3)), RNG.normal(size=(3, 4))
    for found, other in zip(
        gradients(lambda x, w: nn.conv(x, w.reshape((1, 1, 3, 4))) ** 2, x, w),
        gradients(lambda x, w: (x @ w) ** 2, x, w),
    ):
        assert_close(found, other)
    assert_close(value(lambda x, w: nn.conv(x, w.reshape((1, 1, 3, 4))), x, w), x @ w)


def test_pictures_are_prepared_inside_the_library(tmp_path: Path) -> None:
    """Gray, (x - 128) / 128 and standardised: what leaves Python takes bytes."""
    x = gx.input("x", ("batch", 4, 4, 3), "uint8")
    gray = x.astype("float32") @ np.array([0.299, 0.587, 0.114], "float32")
    scaled = nn.Rescaling(1 / 128, -1.0)(gray)
    standard = nn.Standardize()
    images = RNG.integers(0, 256, (50, 4, 4, 3), dtype=np.uint8)
    weights = np.array([0.299, 0.587, 0.114])
    pixels = (images @ weights - 128) / 128
    standard.adapt(pixels.astype("float32"))
    step = gx.compile([x], standard(scaled))
    wanted = (pixels - pixels.mean((0, 1))) / pixels.std((0, 1))
    assert_close(step(images), wanted, tolerance="sums")
    step.export(tmp_path / "library", dims={"batch": 50})
    assert_close(gx.load_library(tmp_path / "library")(images), wanted, tolerance="sums")
