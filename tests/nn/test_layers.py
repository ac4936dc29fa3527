"""Layers: values, names, sharing, modes; and Sequential's Keras-like training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, DTypeError, NameError, ShapeError
from graphc.testing import assert_close
from tests.tolerances import NORMALISED_DEVIATION, NORMALISED_MEAN

nn = gx.nn


@pytest.fixture(autouse=True)
def _fresh_names() -> None:
    gx.seed(0)


def compiled(x: Any, y: Any, mode: str = "inference") -> Any:
    return gx.compile([x], y, mode=mode, target="interpret")


@pytest.mark.parametrize("shape", [(3,), (2, 3), (4, 2, 3), (0, 3)])
def test_dense(shape: tuple[int, ...]) -> None:
    layer = nn.Dense(5, activation="relu")
    x = gx.input("x", shape)
    y = layer(x)
    kernel, bias = layer.parameters
    assert y.shape == (*shape[:-1], 5)
    assert (kernel.shape, bias.shape) == ((3, 5), (5,))
    bias.value = np.linspace(-1, 1, 5, dtype="float32")
    array = np.random.default_rng(0).normal(size=shape).astype("float32")
    expected = np.maximum(array @ kernel.value + bias.value, 0)
    assert_close(y.eval({x: array}), expected, tolerance="ulps", each=True, floor=1.0)


def test_dense_options() -> None:
    x = gx.input("x", ("batch", 4), dtype="float64")
    layer = nn.Dense(2, use_bias=False, kernel_init=gx.init.constant(0.5), name="half")
    y = layer(x)
    assert [p.name for p in layer.parameters] == ["half/kernel"]
    np.testing.assert_array_equal(y.eval({x: np.ones((3, 4))}), np.full((3, 2), 2.0))
    layer = nn.Dense(2, bias_init=gx.init.ones())
    layer(x)
    np.testing.assert_array_equal(layer.parameters[1].value, [1, 1])


def test_logistic_classifier_has_7850_parameters() -> None:
    layer = nn.Dense(10)
    layer(gx.input("x", ("batch", 784)))
    assert sum(p.size for p in layer.parameters) == 7850


def test_calling_twice_shares_weights_and_adds_gradients() -> None:
    layer = nn.Dense(3, use_bias=False)
    x, z = gx.input("x", (2, 4), dtype="float64"), gx.input("z", (5, 4), dtype="float64")
    total = layer(x).sum() + layer(z).sum()
    (kernel,) = layer.parameters
    rng = np.random.default_rng(0)
    feeds = {x: rng.normal(size=(2, 4)), z: rng.normal(size=(5, 4))}
    expected = np.repeat((feeds[x].sum(0) + feeds[z].sum(0))[:, None], 3, axis=1)
    assert_close(gx.grad(total, kernel).eval(feeds), expected, each=True)


def test_another_input_size_is_an_error_at_the_users_line() -> None:
    layer = nn.Dense(3)
    layer(gx.input("x", (2, 4)))
    with pytest.raises(
        ShapeError, match=r"dense: kernel has shape \(4, 3\), .* \(5, 3\)"
    ) as caught:
        layer(gx.input("x", (2, 5)))
    assert "test_layers.py" in str(caught.value)


def test_layers_say_what_they_cannot_take() -> None:
    with pytest.raises(DTypeError, match=r"dense: needs floats, got i32\[2,4\]"):
        nn.Dense(3)(gx.input("x", (2, 4), dtype="int32"))
    with pytest.raises(ShapeError, match=r"the last axis must have a known size, got f32\[2,n\]"):
        nn.Dense(3)(gx.input("x", (2, "n")))
    with pytest.raises(ShapeError, match="known size"):
        nn.Dense(3)(gx.input("x", ()))


# ----------------------------------------------------------------------------------- names


def names(*layers: Any) -> list[str]:
    return [p.name for layer in layers for p in layer.parameters]


def test_names_count_by_kind() -> None:
    x = gx.input("x", (2, 4))
    layers = [nn.Dense(4), nn.LayerNorm(), nn.Dense(4), nn.Dense(4, name="last")]
    for layer in layers:
        x = layer(x)
    assert [layer.name for layer in layers] == ["dense", "layer_norm", "dense_1", "last"]
    assert names(layers[2]) == ["dense_1/kernel", "dense_1/bias"]


def test_seeding_again_gives_the_same_names_and_values() -> None:
    def build() -> tuple[list[str], Any]:
        gx.seed(7)
        layer = nn.Dense(3)
        layer(gx.input("x", (2, 4)))
        return names(layer), layer.parameters[0].value

    (first, a), (second, b) = build(), build()
    assert first == second == ["dense/kernel", "dense/bias"]
    np.testing.assert_array_equal(a, b)


def test_scopes_lead_names() -> None:
    layer = nn.Dense(3)
    with gx.name_scope("encoder"):
        layer(gx.input("x", (2, 4)))
    with gx.name_scope("other"):
        layer(gx.input("z", (2, 4)))
    assert names(layer) == ["encoder/dense/kernel", "encoder/dense/bias"]


def test_a_named_model_counts_by_itself() -> None:
    def build(name: str | None) -> Any:
        model = nn.Sequential([nn.Dense(3), nn.relu, nn.Dense(2), nn.Dense(1, name="out")], name)
        model(gx.input("x", (2, 4)))
        return model

    build(None)
    wanted = ["m/dense/kernel", "m/dense/bias", "m/dense_1/kernel", "m/dense_1/bias"]
    assert names(build("m")) == [*wanted, "m/out/kernel", "m/out/bias"]
    assert names(build("m"))[:2] == wanted[:2]


def test_an_unnamed_model_inside_a_named_one_continues_its_numbers() -> None:
    inner = nn.Sequential([nn.Dense(3), nn.Dense(3)])
    model = nn.Sequential([nn.Dense(3), inner], name="m")
    model(gx.input("x", (2, 3)))
    assert names(model)[::2] == ["m/dense/kernel", "m/dense_1/kernel", "m/dense_2/kernel"]


def test_two_layers_of_one_name_are_refused_when_compiled() -> None:
    x = gx.input("x", (2, 4))
    y = nn.Dense(4, name="a")(nn.Dense(4, name="a")(x))
    with pytest.raises(NameError, match="two parameters are called a/kernel"):
        compiled(x, y)


# --------------------------------------------------------------------------------- dropout


def test_dropout_keeps_the_mean_and_scales() -> None:
    x = gx.input("x", (1000, 50))
    y = compiled(x, nn.Dropout(0.25)(x), mode="train")(np.ones((1000, 50), "float32"))
    assert set(np.unique(y)) == {0, np.float32(1 / 0.75)}
    assert abs((y == 0).mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / y.size)


def test_dropout_is_gone_at_inference_unless_always() -> None:
    array = np.arange(12, dtype="float32").reshape(3, 4)
    x = gx.input("x", (3, 4))
    np.testing.assert_array_equal(compiled(x, nn.Dropout(0.5)(x))(array), array)
    assert not np.array_equal(compiled(x, nn.Dropout(0.5, always=True)(x))(array), array)


def test_dropout_backward_uses_the_forward_mask() -> None:
    x = gx.input("x", (40, 50))
    y = nn.Dropout(0.5)(x)
    both = gx.compile([x], [y, gx.grad((y * 3.0).sum(), x)], mode="train", target="interpret")
    out, gradient = both(np.ones((40, 50), "float32"))
    np.testing.assert_array_equal(gradient, 3 * out)


def test_every_call_of_a_dropout_layer_draws_its_own_mask_and_every_step_too() -> None:
    x = gx.input("x", (40, 50))
    layer = nn.Dropout(0.5)
    function = gx.compile([x], [layer(x), layer(x)], mode="train", target="interpret")
    ones = np.ones((40, 50), "float32")
    a, b = function(ones)
    c, _ = function(ones)
    assert abs((a == b).mean() - 0.5) < 0.06
    assert abs((a == c).mean() - 0.5) < 0.06


@pytest.mark.parametrize(("rate", "share"), [(0.0, 0.0), (1.0, 1.0)])
def test_dropout_at_the_ends(rate: float, share: float) -> None:
    x = gx.input("x", (10, 10))
    y = nn.dropout(x, rate)
    values = compiled(x, y, mode="train")(np.ones((10, 10), "float32"))
    assert (values == 0).mean() == share
    assert np.isfinite(gx.grad(y.sum(), x).eval({x: values})).all()


def test_dropout_refuses_nonsense() -> None:
    with pytest.raises(ArgumentError, match=r"between 0 and 1, got 1\.5"):
        nn.dropout(gx.input("x", (2,)), 1.5)


# ----------------------------------------------------------------------------- dropconnect


def test_dropconnect_drops_weights_and_scales_the_others() -> None:
    layer = nn.DropConnect(30, 0.25, use_bias=False)
    x = gx.input("x", ("batch", 40))
    train = compiled(x, layer(x), mode="train")
    (kernel,) = layer.parameters
    assert kernel.name == "drop_connect/kernel"
    eye = np.eye(40, dtype="float32")
    seen, again = train(eye), train(eye)  # the masked kernel itself
    dropped = seen == 0
    assert_close(seen, np.where(dropped, 0, kernel.value / 0.75), tolerance="ulps", each=True)
    assert abs(dropped.mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / dropped.size)
    assert (dropped != (again == 0)).any()
    np.testing.assert_array_equal(compiled(x, layer(x))(eye), kernel.value)


def test_dropconnect_gradients_reach_the_weights_that_stayed() -> None:
    w = gx.parameter("w", value=np.ones((20, 30), "float32"))
    kept = nn.dropconnect(w, 0.5, name="mask")
    both = gx.compile([], [kept, gx.grad((kept * 3.0).sum(), w)], mode="train")
    masked, gradient = both()
    assert set(np.unique(masked)) == {0, 2}
    np.testing.assert_array_equal(gradient, 3 * masked)


def test_no_other_layer_draws_the_mask_of_a_second_call() -> None:
    first, second = gx.nn.Dropout(0.5), gx.nn.Dropout(0.5)
    x = gx.input("x", (64,))
    masks = gx.compile([x], [first(x), first(x), second(x)], mode="train", target="interpret")
    drawn = {mask.tobytes() for mask in masks(np.ones(64, "float32"))}
    assert len(drawn) == 3


def test_every_call_of_dropconnect_draws_its_own_mask() -> None:
    layer = nn.DropConnect(30, 0.5, use_bias=False)
    x = gx.input("x", (40, 40))
    a, b = gx.compile([x], [layer(x), layer(x)], mode="train")(np.eye(40, dtype="float32"))
    assert 0.4 < ((a == 0) != (b == 0)).mean() < 0.6
    with pytest.raises(ArgumentError, match=r"DropConnect: rate must be between 0 and 1, got 2"):
        nn.DropConnect(3, 2)


# ------------------------------------------------------------------------- the smaller layers


def test_flatten_reshape_activation() -> None:
    x = gx.input("x", ("batch", 2, 3, 4))
    array = np.arange(48, dtype="float32").reshape(2, 2, 3, 4)
    np.testing.assert_array_equal(nn.Flatten()(x).eval({x: array}), array.reshape(2, 24))
    np.testing.assert_array_equal(nn.Reshape((6, -1))(x).eval({x: array}), array.reshape(2, 6, 4))
    np.testing.assert_array_equal(nn.Activation("relu")(-x).eval({x: array}), 0 * array)


@pytest.mark.parametrize("axis", [-1, 0, (1, 2), (0, 1, 2)])
def test_layer_norm_and_rms_norm(axis: Any) -> None:
    x = gx.input("x", (3, 4, 5), dtype="float64")
    array = np.random.default_rng(0).normal(size=(3, 4, 5)) * 3 + 7
    mean, var = array.mean(axis, keepdims=True), array.var(axis, keepdims=True)
    feeds = {x: array}
    assert_close(nn.layer_norm(x, axis=axis).eval(feeds), (array - mean) / np.sqrt(var + 1e-5))
    square = (array**2).mean(axis, keepdims=True)
    assert_close(nn.rms_norm(x, axis=axis).eval(feeds), array / np.sqrt(square + 1e-6), each=True)
    report = gx.check_gradients((nn.layer_norm(x, axis=axis) ** 3).sum(), [x], feeds)
    assert report.passed, report


def test_layer_norm_layer() -> None:
    layer = nn.LayerNorm()
    x = gx.input("x", ("batch", 6))
    y = layer(x)
    scale, bias = layer.parameters
    scale.value, bias.value = np.full(6, 2, "float32"), np.full(6, 3, "float32")
    values = y.eval({x: np.random.default_rng(0).normal(size=(4, 6)).astype("float32")})
    np.testing.assert_allclose(values.mean(-1), 3, **NORMALISED_MEAN)
    np.testing.assert_allclose(values.std(-1), 2, **NORMALISED_DEVIATION)


def test_embedding() -> None:
    layer = nn.Embedding(7, 3)
    i = gx.input("i", ("batch", "time"), dtype="int32")
    y = layer(i)
    (table,) = layer.parameters
    index = np.array([[0, 6], [3, 3]], "int32")
    np.testing.assert_array_equal(y.eval({i: index}), table.value[index])
    gradient = gx.grad(y.sum(), table).eval({i: index})
    np.testing.assert_array_equal(gradient[:, 0], [1, 0, 0, 2, 0, 0, 1])


# ------------------------------------------------------------------------------- Sequential


def blobs(count: int = 200) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, count)
    centres = np.array([[0, 4], [4, 0], [-4, -4]])
    return (centres[y] + rng.normal(size=(count, 2))).astype("float32"), y


def test_compile_and_fit() -> None:
    x, y = blobs()
    model = nn.Sequential([nn.Dense(16, "relu"), nn.Dropout(0.1), nn.Dense(3)])
    model.compile("adam", "softmax_cross_entropy", ["accuracy"], target="interpret")
    history = model.fit(x, y, epochs=15, batch_size=16, validation_split=0.2, verbose=False)
    assert list(history) == [
        "loss",
        "accuracy",
        "val_loss",
        "val_accuracy",
        "learning_rate",
        "seconds",
        "steps_per_second",
    ]
    assert history["loss"][-1] < history["loss"][0]
    scores = model.evaluate(x, y)
    assert scores["accuracy"] > 0.95
    outputs = model.predict(x, batch_size=33)
    assert outputs.shape == (200, 3)
    right = (outputs.argmax(-1) == y).mean()
    assert_close(scores["accuracy"], right, "float32", tolerance="ulps")
    assert model.predict(x[:0]).shape == (0, 3)


def test_fit_continues_where_it_was() -> None:
    x, y = blobs()
    model = nn.Sequential([nn.Dense(3)])
    optimizer = gx.optim.Adam(0.01)
    model.compile(optimizer, nn.softmax_cross_entropy, [], target="interpret")
    model.fit(x, y, epochs=1, batch_size=50, verbose=False)
    model.fit(x, y, epochs=2, batch_size=50, verbose=False)
    assert optimizer.step.value == 12


@pytest.mark.parametrize("loss", ["mse", nn.huber, lambda p, t: (p - t) ** 2])
def test_fit_refuses_targets_that_would_meet_every_output(loss: Any) -> None:
    x = np.random.default_rng(0).random((12, 3), "float32")
    model = nn.Sequential([nn.Dense(1)])
    model.compile("adam", loss, target="interpret")
    with pytest.raises(ShapeError, match=r"f32\[batch,1\] vs f32\[batch\]") as caught:
        model.fit(x, x.sum(1), verbose=False)
    assert "..." in str(caught.value.hint)
    history = model.fit(x, x.sum(1)[:, None], epochs=2, verbose=False)
    assert history["loss"][1] < history["loss"][0]


def test_sequential_refuses_nonsense() -> None:
    x, y = blobs(10)
    with pytest.raises(ArgumentError, match="a layer must be callable, got 3"):
        nn.Sequential([3])
    model = nn.Sequential([nn.Dense(3)])
    with pytest.raises(ArgumentError, match="call compile first"):
        model.fit(x, y)
    with pytest.raises(ArgumentError, match="no loss is called 'entropy'"):
        model.compile("adam", "entropy")
    with pytest.raises(ArgumentError, match="no optimizer is called 'adamant'"):
        model.compile("adamant", "mse")
    with pytest.raises(ArgumentError, match="needs a loss"):
        model.compile("adam")
    model.compile("adam", "softmax_cross_entropy", target="interpret")
    with pytest.raises(ArgumentError, match="validation_split"):
        model.fit(x, y, validation_split=1.0)
