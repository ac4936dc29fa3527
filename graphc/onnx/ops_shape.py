"""Constants, sizes, and the same elements in other shapes."""

from __future__ import annotations

from typing import Any

import numpy as np

import graphc as gx
from graphc.errors import FormatError
from graphc.frontend.tensor import Tensor
from graphc.ir.dims import Poly, Size, divide_exactly, floordiv, max_size, min_size, product
from graphc.ir.types import Array
from graphc.onnx.call import OnnxNode, Result, Table
from graphc.onnx.proto import dtype_of
from graphc.onnx.values import MAX_SHAPE_ELEMENTS, sizes_array


def constant(call: OnnxNode) -> Result:
    """A value that the node says."""
    for name, kind in (
        ("value_float", np.float32), ("value_floats", np.float32),
        ("value_int", np.int64), ("value_ints", np.int64),
    ):  # fmt: skip
        if name in call.attributes:
            return np.asarray(call[name], kind)
    if "value" not in call.attributes:
        call.unsupported(f"the value is given as {', '.join(sorted(call.attributes)) or 'nothing'}")
    array: Array = call["value"]
    return call.scope.store.constant(call.node.output[0], array)


def constant_of_shape(call: OnnxNode) -> Result:
    """One value everywhere."""
    value = call.get("value")
    array = np.zeros(1, np.float32) if value is None else value.reshape(-1)
    shape = call.sizes(0)
    known = tuple(s for s in shape if isinstance(s, int))
    if (
        array.dtype.kind in "iu"
        and len(known) == len(shape)
        and np.prod(known) <= MAX_SHAPE_ELEMENTS
    ):
        return np.full(known, array[0])
    return gx.broadcast_to(gx.constant(array[0]), shape)


def identity(call: OnnxNode) -> Result:
    """The operand itself."""
    return call.value(0)


def shape(call: OnnxNode) -> Result:
    """The sizes of a tensor, or of some of its axes."""
    sizes = call.x().shape
    start, end = call.get("start", 0), call.get("end")
    return sizes_array(sizes[slice(start, end)])


def size(call: OnnxNode) -> Result:
    """The number of elements."""
    return sizes_array((call.x().size,)).reshape(())


def reshape(call: OnnxNode) -> Result:
    """Another shape; 0 takes the size of x, -1 what is left."""
    x = call.x()
    wanted = call.sizes(1) if call.opset >= 5 and len(call.inputs) > 1 else tuple(call["shape"])
    zero = not call.get("allowzero")
    sizes: list[Size] = []
    for i, s in enumerate(wanted):
        if isinstance(s, int) and s == 0 and zero:
            if i >= x.ndim:
                raise FormatError(f"{call.where}: size {i} of {wanted} is 0, {x.type} has no axis")
            s = x.shape[i]
        sizes.append(s)
    return gx.reshape(x, tuple(sizes))


def flatten(call: OnnxNode) -> Result:
    """A matrix: the axes before one, and the others."""
    x = call.x()
    axis = call["axis"] + (x.ndim if call["axis"] < 0 else 0)
    return gx.reshape(x, (product(x.shape[:axis]), product(x.shape[axis:])))


def transpose(call: OnnxNode) -> Result:
    """Axes in another order, reversed without one."""
    x = call.x()
    return gx.permute_dims(x, call.get("perm") or tuple(reversed(range(x.ndim))))


def axes_of(call: OnnxNode) -> tuple[int, ...] | None:
    """Axes from an attribute or from operand 1."""
    if call.has(1):
        return call.ints(1)
    axes = call.get("axes")
    return None if axes is None else tuple(axes)


def squeeze(call: OnnxNode) -> Result:
    """Without axes of size 1."""
    return gx.squeeze(call.x(), axes_of(call))


def unsqueeze(call: OnnxNode) -> Result:
    """With new axes of size 1."""
    return gx.expand_dims(call.x(), axes_of(call))


