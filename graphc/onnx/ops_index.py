"""Elements at positions that are data: gathered, scattered, chosen."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

import graphc as gx
from graphc.errors import FormatError
from graphc.frontend.functions.creation import size_as
from graphc.frontend.functions.scatter import update_at
from graphc.frontend.tensor import Tensor
from graphc.ir.dims import Size, product
from graphc.ir.ops.view import shape_text
from graphc.ir.types import Array, int64
from graphc.onnx.call import OnnxNode, Result, Table
from graphc.onnx.ops_shape import along


def gather(call: OnnxNode) -> Result:
    """Slices along an axis; a known index that is one number takes a view."""
    x, axis = call.x(), call.axis()
    known = call.value(1).array
    if known is not None and known.ndim == 0 and known.dtype != object:
        key: list[Any] = [slice(None)] * x.ndim
        key[axis] = int(known)
        return x[tuple(key)]
    return gx.take(x, call.x(1), axis)


def gather_elements(call: OnnxNode) -> Result:
    """x[..., index[..., i, ...], ...] along an axis; the index may be smaller on other axes."""
    x, index, axis = call.x(0), call.x(1), call.axis()
    return gx.take_along_axis(x[part_beside(call, x, index, axis)], index, axis)


def gather_nd(call: OnnxNode) -> Result:
    """x at positions that the last axis of the index spells out, example by example."""
    x, index, batch = call.x(0), gx.astype(call.x(1), "int64"), call.get("batch_dims", 0)
    if not batch:
        return gx.gather_nd(x, index)
    examples = product(x.shape[:batch])
    x = gx.reshape(x, (examples, *x.shape[batch:]))
    index = gx.reshape(index, (examples, *index.shape[batch:]))
    first = along(gx.arange(examples, dtype="int64"), 0, index.ndim)
    first = gx.broadcast_to(first, (*index.shape[:-1], 1))
    found = gx.gather_nd(x, gx.concat([first, index], -1))
    return gx.reshape(found, (*call.x(0).shape[:batch], *found.shape[1:]))


MODES = {"none": "set", "add": "add", "mul": "mul", "min": "min", "max": "max"}


def mode_of(call: OnnxNode) -> str:
    """What happens where an update meets an element."""
    name = call.get("reduction", "none")
    if name not in MODES:
        call.unsupported(f"reduction {name!r}")
    return MODES[name]


def scatter_elements(call: OnnxNode) -> Result:
    """x with updates put at x[..., index[..., i, ...], ...]; the index may be smaller elsewhere."""
    x, index, updates = call.x(0), gx.astype(call.x(1), "int64"), call.x(2)
    axis, mode = call.axis(), mode_of(call)
    check_updates(call, updates, index.shape)
    key = part_beside(call, x, index, axis)
    put = gx.put_along_axis(x[key], index, updates, axis, mode)
    return update_at(x, key, put, "set")


def part_beside(call: OnnxNode, x: Tensor, index: Tensor, axis: int) -> tuple[slice, ...]:
    """The part of x that an index of its rank reaches, whose other axes may be smaller."""
    if index.ndim != x.ndim:
        raise FormatError(f"{call.where}: ranks differ: {x.type} and indices {index.type}")
    for i, (n, m) in enumerate(zip(x.shape, index.shape)):
        if i != axis and isinstance(n, int) and isinstance(m, int) and m > n:
            raise FormatError(
                f"{call.where}: the indices {index.type} are larger than {x.type} on axis {i}"
            )
    return tuple(slice(None) if i == axis else slice(0, n) for i, n in enumerate(index.shape))


def check_updates(call: OnnxNode, updates: Tensor, shape: tuple[Size, ...]) -> None:
    """Raise where updates have another shape, also where they would broadcast to it."""
    known = [(n, m) for n, m in zip(updates.shape, shape) if isinstance(n, int)]
    if updates.ndim != len(shape) or any(isinstance(m, int) and n != m for n, m in known):
        raise FormatError(f"{call.where}: updates must be {shape_text(shape)}, got {updates.type}")


def scatter_nd(call: OnnxNode) -> Result:
    """x with updates put at positions that the last axis of the index spells out."""
    x, index, updates = call.x(0), gx.astype(call.x(1), "int64"), call.x(2)
    count = index.shape[-1] if index.ndim else None
    if index.ndim:
        count = call.extent(-1, 1)
    if not isinstance(count, int) or not 0 < count <= x.ndim:
        raise FormatError(f"{call.where}: indices {index.type} spell no positions of {x.type}")
    check_updates(call, updates, index.shape[:-1] + x.shape[count:])
    return update_at(x, tuple(gx.unstack(index, -1)), updates, mode_of(call))


def tensor_scatter(call: OnnxNode) -> Result:
    """A cache with new rows written at each example's position along an axis."""
    cache, update = call.x(0), call.x(1)
    axis = call.normal(call["axis"], cache.ndim)
    sizes, count = cache.shape, update.shape[axis]
    steps = along(gx.arange(count, dtype="int64"), axis, cache.ndim)
    start = gx.astype(call.x(2), "int64") if call.has(2) else gx.zeros(sizes[:1], "int64")
    places = along(start, 0, cache.ndim) + steps
    if call["mode"] == "circular":
        places = gx.remainder(places, size_as(sizes[axis], int64))
    places = checked_places(call, places, sizes[axis])
    return gx.put_along_axis(cache, gx.broadcast_to(places, update.shape), update, axis)


def checked_places(call: OnnxNode, places: Tensor, size: Size) -> Tensor:
    """Positions that do not count from the end, after a check that they are inside."""
    limit = size_as(size, int64)
    inside = (places >= 0) & (places < limit)
    return gx.check(places, inside, f"{call.where}: an index is not from 0 to {size - 1}: {{x}}")


def compress(call: OnnxNode) -> Result:
    """The slices whose condition, which must be known, is true."""
    x = call.x()
    places = np.flatnonzero(call.known(1))
    axis = call.get("axis")
    if axis is None:
        return gx.take(gx.flatten(x), gx.constant(places.astype(np.int64)), 0)
    return gx.take(x, gx.constant(places.astype(np.int64)), call.normal(axis, x.ndim))


def top_k(call: OnnxNode) -> Result:
    """The k largest (or smallest) elements along an axis, and where they are."""
    k = call["k"] if call.opset < 10 else call.number(1)
    return gx.topk(call.x(), k, call.axis(), bool(call.get("largest", 1)))


def nonzero(call: OnnxNode) -> Result:
    """The positions that are not 0, of a constant."""
    return np.array(np.nonzero(constant(call)), np.int64)


def constant(call: OnnxNode) -> Array:
    """The operand, whose elements say how large the result is."""
    array = call.value(0).known()
    if array is None or array.dtype == object:
        unknown_size(call)
    return array


def unknown_size(call: OnnxNode) -> NoReturn:
    """Complain about a result whose size is known only when the model runs."""
    call.unsupported("the size of its result depends on the elements of its operand")


TABLE: Table = {
    ("NonZero", 9): nonzero,
    ("Unique", 11): unknown_size,
    ("NonMaxSuppression", 10): unknown_size,
    ("TopK", 1): top_k,
    ("Gather", 1): gather,
    ("GatherElements", 11): gather_elements,
    ("GatherND", 11): gather_nd,
    ("Scatter", 9): scatter_elements,
    ("ScatterElements", 11): scatter_elements,
    ("ScatterND", 11): scatter_nd,
    ("TensorScatter", 24): tensor_scatter,
    ("Compress", 9): compress,
}
