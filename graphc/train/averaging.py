"""The mean of several files of parameters: a checkpoint ensemble in one model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc import origin as origins
from graphc.errors import ArgumentError, NameError, ShapeError
from graphc.ir.types import Array, find_dtype
from graphc.train import files

Path = str | os.PathLike[str]


def average_checkpoints(paths: Sequence[Path], into: Any = None) -> dict[str, Array]:
    """Return the mean of files that `save` or `Checkpoint` wrote, and set parameters `into` to it.

    A model with the mean of its last few parameters is often better than with any of them (Izmailov
    et al. 2018). Floats are averaged in float64; other arrays are those of the last file. The
    files must have the same names and shapes. `into` is as in `load`.
    """
    if (
        not isinstance(paths, (list, tuple))
        or not paths
        or not all(isinstance(path, (str, os.PathLike)) for path in paths)
    ):
        raise ArgumentError(
            f"average_checkpoints: needs a list of paths, got {paths!r}",
            origin=origins.find_origin(),
            hint='sorted(pathlib.Path("runs").glob("*.safetensors"))[-5:] are the last five',
        )
    names = [os.fspath(path) for path in paths]
    sums: dict[str, Array] = {}
    last: dict[str, Array] = {}
    for name in names:
        last = files.read(name)
        if sums:
            _check_same(names[0], sums, name, last)
        for key, array in last.items():
            sums[key] = sums.get(key, 0.0) + _wide(array)
    found = {
        key: (sums[key] / len(names)).astype(array.dtype) if _is_float(array) else array
        for key, array in last.items()
    }
    if into is not None:
        files.settle(f"the mean of {len(names)} files up to {names[-1]}", found, into)
    return found


def _is_float(array: Array) -> bool:
    dtype = find_dtype(array.dtype)
    return dtype is not None and dtype.is_float


def _wide(array: Array) -> Array:
    return array.astype(np.float64) if _is_float(array) else np.zeros(array.shape)


def _check_same(first: str, sums: dict[str, Array], name: str, arrays: dict[str, Array]) -> None:
    """Raise unless two files hold the same parameters."""
    if sums.keys() != arrays.keys():
        other = sorted(sums.keys() ^ arrays.keys())[0]
        holder, lacking = (first, name) if other in sums else (name, first)
        raise NameError(
            f"average_checkpoints: {holder} has {other}, {lacking} has not",
            origin=origins.find_origin(),
        )
    for key, array in arrays.items():
        if array.shape != sums[key].shape:
            raise ShapeError(
                f"average_checkpoints: {key} is {sums[key].shape} in {first}, {array.shape} in"
                f" {name}",
                origin=origins.find_origin(),
            )
