"""A whole program as one LLVM module: its kernels, and the schedule that calls them.

    void NAME_part(ptr ctx, i64 thread, i64 threads)      the step; all threads call it together
    void NAME_prepare(ptr ctx, i64 thread, i64 threads)   what depends on parameters alone

`ctx` is a table of pointers: sizes, arena, scratch, team, then one for each storage that is not
in the arena (`ContextLayout.slots`). In the generic variant `sizes` holds, as int64, the dims of
the kernels (one run of values for each combination that some kernel uses), the arena offset of
every temporary and the bytes of a thread's scratch; in a specialised variant they are constants.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graphc.compiler.program import Program
from graphc.ir.loops.ir import Kernel
from graphc.ir.loops.kernel_equality import first_equal_kernels
from graphc.ir.schedule import TEMPORARY, KernelCall, LoopCall, Storage
from graphc_llvm.emit_kernel import EmittedKernel, emit_kernel
from graphc_llvm.emit_schedule import ContextLayout, ScheduleEmitter, loop_numbers
from graphc_llvm.ir_builder import identifier
from graphc_llvm.runtime.barrier import INTERRUPT_IR, barrier_ir
from graphc_llvm.runtime.description import BUFFERS
from graphc_llvm.target import Target


@dataclass(frozen=True)
class EmittedProgram:
    """The LLVM text of a program, its symbol and its context layout."""

    symbol: str
    text: str
    layout: ContextLayout


@dataclass(frozen=True)
class ProgramFunctions:
    """The functions of one program and their declarations."""

    functions: tuple[str, ...]
    declarations: Mapping[str, str]
    layout: ContextLayout


def emit_program(
    program: Program,
    target: Target,
    dims: Mapping[str, int] | None,
    stepwise: bool = False,
    freestanding: bool = False,
) -> EmittedProgram:
    """Emit a program for given sizes, or (None) for all sizes; equal kernels are one function.

    `stepwise` adds a function for every call, prepare part first (`call_symbol`). `freestanding`
    code calls no library, also where threads wait.
    """
    emission = _Emission(program, target, dims, identifier(program.name))
    emission.polls_interrupts = not freestanding
    pieces = emission.run(stepwise)
    return EmittedProgram(
        emission.symbol, module_text([pieces], target, freestanding), pieces.layout
    )


def emit_together(
    programs: Mapping[str, tuple[Program, Mapping[str, int] | None]], target: Target
) -> list[ProgramFunctions]:
    """Programs under their symbols, for one module; equal kernels for equal sizes are one."""
    pieces = []
    known: list[tuple[Mapping[str, int] | None, dict[Kernel, EmittedKernel]]] = []
    for symbol, (program, dims) in programs.items():
        kernels = next((kernels for sizes, kernels in known if sizes == dims), None)
        if kernels is None:
            kernels = {}
            known.append((dims, kernels))
        emission = _Emission(program, target, dims, symbol, kernels)
        pieces.append(emission.run(stepwise=False))
        kernels |= emission.kernels
    return pieces


def module_text(
    pieces: Sequence[ProgramFunctions], target: Target, freestanding: bool = False
) -> str:
    """The text of a module that holds all pieces."""
    declarations = {name: text for p in pieces for name, text in p.declarations.items()}
    declared = [declarations[name] for name in sorted(declarations)]
    functions = [text for p in pieces for text in p.functions]
    barrier = barrier_ir(target.triple, freestanding)
    if any("@graphc_ask(" in text for text in functions):
        barrier += INTERRUPT_IR
    return "\n\n".join([*functions, barrier, "\n".join(declared)])


def call_symbol(symbol: str, number: int) -> str:
    """The function that makes one call only."""
    return f"{symbol}_call{number}"


class _Emission:
    def __init__(
        self, program: Program, target: Target, dims: Mapping[str, int] | None, symbol: str,
        others: Mapping[Kernel, EmittedKernel] | None = None,
    ) -> None:  # fmt: skip
        self.program, self.target, self.dims, self.symbol = program, target, dims, symbol
        self.schedule = program.schedule
        self.others = dict(others or {})  # kernels that the module has already
        self.kernels: dict[Kernel, EmittedKernel] = {}  # equal ones are one
        self.polls_interrupts = False  # whether loops may be ended from outside

    def run(self, stepwise: bool) -> ProgramFunctions:
        """All kernels, then the schedules."""
        made = dict(self.others)
        firsts = first_equal_kernels((*self.others, *self.schedule.kernels))
        for kernel in self.schedule.kernels:
            first = firsts[kernel]
            if first not in made:
                name = f"{self.symbol}.{identifier(kernel.name)}"
                made[first] = emit_kernel(kernel, self.target, self.dims, name)
            self.kernels[kernel] = made[first]
        self.layout = self._layout()
        early = self.schedule.prepare
        parts = [
            *self._emit_schedule("prepare", early, frozenset(range(1, len(early)))),
            *self._emit_schedule("part", self.schedule.calls, self._barriers()),
        ]
        if stepwise:
            for i, call in enumerate((*self.schedule.prepare, *self.schedule.calls)):
                parts += self._emit_schedule(f"call{i}", (call,), frozenset())
        return self._pieces(parts)

    # -- layout ---------------------------------------------------------------------

    def _layout(self) -> ContextLayout:
        slots: dict[Storage, int] = {}
        outer = (*self.schedule.prepare, *self.schedule.calls)
        for call in outer:
            for storage in call.arguments:
                if storage.role != TEMPORARY and storage not in slots:
                    slots[storage] = BUFFERS + len(slots)
        for storage in (*self.schedule.inputs, *self.schedule.outputs):
            slots.setdefault(storage, BUFFERS + len(slots))
        runs = dict.fromkeys(k.dims for k in self.kernels.values() if k.dims)
        temporaries = {s: None for c in outer for s in c.arguments if s.role == TEMPORARY}
        numbers = dict.fromkeys(n for c in outer for n in loop_numbers(c))
        scratch = tuple(dict.fromkeys(k.scratch_bytes for k in self.kernels.values()))
        generic = self.dims is None
        if not generic:
            return ContextLayout(slots, (), (), (), scratch)
        return ContextLayout(slots, tuple(runs), tuple(temporaries), tuple(numbers), scratch)

    def _barriers(self) -> frozenset[int]:
        """The schedule's barriers, and one before the first call that writes a parameter."""
        commit = self._first_commit()
        return self.schedule.barriers if commit is None else self.schedule.barriers | {commit}

    def _first_commit(self) -> int | None:
        """The position where the step must be known to succeed; None if nothing can fail."""
        loops = any(isinstance(call, LoopCall) for call in self.schedule.calls)
        if not self.schedule.checks and not (self.polls_interrupts and loops):
            return None
        commits = [i for i, call in enumerate(self.schedule.calls) if call.commits]
        return commits[0] if commits else None

    # -- text -----------------------------------------------------------------------

    def _pieces(self, parts: list[str]) -> ProgramFunctions:
        declarations: dict[str, str] = {}
        functions: list[str] = []
        for kernel in dict.fromkeys(self.kernels.values()):
            if kernel not in self.others.values():
                functions += kernel.functions
                declarations |= dict(kernel.declarations)
        declarations.pop("@graphc_barrier", None)
        head = f"; {self.program.name}: {len(self.schedule.calls)} kernels"
        local = [f.replace("define void", "define internal void", 1) for f in functions]
        return ProgramFunctions((head, *local, *parts), declarations, self.layout)

    def _emit_schedule(
        self, name: str, calls: tuple[KernelCall, ...], barriers: frozenset[int]
    ) -> list[str]:
        commit = self._first_commit() if name == "part" else None
        polls_interrupts = self.polls_interrupts and name == "part"
        emitter = ScheduleEmitter(
            self.layout, self.kernels, self._offset, self.dims, polls_interrupts
        )
        return emitter.functions(f"{self.symbol}_{name}", calls, barriers, commit)

    def _offset(self, storage: Storage) -> int:
        """Where a temporary is in the arena, for given sizes."""
        assert self.dims is not None
        return self.program.plan(self.dims).offsets[storage]
