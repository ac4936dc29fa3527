"""Rules of views and joins: chains collapse, and repetition moves to the end."""

from __future__ import annotations

from graphc.compiler.passes.patterns import Rules, broadcast, reshape
from graphc.ir.dims import Size, Sizes
from graphc.ir.graph import Node, apply
from graphc.ir.ops.base import Elementwise
from graphc.ir.ops.elementwise import Neg
from graphc.ir.ops.join import Concat
from graphc.ir.ops.view import BroadcastTo, Pad, Permute, Reshape, Slice


def view_of_everything(node: Node) -> Node | None:
    """a view that shows x as it is  ->  x"""
    (x,) = node.inputs
    if x.type != node.type:
        return None
    match node.op:
        case BroadcastTo() | Reshape():
            return x
        case Permute(axes=axes):
            return x if axes == tuple(range(len(axes))) else None
        case Slice(starts=starts, steps=steps):
            return x if not any(starts) and are_whole(steps, x.type.shape) else None
        case Pad(before=before, after=after, steps=steps):
            whole = are_whole(steps, x.type.shape)
            return x if not any(before) and not any(after) and whole else None
    return None


def are_whole(steps: tuple[int, ...], shape: Sizes) -> bool:
    """Whether steps leave nothing out; one element may be stepped over in any way."""
    return all(k == 1 or size == 1 for k, size in zip(steps, shape))


def reshape_twice(node: Node) -> Node | None:
    """reshape(reshape(x))  ->  reshape(x)"""
    (x,) = node.inputs
    return reshape(x.inputs[0], node.type.shape) if isinstance(x.op, Reshape) else None


def reshape_of_negative(node: Node) -> Node | None:
    """reshape(-x)  ->  -reshape(x)"""
    (x,) = node.inputs
    return apply(Neg(), apply(node.op, x.inputs[0])) if isinstance(x.op, Neg) else None


def permute_twice(node: Node) -> Node | None:
    """permute(permute(x))  ->  permute(x)"""
    (x,) = node.inputs
    if not isinstance(x.op, Permute):
        return None
    assert isinstance(node.op, Permute)
    return apply(Permute(tuple(x.op.axes[a] for a in node.op.axes)), x.inputs[0])


def permute_of_ones(node: Node) -> Node | None:
    """permute(x)  ->  reshape(x), where only axes of size 1 move"""
    (x,) = node.inputs
    assert isinstance(node.op, Permute)
    moved = [a for a in node.op.axes if x.type.shape[a] != 1]
    return apply(Reshape(node.type.shape), x) if moved == sorted(moved) else None


def broadcast_twice(node: Node) -> Node | None:
    """broadcast_to(broadcast_to(x))  ->  broadcast_to(x)"""
    (x,) = node.inputs
    return apply(node.op, x.inputs[0]) if isinstance(x.op, BroadcastTo) else None


def broadcast_of_leading_ones(node: Node) -> Node | None:
    """broadcast_to(reshape(x, (1, ..., *x.shape)))  ->  broadcast_to(x)"""
    (x,) = node.inputs
    if not isinstance(x.op, Reshape):
        return None
    (source,) = x.inputs
    added = x.type.ndim - source.type.ndim
    leading = added > 0 and x.type.shape == (1,) * added + source.type.shape
    ones = not leading and source.type.ndim > 0 and all(s == 1 for s in source.type.shape)
    if leading:
        return broadcast(source, node.type.shape)
    return apply(node.op, apply(Reshape(()), source)) if ones and x.type.ndim else None


def slice_twice(node: Node) -> Node | None:
    """x[a][b]  ->  x[a of b]"""
    (x,) = node.inputs
    if not isinstance(x.op, Slice):
        return None
    inner, outer = x.op, node.op
    assert isinstance(outer, Slice)
    starts = tuple(s + t * k for s, t, k in zip(inner.starts, outer.starts, inner.steps))
    steps = tuple(k * m for k, m in zip(inner.steps, outer.steps))
    return apply(Slice(starts, outer.sizes, steps), x.inputs[0])


def pad_twice(node: Node) -> Node | None:
    """pad(pad(x))  ->  pad(x)"""
    (x,) = node.inputs
    if not isinstance(x.op, Pad):
        return None
    inner, outer = x.op, node.op
    assert isinstance(outer, Pad)
    steps = outer.steps
    before = tuple(b + c * k for b, c, k in zip(outer.before, inner.before, steps))
    after = tuple(a + c * k for a, c, k in zip(outer.after, inner.after, steps))
    return apply(Pad(before, after, tuple(k * m for k, m in zip(steps, inner.steps))), x.inputs[0])


def slice_of_pad(node: Node) -> Node | None:
    """pad(x)[where x is]  ->  x"""
    (x,) = node.inputs
    assert isinstance(node.op, Slice)
    if not isinstance(x.op, Pad) or x.inputs[0].type != node.type:
        return None
    same = (x.op.before, x.op.steps) == (node.op.starts, node.op.steps)
    return x.inputs[0] if same else None


