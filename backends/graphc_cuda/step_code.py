"""What a call needs of a step for given sizes: launch plan, code, checks; cached on disk.

What is imported here is imported for every function; the compiler itself (`compile_step.py`) is
not.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from graphc.compiler.cache import CacheEntry, content_key, disk_cache
from graphc.ir.fingerprint import compiler_bytes, graph_bytes
from graphc.ir.graph import Graph
from graphc.ir.types import Array, find_dtype
from graphc_cuda.device_api import MachineCode
from graphc_cuda.launch import LaunchPlan
from graphc_cuda.plan_data import plan_from_data, plan_to_data

NVPTX, NUMBA, TEXT = "nvptx", "numba", "text"  # ways to code; the simulator runs the text


@dataclass(frozen=True, eq=False)
class StepCode:
    """A compiled step, not yet bound to memory.

    `slots` says for every region of the plan's inputs, outputs, parameters and constants, in the
    order of `plan.regions`, which of the defined graph's it is: a role and a number in that role.
    `checks` are (code, number of the defined graph's node or -1, message), `folded` constants that
    the passes made.
    """

    plan: LaunchPlan
    code: MachineCode
    slots: tuple[tuple[str, int], ...]
    checks: tuple[tuple[int, int, str], ...]
    folded: tuple[Array, ...]


def step_code(
    graph: Graph,
    dims: Mapping[str, int],
    route: str,
    compile: Callable[[Mapping[str, int]], StepCode],
) -> StepCode:
    """A step for given sizes, from the cache if it has been compiled before.

    `route` is the way to machine code, with the machine that it is made for.
    """
    sizes = ",".join(f"{k}={v}" for k, v in sorted(dims.items()))
    key = content_key("cuda step", graph_bytes(graph), compiler_bytes("graphc_cuda"), route, sizes)
    found = disk_cache().get(key)
    if found is not None:
        return _from_entry(found)
    made = compile(dims)
    disk_cache().put(key, _to_entry(made))
    return made


def _to_entry(made: StepCode) -> CacheEntry:
    folded = [
        [find_dtype(x.dtype).name, list(x.shape), base64.b64encode(x.tobytes()).decode()]  # type: ignore[union-attr]
        for x in made.folded
    ]
    metadata = {
        "plan": plan_to_data(made.plan),
        "entries": dict(made.code.entries),
        "shared": dict(made.code.shared),
        "slots": made.slots,
        "checks": made.checks,
        "folded": folded,
    }
    return CacheEntry(made.code.image, metadata)


def _from_entry(entry: CacheEntry) -> StepCode:
    m = entry.metadata
    folded = tuple(
        np.frombuffer(base64.b64decode(data), find_dtype(name).numpy).reshape(shape)  # type: ignore[union-attr]
        for name, shape, data in m["folded"]
    )
    return StepCode(
        plan_from_data(m["plan"]),
        MachineCode(entry.image, m["entries"], m["shared"]),
        tuple((role, number) for role, number in m["slots"]),
        tuple((code, node, text) for code, node, text in m["checks"]),
        folded,
    )
