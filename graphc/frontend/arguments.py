"""Argument validation of public functions, derived from their signatures.

A package hands its public names to `check_all`. An argument annotated as one of `KINDS` must be
of that kind; one of any type that has the usual name of an operand must be a tensor, a number or
an array. So a new function is checked by having a signature. What only the function can know
(whether an axis is there, a size positive) it checks itself.
"""

from __future__ import annotations

import functools
import inspect
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

import numpy as np

from graphc import elsewhere
from graphc import origin as origins
from graphc.errors import ArgumentError, DTypeError, GraphcError, MemoryBudgetError
from graphc.frontend.keywords import check_keywords
from graphc.frontend.lifting import promote_arguments
from graphc.frontend.symbols import check_name
from graphc.frontend.tensor import Tensor, lift
from graphc.ir import graph as graphs
from graphc.ir.dims import Poly
from graphc.ir.exchange import to_numpy
from graphc.ir.structure import flatten
from graphc.ir.types import find_dtype

Function = TypeVar("Function", bound=Callable[..., Any])
Check = Callable[[str, str, Any], Any]  # (function, argument, value) -> the value to go on with


def flag(name: str, word: str, value: Any) -> bool:
    """True or False; a number or a text is neither."""
    if not isinstance(value, (bool, np.bool_)):
        refuse(name, word, "True or False", value)
    return bool(value)


def integer(name: str, word: str, value: Any) -> int:
    """An int of at most 64 bits, also a numpy one."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        refuse(name, word, "an int", value)
    if not -(2**63) <= value <= 2**64:
        refuse(name, word, "an int of at most 64 bits", value)
    return int(value)


def number(name: str, word: str, value: Any) -> float | int:
    """A real number, not NaN."""
    real = isinstance(value, (int, float, np.integer, np.floating))
    if not real or isinstance(value, bool) or math.isnan(value):
        refuse(name, word, "a number", value)
    python: float | int = value.item() if isinstance(value, np.generic) else value
    return python


def amount(name: str, word: str, value: Any) -> float | int:
    """A number of 0 or more."""
    found = number(name, word, value)
    if found < 0:
        origin = origins.current().origin or origins.find_origin()
        raise ArgumentError(f"{name}: {word} must not be negative, got {value!r}", origin=origin)
    return found


def count(name: str, word: str, value: Any) -> int:
    """An int of 1 or more."""
    found = integer(name, word, value)
    if found < 1:
        refuse(name, word, "an int of 1 or more", value)
    return found


def text(name: str, word: str, value: Any) -> str:
    """A str."""
    if not isinstance(value, str):
        refuse(name, word, "a str", value)
    return value


def size(name: str, word: str, value: Any) -> Any:
    """A size: an int or a dim; a str names a dim."""
    return value if isinstance(value, (Poly, str)) else integer(name, word, value)


def function(name: str, word: str, value: Any) -> Any:
    """Something to call."""
    if not callable(value):
        refuse(name, word, "a function", value)
    return value


def title(name: str, word: str, value: Any) -> str:
    """A name that something can have."""
    check_name(name, value)
    return text(name, word, value)


def sequence(name: str, word: str, value: Any) -> Any:
    """A list or a tuple."""
    if not isinstance(value, (list, tuple)):
        refuse(name, word, "a list", value)
    return value


def operand(name: str, word: str, value: Any) -> Any:
    """A tensor, or a number or an array that it can be made of, as it is."""
    check_operand(name, word, value)
    return value


def tensor(name: str, word: str, value: Any) -> Tensor:
    """The same as a tensor."""
    if isinstance(value, Tensor):
        return value
    check_operand(name, word, value)
    return lift(value)


def number_or_tensor(name: str, word: str, value: Any) -> Any:
    """A number, or a tensor or what one can be made of."""
    single = isinstance(value, (int, float, np.integer, np.floating))
    return number(name, word, value) if single else tensor(name, word, value)


def signal(name: str, word: str, value: Any) -> Any:
    """An operand, or a pair (real, imaginary) of them."""
    pair = isinstance(value, (tuple, list)) and any(isinstance(v, Tensor) for v in value)
    if pair and len(value) != 2:
        refuse(name, word, "a tensor or a pair (real, imaginary)", value)
    for part in value if pair else (value,):
        check_operand(name, word, part)
    return value


def nested(name: str, word: str, value: Any) -> Any:
    """Nested tuples, lists and dicts of operands."""
    for leaf in flatten(value)[0]:
        check_operand(name, word, leaf)
    return value


def order(name: str, word: str, value: Any) -> Any:
    """The order of a norm: a number or a name."""
    return value if isinstance(value, str) else number(name, word, value)


def extent(name: str, word: str, value: Any) -> Any:
    """An int, or one for every spatial axis; None where the function has a default for it."""
    if value is None or isinstance(value, (tuple, list)):
        return value if value is None else integers(name, word, value)
    return integer(name, word, value)


def padding(name: str, word: str, value: Any) -> Any:
    """A name, an int, or (before, after) for every spatial axis."""
    if not isinstance(value, (str, int, np.integer, tuple, list)) or isinstance(value, bool):
        refuse(name, word, '"same", "valid", an int or pairs', value)
    return value


def axes(name: str, word: str, value: Any) -> Any:
    """An axis, None, or a structure of them."""
    if value is None or isinstance(value, (tuple, list, dict)):
        return value
    return integer(name, word, value)


def name_or_integer(name: str, word: str, value: Any) -> Any:
    """A str or an int."""
    return value if isinstance(value, str) else integer(name, word, value)


def integers(name: str, word: str, value: Any) -> tuple[int, ...]:
    """Several ints."""
    if not isinstance(value, (tuple, list, range)):
        refuse(name, word, "a list of ints", value)
    return tuple(integer(name, f"{word}[{i}]", v) for i, v in enumerate(value))


def pair(name: str, word: str, value: Any) -> tuple[int, ...]:
    """Two ints."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        refuse(name, word, "two ints", value)
    return integers(name, word, value)


