"""The result of fusion: the kernels of a graph."""

from __future__ import annotations

from dataclasses import dataclass

from graphc.ir.schedule import FailureCode, KernelCall, Storage


@dataclass(frozen=True, eq=False)
class Fused:
    """The kernels of a graph, in no particular order, and every storage they name."""

    calls: tuple[KernelCall, ...]
    inputs: tuple[Storage, ...]
    outputs: tuple[Storage, ...]
    parameters: tuple[Storage, ...]
    constants: tuple[Storage, ...]
    rng: Storage
    checks: tuple[FailureCode, ...]
