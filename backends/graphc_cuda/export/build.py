"""All files of a library for GPUs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from graphc.export.interface import Interface
from graphc_cuda.device_api import MachineCode
from graphc_cuda.export.c_library import header_text, source_text
from graphc_cuda.export.layout import DeviceLayout, FunctionLayout, Kept, Value, lay_out, weights_of
from graphc_cuda.export.statuses import STATUSES
from graphc_cuda.machine_code import compile_program
from graphc_cuda.plan_data import plan_to_data
from graphc_cuda.ptx import ptx_of

CAPABILITIES = ((8, 0), (9, 0))  # which have machine code in a library; others take PTX
HOST_FILES = ("cuda_driver.h", "host.h", "launches.h")


@dataclass(frozen=True, eq=False)
class BuiltLibrary:
    """Files by name, by role those that a manifest lists, and what it says of code and memory."""

    files: Mapping[str, bytes]
    roles: Mapping[str, str]
    facts: Mapping[str, object]
    statuses: tuple[str, ...] = tuple(STATUSES.values())


def build_library(interface: Interface) -> BuiltLibrary:
    """Compile everything, for all architectures."""
    layout, name = lay_out(interface), interface.name
    codes = [_code(f) for f in layout.functions]
    files: dict[str, bytes] = {}
    for made, _ in codes:
        files |= made
    source = source_text(interface, layout, [code for _, code in codes])
    files |= {
        f"{name}.h": header_text(interface, layout).encode(),
        f"{name}.c": source.encode(),
        f"{name}.weights": weights_of(interface, layout),
    }
    here = Path(__file__).parent
    files |= {word: (here / word).read_bytes() for word in HOST_FILES}
    roles = {"header": f"{name}.h", "source": f"{name}.c", "weights": f"{name}.weights"}
    functions = [
        _function(f, code, tuple(made)) for f, (made, code) in zip(layout.functions, codes)
    ]
    facts = {"target": {"kind": "cuda"}, "memory": _memory(layout), "launches": functions}
    return BuiltLibrary(files, roles, facts)


def _code(f: FunctionLayout) -> tuple[dict[str, bytes], MachineCode]:
    """Files of machine code, and what their kernels are called."""
    symbol, program = f.entry.symbol, f.plan.program
    files = {f"{symbol}.ptx": ptx_of(program, CAPABILITIES[0]).encode()}
    for major, minor in CAPABILITIES:
        compiled = compile_program(program, (major, minor))
        if compiled.assembled.cubin is not None:
            files[f"{symbol}.sm_{major}{minor}.cubin"] = compiled.assembled.cubin
    return files, compiled.code


def _memory(layout: DeviceLayout) -> dict[str, object]:
    """Where everything is that stays."""

    def kept(found: Kept) -> list[int]:
        return [found.offset, found.bytes, found.stored]

    return {
        "bytes": layout.device_bytes,
        "state_bytes": layout.state_bytes,
        "weights_bytes": layout.weights_bytes,
        "parameters": {p.name: kept(k) for p, k in layout.parameters.items()},
        "constants": [kept(k) for k in layout.constants.values()],
    }


def _function(f: FunctionLayout, code: MachineCode, files: tuple[str, ...]) -> dict[str, object]:
    """The launches of a function, and where its values are."""

    def values(found: tuple[Value, ...]) -> list[list[int]]:
        return [[v.offset, v.bytes] for v in found]

    return {
        "name": f.entry.name,
        "code": list(files),
        "symbols": dict(code.entries),
        "shared": dict(code.shared),
        "plan": plan_to_data(f.plan),
        "regions": [f.regions[r] for r in f.plan.regions],
        "inputs": values(f.inputs),
        "outputs": values(f.outputs),
        "status": f.status,
        "random": f.random,
        "stream": f.stream,
        "first_check": f.entry.first_check,
        "updates": bool(f.entry.function.graph.updates),
    }
