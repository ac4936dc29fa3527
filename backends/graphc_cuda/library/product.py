"""A product of dense matrices as cuBLASLt understands it, and what it means."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graphc.ir.types import Array, DType
from graphc_cuda.library.epilogue import PLAIN, Epilogue

WORKSPACE_BYTES = 4 << 20  # that a call may use beside its operands
ALIGNMENT = 16  # bytes of which operands begin at a multiple
MIN_PRODUCTS = 1 << 24  # multiplications from which on a call is worth its place: 256 cubed
F32, TF32, F64 = "f32", "tf32", "f64"  # what products are computed in


@dataclass(frozen=True)
class Matrix:
    """A matrix in columns: `leading` elements from one to the next, `stride` to the next product's.

    It stands in memory as `rows` x `columns`; `transposed` says that the product takes it turned.
    """

    dtype: DType
    rows: int
    columns: int
    leading: int
    stride: int = 0
    transposed: bool = False

    def size(self, batch: int) -> int:
        """Elements from the first to the last one."""
        return (batch - 1) * self.stride + (self.columns - 1) * self.leading + self.rows

    def view(self, flat: Array, batch: int) -> Array:
        """All matrices as the product takes them, on flat memory."""
        each = flat.itemsize
        shape = (batch, self.rows, self.columns)
        steps = (self.stride * each, each, self.leading * each)
        found = np.lib.stride_tricks.as_strided(flat, shape, steps)
        return found.transpose(0, 2, 1) if self.transposed else found


@dataclass(frozen=True)
class Product:
    """c = a b for every one of a batch, added up in float32 or float64, then rounded to c's type.

    Matrices in rows are the turned ones in columns, so what users call left is `b` here. A single
    product may have an `epilogue`; its bias has an element for every row of c.
    """

    batch: int
    steps: int
    a: Matrix
    b: Matrix
    c: Matrix
    compute: str
    epilogue: Epilogue = PLAIN

    @property
    def matrices(self) -> tuple[Matrix, Matrix, Matrix]:
        """Operands and result."""
        return self.a, self.b, self.c

    def __str__(self) -> str:
        c = self.c
        turned = "".join("nt"[m.transposed] for m in (self.a, self.b))
        sizes = f"{self.batch}x{c.rows}x{c.columns}x{self.steps}"
        after = f", {self.epilogue}" * bool(str(self.epilogue))
        types = f"{self.a.dtype.name} to {c.dtype.name}"
        return f"cuBLASLt {sizes} {turned} {types} by {self.compute}{after}"

    @property
    def bias_bytes(self) -> int:
        """Bytes of the bias."""
        return self.c.rows * self.c.dtype.itemsize

    @property
    def nbytes(self) -> tuple[int, ...]:
        """Bytes of the matrices and of the bias, where it has one."""
        matrices = (m.size(self.batch) * m.dtype.itemsize for m in self.matrices)
        return (*matrices, *[self.bias_bytes] * self.epilogue.has_bias)

    def multiply(self, a: Array, b: Array, c: Array, bias: Array | None = None) -> None:
        """What the call does, by numpy on flat memory; sums are in another order than a GPU's."""
        held = np.float64 if self.compute == F64 else np.float32
        left, right = (m.view(x, self.batch).astype(held) for m, x in zip((self.a, self.b), (a, b)))
        sums = self.epilogue.apply(np.matmul(left, right), bias)
        self.c.view(c, self.batch)[:] = sums.astype(c.dtype)
