"""Emit the schedule: one function that every thread runs, with loops and barriers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from graphc.compiler.memory.plan import MemoryPlan
from graphc.ir.dims import Size, evaluate
from graphc.ir.loops.ir import Kernel
from graphc.ir.schedule import TEMPORARY, KernelCall, LoopCall, RowWindow, Storage, round_up
from graphc_llvm.blocks import BlockBuilder
from graphc_llvm.cost import iteration_seconds
from graphc_llvm.emit_kernel import EmittedKernel
from graphc_llvm.ir_builder import identifier
from graphc_llvm.runtime.barrier import NO_FAILURE_I32
from graphc_llvm.runtime.description import ARENA, BUFFERS, SCRATCH, SIZES, TEAM

PARAMETERS = ("ptr %ctx", "i64 %thread", "i64 %threads")
CALLS_PER_FUNCTION = 64  # LLVM needs more for each line of a longer one
SECONDS_PER_QUESTION = 0.03  # of a loop between two polls for an interrupt
MAX_STEPS_PER_QUESTION = 1 << 20  # of a loop between two polls


@dataclass(frozen=True)
class ContextLayout:
    """The layout of ctx and of the sizes table.

    `slots` are the entries of ctx by storage; `kernel_dims` the runs of dims in `sizes`;
    `offsets` the temporaries whose arena offsets follow them; `numbers` the sizes that loops
    need, which come next; the last entry is the bytes of a thread's scratch.
    """

    slots: Mapping[Storage, int]
    kernel_dims: tuple[tuple[str, ...], ...]
    offsets: tuple[Storage, ...]
    numbers: tuple[Size, ...]
    scratch: tuple[Size, ...]

    @property
    def count(self) -> int:
        """The entries of ctx."""
        return BUFFERS + len(self.slots)

    def sizes(self, dims: Mapping[str, int], plan: MemoryPlan) -> tuple[int, ...]:
        """The content of the sizes table for given dims."""
        values = [dims[name] for run in self.kernel_dims for name in run]
        offsets = (plan.offsets[s] for s in self.offsets)
        numbers = (evaluate(n, dims) for n in self.numbers)
        return (*values, *offsets, *numbers, self.scratch_bytes(dims))

    def scratch_bytes(self, dims: Mapping[str, int]) -> int:
        """Bytes of scratch that one thread needs."""
        return max((round_up(evaluate(s, dims)) for s in self.scratch), default=0)

    def dims_at(self, run: tuple[str, ...]) -> int:
        """Where a run of dims begins in the sizes table."""
        return sum(map(len, self.kernel_dims[: self.kernel_dims.index(run)]))

    def offset_at(self, storage: Storage) -> int:
        """Where the offset of a temporary is in the sizes table."""
        return sum(map(len, self.kernel_dims)) + self._offset_numbers[storage]

    @cached_property
    def _offset_numbers(self) -> dict[Storage, int]:
        return {storage: i for i, storage in enumerate(self.offsets)}

    def number_at(self, size: Size) -> int:
        """Where a size is in the sizes table."""
        first = sum(map(len, self.kernel_dims)) + len(self.offsets)
        return first + self.numbers.index(size)

    @property
    def scratch_at(self) -> int:
        """Where the bytes of a thread's scratch are in the sizes table."""
        return sum(map(len, self.kernel_dims)) + len(self.offsets) + len(self.numbers)


def loop_numbers(call: KernelCall) -> Iterator[Size]:
    """The sizes that the text of a loop needs: its length, rows of windows and their bytes."""
    if not isinstance(call, LoopCall):
        return
    yield call.length
    for window in call.windows.values():
        yield window.base.type.shape[0]
        yield row_bytes(window)
    for inner in call.inner:
        yield from loop_numbers(inner)


def row_bytes(window: RowWindow) -> Size:
    """Bytes from one row of the window's base to the next."""
    type = window.base.type
    return type.with_shape(type.shape[1:]).nbytes