def numbers(name: str, word: str, value: Any) -> list[float]:
    """Several numbers."""
    if not isinstance(value, (tuple, list)):
        refuse(name, word, "a list of numbers", value)
    return [number(name, f"{word}[{i}]", v) for i, v in enumerate(value)]


def tensors(name: str, word: str, value: Any) -> list[Tensor]:
    """Several tensors; one alone is a list of one."""
    if isinstance(value, Tensor):
        return [value]
    try:
        listed = list(value)
    except TypeError:
        listed = [value]
    if not all(isinstance(v, Tensor) for v in listed):
        refuse(name, word, "tensors", value)
    return listed


def tensors_or_mapping(name: str, word: str, value: Any) -> Any:
    """Several tensors, or a dict with tensors as keys."""
    return (mapping if isinstance(value, Mapping) else tensors)(name, word, value)


def mapping(name: str, word: str, value: Any) -> Any:
    """A dict or the like, whose keys are tensors."""
    if not isinstance(value, Mapping) or not all(isinstance(key, Tensor) for key in value):
        refuse(name, word, "a dict with tensors as keys", value)
    return value


def path(name: str, word: str, value: Any) -> Any:
    """The name of a file."""
    if not isinstance(value, (str, os.PathLike)) or not os.fspath(value):
        refuse(name, word, "the path of a file", value)
    return value


def symbol(name: str, word: str, value: Any) -> Tensor:
    """A tensor and nothing else, as for differentiation."""
    if not isinstance(value, Tensor):
        refuse(name, word, "a tensor", value)
    return value


KINDS: dict[str, Check] = {
    "bool": flag, "int": integer, "float": number, "str": text, "Size": size, "Tensor": tensor,
    "Callable[..., Any]": function, "Callable[[], Any]": function, "Callable[[Any], Any]": function,
    "Callable[[Any, Any], tuple[Any, Any]]": function, "init.Initializer": function,
    "Sequence[Any]": sequence, "Sequence[TensorLike]": sequence, "Sequence[int]": integers,
    "Sizes": integers, "tuple[int, ...]": integers,
    "tuple[int, int]": pair, "Sequence[float]": numbers, "Iterable[Tensor]": tensors,
    "Parameter | Iterable[Parameter]": tensors,
    "Iterable[Parameter] | Mapping[Parameter, Tensor]": tensors_or_mapping,
    "Mapping[Tensor, Any]": mapping, "str | os.PathLike[str]": path, "Path": path,
    "Extent": extent, "Padding": padding, "Axes": axes, "str | int": name_or_integer,
    "Order": order, "Nested": nested, "float | Tensor": number_or_tensor, "Signal": signal,
}  # fmt: skip
OPERANDS = {
    "x", "y", "a", "b", "q", "w", "x1", "x2", "xs", "indices", "condition", "updates", "value",
    "values", "logits", "labels", "target", "min", "max", "fill_value", "scale", "zero_point",
    "sorter", "h", "k", "v", "kernel", "recurrent_kernel", "bias", "mask",
}  # fmt: skip
AMOUNTS = {"epsilon", "std", "weight", "rate", "margin"}  # numbers that are never negative
COUNTS = {"filters", "units", "heads", "classes"}  # ints that are at least 1

LIFTING = (operand, tensor, number_or_tensor)  # kinds that arrays may be

CALLED = {"getitem": "index"}  # what errors call a function


def kind_of(parameter: inspect.Parameter) -> Check | None:
    """The validator of an argument; None where the function validates it itself."""
    annotation = str(parameter.annotation).removesuffix(" | None")
    if parameter.name.startswith("axis"):
        return None  # `one_axis` knows the rank
    if annotation == "str" and parameter.name == "name":
        return title
    if parameter.name == "loss":
        return symbol
    if annotation == "float" and parameter.name in AMOUNTS:
        return amount
    if annotation == "int" and parameter.name in COUNTS:
        return count
    if annotation in ("Any", "TensorLike"):
        return operand if parameter.name in OPERANDS else None
    return KINDS.get(annotation)


