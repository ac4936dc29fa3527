"""Limits of this machine's memory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from graphc import origin as origins
from graphc.errors import GraphcError, MemoryBudgetError
from graphc.ir.dims import evaluate
from graphc.ir.graph import Graph, describe

MAX_ADDRESSABLE_BYTES = 2**63  # bytes that an address can count


def physical_bytes() -> int | None:
    """The machine's memory; None where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def check_outputs(graph: Graph, dims: Mapping[str, int]) -> None:
    """Raise MemoryBudgetError for an output that is larger than the machine's memory."""
    most = physical_bytes() or MAX_ADDRESSABLE_BYTES
    for name, node in graph.outputs:
        size = evaluate(node.type.nbytes, dims)
        if size > most:
            what = "the output" if name == "output" else f"output {name}"
            sizes = ", ".join(f"{dim} = {n}" for dim, n in dims.items())
            raise MemoryBudgetError(
                f"{graph.name}: {what} {node.type} needs {size} bytes"
                f"{f' for {sizes}' if sizes else ''}, this machine has {most}",
                operands=describe((node,)),
                origin=origins.find_origin(),
            )


@contextmanager
def reporting_memory(name: str) -> Iterator[None]:
    """Turn numpy's MemoryError into ours."""
    try:
        yield
    except GraphcError:
        raise
    except MemoryError as error:
        raise MemoryBudgetError(f"{name}: {error}", origin=origins.find_origin()) from error
