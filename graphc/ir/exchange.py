"""Convert arrays of other libraries to numpy, by the buffer protocol or DLPack."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from graphc.ir.types import bfloat16

CPU, BFLOAT = 1, 4  # codes of DLPack


class DLTensor(ctypes.Structure):
    """DLPack's array, the first member of what a capsule holds; strides count elements."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device", ctypes.c_int32),
        ("device_number", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("offset", ctypes.c_uint64),
    )


def to_numpy(value: Any) -> Any:
    """An array of anything that has numbers; numpy's errors for what has none."""
    if isinstance(value, np.ndarray) or not hasattr(value, "__dlpack__"):
        return np.asarray(value)
    try:
        return np.from_dlpack(value)
    except (RuntimeError, BufferError, TypeError):
        array = _of_bfloat16(value)
        if array is None:
            raise
        return array


def _of_bfloat16(value: Any) -> Any:
    """A copy of a bfloat16 array, which numpy does not take; None of any other."""
    try:
        capsule = value.__dlpack__()
    except Exception:  # whatever the other library raises: numpy's error was the first
        return None
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    address = pointer(capsule, b"dltensor")
    tensor = DLTensor.from_address(address or 0)
    if (tensor.device, tensor.code, tensor.bits, tensor.lanes) != (CPU, BFLOAT, 16, 1):
        return None
    shape = tuple(tensor.shape[i] for i in range(tensor.ndim))
    if 0 in shape:
        return np.empty(shape, bfloat16.numpy)
    steps = np.cumprod((1, *shape[:0:-1]))[::-1] if shape else ()
    strides = [int(tensor.strides[i] if tensor.strides else s) for i, s in enumerate(steps)]
    count = 1 + sum((n - 1) * s for n, s in zip(shape, strides))
    words = (ctypes.c_uint16 * count).from_address(int(tensor.data or 0) + tensor.offset)
    flat = np.frombuffer(words, np.uint16)
    view = np.lib.stride_tricks.as_strided(flat, shape, [2 * s for s in strides])
    return view.copy().view(bfloat16.numpy)  # the capsule frees what it lends
