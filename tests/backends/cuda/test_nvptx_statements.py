"""Statements, memory and names of printed kernels; what needs one thread at a time also runs."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from graphc.ir.types import Array, float32, int32
from graphc_cuda.device.program import (
    Assign,
    DeviceArray,
    DeviceKernel,
    Get,
    Program,
    Put,
    Variable,
    literal,
)
from graphc_cuda.nvptx.statements import dynamic_shared_bytes
from graphc_cuda.print_nvptx import nvptx_text
from tests.backends.cuda import device_samples as samples
from tests.backends.cuda.host_code import HostCode


def run(program: Program, *arrays: Array, block: int = 8, blocks: int = 1) -> None:
    code = HostCode(nvptx_text(program, (9, 0)))
    code.run(program.kernels[0].name, *arrays, block=block, blocks=blocks)


def test_branches_and_loops() -> None:
    x, y = np.arange(1, 7, dtype=np.float32), np.full(8, 77, np.float32)
    run(samples.branches(), x, y)
    assert y.tolist() == [0, 1, 3, 4 + 5, 5 + 6, -1, -1, 77]


def test_a_select_reads_only_what_it_takes() -> None:
    text = nvptx_text(samples.branches(), (9, 0))
    taken = text[text.index("\ntaken:") : text.index("\notherwise:")]
    assert "load float" in taken


def test_while_and_numbers_of_threads() -> None:
    y = np.zeros(24, np.float32)
    run(samples.collatz(), y, blocks=3)
    assert y[:10].tolist() == [0, 1, 7, 2, 5, 8, 16, 3, 19, 6]
    assert y[23] == 10


def test_conditions_and_bools_in_memory() -> None:
    x = np.array([1, -1, 2, 0, 3, -9, -9, -9], np.float32)
    flags, y = np.full(8, 7, np.uint8), np.full(8, 77, np.float32)
    run(samples.guarded(), x, flags, y)
    assert flags.tolist() == [1, 0, 1, 0, 1, 0, 0, 0]
    assert y.tolist() == [2, -5, 6, -5, 12, 77, 77, 77]


def test_vectors_and_the_smallest_word() -> None:
    x, y = np.arange(64, 0, -1, dtype=np.float32).copy(), np.zeros(64, np.float32)
    halves, swapped = np.arange(16, dtype=np.uint16), np.zeros(16, np.uint16)
    word = np.array([50], np.uint32)
    run(samples.vectors(), x, halves, y, swapped, word, block=8)
    assert np.array_equal(y[:32].reshape(8, 4), x[:32].reshape(8, 4)[:, ::-1])
    assert np.array_equal(swapped.reshape(8, 2), halves.reshape(8, 2)[:, ::-1])
    assert word[0] == 64 - 28


def test_packed_words() -> None:
    x = np.array([1.0, -2.5, 1.00390625, 1e-8, 65519.0, 70000.0, np.inf, np.nan, 3.0], np.float32)
    words = np.zeros((8, 3), np.uint32)
    run(samples.packing(), x, words)
    pairs = np.stack([x[:-1], x[1:]], 1)
    for k, kind in enumerate((ml_dtypes.bfloat16, np.float16)):
        with np.errstate(over="ignore"):
            wanted = pairs.astype(kind)
        found = words[:, k].copy().view(kind).reshape(8, 2)
        assert np.array_equal(found.astype(float), wanted.astype(float), equal_nan=True)


def test_names_are_those_of_the_user_and_do_not_collide() -> None:
    arrays = tuple(DeviceArray(name, float32, 4) for name in ("add", "entry", "x", "x"))
    x, thread = Variable(float32, "x"), Variable(int32, "thread", is_index=True)
    body = (
        Assign(thread, literal(1)),
        Assign(x, Get(float32, arrays[0], thread)),
        Put(arrays[3], thread, x),
    )
    kernel = DeviceKernel("ret", arrays, body, 4, frozenset(arrays[3:]))
    given, out = np.arange(4, dtype=np.float32), np.zeros(4, np.float32)
    run(Program("names", (), (kernel,)), given, given, given, out, block=1)
    assert out.tolist() == [0, 1, 0, 0]


def test_equal_programs_give_equal_text() -> None:
    for sample in samples.SAMPLES:
        assert nvptx_text(sample(), (9, 0)) == nvptx_text(sample(), (9, 0))


def test_arrays_that_may_share_bytes_are_not_apart() -> None:
    (kernel,) = samples.copies().kernels
    x, y = kernel.arrays
    mixed = DeviceKernel("mixed", (x, y), kernel.body, 32, frozenset({y}), frozenset({x, y}))
    apart, shared = (nvptx_text(Program("p", (), (k,)), (9, 0)) for k in (kernel, mixed))
    assert "noalias readonly align 4 %x" in apart
    assert "noalias" not in shared


def test_much_shared_memory_is_asked_for_at_launch() -> None:
    kernel = samples.much_shared().kernels[0]
    assert dynamic_shared_bytes(kernel) == 2 * 7000 * 4
    assert dynamic_shared_bytes(samples.copies().kernels[0]) == 0
    text = nvptx_text(samples.much_shared(), (9, 0))
    assert "external addrspace(3) global [0 x i8], align 16" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.5, "0.5"), (1e-30, "1.0000000031710769e-30"), (1e30, "1.0000000150474662e+30")],
)
def test_float_literals_are_readable(value: float, text: str) -> None:
    out = DeviceArray("out", float32, 1)
    body = (Put(out, literal(0), literal(value, float32)),)
    program = Program("p", (), (DeviceKernel("k", (out,), body, 1, frozenset({out})),))
    found = np.zeros(1, np.float32)
    run(program, found, block=1)
    assert found[0] == np.float32(value)
    assert f"store float {text}," in nvptx_text(program, (9, 0))


GOLDEN = """; sums for sm_90
target datalayout = "e-p6:32:32-i64:64-i128:128-i256:256-v16:16-v32:32-n16:32:64"
target triple = "nvptx64-nvidia-cuda"

