"""The functions of `program.Intrinsic`: what numba and LLVM have no sign for.

Each has a meaning in Python beside its PTX (`language.py`, `print_nvptx.py`).

    atomic_min(array, index, value)        uint32 in global memory, no result
    load_vector(array, index) -> 2, 4, 8   neighbours; their bytes are aligned to their size
    store_vector(array, index, values...)  the same for 2, 4 or 8 values
    copy_async(shared, index, array, index, count)
                                           count elements (4, 8 or 16 bytes, aligned) from global
                                           memory, there after the wait and a barrier
    copy_async_commit()                    closes a group of copies
    copy_async_wait(n)                     until all groups but the last n are there
    pack_bf16(low, high) -> 1              two float32, rounded, as one uint32; pack_f16 alike
    round_tf32(x) -> 1                     float32 to the nearest TF32, away from 0 at ties, as the
                                           uint32 that mma takes
    mma_bf16(a0..a3, b0, b1, c0..c3) -> 4  m16n8k16: uint32 pairs, float32 sums; mma_f16 alike
    mma_tf32(a0..a3, b0, b1, c0..c3) -> 4  m16n8k8: uint32 operands, float32 sums
    load_matrix(shared, index) -> 4        ldmatrix.x4 of 16-bit elements (uint16 array): thread t
                                           names the row t % 8 of matrix t / 8, as uint32 pairs
    load_matrix_transposed(shared, index) -> 4   the same with each 8 x 8 matrix transposed
"""

from __future__ import annotations

INTRINSICS = (
    "atomic_min", "load_vector", "store_vector", "copy_async", "copy_async_commit",
    "copy_async_wait", "pack_bf16", "pack_f16", "round_tf32", "mma_bf16", "mma_f16", "mma_tf32",
    "load_matrix", "load_matrix_transposed",
)  # fmt: skip
