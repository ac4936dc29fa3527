"""Arrays in a file of their own, next to that of the model."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, numpy_helper

from graphc.ir.types import Array
from graphc.onnx.proto import element_number

MIN_EXTERNAL_BYTES = 1024  # bytes; shapes and numbers stay where readers expect them
PAGE_BYTES = 4096  # where arrays begin, so that readers can map them into memory


class DataFile:
    """Puts large arrays one after the other into a file that the model names."""

    def __init__(self, file: io.BufferedIOBase, name: str) -> None:
        self.file, self.name, self.end = file, name, 0

    def place(self, array: Array, name: str) -> TensorProto:
        """A tensor that says where in the file its elements are; a small one holds them."""
        if array.nbytes < MIN_EXTERNAL_BYTES:
            return numpy_helper.from_array(array, name)
        start = -(-self.end // PAGE_BYTES) * PAGE_BYTES
        self.file.write(bytes(start - self.end))
        self.file.write(np.ascontiguousarray(array).view(np.uint8).data)
        self.end = start + array.nbytes
        tensor = TensorProto(name=name, data_type=element_number(array.dtype), dims=array.shape)
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", self.name), ("offset", start), ("length", array.nbytes)):
            tensor.external_data.add(key=key, value=str(value))
        return tensor


def write_apart(path: Path, assemble: Callable[[Any], ModelProto]) -> None:
    """Write a model to PATH and its arrays to PATH.data; both are moved to their places whole."""
    name = f"{path.name}.data"
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
            with open(Path(folder, name), "wb") as file:
                model = assemble(DataFile(file, name).place)
            Path(folder, path.name).write_bytes(model.SerializeToString())
            for part in (name, path.name):
                os.replace(Path(folder, part), path.parent / part)
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None
