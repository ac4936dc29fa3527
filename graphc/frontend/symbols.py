"""The leaves of graphs: dims, inputs, parameters, constants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc import origin as origins
from graphc.errors import ArgumentError, DTypeError, MemoryBudgetError, NameError, ShapeError
from graphc.frontend import ownership
from graphc.frontend.parameter import Parameter
from graphc.frontend.seed import current_seed, generator
from graphc.frontend.tensor import Tensor, constant_of, lift_op
from graphc.frontend.typing import DTypeLike, Shape, TensorLike
from graphc.ir.arrays import converted, python_array
from graphc.ir.dims import Dim, Poly, Size
from graphc.ir.limits import MAX_ADDRESSABLE_BYTES
from graphc.ir.ops import leaf
from graphc.ir.types import DType, TensorType, find_dtype, float32


def dim(name: str, max: int | None = None, min: int = 0) -> Dim:
    """A size that is known when a function is called, at least `min` and at most `max`."""
    check_name("dim", name)
    for word, value in (("min", min), ("max", max)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise ArgumentError(
                f"dim {name}: {word} must be an int, got {value!r}", origin=origins.find_origin()
            )
    if min < 0 or (max is not None and max < min):
        raise ArgumentError(
            f"dim {name}: needs 0 <= min <= max, got min={min}, max={max}",
            origin=origins.find_origin(),
        )
    return Dim(name, max, min)


def input(name: str, shape: Shape = (), dtype: DTypeLike = "float32") -> Tensor:
    """A value given at every call; a str in the shape is a dim."""
    check_name("input", name)
    type = TensorType(
        check_dtype(f"input {name}", dtype), check_shape(f"input {name}", shape, dims=True)
    )
    check_bytes(f"input {name}", type)
    return lift_op(leaf.Input(name, type), name=name)


def parameter(
    name: str,
    shape: Shape | None = None,
    init: Callable[..., Any] | None = None,
    dtype: DTypeLike | None = None,
    trainable: bool = True,
    value: TensorLike | None = None,
) -> Parameter:
    """A persistent value that compiled functions share and update.

    `init(shape, dtype, rng)` gives the first value when it is first needed, with a generator that
    depends on the seed and the name alone; zeros without. Or `value=array` (the default dtype is
    then the array's; otherwise float32). Only parameters of floats are trainable. Made while a
    layer is called, it belongs to the layer, whose later calls get the same one.
    """
    check_name("parameter", name)
    settings = ((name,), {"shape": shape, "dtype": dtype, "trainable": trainable})
    return ownership.construct(
        "gx.parameter",
        settings,
        lambda: new_parameter(name, shape, init, dtype, trainable, value),
    )


def new_parameter(
    name: str,
    shape: Shape | None = None,
    init: Callable[..., Any] | None = None,
    dtype: DTypeLike | None = None,
    trainable: bool = True,
    value: TensorLike | None = None,
) -> Parameter:
    """`parameter` for those who keep what they make."""
    check_name("parameter", name)
    label = origins.current().scope + name
    where = f"parameter {label}"
    if value is not None:
        return _with_value(label, shape, init, dtype, trainable, value)
    if shape is None:
        raise ArgumentError(f"{where}: needs a shape or a value", origin=origins.find_origin())
    if init is not None and not callable(init):
        raise ArgumentError(
            f"{where}: init must be a function (shape, dtype, rng) -> array, got {init!r}",
            origin=origins.find_origin(),
            hint="call the initialiser's maker: gx.init.zeros(); or use value=array",
        )
    kind = float32 if dtype is None else check_dtype(where, dtype)
    type = TensorType(kind, check_shape(where, shape, dims=False))
    check_bytes(where, type)
    return _make(label, type, trainable, _initial(label, type, init, current_seed()))


def _with_value(
    label: str,
    shape: Shape | None,
    init: Any,
    dtype: DTypeLike | None,
    trainable: bool,
    value: TensorLike,
) -> Parameter:
    where = f"parameter {label}"
    if init is not None:
        raise ArgumentError(f"{where}: has both init and value", origin=origins.find_origin())
    kind = None if dtype is None else check_dtype(where, dtype)
    array = python_array(value, kind)
    found = kind or find_dtype(array.dtype)
    if found is None:
        raise DTypeError(
            f"{where}: no dtype for a value of {array.dtype}", origin=origins.find_origin()
        )
    wanted = array.shape if shape is None else check_shape(where, shape, dims=False)
    if wanted != array.shape:
        raise ShapeError(
            f"{where}: shape is {wanted} but the value has shape {array.shape}",
            origin=origins.find_origin(),
        )
    parameter = _make(label, TensorType(found, array.shape), trainable, lambda: 0)
    parameter.value = array
    return parameter


def _make(label: str, type: TensorType, trainable: bool, initial: Callable[[], Any]) -> Parameter:
    op = leaf.Parameter(label, type, bool(trainable) and type.dtype.is_float)
    return Parameter(lift_op(op, name=label).node, initial)


def _initial(
    label: str, type: TensorType, init: Callable[..., Any] | None, seed: int
) -> Callable[[], Any]:
    """What computes the first value; checks what the initialiser returns."""
    shape = tuple(int(s) for s in type.shape)  # type: ignore[arg-type]
    origin = origins.current().origin or origins.find_origin()

    def initial() -> Any:
        if init is None:
            return 0
        array = np.asarray(init(shape, type.dtype.name, generator(seed, label)))
        if array.shape != shape:
            raise ShapeError(
                f"parameter {label}: init gave shape {array.shape}, not {shape}", origin=origin
            )
        return array

    return initial


def constant(value: TensorLike, dtype: DTypeLike | None = None, name: str = "") -> Tensor:
    """An array that is part of the program; Python numbers become float32 or int32."""
    if isinstance(value, Tensor):
        raise ArgumentError(
            f"constant: {value!r} is symbolic already", origin=origins.find_origin()
        )
    array = python_array(value, None if dtype is None else find_dtype(dtype))
    if find_dtype(array.dtype) is None:
        raise DTypeError(
            f"constant: {value!r:.60} does not fit into any dtype", origin=origins.find_origin()
        )
    if dtype is not None:
        array = converted("constant", array, check_dtype("constant", dtype))
    if name:
        check_name("constant", name)
    tensor = constant_of(array)
    tensor.node.name = name
    return tensor


# ------------------------------------------------------------------------------ checks


def check_name(what: str, name: Any) -> None:
    """Raise unless the name is a non-empty str of printable characters."""
    if not isinstance(name, str):
        raise NameError(
            f"{what}: the name must be a str, got {name!r}", origin=origins.find_origin()
        )
    if not name or not name.isprintable():
        raise NameError(
            f"{what}: the name {name!r} must have printable characters only, and some",
            origin=origins.find_origin(),
        )


def check_dtype(what: str, dtype: DTypeLike) -> DType:
    """The DType of a name; raises with the choices."""
    found = find_dtype(dtype)
    if found is None or dtype is None:
        raise DTypeError(
            f"{what}: no dtype is called {dtype!r}",
            origin=origins.find_origin(),
            hint="bool, int8-64, uint8-64, float16, bfloat16, float32, float64",
        )
    return found


def check_shape(what: str, shape: Shape, dims: bool) -> tuple[Size, ...]:
    """The sizes of a shape: non-negative ints and, if allowed, dims (a str makes one)."""
    if isinstance(shape, (int, str, Poly, np.integer)):
        shape = (shape,)
    if not isinstance(shape, (tuple, list)):
        raise ShapeError(
            f"{what}: the shape must be a tuple of sizes, got {shape!r}",
            origin=origins.find_origin(),
        )
    return tuple(_check_size(what, axis, size, dims) for axis, size in enumerate(shape))


def _check_size(what: str, axis: int, size: Any, dims: bool) -> Size:
    if isinstance(size, (int, np.integer)) and not isinstance(size, bool):
        if size < 0:
            raise ShapeError(
                f"{what}: sizes are 0 or more, got {size} on axis {axis}",
                origin=origins.find_origin(),
            )
        return int(size)
    if isinstance(size, (str, Poly)) and not dims:
        raise ShapeError(
            f"{what}: sizes must be ints, got {size} on axis {axis}",
            origin=origins.find_origin(),
            hint="a persistent value has one shape for good",
        )
    if isinstance(size, str):
        return dim(size)
    if isinstance(size, Poly):
        return size
    raise ShapeError(
        f"{what}: sizes are ints, dims or names of dims, got {size!r} on axis {axis}",
        origin=origins.find_origin(),
    )


def check_bytes(what: str, type: TensorType) -> None:
    """Raise where no machine could hold the type."""
    if isinstance(type.nbytes, int) and type.nbytes >= MAX_ADDRESSABLE_BYTES:
        raise MemoryBudgetError(
            f"{what}: {type} has {type.nbytes} bytes, more than an address can count",
            origin=origins.find_origin(),
        )
