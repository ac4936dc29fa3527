"""The Python callable in front of a compiled function: an emitted C-level function."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import c_void_p
from typing import Any

from graphc_llvm.runtime import structs

_FASTCALL_WITH_KEYWORDS = 0x80 | 0x02


def make_entry(
    code: int, name: str, table: structs.FunctionStruct, *alive: object
) -> Callable[..., Any]:
    """A built-in function that runs the entry at `code` on a table; it keeps `alive` alive."""
    method = structs.MethodDef(name.encode(), code, _FASTCALL_WITH_KEYWORDS, None)
    # CPython asks that the method definition outlive the function: its `self` holds it.
    owner = (structs.address(table), table, method, *alive)
    kind = ctypes.PYFUNCTYPE(ctypes.py_object, c_void_p, ctypes.py_object, c_void_p)
    create = kind(("PyCFunction_NewEx", ctypes.pythonapi))
    entry: Callable[..., Any] = create(ctypes.addressof(method), owner, None)
    return entry
