"""Wrong calls of layers, optimisers, schedules, callbacks and `fit`, as a user makes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc import callbacks, nn, optim, schedules
from graphc.errors import ArgumentError, DTypeError, RuntimeCheckError, ShapeError

X = np.random.default_rng(0).normal(size=(20, 4)).astype("float32")
Y = (np.arange(20) % 3).astype("int32")


def step() -> Any:
    x, t = gx.input("x", ("batch", 4)), gx.input("t", ("batch",), "int32")
    loss = nn.softmax_cross_entropy(nn.Dense(3)(x), t).mean()
    return gx.compile([x, t], {"loss": loss}, optim.SGD(0.1).minimize(loss), target="interpret")


def net(loss: Any = "softmax_cross_entropy") -> Any:
    made = nn.Sequential([nn.Dense(3)])
    made.compile("adam", loss, target="interpret")
    return made


def x(*shape: Any, dtype: str = "float32") -> Any:
    return gx.input("x", shape, dtype)


Case = tuple[Callable[[], Any], str]

# ------------------------------------------------------------------------- numbers out of range

NUMBERS: list[Case] = [
    (lambda: nn.Conv2D(-1, 3), "Conv2D: filters must be an int of 1 or more, got -1"),
    (lambda: nn.Dense(0), "Dense: units must be an int of 1 or more, got 0"),
    (lambda: nn.GRU(0), "GRU: units must be an int of 1 or more, got 0"),
    (lambda: gx.models.mlp(x("b", 4), 0), "classes must be an int of 1 or more, got 0"),
    (lambda: nn.BatchNorm(epsilon=-1e-5), "BatchNorm: epsilon must not be negative, got -1e-05"),
    (lambda: nn.LayerNorm(epsilon=-1.0), "LayerNorm: epsilon must not be negative"),
    (lambda: nn.layer_norm(x("b", 4), epsilon=-1.0), "layer_norm: epsilon must not be negative"),
    (lambda: nn.l2_normalize(x("b", 4), epsilon=-1.0), "epsilon must not be negative"),
    (lambda: optim.Adam(epsilon=-1e-8), "Adam: epsilon must not be negative"),
    (lambda: optim.AdamW(weight_decay=-0.1), "AdamW: weight_decay must not be negative"),
    (lambda: optim.SGD(-0.1), "SGD: learning_rate must be a finite number of 0 or more"),
    (lambda: optim.RMSprop(0.1, decay=1.5), r"RMSprop: decay must be in \[0, 1\), got 1.5"),
    (lambda: optim.groups([]), r"groups: needs a list of pairs, got \[\]"),
    (lambda: schedules.exponential(-0.1, 0.9), "exponential: rate must not be negative, got -0.1"),
    (lambda: schedules.linear(0.1, -0.1, 9), "linear: end must not be negative, got -0.1"),
    (lambda: schedules.cyclical(-0.1, 0.1, 9), "cyclical: low must not be negative"),
    (lambda: schedules.warmup(-0.1, 9), "warmup: rate must not be negative"),
    (lambda: schedules.piecewise([2], [0.1, -0.1]), r"piecewise: rates\[1\] must not be negative"),
    (lambda: schedules.polynomial(-1.0, 0.1, 9), "polynomial: start must not be negative"),
    (lambda: schedules.inverse_time(0.1, -1.0), "inverse_time: decay must not be negative"),
    (lambda: schedules.cosine(0.1, 9, end=-1.0), "cosine: end must not be negative"),
    (lambda: gx.regularizers.l2([gx.parameter("r", (2,))], -0.1), "l2: weight must not be neg"),
    (lambda: gx.init.normal(std=-1.0), "normal: std must not be negative"),
    (lambda: gx.init.uniform(1.0, -1.0), "uniform: low must not exceed high, got 1.0 and -1.0"),
    (lambda: nn.contrastive(x("b", 4), x("b", 4), x("b"), -1.0), "margin must not be negative"),
    (lambda: nn.top_k_accuracy(x("b", 3), gx.input("l", ("b",), "int32"), 7),
     "k must be at most the number of classes, 3, got 7"),
    (lambda: callbacks.EarlyStopping(patience=-1), "patience must be an int of at least 0"),
    (lambda: net().fit(X, Y, class_weight={0: -1.0}), "class_weight of 0 must be a number of 0"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "text"), NUMBERS, ids=[text[:24] for _, text in NUMBERS])
def test_numbers_out_of_range(make: Callable[[], Any], text: str) -> None:
    with pytest.raises(ArgumentError, match=text) as error:
        make()
    assert "test_training_calls.py" in str(error.value)


# ------------------------------------------------------------------------------ unknown names

WORDS: list[tuple[Callable[..., Any], dict[str, Any], str, str]] = [
    (optim.Adam, {"lr": 0.1}, "Adam: takes no argument lr", "did you mean learning_rate?"),
    (optim.Adam, {"eps": 1e-8}, "Adam: takes no argument eps", "did you mean epsilon?"),
    (nn.Dense, {"units": 3, "activaton": "relu"}, "activaton", "did you mean activation?"),
    (nn.Conv2D, {"filters": 3, "kernel_size": 3, "stride": 2}, "stride", "did you mean strides?"),
    (gx.sum, {"x": 1.0, "dim": 0}, "sum: takes no argument dim", "did you mean axis?"),
    (gx.sum, {"x": 1.0, "out": 0}, "sum: takes no argument out", "it takes x, axis, "),
    (callbacks.Checkpoint, {"path": 3}, "path must be the path of a file, got 3", ""),
    (callbacks.CSVLogger, {"path": None}, "CSVLogger: path must be the path of a file", ""),
]


@pytest.mark.parametrize(("function", "given", "text", "hint"), WORDS)
def test_unknown_words(function: Any, given: dict[str, Any], text: str, hint: str) -> None:
    with pytest.raises(ArgumentError, match=text) as error:
        function(**given)
    assert (error.value.hint or "").startswith(hint)


def test_unknown_names_of_what_a_model_is_compiled_with() -> None:
    model = nn.Sequential([nn.Dense(3)])
    for optimizer, loss, text, hint in [
        ("adma", "mse", "no optimizer is called 'adma'", "one of sgd, adam"),
        ("adam", "msee", "no loss is called 'msee'", "one of softmax_cross_entropy"),
        (optim.Adam, "mse", "the optimizer must be a name or one of gx.optim, got Adam", "an obj"),
        (0.1, "mse", "the optimizer must be a name or one of gx.optim, got 0.1", ""),
        ("adam", 3, "the loss must be a name or a function, got 3", ""),
    ]:
        with pytest.raises(ArgumentError, match=text) as error:
            model.compile(optimizer, loss)
        assert (error.value.hint or "").startswith(hint)


# --------------------------------------------------------------------- data that do not fit

DATA: list[tuple[Callable[[], Any], type[Exception], str, str]] = [
    (lambda: gx.fit(step(), [X, Y[:-1]]), ShapeError, "x has 20 samples, t has 19", ""),
    (lambda: gx.fit(step(), [X[:, :3], Y]), ShapeError, "x must have 4 on axis 1, got 3", ""),
    (lambda: gx.fit(step(), [X, np.eye(3, dtype="f4")[Y]]), DTypeError,
     "input t must be int32, got float32", "numbers of classes, not a row for each"),
    (lambda: gx.fit(step(), [X, Y.astype("f4")]), DTypeError, "t must be int32", "convert it"),
    (lambda: gx.fit(step(), [X[:0], Y[:0]]), ShapeError, "x has no samples", ""),
    (lambda: gx.fit(step(), [X, Y + 1], shuffle=False), RuntimeCheckError,
     r"a label is outside 0 to 2: 3 at \[2\]", ""),
    (lambda: gx.fit(step(), [X, Y], callbacks=[callbacks.Checkpoint(Path.cwd())]), ArgumentError,
     "is a folder, not a file", "a file in it"),
    (lambda: net().fit(X, Y[:-1]), ShapeError, "x has 20 samples, y has 19", ""),
    (lambda: net().fit(X, Y - 1), RuntimeCheckError, "a label is outside 0 to 2: -1", ""),
]  # fmt: skip


@pytest.mark.parametrize(("run", "error", "text", "hint"), DATA, ids=[d[2][:20] for d in DATA])
def test_data_that_do_not_fit(run: Any, error: type[Exception], text: str, hint: str) -> None:
    with pytest.raises(error, match=text) as found:
        run()
    assert (getattr(found.value, "hint", None) or "").startswith(hint)


# ------------------------------------------------------------------------- ranks into layers

RANKS: list[tuple[Callable[[], Any], str]] = [
    (lambda: nn.Dense(3)(x()), "dense"),
    (lambda: nn.Conv2D(3, 3)(x("b", 28, 28)), "conv2d"),
    (lambda: nn.LSTM(3)(x("b", 28)), "lstm"),
    (lambda: nn.MaxPool2D(2)(x("b", 4)), "max_pool2d"),
    (lambda: nn.BatchNorm()(x(4)), "batch_norm"),
    (lambda: nn.MultiHeadAttention(2, 8)(x("b", 8)), "multi_head_attention"),
    (lambda: nn.TimeDistributed(nn.Dense(3))(x("b", 4)), "time_distributed"),
    (lambda: nn.UpSampling(2)(x("b", 4)), "up_sampling"),
    (lambda: nn.Flatten()(x()), "flatten"),
]


@pytest.mark.parametrize(("make", "layer"), RANKS, ids=[layer for _, layer in RANKS])
def test_a_wrong_rank_names_the_layer_and_the_line(make: Callable[[], Any], layer: str) -> None:
    with pytest.raises(ShapeError, match=layer) as error:
        make()
    assert "test_training_calls.py" in str(error.value)
    assert any(char.isdigit() for char in error.value.message) or "axis" in error.value.message


def test_a_loss_that_reaches_a_target_network_only_through_stop_gradient_leaves_it_out() -> None:
    online, target = nn.Dense(2, name="online"), nn.Dense(2, name="target")
    inputs = x("b", 4)
    loss = gx.square(online(inputs) - gx.stop_gradient(target(inputs))).mean()
    updates = optim.SGD(0.1).minimize(loss)
    assert {p.name for p in updates} >= {"online/kernel", "online/bias"}
    assert not any(p.name.startswith("target") for p in updates)
