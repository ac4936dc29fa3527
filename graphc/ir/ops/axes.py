"""How the axes of a value appear in the axes of a view of it."""

from __future__ import annotations

from graphc.ir.dims import Size
from graphc.ir.graph import Node
from graphc.ir.ops.base import Reduce, View
from graphc.ir.ops.view import BroadcastTo, Pad, Permute, Reshape, Slice
from graphc.ir.types import TensorType

# One entry per axis: which loop variable runs over it; None where its size is 1 or it repeats.
Axes = tuple[int | None, ...]


def base_of(node: Node) -> Node:
    """The node whose elements a chain of views shows."""
    while isinstance(node.op, View):
        node = node.inputs[0]
    return node


def through_views(node: Node, axes: Axes) -> Axes | None:
    """The axes of `node`, a chain of views of a value with these axes.

    None when an axis does not survive as a whole (sliced, padded, split or merged).
    """
    chain: list[Node] = []
    while isinstance(node.op, View):
        chain.append(node)
        node = node.inputs[0]
    for view in reversed(chain):
        result = _through(view.op, axes, view.inputs[0].type, view.type)  # type: ignore[arg-type]
        if result is None:
            return None
        axes = result
    return axes


def repeats_along(view: Node, reduced: Node) -> bool:
    """Whether a chain of views shows a reduction's result beside the elements it was made of.

    Then the view has the shape of what was reduced, repeats the result along exactly the reduced
    axes and has every other axis where it was. Equal sizes prove nothing: the axes are followed.
    An axis of size 1 has one index, so it may come from anywhere.
    """
    assert isinstance(reduced.op, Reduce)
    axes, shape = reduced.op.axes, reduced.inputs[0].type.shape
    if base_of(view) is not reduced or view.type.shape != shape:
        return False
    wanted = tuple(None if s == 1 or a in axes else a for a, s in enumerate(shape))
    return through_views(view, tuple(v for a, v in enumerate(wanted) if a not in axes)) == wanted


def _through(op: View, axes: Axes, source: TensorType, out: TensorType) -> Axes | None:
    match op:
        case BroadcastTo():
            return _broadcast(axes, source.shape, out.shape)
        case Permute(axes=order):
            return tuple(axes[a] for a in order)
        case Reshape():
            return _reshape(axes, source.shape, out.shape)
        case Slice() | Pad():
            return axes if source.shape == out.shape and _is_whole(op) else None
    return None


def _is_whole(op: Slice | Pad) -> bool:
    if isinstance(op, Slice):
        return all(step == 1 for step in op.steps)
    return True


def _broadcast(axes: Axes, source: tuple[Size, ...], out: tuple[Size, ...]) -> Axes:
    added = len(out) - len(source)
    kept = (a if s == o else None for a, s, o in zip(axes, source, out[added:]))
    return (None,) * added + tuple(kept)


def _reshape(axes: Axes, source: tuple[Size, ...], out: tuple[Size, ...]) -> Axes | None:
    """Axes of size 1 come and go; the others must be the same in the same order."""
    kept = [(a, s) for a, s in zip(axes, source) if s != 1]
    wanted = [s for s in out if s != 1]
    if [s for _, s in kept] != wanted:
        return None
    remaining = iter(kept)
    return tuple(next(remaining)[0] if s != 1 else None for s in out)
