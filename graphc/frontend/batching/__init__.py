"""Graphs for many examples at once: every node that depends on the example gets a leading axis."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from graphc.frontend.batching.batcher import Batched, Batcher
from graphc.frontend.batching.rules import find_rule
from graphc.ir.dims import Size
from graphc.ir.graph import Node


def batch_nodes(
    roots: Sequence[Node],
    batched: Mapping[Node, Node],
    size: Size,
    shared: Mapping[Node, Node] | None = None,
    draws: Collection[Node] | None = None,
) -> list[Batched]:
    """Rebuild the graph of the roots for `size` examples, and tell of every root whether it varies.

    `batched` maps nodes to what stands for them, with the examples along a new first axis; what
    depends on such a node, and what depends on random bits, gets that axis too. Everything else
    stays itself, but for `shared`, which maps nodes to others of the same type. `draws` are the
    random bits that every example draws anew (default: all beneath the roots).
    Raises UnsupportedError for an op without a rule.
    """
    return Batcher(batched, size, shared or {}, draws, find_rule).run(roots)
