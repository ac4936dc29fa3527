"""Parameters in safetensors files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from graphc import origin as origins
from graphc.errors import (
    ArgumentError,
    DTypeError,
    FormatError,
    GraphcError,
    NameError,
    ShapeError,
)  # fmt: skip
from graphc.files import write_whole
from graphc.frontend.parameter import Parameter, parameters_held
from graphc.ir.types import Array, find_dtype
from graphc.origin import Origin
from graphc.train.match import match_names

_DTYPES = {
    "BOOL": "bool", "I8": "int8", "I16": "int16", "I32": "int32", "I64": "int64", "U8": "uint8",
    "U16": "uint16", "U32": "uint32", "U64": "uint64", "F16": "float16", "BF16": "bfloat16",
    "F32": "float32", "F64": "float64",
}  # fmt: skip


def save(path: str | os.PathLike[str], what: Any) -> None:
    """Write parameters to a safetensors file, atomically: the old file or the whole new one.

    `what` is a collection of parameters, a mapping from names to parameters or arrays, or
    anything with `.parameters` (a compiled function, a layer).
    """
    write(path, what, {})


def write(
    path: str | os.PathLike[str],
    what: Any,
    notes: Mapping[str, str],
    more: Mapping[str, Array] | None = None,
) -> None:
    """`save` with notes in the file's metadata, and more arrays."""
    from safetensors.numpy import save as serialize

    if isinstance(what, (list, tuple)) or any(not x._record.whole for x in _layers(what, set())):
        _check_some(named(what), "save: there are no parameters yet")
    content = named(what) | dict(more or {})
    with parameters_held(
        [v for v in content.values() if isinstance(v, Parameter)]
    ):  # all of one moment
        arrays = {
            name: np.array(value.memory if isinstance(value, Parameter) else value, order="C")
            for name, value in content.items()
        }
    write_whole(Path(path), serialize(arrays, {"format": "graphc", **notes}))


def read_notes(path: str | os.PathLike[str]) -> dict[str, str]:
    """The notes that `write` left; raises FormatError when the file is no safetensors file."""
    read(os.fspath(path))  # checks the whole file
    content = Path(path).read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return dict(header.get("__metadata__", {}))


def load(path: str | os.PathLike[str], into: Any = None) -> dict[str, Array]:
    """Read a safetensors file as a dict of arrays, and set parameters `into` from it.

    `into` is what `save` takes. Every name must be in the file with the right shape and dtype;
    otherwise NameError, ShapeError or DTypeError, and nothing is set. More in the file is fine.
    Where names are missing, those that nobody gave (dense_2, adam_1) go by their order: a model
    that is built a second time takes the file of the first. A layer or model that was not called
    yet has no parameters: it takes them from the file at the end of its first call, with the
    same checks.
    """
    arrays = read(os.fspath(path))
    if into is not None:
        settle(os.fspath(path), arrays, into)
    return arrays


def settle(path: str, arrays: Mapping[str, Array], into: Any) -> None:
    """Set parameters from the arrays of a file, now or when they are made."""
    claim = Claim(path, arrays, origins.find_origin())
    layers = _layers(into, set())
    fresh = [layer for layer in layers if not layer._record.whole]
    if fresh:
        claim.settle(into, early=True)
    else:
        _check_some(named(into), "load: there are no parameters to set")
        claim.settle(into)
    for layer in layers:
        layer._record.pending[:] = [claim] if layer in fresh else []


