"""Object code of a program for given sizes, with all that is needed to run it; cached on disk.

What is imported here is imported for every function; the compiler itself (`compile.py`) is not.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import llvmlite
import numpy as np

from graphc.compiler.cache import CacheEntry, content_key, disk_cache
from graphc.ir.fingerprint import compiler_bytes, graph_bytes
from graphc.ir.graph import Graph
from graphc.ir.types import Array, find_dtype
from graphc_llvm.target import Target


@dataclass(frozen=True)
class Artifact:
    """Compiled code and its metadata, not yet bound to memory.

    `slots` says for every entry of ctx after the fixed ones what it points at: a role and a
    number in that role (of the defined graph's inputs, parameters, constants, outputs).
    `checks` are (code, number of the defined graph's node or -1, message).
    """

    image: bytes
    symbol: str
    slots: tuple[tuple[str, int], ...]
    arena_bytes: int
    scratch_bytes: int
    seconds: float
    barriers: int
    checks: tuple[tuple[int, int, str], ...]
    prepared: tuple[int, ...]  # bytes of every prepared value
    folded: tuple[Array, ...]
    sizes: tuple[int, ...] = ()


def artifact(
    graph: Graph,
    target: Target,
    dims: Mapping[str, int],
    compile: Callable[[Mapping[str, int]], Artifact],
) -> Artifact:
    """Object code for these sizes, from the cache if it has been compiled before."""
    options = ",".join(f"{k}={v}" for k, v in sorted(dims.items()))
    key = cache_key(graph, target, options)
    found = disk_cache().get(key)
    if found is not None:
        return _from_entry(found)
    result = compile(dims)
    disk_cache().put(key, _to_entry(result))
    return result


def cache_key(graph: Graph, target: Target, options: str) -> str:
    """The name under which code is kept: what it was made of."""
    compiler = llvmlite.__version__.encode() + compiler_bytes("graphc_llvm")
    return content_key(graph_bytes(graph), compiler, repr(target), options)


def _to_entry(a: Artifact) -> CacheEntry:
    folded = [
        [find_dtype(x.dtype).name, list(x.shape), base64.b64encode(x.tobytes()).decode()]  # type: ignore[union-attr]
        for x in a.folded
    ]
    fields = {k: getattr(a, k) for k in a.__dataclass_fields__ if k not in ("image", "folded")}
    return CacheEntry(a.image, {**fields, "folded": folded})


def _from_entry(entry: CacheEntry) -> Artifact:
    m = entry.metadata
    folded = tuple(
        np.frombuffer(base64.b64decode(data), find_dtype(name).numpy).reshape(shape)  # type: ignore[union-attr]
        for name, shape, data in m["folded"]
    )
    return Artifact(
        entry.image,
        m["symbol"],
        tuple((role, number) for role, number in m["slots"]),
        m["arena_bytes"],
        m["scratch_bytes"],
        m["seconds"],
        m["barriers"],
        tuple((code, node, text) for code, node, text in m["checks"]),
        tuple(m["prepared"]),
        folded,
        tuple(m["sizes"]),
    )