def concat(call: OnnxNode) -> Result:
    """Tensors one after the other."""
    return gx.concat(call.tensors, call.get("axis", 1))


def split(call: OnnxNode) -> Result:
    """Parts along an axis: of given sizes, or as equal as can be (the last may be smaller)."""
    x, axis = call.x(), call.axis()
    sizes: Any = call.sizes(1) if call.has(1) else call.get("split")
    if not sizes:
        count = call.count
        if call.get("num_outputs", count) != count:
            raise FormatError(f"{call.where}: num_outputs is not the number of its {count} outputs")
        sizes = equal_parts(x.shape[axis], count)
    return tuple(gx.split(x, list(sizes), axis))


def equal_parts(whole: Size, count: int) -> list[Size]:
    """The sizes of parts that are equal but for the last ones, which have what is left."""
    each = floordiv(whole + count - 1, count)
    if divide_exactly(whole, count) is not None:
        return [each] * count
    sizes: list[Size] = [max_size(min_size(each, whole - i * each), 0) for i in range(count - 1)]
    return [*sizes, whole - sum(sizes)]


def slices(call: OnnxNode) -> Result:
    """A part of x; ends beyond the axis are cut."""
    x = call.x()
    if call.opset < 10:
        starts, ends, axes = call["starts"], call["ends"], call.get("axes")
        steps: Any = None
    else:
        starts, ends = call.sizes(1), call.sizes(2)
        axes = call.ints(3) if call.has(3) else None
        steps = call.ints(4) if call.has(4) else None
    key: list[Any] = [slice(None)] * x.ndim
    axes = axes if axes is not None else tuple(range(len(starts)))
    for start, end, axis, step in zip(starts, ends, axes, steps or (1,) * len(starts)):
        axis = call.normal(axis, x.ndim)
        key[axis] = slice(*cut(x.shape[axis], start, end, step))
    return x[tuple(key)]


TO_THE_END = 10**9  # exporters write such numbers for "to the end"


def cut(whole: Size, start: Size, end: Size, step: int) -> tuple[Any, Any, int]:
    """The ends of a slice as Python has them; None beyond the ends of an axis."""
    first: Any = start
    last: Any = end
    if isinstance(start, int) and abs(start) >= TO_THE_END:
        first = None if (start < 0) == (step > 0) else whole
    if isinstance(end, int) and (
        abs(end) >= TO_THE_END or (isinstance(whole, int) and end < -whole)
    ):
        last = None if (end > 0) == (step > 0) else 0
    if isinstance(start, int) and isinstance(whole, int) and step < 0 and whole and start < -whole:
        first = 0  # the format begins at the first element there, numpy before it
    if last == whole and step > 0:
        last = None
    return first, last, step


def expand(call: OnnxNode) -> Result:
    """x broadcast with a shape."""
    x = call.x()
    return gx.broadcast_to(x, gx.broadcast_shapes(x.shape, call.sizes(1)))


def tile(call: OnnxNode) -> Result:
    """x several times along every axis."""
    return gx.tile(call.x(), call.ints(1))


def eye_like(call: OnnxNode) -> Result:
    """Ones on a diagonal, in the shape of x."""
    x = call.x()
    dtype = x.dtype if call.get("dtype") is None else dtype_of(call["dtype"], call.where)
    return gx.eye(x.shape[0], x.shape[1], call["k"], dtype)


def arange(call: OnnxNode) -> Result:
    """Numbers from a start to a limit."""
    start, limit, delta = (call.number(i) for i in range(3))
    dtype = call.value(0).known().dtype  # type: ignore[union-attr]
    if isinstance(limit, Poly) or isinstance(start, Poly):
        return gx.arange(start, limit, delta, dtype="int64")
    count = max(0, int(np.ceil((limit - start) / delta)))
    numbers: Array = (np.arange(count) * np.asarray(delta) + start).astype(dtype)
    return numbers


