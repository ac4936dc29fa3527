"""Kernels written by hand in the language of generated text, and what they compute."""

from __future__ import annotations

HEAD = '''"""by_hand: kernels for the simulator."""
from graphc_cuda.language import *
'''

MATMUL = (
    HEAD
    + """
@cuda.jit(device=True)
def relu_f32(x):
    t = x
    return t if t > f32(0.0) else f32(0.0)

@cuda.jit
def matmul(a, b, c):
    # model.py:7  m = nn.Dense(32)
    thread = cuda.threadIdx.x
    block = cuda.blockIdx.x
    left = cuda.shared.array(256, f32)
    right = cuda.shared.array(256, f32)
    row = thread // 16
    column = thread % 16
    i = block // 3 * 16 + row
    j = block % 3 * 16 + column
    acc = f32(0.0)
    for start in range(0, 32, 16):
        left[thread] = a[i * 32 + start + column]
        right[thread] = b[(start + row) * 48 + j]
        cuda.syncthreads()  # filled
        for k in range(0, 16, 1):
            acc = fma(left[row * 16 + k], right[k * 16 + column], acc)
        cuda.syncthreads()  # read
    c[i * 48 + j] = relu_f32(acc)
"""
)

# one block of 128 threads for 1,000 numbers: serial, then warps by shuffles, then shared memory
REDUCE = (
    HEAD
    + """
@cuda.jit
def reduce(x, total):
    thread = cuda.threadIdx.x
    block = cuda.blockIdx.x
    parts = cuda.shared.array(4, f32)
    acc = f32(0.0)
    for i in range(block * 1000 + thread, block * 1000 + 1000, 128):
        acc = acc + x[i]
    lane = thread % 32
    offset = 16
    while offset > 0:
        other = cuda.shfl_sync(u32(0xFFFFFFFF), acc, (lane + offset) % 32)
        acc = acc + (other if lane + offset < 32 else f32(0.0))
        offset = offset // 2
    if lane == 0:
        parts[thread // 32] = acc
    cuda.syncthreads()
    if thread == 0:
        acc = f32(0.0)
        for warp in range(0, 4, 1):
            acc = acc + parts[warp]
        total[block] = acc
"""
)

# running sums of 256 elements a block: doubling steps, two barriers each
SCAN = (
    HEAD
    + """
@cuda.jit
def scan(x, y):
    thread = cuda.threadIdx.x
    i = cuda.blockIdx.x * 256 + thread
    line = cuda.shared.array(256, i32)
    line[thread] = x[i]
    cuda.syncthreads()
    step = 1
    while step < 256:
        before = line[thread - step] if thread >= step else i32(0)
        cuda.syncthreads()
        line[thread] = i32(line[thread] + before)
        cuda.syncthreads()
        step = step * 2
    y[i] = line[thread]
"""
)

# 50 x 70 -> 70 x 50 through a padded tile of 32 x 33, 256 threads, four rows each
TRANSPOSE = (
    HEAD
    + """
@cuda.jit
def transpose(x, y):
    thread = cuda.threadIdx.x
    block = cuda.blockIdx.x
    tile = cuda.shared.array(1056, f32)
    top = block // 3 * 32
    left = block % 3 * 32
    for part in range(0, 4, 1):
        row = thread // 32 + part * 8
        column = thread % 32
        if top + row < 50 and left + column < 70:
            tile[row * 33 + column] = x[(top + row) * 70 + left + column]
    cuda.syncthreads()
    for part in range(0, 4, 1):
        row = thread // 32 + part * 8
        column = thread % 32
        if left + row < 70 and top + column < 50:
            y[(left + row) * 50 + top + column] = tile[column * 33 + row]
"""
)

# sums of 16 by half a warp each: in shared memory, ordered by warp barriers of the half
HALF_WARPS = (
    HEAD
    + """
@cuda.jit
def half_warps(x, y):
    thread = cuda.threadIdx.x
    lane = thread % 16
    mask = u32(u32(0xFFFF) << u32(thread % 32 // 16 * 16))
    line = cuda.shared.array(64, f32)
    line[thread] = x[thread]
    cuda.syncwarp(mask)
    offset = 8
    while offset > 0:
        if lane < offset:
            line[thread] = line[thread] + line[thread + offset]
        cuda.syncwarp(mask)
        offset = offset // 2
    y[thread] = line[thread - lane]
"""
)

