"""Scatter: elements written at indices along an axis, as rows, or at any index (`x.at[...]`)."""

from __future__ import annotations

from typing import Any

from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.frontend.functions.arithmetic import maximum, minimum
from graphc.frontend.functions.creation import ones_like
from graphc.frontend.functions.indexing import (
    adjacent,
    axis_range,
    can_expand,
    flat_position,
    gather_joint,
    integers,
    inverse,
    normalize_index,
    placed,
)
from graphc.frontend.functions.logic import where
from graphc.frontend.functions.operands import expand, fail, lift_like, one_axis, scattered
from graphc.frontend.functions.shapes import broadcast_shapes, flip, permute_dims, reshape
from graphc.frontend.tensor import Tensor, lift, lift_op
from graphc.frontend.typing import Index, TensorLike
from graphc.ir.dims import Poly, Size, product
from graphc.ir.ops.gather import ScatterAdd
from graphc.ir.ops.indexing import ADD, MAX, MIN, MODES, MUL, SET, PutAlong, PutRows, TakeAlong
from graphc.ir.ops.view import Pad, Slice, shape_text


def take_along_axis(x: TensorLike, indices: TensorLike, axis: int = -1) -> Tensor:
    """result[..., i, ...] = x[..., indices[..., i, ...], ...] along one axis.

    The other axes of x and indices broadcast. Out of range is a RuntimeCheckError.
    """
    x, indices = lift(x), integers("take_along_axis", indices)
    axis = one_axis("take_along_axis", axis, x.ndim, (x, indices))
    outside = common_outside("take_along_axis", axis, x, indices)
    x = expand(x, with_size(outside, axis, x.shape[axis]))
    indices = expand(indices, with_size(outside, axis, indices.shape[axis]))
    return lift_op(TakeAlong(axis), x, indices)


def put_along_axis(
    x: TensorLike, indices: TensorLike, updates: TensorLike, axis: int = -1, mode: str = SET
) -> Tensor:
    """x with updates put at x[..., indices[..., i, ...], ...], in ascending order of i.

    `mode`: "set" (the last one stays), "add", "mul", "min" or "max". `updates` broadcast to the
    shape of the indices, whose other axes broadcast to those of x.
    """
    x, indices = lift(x), integers("put_along_axis", indices)
    check_mode("put_along_axis", mode, x)
    axis = one_axis("put_along_axis", axis, x.ndim, (x, indices))
    outside = common_outside("put_along_axis", axis, x, indices)
    if with_size(outside, axis, x.shape[axis]) != x.shape:
        fail(
            ShapeError,
            f"put_along_axis: indices {indices.type} do not fit {x.type}",
            (x, indices),
        )
    shape = with_size(outside, axis, indices.shape[axis])
    new = fit_update("put_along_axis", updates, x, shape)
    put = scattered if mode in (ADD, MUL) else lift_op
    return put(PutAlong(mode, axis), x, expand(indices, shape), new)


def common_outside(name: str, axis: int, x: Tensor, indices: Tensor) -> list[Size]:
    """The sizes outside an axis that both broadcast to."""
    if indices.ndim != x.ndim:
        fail(
            ShapeError,
            f"{name}: ranks differ: {x.type} (input 0) vs {indices.type} (input 1)",
            (x, indices),
        )
    sizes = [(n, m) for i, (n, m) in enumerate(zip(x.shape, indices.shape)) if i != axis]
    if not all(n == m or 1 in (n, m) for n, m in sizes):
        fail(
            ShapeError,
            f"{name}: sizes differ outside axis {axis}: {x.type} vs {indices.type}",
            (x, indices),
        )
    return [n if m == 1 else m for n, m in sizes]


def with_size(outside: list[Size], axis: int, size: Size) -> tuple[Size, ...]:
    """The shape with a size put in at an axis."""
    return (*outside[:axis], size, *outside[axis:])


def check_mode(name: str, mode: str, x: Tensor) -> None:
    """Raise unless the mode is one of ours and x has what it needs."""
    if mode not in MODES:
        fail(ArgumentError, f"{name}: mode is one of {', '.join(MODES)}, got {mode!r}", (x,))
    if mode != SET and x.dtype.kind == "b":
        fail(DTypeError, f"{name}: {mode} needs numbers, got bool (input 0)", (x,))


def fit_update(name: str, updates: TensorLike, x: Tensor, shape: tuple[Size, ...]) -> Tensor:
    """Updates in the dtype of x, broadcast to a shape."""
    new = lift_like(name, updates, x)
    if new.dtype != x.dtype:
        fail(
            DTypeError,
            f"{name}: dtypes differ: {x.dtype.name} (input 0) vs {new.dtype.name} (updates)",
            (x, new),
            hint=f'convert them: updates.astype("{x.dtype.name}")',
        )
    if not can_expand(new.shape, shape):
        fail(
            ShapeError,
            f"{name}: updates must broadcast to {shape_text(shape)}, got {new.type}",
            (x, new),
        )
    return expand(new, shape)


