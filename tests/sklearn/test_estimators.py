"""The estimators pass scikit-learn's checks, and do in its tools what they should."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, ShapeError
from graphc.frontend.seed import current_seed

pytest.importorskip("sklearn", "1.6", reason="needs scikit-learn 1.6")
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures
from sklearn.utils.estimator_checks import parametrize_with_checks

from tests.tolerances import FITTED_SHARE

Classifier, Regressor, Transformer = (
    gx.sklearn.Classifier,
    gx.sklearn.Regressor,
    gx.sklearn.Transformer,
)
WEIGHTS = "batches are drawn by number: a sample of weight 2 is not the same as two of them"
FAILING = {"check_sample_weight_equivalence_on_dense_data": WEIGHTS}
SMALL: dict[str, Any] = {"hidden": (16,), "epochs": 15, "learning_rate": 0.02}


def failing(estimator: Any) -> dict[str, str]:
    """The checks that an estimator cannot pass, and why."""
    return {} if isinstance(estimator, Transformer) else FAILING


@parametrize_with_checks(
    [Classifier(**SMALL), Regressor(**SMALL), Transformer(hidden=(8,), epochs=2)],
    expected_failed_checks=failing,
)
def test_what_scikit_learn_asks(estimator: Any, check: Any) -> None:
    check(estimator)


def digits() -> tuple[Any, Any, Any, Any]:
    (x, y), (x_test, y_test) = gx.data.digits()
    return x[:600], y[:600], x_test, y_test


def test_search_and_pipeline() -> None:
    x, y, x_test, y_test = digits()
    names = np.array([f"digit {i}" for i in range(10)])
    search = GridSearchCV(
        Classifier(epochs=8, learning_rate=0.01), {"hidden": [(2,), (32,)]}, cv=2
    ).fit(x, names[y])
    assert search.best_params_ == {"hidden": (32,)}
    assert search.score(x_test, names[y_test]) > 0.9
    assert search.classes_.tolist() == names.tolist()
    houses = gx.data.synthetic.houses(300)
    features, price = houses.matrix("area", "rooms", "age", "town"), houses["price"]
    pipeline = make_pipeline(PolynomialFeatures(2), Regressor(epochs=30, learning_rate=0.01))
    assert cross_val_score(pipeline, features, price, cv=3).mean() > 0.7


def test_what_is_learned_depends_on_the_seed_alone() -> None:
    x, y, x_test, _ = digits()
    gx.seed(5)
    first = Classifier(epochs=2).fit(x, y).predict_proba(x_test)
    assert current_seed() == 5
    layer = gx.nn.Dense(2)
    layer(gx.input("x", ("batch", 3)))
    assert layer.name == "dense"  # names go on as if nothing had been built
    gx.seed(6)
    np.testing.assert_array_equal(Classifier(epochs=2).fit(x, y).predict_proba(x_test), first)
    other = Classifier(epochs=2, seed=1).fit(x, y).predict_proba(x_test)
    assert not np.array_equal(other, first)


def model(x: gx.Tensor) -> gx.Tensor:
    """A network that a user wrote."""
    return gx.nn.Dense(10)(gx.nn.Dropout(0.1)(gx.nn.Dense(24, activation="tanh")(x)))


def test_pickles_and_clones() -> None:
    x, y, x_test, _ = digits()
    fitted = Classifier(model, epochs=2).fit(x, y)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(x_test), fitted.predict_proba(x_test))
    fresh = clone(fitted)
    assert not hasattr(fresh, "network_")
    assert fresh.model is model
    assert len(fitted.history_["loss"]) == 2


@pytest.mark.parametrize("kind", [Classifier, Regressor, Transformer])
def test_exported_with_the_scaler_inside(kind: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = (rng.normal(0, 1, (80, 4)) * [1, 100, 0.01, 1] + [5, 1e3, 0, -2]).astype(np.float32)
    fitted = kind(hidden=(6,), epochs=3).fit(x, (x[:, 0] > 5).astype(np.int32))
    fitted.export(tmp_path, name="fitted")
    found = gx.load_library(tmp_path)(x)
    expected = {
        Classifier: lambda: fitted.predict_proba(x),
        Regressor: lambda: fitted.predict(x)[:, None].astype(np.float32),
        Transformer: lambda: fitted.transform(x),
    }[kind]()
    np.testing.assert_array_equal(found, expected)


def test_several_targets() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (400, 3))
    y = np.c_[1e3 * x[:, 0] + 5e3, x[:, 1] * 0.01, x[:, 2] - x[:, 0]]
    fitted = Regressor(epochs=60, learning_rate=0.01).fit(x[:300], y[:300])
    assert fitted.predict(x[300:]).shape == (100, 3)
    assert fitted.score(x[300:], y[300:]) > 0.97


def test_a_transformer_restores_what_it_can() -> None:
    rng = np.random.default_rng(0)
    hidden = rng.normal(0, 1, (500, 2))
    x = hidden @ rng.normal(0, 1, (2, 10)) * 7 + 30
    codes = Transformer(2, hidden=(32,), epochs=60, learning_rate=0.01).fit(x)
    rest = x - codes.inverse_transform(codes.transform(x))
    assert (rest.var(0) / x.var(0)).max() < 0.05
    assert codes.get_feature_names_out().tolist() == ["transformer0", "transformer1"]


def test_weights_of_samples_count() -> None:
    x = np.zeros((40, 1))
    y = np.repeat([0, 1], 20)
    fitted = Classifier(epochs=60, learning_rate=0.05).fit(x, y, np.where(y == 1, 3.0, 1.0))
    assert fitted.predict_proba(x[:1])[0, 1] == pytest.approx(0.75, **FITTED_SHARE)


@pytest.mark.parametrize(
    ("arguments", "error", "complaint"),
    [
        ({"epochs": 0}, ArgumentError, "Classifier: epochs must be an int of 1 or more, got 0"),
        ({"batch_size": 2.5}, ArgumentError, "Classifier: batch_size must be an int of 1"),
        ({"seed": None}, ArgumentError, "Classifier: seed must be an int of 0 or more"),
        ({"hidden": 64}, ArgumentError, "Classifier: hidden must be a tuple, got 64"),
        ({"hidden": (0,)}, ArgumentError, "Dense: units must be an int of 1 or more"),
        ({"model": gx.nn.relu}, ShapeError, r"the model gives f32\[batch,4\], needed is"),
    ],
)
def test_arguments(arguments: Any, error: Any, complaint: str) -> None:
    with pytest.raises(error, match=complaint):
        Classifier(**arguments).fit(np.eye(4), [0, 1, 0, 1])


def test_without_scikit_learn_it_says_what_to_install() -> None:
    program = "import sys; sys.modules['sklearn'] = None; import graphc as gx; gx.sklearn"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False,
        cwd=Path(gx.__file__).parent.parent,
    )  # fmt: skip
    assert "gx.sklearn needs scikit-learn" in done.stderr
    assert "[sklearn]" in done.stderr
