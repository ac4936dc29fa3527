"""NAME.json: what a library is, for programs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version

from graphc.export.header import shape_texts
from graphc.export.interface import STATUSES, Argument, Entry, Interface
from graphc.export.library_files import FORMAT, digest
from graphc.inspect.cost import total
from graphc.ir.schedule import ALIGNMENT
from graphc.ir.structure import Structure


def manifest(
    interface: Interface,
    facts: Mapping[str, object],
    files: Mapping[str, bytes],
    roles: Mapping[str, str],
    statuses: Sequence[str] = tuple(STATUSES.values()),
) -> str:
    """The text; `facts` are what the backend knows, `roles` the files by what they are for."""
    content = {
        "format": FORMAT,
        "graphc": graphc_version(),
        "name": interface.name,
        **facts,
        "files": dict(roles),
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        "alignment": ALIGNMENT,
        "threads": interface.threads,
        "statuses": {str(i): text for i, text in enumerate(statuses)},
        "functions": [_function(e) for e in interface.entries],
        "parameters": [
            {
                "name": p.name,
                "dtype": p.dtype.name,
                "shape": list(p.memory.shape),
                "bytes": p.memory.nbytes,
                "trainable": p.trainable,
                "frozen": p in interface.frozen,
                "sha256": hashlib.sha256(p.memory.tobytes()).hexdigest(),
            }
            for p in interface.parameters
        ],
    }
    content["digest"] = digest(content)
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def graphc_version() -> str:
    """The version of this package; "unknown" where it is not installed."""
    try:
        return version("graphc")
    except PackageNotFoundError:
        return "unknown"


def _function(entry: Entry) -> dict[str, object]:
    function = entry.function
    cost = total(function.program.schedule, entry.maxima)
    return {
        "name": entry.name,
        "symbol": entry.symbol,
        "mode": function.mode,
        "dims": [{"name": d.name, "min": d.min, "max": d.max} for d in entry.dims],
        "fixed": dict(entry.fixed),
        "inputs": [_argument(entry, a) for a in entry.inputs],
        "outputs": [_argument(entry, a) for a in entry.outputs],
        "structure": structure_json(function.structure),
        "checks": {str(code): text for code, text in entry.checks.items()},
        "random": function.program.schedule.rng is not None,
        "flops": cost.flops,
        "bytes": cost.bytes,
    }


def _argument(entry: Entry, argument: Argument) -> dict[str, object]:
    return {
        "name": argument.name,
        "c_name": argument.symbol,
        "dtype": argument.type.dtype.name,
        "shape": shape_texts(entry, argument.type.shape),
    }


def structure_json(structure: Structure) -> object:
    """None for a leaf, else kind, keys and children; named tuples become tuples."""
    if structure.kind is None:
        return None
    kind = next(k for k in (dict, list, tuple) if issubclass(structure.kind, k))
    children = [structure_json(c) for c in structure.children]
    return {"kind": kind.__name__, "keys": [_key(k) for k in structure.keys], "children": children}


def _key(key: object) -> object:
    return key if isinstance(key, (int, str)) else str(key)
