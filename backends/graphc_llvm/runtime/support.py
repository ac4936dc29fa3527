"""The runtime's own native code: the worker loop, the entry, the epoch driver.

It is text (``*.ll``), compiled once per machine and kept in the disk cache. It takes every address
when it is linked, so the object code holds none.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import c_int32, c_int64, c_void_p
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import llvmlite

from graphc.compiler.cache import CacheEntry, content_key, disk_cache
from graphc_llvm.runtime import structs
from graphc_llvm.runtime.barrier import barrier_ir
from graphc_llvm.runtime.session import LoadedCode, compile_text, host, session

_FILES = ("types", "pool", "guard", "arguments", "call", "result", "entry", "epoch")


@dataclass(frozen=True)
class Support:
    """The runtime's native functions.

    `entry`, `signals` and `handling` are addresses; `worker` and `idle_for` leave the GIL to
    others; the rest are called with it.
    """

    library: LoadedCode
    entry: int
    signals: int
    handling: int
    worker: Callable[[int, int], int]
    idle_for: Callable[[int], None]
    swap: Callable[[int, int], int]
    run: Callable[[int, int, int, int, int], None]
    take: Callable[[int], int]
    leave: Callable[[int], None]
    call: Callable[[int, int, int, int], int]
    call_held: Callable[[int, int, int, int], int]
    epoch: Callable[[int, int], int]
    epoch_held: Callable[[int, int], int]
    reraise: Callable[[], int]


def support_text(triple: str) -> str:
    """The runtime's LLVM text for a target."""
    folder = files("graphc_llvm.runtime")
    texts = [(folder / f"{name}.ll").read_text(encoding="utf-8") for name in _FILES]
    return "\n".join((barrier_ir(triple), *texts))


@cache
def support() -> Support | None:
    """The runtime's native code; None on Pythons that it cannot serve."""
    python = structs.python_addresses()
    if python is None:
        return None
    held, free = ctypes.PYFUNCTYPE, ctypes.CFUNCTYPE
    p, n, i = c_void_p, c_int64, c_int32
    types = {
        "worker": free(n, p, n), "idle_for": free(None, n), "swap": held(i, p, i),
        "run": held(None, p, p, p, n, n), "take": held(i, p), "leave": held(None, p),
        "call": held(n, p, p, p, p), "epoch": held(n, p, p),
        "call_held": held(n, p, p, p, p), "epoch_held": held(n, p, p),
        "reraise": held(i),
    }  # fmt: skip
    symbols = [
        "graphc_entry",
        "graphc_signals",
        "graphc_handling",
        *(f"graphc_{name}" for name in types),
    ]
    imports = {**python, "sched_yield": structs.yield_address()}
    library = session().load_object(_image(), symbols, imports)
    # Workers may still be inside when the interpreter takes modules apart: never unload.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(library))
    functions = {name: kind(library[f"graphc_{name}"]) for name, kind in types.items()}
    return Support(
        library=library,
        entry=library["graphc_entry"],
        signals=library["graphc_signals"],
        handling=library["graphc_handling"],
        **functions,
    )


def _image() -> bytes:
    machine = host()
    text = support_text(machine.triple)
    key = content_key(
        "runtime", llvmlite.__version__, text, machine.triple, machine.cpu, machine.features
    )
    kept = disk_cache().get(key)
    if kept is not None:
        return kept.image
    image = compile_text(text, machine)
    disk_cache().put(key, CacheEntry(image, {"what": "runtime"}))
    return image
