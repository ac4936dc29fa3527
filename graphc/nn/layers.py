"""Layers: functions on tensors that own parameters.

A layer makes its parameters when it is first called, from the shape it is called on; calling it
again shares them. Its name is the one given, or its kind with a running number (dense, dense_1),
and leads the names of its parameters: dense/kernel. Layers may hold, make and call others; see
`graphc.frontend.ownership` for whose parameters are whose.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc import init
from graphc import origin as origins
from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.frontend import functions as fn
from graphc.frontend import ownership, symbols
from graphc.frontend.arguments import tensor
from graphc.frontend.functions.operands import to_shape
from graphc.frontend.parameter import Parameter
from graphc.frontend.tensor import Tensor
from graphc.frontend.typing import DTypeLike, TensorLike
from graphc.ir import graph as graphs
from graphc.ir import naming
from graphc.ir.dims import Size, product
from graphc.nn import activations
from graphc.nn.activations import ActivationLike
from graphc.nn.masking import check_rate, masked
from graphc.nn.owner import LayerType, kind_of, layers_in, owned, parameters_of, parts_of


class Layer(metaclass=LayerType):
    """Base of the layers: a name, parameters, and `call`, which a subclass provides.

    Layers and parameters that are attributes (also in lists, tuples and dicts) belong to it, and
    what its calls make or use: every call gets the layers that the first one made.

    Every layer takes, besides its own arguments, `trainable=False`; `input_shape=`, the shape of
    one example for the first layer of a `Sequential`; and for any of its parameters
    `ROLE_regularizer=`, a function of the parameter that is added to the loss of
    `Sequential.fit` (see `penalties`), and `ROLE_constraint=` (see gx.constraints):
    `Dense(10, kernel_regularizer=lambda w: gx.regularizers.l2([w], 1e-4))`.
    """

    kind = "layer"
    _kind_given = False
    _given: str | None
    _name: str | None
    _parameters: dict[str, Parameter]
    _record: ownership.Record
    _trainable: bool
    _options: dict[str, Callable[[Tensor], Tensor]]  # by ROLE_regularizer, ROLE_constraint
    input_shape: tuple[Size, ...] | None

    def __new__(cls, *_: Any, **__: Any) -> Any:
        """A layer without a name; `__init__` of a subclass need not call this class's."""
        made = super().__new__(cls)
        made._given = made._name = None
        made._parameters, made._record = {}, ownership.Record(cls.__name__)
        made._trainable, made._options, made.input_shape = True, {}, None
        return made

    def __init__(self, name: str | None = None) -> None:
        self._given = name

    def __init_subclass__(cls, **options: Any) -> None:
        """Take the kind from the name of the class unless it is given; make calls scopes."""
        super().__init_subclass__(**options)
        if "kind" in vars(cls):
            cls._kind_given = True
        elif not cls._kind_given:
            cls.kind = kind_of(cls.__name__)
        if "__call__" in vars(cls):
            cls.__call__ = owned(cls.__call__)  # type: ignore[method-assign]

    @property
    def name(self) -> str:
        """The whole name, settled when first asked for or when the layer is first called."""
        if self._name is None:
            given = self._given
            self._name = naming.scoped(given) if given else naming.automatic(self.kind)
        return self._name

    @property
    def _parts(self) -> list[Any]:
        """The parameters and layers that it consists of, as far as they are made."""
        return parts_of(self)

    @property
    def parameters(self) -> list[Parameter]:
        """The parameters made so far, those of inner layers too, in the order of their use."""
        return list(parameters_of(self, set()))

    @property
    def trainable(self) -> bool:
        """Whether optimisers update its parameters; setting it sets those of inner layers, and
        counts for what is built from then on."""
        return self._trainable

    @trainable.setter
    def trainable(self, trainable: bool) -> None:
        check_flag(type(self).__name__, "trainable", trainable)
        self._trainable = bool(trainable)
        for layer in layers_in(self, set()):
            layer._trainable = self._trainable
        for parameter in self.parameters:
            parameter.trainable = parameter.op.trainable and self._trainable

    @property
    def penalties(self) -> list[Tensor]:
        """What the regularisers of its parameters give, those of inner layers too, as far as the
        parameters are made."""
        return [
            regularizer(layer._parameters[word.removesuffix("_regularizer")])
            for layer in layers_in(self, set())
            for word, regularizer in layer._options.items()
            if word.endswith("_regularizer")
            and word.removesuffix("_regularizer") in layer._parameters
        ]

    def set_option(self, word: str, value: Any) -> None:
        """Set what every layer takes besides its own arguments."""
        if word == "trainable":
            self.trainable = value
        elif word == "input_shape":
            self.input_shape = to_shape(type(self).__name__, value)
        elif value is not None:
            if not callable(value):
                raise ArgumentError(
                    f"{type(self).__name__}: {word} must be a function of the parameter,"
                    f" got {value!r:.60}",
                    origin=origins.find_origin(),
                )
            self._options[word] = value

    @owned
    def __call__(self, x: TensorLike, *args: Any, **kwargs: Any) -> Tensor:
        """Apply the layer to a tensor; further arguments are those of `call`."""
        call: Callable[..., Tensor] = self.call
        return call(tensor(self.name, "x", x), *args, **kwargs)

    def call(self, x: Tensor) -> Tensor:
        """What the layer computes."""
        raise NotImplementedError

    def parameter(
        self,
        role: str,
        shape: tuple[int, ...],
        initializer: Any,
        dtype: DTypeLike = "float32",
        trainable: bool = True,
    ) -> Parameter:
        """The parameter NAME/ROLE, made at the first call; later ones must need the same shape."""
        if role not in self._parameters:
            with origins.root_scope():
                self._parameters[role] = symbols.new_parameter(
                    f"{self.name}/{role}", shape, initializer, dtype, trainable
                )
            self._parameters[role].constraint = self._options.get(f"{role}_constraint")
        made = self._parameters[role]
        if made.shape != shape:
            raise ShapeError(
                f"{self.name}: {role} has shape {made.shape}, but this input needs {shape}",
                operands=graphs.describe((made.node,)),
                origin=origins.find_origin(),
                hint="a layer shares its parameters among its calls: make another layer",
            )
        return made

    def check_float(self, x: Tensor) -> None:
        """Raise unless x holds floats."""
        if not x.dtype.is_float:
            raise DTypeError(
                f"{self.name}: needs floats, got {x.type}",
                operands=graphs.describe((x.node,)),
                origin=origins.find_origin(),
                hint="gx.nn.Rescaling(1 / 255) makes floats of bytes, astype('float32') of others"
                if x.dtype.name == "uint8"
                else "convert with astype('float32')",
            )

    def features(self, x: Tensor) -> int:
        """The size of the last axis, which must be known."""
        if not x.shape or not isinstance(x.shape[-1], int):
            raise ShapeError(
                f"{self.name}: the last axis must have a known size, got {x.type}",
                operands=graphs.describe((x.node,)),
                origin=origins.find_origin(),
            )
        return x.shape[-1]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name or self._given or '(not called yet)'}>"


