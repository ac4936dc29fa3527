"""Layers in a row, and training them without writing the graph down."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc import origin as origins
from graphc.errors import ArgumentError
from graphc.frontend import symbols
from graphc.frontend.tensor import Tensor
from graphc.frontend.typing import TensorLike
from graphc.ir import naming
from graphc.ir.types import Array
from graphc.nn.layers import Layer
from graphc.nn.owner import kind_of

if TYPE_CHECKING:
    from graphc.inspect.summary import Summary
    from graphc.nn.training import Trainer
    from graphc.train.evaluation import Evaluation
    from graphc.train.history import History


class Function(Layer):
    """A function that makes or uses layers, as a layer; see `layer`."""

    kind = "function"

    def __init__(self, function: Callable[..., Any], name: str | None = None) -> None:
        super().__init__(name)
        self.function = function
        plain = getattr(function, "func", function)  # of functools.partial
        title = getattr(plain, "__name__", kind_of(type(plain).__name__))
        if title.isidentifier():
            self.kind = self._record.title = title

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Call the function."""
        return self.function(*arguments, **named)


def layer(function: Callable[..., Any], name: str | None = None) -> Function:
    """A function as a layer: every call of it uses the layers that the first one made.

    It may take and return anything. Also a decorator. Its name, by default the function's, leads
    those of the layers and parameters in it; `parameters` are theirs.
    """
    return Function(function, name)


