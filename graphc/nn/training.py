"""What `Sequential.compile` and `.fit` do: build the graph from the data's shapes, and train."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from graphc import optim
from graphc import origin as origins
from graphc.errors import ArgumentError, ShapeError
from graphc.frontend import functions as fn
from graphc.frontend import symbols
from graphc.frontend.functions.operands import common_shape, fail, shape_text
from graphc.frontend.parameter import Parameter
from graphc.frontend.tensor import Tensor, lift
from graphc.frontend.typing import TensorLike
from graphc.ir.types import Array, find_dtype
from graphc.metrics import AUC, F1, R2, RMSE, MeanIoU, Metric, Perplexity, Precision, Recall
from graphc.nn import losses, margins, probabilities, regression, scores, similarity
from graphc.nn.batch_parts import Weigh, inputs_source, model_source
from graphc.runtime.function import CompiledFunction, compile
from graphc.train.batches import is_mapped
from graphc.train.checkpoint import Checkpoint
from graphc.train.evaluation import Evaluation, predict
from graphc.train.feed import make_feed
from graphc.train.files import load
from graphc.train.fit import counted, fit
from graphc.train.history import History
from graphc.train.sources import Source, gives_batches


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

METRICS: dict[str, Any] = {
    "accuracy": scores.accuracy,
    "acc": scores.accuracy,
    "top_k_accuracy": scores.top_k_accuracy,
    "mse": regression.mse,
    "mean_squared_error": regression.mse,
    "mae": regression.mae,
    "mean_absolute_error": regression.mae,
    **{m.kind: m for m in (Precision, Recall, F1, AUC, MeanIoU, R2, RMSE, Perplexity)},
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
    "lion": optim.Lion,
    "adafactor": optim.Adafactor,
}


class Layers(Protocol):
    """A model: called with inputs, and made of layers (`Sequential`)."""

    layers: list[Any]

    @property
    def parameters(self) -> list[Parameter]: ...

    @property
    def penalties(self) -> list[Tensor]: ...

    def __call__(self, x: TensorLike) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class Functions:
    """What was built for data of one shape and kind."""

    inputs: tuple[Tensor, ...]  # x, y and, where they are weighed, the weights
    step: CompiledFunction
    check: CompiledFunction


class Trainer:
    """A model with its optimiser, loss and metrics; functions are built for the first data."""

    def __init__(
        self,
        model: Layers,
        optimizer: Any,
        loss: Any,
        metrics: tuple[Any, ...],
        options: dict[str, Any],
        clip: dict[str, Any],
    ) -> None:
        if loss is None:
            raise ArgumentError("compile: needs a loss", hint="one of " + ", ".join(LOSSES))
        chosen = _choose("optimizer", optimizer, OPTIMIZERS)
        self.model = model
        self.optimizer = chosen() if isinstance(optimizer, str) else chosen
        self.loss = _choose("loss", loss, LOSSES)
        if not isinstance(self.optimizer, optim.Optimizer):
            given = getattr(self.optimizer, "__name__", repr(self.optimizer))
            raise ArgumentError(
                f"compile: the optimizer must be a name or one of gx.optim, got {given:.60}",
                origin=origins.find_origin(),
                hint=f"an object, not the class: {given}()" if callable(self.optimizer) else None,
            )
        if not callable(self.loss):
            raise ArgumentError(
                f"compile: the loss must be a name or a function, got {self.loss!r:.60}",
                origin=origins.find_origin(),
            )
        self.metrics = [_metric(metric, self.loss) for metric in metrics]
        self.options, self.clip = options, clip
        self._made: tuple[int, ...] = ()  # what the functions were built from, by identity
        self._functions: dict[Any, Functions] = {}
        self._predict: dict[Any, CompiledFunction] = {}
        self._checkpoint: Checkpoint | None = None  # to be restored into the next step that trains
        self.step: CompiledFunction | None = None  # that of the latest fit

    def fit(self, data: list[Array] | Source, validation: Any, **options: Any) -> History:
        """Train on arrays, [x, y] or [x, y, weights], or what gives them batch by batch."""
        pair = isinstance(validation, (tuple, list)) and len(validation) == 2
        if isinstance(validation, (tuple, list)) and not pair:
            raise ArgumentError(
                f"fit: validation_data must be (x, y), got {validation!r:.60}",
                origin=origins.find_origin(),
            )
        built, fed = self._fed(data)
        self._resume(built.step)
        self.step = built.step
        checked = None
        if validation is not None:
            arrays = [np.asarray(a) for a in validation] if pair else model_source(validation)
            plain, checks = self._fed(arrays)
            checked = plain.check, checks
        return fit(built.step, fed, validation=checked, **options)

    def source(self, data: Any, weigh: Weigh | None = None) -> Source:
        """Data that give batches, each with the weights that its samples have."""
        return model_source(data, weigh)

    def step_for(self, data: Any) -> tuple[CompiledFunction, list[Array] | Source]:
        """The step that trains on such data, and the data as it takes them."""
        batches = gives_batches(data, ())
        built, fed = self._fed(model_source(data) if batches else [np.asarray(a) for a in data])
        return built.step, fed

    def _fed(self, data: list[Array] | Source) -> tuple[Functions, list[Array] | Source]:
        """The functions for such data, and the data as they take them."""
        if not isinstance(data, Source):
            built = self._build(data[0], data[1], len(data) == 3)
            return built, _fitting(built, data)
        first = data.first()
        built = self._build(first[0], first[1], len(first) == 3)
        kinds = [_kind(array)[1] for array in first]
        prepare = data.prepare
        assert prepare is not None

        def fitting(number: int, item: Any) -> list[Array]:
            arrays = prepare(number, item)
            alike = [_kind(array)[1] for array in arrays] == kinds
            return _fitting(built, arrays) if alike else arrays  # binding them says what differs

        return built, Source(data.data, prepare=fitting)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Set the parameters now, and what else the step has when the next fit knows which."""
        load(checkpoint.file, into=self.model)
        self._checkpoint = checkpoint

    def _resume(self, step: CompiledFunction) -> None:
        if self._checkpoint is not None:
            self._checkpoint.restore(step)
            self._checkpoint = None

    def evaluate(self, data: list[Array] | Source, batch_size: int, prefetch: int) -> Evaluation:
        """The mean loss and metrics at inference."""
        built, fed = self._fed(data)
        return Evaluation(*counted(make_feed(built.check, fed, batch_size, prefetch=prefetch)))

    def predict(self, x: Any, batch_size: int, prefetch: int = 2) -> Array:
        """The outputs at inference."""
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise ArgumentError(f"predict: batch_size must be 1 or more, got {batch_size!r}")
        if gives_batches(x, ()):
            source = inputs_source(x)
            found: Array = predict(self._predicting(source.first()[0]), source, prefetch=prefetch)
            return found
        x = np.asarray(x)
        function = self._predicting(x)
        parts = [
            np.asarray(function(x[start : start + batch_size]))
            for start in range(0, len(x), batch_size)
        ]
        return np.concatenate(parts) if parts else np.asarray(function(x))

    def _predicting(self, x: Array) -> CompiledFunction:
        self._forget_others()
        key = _kind(x)
        if key not in self._predict:
            inputs = _input("x", x)
            outputs = self.model(inputs)
            self._predict[key] = compile([inputs], outputs, name="predict", **self.options)
            self._made = self._signature()
        return self._predict[key]

    def _forget_others(self) -> None:
        """Forget functions of layers that the model no longer consists of, or in which other
        parameters were trained."""
        if self._made != self._signature():
            self._made = self._signature()
            self._functions, self._predict = {}, {}

    def _signature(self) -> tuple[int, ...]:
        fixed = (p for p in self.model.parameters if p.op.trainable and not p.trainable)
        return tuple(map(id, (*self.model.layers, *fixed)))

    def _build(self, x: Array, y: Array, weighted: bool) -> Functions:
        self._forget_others()
        key = (_kind(x), _kind(y), weighted)
        if key not in self._functions:
            self._functions[key] = self._built(x, y, weighted)
            self._made = self._signature()
        return self._functions[key]

    def _built(self, x: Array, y: Array, weighted: bool) -> Functions:
        inputs = [_input("x", x), _input("y", y)]
        outputs, targets = self.model(inputs[0]), inputs[1]
        weights = symbols.input("sample_weight", ("batch",)) if weighted else None
        loss = _mean_of(self.loss, outputs, targets, weights)
        for penalty in self.model.penalties:
            loss = loss + fn.astype(penalty, loss.dtype)
        named = {"loss": loss}
        counted: list[Metric] = []
        for metric in self.metrics:
            if isinstance(metric, Metric):
                _check_name(metric.name, [*named, *(m.name for m in counted)])
                counted.append(metric.clone())
                continue
            _check_name(_name(metric), [*named, *(m.name for m in counted)])
            named[_name(metric)] = _mean_of(metric, outputs, targets)
        updates = [self.optimizer.minimize(loss, **self.clip)]
        updates += [m.update(outputs, targets) for m in counted]
        fresh = [m.clone().update(outputs, targets) for m in counted]
        if weights is not None:
            inputs.append(weights)
        step = compile(inputs, named, updates, name="step", **self.options)
        check = compile(
            inputs[:2] if weights is None else inputs, named, fresh, mode="inference",
            name="evaluate", **self.options,
        )  # fmt: skip
        return Functions(tuple(inputs), step, check)


