"""A kernel as one native function.

    void NAME(ptr buffer..., ptr sizes, ptr scratch, ptr team, i64 thread, i64 threads)

One pointer for each of `kernel.arguments`; `sizes` holds the kernel's dims as int64, sorted by
name (read by the generic variant only); `scratch` is private to the thread and 64-byte aligned;
`team` points to the status word (i32, lowered to a failed check's code), followed by what
`graphc_barrier` needs. All threads of a team call the function together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from graphc.ir.dims import Size
from graphc.ir.loops.ir import (
    PARALLEL,
    Buffer,
    Kernel,
    Load,
    Loop,
    Ref,
    Scratch,
    Stmt,
    Store,
    exprs_in,
    kernel_dims,
    walk,
)
from graphc_llvm.blocks import Module, ModuleTooLongError
from graphc_llvm.contract_choose import match
from graphc_llvm.contract_emit import emit_contract
from graphc_llvm.emit_context import EmitContext
from graphc_llvm.emit_limit import UNROLL_BUDGETS, UnrollBudget, max_lines
from graphc_llvm.emit_loops import emit_block
from graphc_llvm.emit_share import emit_share
from graphc_llvm.ir_builder import FunctionBuilder, FunctionParameter, identifier
from graphc_llvm.target import Target

BARRIER = "@graphc_barrier"


@dataclass(frozen=True, eq=False)
class EmittedKernel:
    """The LLVM text of one kernel.

    `declarations` maps the names of intrinsics (and of the barrier) to their declarations.
    `scratch_bytes` is what each thread needs; `parallel` says whether more than one has work.
    """

    name: str
    functions: tuple[str, ...]
    declarations: Mapping[str, str]
    dims: tuple[str, ...]
    scratch_bytes: Size
    parallel: bool

    def module(self) -> str:
        """The kernel as a module of its own."""
        return Module(list(self.functions), dict(self.declarations)).text()


def emit_kernel(
    kernel: Kernel,
    target: Target,
    sizes: Mapping[str, int] | None,
    name: str | None = None,
    tiles: bool = True,
) -> EmittedKernel:
    """Emit a kernel for given sizes, or (None) for all sizes.

    Contractions become register tiles unless `tiles` is false: the bits are the same. A kernel
    that would be too long is unrolled and vectorised less.
    """
    most = max_lines(kernel)
    for unroll in UNROLL_BUDGETS[:-1]:
        try:
            allowed = replace(unroll, tiles=tiles and unroll.tiles)
            return _emit(kernel, target, sizes, name, allowed, most)
        except ModuleTooLongError:
            continue
    return _emit(kernel, target, sizes, name, UNROLL_BUDGETS[-1], None)


def _emit(
    kernel: Kernel,
    target: Target,
    sizes: Mapping[str, int] | None,
    name: str | None,
    unroll: UnrollBudget,
    most: int | None,
) -> EmittedKernel:
    module, symbol = Module(most=most), name or identifier(kernel.name)
    names = _parameter_names(kernel.arguments)
    parameters = [FunctionParameter("ptr", n) for n in names.values()]
    parameters += [FunctionParameter("ptr", n) for n in ("sizes", "scratch", "team")]
    parameters += [FunctionParameter("i64", n) for n in ("thread", "threads")]
    builder = FunctionBuilder(module, symbol, parameters)
    dims = kernel_dims(kernel)
    stored = frozenset(s.buffer for s in walk(kernel.body) if isinstance(s, Store))
    c = EmitContext(builder, target, sizes, dims, stored, unroll=unroll)
    c.pointers = {buffer: f"%{n}" for buffer, n in names.items()}
    parallel = is_parallel(kernel)
    if parallel:
        _emit_together(c, kernel.body)
    else:
        _on_first_thread(c, kernel.body)
    builder.finish()
    functions, declarations = tuple(module.functions), module.declarations
    return EmittedKernel(symbol, functions, declarations, dims, c.scratch, parallel)


def is_parallel(kernel: Kernel) -> bool:
    """True if more than one thread has work: else the first one does all.

    Scratch in front of the loops would have to be shared; a loop that both stores and yields
    values for later statements would have to run once and everywhere.
    """
    loops = [s for s in kernel.body if isinstance(s, Loop)]
    if any(isinstance(s, Scratch) for s in kernel.body):
        return False
    for loop in loops:
        stores = any(isinstance(s, Store) for s in walk(loop.body))
        if loop.kind != PARALLEL and stores and _is_used(loop, kernel.body):
            return False
    return any(loop.kind == PARALLEL for loop in loops)


def _is_used(loop: Loop, body: tuple[Stmt, ...]) -> bool:
    names = {ref.name for a in loop.accumulators for ref in a.refs}
    others = tuple(stmt for stmt in body if stmt is not loop)
    return any(isinstance(e, Ref) and e.name in names for e in exprs_in(others))


def _parameter_names(buffers: tuple[Buffer, ...]) -> dict[Buffer, str]:
    names: dict[Buffer, str] = {}
    used = {"sizes", "scratch", "team", "thread", "threads", "entry"}
    for buffer in buffers:
        base = name = identifier(buffer.name)
        count = 1
        while name in used:
            name, count = f"{base}.{count}", count + 1
        used.add(name)
        names[buffer] = name
    return names


# ------------------------------------------------------------------ threads


def _on_first_thread(c: EmitContext, body: tuple[Stmt, ...]) -> None:
    def work() -> list[str]:
        with c.inside():
            # what is loaded after a store must not move in front of this block
            c.pins = c.pins | dict.fromkeys(c.written, c.builder.level)
            emit_block(c, body)
        return []

    first = c.builder.compare("eq", "%thread", 0, "first")
    c.builder.when(first, [], work, "alone")


def _emit_together(c: EmitContext, body: tuple[Stmt, ...]) -> None:
    """Give each thread its share; wait where one needs what another wrote."""
    pending = _Pending()
    for stmt in body:
        shared = isinstance(stmt, Loop) and stmt.kind == PARALLEL
        if pending.conflicts(stmt, shared):
            c.builder.call_effect(BARRIER, [("ptr", "%team"), ("i64", "%threads")])
            pending = _Pending()
        pending.note(stmt, shared)
        if isinstance(stmt, Loop) and shared:
            with c.inside(stmt):
                plan = match((stmt,), c.target, c.sizes) if c.unroll.tiles else None
                if plan is None:
                    emit_share(c, stmt)
                else:
                    emit_contract(plan, c)
        elif _writes(stmt):
            _on_first_thread(c, (stmt,))
        else:
            emit_block(c, (stmt,))


class _Pending:
    """What has been read and written since the last barrier, by all threads or by the first."""

    def __init__(self) -> None:
        self.reads: set[Buffer] = set()
        self.writes: set[Buffer] = set()
        self.first_writes: set[Buffer] = set()

    def conflicts(self, stmt: Stmt, shared: bool) -> bool:
        """True if the statement must wait for other threads."""
        reads, writes = _reads(stmt), _writes(stmt)
        # what the first thread alone wrote, it may read and write again
        alone = bool(writes) and not shared
        written = self.writes if alone else self.writes | self.first_writes
        return bool((reads | writes) & written or writes & self.reads)

    def note(self, stmt: Stmt, shared: bool) -> None:
        """Remember what a statement touches."""
        alone = bool(_writes(stmt)) and not shared
        (self.first_writes if alone else self.writes).update(_writes(stmt))
        self.reads.update(_reads(stmt))


def _reads(stmt: Stmt) -> set[Buffer]:
    return {e.buffer for e in exprs_in((stmt,)) if isinstance(e, Load)}


def _writes(stmt: Stmt) -> set[Buffer]:
    return {s.buffer for s in walk((stmt,)) if isinstance(s, Store)}
