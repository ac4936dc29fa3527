"""Kernels of the loop level in the forms that keep a GPU busy: other loops.

All forms leave the same bits but `split_sums`, which splits long sums of products.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from graphc.ir.loops.ir import Buffer, Kernel
from graphc_cuda.lower.fission import split_chains
from graphc_cuda.lower.pieces import cut_chains
from graphc_cuda.lower.scatters import spread_updates
from graphc_cuda.lower.split_sums import split_sums
from graphc_cuda.lower.turning import turn_tiles


def reshape(
    kernel: Kernel, dims: Mapping[str, int], aliased: frozenset[Buffer] = frozenset()
) -> Kernel:
    """The kernel that is mapped to launches."""
    if kernel.spread is not None:
        kernel = replace(kernel, body=kernel.spread(dims) or kernel.body, spread=None)
    for form in (spread_updates, split_chains, split_sums, cut_chains, turn_tiles):
        kernel = form(kernel, dims, aliased)
    return kernel
