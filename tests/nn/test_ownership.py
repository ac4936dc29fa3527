"""Whose parameters are whose: layers that are functions, or hold, make and call others."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, ShapeError
from graphc.testing import assert_close

nn = gx.nn


@pytest.fixture(autouse=True)
def _fresh_names() -> None:
    gx.seed(0)


def blobs(count: int = 120, features: int = 8) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, count)
    centres = rng.normal(size=(3, features)) * 3
    return (centres[y] + rng.normal(size=(count, features))).astype("float32"), y


# --------------------------------------------------------------------- forms of one block


class InInit(nn.Layer):
    def __init__(self) -> None:  # does not call super().__init__
        self.dense, self.norm = nn.Dense(8), nn.LayerNorm()

    def call(self, x: gx.Tensor) -> Any:
        return x + self.dense(self.norm(x))


class InContainers(nn.Layer):
    def __init__(self, name: str | None = None) -> None:
        super().__init__(name)
        self.steps = {"norm": [nn.LayerNorm()], "dense": ({"deep": nn.Dense(8)},)}

    def call(self, x: gx.Tensor) -> Any:
        return x + self.steps["dense"][0]["deep"](self.steps["norm"][0](x))


class InCall(nn.Layer):
    def call(self, x: gx.Tensor) -> Any:
        self.dense = nn.Dense(8)
        return x + self.dense(nn.LayerNorm()(x))


class InDunderCall(nn.Layer):
    def __call__(self, x: Any) -> Any:
        return x + nn.Dense(8)(nn.LayerNorm()(x))


class Lazily(nn.Layer):
    dense: Any = None

    def call(self, x: gx.Tensor) -> Any:
        self.dense = self.dense or nn.Dense(8)
        return x + self.dense(nn.LayerNorm()(x))


class Parent(InCall):
    def __call__(self, x: Any) -> Any:
        return super().__call__(x) * 1.0


class Plain:
    def __init__(self) -> None:
        self.norm = nn.LayerNorm()

    def __call__(self, x: Any) -> Any:
        return x + nn.Dense(8)(self.norm(x))


def function(x: Any, units: int = 8) -> Any:
    return x + nn.Dense(units)(nn.LayerNorm()(x))


def capturing() -> Callable[[Any], Any]:
    w, b = gx.parameter("w", (8, 8), gx.init.glorot_uniform()), gx.parameter("b", (8,))
    norm = nn.LayerNorm()
    return lambda x: x + norm(x) @ w + b


def making_parameters(x: Any) -> Any:
    w = gx.parameter("w", (8, 8), gx.init.glorot_uniform())
    return x + nn.LayerNorm()(x) @ w + gx.parameter("b", value=np.zeros(8, "float32"))


def with_a_model_inside(x: Any) -> Any:
    return x + nn.Sequential([nn.LayerNorm(), lambda h: nn.Dense(8)(h)])(x)


BLOCKS: dict[str, Callable[[], Any]] = {
    "lambda": lambda: lambda x: x + nn.Dense(8)(nn.LayerNorm()(x)),
    "function": lambda: function,
    "partial": lambda: functools.partial(function, units=8),
    "layer": lambda: nn.layer(function),
    "object": Plain,
    "captured": capturing,
    "parameters": lambda: making_parameters,
    "model": lambda: with_a_model_inside,
    "init": InInit,
    "containers": InContainers,
    "call": InCall,
    "__call__": InDunderCall,
    "lazily": Lazily,
    "super": Parent,
    "sequential": lambda: nn.Sequential([function]),
}


@pytest.mark.parametrize("make", BLOCKS.values(), ids=BLOCKS)
def test_one_set_of_weights_for_all_calls(make: Callable[[], Any], tmp_path: Path) -> None:
    x, y = blobs()
    net = nn.Sequential([make(), nn.relu, nn.Dense(3)])
    net.compile(gx.optim.Adam(0.01), "softmax_cross_entropy", ["accuracy"], target="interpret")
    net.fit(x, y, epochs=8, batch_size=16, verbose=False)
    found = {p.name for p in net.parameters if p.trainable}
    assert len(found) == len(net.parameters) == 4 + 2
    accuracy = net.evaluate(x, y)["accuracy"]
    assert accuracy > 0.9
    assert (net.predict(x).argmax(1) == y).mean() == pytest.approx(accuracy)
    assert gx.summary(net).total == sum(p.size for p in net.parameters) == 64 + 24 + 27
    gx.save(tmp_path / "net.safetensors", net)
    wanted = net.predict(x)
    for p in net.parameters:
        p.value = p.value * 0
    gx.load(tmp_path / "net.safetensors", into=net)
    np.testing.assert_array_equal(net.predict(x), wanted)


@pytest.mark.parametrize("make", BLOCKS.values(), ids=BLOCKS)
def test_every_call_reads_the_same_parameters(make: Callable[[], Any]) -> None:
    block = make()
    layer = block if isinstance(block, nn.Layer) else nn.layer(block)
    x, z = gx.input("x", ("n", 8)), gx.input("z", ("m", 8))
    calls = gx.compile([x, z], [layer(x), layer(z), layer(layer(x))], target="interpret")
    assert {p.name for p in layer.parameters} == set(calls.parameters)
    assert len(layer.parameters) == 4
    again = nn.Sequential([layer])
    again(x)
    assert again.parameters == layer.parameters


def test_a_function_twice_in_a_model_is_two_networks() -> None:
    net = nn.Sequential([function, function])
    first, second = gx.input("x", ("n", 8)), gx.input("z", ("n", 8))
    net(first)
    made = net.parameters
    net(second)
    assert net.parameters == made
    assert [p.name for p in made] == [
        f"{layer}/{role}"
        for layer, roles in [
            ("layer_norm", ("scale", "bias")),
            ("dense", ("kernel", "bias")),
            ("layer_norm_1", ("scale", "bias")),
            ("dense_1", ("kernel", "bias")),
        ]
        for role in roles
    ]


def test_a_discriminator_called_three_times_is_one_network() -> None:
    @nn.layer
    def discriminator(x: Any) -> Any:
        return nn.Dense(1)(nn.Dense(8, activation=lambda h: h * 0.5)(x))

    x = gx.input("x", ("n", 4))
    scores = [discriminator(x), discriminator(x * 2), discriminator(x - 1)]
    names = [p.name for p in discriminator.parameters]
    assert names[::2] == ["discriminator/dense/kernel", "discriminator/dense_1/kernel"]
    assert list(gx.compile([x], scores, target="interpret").parameters) == names


# ------------------------------------------------------------------------- other layers


def test_statistics_in_a_function_move_and_are_saved() -> None:
    net = nn.Sequential([lambda x: nn.BatchNorm()(nn.Dense(4)(x)), nn.Dense(3)])
    x, y = blobs()
    net.compile("sgd", "softmax_cross_entropy", target="interpret")
    net.fit(x, y, verbose=False)
    running = [p for p in net.parameters if not p.trainable]
    assert [p.name for p in running] == [
        "batch_norm/running_mean",
        "batch_norm/running_variance",
    ]
    assert abs(running[0].value).sum() > 0
    assert np.isfinite(net.predict(x)).all()


def test_all_kinds_of_layers_inside_a_function() -> None:
    @nn.layer
    def model(ids: Any) -> Any:
        h = nn.Embedding(11, 6)(ids)
        h = h + nn.MultiHeadAttention(2)(h)
        h = nn.Bidirectional(nn.LSTM(4, return_sequences=True))(h)
        h = nn.Conv1D(5, 3, padding="same")(h)
        return nn.Sequential([nn.Flatten(), nn.DropConnect(3, 0.2)])(nn.Dropout(0.1)(h))

    ids = gx.input("ids", ("n", 7), dtype="int32")
    model(ids)
    made = model.parameters
    both = gx.compile([ids], [model(ids), model(ids + 1)], mode="train", target="interpret")
    assert model.parameters == made
    assert {p.name for p in made} == set(both.parameters)
    assert all(p.name.startswith("model/") for p in made)
    assert len(made) == 1 + 8 + 6 + 2 + 2
    assert gx.summary(model).total == sum(p.size for p in made)


@pytest.mark.parametrize("checkpoint", [None, 2, 3])
def test_layers_made_in_the_body_of_a_loop(checkpoint: int | None) -> None:
    @nn.layer
    def model(x: Any) -> Any:
        def body(h: Any, row: Any) -> Any:
            new = gx.tanh(nn.Dense(4, use_bias=False)(h) + nn.Dense(4)(row))
            return new, new

        return gx.scan(body, gx.zeros(4), x, checkpoint=checkpoint)[1]

    x, z = gx.input("x", (7, 3)), gx.input("z", (7, 3))
    both = gx.compile([x, z], [model(x), model(z)], target="interpret")
    assert len(model.parameters) == 3
    assert {p.name for p in model.parameters} == set(both.parameters)
    rows = np.random.default_rng(0).normal(size=(7, 3)).astype("float32")
    found, again = both(rows, rows)
    kernel, inner, bias = (p.value for p in model.parameters)
    h = np.zeros(4)
    for row, y in zip(rows, found):
        h = np.tanh(h @ kernel + row @ inner + bias)
        assert_close(y, h)
    np.testing.assert_array_equal(found, again)


def test_a_body_that_is_traced_twice_has_one_set_of_weights() -> None:
    x = gx.input("x", (7, 3))

    def body(h: Any, row: Any) -> Any:
        return h + nn.Dense(4)(row), None

    y, _ = gx.scan(body, gx.zeros(4), x, checkpoint=3)
    assert len(gx.compile([x], y, target="interpret").parameters) == 2


def test_loops_that_begin_with_numbers_trace_their_bodies_again() -> None:
    x = gx.input("x", (7, 3), dtype="float64")

    @nn.layer
    def model(x: Any) -> Any:
        def more(h: Any) -> Any:
            return gx.sum(nn.Dense(1)(h[None])) < 5.0

        y, _ = gx.scan(lambda h, row: (h + nn.Dense(1)(row)[0], None), 0, x)
        return gx.while_loop(more, lambda h: h + 1.0, y[None], max_steps=50)

    both = gx.compile([x], [model(x), model(-x)], target="interpret")
    assert len(both.parameters) == len(model.parameters) == 4
    assert all(p.dtype == gx.float64 for p in model.parameters)


def test_layers_in_branches_and_under_vmap() -> None:
    @nn.layer
    def model(x: Any) -> Any:
        either = gx.cond(gx.sum(x) > 0, lambda: nn.Dense(2)(x), lambda: nn.Dense(2)(-x))
        return gx.vmap(lambda row: nn.Dense(3)(row))(either)

    x = gx.input("x", (4, 5))
    both = gx.compile([x], [model(x), model(x + 1)], target="interpret")
    assert len(model.parameters) == 6
    assert {p.name for p in model.parameters} == set(both.parameters)


def test_ensembles_of_functions() -> None:
    x, z = gx.input("x", ("n", 8)), gx.input("z", ("m", 8))
    many = gx.ensemble(lambda: function, 3)
    y, again = many(x), many(z)
    assert [p.shape[0] for p in many.parameters] == [3] * 4
    ones = np.ones((2, 8), "float32")
    np.testing.assert_array_equal(*gx.compile([x, z], [y, again], target="interpret")(ones, ones))
    outer = nn.Sequential([many, nn.Dense(2)])
    outer(x)
    assert outer.parameters[:4] == many.parameters
    assert len(outer.parameters) == 6


# ----------------------------------------------------------------------------- what is whose


def test_what_a_call_is_given_is_not_its_own() -> None:
    picture = gx.parameter("picture", (1, 8))
    other = nn.Dense(8)
    outer = other(gx.input("x", (1, 8)))
    net = nn.Sequential([lambda x: nn.Dense(8)(x) + outer])
    net(picture)
    assert [p.name for p in net.parameters] == ["dense_1/kernel", "dense_1/bias"]


def test_layers_that_hold_each_other() -> None:
    class Node(nn.Layer):
        other: Any = None

        def call(self, x: gx.Tensor) -> Any:
            return nn.Dense(2)(x)

    a, b = Node(), Node()
    a.other, b.other = b, a
    a(b(gx.input("x", (1, 2))))
    assert len(a.parameters) == len(b.parameters) == 4


def test_attributes_that_no_call_has_used() -> None:
    class Coder(nn.Layer):
        def __init__(self) -> None:
            self.encoder, self.decoder = nn.Dense(2), nn.Dense(4)

        def call(self, x: gx.Tensor) -> Any:
            return self.decoder(self.encoder(x))

    coder = Coder()
    coder.decoder(gx.input("code", ("n", 2)))
    assert [p.shape for p in coder.parameters] == [(2, 4), (4,)]
    coder(gx.input("x", ("n", 4)))
    assert [p.shape for p in coder.parameters] == [(4, 2), (2,), (2, 4), (4,)]


# ------------------------------------------------------------------------------------ names


def test_names_within_a_layer_depend_on_the_layer_alone() -> None:
    x = gx.input("x", ("n", 8))
    first, second = InInit(), InInit()
    nn.Dense(3)(x)
    first(x)
    nn.LayerNorm()(x)
    second(x)
    assert [p.name for p in first.parameters] == [
        "in_init/layer_norm/scale", "in_init/layer_norm/bias",
        "in_init/dense/kernel", "in_init/dense/bias",
    ]  # fmt: skip
    inner = [p.name.removeprefix("in_init/") for p in first.parameters]
    assert [p.name.removeprefix("in_init_1/") for p in second.parameters] == inner
    assert len(gx.compile([x], second(first(x)), target="interpret").parameters) == 8


def test_kinds_of_the_users_classes() -> None:
    class ResBlock2D(nn.Layer):
        pass

    class Wide(nn.Dense):
        pass

    class Named(nn.Layer):
        kind = "my"

    class Child(Named):
        pass

    kinds = [c.kind for c in (ResBlock2D, Wide, Named, Child, nn.LSTM)]
    assert kinds == ["res_block2d", "dense", "my", "my", "lstm"]


# ----------------------------------------------------------------------------------- errors


def test_another_layer_in_a_later_call_is_an_error() -> None:
    units = [3]
    layer = nn.layer(lambda x: nn.Dense(units[0])(x), name="f")
    x = gx.input("x", ("n", 8))
    layer(x)
    units[0] = 4
    with pytest.raises(ArgumentError, match=r"f: this call makes Dense\(4\) .* Dense\(3\)") as e:
        layer(x)
    assert [role for role, _, _ in e.value.operands] == ["first", "now"]
    assert str(e.value).count("test_ownership.py") == 3


def test_more_layers_in_a_later_call_are_an_error() -> None:
    class Changing(nn.Layer):
        deep = False

        def call(self, x: gx.Tensor) -> Any:
            x = nn.Dense(8)(x)
            return nn.Dense(8, "relu")(x) if self.deep else x

    layer = Changing()
    x = gx.input("x", ("n", 8))
    layer(x)
    layer.deep = True
    with pytest.raises(ArgumentError, match=r"changing: .* Dense\(8, 'relu'\), .* made others"):
        layer(x)
    layer.deep = False
    layer(x)
    assert len(layer.parameters) == 2


def test_layers_for_every_key_of_a_dict_are_an_error() -> None:
    class Heads(nn.Layer):
        def __init__(self) -> None:
            self.heads: dict[str, Any] = {}

        def call(self, x: gx.Tensor, task: str) -> Any:
            if task not in self.heads:
                self.heads[task] = nn.Dense(2)
            return self.heads[task](x)

    layer = Heads()
    x = gx.input("x", ("n", 8))
    layer(x, "a")
    layer(x, task="a")
    with pytest.raises(ArgumentError, match="both would have the same weights"):
        layer(x, "b")


def test_a_first_call_that_fails_leaves_nothing() -> None:
    layer = nn.layer(function)
    with pytest.raises(ShapeError, match="known size"):
        layer(gx.input("x", (2, "n")))
    layer(gx.input("x", ("n", 8)))
    assert len(layer.parameters) == 4


def test_a_failed_call_takes_nothing_from_earlier_ones() -> None:
    x, bad = gx.input("x", ("n", 8)), gx.input("bad", (2, "n"))
    net = nn.Sequential([lambda h: nn.Dense(8)(h)])
    net(x)
    made = net.parameters
    net.add(lambda h: nn.Dense(4)(gx.reshape(h, (-1, 3))))
    with pytest.raises(ShapeError):
        net(x)
    assert net.parameters == made
    net.layers[1] = lambda h: nn.Dense(4)(h)
    net(x)
    assert net.parameters[:2] == made

    class Half(nn.Layer):
        def __init__(self) -> None:
            self.first = nn.Dense(8)

        def call(self, x: gx.Tensor, other: gx.Tensor) -> Any:
            return nn.Dense(8)(self.first(x)) + nn.Dense(8)(other)

    half = Half()
    with pytest.raises(ShapeError, match="known size"):
        half(x, bad)
    half(x, x)
    names = [p.name for p in half.parameters]
    assert len(set(names)) == len(names) == 6


def test_settings_are_compared_as_far_as_they_can_be() -> None:
    scale = [0.5]

    def build(x: Any) -> Any:
        return nn.Dense(
            3,
            activation=lambda h: h * 2.0,
            kernel_init=gx.init.constant(scale[0]),
            bias_init=gx.init.constant(np.ones(3)),
        )(x)

    layer = nn.layer(build)
    x = gx.input("x", ("n", 8))
    layer(x)
    layer(x)
    assert len(layer.parameters) == 2
    scale[0] = 0.25
    with pytest.raises(ArgumentError, match="this call makes Dense"):
        layer(x)


class Headed(gx.nn.Layer):
    """A body and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.body = gx.nn.Dense(4)
        self.head = [gx.nn.Dense(2)]

    def call(self, x: Any) -> Any:
        """Through both."""
        return self.head[0](gx.nn.relu(self.body(x)))


def test_replaced_attributes_are_no_parts(tmp_path: Path) -> None:
    x = gx.input("x", ("n", 3))
    model = Headed()
    model(x)
    old = model.head[0].parameters
    model.head = [gx.nn.Dense(2)]
    y = model(x)
    assert len(model.parameters) == 4
    assert not {id(p) for p in old} & {id(p) for p in model.parameters}
    assert [*map(id, model.parameters)] == [*map(id, gx.compile([x], y).parameters.values())]
    gx.save(tmp_path / "model.safetensors", model)
    again = Headed()
    gx.load(tmp_path / "model.safetensors", into=again)
    rows = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(*gx.compile([x], (y, again(x)))(rows))
