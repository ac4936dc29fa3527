"""Object code of a program for given sizes, with all that is needed to run it; cached on disk."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.dims import evaluate
from graphc.fingerprint import compiler_bytes, graph_bytes
from graphc.graph import Graph
from graphc.ops.base import Array
from graphc.ops.leaf import Constant, Parameter
from graphc.pipeline import Program
from graphc.schedule import CONSTANT, INPUT, OUTPUT, PARAMETER, PREPARED, RNG, Storage
from graphc.types import find_dtype
from graphc_llvm.cost import estimate_seconds
from graphc_llvm.program import Module, emit_program
from graphc_llvm.runtime.cache import Entry, content_key, disk_cache
from graphc_llvm.runtime.session import compile_text
from graphc_llvm.target import Target

FOLDED = "folded"  # a constant that the passes made


@dataclass(frozen=True)
class Artifact:
    """Everything but memory.

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
    checks: tuple[tuple[int, int, str], ...]
    prepared: tuple[int, ...]  # bytes of every prepared value
    folded: tuple[Array, ...]
    sizes: tuple[int, ...] = ()


def artifact(
    graph: Graph, program: Callable[[], Program], target: Target, dims: Mapping[str, int]
) -> Artifact:
    """Object code for these sizes, from the cache if it has been compiled before."""
    options = ",".join(f"{k}={v}" for k, v in sorted(dims.items()))
    key = _key(graph, target, options)
    found = disk_cache().get(key)
    if found is not None:
        return _from_entry(found)
    made = program()
    module = emit_program(made, target, dims)
    result = describe(graph, made, module, dims, compile_text(module.text, target))
    disk_cache().put(key, _to_entry(result))
    return result


def generic_image(graph: Graph, module: Module, target: Target) -> bytes:
    """Object code for all sizes, from the cache if it has been compiled before."""
    key = _key(graph, target, "generic")
    found = disk_cache().get(key)
    if found is not None:
        return found.image
    image = compile_text(module.text, target)
    disk_cache().put(key, Entry(image))
    return image


def describe(
    graph: Graph, program: Program, module: Module, dims: Mapping[str, int], image: bytes
) -> Artifact:
    """What is known about code for given sizes."""
    plan = program.plan(dims)
    numbering = _Numbering(graph, program)
    prepared = tuple(evaluate(s.type.nbytes, dims) for s in numbering.prepared)
    return Artifact(
        image,
        module.symbol,
        tuple(numbering.slot(s) for s in module.layout.slots),
        plan.arena_bytes,
        module.layout.scratch_bytes(dims),
        estimate_seconds(program.schedule, dims),
        tuple((c.code, numbering.node(c.node), c.message) for c in program.schedule.checks),
        prepared,
        tuple(numbering.folded),
        module.layout.sizes(dims, plan),
    )


class _Numbering:
    """Storages and nodes as numbers that mean the same in every process."""

    def __init__(self, graph: Graph, program: Program) -> None:
        self.numbers = {
            INPUT: {n: i for i, n in enumerate(graph.inputs)},
            PARAMETER: {n: i for i, n in enumerate(graph.leaves(Parameter))},
            CONSTANT: {n: i for i, n in enumerate(graph.leaves(Constant))},
        }
        schedule = program.schedule
        self.outputs = {s: i for i, s in enumerate(schedule.outputs)}
        made = {s: None for c in schedule.prepare for s in c.writes if s.role == PREPARED}
        self.prepared = tuple(made)
        self.nodes = {n: i for i, n in enumerate(graph.nodes)}
        self.lines = {n.origin: i for n, i in self.nodes.items()}
        self.folded: list[Array] = []

    def node(self, node: Any) -> int:
        """The number of a node of the defined graph, or of one from the same line for a node
        that a pass made; -1 for none."""
        number = self.nodes.get(node)
        return self.lines.get(node.origin, -1) if number is None else number

    def slot(self, storage: Storage) -> tuple[str, int]:
        """What an entry of ctx points at."""
        role = storage.role
        if role == OUTPUT:
            return role, self.outputs[storage]
        if role == PREPARED:
            return role, self.prepared.index(storage)
        if role == RNG:
            return role, 0
        node = storage.node
        assert node is not None
        if role == CONSTANT and node not in self.numbers[CONSTANT]:
            assert isinstance(node.op, Constant)
            self.folded.append(node.op.value)
            return FOLDED, len(self.folded) - 1
        return role, self.numbers[role][node]


def _key(graph: Graph, target: Target, options: str) -> str:
    return content_key(graph_bytes(graph), compiler_bytes(), repr(target), options)


def _to_entry(a: Artifact) -> Entry:
    folded = [
        [find_dtype(x.dtype).name, list(x.shape), base64.b64encode(x.tobytes()).decode()]  # type: ignore[union-attr]
        for x in a.folded
    ]
    fields = {k: getattr(a, k) for k in a.__dataclass_fields__ if k not in ("image", "folded")}
    return Entry(a.image, {**fields, "folded": folded})


def _from_entry(entry: Entry) -> Artifact:
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
        tuple((code, node, text) for code, node, text in m["checks"]),
        tuple(m["prepared"]),
        folded,
        tuple(m["sizes"]),
    )
