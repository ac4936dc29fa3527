"""A whole program as one LLVM module: its kernels, and the schedule that calls them.

    void NAME_part(ptr ctx, i64 thread, i64 threads)      the step; all threads call it together
    void NAME_prepare(ptr ctx, i64 thread, i64 threads)   what depends on parameters alone

`ctx` is a table of pointers: sizes, arena, scratch, team, then one for each storage that is not
in the arena (`Layout.slots`). In the generic variant `sizes` holds, as int64, the dims of the
kernels (one run of values for each combination that some kernel uses), the arena offset of every
temporary and the bytes of a thread's scratch; in a specialised variant they are constants.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from graphc.dims import Size, evaluate
from graphc.memory import MemoryPlan
from graphc.pipeline import Program
from graphc.schedule import TEMPORARY, Call, Storage
from graphc_llvm.emit_kernel import EmittedKernel, emit_kernel
from graphc_llvm.runtime.barrier import barrier_ir
from graphc_llvm.runtime.description import ARENA, BUFFERS, SCRATCH, SIZES, TEAM
from graphc_llvm.target import Target
from graphc_llvm.text import identifier

NO_FAILURE = -1  # as i32


@dataclass(frozen=True)
class Layout:
    """Where the code finds everything.

    `slots` are the entries of ctx by storage; `kernel_dims` the runs of dims in `sizes`;
    `offsets` the temporaries whose arena offsets follow them.
    """

    slots: Mapping[Storage, int]
    kernel_dims: tuple[tuple[str, ...], ...]
    offsets: tuple[Storage, ...]
    scratch: tuple[Size, ...]

    @property
    def count(self) -> int:
        """The entries of ctx."""
        return BUFFERS + len(self.slots)

    def sizes(self, dims: Mapping[str, int], plan: MemoryPlan) -> tuple[int, ...]:
        """The content of the sizes table for given dims."""
        values = [dims[name] for run in self.kernel_dims for name in run]
        offsets = (plan.offsets[s] for s in self.offsets)
        return (*values, *offsets, self.scratch_bytes(dims))

    def scratch_bytes(self, dims: Mapping[str, int]) -> int:
        """Bytes of scratch that one thread needs."""
        return max((-(-evaluate(s, dims) // 64) * 64 for s in self.scratch), default=0)


@dataclass(frozen=True)
class Module:
    """LLVM text and how to call what it defines."""

    symbol: str
    text: str
    layout: Layout


def emit_program(
    program: Program,
    target: Target,
    dims: Mapping[str, int] | None,
    stepwise: bool = False,
    freestanding: bool = False,
) -> Module:
    """Emit a program for given sizes, or (None) for all sizes.

    `stepwise` adds a function for every call, prepare part first (`call_symbol`). `freestanding`
    code calls no library, also where threads wait.
    """
    return _Emission(program, target, dims).run(stepwise, barrier_ir(target.triple, freestanding))


def call_symbol(symbol: str, number: int) -> str:
    """The function that makes one call only."""
    return f"{symbol}_call{number}"


class _Emission:
    def __init__(self, program: Program, target: Target, dims: Mapping[str, int] | None) -> None:
        self.program, self.target, self.dims = program, target, dims
        self.schedule = program.schedule
        self.symbol = identifier(program.name)
        self.kernels: dict[Call, EmittedKernel] = {}
        self.lines: list[str] = []

    def run(self, stepwise: bool, barrier: str) -> Module:
        """All kernels, then the schedules."""
        for call in (*self.schedule.prepare, *self.schedule.calls):
            name = f"{self.symbol}.{identifier(call.kernel.name)}"
            self.kernels[call] = emit_kernel(call.kernel, self.target, self.dims, name)
        self.layout = self._layout()
        parts = [
            self._part("prepare", self.schedule.prepare, frozenset(range(1, 10**6))),
            self._part("part", self.schedule.calls, self._barriers()),
        ]
        if stepwise:
            for i, call in enumerate(self.kernels):
                parts.append(self._part(f"call{i}", (call,), frozenset()))
        return Module(self.symbol, self._text([*parts, barrier]), self.layout)

    # -- layout ---------------------------------------------------------------------

    def _layout(self) -> Layout:
        slots: dict[Storage, int] = {}
        for call in self.kernels:
            for storage in call.arguments:
                if storage.role != TEMPORARY and storage not in slots:
                    slots[storage] = BUFFERS + len(slots)
        for storage in (*self.schedule.inputs, *self.schedule.outputs):
            slots.setdefault(storage, BUFFERS + len(slots))
        runs = dict.fromkeys(k.dims for k in self.kernels.values() if k.dims)
        temporaries = {s: None for c in self.kernels for s in c.arguments if s.role == TEMPORARY}
        scratch = tuple(dict.fromkeys(k.scratch_bytes for k in self.kernels.values()))
        generic = self.dims is None
        return Layout(
            slots, tuple(runs) if generic else (), tuple(temporaries) if generic else (), scratch
        )

    def _barriers(self) -> frozenset[int]:
        """The schedule's barriers, and one before the first call that writes a parameter."""
        commit = self._first_commit()
        return self.schedule.barriers if commit is None else self.schedule.barriers | {commit}

    def _first_commit(self) -> int | None:
        """The position where the step must be known to succeed; None if nothing can fail."""
        if not self.schedule.checks:
            return None
        commits = [i for i, call in enumerate(self.schedule.calls) if call.commits]
        return commits[0] if commits else None

    # -- text -----------------------------------------------------------------------

    def _text(self, parts: list[str]) -> str:
        declarations: dict[str, str] = {}
        functions: list[str] = []
        for kernel in self.kernels.values():
            functions += kernel.functions
            declarations |= dict(kernel.declarations)
        declarations.pop("@graphc_barrier", None)
        declared = [declarations[name] for name in sorted(declarations)]
        head = f"; {self.program.name}: {len(self.schedule.calls)} kernels"
        local = [f.replace("define void", "define internal void", 1) for f in functions]
        return "\n\n".join([head, *local, *parts, "\n".join(declared)])

    def _part(self, name: str, calls: tuple[Call, ...], barriers: frozenset[int]) -> str:
        self.lines = []
        self._pointers(calls)
        commit = self._first_commit() if name == "part" else None
        for i, call in enumerate(calls):
            if i in barriers:
                self._line("call void @graphc_barrier(ptr %team, i64 %threads)")
            if i == commit:
                self._stop_if_failed()
            self._call(call)
        self._line("ret void")
        body = "\n".join(self.lines)
        head = f"define void @{self.symbol}_{name}(ptr %ctx, i64 %thread, i64 %threads) nounwind"
        return f"{head} {{\nentry:\n{body}\n}}"

    def _line(self, text: str) -> None:
        self.lines.append(f"  {text}")

    def _load_slot(self, name: str, slot: int) -> None:
        self._line(f"%{name}.slot = getelementptr ptr, ptr %ctx, i64 {slot}")
        self._line(f"%{name} = load ptr, ptr %{name}.slot")

    def _pointers(self, calls: tuple[Call, ...]) -> None:
        for name, slot in (("sizes", SIZES), ("arena", ARENA), ("all.scratch", SCRATCH)):
            self._load_slot(name, slot)
        self._load_slot("team", TEAM)
        self._scratch()
        self.pointer: dict[Storage, str] = {}
        for storage in dict.fromkeys(s for c in calls for s in c.arguments):
            name = f"{identifier(storage.name)}.{len(self.pointer)}"
            self.pointer[storage] = name
            if storage.role == TEMPORARY:
                self._temporary(name, storage)
            else:
                self._load_slot(name, self.layout.slots[storage])

    def _scratch(self) -> None:
        """This thread's scratch: its bytes are the entry after the last offset of `sizes`."""
        if self.dims is None:
            index = sum(map(len, self.layout.kernel_dims)) + len(self.layout.offsets)
            self._line(f"%scratch.size.at = getelementptr i64, ptr %sizes, i64 {index}")
            self._line("%scratch.size = load i64, ptr %scratch.size.at")
            size = "%scratch.size"
        else:
            size = str(self.layout.scratch_bytes(self.dims))
        self._line(f"%scratch.offset = mul i64 %thread, {size}")
        self._line("%scratch = getelementptr i8, ptr %all.scratch, i64 %scratch.offset")

    def _temporary(self, name: str, storage: Storage) -> None:
        if self.dims is not None:
            offset = str(self.program.plan(self.dims).offsets[storage])
        else:
            index = sum(map(len, self.layout.kernel_dims)) + self.layout.offsets.index(storage)
            self._line(f"%{name}.at = getelementptr i64, ptr %sizes, i64 {index}")
            self._line(f"%{name}.offset = load i64, ptr %{name}.at")
            offset = f"%{name}.offset"
        self._line(f"%{name} = getelementptr i8, ptr %arena, i64 {offset}")

    def _stop_if_failed(self) -> None:
        self._line("%status = load atomic i32, ptr %team acquire, align 4")
        self._line(f"%failed = icmp ne i32 %status, {NO_FAILURE}")
        self._line("br i1 %failed, label %stop, label %commit")
        self.lines += ["stop:", "  ret void", "commit:"]

    def _call(self, call: Call) -> None:
        kernel = self.kernels[call]
        sizes = "%sizes"
        if self.dims is None and kernel.dims:
            runs = self.layout.kernel_dims
            index = sum(map(len, runs[: runs.index(kernel.dims)]))
            sizes = f"%sizes.{len(self.lines)}"
            self._line(f"{sizes} = getelementptr i64, ptr %sizes, i64 {index}")
        pointers = [f"ptr %{self.pointer[s]}" for s in call.arguments]
        rest = [f"ptr {sizes}", "ptr %scratch", "ptr %team", "i64 %thread", "i64 %threads"]
        self._line(f"call void @{kernel.name}({', '.join(pointers + rest)})")
