"""The parts of layers: the layers and parameters that they hold, make and use."""

from __future__ import annotations

import functools
import inspect
import re
from abc import ABCMeta
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from graphc import origin as origins
from graphc.errors import ArgumentError
from graphc.frontend import ownership
from graphc.frontend.parameter import Parameter

Function = TypeVar("Function", bound=Callable[..., Any])


class LayerType(ABCMeta):
    """The class of layer classes: in a later call of a layer, making one gives the first one."""

    if not TYPE_CHECKING:  # type checkers look at __init__

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            taken = inspect.signature(cls.__init__).parameters
            common = {k: kwargs[k] for k in kwargs if is_common(k) and k not in taken}
            own = {k: v for k, v in kwargs.items() if k not in common}
            construct = super().__call__

            def make() -> Any:
                layer = construct(*args, **own)
                for word, value in common.items():
                    layer.set_option(word, value)
                return layer

            return ownership.construct(cls.__name__, (args, kwargs), make)

        @property
        def __signature__(cls) -> inspect.Signature:
            signature = inspect.signature(cls.__init__)
            return signature.replace(parameters=list(signature.parameters.values())[1:])


# What every layer takes besides its own arguments, as in Keras; ROLE is a parameter's.
COMMON = ("input_shape", "trainable")
COMMON_ENDS = ("_regularizer", "_constraint")


def is_common(word: str) -> bool:
    """Whether an argument is one that every layer takes."""
    return word in COMMON or word.endswith(COMMON_ENDS)


def owned(function: Function) -> Function:
    """A layer's `__call__`, entered as a scope of names and of what is made in it."""

    @functools.wraps(function)
    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = ownership.call(self, self.name, function, *args, **kwargs)
        self._record.attributes |= {id(part): part for part in held(vars(self))}
        if self._record.made:
            _check_places(self)
        if not self._trainable:
            freeze_parameters(self)  # those that this call made
        if self._options:
            _check_roles(self)
        return result

    return run  # type: ignore[return-value]


def _check_roles(layer: Any) -> None:
    """Raise where an option is for a parameter that the layer does not have."""
    for word in layer._options:
        role = word.rpartition("_")[0]
        if role not in layer._parameters:
            raise ArgumentError(
                f"{layer.name}: {word} is for a parameter called {role}, but it has"
                f" {', '.join(layer._parameters) or 'none of its own'}",
                origin=origins.find_origin(),
            )


def _check_places(layer: Any) -> None:
    """Raise where a later call stored what an earlier one had stored elsewhere already."""
    record: ownership.Record = layer._record
    counts = Counter(id(part) for part in held(vars(layer)))
    places = {id(made.value): counts[id(made.value)] for made in record.made.values()}
    for made in record.made.values():
        count = places[id(made.value)]
        if count > 1 and count > record.places.get(id(made.value), count):
            raise ArgumentError(
                f"{record.title}: this call stored the layer of an earlier call at another place:"
                " both would have the same weights",
                operands=(("made", made.kind, made.origin),),
                origin=origins.find_origin(),
                hint="calls get the layers that the first one made: make these in __init__",
            )
    record.places = places


def kind_of(name: str) -> str:
    """The name of a class as layers are named: ResidualBlock is residual_block."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def parts_of(layer: Any) -> list[Any]:
    """The parameters and layers that a layer consists of, each once.

    Its own parameters, what its calls used in that order, then what else it made or holds. What was
    an attribute, and is none any more, has been replaced.
    """
    record: ownership.Record = layer._record
    made = [m.value for m in record.made.values()]
    holds = list(held(vars(layer)))
    gone = record.attributes.keys() - {id(part) for part in (*made, *holds)}
    used = (part for key, part in record.used.items() if key not in gone)
    rows = (layer._parameters.values(), used, made, holds)
    return list({id(part): part for row in rows for part in row}.values())


def held(value: object, depth: int = 8) -> Iterator[Any]:
    """The layers and parameters in nested lists, tuples and dicts."""
    if isinstance(value, Parameter) or isinstance(type(value), LayerType):
        yield value
    elif isinstance(value, (list, tuple, Mapping)) and depth:
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from held(inner, depth - 1)


def layers_in(layer: Any, seen: set[int]) -> Iterator[Any]:
    """A layer and all those inside it, each once."""
    seen.add(id(layer))
    yield layer
    for part in layer._parts:
        if isinstance(type(part), LayerType) and id(part) not in seen:
            yield from layers_in(part, seen)


def freeze_parameters(layer: Any) -> None:
    """Take all parameters from the optimisers."""
    for parameter in parameters_of(layer, set()):
        parameter.trainable = False


def parameters_of(layer: Any, seen: set[int]) -> Iterator[Parameter]:
    """The parameters of all parts, each once, also where layers hold each other."""
    seen.add(id(layer))
    for part in layer._parts:
        if id(part) in seen:
            continue
        if isinstance(type(part), LayerType):
            yield from parameters_of(part, seen)
            continue
        seen.add(id(part))
        found = [part] if isinstance(part, Parameter) else part.parameters
        yield from found.values() if isinstance(found, Mapping) else found