@dataclass(eq=False)
class Claim:
    """What a file has for parameters, some of which may not have been made yet."""

    path: str
    arrays: Mapping[str, Array]
    origin: Origin | None
    versions: dict[int, int] = field(default_factory=dict)  # of the parameters that were set

    def __call__(self, owner: Any) -> None:
        """Set the parameters that the first call of a layer has made."""
        try:
            self.settle(owner)
        except GraphcError as error:
            error.operands = (*error.operands, ("loaded", f"into {owner!r}", self.origin))
            raise

    def settle(self, into: Any, early: bool = False) -> None:
        """Set all parameters, or none; `early` those that are known already.

        What has been set from this file and changed since (it was trained) stays.
        """
        parameters = named(into)
        places = match_names(parameters, self.arrays)
        if not early:
            _check_names(self.path, parameters, places, self.arrays)
        chosen = [(n, p) for n, p in parameters.items() if n in places]
        for name, parameter in chosen:
            _check(self.path, name, parameter, self.arrays[places[name]])
        for name, parameter in chosen:
            version = int(parameter.version[0])
            if self.versions.get(id(parameter), version) == version:
                parameter.value = self.arrays[places[name]]
                self.versions[id(parameter)] = int(parameter.version[0])


def _layers(what: Any, seen: set[int]) -> list[Any]:
    """A layer and those in it; nothing for anything else."""
    if not hasattr(what, "_record") or id(what) in seen:
        return []
    seen.add(id(what))
    return [what, *(layer for part in what._parts for layer in _layers(part, seen))]


def _check_some(parameters: Mapping[str, Any], text: str) -> None:
    if not parameters:
        raise ArgumentError(
            text,
            origin=origins.find_origin(),
            hint="layers make theirs at their first call, optimisers in minimize",
        )


def named(what: Any) -> dict[str, Any]:
    """Parameters by name; raises NameError where two have one name."""
    if isinstance(what, Mapping):
        return dict(what)
    found = getattr(what, "parameters", what)
    if isinstance(found, Mapping):
        return dict(found)
    if isinstance(found, Parameter):
        found = [found]
    if not isinstance(found, Iterable) or isinstance(found, np.ndarray):
        raise ArgumentError(f"save and load take parameters or what has them, got {what!r}")
    result: dict[str, Parameter] = {}
    for parameter in found:
        if not isinstance(parameter, Parameter):
            raise ArgumentError(f"save and load take parameters, got {parameter!r}")
        if result.setdefault(parameter.name, parameter) is not parameter:
            raise NameError(f"two parameters are called {parameter.name}")
    return result


def _check_names(
    path: str, wanted: Mapping[str, Any], places: Mapping[str, str], arrays: Mapping[str, Array]
) -> None:
    for name, parameter in wanted.items():
        if not isinstance(parameter, Parameter):
            raise ArgumentError(f"load: {name} is no parameter but {parameter!r}")
    missing = [name for name in wanted if name not in places]
    if missing:
        taken = set(places.values())
        rest = [name for name in arrays if name not in taken]
        raise NameError(
            f"{path}: no {missing[0]} in the file",
            hint=f"it has {_listing(rest)}; wanted are {_listing(missing)}",
        )


def _listing(names: list[str]) -> str:
    more = f", ... ({len(names)} in all)" if len(names) > 8 else ""
    return (", ".join(names[:8]) or "nothing") + more


def _check(path: str, name: str, parameter: Parameter, array: Array) -> None:
    if array.shape != parameter.shape:
        raise ShapeError(f"{path}: {name} has shape {array.shape}, not {parameter.shape}")
    if find_dtype(array.dtype) != parameter.dtype:
        raise DTypeError(f"{path}: {name} is {array.dtype}, not {parameter.dtype.name}")


def read(path: str) -> dict[str, Array]:
    """The arrays of a file; raises FormatError where it is no safetensors file."""
    import safetensors

    content = Path(path).read_bytes()
    try:
        entries = safetensors.deserialize(content)  # type: ignore[no-untyped-call]
    except safetensors.SafetensorError as error:
        raise FormatError(f"{path}: not a safetensors file: {error}") from error
    return {name: _array(path, name, entry) for name, entry in entries}


def _array(path: str, name: str, entry: Mapping[str, Any]) -> Array:
    dtype = find_dtype(_DTYPES.get(entry["dtype"], ""))
    if dtype is None:
        raise FormatError(f"{path}: {name} has dtype {entry['dtype']}, which graphc does not have")
    flat: Array = np.frombuffer(bytes(entry["data"]), dtype.numpy)
    return flat.reshape(entry["shape"]).copy()