def check_operands(name: str, values: Sequence[Any]) -> None:
    """Raise unless all are tensors, or numbers and arrays of dtypes that tensors have."""
    others = [v for v in values if isinstance(v, Tensor)]
    for i, value in enumerate(values):
        check_operand(name, f"input {i}", value, others)


def check_operand(name: str, word: str, value: Any, others: Sequence[Tensor] = ()) -> None:
    """Raise unless a value is a tensor, or a number or an array of a dtype that tensors have."""
    if isinstance(value, (Tensor, int, float, Poly)):
        return
    try:
        dtype = to_numpy(value).dtype
    except ValueError:  # rows of different lengths
        dtype = np.dtype(object)
    if find_dtype(dtype) is None:
        kind = "" if dtype.kind == "O" else f" (dtype {dtype})"
        raise DTypeError(
            f"{name}: cannot make a tensor of {value!r:.60}{kind} ({word})",
            operands=graphs.describe([t.node for t in others]),
            origin=origins.current().origin or origins.find_origin(),
        )


def is_optional(parameter: inspect.Parameter) -> bool:
    """Whether an argument may be None."""
    return parameter.default is None or str(parameter.annotation).endswith(" | None")


def refuse(name: str, word: str, wanted: str, value: Any) -> NoReturn:
    """Raise: the argument is of another kind."""
    raise ArgumentError(
        f"{name}: {word} must be {wanted}, got {value!r:.60}",
        origin=origins.current().origin or origins.find_origin(),
    )


def checked(function: Function, home: str | None = None, names: bool = False) -> Function:
    """Wrap a function in checks of its arguments; `__init__` goes by the name of its class.

    `home` is the module whose attribute the result is. With `names` every error says the name of
    the function; one that calls functions of the user's leaves their errors alone.
    """

    @functools.cache
    def kinds() -> tuple[list[Any], Any, dict[str, Any], Any]:
        parameters = inspect.signature(function).parameters
        found = list(parameters.values())
        rows = [(p.name, kind_of(p), is_optional(p), i) for i, p in enumerate(found)]
        rest = next((r for r, p in zip(rows, found) if p.kind is p.VAR_POSITIONAL), None)
        ordered = [r for r, p in zip(rows, found) if p.kind is p.POSITIONAL_OR_KEYWORD]
        return ordered, rest, {row[0]: row for row in rows}, parameters

    @functools.wraps(function)
    def call(*args: Any, **named: Any) -> Any:
        ordered, rest, all_named, parameters = kinds()
        name = function.__name__
        name = type(args[0]).__name__ if name == "__init__" else name
        if not named.keys() <= all_named.keys():
            check_keywords(name, parameters, named)
        try:
            rows = [ordered[i] if i < len(ordered) else rest for i in range(len(args))]
            rows += [all_named.get(word) for word in named]
            given = (*args, *named.values())
            values = [_check(name, row, value) for row, value in zip(rows, given)]
            values = promote_arguments(name, values, (row and row[1] in LIFTING for row in rows))
            return function(*values[: len(args)], **dict(zip(named, values[len(args) :])))
        except GraphcError as error:  # of something that this function is made of
            if names:
                complete(error, name, (*args, *named.values()))
            raise
        except MemoryError as error:
            raise MemoryBudgetError(f"{name}: {error}", origin=origins.find_origin()) from error

    call.__module__ = home or function.__module__
    return call  # type: ignore[return-value]


def complete(error: GraphcError, name: str, values: Iterable[Any]) -> None:
    """Give an error the name and the operands of the function that it comes out of."""
    if CALLED.get(name, name) not in error.message:
        error.message = f"{name}: {error.message}"
    if not error.operands:
        error.operands = graphs.describe([v.node for v in values if isinstance(v, Tensor)])


def _check(name: str, row: Any, value: Any) -> Any:
    if row is None or (type(value) is Tensor and row[1] in (operand, tensor, None)):
        return value
    word, kind, optional, place = row
    if kind is None or (value is None and optional):
        return value
    return kind(name, f"input {place}" if kind in (operand, tensor) else word, value)


def _missing(module: str, names: list[str], name: str) -> NoReturn:
    raise elsewhere.missing(module, name, names)


def check_all(home: dict[str, Any], names: Iterable[str]) -> None:
    """Wrap the functions and constructors of a package in argument checks.

    Whoever asks it for a name that it does not have is told which one is meant.
    """
    names = list(names)
    home.setdefault("__getattr__", functools.partial(_missing, home["__name__"], names))
    for name in names:
        value = home[name]
        if not isinstance(value, type):
            home[name] = checked(value, home=home["__name__"], names=True)
            continue
        for kind in value.__mro__:
            made = vars(kind).get("__init__")
            if kind.__module__.startswith("graphc") and not hasattr(made, "__wrapped__") and made:
                kind.__init__ = checked(made, names=True)  # type: ignore[misc]
