"""What `Sequential.compile` and `.fit` do: build the graph from the data's shapes, and train."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from graphc import optim
from graphc import origin as origins
from graphc.errors import ArgumentError, ShapeError
from graphc.frontend import functions as fn
from graphc.frontend import symbols
from graphc.frontend.functions.operands import common_shape, fail, shape_text
from graphc.frontend.tensor import Tensor, lift
from graphc.frontend.typing import TensorLike
from graphc.ir.types import Array, find_dtype
from graphc.nn import losses, margins, probabilities, regression, scores, similarity
from graphc.runtime.function import CompiledFunction, compile
from graphc.train.batches import Batches
from graphc.train.checkpoint import Checkpoint
from graphc.train.files import load
from graphc.train.fit import fit
from graphc.train.history import History


def kl_divergence(outputs: Tensor, targets: Tensor) -> Tensor:
    """How far outputs are from the distributions that they should be, as in Keras."""
    return losses.kl_divergence(targets, outputs)


LOSSES: dict[str, Callable[..., Tensor]] = {
    "softmax_cross_entropy": losses.softmax_cross_entropy,
    "sigmoid_cross_entropy": losses.sigmoid_cross_entropy,
    "categorical_crossentropy": probabilities.categorical_crossentropy,
    "sparse_categorical_crossentropy": probabilities.sparse_categorical_crossentropy,
    "binary_crossentropy": probabilities.binary_crossentropy,
    "softmax_focal": probabilities.softmax_focal,
    "sigmoid_focal": probabilities.sigmoid_focal,
    "kl_divergence": kl_divergence,
    "mse": regression.mse,
    "mean_squared_error": regression.mse,
    "mae": regression.mae,
    "mean_absolute_error": regression.mae,
    "huber": regression.huber,
    "log_cosh": regression.log_cosh,
    "poisson": regression.poisson,
    "cosine_distance": similarity.cosine_distance,
    "hinge": margins.hinge,
    "squared_hinge": margins.squared_hinge,
    "categorical_hinge": margins.categorical_hinge,
}

METRICS: dict[str, Callable[..., Tensor]] = {
    "accuracy": scores.accuracy,
    "acc": scores.accuracy,
    "top_k_accuracy": scores.top_k_accuracy,
    "mse": regression.mse,
    "mae": regression.mae,
}

OPTIMIZERS: dict[str, Callable[[], optim.Optimizer]] = {
    "sgd": optim.SGD,
    "adam": optim.Adam,
    "adamw": optim.AdamW,
    "adagrad": optim.Adagrad,
    "rmsprop": optim.RMSprop,
    "adadelta": optim.Adadelta,
    "adamax": optim.Adamax,
    "nadam": optim.Nadam,
}


class Layers(Protocol):
    """A model: called with inputs, and made of layers (`Sequential`)."""

    layers: list[Any]

    def __call__(self, x: TensorLike) -> Tensor: ...


class Trainer:
    """A model with its optimiser, loss and metrics; functions are built for the first data."""

    def __init__(
        self,
        model: Layers,
        optimizer: Any,
        loss: Any,
        metrics: tuple[Any, ...],
        options: dict[str, Any],
    ) -> None:
        if loss is None:
            raise ArgumentError("compile: needs a loss", hint="one of " + ", ".join(LOSSES))
        chosen = _choose("optimizer", optimizer, OPTIMIZERS)
        self.model = model
        self.optimizer = chosen() if isinstance(optimizer, str) else chosen
        self.loss = _choose("loss", loss, LOSSES)
        self.metrics = [_choose("metric", metric, METRICS) for metric in metrics]
        self.options = options
        self._made: tuple[Any, ...] = ()  # the layers that the functions were built from
        self._step: CompiledFunction | None = None
        self._check: CompiledFunction | None = None
        self._predict: CompiledFunction | None = None
        self._checkpoint: Checkpoint | None = None  # to be restored into the step

    def fit(self, x: Array, y: Array, validation: Any, **options: Any) -> History:
        """Train on arrays."""
        pair = isinstance(validation, (tuple, list)) and len(validation) == 2
        if validation is not None and not pair:
            raise ArgumentError(
                f"fit: validation_data must be (x, y), got {validation!r:.60}",
                origin=origins.find_origin(),
            )
        step, check = self._build(x, y)
        checked = None if validation is None else (check, [np.asarray(a) for a in validation])
        return fit(step, [x, y], validation=checked, **options)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Set the parameters, and what else the step has as soon as it is built."""
        load(checkpoint.path, into=self.model)
        self._checkpoint = checkpoint
        if self._step is not None:
            self._resume(self._step)

    def _resume(self, step: CompiledFunction) -> None:
        if self._checkpoint is not None:
            self._checkpoint.restore(step)
            self._checkpoint = None

    def evaluate(self, x: Array, y: Array, batch_size: int) -> dict[str, float]:
        """The mean loss and metrics at inference."""
        batches = Batches(self._build(x, y)[1], [x, y], batch_size)
        return batches.run(None, 0, batches.steps).means()

    def predict(self, x: Array, batch_size: int) -> Array:
        """The outputs at inference."""
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise ArgumentError(f"predict: batch_size must be 1 or more, got {batch_size!r}")
        self._forget_others()
        if self._predict is None:
            inputs = _input("x", x)
            outputs = self.model(inputs)
            self._predict = compile([inputs], outputs, name="predict", **self.options)
        parts = [
            np.asarray(self._predict(x[start : start + batch_size]))
            for start in range(0, len(x), batch_size)
        ]
        return np.concatenate(parts) if parts else np.asarray(self._predict(x))

    def _forget_others(self) -> None:
        """Forget the functions of layers that the model no longer consists of."""
        layers = tuple(self.model.layers)
        if [*map(id, layers)] != [*map(id, self._made)]:
            self._made = layers
            self._step = self._check = self._predict = None

    def _build(self, x: Array, y: Array) -> tuple[CompiledFunction, CompiledFunction]:
        self._forget_others()
        if self._step is None or self._check is None:
            inputs, targets = _input("x", x), _input("y", y)
            outputs = self.model(inputs)
            named = {"loss": _mean_of(self.loss, outputs, targets)}
            for metric in self.metrics:
                named[_new_name(metric, named)] = _mean_of(metric, outputs, targets)
            updates = self.optimizer.minimize(named["loss"])
            both = [inputs, targets]
            self._step = compile(both, named, updates, name="step", **self.options)
            self._check = compile(both, named, mode="inference", name="evaluate", **self.options)
            self._resume(self._step)
        return self._step, self._check


