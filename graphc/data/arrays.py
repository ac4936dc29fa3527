"""Read arrays by name: NumPy's .npz, MATLAB's .mat."""

from __future__ import annotations

import os
import zipfile
from typing import Any

import numpy as np

from graphc.errors import FormatError, UnsupportedError
from graphc.installed import install_hint
from graphc.ir.types import Array


def npz(path: str | os.PathLike[str]) -> dict[str, Array]:
    """Read the arrays of an .npz file by their names; nothing in it is ever unpickled.

    Raises FormatError when the file is no archive of arrays, or an array holds Python objects.
    """
    name = os.fspath(path)
    try:
        with zipfile.ZipFile(name) as archive:
            members = [m for m in archive.namelist() if m.endswith(".npy")]
            return {m.removesuffix(".npy"): _member(name, archive, m) for m in members}
    except zipfile.BadZipFile as error:
        raise FormatError(f"{name}: not an .npz file: {error}") from error


def _member(name: str, archive: zipfile.ZipFile, member: str) -> Array:
    with archive.open(member) as stream:
        try:
            array: Array = np.lib.format.read_array(stream, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise FormatError(f"{name}: {member}: {error}") from error
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def mat(path: str | os.PathLike[str]) -> dict[str, Array]:
    """Read the arrays of a MATLAB file (up to version 7.2) by their names; needs SciPy.

    Sparse matrices become dense; structs, cells and functions are left out. A vector is a matrix
    with one row or column, as in MATLAB.
    """
    name = os.fspath(path)
    try:
        from scipy import io, sparse
    except ImportError as error:
        raise UnsupportedError(
            f"data.mat needs SciPy: {error}", hint=install_hint("data", "scipy")
        ) from error
    try:
        found: dict[str, Any] = io.loadmat(name, appendmat=False)
    except NotImplementedError as error:
        raise UnsupportedError(
            f"{name}: MATLAB's version 7.3 is HDF5", hint="save it again: save -v7 FILE"
        ) from error
    except OSError:
        raise
    except Exception as error:  # whatever SciPy's reader trips over
        raise FormatError(f"{name}: not a MATLAB file: {error}") from error
    dense = {n: v.toarray() if sparse.issparse(v) else v for n, v in found.items()}
    return {
        n: v for n, v in dense.items()
        if isinstance(v, np.ndarray) and v.dtype.kind in "biufcU" and not n.startswith("__")
    }  # fmt: skip