# two groups of copies in flight, 64 threads, 4 elements each
PIPELINE = (
    HEAD
    + """
@cuda.jit
def pipeline(x, y):
    thread = cuda.threadIdx.x
    tile = cuda.shared.array(512, f32)
    copy_async(tile, thread * 4, x, thread * 4, 4)
    copy_async_commit()
    acc = f32(0.0)
    for step in range(0, 4, 1):
        if step < 3:
            copy_async(tile, (step + 1) % 2 * 256 + thread * 4, x, (step + 1) * 256 + thread * 4, 4)
        copy_async_commit()
        copy_async_wait(1)
        cuda.syncthreads()
        acc = acc + tile[step % 2 * 256 + 255 - thread]
        cuda.syncthreads()
    y[thread] = acc
"""
)

# early return, branches, a loop with bounds of its own, local memory with an index of its own
CONTROL = (
    HEAD
    + """
@cuda.jit
def control(x, n, y):
    i = cuda.blockIdx.x * 64 + cuda.threadIdx.x
    if i >= n[0]:
        return
    held = cuda.local.array(4, f32)
    for j in range(0, 4, 1):
        held[j] = f32(j)
    acc = f32(0.5)
    for k in range(0, i % 7, 1):
        acc = acc + (x[i - k] if i - k > 3 else f32(1.0))
        held[k % 4] = acc
    m = i
    while m > 50:
        m = m - 37
        if m % 2 == 0:
            acc = acc - f32(m)
        elif m % 3 == 0:
            acc = acc * f32(0.5)
        else:
            held[m % 4] = held[m % 4] + f32(1.0)
    y[i] = acc + held[i % 4]
"""
)

VECTORS = (
    HEAD
    + """
@cuda.jit
def vectors(x, y, status):
    first = (cuda.blockIdx.x * 32 + cuda.threadIdx.x) * 4
    a, b, c, d = load_vector4(x, first)
    store_vector4(y, first, d, c, b, a)
    if a > f32(0.5):
        atomic_min(status, 0, u32(first))
"""
)

# two warps, each a 16 x 8 x 16 product of 16-bit floats; `a` comes by load_matrix from rows of 24
# elements, `b` is stored column by column
TENSOR_CORE = (
    HEAD
    + """
@cuda.jit
def product(a, b, c, d):
    thread = cuda.threadIdx.x
    lane = thread % 32
    warp = thread // 32
    tile = cuda.shared.array(768, u16)
    for i in range(lane, 256, 32):
        tile[warp * 384 + i // 16 * 24 + i % 16] = a[warp * 256 + i]
    cuda.syncwarp(u32(0xFFFFFFFF))
    row = lane % 8 + lane // 8 % 2 * 8
    a0, a1, a2, a3 = load_matrix(tile, warp * 384 + row * 24 + lane // 16 * 8)
    first = warp * 128 + lane // 4 * 16 + lane % 4 * 2
    b0 = u32(u32(b[first]) | u32(u32(b[first + 1]) << u32(16)))
    b1 = u32(u32(b[first + 8]) | u32(u32(b[first + 9]) << u32(16)))
    place = warp * 128 + lane // 4 * 8 + lane % 4 * 2
    c0, c1 = load_vector2(c, place)
    c2, c3 = load_vector2(c, place + 64)
    d0, d1, d2, d3 = MMA(a0, a1, a2, a3, b0, b1, c0, c1, c2, c3)
    store_vector2(d, place, d0, d1)
    store_vector2(d, place + 64, d2, d3)
"""
)

# one warp, a 16 x 8 x 8 product
TF32 = (
    HEAD
    + """
@cuda.jit
def product(a, b, c, d):
    lane = cuda.threadIdx.x
    i = lane // 4
    j = lane % 4
    a0 = round_tf32(a[i * 8 + j])
    a1 = round_tf32(a[(i + 8) * 8 + j])
    a2 = round_tf32(a[i * 8 + j + 4])
    a3 = round_tf32(a[(i + 8) * 8 + j + 4])
    b0 = round_tf32(b[j * 8 + i])
    b1 = round_tf32(b[(j + 4) * 8 + i])
    c0, c1 = load_vector2(c, i * 8 + j * 2)
    c2, c3 = load_vector2(c, (i + 8) * 8 + j * 2)
    d0, d1, d2, d3 = mma_tf32(a0, a1, a2, a3, b0, b1, c0, c1, c2, c3)
    store_vector2(d, i * 8 + j * 2, d0, d1)
    store_vector2(d, (i + 8) * 8 + j * 2, d2, d3)
"""
)

# four matrices of 8 x 8 elements, one after the other; `y` gets the pairs of each thread
MATRICES = (
    HEAD
    + """
@cuda.jit
def matrices(x, y):
    lane = cuda.threadIdx.x
    tile = cuda.shared.array(256, u16)
    for i in range(lane, 256, 32):
        tile[i] = x[i]
    cuda.syncthreads()
    a, b, c, d = LOAD(tile, lane * 8)
    y[lane] = a
    y[lane + 32] = b
    y[lane + 64] = c
    y[lane + 96] = d
"""
)
