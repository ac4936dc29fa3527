"""Run printed LLVM text on this machine's processor, the threads of a block in lock step.

Each GPU thread is a greenlet that runs compiled code to the next barrier, shuffle or product of
matrices; there it waits for those that it meets. Copies that need not be waited for happen at once.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator, Sequence
from typing import Any

import llvmlite.binding as llvm
import numpy as np

from graphc.ir.types import Array
from graphc_cuda.simulate.fragments import multiply_fragments
from tests.backends.cuda.host_code import HostCode

BARRIER, WARP_BARRIER, SHUFFLE, LOAD_MATRIX, LOAD_TRANSPOSED, FIRST_PRODUCT = range(6)
PRODUCTS = {"mma_bf16": "m16n8k16.row.col.bf16", "mma_f16": "m16n8k16.row.col.f32.f32",
            "mma_tf32": "m16n8k8.row.col.tf32"}  # fmt: skip
WORDS = 16  # that a thread brings along
FULL = 0xFFFFFFFF
_MEET = "graphc_host_meet"

_FUNCTIONS = f"""
declare void @{_MEET}(i32, i32, ptr)
define internal void @host.barrier(i32 %number) {{
  call void @{_MEET}(i32 {BARRIER}, i32 0, ptr null)
  ret void
}}
define internal void @host.warp(i32 %mask) {{
  call void @{_MEET}(i32 {WARP_BARRIER}, i32 %mask, ptr null)
  ret void
}}
define internal i32 @host.shuffle(i32 %mask, i32 %value, i32 %lane, i32 %last) {{
  %words = alloca [{WORDS} x i32]
  store i32 %value, ptr %words
  %second = getelementptr i32, ptr %words, i32 1
  store i32 %lane, ptr %second
  call void @{_MEET}(i32 {SHUFFLE}, i32 %mask, ptr %words)
  %result = load i32, ptr %words
  ret i32 %result
}}
"""


def _matrix_function(name: str, kinds: Sequence[str], kind: int, result: str) -> str:
    """A function that brings its operands along and gets four words."""
    operands = ", ".join(f"{k} %v{i}" for i, k in enumerate(kinds))
    stores = (
        f"  %at{i} = getelementptr i32, ptr %words, i32 {i}\n  store {k} %v{i}, ptr %at{i}, align 4"
        for i, k in enumerate(kinds)
    )
    lines = (
        f"define internal {result} @host.{name}({operands}) {{",
        f"  %words = alloca [{WORDS} x i32]",
        *stores,
        f"  call void @{_MEET}(i32 {kind}, i32 -1, ptr %words)",
        f"  %all = load {result}, ptr %words, align 4",
        f"  ret {result} %all",
        "}",
    )
    return "\n".join(lines) + "\n"


def threads_text(text: str) -> str:
    """The module with what threads do together as calls that meet."""
    text = text.replace("@llvm.nvvm.barrier.cta.sync.aligned.all(", "@host.barrier(")
    text = text.replace("@llvm.nvvm.bar.warp.sync(", "@host.warp(")
    text = text.replace("@llvm.nvvm.shfl.sync.idx.i32(", "@host.shuffle(")
    text = re.sub(r"  call void @llvm.nvvm.cp.async.(commit|wait).group\(.*\)\n", "", text)
    text = re.sub(
        r"@llvm.nvvm.cp.async.c[ag].shared.global.(\d+)\((.*)\)$",
        r"@llvm.memcpy.p0.p0.i64(\2, i64 \1, i1 false)",
        text,
        flags=re.MULTILINE,
    )
    functions = _FUNCTIONS
    for number, (name, form) in enumerate(PRODUCTS.items()):
        text = text.replace(f"@llvm.nvvm.mma.{form}(", f"@host.{name}(")
        kinds = ["<2 x half>" if name == "mma_f16" else "i32"] * 6 + ["float"] * 4
        sums = "{ float, float, float, float }"
        functions += _matrix_function(name, kinds, FIRST_PRODUCT + number, sums)
    for number, form in enumerate(("", "trans.")):
        load = f"@llvm.nvvm.ldmatrix.sync.aligned.m8n8.x4.{form}b16.p3("
        text = text.replace(load, f"@host.load{number}(")
        kind = LOAD_MATRIX + number
        functions += _matrix_function(f"load{number}", ["ptr"], kind, "{ i32, i32, i32, i32 }")
    return text + functions


class HostThreads:
    """The kernels of a module, for launches whose threads meet."""

    def __init__(self, text: str) -> None:
        llvm.add_symbol(_MEET, ctypes.cast(_callback, ctypes.c_void_p).value)
        text = threads_text(text)
        self.code = HostCode(text)
        parts = re.split(r"^define ptx_kernel void @(\w+)", text, flags=re.MULTILINE)
        self.meets = {n: "@host." in t.split("\n}")[0] for n, t in zip(parts[1::2], parts[2::2])}

    def launch(self, name: str, grid: int, block: int, arrays: Sequence[Array]) -> None:
        """Run a kernel on flat arrays."""
        if not self.meets[name]:
            self.code.run(name, *arrays, block=block, blocks=grid)
            return
        kinds = [ctypes.c_void_p] * len(arrays)
        kernel = ctypes.PYFUNCTYPE(None, *kinds)(self.code.engine.get_function_address(name))
        addresses = [a.ctypes.data for a in arrays]
        for number in range(grid):
            _Block(self.code, lambda: kernel(*addresses), number, grid, block).run()


class _Block:
    """The threads of one block."""

    def __init__(self, code: HostCode, kernel: Any, number: int, grid: int, block: int) -> None:
        from greenlet import getcurrent, greenlet

        self.code, self.kernel = code, kernel
        self.code.numbers["block"].value = number
        self.code.numbers["blocks"].value = grid
        self.hub = getcurrent()
        self.threads = [greenlet(self._thread, self.hub) for _ in range(block)]
        self.waiting: dict[int, tuple[int, int, Array]] = {}

    def _thread(self, number: int) -> None:
        self.code.numbers["thread"].value = number
        self.kernel()

    def run(self) -> None:
        """Run all threads to their ends."""
        answers: dict[int, Any] = dict.fromkeys(range(len(self.threads)), None)
        is_first = True
        while answers:
            for number, answer in answers.items():
                found = self.threads[number].switch(number if is_first else answer)
                if found is not None:
                    self.waiting[number] = found
            is_first = False
            answers = dict(self._meetings())
            assert answers or not self.waiting, f"threads wait for ever: {self.waiting}"

    def _meetings(self) -> Iterator[tuple[int, Any]]:
        running = [n for n, t in enumerate(self.threads) if not t.dead]
        if self.waiting and all(self._kind(n) == BARRIER for n in running):
            self.waiting.clear()
            yield from ((n, None) for n in running)
            return
        for first in range(0, len(self.threads), 32):
            yield from self._of_warp(first)

    def _kind(self, number: int) -> int:
        return self.waiting[number][0] if number in self.waiting else -1

    def _of_warp(self, first: int) -> Iterator[tuple[int, Any]]:
        here = [n for n in range(first, first + 32) if self._kind(n) > BARRIER]
        groups = dict.fromkeys((self.waiting[n][0], self.waiting[n][1] & FULL) for n in here)
        for kind, mask in groups:
            lanes = [first + lane for lane in range(32) if mask >> lane & 1]
            lanes = [n for n in lanes if n < len(self.threads)]
            if all(self._kind(n) == kind for n in lanes):
                brought = {n - first: self.waiting.pop(n)[2] for n in lanes}
                answers = _together(kind, brought)
                yield from ((n, answers[n - first]) for n in lanes)


def _together(kind: int, brought: dict[int, Array]) -> dict[int, Array | None]:
    """What each lane gets."""
    if kind == WARP_BARRIER:
        return dict.fromkeys(brought)
    if kind == SHUFFLE:
        return {lane: brought[int(words[1]) & 31][:1] for lane, words in brought.items()}
    if kind in (LOAD_MATRIX, LOAD_TRANSPOSED):
        return _matrices(brought, transposed=kind == LOAD_TRANSPOSED)
    name = list(PRODUCTS)[kind - FIRST_PRODUCT]
    table = np.stack([brought[lane] for lane in range(32)])
    values = [
        table[:, i].reshape(1, 32).view(np.float32 if i > 5 else np.uint32) for i in range(10)
    ]
    sums = multiply_fragments(name, [np.ascontiguousarray(v) for v in values])
    return {lane: np.stack([c[0, lane] for c in sums]).view(np.uint32) for lane in range(32)}


def _matrices(brought: dict[int, Array], transposed: bool) -> dict[int, Array | None]:
    rows = [int(brought[lane][0]) | int(brought[lane][1]) << 32 for lane in range(32)]
    pointers = [ctypes.cast(r, ctypes.POINTER(ctypes.c_uint16)) for r in rows]
    whole = np.array([[p[i] for i in range(8)] for p in pointers], np.uint16).reshape(4, 8, 8)
    whole = whole.transpose(0, 2, 1) if transposed else whole
    pairs = np.ascontiguousarray(whole).view(np.uint32).reshape(4, 32)
    return {lane: pairs[:, lane] for lane in range(32)}


def _meet(kind: int, mask: int, address: int | None) -> None:
    from greenlet import getcurrent

    words = np.zeros(WORDS, np.uint32)
    if address is not None:
        words[:] = np.ctypeslib.as_array((ctypes.c_uint32 * WORDS).from_address(address))
    answer = getcurrent().parent.switch((kind, mask, words))
    if answer is not None:
        ctypes.memmove(address, np.ascontiguousarray(answer).ctypes.data, 4 * len(answer))


_callback = ctypes.PYFUNCTYPE(None, ctypes.c_int32, ctypes.c_int32, ctypes.c_void_p)(_meet)