def _kind(array: Array) -> tuple[Any, ...]:
    """What functions are built for: the shape of a sample, and integers, bools or floats."""
    kind = "i" if array.dtype.kind in "iu" and array.dtype != np.uint8 else array.dtype.kind
    return array.shape[1:], "x" if array.dtype == np.uint8 else kind


def _fitting(built: Functions, arrays: list[Array]) -> list[Array]:
    """Arrays in the dtypes of the inputs; integers that do not fit are left for the error, and
    those of files for the batches."""
    found = []
    for node, array in zip(built.inputs, arrays):
        dtype = node.dtype.numpy
        if array.dtype != dtype and array.dtype.kind in "iufb" and not is_mapped(array):
            cast = array.astype(dtype)
            array = cast if array.dtype.kind == "f" or (cast == array).all() else array
        found.append(array)
    return found + arrays[len(found) :]


def _check_name(name: str, taken: list[str]) -> None:
    """Raise where a metric has the name of something else."""
    if name in taken:
        raise ArgumentError(
            f"compile: two outputs are called {name}: metrics need names of their own",
            origin=origins.find_origin(),
            hint="define the metric as a function (def) of another name",
        )


def _metric(given: Any, loss: Any) -> Any:
    """A metric as given; accuracy by name is that of what the loss is of, as in Keras."""
    if given in ("accuracy", "acc"):
        return _accuracy(given, loss)
    chosen = _choose("metric", given, METRICS)
    if isinstance(chosen, type) and issubclass(chosen, Metric):
        return chosen()
    if not isinstance(chosen, Metric) and not callable(chosen):
        raise ArgumentError(
            f"compile: a metric is a name, a function or one of gx.metrics, got {chosen!r:.60}",
            origin=origins.find_origin(),
        )
    return chosen


