"""Normalising layers: values, running statistics, modes, gradients, and what they refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, AxisError, DTypeError, ShapeError, UnsupportedError
from graphc.testing import assert_close
from tests.tolerances import FAR_FROM_ZERO, HALF_STATISTICS, SLOPE_OR_ZERO

nn = gx.nn

TARGETS: tuple[dict[str, Any], ...] = (
    {"target": "interpret"},
    {"threads": 1},
    {"threads": 2},
)


@pytest.fixture(autouse=True)
def _fresh_names() -> None:
    gx.seed(0)


def draw(*shape: int, dtype: str = "float32", seed: int = 0) -> Any:
    return (np.random.default_rng(seed).normal(size=shape) * 3 + 5).astype(dtype)


def normal(x: Any, axes: tuple[int, ...], epsilon: float = 1e-5) -> Any:
    """The formula in float64."""
    x = x.astype("float64")
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)


def moved(old: Any, x: Any, axes: tuple[int, ...], momentum: float = 0.9) -> tuple[Any, Any]:
    """The running mean and variance after a batch."""
    x = x.astype("float64")
    pairs = zip(old, (x.mean(axes), x.var(axes)))
    return tuple(momentum * a + (1 - momentum) * b for a, b in pairs)  # type: ignore[return-value]


# ------------------------------------------------------------------------------ batch norm


@pytest.mark.parametrize("options", TARGETS, ids=str)
@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        ((7, 3), "channels_last"),
        ((1, 3), "channels_last"),
        ((5, 1), "channels_last"),
        ((3, 5, 4, 33), "channels_last"),
        ((3, 33, 5, 4), "channels_first"),
        ((1, 4, 4, 2), "channels_last"),
        ((4, 6, 2), "channels_first"),
    ],
)
def test_batch_norm(shape: tuple[int, ...], layout: str, options: dict[str, Any]) -> None:
    layer = nn.BatchNorm(layout=layout)
    x = gx.input("x", ("batch", *shape[1:]))
    y = layer(x)
    scale, bias, mean, variance = layer.parameters
    assert [p.name for p in layer.parameters] == [
        "batch_norm/scale", "batch_norm/bias",
        "batch_norm/running_mean", "batch_norm/running_variance",
    ]  # fmt: skip
    assert [p.trainable for p in layer.parameters] == [True, True, False, False]
    place = 1 if layout == "channels_first" else len(shape) - 1
    axes = tuple(i for i in range(len(shape)) if i != place)
    wide = tuple(shape[i] if i == place else 1 for i in range(len(shape)))
    scale.value, bias.value = draw(shape[place], seed=1), draw(shape[place], seed=2)
    a, b = scale.value.reshape(wide), bias.value.reshape(wide)

    train = gx.compile([x], y, mode="train", **options)
    predict = gx.compile([x], y, **options)
    array = draw(*shape)
    before = mean.value, variance.value
    expected = normal(array, axes) * a + b
    assert_close(train(array), expected)
    after = moved(before, array, axes)
    assert_close(mean.value, after[0], tolerance="ulps", each=True)
    assert_close(variance.value, after[1], each=True)

    m, v = (p.value.astype("float64").reshape(wide) for p in (mean, variance))
    expected = (array - m) / np.sqrt(v + 1e-5) * a + b
    assert_close(predict(array), expected, each=True, floor=1.0)
    np.testing.assert_array_equal(mean.value, m.reshape(-1).astype("float32"))


@pytest.mark.parametrize("mode", ["train", "inference"])
@pytest.mark.parametrize("shape", [(5, 3), (1, 2), (2, 3, 4, 2)])
def test_gradients_of_batch_norm(shape: tuple[int, ...], mode: str) -> None:
    layer = nn.BatchNorm()
    x = gx.input("x", shape, dtype="float64")
    weights = np.random.default_rng(3).normal(size=shape)
    loss = (layer(x) ** 3 * weights).sum()
    wrt = [x, *layer.parameters[:2]]
    function = gx.compile([x], [loss, *gx.grad(loss, wrt)], mode=mode)
    array, step = draw(*shape, dtype="float64"), 1e-5
    statistics = [p.value for p in layer.parameters[2:]]

    def run(moved: Any) -> Any:
        values = function(moved)
        for p, value in zip(layer.parameters[2:], statistics):
            p.value = value
        return values

    direction = np.random.default_rng(4).normal(size=shape)
    slope = (run(array + step * direction)[0] - run(array - step * direction)[0]) / (2 * step)
    assert (run(array)[1] * direction).sum() == pytest.approx(slope, **SLOPE_OR_ZERO)
    for i, parameter in enumerate(wrt[1:]):
        value = parameter.value
        direction = np.random.default_rng(5).normal(size=value.shape)
        ends = []
        for sign in (1, -1):
            parameter.value = value + sign * step * direction
            ends.append(run(array)[0])
        parameter.value = value
        slope = (ends[0] - ends[1]) / (2 * step)
        assert (run(array)[2 + i] * direction).sum() == pytest.approx(slope, **SLOPE_OR_ZERO)


def test_the_function_of_the_batch() -> None:
    x = gx.input("x", (4, 5, 3), dtype="float64")
    scale, bias = gx.parameter("s", value=draw(5, dtype="float64")), draw(5, dtype="float64")
    y = nn.batch_norm(x, scale, bias, axis=1)
    array = draw(4, 5, 3, dtype="float64")
    expected = normal(array, (0, 2)) * scale.value[:, None] + bias[:, None]
    assert_close(y.eval({x: array}), expected, tolerance="ulps", each=True, floor=1.0)
    report = gx.check_gradients((y**3).sum(), [x, scale], {x: array})
    assert report.passed, report


def test_the_variance_of_values_far_from_zero() -> None:
    array = (1e5 + np.random.default_rng(0).normal(size=(4096, 3))).astype("float32")
    x = gx.input("x", ("batch", 3))
    layer = nn.BatchNorm(momentum=0.0)
    gx.compile([x], layer(x), mode="train")(array)
    variance = layer.parameters[3].value
    # the mean is rounded to two units in the last place, 2**-6: its square is what is left; the
    # mean of the squares less the square of the mean would be wrong by hundreds
    np.testing.assert_allclose(variance, array.astype("float64").var(0), **FAR_FROM_ZERO)


@pytest.mark.parametrize("options", TARGETS, ids=str)
def test_a_layer_called_twice_moves_its_statistics_twice_in_order(options: dict[str, Any]) -> None:
    layer = nn.BatchNorm()
    x, z = gx.input("x", ("n", 3)), gx.input("z", ("m", 3))
    first, second = layer(x), layer(z)
    assert len(layer.parameters) == 4
    a, b = draw(5, 3), draw(4, 3, seed=1) * 2
    for outputs in ([first, second], [second, first]):
        old = [p.value for p in layer.parameters[2:]]
        gx.compile([x, z], outputs, mode="train", **options)(a, b)
        new = moved(moved(old, a, (0,)), b, (0,))
        assert_close(layer.parameters[2].value, new[0], tolerance="ulps", each=True)
        assert_close(layer.parameters[3].value, new[1], each=True)


@pytest.mark.parametrize("options", TARGETS, ids=str)
def test_only_what_is_reached_moves_and_a_user_may_update_by_hand(options: dict[str, Any]) -> None:
    one, two = nn.BatchNorm(), nn.BatchNorm()
    x = gx.input("x", ("n", 3))
    y, z = one(x), two(x)
    array = draw(5, 3)
    gx.compile([x], y, mode="train", **options)(array)
    assert (one.parameters[2].value != 0).all()
    np.testing.assert_array_equal(two.parameters[2].value, 0)
    mean = two.parameters[2]
    gx.compile([x], z, updates={mean: mean + 1.0}, **options)(array)
    np.testing.assert_array_equal(mean.value, 1)
    assert (two.parameters[3].value != 1).all()


def network(units: int = 8) -> tuple[Any, Any, Any, Any]:
    """Inputs, loss and model: two batch norms between dense layers."""
    x, t = gx.input("x", ("batch", 4)), gx.input("t", ("batch",), dtype="int32")
    model = nn.Sequential(
        [
            # no bias: its gradient is 0 but for rounding, which Adam would make steps of
            nn.Dense(units, use_bias=False), nn.BatchNorm(), nn.relu,
            nn.Dense(units, use_bias=False), nn.BatchNorm(), nn.relu,
            nn.Dense(3),
        ],
        name="m",
    )  # fmt: skip
    return x, t, nn.softmax_cross_entropy(model(x), t).mean(), model


def test_the_updates_alone_reach_the_statistics() -> None:
    x, t, loss, model = network()
    step = gx.compile([x, t], [], updates=gx.optim.SGD(0.1).minimize(loss))
    step(draw(6, 4), np.arange(6) % 3)
    running = [p for p in model.parameters if "running" in p.name]
    assert len(running) == 4
    assert all((p.value != (1 if "variance" in p.name else 0)).all() for p in running)
    assert "m/batch_norm_1/running_mean" in step.parameters


@pytest.mark.parametrize("drop_last", [False, True])
def test_run_epoch_moves_the_statistics_of_every_batch(drop_last: bool) -> None:
    rng = np.random.default_rng(0)
    data = rng.normal(size=(23, 4)).astype("float32"), rng.integers(0, 3, 23).astype("int32")
    results = []
    for options in TARGETS:
        gx.seed(0)
        x, t, loss, model = network()
        step = gx.compile([x, t], loss, gx.optim.Adam(0.01).minimize(loss), **options)
        for _ in range(2):
            step.run_epoch(data, batch_size=5, shuffle=False, drop_last=drop_last)
        results.append([p.value for p in model.parameters])
    gx.seed(0)
    x, t, loss, model = network()
    step = gx.compile([x, t], loss, gx.optim.Adam(0.01).minimize(loss))
    for _ in range(2):
        for start in range(0, 20 if drop_last else 23, 5):
            step(*(a[start : start + 5] for a in data))
    for p, interpreted, *native in zip(model.parameters, *results):
        assert_close(p.value, interpreted)
        for value in native:
            np.testing.assert_array_equal(p.value, value)


def test_running_statistics_are_saved_and_loaded(tmp_path: Path) -> None:
    x, t, loss, model = network()
    step = gx.compile([x, t], loss, gx.optim.SGD(0.1).minimize(loss))
    array = draw(6, 4)
    for _ in range(3):
        step(array, np.arange(6) % 3)
    predict = gx.compile([x], model(x))
    wanted = predict(array)
    gx.save(tmp_path / "m.safetensors", model)
    gx.seed(1)
    x, t, loss, other = network()
    predict = gx.compile([x], other(x))
    assert not np.array_equal(predict(array), wanted)
    gx.load(tmp_path / "m.safetensors", other)
    np.testing.assert_array_equal(predict(array), wanted)


def test_fit_validates_with_the_running_statistics() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 120)
    x = (np.eye(3)[y] * 4 + rng.normal(size=(120, 3))).astype("float32")
    model = nn.Sequential([nn.Dense(8), nn.BatchNorm(), nn.relu, nn.Dense(3)])
    model.compile("adam", "softmax_cross_entropy", ["accuracy"])
    model.fit(x, y, epochs=30, batch_size=16, verbose=False)
    before = [p.value for p in model.parameters]
    assert model.evaluate(x, y)["accuracy"] > 0.9
    one = np.concatenate([model.predict(x[i : i + 1]) for i in range(3)])
    assert_close(one, model.predict(x)[:3])
    for old, p in zip(before, model.parameters):
        np.testing.assert_array_equal(old, p.value)


def test_training_and_inference_agree_where_the_statistics_do() -> None:
    x = gx.input("x", (8, 3), dtype="float64")
    layer = nn.BatchNorm(momentum=0.0)
    y = layer(x)
    train, predict = gx.compile([x], y, mode="train"), gx.compile([x], y)
    array = draw(8, 3, dtype="float64")
    np.testing.assert_array_equal(train(array), predict(array))


def test_inference_computes_one_factor_before_the_first_call() -> None:
    x = gx.input("x", ("n", 8, 8, 3))
    y = nn.relu(nn.BatchNorm()(nn.Conv2D(4, 3)(x)))
    predict = gx.compile([x], y)
    predict(np.zeros((2, 8, 8, 3), "float32"))
    (kernel,) = predict.kernels  # the convolution writes what is normalised
    assert not {"sqrt", "divide"} & set(str(kernel).split())
    assert "sqrt" in predict.report()  # before, when a parameter has changed


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_batch_norm_of_16_bits_has_statistics_of_32(dtype: str) -> None:
    array = draw(64, 3)
    x = gx.input("x", ("n", 3))
    layer = nn.BatchNorm()
    y = layer(x.astype(dtype))
    assert y.dtype.name == dtype
    assert [p.dtype.name for p in layer.parameters] == [dtype, dtype, "float32", "float32"]
    step = gx.compile([x], y.astype("float32"), mode="train")
    rounded = array.astype(gx.float16.numpy if dtype == "float16" else gx.bfloat16.numpy)
    expected = normal(rounded.astype("float64"), (0,))
    np.testing.assert_allclose(step(array), expected, **HALF_STATISTICS[dtype])


def test_batch_norm_without_scale_and_bias() -> None:
    x = gx.input("x", (5, 3))
    layer = nn.BatchNorm(use_scale=False, use_bias=False, name="bn")
    y = layer(x)
    assert [p.name for p in layer.parameters] == ["bn/running_mean", "bn/running_variance"]
    array = draw(5, 3)
    values = gx.compile([x], y, mode="train")(array)
    assert_close(values, normal(array, (0,)))


def test_in_a_loop_only_at_inference() -> None:
    x = gx.input("x", (6, 2, 3))
    layer = nn.BatchNorm()
    _, ys = gx.scan(lambda c, row: (c, layer(row)), 0.0, x)
    array = draw(6, 2, 3)
    assert_close(gx.compile([x], ys)(array), array / np.sqrt(1 + 1e-5), tolerance="ulps", each=True)
    with pytest.raises(UnsupportedError, match="updates its statistics at every iteration"):
        gx.compile([x], ys, mode="train")


def test_batch_norm_refuses_what_does_not_fit() -> None:
    with pytest.raises(DTypeError, match=r"batch_norm: needs floats, got i32\[2,4\]"):
        nn.BatchNorm()(gx.input("x", (2, 4), dtype="int32"))
    with pytest.raises(ShapeError, match=r"batch_norm_1: .* got axis 1 of f32\[2,n\]") as caught:
        nn.BatchNorm()(gx.input("x", (2, "n")))
    assert "test_normalization.py" in str(caught.value)
    with pytest.raises(ShapeError, match=r"bn: the channel axis comes after the batch axis"):
        nn.BatchNorm(name="bn")(gx.input("x", (5,)))
    with pytest.raises(AxisError):
        nn.BatchNorm()(gx.input("x", ()))
    with pytest.raises(ArgumentError, match="momentum, the share of the old statistic"):
        nn.BatchNorm(momentum=1.5)
    with pytest.raises(ArgumentError, match="no layout is called 'nhwc'"):
        nn.BatchNorm(layout="nhwc")(gx.input("x", (2, 4)))
    layer = nn.BatchNorm()
    layer(gx.input("x", (2, 4)))
    with pytest.raises(ShapeError, match=r"_\d: scale has shape \(4,\), .* needs \(5,\)"):
        layer(gx.input("x", (2, 5)))
    with pytest.raises(ShapeError, match=r"batch_norm: .* each of 5 channels .* got f32\[4\]"):
        nn.batch_norm(gx.input("x", (2, 5)), np.ones(4, "float32"))
    with pytest.raises(ArgumentError, match="needs mean and variance, or none"):
        nn.batch_norm(gx.input("x", (2, 4)), mean=np.zeros(4, "float32"))


# ----------------------------------------------------------------- the norms of one example


@pytest.mark.parametrize(("groups", "channels"), [(1, 6), (2, 6), (6, 6), (3, 3), (1, 1)])
@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_group_norm(groups: int, channels: int, layout: str) -> None:
    last = layout == "channels_last"
    x = gx.input("x", ("batch", 5, 3, channels) if last else ("batch", channels, 5, 3))
    layer = nn.GroupNorm(groups, layout=layout)
    y = layer(x)
    scale, bias = layer.parameters
    scale.value, bias.value = draw(channels, seed=1), draw(channels, seed=2)
    array = draw(2, 5, 3, channels)
    split = array.reshape(2, 15, groups, channels // groups)
    expected = normal(split, (1, 3)).reshape(array.shape) * scale.value + bias.value
    if not last:
        array, expected = (np.moveaxis(a, -1, 1) for a in (array, expected))
    for options in TARGETS:
        values = gx.compile([x], y, **options)(array)
        assert_close(values, expected)


def test_gradients_of_group_norm() -> None:
    x = gx.input("x", (2, 3, 4), dtype="float64")
    scale = gx.parameter("scale", value=np.array([1.0, 2, 3, 4]))
    y = nn.group_norm(x, 2, scale)
    array = draw(2, 3, 4, dtype="float64")
    report = gx.check_gradients((y**3).sum(), [x, scale], {x: array})
    assert report.passed, report


def test_group_norm_refuses_what_does_not_fit() -> None:
    with pytest.raises(ArgumentError, match=r"5 channels .* do not fall into 2 groups"):
        nn.GroupNorm(2)(gx.input("x", (2, 3, 5)))
    with pytest.raises(ShapeError, match="group_norm_1: the channel axis has a known size"):
        nn.GroupNorm(2)(gx.input("x", (2, 3, "c")))
    with pytest.raises(ArgumentError, match="groups must be an int of 1 or more, got 0"):
        nn.GroupNorm(0)


def test_rms_norm_layer() -> None:
    layer = nn.RMSNorm()
    x = gx.input("x", ("batch", 5, 6))
    y = layer(x)
    (scale,) = layer.parameters
    assert scale.name == "rms_norm/scale"
    scale.value = draw(6, seed=1)
    array = draw(3, 5, 6)
    wide = array.astype("float64")
    expected = wide / np.sqrt((wide**2).mean(-1, keepdims=True) + 1e-6) * scale.value
    assert_close(gx.compile([x], y)(array), expected, each=True)


# -------------------------------------------------------------------------------- torch


@pytest.mark.parametrize("momentum", [0.9, 0.5])
def test_batch_norm_beside_torch(momentum: float) -> None:
    torch = pytest.importorskip("torch")
    array, weights = draw(4, 5, 3, 7), draw(4, 5, 3, 7, seed=3)
    x = gx.input("x", (4, 5, 3, 7))
    layer = nn.BatchNorm(momentum)
    y = layer(x)
    gradients = gx.grad((nn.relu(y) * weights).sum(), [x, *layer.parameters[:2]])
    theirs = torch.nn.BatchNorm2d(7, momentum=1 - momentum)
    given = torch.tensor(np.moveaxis(array, -1, 1), requires_grad=True)
    out = theirs(given)
    (torch.relu(out) * torch.tensor(np.moveaxis(weights, -1, 1))).sum().backward()
    found = gx.compile([x], [y, *gradients], mode="train")(array)
    count = 4 * 5 * 3
    wanted = [
        np.moveaxis(out.detach().numpy(), 1, -1),
        np.moveaxis(given.grad.numpy(), 1, -1),
        theirs.weight.grad.numpy(),
        theirs.bias.grad.numpy(),
    ]
    for a, b in zip(found, wanted):
        assert_close(a, b)
    assert_close(layer.parameters[2].value, theirs.running_mean.numpy())
    # theirs is the running sample variance, ours that of the population
    sample = (theirs.running_var.numpy() - momentum) * (count - 1) / count + momentum
    assert_close(layer.parameters[3].value, sample)


def test_group_norm_beside_torch() -> None:
    torch = pytest.importorskip("torch")
    array, weights = draw(4, 6, 3, 5), draw(4, 6, 3, 5, seed=3)
    x = gx.input("x", (4, 6, 3, 5))
    y = nn.group_norm(x, 3, axis=1)
    given = torch.tensor(array, requires_grad=True)
    out = torch.nn.functional.group_norm(given, 3)
    (out * torch.tensor(weights)).sum().backward()
    found = gx.compile([x], [y, gx.grad((y * weights).sum(), x)])(array)
    assert_close(found[0], out.detach().numpy())
    assert_close(found[1], given.grad.numpy())


@pytest.mark.parametrize("given", ["none", "parameters", "trainable"])
def test_running_statistics_move_whatever_minimize_is_given(given: str) -> None:
    """A layer's `parameters` holds its running statistics, which are nothing to minimise."""
    gx.seed(0)
    x = gx.input("x", ("batch", 3))
    net = gx.nn.Sequential([gx.nn.BatchNorm(), gx.nn.Dense(2)])
    loss = (net(x) ** 2).mean()
    chosen = {
        "none": None,
        "parameters": net.parameters,
        "trainable": [p for p in net.parameters if p.trainable],
    }[given]
    step = gx.compile([x], loss, gx.optim.Adam(0.1).minimize(loss, chosen))
    values = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32) * 5.0
    for _ in range(3):
        step(values)
    (name,) = (n for n in step.parameters if n.endswith("running_variance"))
    wanted = 0.9**3 + (1.0 - 0.9**3) * values.var(axis=0)
    assert_close(step.parameters[name].value, wanted)


def test_minimize_refuses_parameters_that_are_all_fixed() -> None:
    w = gx.parameter("w", (3,), trainable=False)
    with pytest.raises(ArgumentError, match="none of the given parameters is trainable: w"):
        gx.optim.SGD(0.1).minimize(gx.sum(w * w), w)
