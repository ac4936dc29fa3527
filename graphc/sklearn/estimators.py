"""The estimators: a network behind the methods that scikit-learn calls."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    RegressorMixin,
    TransformerMixin,
)
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_array,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from graphc.frontend.tensor import Tensor
from graphc.ir.types import Array
from graphc.sklearn.network import Network, Plan, check_options

Model = Callable[[Tensor], Tensor]


class Estimator(BaseEstimator):
    """What the estimators share: a network that is built and trained by `fit`.

    `model` is a function from a tensor (batch, features) to outputs, by default dense layers of
    `hidden` units with relu. Features are standardised before it, by a layer: see
    `gx.nn.Standardize`. Adam trains it, from the mean squared error or cross-entropy. What is
    learned depends on the data and `seed` alone.
    """

    model: Model | None
    hidden: tuple[int, ...]
    epochs: int
    batch_size: int
    learning_rate: float
    seed: int

    def _plan(self, features: int, outputs: int, end: str) -> Plan:
        options = check_options(self)
        hidden = tuple(options["hidden"])
        return Plan(features, outputs, hidden, self.model, end, options["seed"])

    def _train(self, network: Network, x: Array, y: Array, loss: str, weights: Any = None) -> None:
        if weights is not None:
            weights = np.asarray(_check_sample_weight(weights, x), np.float32)
        self.history_ = network.train(x, y, loss, weights, check_options(self))
        self.network_ = network

    def _run(self, x: Any) -> Array:
        check_is_fitted(self)
        return self.network_.run("predict", validate_data(self, x, reset=False, dtype=np.float32))

    def export(
        self,
        directory: str | os.PathLike[str],
        name: str = "predict",
        max_batch: int = 256,
        **options: Any,
    ) -> Any:
        """Write what was learned as a C library that takes raw features, the scaler inside.

        A classifier's gives probabilities, in the order of `classes_`, a regressor's targets, a
        transformer's codes, of 1 to `max_batch` examples in a call. Options are those of
        `CompiledFunction.export`.
        """
        check_is_fitted(self)
        sizes = {"batch": (1, max_batch), **options.pop("dims", {})}
        function = self.network_.function("predict")
        return function.export(directory, name=name, dims=sizes, **options)


class Classifier(ClassifierMixin, Estimator):
    """A network that tells classes apart; `model` gives a logit for each of them.

    Labels may be anything that sorts. `predict_proba` has a column for each of `classes_`.
    """

    def __init__(
        self,
        model: Model | None = None,
        hidden: tuple[int, ...] = (64,),
        epochs: int = 20,
        batch_size: int = 32,
        learning_rate: float = 1e-3,
        seed: int = 0,
    ) -> None:
        self.model = model
        self.hidden = hidden
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.seed = seed

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Classifier:
        """Learn from examples (n, features) and their labels (n,)."""
        x, y = validate_data(self, X, y, dtype=np.float32)
        check_classification_targets(y)
        self.classes_, labels = np.unique(column_or_1d(y, warn=True), return_inverse=True)
        network = Network(self._plan(x.shape[1], len(self.classes_), "softmax"))
        network.before.adapt(x)
        labels = labels.astype(np.int32)
        self._train(network, x, labels, "softmax_cross_entropy", sample_weight)
        return self

    def predict_proba(self, X: Any) -> Array:
        """The probability of each class, (n, classes)."""
        return self._run(X)

    def predict(self, X: Any) -> Array:
        """The most probable labels, (n,)."""
        chosen = self._run(X).argmax(axis=1)
        labels: Array = self.classes_[chosen]
        return labels


class Regressor(RegressorMixin, Estimator):
    """A network that estimates numbers, one or several for each example.

    Targets are standardised for the training, and what it gives is turned back by a layer.
    """

    def __init__(
        self,
        model: Model | None = None,
        hidden: tuple[int, ...] = (64,),
        epochs: int = 20,
        batch_size: int = 32,
        learning_rate: float = 1e-3,
        seed: int = 0,
    ) -> None:
        self.model = model
        self.hidden = hidden
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.seed = seed

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Regressor:
        """Learn from examples (n, features) and targets (n,) or (n, outputs)."""
        x, y = validate_data(self, X, y, dtype=np.float32, multi_output=True, y_numeric=True)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        self._alone = y.ndim == 1
        targets = y.reshape(len(y), -1).astype(np.float64)
        network = Network(self._plan(x.shape[1], targets.shape[1], "units"))
        network.before.adapt(x)
        network.after.adapt(targets)
        mean, deviation = (p.value for p in network.after.parameters)
        scaled = ((targets - mean) / deviation).astype(np.float32)
        self._train(network, x, scaled, "mse", sample_weight)
        return self

    def predict(self, X: Any) -> Array:
        """The targets, in the shape that they had in `fit`."""
        found = self._run(X).astype(np.float64)
        return found[:, 0] if self._alone else found


class Transformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Estimator):
    """An autoencoder: features to a few numbers from which a decoder restores them.

    `model` gives `components` numbers; the decoder has the hidden layers in reverse order.
    """

    def __init__(
        self,
        components: int = 2,
        model: Model | None = None,
        hidden: tuple[int, ...] = (64,),
        epochs: int = 20,
        batch_size: int = 32,
        learning_rate: float = 1e-3,
        seed: int = 0,
    ) -> None:
        self.components = components
        self.model = model
        self.hidden = hidden
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.seed = seed

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def fit(self, X: Any, y: Any = None) -> Transformer:
        """Learn from examples (n, features); y is not used."""
        x = validate_data(self, X, dtype=np.float32)
        network = Network(self._plan(x.shape[1], self.components, "codes"))
        network.before.adapt(x)
        network.after.adapt(x)
        mean, deviation = (p.value for p in network.after.parameters)
        self._train(network, x, (x - mean) / deviation, "mse")
        return self

    @property
    def _n_features_out(self) -> int:
        return self.components

    def transform(self, X: Any) -> Array:
        """The codes, (n, components)."""
        return self._run(X)

    def inverse_transform(self, X: Any) -> Array:
        """The features that codes stand for, (n, features)."""
        check_is_fitted(self)
        return self.network_.run("inverse", check_array(X, dtype=np.float32))
