"""Read the IDX format of MNIST and its relatives, plain or gzipped."""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from pathlib import Path

import numpy as np

from graphc.data.digests import verify_set
from graphc.data.split import Part
from graphc.errors import FormatError
from graphc.ir.types import Array

_GZIP = b"\x1f\x8b"
_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def idx(path: str | os.PathLike[str]) -> Array:
    """Read an .idx or .idx.gz file as an array in native byte order.

    Raises FormatError when the file is truncated, too long or something else altogether; OSError
    when it cannot be read.
    """
    name = os.fspath(path)
    content = _content(name)
    if len(content) < 4 or content[0] or content[1] or content[2] not in _DTYPES or not content[3]:
        start = content[:4].hex(" ") or "nothing"
        raise FormatError(
            f"{name}: not an IDX file: it starts with {start}",
            hint="an IDX file starts with 00 00, a type (08 09 0b 0c 0d 0e) and a number of axes",
        )
    dtype, ndim = np.dtype(_DTYPES[content[2]]), content[3]
    header = 4 + 4 * ndim
    if len(content) < header:
        raise FormatError(f"{name}: truncated: {len(content)} bytes, the header alone has {header}")
    shape = struct.unpack(f">{ndim}I", content[4:header])
    wanted = header + math.prod(shape) * dtype.itemsize
    if len(content) != wanted:
        problem = "truncated" if len(content) < wanted else "too long"
        raise FormatError(
            f"{name}: {problem}: {len(content)} bytes, {dtype.name}{list(shape)} needs {wanted}"
        )
    array = np.frombuffer(content, dtype, offset=header).reshape(shape)
    return array.astype(dtype.newbyteorder("="))


def _content(name: str) -> bytes:
    content = Path(name).read_bytes()
    if not content.startswith(_GZIP):
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FormatError(f"{name}: broken gzip data: {error}") from error


def mnist(directory: str | os.PathLike[str], verify: bool = False) -> tuple[Part, Part]:
    """Return ((x_train, y_train), (x_test, y_test)) from a directory with MNIST's four IDX files.

    x is uint8 of shape (n, 28, 28), y int32. The files are train-images-idx3-ubyte,
    train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, or these with .gz.
    With `verify` a FormatError says where they are not MNIST's, by their SHA-256 digests.
    """
    return _both("MNIST", directory, verify)


def fashion_mnist(directory: str | os.PathLike[str], verify: bool = False) -> tuple[Part, Part]:
    """Return ((x_train, y_train), (x_test, y_test)) of Fashion-MNIST, whose files are as MNIST's.

    See `mnist`.
    """
    return _both("Fashion-MNIST", directory, verify)


def _both(name: str, directory: str | os.PathLike[str], verify: bool) -> tuple[Part, Part]:
    parts = _part(directory, "train"), _part(directory, "t10k")
    if verify:
        verify_set(name, directory, parts)
    return parts


def _part(directory: str | os.PathLike[str], name: str) -> Part:
    images = idx(_find(directory, f"{name}-images-idx3-ubyte"))
    labels = idx(_find(directory, f"{name}-labels-idx1-ubyte"))
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
        raise FormatError(
            f"{os.fspath(directory)}: {name} images {images.shape} and labels {labels.shape}"
            " do not belong together"
        )
    return images, labels.astype(np.int32)


def _find(directory: str | os.PathLike[str], name: str) -> Path:
    for candidate in (Path(directory, name + ".gz"), Path(directory, name)):
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(f"{os.fspath(directory)} holds neither {name}.gz nor {name}")
