"""Kernels of the loop level in the forms that keep a GPU busy: other loops, the same bits."""

from __future__ import annotations

from collections.abc import Mapping

from graphc.ir.loops.ir import Buffer, Kernel
from graphc_cuda.lower.pieces import cut_chains
from graphc_cuda.lower.scatters import spread_updates


def reshape(
    kernel: Kernel, dims: Mapping[str, int], aliased: frozenset[Buffer] = frozenset()
) -> Kernel:
    """The kernel that is mapped to launches."""
    return cut_chains(spread_updates(kernel, dims, aliased), dims, aliased)
