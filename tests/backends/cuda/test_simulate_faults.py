"""Faults planted in kernels are reported with their lines, in both executors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphc_cuda.simulate import SimulationError, simulate
from tests.backends.cuda import device_texts as texts
from tests.backends.cuda.executors import executors

f4 = np.float32


def failure(text: str, name: str, grid: int, block: int, arrays: list[Any], executor: str) -> Any:
    with pytest.raises(SimulationError) as caught:
        simulate(text, name, grid, block, arrays, executor=executor)
    assert caught.value.kernel == name
    return caught.value


def line_of(text: str, part: str, which: int = 0) -> int:
    found = [n for n, line in enumerate(text.splitlines(), 1) if part in line]
    return found[which]


def removed(text: str, part: str, which: int = 0) -> str:
    lines = text.splitlines()
    number = line_of(text, part, which) - 1
    before, _, after = lines[number].partition(part)
    lines[number] = (before + after) if (before + after).strip() else before + "pass"
    return "\n".join(lines) + "\n"


def run_matmul(text: str, executor: str) -> Any:
    arrays = [np.ones(1024, f4), np.arange(1536).astype(f4), np.zeros(1536, f4)]
    return failure(text, "matmul", 6, 256, arrays, executor)


@executors
@pytest.mark.parametrize("which", [0, 1])
def test_a_removed_barrier_is_a_race(executor: str, which: int) -> None:
    text = removed(texts.MATMUL, "cuda.syncthreads()", which)
    error = run_matmul(text, executor)
    assert error.kind == "race"
    fills = {line_of(text, "left[thread] ="), line_of(text, "right[thread] =")}
    reads = {line_of(text, "acc = fma")}
    assert set(error.lines) <= fills | reads
    assert set(error.lines) & fills
    assert set(error.lines) & reads
    assert "model.py:7" in str(error)
    assert "m = nn.Dense(32)" in str(error)


@executors
def test_errors_read_like_this(executor: str) -> None:
    text = texts.HEAD + (
        "@cuda.jit\n"
        "def late(x):\n"
        "    # train.py:31  y = x.sum()\n"
        "    thread = cuda.threadIdx.x\n"
        "    held = cuda.shared.array(32, f32)\n"
        "    held[31 - thread] = x[thread]\n"
        "    x[thread] = held[thread]\n"
    )
    error = failure(text, "late", 1, 32, [np.zeros(32, f4)], executor)
    first, *rows = str(error).splitlines()
    if executor == "vector":
        assert first == (
            "late: read after write of held[0]: nothing orders thread 31 of block 0 before "
            "thread 0 of block 0"
        )
        assert [row.split() for row in rows[:3]] == [
            ["line", "x[thread]", "=", "held[thread]", "by_hand.py:9"],
            ["before", "held[31", "-", "thread]", "=", "x[thread]", "by_hand.py:8"],
            ["from", "y", "=", "x.sum()", "train.py:31"],
        ]
    else:
        assert "nothing orders thread 15 of block 0 before thread 16 of block 0" in first


@executors
def test_barriers_of_a_scan_are_all_needed(executor: str) -> None:
    for which in range(3):
        text = removed(texts.SCAN, "cuda.syncthreads()", which)
        arrays = [np.arange(256).astype("i4") + 1, np.zeros(256, "i4")]
        assert failure(text, "scan", 1, 256, arrays, executor).kind == "race"


@executors
def test_a_removed_warp_barrier_is_a_race(executor: str) -> None:
    for which in range(2):
        text = removed(texts.HALF_WARPS, "cuda.syncwarp(mask)", which)
        arrays = [np.arange(64).astype(f4), np.zeros(64, f4)]
        error = failure(text, "half_warps", 1, 64, arrays, executor)
        assert error.kind == "race"
        assert "line[" in str(error)


@executors
def test_a_barrier_for_half_a_block(executor: str) -> None:
    text = texts.HEAD + (
        "@cuda.jit\n"
        "def half(x):\n"
        "    thread = cuda.threadIdx.x\n"
        "    if thread < 16:\n"
        "        cuda.syncthreads()\n"
        "    x[thread] = f32(1.0)\n"
    )
    error = failure(text, "half", 1, 32, [np.zeros(32, f4)], executor)
    assert error.kind == "divergence"
    assert error.lines == (line_of(text, "syncthreads"),)
    assert "16 of 32 threads of block 0" in str(error)


@executors
def test_a_barrier_after_some_threads_have_returned(executor: str) -> None:
    text = texts.HEAD + (
        "@cuda.jit\n"
        "def gone(x):\n"
        "    thread = cuda.threadIdx.x\n"
        "    if thread >= 24:\n"
        "        return\n"
        "    cuda.syncthreads()\n"
        "    x[thread] = f32(1.0)\n"
    )
    error = failure(text, "gone", 1, 32, [np.zeros(32, f4)], executor)
    assert error.kind == "divergence"
    assert "24 of 32 threads" in str(error)


@executors
def test_blocks_that_have_returned_whole_need_no_barrier(executor: str) -> None:
    text = texts.HEAD + (
        "@cuda.jit\n"
        "def whole(x):\n"
        "    if cuda.blockIdx.x > 1:\n"
        "        return\n"
        "    cuda.syncthreads()\n"
        "    x[cuda.blockIdx.x * 32 + cuda.threadIdx.x] = f32(1.0)\n"
    )
    x = np.zeros(64, f4)
    simulate(text, "whole", 3, 32, [x], executor=executor)
    assert x.all()


@executors
@pytest.mark.parametrize(("size", "index"), [(100, 100), (127, 127)])
def test_out_of_bounds(executor: str, size: int, index: int) -> None:
    text = texts.HEAD + (
        "@cuda.jit\n"
        "def double(x, y):\n"
        "    i = cuda.blockIdx.x * 64 + cuda.threadIdx.x\n"
        "    # train.py:31  y = 2 * x\n"
        "    y[i] = x[i] + x[i]\n"
    )
    error = failure(text, "double", 2, 64, [np.zeros(128, f4), np.zeros(size, f4)], executor)
    assert error.kind == "bounds"
    assert error.lines == (line_of(text, "y[i] ="),)
    assert f"y[{index}] is outside its {size} elements" in str(error)
    assert f"thread {index - 64} of block 1" in str(error)
    assert "train.py:31" in str(error)


@executors
@pytest.mark.parametrize("space", ["shared", "local"])
def test_out_of_bounds_of_block_and_thread(executor: str, space: str) -> None:
    text = texts.HEAD + (
        "@cuda.jit\n"
        "def inside(x):\n"
        "    thread = cuda.threadIdx.x\n"
        f"    held = cuda.{space}.array(16, f32)\n"
        "    held[thread - 5] = f32(1.0)\n"
    )
    error = failure(text, "inside", 2, 16, [np.zeros(1, f4)], executor)
    assert error.kind == "bounds"
    assert "held[-5] is outside its 16 elements (thread 0 of block 0)" in str(error)


@executors
def test_two_threads_write_one_element(executor: str) -> None:
    text = texts.HEAD + ("@cuda.jit\ndef same(x):\n    x[cuda.threadIdx.x // 2] = f32({value})\n")
    simulate(text.format(value="1.0"), "same", 1, 32, [np.zeros(16, f4)], executor=executor)
    wrong = text.format(value="cuda.threadIdx.x")
    error = failure(wrong, "same", 1, 32, [np.zeros(16, f4)], executor)
    assert error.kind == "race"
    assert error.lines == (5, 5)
    assert "write after write of x[0]" in str(error)


@executors
@pytest.mark.parametrize("body", ["x[0] = x[0] + f32(1.0)", "x[b] = f32(2.0) + x[(b + 1) % 3]"])
def test_blocks_of_a_launch_never_wait_for_each_other(executor: str, body: str) -> None:
    text = texts.HEAD + (
        "@cuda.jit\n"
        "def blocks(x):\n"
        "    b = cuda.blockIdx.x\n"
        "    if cuda.threadIdx.x == 0:\n"
        f"        {body}\n"
        "    cuda.syncthreads()\n"
    )
    error = failure(text, "blocks", 3, 32, [np.zeros(3, f4)], executor)
    assert error.kind == "race"


@executors
def test_blocks_conflict_through_overlapping_arguments(executor: str) -> None:
    text = texts.HEAD + (
        "@cuda.jit\n"
        "def shift(x, y):\n"
        "    i = cuda.blockIdx.x * 32 + cuda.threadIdx.x\n"
        "    y[i] = x[i] + f32(1.0)\n"
    )
    memory = np.arange(65).astype(f4)
    error = failure(text, "shift", 2, 32, [memory[:64], memory[1:]], executor)
    assert error.kind == "race"


@executors
def test_arguments_of_other_sizes_that_overlap(executor: str) -> None:
    text = texts.HEAD + (
        "@cuda.jit\n"
        "def bytes(x, y, z):\n"
        "    i = cuda.threadIdx.x\n"
        "    y[i] = u8(z[i])\n"
        "    if i < {count}:\n"
        "        x[i] = f32(1.0)\n"
    )
    memory, z = np.zeros(128, "u1"), np.arange(32).astype("i4")
    arrays = [memory.view(f4), memory[64:96], z]
    simulate(text.format(count=16), "bytes", 1, 32, arrays, executor=executor)
    error = failure(text.format(count=17), "bytes", 1, 32, arrays, executor)
    assert error.kind == "race"
    assert "write after write of x[16]" in str(error)
    assert error.lines == (8, 6)


@executors
def test_a_missing_wait(executor: str) -> None:
    arrays = [np.ones(1024, f4), np.zeros(64, f4)]
    text = removed(texts.PIPELINE, "copy_async_wait(1)")
    error = failure(text, "pipeline", 1, 64, arrays, executor)
    assert error.kind == "copy"
    assert error.lines == (line_of(text, "acc = acc + tile"), line_of(text, "copy_async(tile"))
    late = texts.PIPELINE.replace("copy_async_wait(1)", "copy_async_wait(2)")
    assert failure(late, "pipeline", 1, 64, arrays, executor).kind == "copy"


@executors
def test_a_wait_does_not_replace_the_barrier(executor: str) -> None:
    arrays = [np.ones(1024, f4), np.zeros(64, f4)]
    text = removed(texts.PIPELINE, "cuda.syncthreads()")
    assert failure(text, "pipeline", 1, 64, arrays, executor).kind in ("race", "copy")


@executors
def test_shuffles_with_threads_that_are_not_there(executor: str) -> None:
    text = texts.HEAD + (
        "@cuda.jit\n"
        "def swap(x):\n"
        "    thread = cuda.threadIdx.x\n"
        "    v = x[thread]\n"
        "    if thread < {count}:\n"
        "        v = cuda.shfl_sync(u32({mask}), v, {lane})\n"
        "    x[thread] = v\n"
    )
    x = np.arange(32).astype(f4)
    good = text.format(count=16, mask="0xFFFF", lane="15 - thread")
    simulate(good, "swap", 1, 32, [x], executor=executor)
    assert np.array_equal(x, [*range(15, -1, -1), *range(16, 32)])
    for count, mask, lane, part in (
        (16, "0xFFFFFFFF", "thread", "names 32 threads"),
        (32, "0xFFFF", "thread % 16", "not in its own mask 0xffff"),
        (16, "0xFFFF", "thread + 1", "reads from lane 16"),
        (16, "0xFFFF", "0 - thread", "reads from lane -1"),
    ):
        wrong = text.format(count=count, mask=mask, lane=lane)
        error = failure(wrong, "swap", 1, 32, [x.copy()], executor)
        assert error.kind == "shuffle"
        assert part in str(error)
        assert error.lines == (line_of(wrong, "shfl_sync"),)


@executors
def test_what_was_never_written_is_not_a_number(executor: str) -> None:
    text = texts.HEAD + (
        "@cuda.jit\n"
        "def stale(x, y):\n"
        "    thread = cuda.threadIdx.x\n"
        "    a = cuda.shared.array(32, f32)\n"
        "    b = cuda.local.array(2, i32)\n"
        "    x[thread] = a[thread]\n"
        "    y[thread] = b[1]\n"
    )
    x, y = np.zeros(32, f4), np.zeros(32, "i4")
    simulate(text, "stale", 1, 32, [x, y], executor=executor)
    assert np.isnan(x).all()
    assert (y == -1).all()


@executors
def test_vectors_begin_at_multiples_of_their_length(executor: str) -> None:
    text = texts.VECTORS.replace(" * 4\n", " * 4 + 2\n")
    arrays = [np.zeros(512, f4), np.zeros(512, f4), np.zeros(1, "u4")]
    error = failure(text, "vectors", 2, 32, arrays, executor)
    assert error.kind == "alignment"
    assert "begin at 2, which is not a multiple of 4" in str(error)


@executors
def test_numbers_of_another_kind(executor: str) -> None:
    text = texts.HEAD + "@cuda.jit\ndef kind(x):\n    x[cuda.threadIdx.x] = f32(1.5)\n"
    error = failure(text, "kind", 1, 32, [np.zeros(32, "i4")], executor)
    assert error.kind == "type"
    assert "x holds int32, not float32" in str(error)
