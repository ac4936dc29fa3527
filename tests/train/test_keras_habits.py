"""What Keras users write: the worksheet's model as it stands, weights, metrics, evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as theirs

import graphc as gx
from graphc.errors import ArgumentError, ShapeError
from graphc.nn import Conv2D, Dense, Dropout, Flatten, MaxPooling2D, Sequential
from graphc.testing import assert_close
from tests.tolerances import LIMITED_STEP

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 4)).astype("float32")
Y = (X.sum(1) > 0).astype("int64")


def digits(count: int) -> tuple[Any, Any]:
    """Images whose bright row says the class, and one-hot classes."""
    labels = RNG.integers(0, 10, count)
    images = RNG.random((count, 28, 28, 1)).astype("float32")
    images[np.arange(count), 2 * labels + 4] += 2.0
    return images, np.eye(10)[labels]


def test_the_worksheet_runs_as_written(tmp_path: Path, capsys: Any) -> None:
    gx.seed(3)
    x_train, y_train = digits(256)
    x_test, y_test = digits(64)
    model = Sequential()
    model.add(Conv2D(16, kernel_size=(3, 3), activation="relu", input_shape=(28, 28, 1)))
    model.add(Conv2D(32, (3, 3), activation="relu"))
    model.add(MaxPooling2D(pool_size=(2, 2)))
    model.add(Dropout(0.25))
    model.add(Flatten())
    model.add(Dense(128, activation="relu"))
    model.add(Dropout(0.5))
    model.add(Dense(10, activation="softmax"))
    model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
    model.summary()
    printed = capsys.readouterr().out
    assert "f32[batch,24,24,32]" in printed
    assert "total" in printed
    assert "596,042" in printed
    history = model.fit(
        x_train, y_train, batch_size=32, epochs=3, verbose=0, validation_data=(x_test, y_test)
    )
    assert set(history.history) >= {"loss", "accuracy", "val_loss", "val_accuracy"}
    loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
    assert accuracy > 0.9
    assert loss < 0.5
    probabilities = model.predict(x_test)
    assert_close(probabilities.sum(-1), np.ones(64), floor=1.0)
    right = probabilities.argmax(-1) == y_test.argmax(-1)
    assert_close(accuracy, right.mean())
    expected = -np.log((probabilities * y_test).sum(-1)).mean()
    assert_close(loss, expected, "float32", tolerance="sums")
    model.save(tmp_path / "model.safetensors")
    again = Sequential(list(model.layers))
    again.load(tmp_path / "model.safetensors")


def small(
    metrics: Any = ("accuracy",), units: int = 2, activation: Any = None, **options: Any
) -> Any:
    """A linear model."""
    gx.seed(1)
    net = Sequential([Dense(units, activation=activation)])
    options = {"loss": "softmax_cross_entropy", **options}
    net.compile(options.pop("optimizer", gx.optim.SGD(0.5)), metrics=metrics, target="interpret",
                **options)  # fmt: skip
    return net


def test_an_evaluation_unpacks_and_has_names() -> None:
    found = small().evaluate(X, Y)
    loss, accuracy = found
    assert (found["loss"], found["accuracy"]) == (loss, accuracy)
    assert dict(found) == {"loss": loss, "accuracy": accuracy}
    assert found.keys() == ("loss", "accuracy")
    assert "accuracy" in found
    assert "auc" not in found
    assert found.get("auc", 0.25) == 0.25
    assert list(found.items()) == [("loss", loss), ("accuracy", accuracy)]
    assert repr(found).startswith("<Evaluation: loss=")
    with pytest.raises(KeyError, match="auc: there is loss, accuracy"):
        _ = found["auc"]


def test_targets_of_any_dtype_at_any_fit() -> None:
    net = small()
    for dtype in ("int64", "int32", "uint8", "int8"):
        net.fit(X, Y.astype(dtype), verbose=False)
    one_hot = np.eye(2)[Y]
    for dtype in ("float64", "float32"):
        net.fit(X.astype(dtype), one_hot.astype(dtype), verbose=False)
    assert_close(net.evaluate(X, Y)["accuracy"], net.evaluate(X, one_hot)["accuracy"])
    losses = net.evaluate(X, Y)["loss"], net.evaluate(X, one_hot)["loss"]
    assert_close(losses[0], losses[1], "float32", tolerance="sums")
    assert int(net.trainer.optimizer.step.value) == 0  # SGD with a number counts nothing


def test_images_of_bytes() -> None:
    images = RNG.integers(0, 256, (40, 6), dtype=np.uint8)
    net = Sequential([gx.nn.Rescaling(1 / 255), Dense(2)])
    net.compile("sgd", "softmax_cross_entropy", target="interpret")
    net.fit(images, Y, verbose=False)
    kernel, bias = (p.value for p in net.parameters)
    assert_close(net.predict(images), images / 255 @ kernel + bias, floor=1.0)
    net.fit(images.astype("float32"), Y, verbose=False)  # and floats of the same range


def test_streaming_metrics_by_name_and_as_objects() -> None:
    logits = small(
        ["f1", gx.metrics.AUC(thresholds=10_000), "recall"], 1, loss="sigmoid_cross_entropy"
    )
    targets = Y[:, None].astype("float32")
    history = logits.fit(X, targets, epochs=2, validation_split=0.25, verbose=False)
    assert set(history) >= {"f1", "auc", "recall", "val_f1", "val_auc", "val_recall"}
    found = logits.evaluate(X, targets, batch_size=7)
    scores = logits.predict(X)[:, 0]
    assert_close(found["f1"], theirs.f1_score(Y, scores > 0))
    assert_close(found["auc"], theirs.roc_auc_score(Y, scores))


def test_accuracy_is_that_of_the_loss() -> None:
    net = small(units=1, activation="sigmoid", loss="binary_crossentropy")
    targets = Y[:, None]
    net.fit(X, targets, epochs=3, verbose=False)
    right = (net.predict(X) > 0.5) == targets
    assert_close(net.evaluate(X, targets)["accuracy"], right.mean())
    sparse = small(activation="softmax", loss="sparse_categorical_crossentropy")
    sparse.fit(X, Y[:, None], verbose=False)
    assert_close(
        sparse.evaluate(X, Y[:, None])["accuracy"], (sparse.predict(X).argmax(1) == Y).mean()
    )


def test_weights_of_samples_and_classes_scale_the_loss() -> None:
    def weighed(**options: Any) -> Any:
        net = small()
        net.fit(X, Y, batch_size=40, shuffle=False, verbose=False, **options)
        return net.parameters[0].value

    weights = np.where(Y == 1, 3.0, 1.0)
    by_class = weighed(class_weight={1: 3.0})
    np.testing.assert_array_equal(weighed(sample_weight=weights), by_class)
    assert not np.array_equal(by_class, weighed())
    np.testing.assert_array_equal(weighed(sample_weight=np.ones(40)), weighed())
    net = small()
    kernel = lambda: net.parameters[0].value  # noqa: E731
    net.predict(X)
    before, p = kernel(), np.exp(net.predict(X))
    p = p / p.sum(-1, keepdims=True)
    net.fit(X, Y, batch_size=40, sample_weight=weights, verbose=False)
    gradient = X.T @ (weights[:, None] * (p - np.eye(2)[Y])) / 40
    assert_close(kernel(), before - 0.5 * gradient, tolerance="sums")


def test_weights_are_checked() -> None:
    with pytest.raises(ArgumentError, match="one number for each of 40 samples"):
        small().fit(X, Y, sample_weight=np.ones(39), verbose=False)

    def total(outputs: Any, targets: Any) -> Any:
        return gx.nn.softmax_cross_entropy(outputs, targets).sum()

    with pytest.raises(ShapeError, match="weights need a loss for each sample"):
        small(loss=total).fit(X, Y, sample_weight=np.ones(40), verbose=False)


def test_regularisers_and_limits_are_in_the_step() -> None:
    net = Sequential([Dense(2, kernel_regularizer=lambda w: gx.regularizers.l2([w], 2.0))])
    net.compile(gx.optim.SGD(0.1), "softmax_cross_entropy", target="interpret")
    plain = Sequential(list(net.layers))
    loss = net.evaluate(X, Y)["loss"]
    cross = gx.nn.softmax_cross_entropy(plain(X), gx.constant(Y)).mean().eval({})
    penalised = cross + (net.parameters[0].value ** 2).sum()
    assert_close(loss, penalised, "float32", tolerance="sums")
    clipped = small(clip_norm=LIMITED_STEP)
    clipped.predict(X)
    before = clipped.parameters[0].value
    clipped.fit(X, Y, batch_size=40, verbose=False)
    assert 0 < np.abs(clipped.parameters[0].value - before).max() < LIMITED_STEP


def test_freezing_between_fits_counts() -> None:
    net = Sequential([Dense(3, "relu"), Dense(2)])
    net.compile("sgd", "softmax_cross_entropy", target="interpret")
    net.fit(X, Y, verbose=False)
    before = [p.value for p in net.parameters]
    net.layers[0].trainable = False
    net.fit(X, Y, verbose=False)
    same = [np.array_equal(a, p.value) for a, p in zip(before, net.parameters)]
    assert same == [True, True, False, False]


def test_evaluate_and_predict_are_functions_too() -> None:
    x, y = gx.input("x", ("batch", 4)), gx.input("y", ("batch",), "int32")
    logits = Dense(2)(x)
    loss = gx.nn.softmax_cross_entropy(logits, y).mean()
    f1 = gx.metrics.F1()
    check = gx.compile([x, y], {"loss": loss}, f1.update(logits, y), mode="inference")
    found = gx.evaluate(check, [X, Y.astype("int32")], batch_size=7)
    whole = check(X, Y.astype("int32"))
    assert_close(found["loss"], whole["loss"], "float32", tolerance="sums")
    assert found.keys() == ("loss", "f1")
    named = gx.compile([x], {"logits": logits, "class": gx.argmax(logits, axis=-1)})
    parts = gx.predict(named, [X], batch_size=7)
    np.testing.assert_array_equal(parts["class"], np.asarray(named(X)["class"]))
    assert parts["logits"].shape == (40, 2)
    with pytest.raises(ArgumentError, match="the output has no batch axis"):
        gx.predict(gx.compile([x], logits.sum()), [X])
    step = gx.compile([x, y], {"loss": loss}, gx.optim.SGD(0.1).minimize(loss))
    with pytest.raises(ArgumentError, match=r"evaluate: the function .* updates"):
        gx.evaluate(step, [X, Y.astype("int32")])
    with pytest.raises(ArgumentError, match=r"evaluate: needs what gx.compile returns"):
        gx.evaluate(3, [X])  # type: ignore[arg-type]


def test_refusals() -> None:
    with pytest.raises(ArgumentError, match=r"a metric is a name, a function or one of gx.metrics"):
        small([3])
    with pytest.raises(ArgumentError, match="no metric is called 'acuracy'"):
        small(["acuracy"])
    with pytest.raises(ArgumentError, match="two outputs are called f1"):
        small(["f1", gx.metrics.F1()]).fit(X, Y, verbose=False)
    with pytest.raises(ArgumentError, match="the shape of an example is not known"):
        Sequential([Dense(2)]).build()
    net = Sequential([gx.nn.Input((5,)), Dense(2)])
    with pytest.raises(ShapeError, match=r"needs \(batch, 5\)"):
        net(X)


def test_an_evaluation_knows_what_is_noise() -> None:
    """The rule of 30."""
    found = small().evaluate(X, Y)
    assert (found.examples, found.note) == (
        len(X), f"{len(X)} examples are too few to compare models by",
    )  # fmt: skip
    large = gx.Evaluation({"accuracy": 0.9}, 10_000)
    assert large.note == "of 10000 examples: a change of fewer than 30 (0.003) is noise"
    assert repr(large) == f"<Evaluation: accuracy=0.9; {large.note}>"
