"""Kernels and functions of device programs as LLVM text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from graphc.ir.types import uint32
from graphc_cuda.device import program as device
from graphc_cuda.device.program import DeviceArray, DeviceFunction, DeviceKernel, Stmt, Variable
from graphc_cuda.nvptx.function_text import (
    POINTERS,
    FunctionText,
    ModuleText,
    identifier,
    type_text,
)
from graphc_cuda.nvptx.intrinsics import write_intrinsic, write_shuffle
from graphc_cuda.nvptx.values import ValueText

ALIGNMENT = 16  # bytes, of shared and local arrays
STATIC_SHARED_BYTES = 48 * 1024  # more has to be asked for at launch


def function_text(function: DeviceFunction, module: ModuleText) -> str:
    """A scalar function; it is always inlined."""
    f = FunctionText(module)
    write = ValueText(f)
    parameters = []
    for parameter in function.parameters:
        name = f"%{f.names.fresh(identifier(parameter.name))}"
        write.current[parameter.name] = name
        parameters.append(f"{type_text(parameter.dtype)} {name}")
    for stmt in function.body:
        write.forget()
        hint = identifier(stmt.variable.name)
        write.current[stmt.variable.name] = write.text(stmt.value, hint)
    write.forget()
    result = type_text(function.result.dtype)
    last = f"ret {result} {write.text(function.result)}"
    head = f"define internal {result} @{identifier(function.name)}({', '.join(parameters)})"
    note = f"; {' '.join(function.note.split())}\n" if function.note else ""
    return note + f.finished(f"{head} alwaysinline nounwind memory(none)", last)


def kernel_text(kernel: DeviceKernel, module: ModuleText) -> str:
    """A kernel, with the shared memory that it declares among the variables of the module."""
    return KernelText(kernel, module).finished()


def shared_places(kernel: DeviceKernel) -> tuple[dict[DeviceArray, int], int]:
    """Where shared arrays begin, and bytes in all, each array aligned."""
    places, end = {}, 0
    for stmt in device.walk(kernel.body):
        if isinstance(stmt, device.Declare) and stmt.array.space == device.SHARED:
            places[stmt.array] = end
            end += -(-stmt.array.nbytes // ALIGNMENT) * ALIGNMENT
    return places, end


def dynamic_shared_bytes(kernel: DeviceKernel) -> int:
    """Bytes of shared memory to ask for at launch: 0 where the machine code names them."""
    total = shared_places(kernel)[1]
    return total if total > STATIC_SHARED_BYTES else 0


class KernelText:
    """Writes one kernel."""

    def __init__(self, kernel: DeviceKernel, module: ModuleText) -> None:
        self.kernel, self.module = kernel, module
        self.f = FunctionText(module)
        self.write = ValueText(self.f, kernel.block)
        self.name = identifier(kernel.name)
        self._shared, total = shared_places(kernel)
        self._dynamic = ""
        if total > STATIC_SHARED_BYTES:
            self._dynamic = f"@{module.names.fresh(f'{self.name}_shared')}"
            kind = f"external addrspace(3) global [0 x i8], align {ALIGNMENT}"
            module.variables.append(f"{self._dynamic} = {kind}")
        self._parameters = [self._parameter(a) for a in kernel.arrays]
        self._place_variables()
        self.body(kernel.body)

    def finished(self) -> str:
        """The text of the kernel, after a note of where it comes from."""
        notes = [f"; {' '.join(line.split())}" for line in self.kernel.note]
        head = f"define ptx_kernel void @{self.name}({', '.join(self._parameters)})"
        attributes = f'nounwind "nvvm.maxntid"="{self.kernel.block}"'
        return "\n".join([*notes, self.f.finished(f"{head} {attributes}", "ret void")])

    def _parameter(self, array: DeviceArray) -> str:
        name = f"%{self.f.names.fresh(identifier(array.name))}"
        self.write.pointers[array] = name
        words = [POINTERS[array.space]]
        if array not in self.kernel.aliased:
            words.append("noalias")
        if array not in self.kernel.written:
            words.append("readonly")
        return " ".join([*words, f"align {array.dtype.itemsize}", name])

    def _place_variables(self) -> None:
        """Give memory to variables that change; the optimiser makes registers of it."""
        targets = list(_targets(self.kernel.body))
        count = Counter(v.name for v in targets)
        dtypes = {v.name: v.dtype for v in targets}
        for name in (n for n in count if count[n] > 1):
            place = self.f.define_first(f"{name}_place", f"alloca {type_text(dtypes[name])}")
            self.write.places[name] = place

    # -------------------------------------------------------------- statements

    def body(self, stmts: Sequence[Stmt]) -> None:
        """Write statements one after the other."""
        for stmt in stmts:
            self.write.forget()
            self._statement(stmt)

    def _statement(self, stmt: Stmt) -> None:
        f = self.f
        match stmt:
            case device.Assign(variable=variable, value=value):
                self.assign(variable, self.write.text(value, identifier(variable.name)))
            case device.Put(array=array, index=index, value=value):
                element = self.write.to_memory(value, array)
                place = self.write.element(array, index)
                f.effect(f"store {type_text(array.dtype)} {element}, {place}")
            case device.If():
                self._if(stmt)
            case device.For():
                self._for(stmt)
            case device.While():
                self._while(stmt)
            case device.Declare(array=array):
                self._declare(array)
            case device.Shuffle(variable=variable):
                self.assign(variable, write_shuffle(self.write, stmt))
            case device.Intrinsic(results=results):
                for variable, text in zip(results, write_intrinsic(self.write, stmt)):
                    self.assign(variable, text)
            case _:
                self._small_statement(stmt)

    def _small_statement(self, stmt: Stmt) -> None:
        match stmt:
            case device.Barrier():
                self.f.effect("call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)")
            case device.WarpBarrier(mask=mask):
                threads = self.write.as_type(mask, uint32)
                self.f.effect(f"call void @llvm.nvvm.bar.warp.sync(i32 {threads})")
            case device.Return():
                self.f.end("ret void")
            case device.Comment(text=text):
                self.f.comment(text)

    def assign(self, variable: Variable, text: str) -> None:
        """Let a variable be what has been computed."""
        place = self.write.places.get(variable.name)
        if place is None:
            self.write.current[variable.name] = text
        else:
            self.f.effect(f"store {type_text(variable.dtype)} {text}, ptr {place}")

    def _if(self, stmt: device.If) -> None:
        f = self.f
        then, other, end = f.labels("then", "else", "end")
        f.branch_if(self.write.text(stmt.condition), then, other if stmt.otherwise else end)
        f.start(then)
        self.body(stmt.body)
        f.branch(end)
        if stmt.otherwise:
            f.start(other)
            self.body(stmt.otherwise)
            f.branch(end)
        f.start(end)

    def _while(self, stmt: device.While) -> None:
        f = self.f
        head, body, end = f.labels("while", "do", "done")
        f.branch(head)
        f.start(head)
        f.branch_if(self.write.text(stmt.condition), body, end)
        f.start(body)
        self.body(stmt.body)
        f.branch(head)
        f.start(end)

    def _for(self, stmt: device.For) -> None:
        f, variable = self.f, stmt.variable
        name, kind = identifier(variable.name), type_text(variable.dtype)
        start, stop = (self.write.as_type(v, variable.dtype) for v in (stmt.start, stmt.stop))
        step = self.write.as_type(stmt.step, variable.dtype)
        labels = f.labels(*(f"{name}_{what}" for what in ("loop", "body", "next", "end")))
        head, body, latch, end = labels
        before, following = f.label, f"%{f.names.fresh(f'{name}_after')}"
        f.branch(head)
        f.start(head)
        value = f.define(name, f"phi {kind} [ {start}, %{before} ], [ {following}, %{latch} ]")
        signed = "s" if variable.dtype.kind == "i" else "u"
        f.branch_if(f.define("more", f"icmp {signed}lt {kind} {value}, {stop}"), body, end)
        f.start(body)
        self.assign(variable, value)
        self.body(stmt.body)
        f.branch(latch)
        f.start(latch)
        wraps = " nsw" if variable.dtype.kind == "i" else ""
        f.effect(f"{following} = add{wraps} {kind} {value}, {step}")
        f.branch(head, self.module.loop(stmt.unroll))
        f.start(end)

    def _declare(self, array: DeviceArray) -> None:
        name = identifier(array.name)
        kind = f"[{array.size} x {type_text(array.dtype)}]"
        if array.space == device.LOCAL:
            place = f"alloca {kind}, align {ALIGNMENT}"
            self.write.pointers[array] = self.f.define_first(name, place)
        elif self._dynamic:
            place = f"ptr addrspace(3) {self._dynamic}, i32 {self._shared[array]}"
            found = self.f.define_first(name, f"getelementptr inbounds i8, {place}")
            self.write.pointers[array] = found
        else:
            symbol = f"@{self.module.names.fresh(f'{self.name}_{name}')}"
            kind = f"internal addrspace(3) global {kind} undef, align {ALIGNMENT}"
            self.module.variables.append(f"{symbol} = {kind}")
            self.write.pointers[array] = symbol


def _targets(body: Sequence[Stmt]) -> Iterator[Variable]:
    """Variables as often as they are given a value."""
    for stmt in device.walk(body):
        match stmt:
            case device.Assign(variable=variable) | device.Shuffle(variable=variable):
                yield variable
            case device.For(variable=variable):
                yield variable
            case device.Intrinsic(results=results):
                yield from results
