"""From what the user passes to arrays of the declared types, and the values of the dims."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np

from graphc import origin as origins
from graphc.errors import ArgumentError, DTypeError, GraphcError, NameError, ShapeError
from graphc.ir.dims import Dim, Poly, Size, dims_of, evaluate
from graphc.ir.exchange import to_numpy
from graphc.ir.graph import Node
from graphc.ir.ops import leaf
from graphc.ir.ops.base import Array
from graphc.ir.types import DType, TensorType, find_dtype

CASTS = ("same_kind", "no")


@dataclass(frozen=True)
class Binding:
    """What a function takes: its name, its input nodes in order, and how dtypes may differ."""

    function: str
    inputs: tuple[Node, ...]
    cast: str = "same_kind"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the inputs in order."""
        return tuple(label(n) for n in self.inputs)

    def bind(
        self, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[list[Array], dict[str, int]]:
        """Arrays of the declared types in order, and the values of the dims."""
        values = self.match(args, kwargs)
        arrays = [convert(self.function, n, v, self.cast) for n, v in zip(self.inputs, values)]
        return arrays, bind_dims(self.function, self.inputs, [a.shape for a in arrays])

    def match(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
        """One value for every input, in order."""
        names = self.names
        if len(args) == len(names) and not kwargs:
            return list(args)
        if len(args) > len(names):
            self._fail(f"takes {len(names)} inputs, got {len(args)}")
        given = dict(zip(names, args))
        for name, value in kwargs.items():
            if name not in names:
                near = get_close_matches(name, names, 1)
                hint = f"did you mean {near[0]}?" if near else None
                self._fail(f"has no input {name}", NameError, hint)
            if name in given:
                self._fail(f"input {name} is given twice", NameError)
            given[name] = value
        missing = [name for name in names if name not in given]
        if missing:
            words = ("input", "is") if len(missing) == 1 else ("inputs", "are")
            self._fail(f"{words[0]} {', '.join(missing)} {words[1]} missing", NameError)
        return [given[name] for name in names]

    def _fail(
        self, text: str, error: type[GraphcError] = ArgumentError, hint: str | None = None
    ) -> None:
        listing = tuple(("input", f"{label(n)} {n.type}", n.origin) for n in self.inputs)
        raise error(
            f"{self.function}: {text}", operands=listing, origin=origins.find_origin(), hint=hint
        )


def label(node: Node) -> str:
    """The user's name of an input or parameter node."""
    op = node.op
    return op.label if isinstance(op, (leaf.Input, leaf.Parameter)) else node.name


# --------------------------------------------------------------------------- one value


def convert(function: str, node: Node, value: Any, cast: str = "same_kind") -> Array:
    """The value as a C-ordered, aligned array of the node's dtype and rank.

    Its sizes are not looked at.
    """
    array = value if type(value) is np.ndarray else as_array(function, node, value)
    wanted = node.type.dtype
    if not array.dtype.isnative:
        _refuse(
            DTypeError,
            f"{function}: input {label(node)} is byte-swapped ({array.dtype.str})",
            node,
            array,
            "array.astype(array.dtype.newbyteorder('=')) makes a native copy",
        )
    if array.dtype != wanted.numpy:
        weak = isinstance(value, (int, float, list, tuple))
        array = _cast(function, node, array, cast, weak)
    if array.ndim != node.type.ndim:
        _refuse(
            ShapeError,
            f"{function}: input {label(node)} must have {node.type.ndim} axes, got {array.ndim}",
            node,
            array,
        )
    regular = array.flags.c_contiguous and array.flags.aligned
    return array if regular else np.array(array, order="C")


def as_array(function: str, node: Node, value: Any) -> Array:
    """A numpy array of what has the buffer protocol, DLPack, or is nested Python numbers."""
    from graphc.frontend.tensor import Tensor

    where = f"{function}: input {label(node)}"
    if isinstance(value, Tensor) or value is None:
        kind = "a symbolic tensor" if isinstance(value, Tensor) else "None"
        _refuse(ArgumentError, f"{where} must be an array, got {kind}", node)
    try:
        return np.asarray(to_numpy(value))
    except (ValueError, TypeError, RuntimeError, BufferError, OverflowError) as error:
        _refuse(ArgumentError, f"{where}: {type(value).__name__} is no array: {error}", node)
        raise AssertionError from None  # _refuse raises


def _cast(function: str, node: Node, array: Array, cast: str, weak: bool) -> Array:
    """The array in the node's dtype, where the rules and the values allow it."""
    source, wanted = find_dtype(array.dtype), node.type.dtype
    if source is None or not _allowed(array, source, wanted, cast, weak):
        given = source.name if source else str(array.dtype)
        hint = f"convert it: array.astype({wanted.name!r})" if source else None
        text = f"{function}: input {label(node)} must be {wanted.name}, got {given}"
        _refuse(DTypeError, text, node, array, hint)
    with np.errstate(all="ignore"):
        result = array.astype(wanted.numpy)
    lost = lost_value(array, result, wanted)
    if lost is None and wanted.is_float and array.dtype.kind in "iu":
        lost = _rounded(array, result)
    if lost is not None:
        text = f"{function}: input {label(node)}: {lost} does not fit {wanted.name}"
        _refuse(ArgumentError, text, node, array)
    return result


def _allowed(array: Array, source: DType, wanted: DType, cast: str, weak: bool) -> bool:
    """numpy's safe casts, float64 to shorter floats, int64 to int32, integers to floats; and of
    Python numbers what their kinds allow."""
    if weak:
        ranks = "b", "iu", "f"
        rank = {kind: i for i, kinds in enumerate(ranks) for kind in kinds}
        return rank[source.kind] <= rank[wanted.kind]
    if cast == "no":
        return False
    if source.name == "float64" and wanted.is_float:
        return True
    if source.name == "int64" and wanted.name == "int32":
        return True
    if source.is_integer and wanted.is_float:
        return True
    return np.can_cast(array.dtype, wanted.numpy, "safe")


def _rounded(array: Array, result: Array) -> Any:
    """An integer that the floats do not hold exactly."""
    wide = result.astype(np.float64)  # exact
    limits = np.iinfo(array.dtype)
    inside = (wide >= float(limits.min)) & (wide < float(limits.max + 1))
    back = np.where(inside, wide, 0.0).astype(array.dtype)
    lost = ~inside | (back != array)
    return array[lost].flat[0] if lost.any() else None


def lost_value(array: Array, result: Array, wanted: DType) -> Any:
    """A value that changed its meaning (a finite one became infinite, an integer wrapped)."""
    if not array.size or array.dtype.kind == "b":
        return None
    if wanted.is_integer:
        limits = np.iinfo(wanted.numpy)
        outside = [v for v in (array.min(), array.max()) if not limits.min <= v <= limits.max]
        return outside[0] if outside else None
    if not wanted.is_float or bool(np.isfinite(result).all()):
        return None
    overflowed = ~np.isfinite(result) & np.isfinite(array)
    return array[overflowed].flat[0] if overflowed.any() else None


def _refuse(
    error: type[GraphcError],
    text: str,
    node: Node,
    array: Array | None = None,
    hint: str | None = None,
) -> None:
    operands: list[tuple[str, str, Any]] = [("wanted", f"{label(node)} {node.type}", node.origin)]
    if array is not None:
        operands.append(("got", array_text(array), None))
    raise error(text, operands=tuple(operands), origin=origins.find_origin(), hint=hint)


def array_text(array: Array) -> str:
    """Dtype and shape of an array in the notation of types."""
    dtype = find_dtype(array.dtype)
    return f"{dtype.short if dtype else array.dtype}[{','.join(map(str, array.shape))}]"


# ------------------------------------------------------------------------------- sizes


def bind_dims(
    function: str, nodes: Sequence[Node], shapes: Sequence[tuple[int, ...]]
) -> dict[str, int]:
    """The dims that make the nodes' types fit the shapes; raises ShapeError when there are none."""
    dims: dict[str, int] = {}
    places: dict[str, tuple[Node, int]] = {}
    rows = [
        (node, axis, size, length)
        for node, shape in zip(nodes, shapes)
        for axis, (size, length) in enumerate(zip(node.type.shape, shape))
    ]
    for node, axis, size, length in rows:
        if isinstance(size, Dim):
            _bind(function, dims, places, node, axis, size, length)
    for node, axis, size, length in rows:
        if isinstance(size, Poly) and not isinstance(size, Dim):
            solved = _solve(size, length, dims)
            if solved is not None:
                _bind(function, dims, places, node, axis, *solved)
    for node, axis, size, length in rows:
        _check_size(function, dims, node, axis, size, length, shapes[nodes.index(node)])
    return dims


def _bind(
    function: str,
    dims: dict[str, int],
    places: dict[str, tuple[Node, int]],
    node: Node,
    axis: int,
    dim: Dim,
    length: int,
) -> None:
    """Give a dim its value; raise when it has another one or is out of its bounds."""
    here = f"axis {axis} of {label(node)}"
    if dim.name in dims and dims[dim.name] != length:
        other, other_axis = places[dim.name]
        raise ShapeError(
            f"{function}: dim {dim.name} is {dims[dim.name]} (axis {other_axis} of {label(other)})"
            f" but {length} ({here})",
            operands=tuple(("wanted", f"{label(n)} {n.type}", n.origin) for n in (other, node)),
            origin=origins.find_origin(),
        )
    bound = None
    if dim.max is not None and length > dim.max:
        bound = f"more than its maximum {dim.max}"
    elif length < dim.min:
        bound = f"less than its minimum {dim.min}"
    if bound:
        raise ShapeError(
            f"{function}: dim {dim.name} is {length} ({here}), {bound}",
            operands=(("wanted", f"{label(node)} {node.type}", node.origin),),
            origin=origins.find_origin(),
        )
    dims[dim.name] = length
    places.setdefault(dim.name, (node, axis))


def _linear(size: Poly, known: Container[str]) -> tuple[Dim, int, int] | None:
    """(dim, c, d) of a size c * dim + d with one unknown dim; None for other sizes."""
    unknown = [d for d in dims_of(size) if d.name not in known]
    terms = dict(size.terms)
    if len(unknown) != 1 or set(terms) - {(unknown[0],), ()}:
        return None
    return unknown[0], terms[(unknown[0],)], terms.get((), 0)


def _solve(size: Poly, length: int, dims: Mapping[str, int]) -> tuple[Dim, int] | None:
    """The one unknown dim and its value; None when there is none."""
    found = _linear(size, dims)
    if found is None:
        return None
    dim, scale, offset = found
    value, rest = divmod(length - offset, scale)
    return None if rest or value < 0 else (dim, value)


def _check_size(
    function: str,
    dims: Mapping[str, int],
    node: Node,
    axis: int,
    size: Size,
    length: int,
    shape: tuple[int, ...],
) -> None:
    """Raise unless the axis has the size that its type says."""
    if isinstance(size, Poly) and any(d.name not in dims for d in dims_of(size)):
        text = f"{function}: {label(node)}: {length} (axis {axis}) does not fit {size}"
    elif (wanted := evaluate(size, dims)) != length:
        said = str(size) if isinstance(size, int) else f"{size} = {wanted}"
        text = f"{function}: input {label(node)} must have {said} on axis {axis}, got {length}"
    else:
        return
    got = f"{node.type.dtype.short}[{','.join(map(str, shape))}]"
    raise ShapeError(
        text,
        operands=(("wanted", f"{label(node)} {node.type}", node.origin), ("got", got, None)),
        origin=origins.find_origin(),
    )


def unbindable(inputs: Iterable[Node], needed: Iterable[Size]) -> Dim | None:
    """A dim that the needed sizes mention and no input can tell; None when all are known."""
    sizes = [size for n in inputs for size in n.type.shape if isinstance(size, Poly)]
    known = {size.name for size in sizes if isinstance(size, Dim)}
    for size in sizes:
        if _linear(size, known) is not None:
            known |= {d.name for d in dims_of(size)}
    return next((d for size in needed for d in dims_of(size) if d.name not in known), None)


def concrete(type: TensorType, dims: Mapping[str, int]) -> TensorType:
    """The type with integers for sizes."""
    return TensorType(type.dtype, tuple(evaluate(size, dims) for size in type.shape))