# ---------------------------------------------------------------- repetition comes last


def permute_of_broadcast(node: Node) -> Node | None:
    """permute(broadcast_to(x))  ->  broadcast_to(reshape(permute(x)))"""
    (x,) = node.inputs
    if not isinstance(x.op, BroadcastTo):
        return None
    assert isinstance(node.op, Permute)
    (source,) = x.inputs
    missing = x.type.ndim - source.type.ndim
    own = tuple(a - missing for a in node.op.axes if a >= missing)
    shape = aligned(source.type.shape, missing)
    moved = apply(Permute(own), source) if own != tuple(range(len(own))) else source
    kept = reshape(moved, tuple(shape[a] for a in node.op.axes))
    return broadcast(kept, node.type.shape)


def reshape_of_broadcast(node: Node) -> Node | None:
    """reshape(broadcast_to(x))  ->  broadcast_to(reshape(x)), where axes of size 1 come and go"""
    (x,) = node.inputs
    if not isinstance(x.op, BroadcastTo):
        return None
    (source,) = x.inputs
    if source.type.size == 1:
        return broadcast(reshape(source, ()), node.type.shape)
    old = aligned(source.type.shape, x.type.ndim - source.type.ndim)
    kept = [s for s, size in zip(old, x.type.shape) if size != 1]
    sizes = [size for size in x.type.shape if size != 1]
    if sizes != [size for size in node.type.shape if size != 1]:
        return None
    left = iter(kept)
    shape = tuple(next(left) if size != 1 else 1 for size in node.type.shape)
    return broadcast(reshape(source, shape), node.type.shape)


def slice_of_broadcast(node: Node) -> Node | None:
    """broadcast_to(x)[a]  ->  broadcast_to(x[a])"""
    (x,) = node.inputs
    if not isinstance(x.op, BroadcastTo):
        return None
    op = node.op
    assert isinstance(op, Slice)
    (source,) = x.inputs
    missing = x.type.ndim - source.type.ndim
    parts: list[tuple[Size, Size, int]] = []
    for axis, size in enumerate(source.type.shape, missing):
        whole = size == 1
        part = (op.starts[axis], op.sizes[axis], op.steps[axis])
        parts.append((0, 1, 1) if whole else part)
    starts, sizes, steps = zip(*parts) if parts else ((), (), ())
    return broadcast(apply(Slice(starts, sizes, steps), source), node.type.shape)


def aligned(shape: Sizes, missing: int) -> Sizes:
    """A shape with axes of size 1 in front."""
    return (1,) * missing + shape


def elementwise_of_broadcasts(node: Node) -> Node | None:
    """f(broadcast_to(x), broadcast_to(y))  ->  broadcast_to(f(x, y))"""
    if not node.op.pure or not all(isinstance(i.op, BroadcastTo) for i in node.inputs):
        return None
    sources = [i.inputs[0] for i in node.inputs]
    shapes = dict.fromkeys(s.type.shape for s in sources if s.type.shape)
    if len(shapes) > 1:
        return None
    shape = next(iter(shapes), ())
    assert isinstance(node.op, Elementwise)
    few = apply(node.op, *(broadcast(s, shape) for s in sources))
    return broadcast(few, node.type.shape)


# -------------------------------------------------------------------------------- joins


def concat_of_one(node: Node) -> Node | None:
    """concat(x, empty, ...)  ->  concat(x, ...),   concat(x)  ->  x"""
    assert isinstance(node.op, Concat)
    axis = node.op.axis
    kept = tuple(i for i in node.inputs if i.type.shape[axis] != 0) or node.inputs[:1]
    if len(kept) == 1:
        return kept[0]
    return apply(node.op, *kept) if len(kept) < len(node.inputs) else None


def slice_of_concat(node: Node) -> Node | None:
    """concat(..., x, ...)[where x is]  ->  x"""
    (x,) = node.inputs
    op = node.op
    assert isinstance(op, Slice)
    if not isinstance(x.op, Concat) or any(k != 1 for k in op.steps):
        return None
    axis = x.op.axis
    if any(s != 0 for a, s in enumerate(op.starts) if a != axis):
        return None
    start: Size = 0
    for part in x.inputs:
        if start == op.starts[axis] and part.type == node.type:
            return part
        start = start + part.type.shape[axis]
    return None


RULES: Rules = (
    (Elementwise, (elementwise_of_broadcasts,)),
    (Reshape, (view_of_everything, reshape_twice, reshape_of_broadcast, reshape_of_negative)),
    (Permute, (view_of_everything, permute_twice, permute_of_broadcast, permute_of_ones)),
    (BroadcastTo, (view_of_everything, broadcast_twice, broadcast_of_leading_ones)),
    (Slice, (view_of_everything, slice_twice, slice_of_pad, slice_of_broadcast, slice_of_concat)),
    (Pad, (view_of_everything, pad_twice)),
    (Concat, (concat_of_one,)),
)
