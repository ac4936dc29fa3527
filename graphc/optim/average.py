"""Moving averages of parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from graphc import origin as origins
from graphc.errors import ArgumentError
from graphc.frontend import functions as fn
from graphc.frontend import symbols
from graphc.frontend.parameter import Parameter
from graphc.frontend.tensor import Tensor
from graphc.ir import naming
from graphc.optim.transform import compute_dtype
from graphc.optim.updates import Updates


class Averages(Updates):
    """The updates of moving averages; `of` maps each parameter to its average."""

    def __init__(self, values: Mapping[Parameter, Tensor], of: Mapping[Parameter, Tensor]) -> None:
        super().__init__(values)
        self.of = dict(of)

    @property
    def parameters(self) -> list[Parameter]:
        """The averages themselves."""
        return list(self)


def ema(
    parameters: Iterable[Parameter] | Mapping[Parameter, Tensor],
    decay: float,
    name: str | None = None,
) -> Averages:
    """Moving averages: average := decay * average + (1 - decay) * parameter, at every step.

    Of updates, such as those of `minimize`, it averages the trainable parameters after the step;
    of parameters, as they are before it. An average starts as the parameter. Give what is
    returned to `compile` beside the other updates, and use the averages in place of the
    parameters with `gx.substitute(outputs, averages.of)`.
    """
    if isinstance(decay, bool) or not isinstance(decay, (int, float)) or not 0.0 <= decay <= 1.0:
        _fail(f"decay must be a number between 0 and 1, got {decay!r}")
    values: dict[Parameter, Tensor] = {}
    if isinstance(parameters, Mapping):
        _check_parameters(parameters)
        values = {p: value for p, value in parameters.items() if p.trainable}
    else:
        listed = _listed(parameters)
        _check_parameters(listed)
        values = {p: p for p in listed}
    if not values:
        _fail("there is no parameter to average")
    scope = naming.scoped(name) if name else naming.automatic("ema")
    averages, of = {}, {}
    with origins.inherit(origins.find_origin(), origins.UPDATE):
        for parameter, value in values.items():
            average = _average(parameter, scope)
            averages[average] = average * decay + fn.astype(value, average.dtype) * (1.0 - decay)
            of[parameter] = fn.astype(average, parameter.dtype)
    return Averages(averages, of)


def _listed(parameters: Any) -> list[Any]:
    try:
        return list(parameters)
    except TypeError:
        _fail(f"needs parameters or updates of them, got {parameters!r}")


def _check_parameters(values: Iterable[Any]) -> None:
    for value in values:
        if not isinstance(value, Parameter):
            _fail(f"only parameters of floats have averages, got {value!r}")


def _average(parameter: Parameter, scope: str) -> Parameter:
    """The average of a parameter, called SCOPE/PARAMETER; of 16-bit floats in float32."""
    if not parameter.dtype.is_float:
        _fail(f"only parameters of floats have averages, got {parameter!r}")
    with origins.root_scope():
        return symbols.parameter(
            f"{scope}/{parameter.name}",
            parameter.shape,
            lambda *_: parameter.value,
            compute_dtype(parameter.dtype),
            trainable=False,
        )


def _fail(text: str) -> NoReturn:
    raise ArgumentError(f"ema: {text}", origin=origins.find_origin())
