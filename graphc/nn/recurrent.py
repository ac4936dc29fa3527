"""Recurrent layers, batch first: x is (batch, time, features)."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from graphc import init
from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.frontend import functions as fn
from graphc.frontend import ownership
from graphc.frontend.functions.operands import fail, lift_like
from graphc.frontend.parameter import Parameter
from graphc.frontend.tensor import Tensor, lift
from graphc.frontend.typing import DTypeLike, TensorLike
from graphc.ir import naming
from graphc.ir.types import bool_
from graphc.nn import activations
from graphc.nn.activations import ActivationLike
from graphc.nn.cells import State, Step, gru_cell, lstm_cell, rnn_cell, through_time
from graphc.nn.layers import Layer, check_count
from graphc.nn.masking import check_rate, masked

Weights = tuple[Parameter, Parameter, Parameter | None]  # kernel, recurrent_kernel, bias


class Recurrent(Layer):
    """Base of SimpleRNN, LSTM and GRU: a cell repeated along time, with the parameters kernel,
    recurrent_kernel and bias (see graphc.nn.cells for their layout).

    Called on x, it returns the last output (batch, units), or with `return_sequences` all
    (batch, time, units); with `return_state` also the last state, as in Keras: `y, h` of a
    SimpleRNN and a GRU, `y, h, c` of an LSTM. `initial_state` takes such a state (zeros without;
    vectors of `units` are shared by the batch). Where `mask` (batch, time) is False a sequence
    has no step: state and output stay. `dropout` drops inputs, never what is carried on, each
    step anew (Zaremba et al. 2014). With `reverse` time runs backwards; outputs keep the order of
    x. `truncate` and `checkpoint` are those of gx.scan. With `num_layers` as many are stacked, each
    on all outputs of the one below; those above the first are NAME/layer_1, NAME/layer_2, ...
    States are those of the first layer, then those of the second, and so on.
    """

    gates = 1
    states = 1

    def __init__(
        self,
        units: int,
        activation: ActivationLike = "tanh",
        use_bias: bool = True,
        kernel_init: init.Initializer | None = None,
        recurrent_init: init.Initializer | None = None,
        bias_init: init.Initializer | None = None,
        dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        reverse: bool = False,
        truncate: int | None = None,
        checkpoint: str | int | None = None,
        num_layers: int = 1,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        check_count(type(self).__name__, "units", units)
        check_count(type(self).__name__, "num_layers", num_layers)
        check_rate(type(self).__name__, dropout)
        self.units, self.use_bias, self.dropout = units, use_bias, dropout
        self.activation = activations.find(activation)
        self.kernel_init = kernel_init or init.glorot_uniform()
        self.recurrent_init = recurrent_init or init.orthogonal()
        self.bias_init = bias_init or init.zeros()
        self.return_sequences, self.return_state = return_sequences, return_state
        self.reverse, self.truncate, self.checkpoint = reverse, truncate, checkpoint
        self._streams: dict[str, int] = {}
        self.num_layers = num_layers
        self.above: list[Recurrent] = []  # made when first called: subclasses set more options

    def __call__(
        self, x: TensorLike, initial_state: Any = None, mask: TensorLike | None = None
    ) -> Any:
        """Apply the layer to (batch, time, features)."""
        if self.num_layers == 1:
            return self._run(lift(x), initial_state, mask)
        return self._stacked(lift(x), initial_state, mask)

    def _stacked(self, x: Tensor, initial_state: Any, mask: TensorLike | None) -> Any:
        """This layer and those above it, each on all outputs of the one below."""
        if not self.above:
            self.above = [self._copy(f"layer_{i}") for i in range(1, self.num_layers)]
            for layer in self.above:
                layer.return_sequences = layer.return_state = True
        starts = self._starts(initial_state, x)
        y, *states = self._all(x, starts[0], mask)
        for layer, start in zip(self.above, starts[1:]):
            y, *state = layer(y, start, mask)
            states += state
        last = y if self.return_sequences else states[-self.states]
        return (last, *states) if self.return_state else last

    def _all(self, x: Tensor, start: Any, mask: TensorLike | None) -> Any:
        """All outputs and the last state of this layer alone."""
        one = copy.copy(self)
        one.return_sequences = one.return_state = True
        return one._run(x, start, mask)

    def _starts(self, given: Any, x: Tensor) -> list[Any]:
        """The initial state of each layer."""
        if given is None:
            return [None] * self.num_layers
        count = self.states * self.num_layers
        if not isinstance(given, (list, tuple)) or len(given) != count:
            text = f"{self.name}: initial_state must be a list of {count} tensors"
            fail(ArgumentError, text, (x,), f"{self.states} for each of {self.num_layers} layers")
        return [given[i : i + self.states] for i in range(0, count, self.states)]

    def _copy(self, name: str) -> Recurrent:
        """A single layer like this one, with parameters of its own."""
        other = copy.copy(self)
        other._given, other._name = name, None
        other._parameters, other._streams = {}, {}
        other._record = ownership.Record(type(self).__name__)
        other.num_layers, other.above = 1, []
        return other

    def _run(self, x: Tensor, initial_state: Any, mask: TensorLike | None) -> Any:
        self.check_float(x)
        if x.ndim != 3:
            fail(ShapeError, f"{self.name}: needs (batch, time, features), got {x.type}", (x,))
        step = self.step(self.features(x), x.dtype)
        start = self._start(x, initial_state)
        steps = None if mask is None else self._mask(x, mask)
        if self.dropout:
            stream = naming.of_call(self._streams, f"{self.name}/dropout")
            x = masked(x, self.dropout, False, stream)
        ys, last = through_time(
            step, x, start, steps, self.reverse, self.truncate, self.checkpoint
        )  # fmt: skip
        y = ys if self.return_sequences else last[0]
        return (y, *last) if self.return_state else y

    def step(self, features: int, dtype: DTypeLike) -> Step:
        """The cell with this layer's parameters."""
        width = self.gates * self.units
        kernel = self.parameter("kernel", (features, width), self.kernel_init, dtype)
        recurrent = self.parameter(
            "recurrent_kernel", (self.units, width), self.recurrent_init, dtype
        )
        bias = self.bias(dtype) if self.use_bias else None
        return lambda x, state: self.cell(x, state, (kernel, recurrent, bias))

    def bias(self, dtype: DTypeLike) -> Parameter:
        """The parameter that is added to what the gates get."""
        return self.parameter("bias", (self.gates * self.units,), self.bias_init, dtype)

    def cell(self, x: Tensor, state: State, weights: Weights) -> State:
        """The state after one step."""
        raise NotImplementedError

    def twin(self) -> Recurrent:
        """A layer like this one that runs the other way, with parameters of its own."""
        other = self._copy(f"{self._given or self.kind}_backward")
        other.reverse = not self.reverse
        return other

    def _start(self, x: Tensor, given: Any) -> State:
        shape = (x.shape[0], self.units)
        if given is None:
            return (fn.zeros(shape, dtype=x.dtype),) * self.states
        parts = list(given) if isinstance(given, (list, tuple)) else [given]
        if len(parts) != self.states:
            fail(
                ArgumentError,
                f"{self.name}: initial_state has {len(parts)} parts, but the state"
                f" has {self.states}",
                (x,),
            )
        return tuple(self._part(x, lift_like(self.name, part, x), shape) for part in parts)

    def _part(self, x: Tensor, part: Tensor, shape: tuple[Any, ...]) -> Tensor:
        if part.dtype != x.dtype:
            text = f"{self.name}: initial_state is {part.type}, but x is {x.type}"
            fail(DTypeError, text, (x, part), f"convert with astype({x.dtype.name!r})")
        if part.shape not in (shape, shape[1:]):
            text = f"{self.name}: initial_state must have shape {shape}, got {part.type}"
            fail(ShapeError, text, (x, part))
        return fn.broadcast_to(part, shape)

    def _mask(self, x: Tensor, given: Any) -> Tensor:
        mask = lift(given)
        if mask.dtype != bool_:
            text = f"{self.name}: mask must hold bools, got {mask.type}"
            fail(DTypeError, text, (x, mask), "True where there is a step; compare lengths with >")
        if mask.shape != x.shape[:2]:
            text = f"{self.name}: mask must have shape {x.shape[:2]}, got {mask.type}"
            fail(ShapeError, text, (x, mask))
        return mask