def depth_to_space(call: OnnxNode) -> Result:
    """Channels moved into blocks of the image."""
    x, b = call.x(), call["blocksize"]
    n, c, h, w = x.shape
    crd = call.get("mode", "DCR") == "CRD"
    part = c // (b * b)
    if divide_exactly(c, b * b) is None:
        call.extent(1)
    if crd:
        parts = gx.permute_dims(gx.reshape(x, (n, part, b, b, h, w)), (0, 1, 4, 2, 5, 3))
    else:
        parts = gx.permute_dims(gx.reshape(x, (n, b, b, part, h, w)), (0, 3, 4, 1, 5, 2))
    return gx.reshape(parts, (n, part, h * b, w * b))


def space_to_depth(call: OnnxNode) -> Result:
    """Blocks of the image moved into channels."""
    x, b = call.x(), call["blocksize"]
    n, c, h, w = x.shape
    for axis in (2, 3):
        if divide_exactly(x.shape[axis], b) is None:
            call.extent(axis)
    parts = gx.reshape(x, (n, c, h // b, b, w // b, b))
    order = (0, 1, 3, 5, 2, 4) if call.get("mode", "DCR") == "CRD" else (0, 3, 5, 1, 2, 4)
    return gx.reshape(gx.permute_dims(parts, order), (n, c * b * b, h // b, w // b))


def triangle(call: OnnxNode) -> Result:
    """The upper or lower triangles of matrices."""
    k = int(call.number(1)) if call.has(1) else 0
    return gx.triu(call.x(), k) if call["upper"] else gx.tril(call.x(), k)


def one_hot(call: OnnxNode) -> Result:
    """One of two values where the index says; indices out of range give the other one."""
    index, depth, values = call.x(0), int(call.number(1)), call.x(2)
    index = gx.astype(index, "int64")
    axis = call.normal(call["axis"], index.ndim + 1)
    index = gx.expand_dims(gx.where(index < 0, index + depth, index), axis)
    places = tuple(depth if i == axis else 1 for i in range(index.ndim))
    hot = gx.equal(index, gx.reshape(gx.arange(depth, dtype="int64"), places))
    return gx.where(hot, values[1], values[0])


def reverse_sequence(call: OnnxNode) -> Result:
    """The first elements of every sequence reversed, as many as its length says."""
    x, lengths = call.x(0), gx.astype(call.x(1), "int64")
    time, batch = call["time_axis"], call["batch_axis"]
    steps = along(gx.arange(x.shape[time], dtype="int64"), time, x.ndim)
    lengths = along(lengths, batch, x.ndim)
    return gx.take_along_axis(x, gx.where(steps < lengths, lengths - 1 - steps, steps), time)


def along(x: Tensor, axis: int, ndim: int) -> Tensor:
    """A vector as a tensor whose other axes have size 1."""
    return gx.reshape(x, tuple(x.shape[0] if i == axis else 1 for i in range(ndim)))


TABLE: Table = {
    ("Constant", 1): constant,
    ("ConstantOfShape", 9): constant_of_shape,
    ("Identity", 1): identity,
    ("Shape", 1): shape,
    ("Size", 1): size,
    ("Reshape", 1): reshape,
    ("Flatten", 1): flatten,
    ("Transpose", 1): transpose,
    ("Squeeze", 1): squeeze,
    ("Unsqueeze", 1): unsqueeze,
    ("Concat", 1): concat,
    ("Split", 1): split,
    ("Slice", 1): slices,
    ("Expand", 8): expand,
    ("Tile", 6): tile,
    ("EyeLike", 9): eye_like,
    ("Range", 11): arange,
    ("DepthToSpace", 1): depth_to_space,
    ("SpaceToDepth", 1): space_to_depth,
    ("Trilu", 14): triangle,
    ("OneHot", 9): one_hot,
    ("ReverseSequence", 10): reverse_sequence,
}
