"""Elements at positions that are data: gathered, scattered, chosen."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

import graphc as gx
from graphc.dims import Size, product
from graphc.functions.creation import size_as
from graphc.onnx.call import Call, Table
from graphc.onnx.ops_shape import along
from graphc.ops.base import Array
from graphc.tensor import Tensor
from graphc.types import int64


def gather(call: Call) -> Any:
    """Slices along an axis; a known index that is one number takes a view."""
    x, axis = call.x(), call.axis()
    known = call.value(1).array
    if known is not None and known.ndim == 0 and known.dtype != object:
        key: list[Any] = [slice(None)] * x.ndim
        key[axis] = int(known)
        return x[tuple(key)]
    return gx.take(x, call.x(1), axis)


def gather_elements(call: Call) -> Any:
    """x[..., index[..., i, ...], ...] along an axis; the index may be smaller on other axes."""
    x, index, axis = call.x(0), call.x(1), call.axis()
    key = [slice(None) if i == axis else slice(0, n) for i, n in enumerate(index.shape)]
    return gx.take_along_axis(x[tuple(key)], index, axis)


def gather_nd(call: Call) -> Any:
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


def mode_of(call: Call) -> str:
    """What happens where an update meets an element."""
    name = call.get("reduction", "none")
    if name not in MODES:
        call.unsupported(f"reduction {name!r}")
    return MODES[name]


def scatter_elements(call: Call) -> Any:
    """x with updates put at x[..., index[..., i, ...], ...]."""
    x, index, updates = call.x(0), gx.astype(call.x(1), "int64"), call.x(2)
    axis, mode = call.axis(), mode_of(call)
    elsewhere = [i for i in range(x.ndim) if i != axis]
    if all(x.shape[i] == index.shape[i] for i in elsewhere):
        return gx.put_along_axis(x, index, updates, axis, mode)
    whole = size_as(x.shape[axis], int64)
    index = gx.where(index < 0, index + whole, index)
    parts = [
        index if i == axis else along(gx.arange(n, dtype="int64"), i, x.ndim)
        for i, n in enumerate(index.shape)
    ]
    flat = gx.flatten(gx.broadcast_to(row_major(parts, x.shape), index.shape))
    put = gx.put_along_axis(gx.flatten(x), flat, gx.flatten(updates), 0, mode)
    return gx.reshape(put, x.shape)


def row_major(parts: list[Tensor], sizes: tuple[Size, ...]) -> Tensor:
    """The position in row-major order that indices on all axes name."""
    position = parts[0]
    for part, size in zip(parts[1:], sizes[1:]):
        position = position * size_as(size, int64) + part
    return position


def scatter_nd(call: Call) -> Any:
    """x with updates put at positions that the last axis of the index spells out."""
    x, index, updates = call.x(0), gx.astype(call.x(1), "int64"), call.x(2)
    count = call.static(1)[-1]
    sizes, rest = x.shape[:count], product(x.shape[count:])
    parts = []
    for i, part in enumerate(gx.unstack(index, -1)):
        parts.append(gx.where(part < 0, part + size_as(sizes[i], int64), part))
    rows = gx.reshape(row_major(parts, sizes), (-1, 1))
    flat = gx.reshape(x, (product(sizes), rest))
    updates = gx.reshape(updates, (rows.shape[0], rest))
    put = gx.put_along_axis(flat, gx.broadcast_to(rows, updates.shape), updates, 0, mode_of(call))
    return gx.reshape(put, x.shape)


def tensor_scatter(call: Call) -> Any:
    """A cache with new rows written at each example's position along an axis."""
    cache, update = call.x(0), call.x(1)
    axis = call.normal(call["axis"], cache.ndim)
    sizes, count = call.static(0), call.static(1)[axis]
    steps = along(gx.arange(count, dtype="int64"), axis, cache.ndim)
    start = gx.astype(call.x(2), "int64") if call.has(2) else gx.zeros(sizes[:1], "int64")
    places = along(start, 0, cache.ndim) + steps
    if call["mode"] == "circular":
        places = gx.remainder(places, sizes[axis])
    return gx.put_along_axis(cache, gx.broadcast_to(places, update.shape), update, axis)


def compress(call: Call) -> Any:
    """The slices whose condition, which must be known, is true."""
    x = call.x()
    places = np.flatnonzero(call.known(1))
    axis = call.get("axis")
    if axis is None:
        return gx.take(gx.flatten(x), gx.constant(places.astype(np.int64)), 0)
    return gx.take(x, gx.constant(places.astype(np.int64)), call.normal(axis, x.ndim))


def top_k(call: Call) -> Any:
    """The k largest (or smallest) elements along an axis, and where they are."""
    k = call["k"] if call.opset < 10 else int(call.number(1))
    return gx.topk(call.x(), k, call.axis(), bool(call.get("largest", 1)))


def nonzero(call: Call) -> Any:
    """The positions that are not 0, of a constant."""
    return np.array(np.nonzero(constant(call)), np.int64)


def constant(call: Call) -> Array:
    """The operand, whose elements say how large the result is."""
    array = call.value(0).known()
    if array is None or array.dtype == object:
        unknown_size(call)
    return array


def unknown_size(call: Call) -> NoReturn:
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