class Dense(Layer):
    """activation(x @ kernel + bias) over the last axis of x."""

    kind = "dense"

    def __init__(
        self,
        units: int,
        activation: ActivationLike = None,
        use_bias: bool = True,
        kernel_init: init.Initializer | None = None,
        bias_init: init.Initializer | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        check_count("Dense", "units", units)
        self.units, self.use_bias = units, use_bias
        self.activation = activations.find(activation)
        self.kernel_init = kernel_init or init.glorot_uniform()
        self.bias_init = bias_init or init.zeros()

    def call(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., units)."""
        self.check_float(x)
        y = x @ self.kernel(x)
        if self.use_bias:
            y = y + self.parameter("bias", (self.units,), self.bias_init, x.dtype)
        result: Tensor = self.activation(y)
        return result

    def kernel(self, x: Tensor) -> Tensor:
        """The matrix that x is multiplied with."""
        shape = (self.features(x), self.units)
        return self.parameter("kernel", shape, self.kernel_init, x.dtype)


class DropConnect(Dense):
    """A dense layer of whose kernel training drops elements (Wan et al. 2013).

    Every call draws a mask of its own, shared by the batch. See nn.dropconnect.
    """

    kind = "drop_connect"

    def __init__(self, units: int, rate: float, **arguments: Any) -> None:
        super().__init__(units, **arguments)
        check_rate("DropConnect", rate)
        self.rate = rate
        self._streams: dict[str, int] = {}

    def kernel(self, x: Tensor) -> Tensor:
        """The matrix, at training with elements dropped and the others scaled."""
        stream = naming.of_call(self._streams, self.name)
        return masked(super().kernel(x), self.rate, False, stream)


class Dropout(Layer):
    """Dropout; every call draws a mask of its own. See nn.dropout."""

    kind = "dropout"

    def __init__(self, rate: float, always: bool = False, name: str | None = None) -> None:
        super().__init__(name)
        check_rate("Dropout", rate)
        self.rate, self.always = rate, always
        self._streams: dict[str, int] = {}

    def call(self, x: Tensor) -> Tensor:
        """The shape of x."""
        stream = naming.of_call(self._streams, self.name)
        return masked(x, self.rate, self.always, stream)


class Flatten(Layer):
    """All axes but the first into one."""

    kind = "flatten"

    def call(self, x: Tensor) -> Tensor:
        """(batch, ...) -> (batch, product of the others)."""
        if not x.shape:
            raise ShapeError(f"{self.name}: needs at least one axis, got {x.type}")
        return fn.reshape(x, (x.shape[0], product(x.shape[1:])))


class Reshape(Layer):
    """All axes but the first into the given ones, of which one may be -1."""

    kind = "reshape"

    def __init__(self, shape: tuple[Size, ...], name: str | None = None) -> None:
        super().__init__(name)
        self.shape = to_shape("Reshape", shape)

    def call(self, x: Tensor) -> Tensor:
        """(batch, ...) -> (batch, *shape)."""
        if not x.shape:
            raise ShapeError(f"{self.name}: needs at least one axis, got {x.type}")
        return fn.reshape(x, (x.shape[0], *self.shape))


class Activation(Layer):
    """An activation as a layer."""

    kind = "activation"

    def __init__(self, activation: ActivationLike, name: str | None = None) -> None:
        super().__init__(name)
        self.activation = activations.find(activation)

    def call(self, x: Tensor) -> Tensor:
        """The shape of x."""
        result: Tensor = self.activation(x)
        return result


class Embedding(Layer):
    """Rows of a learned table, one for every integer of the input."""

    kind = "embedding"

    def __init__(
        self,
        count: int,
        units: int,
        table_init: init.Initializer | None = None,
        dtype: DTypeLike = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        check_count("Embedding", "count", count)
        check_count("Embedding", "units", units)
        self.count, self.units = count, units
        self.dtype = symbols.check_dtype("Embedding", dtype)
        self.table_init = table_init or init.uniform()

    def call(self, x: Tensor) -> Tensor:
        """(...) integers -> (..., units)."""
        table = self.parameter("table", (self.count, self.units), self.table_init, self.dtype)
        return fn.take(table, x, axis=0)


def check_flag(layer: str, role: str, flag: Any) -> None:
    """Raise unless it is True or False."""
    if not isinstance(flag, (bool, np.bool_)):
        raise ArgumentError(
            f"{layer}: {role} must be True or False, got {flag!r:.60}",
            origin=origins.find_origin(),
        )


def check_count(layer: str, role: str, count: Any) -> None:
    """Raise unless a size is an int of 1 or more."""
    if not isinstance(count, (int, np.integer)) or isinstance(count, bool) or count < 1:
        raise ArgumentError(f"{layer}: {role} must be an int of 1 or more, got {count!r}")