def _new_name(metric: Callable[..., Tensor], named: dict[str, Tensor]) -> str:
    """The name of a metric; raises where something else has it."""
    name = _name(metric)
    if name in named:
        raise ArgumentError(
            f"compile: two outputs are called {name}: metrics need names of their own",
            origin=origins.find_origin(),
            hint="define the metric as a function (def) of another name",
        )
    return name


def _input(name: str, array: Array) -> Tensor:
    dtype = find_dtype(array.dtype)
    if dtype is None or not array.ndim:
        raise ArgumentError(
            f"fit: {name} must be an array of samples, got {array.dtype}{list(array.shape)}",
            origin=origins.find_origin(),
        )
    narrow = {"float64": "float32", "int64": "int32"}.get(dtype.name, dtype.name)
    return symbols.input(name, ("batch", *array.shape[1:]), narrow)


def _mean_of(function: Callable[..., Tensor], outputs: Tensor, targets: Tensor) -> Tensor:
    """The mean of a loss or metric; raises where it paired every output with every target."""
    value = lift(function(outputs, targets))
    a, b = outputs.shape, targets.shape
    columns = a == (*b, 1) or b == (*a, 1)
    if columns and value.shape == common_shape(_name(function), (outputs, targets)):
        fail(
            ShapeError,
            f"{_name(function)}: outputs and y broadcast to {shape_text(value.shape)}:"
            f" {outputs.type} vs {targets.type}",
            (outputs, targets),
            hint="give y the shape of the outputs: y[..., None]"
            if len(a) > len(b)
            else "give y the shape of the outputs: y[..., 0]",
        )
    return fn.mean(value)


def _name(metric: Callable[..., Tensor]) -> str:
    return getattr(metric, "__name__", type(metric).__name__)


def _choose(what: str, given: Any, choices: dict[str, Any]) -> Any:
    if not isinstance(given, str):
        return given
    if given not in choices:
        raise ArgumentError(
            f"compile: no {what} is called {given!r}", hint="one of " + ", ".join(choices)
        )
    return choices[given]
