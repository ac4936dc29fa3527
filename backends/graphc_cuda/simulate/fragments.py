"""Matrix fragments: which thread of a warp holds which element, as the PTX manual has it.

Threads are numbered 0 to 31; g = thread / 4 and t = thread % 4. Values have a row for each warp
and a column for each thread.

    m16n8k16, 16-bit   A 16 x 16: a0 (g, 2t), a1 (g+8, 2t), a2 (g, 2t+8), a3 (g+8, 2t+8)
                       B 16 x 8:  b0 (2t, g), b1 (2t+8, g); each also has the next along k
    m16n8k8, TF32      A 16 x 8:  a0 (g, t), a1 (g+8, t), a2 (g, t+4), a3 (g+8, t+4)
                       B 8 x 8:   b0 (t, g), b1 (t+4, g)
    sums, float32      C 16 x 8:  c0 (g, 2t), c1 (g, 2t+1), c2 (g+8, 2t), c3 (g+8, 2t+1)

NVIDIA does not say in which order a tensor core adds, nor how it rounds on the way. Here the
products, which are exact, are added to the sum in float64, in the order of k, and the result is
rounded to float32 once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.ir.types import Array
from graphc_cuda.language import bf16_to_f32, f16_to_f32

_THREAD = np.arange(32)
_G, _T = _THREAD // 4, _THREAD % 4


def multiply_fragments(name: str, values: list[Array]) -> tuple[Array, ...]:
    """Return c0..c3 of C + A B for the ten values of each thread."""
    if name == "mma_tf32":
        a, b = _tf32_matrices(values[:4], values[4:6])
    else:
        widen = bf16_to_f32 if name == "mma_bf16" else f16_to_f32
        a, b = _half_matrices(values[:4], values[4:6], widen)
    total = _sums(values[6:]).astype(np.float64)
    for k in range(a.shape[2]):
        total = total + a[:, :, k : k + 1] * b[:, k : k + 1, :]
    single = total.astype(np.float32)
    places = ((_G, 2 * _T), (_G, 2 * _T + 1), (_G + 8, 2 * _T), (_G + 8, 2 * _T + 1))
    return tuple(single[:, row, column] for row, column in places)


def _half_matrices(a: list[Array], b: list[Array], widen: Any) -> tuple[Array, Array]:
    warps = len(a[0])
    left, right = np.empty((warps, 16, 16)), np.empty((warps, 16, 8))
    for register, pair in enumerate(a):
        row, column = _G + 8 * (register % 2), 2 * _T + 8 * (register // 2)
        for half in range(2):
            left[:, row, column + half] = widen(_half(pair, half))
    for register, pair in enumerate(b):
        for half in range(2):
            right[:, 2 * _T + 8 * register + half, _G] = widen(_half(pair, half))
    return left, right


def _half(pair: Array, half: int) -> Array:
    return (pair >> np.uint32(16 * half)).astype(np.uint16)


def _tf32_matrices(a: list[Array], b: list[Array]) -> tuple[Array, Array]:
    warps = len(a[0])
    left, right = np.empty((warps, 16, 8)), np.empty((warps, 8, 8))
    for register, bits in enumerate(a):
        left[:, _G + 8 * (register % 2), _T + 4 * (register // 2)] = _tf32(bits)
    for register, bits in enumerate(b):
        right[:, _T + 4 * register, _G] = _tf32(bits)
    return left, right


def _tf32(bits: Array) -> Array:
    """What the tensor core sees of 32 bits: it drops the last 13."""
    return (bits & np.uint32(0xFFFFE000)).view(np.float32)


def _sums(c: list[Array]) -> Array:
    result = np.empty((len(c[0]), 16, 8), np.float32)
    for register, values in enumerate(c):
        result[:, _G + 8 * (register // 2), 2 * _T + register % 2] = values
    return result


def matrix_places(starts: Array, transposed: bool = False) -> list[tuple[Array, Array]]:
    """Where thread t of each warp finds its pair of each of four 8 x 8 matrices.

    `starts` is the first element of the row that each thread names: row t % 8 of matrix t / 8.
    Thread t gets elements 2 (t % 4) and the next of row t / 4 of every matrix, or `transposed`
    those of column t / 4.
    """
    if transposed:
        rows = [8 * matrix + 2 * _T for matrix in range(4)]
        return [(starts[:, row] + _G, starts[:, row + 1] + _G) for row in rows]
    firsts = [starts[:, 8 * matrix + _G] + 2 * _T for matrix in range(4)]
    return [(first, first + 1) for first in firsts]