class ScheduleEmitter:
    """Emits one schedule function; many calls are split over several functions.

    Loops that nothing persistent is written before or in may be ended from outside where the
    part `polls_interrupts` (see `INTERRUPT_IR`): then every function returns at once, whether it
    was ended.
    """

    def __init__(
        self,
        layout: ContextLayout,
        kernels: Mapping[Kernel, EmittedKernel],
        offset: Callable[[Storage], int],
        dims: Mapping[str, int] | None,
        polls_interrupts: bool = False,
    ) -> None:
        self.layout, self.kernels, self.offset, self.dims = layout, kernels, offset, dims
        self.polls_interrupts, self.ended = polls_interrupts, ""
        self.window: dict[Storage, str] = {}  # where the windows of open loops are

    def functions(
        self, name: str, calls: Sequence[KernelCall], barriers: frozenset[int], commit: int | None
    ) -> list[str]:
        """All calls in order; at position `commit` the step ends if a check has failed."""
        if len(calls) <= CALLS_PER_FUNCTION:
            return [self._function(name, lambda: self._sequence(calls, barriers, commit))]
        last = len(calls) if commit is None else commit
        starts = sorted({*range(0, len(calls), CALLS_PER_FUNCTION), commit or 0})
        names = {start: f"{name}.{i}" for i, start in enumerate(starts)}
        found = []
        for start, stop in zip(starts, [*starts[1:], len(calls)]):
            inside = frozenset(b - start for b in barriers if start < b < stop)
            body = partial(self._sequence, calls[start:stop], inside, None, start < last)
            found.append(self._function(names[start], body, "internal", "i1"))
        return [*found, self._function(name, lambda: self._pieces(names, barriers, commit))]

    def _pieces(
        self, names: Mapping[int, str], barriers: frozenset[int], commit: int | None
    ) -> None:
        """Calls of functions, by the position of the first call in each."""
        for start, name in names.items():
            self._before(start, barriers, commit)
            call = f"call i1 @{name}(ptr %ctx, i64 %thread, i64 %threads)"
            self._end_if(self.code.effect_value("ended", call))

    def _function(
        self, name: str, body: Callable[[], None], linkage: str = "", result: str = "void"
    ) -> str:
        self.code = BlockBuilder(name, PARAMETERS, linkage=linkage, result=result)
        self.ended = "" if result == "void" else "true"
        self._entry()
        body()
        return self.code.end("" if result == "void" else "false")

    def _end_if(self, condition: str) -> None:
        """Emit a return that is taken where the step has been ended."""
        end, on = self.code.labels("end", "on")
        self.code.branch_if(condition, end, on)
        self.code.start(end)
        self.code.ret(self.ended)
        self.code.start(on)

    def _barrier(self) -> None:
        self.code.effect("call void @graphc_barrier(ptr %team, i64 %threads)")

    # -- places -----------------------------------------------------------------------

    def _load_slot(self, name: str, slot: int) -> None:
        self.code.effect(f"%{name}.slot = getelementptr ptr, ptr %ctx, i64 {slot}")
        self.code.effect(f"%{name} = load ptr, ptr %{name}.slot")

    def _from_sizes(self, hint: str, index: int) -> str:
        at = self.code.effect_value(f"{hint}.at", f"getelementptr i64, ptr %sizes, i64 {index}")
        return self.code.effect_value(hint, f"load i64, ptr {at}")

    def _number(self, size: Size) -> str:
        if isinstance(size, int):
            return str(size)
        if self.dims is not None:
            return str(evaluate(size, self.dims))
        return self._from_sizes("size", self.layout.number_at(size))

    def _entry(self) -> None:
        """Emit what every call needs."""
        for name, slot in (("sizes", SIZES), ("arena", ARENA), ("all.scratch", SCRATCH)):
            self._load_slot(name, slot)
        self._load_slot("team", TEAM)
        if self.dims is None:
            size = self._from_sizes("scratch.size", self.layout.scratch_at)
        else:
            size = str(self.layout.scratch_bytes(self.dims))
        self.code.effect(f"%scratch.offset = mul i64 %thread, {size}")
        self.code.effect("%scratch = getelementptr i8, ptr %all.scratch, i64 %scratch.offset")

    def _pointer(self, storage: Storage) -> str:
        """Where a storage is; found again for each call, so that no register holds it between."""
        if storage in self.window:
            return self.window[storage]
        name = identifier(storage.name)
        if storage.role == TEMPORARY:
            offset = self._offset(name, storage)
            return self.code.effect_value(name, f"getelementptr i8, ptr %arena, i64 {offset}")
        slot = self.layout.slots[storage]
        place = self.code.effect_value(f"{name}.slot", f"getelementptr ptr, ptr %ctx, i64 {slot}")
        return self.code.effect_value(name, f"load ptr, ptr {place}")

    def _offset(self, name: str, storage: Storage) -> str:
        if self.dims is not None:
            return str(self.offset(storage))
        return self._from_sizes(f"{name}.offset", self.layout.offset_at(storage))

    # -- calls ------------------------------------------------------------------------

    def _sequence(
        self,
        calls: Sequence[KernelCall],
        barriers: frozenset[int],
        commit: int | None = None,
        polls_interrupts: bool = True,
    ) -> None:
        for i, call in enumerate(calls):
            self._before(i, barriers, commit)
            if isinstance(call, LoopCall):
                self._loop(
                    call,
                    self.polls_interrupts and polls_interrupts and (commit is None or i < commit),
                )
            else:
                self._call(call)

    def _before(self, i: int, barriers: frozenset[int], commit: int | None) -> None:
        """Emit what comes before the call at a position."""
        if i in barriers:
            self._barrier()
        if i == commit:
            self._stop_if_failed()

    def _stop_if_failed(self) -> None:
        self.code.effect("%status = load atomic i32, ptr %team acquire, align 4")
        self.code.effect(f"%failed = icmp ne i32 %status, {NO_FAILURE_I32}")
        self.code.branch_if("%failed", "stop", "commit")
        self.code.start("stop")
        self.code.ret()
        self.code.start("commit")

    def _call(self, call: KernelCall) -> None:
        kernel = self.kernels[call.kernel]
        sizes = "%sizes"
        if self.dims is None and kernel.dims:
            index = self.layout.dims_at(kernel.dims)
            sizes = self.code.effect_value("sizes", f"getelementptr i64, ptr %sizes, i64 {index}")
        pointers = [f"ptr {self._pointer(s)}" for s in call.arguments]
        rest = [f"ptr {sizes}", "ptr %scratch", "ptr %team", "i64 %thread", "i64 %threads"]
        self.code.effect(f"call void @{kernel.name}({', '.join(pointers + rest)})")

    # -- loops ------------------------------------------------------------------------

    def _loop(self, call: LoopCall, polls_interrupts: bool) -> None:
        """Emit a loop, with a barrier after each iteration, and the calls before and after it."""
        length = self._iterations(call)
        self._windows(call, "0", length)
        self._all_apart(call.before)
        head, body, done, *names = self.code.labels("loop", "iteration", "done", "step", "next")
        step, following = (f"%{name}" for name in names)
        before = self.code.label
        self.code.branch(head)
        self.code.start(head)
        place = self.code.reserve()  # the phi needs the name of the last block
        more = self.code.effect_value("more", f"icmp slt i64 {step}, {length}")
        if call.condition is not None:
            more = self._holds(call, step, length, more)
        self.code.branch_if(more, body, done)
        self.code.start(body)
        self._windows(call, step, length)
        self._sequence(call.repeated, call.barriers, None, polls_interrupts)
        if polls_interrupts:
            self._barrier_and_poll(call, step)
        else:
            self._barrier()
        self.code.effect(f"{following} = add i64 {step}, 1")
        phi = f"{step} = phi i64 [ 0, %{before} ], [ {following}, %{self.code.label} ]"
        self.code.fill(place, [phi])
        self.code.branch(head)
        self.code.start(done)
        self._windows(call, step, length)
        self._all_apart(call.after)

    def _barrier_and_poll(self, call: LoopCall, step: str) -> None:
        """The barrier after an iteration, which now and then polls for an interrupt."""
        steps = SECONDS_PER_QUESTION / max(1e-9, iteration_seconds(call, self.dims))
        every = 1 << max(0, min(int(steps), MAX_STEPS_PER_QUESTION).bit_length() - 1)
        ask, meet, read, on = self.code.labels("ask", "meet", "read", "listened")
        place = self.code.effect_value("place", f"and i64 {step}, {every - 1}")
        due = self.code.effect_value("due", f"icmp eq i64 {place}, {every - 1}")
        turn = self.code.effect_value("turn", f"udiv i64 {step}, {every}")
        self.code.branch_if(due, ask, meet)
        self.code.start(ask)
        self.code.effect(f"call void @graphc_ask(ptr %team, i64 %thread, i64 {turn})")
        self.code.branch(meet)
        self.code.start(meet)
        self._barrier()
        self.code.branch_if(due, read, on)
        self.code.start(read)
        self._end_if(
            self.code.effect_value("stops", f"call i1 @graphc_stops(ptr %team, i64 {turn})")
        )
        self.code.branch(on)
        self.code.start(on)

    def _iterations(self, call: LoopCall) -> str:
        """How many iterations there are at most."""
        length = self._number(call.length)
        if call.count is None:
            return length
        count = self.code.effect_value("count", f"load i64, ptr {self._pointer(call.count)}")
        fewer = self.code.effect_value("fewer", f"icmp slt i64 {count}, {length}")
        return self.code.effect_value("length", f"select i1 {fewer}, i64 {count}, i64 {length}")

    def _holds(self, call: LoopCall, step: str, length: str, more: str) -> str:
        """Whether the loop goes on; all threads read the same carry."""
        assert call.condition is not None
        self._window(call.condition, call.windows[call.condition], step, length)
        going = self.code.effect_value("going", f"load i8, ptr {self._pointer(call.condition)}")
        true = self.code.effect_value("true", f"icmp ne i8 {going}, 0")
        return self.code.effect_value("more", f"and i1 {more}, {true}")

    def _all_apart(self, calls: Sequence[KernelCall]) -> None:
        """Calls on different bytes, which others may read from then on."""
        self._sequence(calls, frozenset())
        if calls:
            self._barrier()

    def _windows(self, call: LoopCall, step: str, length: str) -> None:
        """Where the windows are at a step; rows beyond the end are not used there."""
        for storage, window in call.windows.items():
            self._window(storage, window, step, length)

    def _window(self, storage: Storage, window: RowWindow, step: str, length: str) -> None:
        row = step
        if window.backward:
            last = self.code.effect_value("last", f"sub i64 {length}, 1")
            row = self.code.effect_value("row", f"sub i64 {last}, {step}")
        if window.ahead:
            row = self.code.effect_value("row", f"add i64 {row}, {window.ahead}")
        rows = self._number(window.base.type.shape[0])
        if window.ahead or not window.backward:
            row = self._wrapped(row, rows)
        stride = self._number(row_bytes(window))
        offset = self.code.effect_value("offset", f"mul i64 {row}, {stride}")
        base = self._pointer(window.base)
        self.window[storage] = self.code.effect_value(
            "window", f"getelementptr i8, ptr {base}, i64 {offset}"
        )

    def _wrapped(self, row: str, rows: str) -> str:
        """The row modulo the number of rows; 0 where there is none."""
        empty = self.code.effect_value("empty", f"icmp eq i64 {rows}, 0")
        divisor = self.code.effect_value("divisor", f"select i1 {empty}, i64 1, i64 {rows}")
        return self.code.effect_value("row", f"urem i64 {row}, {divisor}")
