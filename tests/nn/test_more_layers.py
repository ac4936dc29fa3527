"""Pooling of other ranks, joins, separable convolutions, stacks, frozen layers, penalties."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

import graphc as gx
from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.testing import assert_close
from tests.tolerances import SHRUNK

nn = gx.nn
RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(3, 6, 8, 4)).astype("float32")
SERIES = RNG.normal(size=(3, 8, 4)).astype("float32")


def run(layer: Any, array: Any) -> Any:
    """What a layer makes of an array whose batch is open."""
    x = gx.input("x", ("batch", *array.shape[1:]), str(array.dtype))
    return gx.compile([x], layer(x))(array)


def normalised(x: Any) -> Any:
    """Ulyanov et al. 2016 over positions."""
    mean, var = x.mean((1, 2), keepdims=True), x.var((1, 2), keepdims=True)
    return (x - mean) / np.sqrt(var + 1e-5)


def local_response(x: Any, n: int = 3) -> Any:
    """Krizhevsky et al. 2012, section 3.3."""
    total = np.zeros_like(x)
    for i in range(x.shape[-1]):
        near = slice(max(0, i - n // 2), min(x.shape[-1], i + (n - 1) // 2 + 1))
        total[..., i] = (x[..., near] ** 2).sum(-1)
    return x / (2.0 + 0.1 * total) ** 0.75


CASES: dict[str, tuple[Callable[[], Any], Any, Callable[[Any], Any]]] = {
    "MaxPool1D": (nn.MaxPool1D, SERIES, lambda x: x.reshape(3, 4, 2, 4).max(2)),
    "AvgPool1D": (lambda: nn.AvgPool1D(4), SERIES, lambda x: x.reshape(3, 2, 4, 4).mean(2)),
    "MaxPooling2D": (
        lambda: nn.MaxPooling2D(pool_size=(2, 4)), IMAGES,
        lambda x: x.reshape(3, 3, 2, 2, 4, 4).max((2, 4)),
    ),
    "MaxPool3D": (
        nn.MaxPool3D, IMAGES[:, :, :4].reshape(3, 6, 2, 2, 4),
        lambda x: x.reshape(3, 3, 2, 2, 2, 4).max((2, 3, 4))[:, :, None, None],
    ),
    "GlobalMaxPool1D": (nn.GlobalMaxPool1D, SERIES, lambda x: x.max(1)),
    "GlobalMaxPool2D": (nn.GlobalMaxPool2D, IMAGES, lambda x: x.max((1, 2))),
    "GlobalAvgPool1D": (nn.GlobalAvgPool1D, SERIES, lambda x: x.mean(1)),
    "InstanceNorm": (nn.InstanceNorm, IMAGES, normalised),
    "UpSampling": (lambda: nn.UpSampling((2, 3)), IMAGES, lambda x: x.repeat(2, 1).repeat(3, 2)),
    "UpSampling of series": (lambda: nn.UpSampling(2), SERIES, lambda x: x.repeat(2, 1)),
    "LocalResponseNorm": (
        lambda: nn.LocalResponseNorm(3, 0.1), IMAGES, local_response,
    ),
    "LocalResponseNorm, even": (
        lambda: nn.LocalResponseNorm(2, 0.1), IMAGES, lambda x: local_response(x, 2),
    ),
    "LeakyReLU": (nn.LeakyReLU, IMAGES, lambda x: np.where(x > 0, x, 0.3 * x)),
    "PReLU": (nn.PReLU, IMAGES, lambda x: np.where(x > 0, x, 0.25 * x)),
    "Rescaling": (
        lambda: nn.Rescaling(1 / 255, -0.5), np.arange(24, dtype=np.uint8).reshape(2, 12),
        lambda x: x / 255 - 0.5,
    ),
    "Permute": (lambda: nn.Permute((3, 1, 2)), IMAGES, lambda x: x.transpose(0, 3, 1, 2)),
    "RepeatVector": (
        lambda: nn.RepeatVector(3), SERIES[:, 0], lambda x: x[:, None].repeat(3, 1),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_values(case: str) -> None:
    make, array, formula = CASES[case]
    assert_close(run(make(), array), formula(array.astype(float)), floor=1.0)


def test_joins() -> None:
    x, y = gx.input("x", ("batch", 4)), gx.input("y", ("batch", 4))
    a, b = SERIES[:, 0], SERIES[:, 1]
    for layer, expected in (
        (nn.Concatenate(), np.concatenate([a, b], -1)), (nn.Add(), a + b), (nn.Multiply(), a * b),
    ):  # fmt: skip
        assert_close(gx.compile([x, y], layer([x, y]))(a, b), expected)
    with pytest.raises(ShapeError, match="shapes differ"):
        nn.Add()([x, gx.input("z", ("batch", 1))])
    with pytest.raises(ArgumentError, match="needs a list of tensors"):
        nn.Concatenate()(x)


def test_time_distributed_is_the_layer_at_every_step() -> None:
    dense = nn.Dense(5)
    layer = nn.TimeDistributed(dense)
    found = run(layer, SERIES)
    kernel, bias = (p.value for p in dense.parameters)
    assert_close(found, SERIES @ kernel + bias, floor=1.0)
    assert layer.parameters == dense.parameters


def test_depthwise_and_separable_convolutions() -> None:
    depth = nn.DepthwiseConv2D(3, 2, padding="same", use_bias=False)
    found = run(depth, IMAGES)
    (kernel,) = (p.value for p in depth.parameters)
    expected = np.stack([
        ndimage.correlate(IMAGES[..., i // 2].astype(float), kernel[None, ..., 0, i],
                          mode="constant")
        for i in range(8)
    ], -1)  # fmt: skip
    assert_close(found, expected, tolerance="sums")
    both = nn.SeparableConv2D(5, 3, use_bias=False, name="both")
    found = run(both, IMAGES)
    values = {p.name: p.value for p in both.parameters}
    first = np.stack([
        ndimage.correlate(IMAGES[..., i].astype(float),
                          values["both/depthwise_kernel"][None, ..., 0, i], mode="constant")
        for i in range(4)
    ], -1)[:, 1:-1, 1:-1]  # fmt: skip
    assert_close(found, first @ values["both/kernel"][0, 0], tolerance="sums")


def test_inception_joins_four_branches() -> None:
    layer = nn.Inception((2, (3, 4), (1, 2), 2), name="mixed")
    assert run(layer, IMAGES).shape == (3, 6, 8, 10)
    counts = {p.name: p.size for p in layer.parameters if p.name.endswith("kernel")}
    assert counts["mixed/five/kernel"] == 5 * 5 * 1 * 2
    assert len(counts) == 6


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.SimpleRNN])
def test_stacked_recurrent_layers_are_layers_on_layers(kind: Any) -> None:
    x = gx.input("x", ("batch", 8, 4))
    stack = kind(5, num_layers=3, return_sequences=True, return_state=True, name="rnn")
    y, *states = stack(x)
    single = [kind(5, return_sequences=True, return_state=True) for _ in range(3)]
    z: Any = x
    expected = []
    for layer in single:
        z, *state = layer(z)
        expected += state
    for mine, theirs in zip(stack.parameters, (p for s in single for p in s.parameters)):
        theirs.value = mine.value
    found, wanted = gx.compile([x], [[y, *states], [z, *expected]])(SERIES)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a, b)
    names = [p.name for p in stack.parameters if p.name.endswith("/kernel")]
    assert names == ["rnn/kernel", "rnn/layer_1/kernel", "rnn/layer_2/kernel"]


def test_a_stack_takes_the_states_it_gives() -> None:
    x = gx.input("x", ("batch", 8, 4))
    layer = nn.LSTM(5, num_layers=2, return_state=True)
    _, *states = layer(x)
    y = layer(x, initial_state=states)[0]
    last = nn.LSTM(5, num_layers=2)(x)
    assert y.shape == last.shape
    with pytest.raises(ArgumentError, match="must be a list of 4 tensors"):
        layer(x, initial_state=states[:2])
    with pytest.raises(ArgumentError, match="num_layers must be 1"):
        nn.Bidirectional(layer)


def test_frozen_layers_are_left_out() -> None:
    x = gx.input("x", ("batch", 4))
    net = nn.Sequential([nn.Dense(3, trainable=False), nn.BatchNorm(), nn.Dense(1)], name="net")
    loss = net(x).sum()
    names = [p.name for p in gx.optim.SGD(0.1).minimize(loss)]
    assert names == ["net/batch_norm/scale", "net/batch_norm/bias", "net/dense_1/kernel",
                     "net/dense_1/bias"]  # fmt: skip
    net.trainable = False
    with pytest.raises(ArgumentError, match="reaches no trainable parameter"):
        gx.optim.SGD(0.1).minimize(loss)
    net.trainable = True
    assert sum(p.trainable for p in net.parameters) == 6  # running statistics never learn
    assert {p.name for p in nn.freeze(net, "*/kernel")} == {
        "net/dense/kernel",
        "net/dense_1/kernel",
    }
    assert not any("kernel" in p.name for p in gx.optim.SGD(0.1).minimize(loss))
    nn.unfreeze(net, "net/dense_1/*")
    assert "net/dense_1/kernel" in {p.name for p in gx.optim.SGD(0.1).minimize(loss)}
    with pytest.raises(ArgumentError, match="no parameter is called 'conv"):
        nn.freeze(net, "conv*")
    with pytest.raises(ArgumentError, match="trainable must be True or False, got 0"):
        net.parameters[0].trainable = 0


def test_penalties_and_constraints_belong_to_parameters() -> None:
    x = gx.input("x", ("batch", 4), "float64")
    dense = nn.Dense(
        3, kernel_regularizer=lambda w: gx.regularizers.l2([w], 0.5),
        kernel_constraint=gx.constraints.max_norm(0.5), bias_constraint=None, name="d",
    )  # fmt: skip
    net = nn.Sequential([dense])
    loss = net(x).sum()
    (penalty,) = net.penalties
    kernel = dense.parameters[0]
    assert_close(penalty.eval({}), 0.25 * (kernel.value**2).sum())
    step = gx.compile([x], loss, gx.optim.SGD(1.0).minimize(loss + penalty), target="interpret")
    before, batch = kernel.value, np.ones((2, 4))
    step(batch)
    moved = before - (2.0 + 0.5 * before)
    expected = moved * np.minimum(1.0, 0.5 / np.linalg.norm(moved, axis=0))
    assert_close(kernel.value, expected, each=True)
    with pytest.raises(ArgumentError, match="is for a parameter called kernal, but it has kernel"):
        nn.Dense(3, kernal_regularizer=lambda w: w)(x)
    with pytest.raises(ArgumentError, match=r"must be a function of the parameter, got 0.1"):
        nn.Dense(3, kernel_regularizer=0.1)


@pytest.mark.parametrize(
    ("constraint", "formula"),
    [
        (gx.constraints.unit_norm(-1), lambda w: w / np.linalg.norm(w, axis=-1, keepdims=True)),
        (gx.constraints.non_negative(), lambda w: np.maximum(w, 0)),
        (lambda w: w * 0.5, lambda w: w * 0.5),
    ],
)
@pytest.mark.parametrize("chained", [False, True])
def test_constraints_hold_after_every_step(constraint: Any, formula: Any, chained: bool) -> None:
    w = gx.parameter("w", value=RNG.normal(size=(5, 3)))
    w.constraint = constraint
    before = w.value
    sgd = gx.optim.SGD(0.5)
    clip = gx.optim.clip_by_global_norm(1e9)
    optimizer = gx.optim.chain(sgd, clip) if chained else sgd
    ids = gx.input("ids", (2,), "int32")
    updates = optimizer.minimize(w[ids].sum())
    gx.compile([ids], {}, updates, target="interpret")(np.array([1, 1]))
    gradient = np.zeros((5, 3))
    gradient[1] = 2.0
    assert_close(w.value, formula(before - 0.5 * gradient), each=True)


def test_proximal_steps_end_in_exact_zeros() -> None:
    rng = np.random.default_rng(3)
    a, truth = rng.normal(size=(60, 10)), np.array([2.0, -3.0] + [0.0] * 8)
    w = gx.parameter("w", value=np.zeros(10))
    loss = gx.nn.mse(gx.constant(a) @ w, a @ truth).mean()
    updates = gx.optim.ProximalL1(gx.optim.SGD(0.1), 0.1).minimize(loss)
    step = gx.compile([], loss, updates)
    for _ in range(300):
        step()
    assert (w.value[2:] == 0.0).all()
    assert_close(w.value[:2], truth[:2], tolerance=SHRUNK)


def test_bytes_need_a_declared_scaling() -> None:
    x = gx.input("x", ("batch", 4), "uint8")
    with pytest.raises(DTypeError) as caught:
        nn.Dense(2)(x)
    assert "gx.nn.Rescaling(1 / 255) makes floats of bytes" in str(caught.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.MaxPool2D(3, pool_size=2), "window and pool_size are the same"),
        (lambda: nn.DepthwiseConv2D(3, groups=2), "takes no groups"),
        (lambda: nn.SeparableConv2D(3, 3, groups=2), "takes no groups"),
        (lambda: nn.TimeDistributed(3), "needs a layer, got 3"),
        (lambda: nn.Permute((0, 1)), "axes must be 1 to 2"),
        (lambda: nn.RepeatVector(0), "count must be an int of 1 or more"),
        (lambda: nn.LSTM(3, num_layers=0), "num_layers must be an int of 1 or more"),
        (lambda: gx.constraints.max_norm(0.0), "limit must be positive"),
    ],
)
def test_nonsense_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make()