def _accuracy(name: str, loss: Any) -> Callable[..., Tensor]:
    """The share of right answers, of logits or of probabilities, for labels or one-hot labels."""
    half = 0.5 if loss is probabilities.binary_crossentropy else 0.0
    one_hot = loss in (probabilities.categorical_crossentropy, losses.softmax_cross_entropy)

    def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
        """The share of right answers."""
        if one_hot and outputs.shape == targets.shape and outputs.ndim > 1:
            targets = fn.argmax(targets, axis=-1)
        if loss is probabilities.sparse_categorical_crossentropy:
            targets = fn.squeeze(targets, -1) if targets.ndim == outputs.ndim else targets
        return scores.accuracy(outputs - half if half else outputs, targets)

    accuracy.__name__ = name
    return accuracy


def _input(name: str, array: Array) -> Tensor:
    dtype = find_dtype(array.dtype)
    if dtype is None or not array.ndim:
        raise ArgumentError(
            f"fit: {name} must be an array of samples, got {array.dtype}{list(array.shape)}",
            origin=origins.find_origin(),
        )
    narrow = {"float64": "float32", "int64": "int32"}.get(dtype.name, dtype.name)
    return symbols.input(name, ("batch", *array.shape[1:]), narrow)


def _mean_of(
    function: Callable[..., Tensor],
    outputs: Tensor,
    targets: Tensor,
    weights: Tensor | None = None,
) -> Tensor:
    """The mean of a loss or metric, each sample times its weight; raises where it paired every
    output with every target."""
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
    if weights is None:
        return fn.mean(value)
    if not value.ndim or value.shape[0] != outputs.shape[0]:
        fail(
            ShapeError,
            f"fit: weights need a loss for each sample, {_name(function)} gives {value.type}",
            (value,),
        )
    each = fn.mean(value, axis=tuple(range(1, value.ndim))) if value.ndim > 1 else value
    return fn.mean(each * fn.astype(weights, each.dtype))


def _name(metric: Callable[..., Tensor]) -> str:
    return getattr(metric, "__name__", type(metric).__name__)


def _choose(what: str, given: Any, choices: dict[str, Any]) -> Any:
    if not isinstance(given, str):
        return given
    given = given if given in choices else given.lower()
    if given not in choices:
        raise ArgumentError(
            f"compile: no {what} is called {given!r}", hint="one of " + ", ".join(choices)
        )
    return choices[given]