class SimpleRNN(Recurrent):
    """h = activation(x @ kernel + bias + h @ recurrent_kernel); see `Recurrent` and nn.rnn_cell."""

    kind = "simple_rnn"

    def cell(self, x: Tensor, state: State, weights: Weights) -> State:
        """The state after one step."""
        return (rnn_cell(x, state[0], *weights, self.activation),)


class LSTM(Recurrent):
    """Long short-term memory with the gates i f g o; see `Recurrent` and nn.lstm_cell.

    With `unit_forget_bias` the bias of the forget gate starts at 1 (Jozefowicz et al. 2015).
    """

    kind = "lstm"
    gates = 4
    states = 2

    def __init__(
        self,
        units: int,
        activation: ActivationLike = "tanh",
        recurrent_activation: ActivationLike = "sigmoid",
        unit_forget_bias: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(units, activation, **options)
        self.recurrent_activation = activations.find(recurrent_activation)
        self.unit_forget_bias = unit_forget_bias

    def bias(self, dtype: DTypeLike) -> Parameter:
        """The parameter that is added to what the gates get."""

        def initialize(shape: tuple[int, ...], dtype: DTypeLike, rng: np.random.Generator) -> Any:
            array = self.bias_init(shape, dtype, rng)
            if self.unit_forget_bias:
                array[self.units : 2 * self.units] = 1.0
            return array

        return self.parameter("bias", (4 * self.units,), initialize, dtype)

    def cell(self, x: Tensor, state: State, weights: Weights) -> State:
        """The state after one step."""
        return lstm_cell(x, state, *weights, self.activation, self.recurrent_activation)


class GRU(Recurrent):
    """Gated recurrent unit with the gates z r n; see `Recurrent` and nn.gru_cell.

    With `reset_after` the bias is (2, 3 * units), else (3 * units,).
    """

    kind = "gru"
    gates = 3

    def __init__(
        self,
        units: int,
        activation: ActivationLike = "tanh",
        recurrent_activation: ActivationLike = "sigmoid",
        reset_after: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(units, activation, **options)
        self.recurrent_activation = activations.find(recurrent_activation)
        self.reset_after = reset_after

    def bias(self, dtype: DTypeLike) -> Parameter:
        """The parameter that is added to what the gates get."""
        shape = (3 * self.units,)
        return self.parameter(
            "bias", (2, *shape) if self.reset_after else shape, self.bias_init, dtype
        )

    def cell(self, x: Tensor, state: State, weights: Weights) -> State:
        """The state after one step."""
        options = (self.activation, self.recurrent_activation, self.reset_after)
        return (gru_cell(x, state[0], *weights, *options),)


class Bidirectional(Layer):
    """A recurrent layer and its twin that runs the other way, their outputs merged.

    `merge_mode` is "concat" (along the features), "sum", "mul", "ave" or None (a pair). Initial
    and last states are those of the layer, then those of the twin.
    """

    kind = "bidirectional"

    def __init__(
        self, layer: Recurrent, merge_mode: str | None = "concat", name: str | None = None
    ) -> None:
        super().__init__(name)
        if not isinstance(layer, Recurrent):
            raise ArgumentError(f"Bidirectional: needs a recurrent layer, got {layer!r}")
        if layer.num_layers > 1:
            raise ArgumentError(
                "Bidirectional: num_layers must be 1", hint="stack Bidirectional layers instead"
            )
        if merge_mode not in MERGE:
            raise ArgumentError(
                f"Bidirectional: no merge_mode is called {merge_mode!r}",
                hint="one of " + ", ".join(map(str, MERGE)),
            )
        self.layer, self.backward, self.merge_mode = layer, layer.twin(), merge_mode

    def __call__(
        self, x: TensorLike, initial_state: Any = None, mask: TensorLike | None = None
    ) -> Any:
        """Apply both layers to (batch, time, features)."""
        first, second = self._halves(initial_state)
        a = self.layer(x, first, mask)
        b = self.backward(x, second, mask)
        merge = MERGE[self.merge_mode]
        if not self.layer.return_state:
            return merge(a, b)
        return (merge(a[0], b[0]), *a[1:], *b[1:])

    def _halves(self, given: Any) -> tuple[Any, Any]:
        if given is None:
            return None, None
        count = self.layer.states
        if not isinstance(given, (list, tuple)) or len(given) != 2 * count:
            raise ArgumentError(
                f"{self.name}: initial_state must be a list of {2 * count} tensors",
                hint=f"{count} of the layer, then {count} of its twin",
            )
        return given[:count], given[count:]


MERGE: dict[str | None, Any] = {
    "concat": lambda a, b: fn.concat([a, b], axis=-1),
    "sum": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "ave": lambda a, b: (a + b) * 0.5,
    None: lambda a, b: (a, b),
}