def scatter_set(x: TensorLike, indices: TensorLike, updates: TensorLike, axis: int = 0) -> Tensor:
    """x with slices of `updates` in place of those at integer indices along an axis.

    Of several at one place the last one stays. `updates` broadcasts to the shape of
    `take(x, indices, axis)`.
    """
    return put_slices("scatter_set", lift(x), indices, updates, axis, SET)


def put_slices(
    name: str, x: Tensor, indices: TensorLike, updates: TensorLike, axis: int, mode: str
) -> Tensor:
    """Slices put along an axis at indices of any rank."""
    indices = integers(name, indices)
    axis = one_axis(name, axis, x.ndim, (x, indices))
    order = (axis, *(i for i in range(x.ndim) if i != axis))
    shape = x.shape[:axis] + indices.shape + x.shape[axis + 1 :]
    new = fit_update(name, updates, x, shape)
    rows = permute_dims(new, inverse(placed(indices.ndim, axis, len(shape))))
    done = put_rows(mode, permute_dims(x, order), indices, rows)
    return permute_dims(done, inverse(order))


def put_rows(mode: str, x: Tensor, indices: Tensor, rows: Tensor) -> Tensor:
    """Rows put along the first axis."""
    op = ScatterAdd() if mode == ADD else PutRows(mode)
    return (scattered if mode in (ADD, MUL) else lift_op)(op, x, indices, rows)


# ------------------------------------------------------------------------------- x.at[...]


class At:
    """x.at: names the elements to change; `x.at[i].set(v)` is x with them changed."""

    def __init__(self, x: Tensor) -> None:
        self.x = x

    def __getitem__(self, key: Index) -> IndexedElements:
        return IndexedElements(self.x, key)


class IndexedElements:
    """Elements of x under an index: what `x[key]` takes, or a bool tensor.

    Every method returns a new tensor. Updates broadcast to the shape of `x[key]` (beside a bool
    tensor: to that of one element). Where an index names an element several times, the updates
    are merged in ascending order; of those that are set the last one stays.
    """

    def __init__(self, x: Tensor, key: Index) -> None:
        self.x, self.key = x, key

    def set(self, value: TensorLike) -> Tensor:
        """With the value in place of the elements."""
        return update_at(self.x, self.key, value, SET)

    def add(self, value: TensorLike) -> Tensor:
        """With the value added."""
        return update_at(self.x, self.key, value, ADD)

    def multiply(self, value: TensorLike) -> Tensor:
        """Multiplied by the value."""
        return update_at(self.x, self.key, value, MUL)

    def min(self, value: TensorLike) -> Tensor:
        """With the value where it is smaller."""
        return update_at(self.x, self.key, value, MIN)

    def max(self, value: TensorLike) -> Tensor:
        """With the value where it is larger."""
        return update_at(self.x, self.key, value, MAX)


def update_at(x: Tensor, key: Index, value: TensorLike, mode: str) -> Tensor:
    """x with the elements under an index changed."""
    check_mode("at", mode, x)
    if isinstance(key, Tensor) and key.dtype.kind == "b":
        return update_where(x, key, value, mode)
    parts = normalize_index(x, key)
    region = IndexedRegion(x, parts)
    inner = region.take(x)
    shape = region.shape
    new = fit_update("at", value, x, region.result_shape)
    if not region.chosen:
        changed = combine_update(mode, reshape(inner, shape), new)
    else:
        changed = update_gathered(reshape(inner, shape), region, new, mode)
    return region.put_back(x, reshape(changed, inner.shape))


def update_where(x: Tensor, mask: Tensor, value: TensorLike, mode: str) -> Tensor:
    """x changed where a mask over its first axes is true."""
    if mask.shape != x.shape[: mask.ndim]:
        fail(
            ShapeError,
            f"at: the mask {mask.type} does not fit the first axes of {x.type}",
            (x, mask),
        )
    rest = x.shape[mask.ndim :]
    new = lift_like("at", value, x)
    if not can_expand(new.shape, rest):
        fail(
            ShapeError,
            f"at: beside a mask updates must broadcast to {shape_text(rest)}, got {new.type}",
            (x, mask, new),
            hint="how many elements are true is not known: use gx.where(mask, values, x)",
        )
    chosen = expand(reshape(mask, mask.shape + (1,) * len(rest)), x.shape)
    return where(
        chosen, combine_update(mode, x, expand(fit_update("at", new, x, rest), x.shape)), x
    )


