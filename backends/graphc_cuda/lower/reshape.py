"""Kernels of the loop level in the forms that keep a GPU busy: other loops.

All forms leave the same bits but `split_sums`, which splits long sums of products.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from graphc.errors import VerifyError
from graphc.ir.loops.ir import Axis, Buffer, Kernel, Loop, Stmt
from graphc_cuda.lower.fission import split_chains
from graphc_cuda.lower.pieces import cut_chains
from graphc_cuda.lower.scatters import spread_updates
from graphc_cuda.lower.split_sums import split_sums
from graphc_cuda.lower.tails import spread_tails
from graphc_cuda.lower.turning import turn_tiles


def reshape(
    kernel: Kernel, dims: Mapping[str, int], aliased: frozenset[Buffer] = frozenset()
) -> Kernel:
    """The kernel that is mapped to launches."""
    if kernel.spread is not None:
        kernel = replace(kernel, body=kernel.spread(dims) or kernel.body, spread=None)
    for form in (spread_updates, split_chains, spread_tails, split_sums, cut_chains, turn_tiles):
        kernel = form(kernel, dims, aliased)
    _check_axes(kernel.name, kernel.body, frozenset())
    return kernel


def _check_axes(name: str, body: Sequence[Stmt], outer: frozenset[Axis]) -> None:
    """Raise VerifyError where an axis is inside of itself: it would stand for two numbers."""
    for stmt in body:
        if not isinstance(stmt, Loop):
            continue
        if stmt.axis in outer:
            raise VerifyError(f"{name}: a loop over {stmt.axis} inside of one over the same axis")
        _check_axes(name, stmt.body, outer | {stmt.axis})