; model.py:7 y = x.cumsum()
define ptx_kernel void @k00_sums(ptr addrspace(1) noalias readonly align 4 %x, \
ptr addrspace(1) noalias align 4 %y) nounwind "nvvm.maxntid"="64" {
entry:
  %total_place = alloca float
  %thread = call range(i32 0, 64) i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  store float 0.0, ptr %total_place
  br label %i_loop
i_loop:
  %i = phi i32 [ 0, %entry ], [ %i_after, %i_next ]
  %more = icmp slt i32 %i, %thread
  br i1 %more, label %i_body, label %i_end
i_body:
  %total_ = load float, ptr %total_place
  %x_at = getelementptr inbounds float, ptr addrspace(1) %x, i32 %i
  %x_ = load float, ptr addrspace(1) %x_at
  %total = fadd float %total_, %x_
  store float %total, ptr %total_place
  br label %i_next
i_next:
  %i_after = add nsw i32 %i, 1
  br label %i_loop, !llvm.loop !0
i_end:
  %total_.1 = load float, ptr %total_place
  %y_at = getelementptr inbounds float, ptr addrspace(1) %y, i32 %thread
  store float %total_.1, ptr addrspace(1) %y_at
  ret void
}

!0 = distinct !{!0, !1}
!1 = !{!"llvm.loop.unroll.count", i32 4}
"""


def test_text_of_a_kernel() -> None:
    x, y, thread = samples.X, samples.Y, samples.THREAD
    i, total = samples.variable("i", int32), samples.variable("total")
    step = Assign(total, samples.plus(total, Get(float32, x, i)))
    body = (
        Assign(total, literal(0.0, float32)),
        samples.For(i, literal(0), thread, literal(1), (step,), unroll=4),
        Put(y, thread, total),
    )
    note = ("model.py:7 y = x.cumsum()",)
    kernel = DeviceKernel("k00_sums", (x, y), body, 64, frozenset({y}), note=note)
    assert nvptx_text(Program("sums", (), (kernel,)), (9, 0)) == GOLDEN
