"""What an op is, and what gradient rules work with: values, and the functions handed to them.

Rules see values through the protocol `SymbolicValue` and make new ones by operators and by the
functions `f` of the protocol `ArrayFunctions`, so that no op knows the tensors of the frontend.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol, Self, TypeVar

from graphc.ir.dims import Size, Sizes
from graphc.ir.types import Array, DType, TensorType


class SymbolicValue(Protocol):
    """A symbolic array: its type, and operators that broadcast and promote Python numbers."""

    @property
    def type(self) -> TensorType:
        """Element type and shape."""

    @property
    def shape(self) -> Sizes:
        """Sizes of the axes."""

    @property
    def dtype(self) -> DType:
        """Element type."""

    @property
    def ndim(self) -> int:
        """Number of axes."""

    @property
    def size(self) -> Size:
        """Number of elements."""

    @property
    def mT(self) -> Self:  # noqa: N802
        """The last two axes swapped."""

    def __add__(self, other: Self | float | Size, /) -> Self: ...
    def __radd__(self, other: Self | float | Size, /) -> Self: ...
    def __sub__(self, other: Self | float | Size, /) -> Self: ...
    def __rsub__(self, other: Self | float | Size, /) -> Self: ...
    def __mul__(self, other: Self | float | Size, /) -> Self: ...
    def __rmul__(self, other: Self | float | Size, /) -> Self: ...
    def __truediv__(self, other: Self | float | Size, /) -> Self: ...
    def __floordiv__(self, other: Self | float | Size, /) -> Self: ...
    def __pow__(self, other: Self | float | Size, /) -> Self: ...
    def __matmul__(self, other: Self | float | Size, /) -> Self: ...
    def __or__(self, other: Self | float | Size, /) -> Self: ...
    def __neg__(self) -> Self: ...
    def __lt__(self, other: Self | float | Size, /) -> Self: ...
    def __le__(self, other: Self | float | Size, /) -> Self: ...
    def __gt__(self, other: Self | float | Size, /) -> Self: ...
    def __eq__(self, other: object, /) -> Self: ...  # type: ignore[override]
    def __ne__(self, other: object, /) -> Self: ...  # type: ignore[override]
    def __getitem__(self, key: Any, /) -> Self: ...


V = TypeVar("V", bound=SymbolicValue)


class ArrayFunctions(Protocol[V]):
    """The functions of values that gradient rules use; the names are those of the array API.

    Python numbers take the dtype of what is beside them.
    """

    def apply(self, op: Op, /, *inputs: V) -> V:
        """Apply an op to values of the types that it takes."""

    def literal(self, value: float, dtype: DType, /) -> V:
        """Make a rank-0 number."""

    def known_number(self, x: V, /) -> float | None:
        """Return the number that stands everywhere in x, None if the program does not say."""

    # -- creation

    def zeros(self, shape: Sizes, dtype: DType, /) -> V:
        """Make zeros."""

    def zeros_like(self, x: V, /) -> V:
        """Make zeros of the type of x."""

    def ones_like(self, x: V, /) -> V:
        """Make ones of the type of x."""

    def iota(self, shape: Sizes, axis: int, dtype: DType, /) -> V:
        """Number the elements along one axis."""

    def arange(self, count: Size, /, *, dtype: DType) -> V:
        """Count from 0 to count - 1."""

    def eye(self, n: Size, /, *, dtype: DType) -> V:
        """Make an identity matrix."""

    # -- elements

    def astype(self, x: V, dtype: DType, /) -> V:
        """Convert the elements; x itself if it has the dtype."""

    def widened(self, x: V, /) -> V:
        """Convert 16-bit floats to float32, to round once what takes several steps."""

    def where(self, condition: V, x: V | float, y: V | float, /) -> V:
        """Take x where the condition is true, else y; the gradient of the other one is 0."""

    def choose(self, condition: V, x: V | float, y: V | float, /) -> V:
        """Do as `where` for branches whose gradients are finite."""

    def exp(self, x: V, /) -> V:
        """Raise e to x."""

    def log(self, x: V, /) -> V:
        """Take the natural logarithm."""

    def sqrt(self, x: V, /) -> V:
        """Take the square root."""

    def sign(self, x: V, /) -> V:
        """Return -1, 0 or 1."""

    def logical_and(self, x: V, y: V, /) -> V:
        """Tell where both are true."""

    def logical_or(self, x: V, y: V, /) -> V:
        """Tell where at least one is true."""

    def logical_not(self, x: V, /) -> V:
        """Tell where x is false."""

    # -- shapes

    def broadcast_to(self, x: V, shape: Sizes, /) -> V:
        """Repeat x along new leading axes and along axes of size 1."""

    def reshape(self, x: V, shape: Sizes, /) -> V:
        """Show the elements in another shape."""

    def expand_dims(self, x: V, axis: int, /) -> V:
        """Insert an axis of size 1."""

    def permute_dims(self, x: V, axes: tuple[int, ...], /) -> V:
        """Reorder the axes."""

    def flip(self, x: V, axis: int | tuple[int, ...], /) -> V:
        """Reverse the elements along axes."""

    def narrow(self, x: V, axis: int, start: Size, size: Size, /) -> V:
        """Cut `size` elements out of one axis."""

    def concat(self, xs: Sequence[V], /, *, axis: int) -> V:
        """Join values along an axis."""

    def tril(self, x: V, k: int = 0, /) -> V:
        """Keep the lower triangles of matrices, up to the k-th diagonal."""

    def triu(self, x: V, k: int = 0, /) -> V:
        """Keep the upper triangles of matrices, from the k-th diagonal on."""

    def sum(self, x: V, /, *, axis: int, keepdims: bool) -> V:
        """Sum along an axis."""

    # -- gradients with limits, which need derivatives themselves

    def eigh_cotangent(self, y: V, dy: V, /) -> V:
        """Return the cotangent of a symmetric matrix, given those of `Eigh`'s result."""

    def svd_cotangent(self, y: V, dy: V, rows: Size, /) -> V:
        """Return the cotangent of a matrix with so many rows, given those of `Svd`'s result."""