class Sequential(Layer):
    """Layers (or functions of a tensor) one after the other.

    Functions may make layers: they belong to the model, and every call of it uses the same.
    Named, it is the scope of its layers' names: NAME/dense/kernel. `compile` and `fit` train it
    as Keras does; as a layer it can be used in any graph.
    """

    kind = "sequential"

    def __init__(
        self, layers: Sequence[Callable[[Tensor], Tensor]] = (), name: str | None = None
    ) -> None:
        super().__init__(name)
        self.layers: list[Callable[[Tensor], Tensor]] = []
        self._trainer: Trainer | None = None
        if not isinstance(layers, (list, tuple)):
            raise ArgumentError(f"Sequential: needs a list of layers, got {layers!r}")
        for layer in layers:
            self.add(layer)

    def add(self, layer: Callable[[Tensor], Tensor]) -> None:
        """Append a layer."""
        if not callable(layer):
            raise ArgumentError(
                f"Sequential: a layer must be callable, got {layer!r}",
                origin=origins.find_origin(),
            )
        self.layers.append(layer)
        self._record.whole = False

    @property
    def name(self) -> str:
        """The name given, scope included; empty without."""
        if self._name is None:
            self._name = naming.scoped(self._given) if self._given else ""
        return self._name

    @property
    def _parts(self) -> list[Any]:
        """The layers, those that functions made, and other objects that have parameters."""
        others = [f for f in self.layers if not isinstance(f, Layer) and hasattr(f, "parameters")]
        return super()._parts + others

    def __call__(self, x: TensorLike) -> Tensor:
        """Apply all layers."""
        return self.call(x)

    def call(self, x: Any) -> Tensor:
        """One layer after the other."""
        for layer in self.layers:
            x = layer(x)
        result: Tensor = x
        return result

    # -- training -----------------------------------------------------------------------

    def compile(
        self,
        optimizer: Any = "adam",
        loss: Any = None,
        metrics: Sequence[Any] = (),
        clip_norm: Any = None,
        clip_value: Any = None,
        **options: Any,
    ) -> None:
        """Choose optimiser, loss and metrics, by name or as functions.

        A loss or metric is a function (outputs, targets); means over the batch are taken. Metrics
        may be objects of gx.metrics. Names are ours and Keras': "categorical_crossentropy" is of
        probabilities, "softmax_cross_entropy" of logits. The regularisers of the layers are added
        to the loss. `clip_norm` and `clip_value` are those of `minimize`; `options` go to
        gx.compile (target, threads, ...).
        """
        from graphc.nn.training import Trainer  # brings the compiler in: only when it is used

        clip = {"clip_norm": clip_norm, "clip_value": clip_value}
        self._trainer = Trainer(self, optimizer, loss, tuple(metrics), options, clip)

    @property
    def trainer(self) -> Trainer:
        """What `compile` chose; raises ArgumentError before that."""
        if self._trainer is None:
            raise ArgumentError("Sequential: call compile first", origin=origins.find_origin())
        return self._trainer

    @property
    def history(self) -> History | None:
        """That of the latest `fit`, also of one that ended with an error; None before."""
        step = None if self._trainer is None else self._trainer.step
        return None if step is None else step.history

    def fit(
        self,
        x: Any,
        y: TensorLike | None = None,
        batch_size: int = 32,
        epochs: int = 1,
        validation_data: Any = None,
        validation_split: float = 0.0,
        callbacks: Sequence[Any] = (),
        shuffle: bool = True,
        seed: int | None = None,
        verbose: bool | int | None = None,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: TensorLike | None = None,
        steps_per_epoch: int | None = None,
        prefetch: int = 2,
    ) -> History:
        """Train; `validation_split` holds that share of the samples back, from the end.

        The loss of a sample counts as often as `sample_weight` (one number for each) and
        `class_weight` (one for each label, 1 where none is given) say, multiplied.
        Without `y`, `x` gives batches (x, y) or (x, y, sample_weight), as for `gx.fit`: a
        generator function, an iterable such as a loader, an iterator. So may `validation_data`.
        """
        data: Any
        if y is None:
            _check_no_arrays(validation_split, sample_weight)
            data = self.trainer.source(x, lambda y, given: _weights(y, class_weight, given))
        else:
            x, y = np.asarray(x), np.asarray(y)
            weights = _weights(y, class_weight, sample_weight)
            data = [x, y] if weights is None else [x, y, weights]
            if not 0.0 <= validation_split < 1.0:
                raise ArgumentError(f"validation_split must be in [0, 1), got {validation_split}")
            if validation_split and validation_data is None:
                kept = _kept(x, y, validation_split)
                validation_data, data = (x[kept:], y[kept:]), [part[:kept] for part in data]
        return self.trainer.fit(
            data, validation_data,
            epochs=epochs, batch_size=batch_size, callbacks=callbacks, shuffle=shuffle, seed=seed,
            verbose=verbose if verbose is None else bool(verbose), steps_per_epoch=steps_per_epoch,
            prefetch=prefetch,
        )  # fmt: skip

    def evaluate(
        self,
        x: Any,
        y: TensorLike | None = None,
        batch_size: int = 32,
        verbose: bool | int | None = None,
        prefetch: int = 2,
    ) -> Evaluation:
        """The loss and the metrics on data, at inference: `loss, accuracy = net.evaluate(x, y)`,
        or by name, `net.evaluate(x, y)["accuracy"]`. It prints nothing, whatever `verbose` is.
        Without `y`, `x` gives batches as for `fit`."""
        trainer = self.trainer
        data = trainer.source(x) if y is None else [np.asarray(x), np.asarray(y)]
        return trainer.evaluate(data, batch_size, prefetch)

    def predict(self, x: Any, batch_size: int = 32, prefetch: int = 2) -> Array:
        """The outputs for data, at inference; of what gives batches x or (x, ...), for these."""
        return self.trainer.predict(x, batch_size, prefetch)

    # -- what it consists of ------------------------------------------------------------

    def build(self, input_shape: Sequence[Any] | None = None) -> None:
        """Make the parameters for examples of a shape, by default the first layer's
        `input_shape`."""
        shape = input_shape or getattr(self.layers[0] if self.layers else None, "input_shape", None)
        if shape is None:
            raise ArgumentError(
                "Sequential: the shape of an example is not known",
                origin=origins.find_origin(),
                hint="give input_shape to the first layer, or fit the model first",
            )
        kind = "int32" if kind_of(type(self.layers[0]).__name__) == "embedding" else "float32"
        self(symbols.input("x", ("batch", *shape), kind))

    def summary(self) -> Summary:
        """Print the table of layers: outputs, parameters, arithmetic; see gx.summary."""
        if not self.parameters and getattr(self.layers[0], "input_shape", None) is not None:
            self.build()
        table: Summary = import_module("graphc.inspect.summary").summary(self)
        sys.stdout.write(f"{table}\n")
        return table

    def _repr_html_(self) -> str | None:
        if not self.layers:
            return None
        table: Summary = import_module("graphc.inspect.summary").summary(self)
        return table._repr_html_()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the parameters to a safetensors file; see gx.save."""
        _files().save(path, self)

    def load(self, path: str | os.PathLike[str]) -> None:
        """Set the parameters from a file of `save`; see gx.load."""
        _files().load(path, into=self)


def _files() -> Any:
    """Saving and loading, which come with training: only when they are used."""
    from graphc.train import files

    return files


def _weights(y: Array, by_class: Any, given: Any) -> Array | None:
    """How much each sample counts; None where all count the same."""
    if by_class is None and given is None:
        return None
    weights = np.ones(len(y), np.float32)
    if given is not None:
        weights = np.asarray(given, np.float32)
        if weights.shape != y.shape[:1]:
            raise ArgumentError(
                f"fit: sample_weight must have one number for each of {len(y)} samples,"
                f" got shape {weights.shape}",
                origin=origins.find_origin(),
            )
    if by_class is None:
        return weights
    low = [(label, weight) for label, weight in by_class.items() if not weight >= 0]
    if low:
        raise ArgumentError(
            f"fit: class_weight of {low[0][0]!r} must be a number of 0 or more, got {low[0][1]!r}",
            origin=origins.find_origin(),
        )
    labels = y.argmax(-1) if y.ndim > 1 and y.shape[-1] > 1 else y.reshape(len(y), -1)[:, 0]
    return weights * np.array([by_class.get(int(n), 1.0) for n in labels], np.float32)


def _check_no_arrays(validation_split: float, sample_weight: Any) -> None:
    """Raise for what belongs to arrays where there are batches."""
    if validation_split or sample_weight is not None:
        name = "validation_split" if validation_split else "sample_weight"
        raise ArgumentError(
            f"fit: {name} needs arrays x and y, not batches",
            origin=origins.find_origin(),
            hint="validation_data= takes batches, too"
            if validation_split
            else "let the data give (x, y, sample_weight)",
        )


def _kept(x: Array, y: Array, share: float) -> int:
    """How many samples are left to learn from; raises where either part has none."""
    count = len(x) if x.ndim else 0
    if not y.ndim or len(y) != count:
        raise ArgumentError(f"fit: x has {count} samples, y has {len(y) if y.ndim else 'none'}")
    kept = count - round(share * count)
    if kept in (0, count):
        raise ArgumentError(
            f"fit: validation_split={share} of {count} samples leaves a part without any",
            origin=origins.find_origin(),
        )
    return kept
