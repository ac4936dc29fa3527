"""Compile emitted kernels in process and call them with numpy arrays."""

from __future__ import annotations

import ctypes
import mmap
import struct
from collections.abc import Mapping, Sequence
from functools import cache
from threading import Thread
from typing import Any

import llvmlite.binding as llvm
import numpy as np

from graphc.ir.dims import dims_of, evaluate
from graphc.ir.loops.ir import Kernel
from graphc_llvm.emit_kernel import EmittedKernel, emit_kernel
from graphc_llvm.runtime.barrier import NO_FAILURE, TEAM_BYTES, barrier_ir
from graphc_llvm.target import Target, host_target


@cache
def setup() -> None:
    """Register the code generators of all targets."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


def machine(target: Target, jit: bool = True) -> Any:
    """The LLVM code generator for a target."""
    setup()
    return llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu,
        features=target.features,
        opt=3,
        reloc="pic",
        codemodel="jitdefault" if jit else "default",
        jit=jit,
    )


def object_code(text: str, target: Target, jit: bool = True) -> bytes:
    """Compile LLVM text."""
    setup()
    module = llvm.parse_assembly(text)
    module.verify()
    code: bytes = machine(target, jit).emit_object(module)
    return code


class Native:
    """One compiled kernel."""

    def __init__(
        self,
        kernel: Kernel,
        sizes: Mapping[str, int] | None = None,
        target: Target | None = None,
        text: str | None = None,
    ) -> None:
        target = target or host_target()
        self.kernel = kernel
        self.emitted: EmittedKernel = emit_kernel(kernel, target, sizes)
        self.text = text or self.emitted.module()
        whole = self.text
        self.waits = "@graphc_barrier" in whole
        if self.waits:
            lines = [x for x in whole.splitlines() if not x.startswith("declare void @graphc_b")]
            whole = "\n".join([*lines, barrier_ir(target.triple)])
        code = object_code(whole, target)
        self._jit = llvm.create_lljit_compiler(machine(target))
        builder = llvm.JITLibraryBuilder().add_object_img(code).add_current_process()
        builder.export_symbol(self.emitted.name)
        self._library = builder.link(self._jit, "kernel")
        count = len(kernel.arguments)
        kinds = [ctypes.c_void_p] * (count + 3) + [ctypes.c_int64] * 2
        self._call = ctypes.CFUNCTYPE(None, *kinds)(self._library[self.emitted.name])

    def __call__(
        self, arrays: Sequence[np.ndarray], sizes: Mapping[str, int], threads: int = 1
    ) -> int | None:
        """Run every thread's share; return the code of a failed check.

        One after the other, or at the same time where threads wait for each other.
        """
        values = np.array([sizes[name] for name in self.emitted.dims] or [0], np.int64)
        bytes = evaluate(self.emitted.scratch_bytes, sizes)
        scratch = [guarded((bytes,), np.uint8) for _ in range(threads)]
        team = aligned(TEAM_BYTES, np.uint8)
        team[:4] = 255
        pointers = [a.ctypes.data for a in (*arrays, values)]

        def share(thread: int) -> None:
            own = scratch[thread].ctypes.data
            self._call(*pointers, own, team.ctypes.data, thread, threads)

        if not self.waits or threads == 1:
            for thread in range(threads):
                share(thread)
        else:
            workers = [Thread(target=share, args=(thread,)) for thread in range(threads)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
        assert all(fence_is_intact(memory) for memory in scratch)
        status = int(team[:4].view(np.uint32)[0])
        return None if status == NO_FAILURE else status


def aligned(count: int, dtype: Any) -> np.ndarray:
    """Zeros that start at a multiple of 64 bytes."""
    size = count * np.dtype(dtype).itemsize
    memory = np.zeros(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size].view(dtype)


def guarded(shape: Sequence[int], dtype: Any, fill: int = 0xA5) -> np.ndarray:
    """An array whose memory is followed and preceded by 64 bytes that nobody may change."""
    count = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    memory = aligned(count + 192, np.uint8)
    memory[:] = fill
    return memory[64 : 64 + count].view(dtype).reshape(shape)


def walled(shape: Sequence[int], dtype: Any, after: bool) -> np.ndarray:
    """An array right in front of (or right after) memory that must not be touched at all."""
    count = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    page = mmap.PAGESIZE
    pages = -(-count // page) + 2
    memory = mmap.mmap(-1, pages * page)
    whole = np.frombuffer(memory, np.uint8)
    libc = ctypes.CDLL(None, use_errno=True)
    for wall in (0, pages - 1):
        where = ctypes.c_void_p(whole.ctypes.data + wall * page)
        assert libc.mprotect(where, ctypes.c_size_t(page), 0) == 0
    first = (pages - 1) * page - count if after else page
    return whole[first : first + count].view(dtype).reshape(shape)


def fence_is_intact(array: np.ndarray, fill: int = 0xA5) -> bool:
    """True if nothing was written next to a guarded array."""
    memory = array
    while isinstance(memory.base, np.ndarray):
        memory = memory.base
    whole = memory.view(np.uint8)
    first = array.ctypes.data - whole.ctypes.data
    last = first + array.nbytes
    return bool(
        (whole[first - 64 : first] == fill).all() and (whole[last : last + 64] == fill).all()
    )


def all_sizes(kernel: Kernel) -> tuple[str, ...]:
    """The dims in the shapes of a kernel's arguments."""
    found = {d.name for b in kernel.arguments for size in b.shape for d in dims_of(size)}
    return tuple(sorted(found))


def undefined_symbols(code: bytes) -> set[str]:
    """The symbols that an ELF object of a 64-bit little-endian machine wants from others."""
    table = struct.unpack_from("<Q", code, 40)[0]
    size, count = struct.unpack_from("<HH", code, 58)
    sections = [struct.unpack_from("<IIQQQQIIQQ", code, table + i * size) for i in range(count)]
    found = set()
    for kind, offset, length, link in ((s[1], s[4], s[5], s[6]) for s in sections):
        if kind != 2:  # SHT_SYMTAB
            continue
        names = sections[link][4]
        for at in range(offset, offset + length, 24):
            name, _, _, section = struct.unpack_from("<IBBH", code, at)
            if name and section == 0:
                start = names + name
                found.add(code[start : code.index(b"\0", start)].decode())
    return found
