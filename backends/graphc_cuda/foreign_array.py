"""Arrays of other libraries that lie on a GPU: where, of which type, and on whose stream."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.ir.exchange import DLTensor

_CUDA, _CUDA_MANAGED = 2, 13  # kinds of devices in DLPack
_KINDS = {0: "int", 1: "uint", 2: "float", 4: "bfloat", 6: "bool"}


@dataclass(frozen=True)
class ForeignArray:
    """A C-ordered array on a device.

    `stream` is where it is computed (a handle as a number), None: nothing has to be waited for.
    `owner` keeps it alive.
    """

    address: int
    shape: tuple[int, ...]
    dtype: str
    stream: int | None
    owner: object

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return _count(self.shape) * _itemsize(self.dtype)


def foreign_array(value: Any, stream: int) -> ForeignArray | None:
    """What lies on a GPU in C order; None for everything else.

    `stream` is told to libraries that can let it wait by themselves.
    """
    interface = getattr(value, "__cuda_array_interface__", None)
    if isinstance(interface, Mapping):
        return _from_interface(interface, value)
    if hasattr(value, "__dlpack_device__") and value.__dlpack_device__()[0] in (
        _CUDA, _CUDA_MANAGED,
    ):  # fmt: skip
        return _from_dlpack(value.__dlpack__(stream=stream))
    return None


def _from_interface(interface: Mapping[str, Any], owner: object) -> ForeignArray | None:
    shape = tuple(int(n) for n in interface["shape"])
    text = str(interface["typestr"])
    if text[0] == ">" or text[1] not in "biuf":
        return None
    words = {"b": "bool", "i": "int", "u": "uint", "f": "float"}
    bits = 8 * int(text[2:])
    dtype = "bool" if text[1] == "b" else f"{words[text[1]]}{bits}"
    strides = interface.get("strides")
    if strides is not None and not _is_dense(shape, tuple(strides), bits // 8):
        return None
    address = int(interface["data"][0] or 0)
    return ForeignArray(address, shape, dtype, interface.get("stream"), owner)


def _from_dlpack(capsule: object) -> ForeignArray | None:
    """The capsule stays as it is: it gives the array back when nobody needs it any more."""
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    tensor = DLTensor.from_address(pointer(capsule, b"dltensor"))
    if tensor.lanes != 1 or tensor.code not in _KINDS:
        return None
    shape = tuple(tensor.shape[i] for i in range(tensor.ndim))
    kind = _KINDS[tensor.code]
    dtype = "bool" if kind == "bool" else f"{kind}{tensor.bits}"
    if tensor.strides and not _is_dense(shape, tuple(tensor.strides[i] for i in range(len(shape)))):
        return None
    return ForeignArray((tensor.data or 0) + tensor.offset, shape, dtype, None, capsule)


def _is_dense(shape: tuple[int, ...], strides: tuple[int, ...], unit: int = 1) -> bool:
    """Whether elements follow each other in C order."""
    if 0 in shape:
        return True
    for length, stride in zip(reversed(shape), reversed(strides)):
        if length > 1 and stride != unit:
            return False
        unit *= length
    return True


def _count(shape: tuple[int, ...]) -> int:
    found = 1
    for length in shape:
        found *= length
    return found


def _itemsize(dtype: str) -> int:
    return 1 if dtype == "bool" else int(dtype.lstrip("abcdefghijklmnopqrstuvwxyz")) // 8


def foreign_type(value: Any) -> tuple[tuple[int, ...], str] | None:
    """Shape and dtype of what says that it lies on a GPU; None for everything else."""
    if isinstance(value, np.ndarray):
        return None
    if hasattr(value, "__dlpack_device__"):
        if value.__dlpack_device__()[0] not in (_CUDA, _CUDA_MANAGED):
            return None
    elif not hasattr(value, "__cuda_array_interface__"):
        return None
    if not hasattr(value, "dtype"):
        interface = value.__cuda_array_interface__
        return tuple(interface["shape"]), np.dtype(interface["typestr"]).name
    return tuple(int(n) for n in value.shape), str(value.dtype).rpartition(".")[2]
