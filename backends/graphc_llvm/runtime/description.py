"""The signature and metadata of compiled code."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from graphc.ir.types import DType

# The first slots of ctx; the others are buffers.
SIZES, ARENA, SCRATCH, TEAM, BUFFERS = 0, 1, 2, 3, 4


@dataclass(frozen=True)
class InputSlot:
    """An argument: which slot of ctx gets its address, and what it must be."""

    name: str
    slot: int
    dtype: DType
    shape: tuple[int, ...]


@dataclass(frozen=True)
class OutputSlot:
    """A result: which slot of ctx says where it is written. No two results share a slot."""

    slot: int
    dtype: DType
    shape: tuple[int, ...]


@dataclass(frozen=True)
class ResultStructure:
    """How results are handed back.

    `kind` is one of none, single, tuple, list, dict (with `keys`) and custom, where `build` gets
    the tuple of all results.
    """

    kind: str = "single"
    keys: tuple[Hashable, ...] = ()
    build: Callable[[tuple[Any, ...]], Any] | None = None

    def assemble(self, values: Sequence[Any]) -> Any:
        """The user's view of the results."""
        match self.kind:
            case "single":
                return values[0]
            case "tuple":
                return tuple(values)
            case "list":
                return list(values)
            case "dict":
                return dict(zip(self.keys, values))
            case "custom":
                assert self.build is not None
                return self.build(tuple(values))
        return None


@dataclass(frozen=True)
class Description:
    """One compiled body: ``void symbol(ptr ctx, i64 thread, i64 threads)``.

    `slots` is the length of ctx, `sizes` what ctx[0] points at, `scratch_bytes` the bytes of one
    thread (thread i's begin at ``ctx[2] + i * scratch_bytes``). `seconds` is an estimate of one
    step; it decides whether other Python threads may run meanwhile.
    """

    name: str
    symbol: str
    slots: int
    inputs: tuple[InputSlot, ...] = ()
    outputs: tuple[OutputSlot, ...] = ()
    structure: ResultStructure = ResultStructure()
    sizes: tuple[int, ...] = ()
    arena_bytes: int = 0
    scratch_bytes: int = 0
    threads: int = 1
    seconds: float = 1e-3
