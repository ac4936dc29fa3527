"""The structs of types.ll in ctypes, and the symbols that native code calls."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from ctypes import c_char, c_int32, c_int64, c_void_p
from functools import cache
from typing import Any

# Names of CPython's C API that entry.ll, result.ll and pool.ll call.
PYTHON_SYMBOLS = (
    "PyBuffer_Release", "PyDict_New", "PyDict_SetItem", "PyErr_CheckSignals",
    "PyErr_Clear", "PyErr_Fetch", "PyErr_Restore", "PyEval_RestoreThread", "PyEval_SaveThread",
    "PyGILState_Ensure", "PyGILState_Release", "PyList_New", "PyList_SetItem", "PyLong_AsVoidPtr",
    "PyObject_CallNoArgs", "PyObject_CallOneArg", "PyObject_CheckBuffer", "PyObject_GetBuffer",
    "PyObject_GetItem", "PyObject_Vectorcall", "PyTuple_GetItem", "PyTuple_New",
    "PyTuple_SetItem", "PyTuple_Size", "Py_DecRef", "Py_IncRef",
)  # fmt: skip


class PoolStruct(ctypes.Structure):
    """The thread pool: idle workers."""

    _fields_ = (
        ("busy", c_int32), ("stop", c_int32), ("workers", c_int64), ("wanted", c_int64),
        ("patience", c_int64), ("slots", c_void_p),
    )  # fmt: skip


class SlotStruct(ctypes.Structure):
    """The mailbox of a worker."""

    _fields_ = (
        ("word", c_int32), ("gap", c_int32), ("rouse", c_void_p), ("body", c_void_p),
        ("ctx", c_void_p), ("threads", c_int64), ("rest", c_char * 88),
    )  # fmt: skip


class GuardStruct(ctypes.Structure):
    """A lock that native code takes without waiting."""

    _fields_ = (("word", c_int32), ("held", c_int32), ("rouse", c_void_p))


class FunctionStruct(ctypes.Structure):
    """What an entry needs to know."""

    _fields_ = (
        ("first", c_void_p), ("version", c_int64), ("arguments", c_int64), ("slow", c_void_p),
        ("pool", c_void_p), ("guards", c_int64), ("guard_table", c_void_p),
        ("empty", c_void_p), ("none", c_void_p), ("names", c_void_p), ("buckets", c_void_p),
    )  # fmt: skip


class VariantStruct(ctypes.Structure):
    """One compiled body with the types that it takes."""

    _fields_ = (
        ("next", c_void_p), ("body", c_void_p), ("ctx", c_void_p), ("team", c_void_p),
        ("threads", c_int64), ("flags", c_int64), ("inputs", c_void_p), ("outputs", c_int64),
        ("output_table", c_void_p), ("structure", c_int64), ("extra", c_void_p),
        ("random", c_void_p), ("watches", c_int64), ("watch_table", c_void_p),
        ("bumps", c_int64), ("bump_table", c_void_p), ("arguments", c_int64), ("used", c_int64),
    )  # fmt: skip


class InputStruct(ctypes.Structure):
    """What an argument must be."""

    _fields_ = (
        ("slot", c_int64), ("kind", c_int64), ("itemsize", c_int64), ("axes", c_int64),
        ("shape", c_void_p),
    )  # fmt: skip


class OutputStruct(ctypes.Structure):
    """Where a result comes from."""

    _fields_ = (
        ("slot", c_int64), ("scalar", c_void_p), ("make", c_void_p), ("storage", c_void_p),
    )  # fmt: skip


class WatchStruct(ctypes.Structure):
    """A watched version number."""

    _fields_ = (("where", c_void_p), ("seen", c_int64))


class EpochStruct(ctypes.Structure):
    """Many steps over rows of arrays."""

    _fields_ = (
        ("variant", c_void_p), ("order", c_void_p), ("batch", c_int64), ("next", c_int64),
        ("end", c_int64), ("sources", c_int64), ("source_table", c_void_p),
        ("sinks", c_int64), ("sink_table", c_void_p), ("state", c_int32), ("gap", c_int32),
    )  # fmt: skip


class SourceStruct(ctypes.Structure):
    """Rows to gather."""

    _fields_ = (
        ("slot", c_int64), ("base", c_void_p), ("bytes", c_int64), ("gathered", c_void_p),
    )  # fmt: skip


class SinkStruct(ctypes.Structure):
    """Where an output of every step goes."""

    _fields_ = (("slot", c_int64), ("base", c_void_p), ("bytes", c_int64))


class MethodDef(ctypes.Structure):
    """CPython's PyMethodDef (stable ABI)."""

    _fields_ = (
        ("name", ctypes.c_char_p), ("method", c_void_p), ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )  # fmt: skip


# Flags of a variant.
RELEASE_GIL, WAIT_FOR_SLEEPERS = 1, 2

KINDS = {"f": 1, "i": 2, "u": 3, "b": 4}
STRUCTURES = {"none": 0, "single": 1, "tuple": 2, "list": 3, "dict": 4, "custom": 5}


Pointers = ctypes.Array[c_void_p]


def address(table: ctypes.Structure | ctypes.Array[Any]) -> int:
    """Where a table lies; whoever stores the number keeps the table alive."""
    return ctypes.addressof(table)


def pointers(addresses: Sequence[int]) -> Pointers:
    """An array of pointers."""
    return (c_void_p * len(addresses))(*addresses)


@cache
def yield_address() -> int:
    """The system's function that leaves the processor to others."""
    if sys.platform == "win32":
        return _address_of(ctypes.WinDLL("kernel32").SwitchToThread)
    return _address_of(ctypes.CDLL(None).sched_yield)


@cache
def python_addresses() -> dict[str, int] | None:
    """Where CPython's functions are; None where native code cannot call them."""
    if sys.implementation.name != "cpython" or ctypes.sizeof(c_void_p) != 8:
        return None
    try:
        return {name: _address_of(getattr(ctypes.pythonapi, name)) for name in PYTHON_SYMBOLS}
    except AttributeError:
        return None


def _address_of(function: ctypes._NamedFuncPointer) -> int:
    result = ctypes.cast(function, c_void_p).value
    assert result is not None
    return result
