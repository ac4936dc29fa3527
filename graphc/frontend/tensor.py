"""The user's handle of a node: `Tensor` with operators, and what makes one of a value.

Operators and functions need each other. This module imports the functions when the first operator
is used (`_functions`), and the picture of a tensor when a notebook asks for it: nothing else late.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NoReturn

import numpy as np

from graphc import elsewhere
from graphc import origin as origins
from graphc.errors import ArgumentError, DTypeError, ShapeError, UnsupportedError
from graphc.frontend.numpy_calls import apply_function, apply_ufunc
from graphc.frontend.seed import current_seed
from graphc.frontend.typing import AxisLike, DTypeLike, Index, Shape, TensorLike
from graphc.ir import graph as graphs
from graphc.ir.arrays import convert, python_array
from graphc.ir.dims import Poly, Size
from graphc.ir.graph import Node
from graphc.ir.interpret import Interpreter, Random
from graphc.ir.ops import leaf
from graphc.ir.ops.base import Op
from graphc.ir.sizes import bind_dims
from graphc.ir.types import Array, DType, TensorType, bool_, find_dtype, weak_dtype


class Tensor:
    """A symbolic value. Immutable; operators build the graph; one Tensor per node."""

    __slots__ = ("node",)
    __array_priority__ = 1000  # numpy arrays on the left defer to our reflected operators

    def __init__(self, node: Node) -> None:
        self.node = node
        node.handle = self

    # -- facts ------------------------------------------------------------------

    @property
    def type(self) -> TensorType:
        """Element type and shape."""
        return self.node.type

    @property
    def shape(self) -> tuple[Size, ...]:
        """Sizes: ints, dims or polynomials of dims."""
        return self.node.type.shape

    @property
    def dtype(self) -> DType:
        """Element type."""
        return self.node.type.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.node.type.shape)

    @property
    def size(self) -> Size:
        """Number of elements."""
        return self.node.type.size

    @property
    def name(self) -> str:
        """What the user called it; empty if nothing."""
        return self.node.name

    def __repr__(self) -> str:
        return f"<Tensor {self.node.name or self.node.op.name} {self.type} {self.node.origin}>"

    # -- what a symbol cannot do ----------------------------------------------------

    @property
    def _look(self) -> str:
        """How to see a value."""
        return "gx.where chooses inside the graph, tensor.eval({...}) looks at a value"

    def _no_value(self, wanted: str) -> NoReturn:
        name = self.node.name or self.node.op.name
        raise ArgumentError(
            f"{name} {self.type} is symbolic: it has no {wanted} yet",
            operands=graphs.describe((self.node,)),
            origin=origins.find_origin(),
            hint=self._look,
        )

    def __bool__(self) -> bool:
        self._no_value("truth value")

    def __getattr__(self, name: str) -> NoReturn:
        text = f"{type(self).__name__!r} object has no attribute {name!r}"
        found = None if name.startswith("_") else elsewhere.answer(name, dir(self), methods=True)
        raise AttributeError(text if found is None else f"{text}\n  did you mean   {found}")

    def __int__(self) -> int:
        self._no_value("value as an int")

    def __float__(self) -> float:
        self._no_value("value as a float")

    def __index__(self) -> int:
        self._no_value("value as an index")

    def __len__(self) -> int:
        if not self.shape or not isinstance(self.shape[0], int):
            self._no_value("length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if not self.shape or not isinstance(self.shape[0], int):
            self._no_value("known number of rows to iterate over")
        return (self[i] for i in range(self.shape[0]))

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        name = self.node.name or self.node.op.name
        raise UnsupportedError(
            f"{name} {self.type} cannot be copied or pickled: it is a part of a graph",
            operands=graphs.describe((self.node,)),
            origin=origins.find_origin(),
            hint="gx.save keeps values: build the model again there, then gx.load",
        )

    def __array__(self, *_: Any, **__: Any) -> Array:
        self._no_value("value as a numpy array")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        return apply_ufunc(_functions(), self, ufunc, method, inputs, options)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return apply_function(_functions(), self, function, args)

    __hash__ = object.__hash__

    # -- operators (graphc.frontend.functions has their meaning) -------------------------------

    def __add__(self, other: TensorLike) -> Tensor:
        return _functions().add(self, other)

    def __radd__(self, other: TensorLike) -> Tensor:
        return _functions().add(other, self)

    def __sub__(self, other: TensorLike) -> Tensor:
        return _functions().subtract(self, other)

    def __rsub__(self, other: TensorLike) -> Tensor:
        return _functions().subtract(other, self)

    def __mul__(self, other: TensorLike) -> Tensor:
        return _functions().multiply(self, other)

    def __rmul__(self, other: TensorLike) -> Tensor:
        return _functions().multiply(other, self)

    def __truediv__(self, other: TensorLike) -> Tensor:
        return _functions().divide(self, other)

    def __rtruediv__(self, other: TensorLike) -> Tensor:
        return _functions().divide(other, self)

    def __floordiv__(self, other: TensorLike) -> Tensor:
        return _functions().floor_divide(self, other)

    def __rfloordiv__(self, other: TensorLike) -> Tensor:
        return _functions().floor_divide(other, self)

    def __mod__(self, other: TensorLike) -> Tensor:
        return _functions().remainder(self, other)

    def __rmod__(self, other: TensorLike) -> Tensor:
        return _functions().remainder(other, self)

    def __pow__(self, other: TensorLike) -> Tensor:
        return _functions().pow(self, other)

    def __rpow__(self, other: TensorLike) -> Tensor:
        return _functions().pow(other, self)

    def __matmul__(self, other: TensorLike) -> Tensor:
        return _functions().matmul(self, other)

    def __rmatmul__(self, other: TensorLike) -> Tensor:
        return _functions().matmul(other, self)

    def __and__(self, other: TensorLike) -> Tensor:
        return _functions().bitwise_and(self, other)

    def __rand__(self, other: TensorLike) -> Tensor:
        return _functions().bitwise_and(other, self)

    def __or__(self, other: TensorLike) -> Tensor:
        return _functions().bitwise_or(self, other)

    def __ror__(self, other: TensorLike) -> Tensor:
        return _functions().bitwise_or(other, self)

    def __xor__(self, other: TensorLike) -> Tensor:
        return _functions().bitwise_xor(self, other)

    def __rxor__(self, other: TensorLike) -> Tensor:
        return _functions().bitwise_xor(other, self)

    def __lshift__(self, other: TensorLike) -> Tensor:
        return _functions().bitwise_left_shift(self, other)

    def __rlshift__(self, other: TensorLike) -> Tensor:
        return _functions().bitwise_left_shift(other, self)

    def __rshift__(self, other: TensorLike) -> Tensor:
        return _functions().bitwise_right_shift(self, other)

    def __rrshift__(self, other: TensorLike) -> Tensor:
        return _functions().bitwise_right_shift(other, self)

    def __invert__(self) -> Tensor:
        return _functions().bitwise_invert(self)

    def __neg__(self) -> Tensor:
        return _functions().negative(self)

    def __pos__(self) -> Tensor:
        return self

    def __abs__(self) -> Tensor:
        return _functions().abs(self)

    def __lt__(self, other: TensorLike) -> Tensor:
        return _functions().less(self, other)

    def __le__(self, other: TensorLike) -> Tensor:
        return _functions().less_equal(self, other)

    def __gt__(self, other: TensorLike) -> Tensor:
        return _functions().greater(self, other)

    def __ge__(self, other: TensorLike) -> Tensor:
        return _functions().greater_equal(self, other)

    def __eq__(self, other: object) -> Tensor:  # type: ignore[override]
        return _functions().equal(self, other)

    def __ne__(self, other: object) -> Tensor:  # type: ignore[override]
        return _functions().not_equal(self, other)

    def __getitem__(self, key: Index) -> Tensor:
        return _functions().getitem(self, key)

    def __setitem__(self, key: Index, value: TensorLike) -> None:
        name = self.node.name or self.node.op.name
        raise ArgumentError(
            f"{name} {self.type} cannot be assigned to: tensors are immutable",
            operands=graphs.describe((self.node,)),
            hint="y = x.at[key].set(value) is x with other elements there",
        )

    # -- methods ---------------------------------------------------------------------

    @property
    def T(self) -> Tensor:  # noqa: N802
        """The transpose of a matrix."""
        if self.ndim != 2:
            raise ShapeError(
                f"T: needs a matrix, got {self.type}",
                operands=graphs.describe((self.node,)),
                origin=origins.find_origin(),
                hint="use .mT for a stack of matrices, gx.permute_dims for other orders",
            )
        return self.mT

    @property
    def mT(self) -> Tensor:  # noqa: N802
        """The last two axes swapped."""
        return _functions().matrix_transpose(self)

    @property
    def at(self) -> Any:
        """x.at[i].set(v), .add, .multiply, .min, .max: x with what x[i] names changed."""
        return _functions().At(self)

    def astype(self, dtype: DTypeLike) -> Tensor:
        """Convert the elements."""
        return _functions().astype(self, dtype)

    def reshape(self, *shape: Shape) -> Tensor:
        """The same elements in another shape; one size may be -1."""
        return _functions().reshape(self, shape[0] if len(shape) == 1 else shape)

    def sum(self, axis: AxisLike = None, keepdims: bool = False) -> Tensor:
        """Sum over axes."""
        return _functions().sum(self, axis=axis, keepdims=keepdims)

    def mean(self, axis: AxisLike = None, keepdims: bool = False) -> Tensor:
        """Mean over axes."""
        return _functions().mean(self, axis=axis, keepdims=keepdims)

    def max(self, axis: AxisLike = None, keepdims: bool = False) -> Tensor:
        """Largest over axes."""
        return _functions().max(self, axis=axis, keepdims=keepdims)

    def min(self, axis: AxisLike = None, keepdims: bool = False) -> Tensor:
        """Smallest over axes."""
        return _functions().min(self, axis=axis, keepdims=keepdims)

    def eval(self, feeds: dict[Tensor, Any] | None = None) -> Array:
        """Compute through the interpreter, for debugging; parameters have their present values."""
        return evaluate([self], {} if feeds is None else feeds)[0]

    def _repr_svg_(self) -> str | None:
        from graphc.inspect.notebook import tensor_svg

        return tensor_svg(self)


def evaluate(
    tensors: Sequence[Tensor], feeds: Mapping[Tensor, Any], rng: Random | None = None
) -> list[Array]:
    """The values of tensors, given those of the inputs; parameters have their present values.

    `rng` is the seed and the step of random numbers (default: the current seed, step 0).
    Raises NameError for an input that is needed and not fed.
    """
    if not isinstance(feeds, Mapping):
        _refuse_feeds(f"must be a dict with tensors as keys, got {feeds!r:.60}")
    given: dict[Node, Array] = {}
    for tensor, value in feeds.items():
        if not isinstance(tensor, Tensor) or not isinstance(tensor.node.op, leaf.Input):
            _refuse_feeds(f"maps inputs to arrays, got {tensor!r} as a key")
        given[tensor.node] = convert("eval", tensor.node, value)
    dims = bind_dims("eval", list(given), [a.shape for a in given.values()])
    interpreter = Interpreter(dims, rng or (current_seed(), 0))
    return interpreter.run([t.node for t in tensors], given)


def _refuse_feeds(text: str) -> NoReturn:
    raise ArgumentError(f"eval: feeds {text}", origin=origins.find_origin())


# ------------------------------------------------------------------------------ lifting


def handle(node: Node) -> Tensor:
    """The Tensor of a node; there is one for each node."""
    return node.handle if node.handle is not None else Tensor(node)


def lift_op(op: Op, *inputs: Tensor, name: str = "") -> Tensor:
    """Apply an op to tensors."""
    return Tensor(graphs.apply(op, *(t.node for t in inputs), name=name))


def literal(value: Any, dtype: DType, lifted: bool = False) -> Tensor:
    """A rank-0 number of a dtype."""
    if dtype.is_integer and not np.iinfo(dtype.numpy).min <= value <= np.iinfo(dtype.numpy).max:
        raise DTypeError(f"{value} does not fit into {dtype.name}", origin=origins.find_origin())
    python = bool(value) if dtype == bool_ else float(value) if dtype.is_float else int(value)
    return lift_op(leaf.Literal(python, dtype, lifted))


def lift(value: TensorLike, like: DType | None = None) -> Tensor:
    """A tensor from a tensor, a Python scalar (weak: takes `like`'s dtype) or an array.

    A Python float never makes an integer tensor silently truncate: beside an integer dtype it
    becomes float32. Without `like`, bool, int and float become bool, int32 and float32.
    A size is an int64, beside floats one of them. An array of floats keeps its dtype for now, and
    takes that of the float tensors that it meets (see `functions.operands.same_dtype`).
    """
    if isinstance(value, Tensor):
        return value
    if isinstance(value, Poly):
        size = lift_op(leaf.SizeOf(value))
        return size.astype(like) if like is not None and like.is_float else size
    if isinstance(value, (bool, int, float)) and not isinstance(value, np.generic):
        return literal(value, weak_dtype(value, like))
    return constant_of(value, lifted=True)


def constant_of(value: TensorLike, lifted: bool = False) -> Tensor:
    """A constant tensor of an array; its dtype is weak if it is `lifted`."""
    array = python_array(value)
    dtype = find_dtype(array.dtype)
    if dtype is None:
        raise DTypeError(
            f"cannot make a tensor of {type(value).__name__} with dtype {array.dtype}",
            origin=origins.find_origin(),
        )
    weak = lifted and dtype.is_float
    if array.ndim == 0:
        return literal(array.item(), dtype, weak)
    frozen = np.array(array, dtype.numpy, order="C")  # in the machine's byte order
    frozen.setflags(write=False)
    return lift_op(leaf.Constant(frozen, TensorType(dtype, array.shape), weak))


def zeros_like(x: Tensor) -> Tensor:
    """Zeros of the type of x."""
    return _functions().broadcast_to(literal(0, x.dtype), x.shape)


@cache
def _functions() -> Any:
    """The array functions, imported at first use."""
    from graphc.frontend import functions

    return functions