def combine_update(mode: str, old: Tensor, new: Tensor) -> Tensor:
    """Combine old elements with updates, each index occurring once."""
    match mode:
        case "set":
            return new
        case "add":
            return old + new
        case "mul":
            return old * new
    return minimum(old, new) if mode == MIN else maximum(old, new)


class IndexedRegion:
    """The slices of an index, and the index tensors on the axes that remain."""

    def __init__(self, x: Tensor, parts: list[Any]) -> None:
        ranges = [
            axis_range(x, axis, p) for axis, p in enumerate(p for p in parts if p is not None)
        ]
        self.starts = tuple(start for start, _, _ in ranges)
        self.sizes = tuple(size for _, size, _ in ranges)
        self.steps = tuple(step for _, _, step in ranges)
        self.whole = self.sizes == x.shape and not any(self.starts) and set(self.steps) <= {1}
        self.chosen: list[tuple[int, Tensor]] = []
        self.contiguous = adjacent(parts)
        shape: list[Size] = []
        left = iter(self.sizes)
        for part in parts:
            if isinstance(part, Tensor):
                self.chosen.append((len(shape), integers("at", part)))
            if part is None:
                shape.append(1)
            else:
                size = next(left)
                if not isinstance(part, (int, Poly)):
                    shape.append(size)
        self.shape = tuple(shape)
        self.result_shape = self._result_shape()

    def _result_shape(self) -> tuple[Size, ...]:
        """The shape of x[key]."""
        if not self.chosen:
            return self.shape
        axes = [axis for axis, _ in self.chosen]
        together = broadcast_shapes(*(i.shape for _, i in self.chosen))
        rest = [s for i, s in enumerate(self.shape) if i not in axes]
        first = axes[0] if self.contiguous else 0
        return (*rest[:first], *together, *rest[first:])

    def take(self, x: Tensor) -> Tensor:
        """The region of x."""
        return x if self.whole else lift_op(Slice(self.starts, self.sizes, self.steps), x)

    def put_back(self, x: Tensor, changed: Tensor) -> Tensor:
        """x with its region changed."""
        if self.whole:
            return changed
        backwards = tuple(a for a, step in enumerate(self.steps) if step < 0)
        lasts = [s + (n - 1) * k for s, n, k in zip(self.starts, self.sizes, self.steps)]
        low = tuple(a if k > 0 else b for a, b, k in zip(self.starts, lasts, self.steps))
        high = [b if k > 0 else a for a, b, k in zip(self.starts, lasts, self.steps)]
        if any(n == 0 for n in self.sizes):
            return x
        after = tuple(n - h - 1 for n, h in zip(x.shape, high))
        spread = Pad(low, after, tuple(abs(k) for k in self.steps))
        here = lift_op(spread, ones_like(changed, dtype="bool"))
        return where(here, lift_op(spread, flip(changed, backwards)), x)


def update_gathered(x: Tensor, region: IndexedRegion, new: Tensor, mode: str) -> Tensor:
    """x changed at index tensors on several axes, which broadcast to one shape."""
    axes = tuple(axis for axis, _ in region.chosen)
    rest = tuple(i for i in range(x.ndim) if i not in axes)
    first = axes[0] if region.contiguous else 0
    if len(axes) == 1:
        index = region.chosen[0][1]
    else:
        sizes = tuple(x.shape[a] for a in axes)
        index = flat_position([i for _, i in region.chosen], sizes, axes)
    order = axes + rest
    rows = permute_dims(x, order)
    kept = rows.shape
    rows = reshape(rows, (product(kept[: len(axes)]), *kept[len(axes) :]))
    back = placed(index.ndim, first, new.ndim)
    done = put_rows(mode, rows, index, permute_dims(new, inverse(back)))
    return permute_dims(reshape(done, kept), inverse(order))


def gather_nd(x: TensorLike, indices: TensorLike) -> Tensor:
    """x at the positions that the last axis of the indices spells out, one number an axis of x.

    Axes of x that are not spelled out stay. Out of range is a RuntimeCheckError.
    """
    x, indices = lift(x), integers("gather_nd", indices)
    count = indices.shape[-1] if indices.ndim else None
    if not isinstance(count, int) or count > x.ndim:
        fail(
            ShapeError,
            f"gather_nd: the last axis of {indices.type} (input 1) must have a known size,"
            f" {x.ndim} at most: the axes of {x.type} (input 0)",
            (x, indices),
        )
    if count == 0:
        return expand(x, indices.shape[:-1] + x.shape)
    chosen = [(axis, indices[..., axis]) for axis in range(count)]
    return gather_joint(x, chosen, contiguous=True)