@dataclass(frozen=True)
class Op:
    """An operation. `vjp` gets and returns values; None means no gradient for that input.

    A class with attributes of its own is decorated as a frozen dataclass; one without inherits
    all it needs (equal if of one class), and so costs nothing when the package is imported.
    """

    name: ClassVar[str]
    pure: ClassVar[bool] = True  # False: never merged, never folded (random, checks)
    indices: ClassVar[int | None] = None  # which input names elements of an axis, and is checked

    # `**_` lets mypy accept each op's own arity
    def infer(self, *types: Any, **_: Any) -> TensorType:
        """The type of the result, or an error in the user's terms."""
        raise NotImplementedError

    def vjp(
        self, f: ArrayFunctions[V], y: V, dy: V, /, *inputs: Any, **_: Any
    ) -> tuple[V | None, ...]:
        """Cotangents of the inputs, made with `f`, given the result and its cotangent."""
        raise NotImplementedError(f"{self.name} has no gradient")

    def evaluate(self, *arrays: Any, **_: Any) -> Array:
        """The numpy reference, written independently of the lowering."""
        raise NotImplementedError

    def flops(self, out: TensorType, *types: TensorType) -> Size:
        """Arithmetic operations of one application; 0 for data movement."""
        return 0

    @property
    def differentiable(self) -> bool:
        """False where the gradient is zero or undefined everywhere (comparisons, indices)."""
        return True

    @classmethod
    def samples(cls) -> Samples:
        """Instances with input types for the tests to try."""
        return ()

    def attributes(self) -> str:
        """The static attributes as text for dumps, e.g. ``axes=(0,)``."""
        return ", ".join(f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if f.repr)


Samples = tuple[tuple[Op, tuple[TensorType, ...]], ...]  # instances, with input types
