"""The self-test of a library: make the recorded inputs, call every function, compare."""

from __future__ import annotations

import numpy as np

from graphc.export.interface import Argument, Entry, Interface
from graphc.export.selftest import CALLS, Call, Recording, seed
from graphc.ir.dims import evaluate
from graphc.ir.types import DType
from graphc_llvm.library.code import STATUS, Code, numbers
from graphc_llvm.library.layout import Workspace
from graphc_llvm.target import Target, host_target
from graphc_llvm.values import memory_type

BOUNDS = {32: 1e-3, 64: 1e-9}  # |a - b| <= bound * max(1, |b|) where products round otherwise

_FILL = """\
define internal void @fill.{name}(ptr %to, i64 %count, i32 %seed, i32 %limit) nounwind {{
entry:
  %none = icmp eq i64 %count, 0
  br i1 %none, label %done, label %next
next:
  %i = phi i64 [ 0, %entry ], [ %i.next, %next ]
  %index = trunc i64 %i to i32
  %h.0 = add i32 %index, %seed
  %h.1 = lshr i32 %h.0, 16
  %h.2 = xor i32 %h.0, %h.1
  %h.3 = mul i32 %h.2, 2146121005
  %h.4 = lshr i32 %h.3, 15
  %h.5 = xor i32 %h.3, %h.4
  %h.6 = mul i32 %h.5, -2073254261
  %h.7 = lshr i32 %h.6, 16
  %h = xor i32 %h.6, %h.7
{value}
  %at = getelementptr {type}, ptr %to, i64 %i
  store {type} %value, ptr %at
  %i.next = add i64 %i, 1
  %more = icmp ult i64 %i.next, %count
  br i1 %more, label %next, label %done
done:
  ret void
}}"""

_UNIT = """\
  %high = lshr i32 %h, 8
  %whole = uitofp i32 %high to float
  %scaled = fmul float %whole, 0x3E80000000000000
  %unit = fsub float %scaled, 1.0"""


def _value(dtype: DType) -> str:
    """How `h` becomes an element; the same as `graphc.export.selftest.samples`."""
    if dtype.kind == "b":
        return "  %bit = and i32 %h, 1\n  %value = trunc i32 %bit to i8"
    if dtype.is_integer:
        rest = "  %rest = urem i32 %h, %limit\n"
        how = {8: "trunc", 16: "trunc", 64: "zext"}.get(dtype.bits)
        last = f"{how} i32 %rest to i{dtype.bits}" if how else "add i32 %rest, 0"
        return f"{rest}  %value = {last}"
    if dtype.bits == 16:
        shift, base = (22, 0x3800) if dtype.name == "float16" else (25, 0x3F00)
        add = f"  %bits = add i32 %few, {base}\n  %value = trunc i32 %bits to i16"
        return f"  %few = lshr i32 %h, {shift}\n{add}"
    if dtype.bits == 32:
        return f"{_UNIT}\n  %value = fadd float %unit, 0.0"
    return f"{_UNIT}\n  %value = fpext float %unit to double"


class _Test:
    def __init__(
        self, interface: Interface, workspace: Workspace, size: str, embedded: bool, target: Target
    ) -> None:
        self.interface, self.workspace, self.size = interface, workspace, size
        self.embedded, self.exact = embedded, target.has_fma == host_target().has_fma
        self.name = interface.name
        self.globals: list[str] = []
        self.fills: dict[str, str] = {}
        self.declared: dict[str, str] = {}

    def text(self, recording: Recording) -> str:
        """The module."""
        given = [] if self.embedded else ["ptr %weights", f"{self.size} %weights_bytes"]
        code = Code(f"{self.name}_selftest", given)
        memory = self._memory("workspace", self.workspace.total)
        arguments = [f"ptr {memory}", f"{self.size} {self.workspace.total}", *given]
        self._call(code, f"{self.name}_init", arguments)
        for number, entry in enumerate(self.interface.entries):
            for call in range(CALLS):
                self._run(code, entry, number, call, recording)
        body = code.end()
        return "\n\n".join(
            ["\n".join(self.globals), *self.fills.values(), *self.declared.values(), body, ""]
        )

    def _memory(self, hint: str, count: int) -> str:
        name = f"@{self.name}.test.{hint}.{len(self.globals)}"
        kind = f"[{max(count, 1)} x i8] zeroinitializer, align 64"
        self.globals.append(f"{name} = internal global {kind}")
        return name

    def _data(self, raw: bytes) -> str:
        name = f"@{self.name}.test.data.{len(self.globals)}"
        kind = f'[{len(raw)} x i8] c"{numbers(raw)}", align 64'
        self.globals.append(f"{name} = internal constant {kind}")
        return name

    def _call(self, code: Code, symbol: str, arguments: list[str]) -> None:
        types = ", ".join(a.rsplit(" ", 1)[0] for a in arguments)
        self.declared[symbol] = f"declare signext i32 @{symbol}({types})"
        call = f"call signext i32 @{symbol}({', '.join(arguments)})"
        status = code.define("status", call)
        code.fail_if(code.define("failed", f"icmp ne i32 {status}, 0"), status)

    def _run(self, code: Code, entry: Entry, number: int, call: int, recording: Recording) -> None:
        workspace = self.globals[0].split(" ")[0]
        arguments = [f"ptr {workspace}", *(f"i64 {entry.sample[d.name]}" for d in entry.dims)]
        for i, argument in enumerate(entry.inputs):
            count, memory = self._argument(entry, argument)
            fill, limit = self._fill(argument.type.dtype), recording.limits[entry]
            mixed = seed(number, call, i) * 0x9E3779B9 & 0xFFFFFFFF
            code.line(f"call void {fill}(ptr {memory}, i64 {count}, i32 {mixed}, i32 {limit})")
            arguments.append(f"ptr {memory}")
        results = [self._argument(entry, o)[1] for o in entry.outputs]
        self._call(code, entry.symbol, [*arguments, *(f"ptr {r}" for r in results)])
        self._compare(code, entry, results, recording.calls[entry][call])

    def _argument(self, entry: Entry, argument: Argument) -> tuple[int, str]:
        shape = tuple(evaluate(s, entry.sample) for s in argument.type.shape)
        count = int(np.prod(shape, dtype=np.int64))
        return count, self._memory(argument.symbol, count * argument.type.dtype.itemsize)

    def _fill(self, dtype: DType) -> str:
        text = _FILL.format(name=dtype.name, type=memory_type(dtype), value=_value(dtype))
        self.fills[dtype.name] = text
        return f"@fill.{dtype.name}"

    # -- comparison -----------------------------------------------------------------------

    def _compare(self, code: Code, entry: Entry, results: list[str], call: Call) -> None:
        for output, memory, positions, values in zip(
            entry.outputs, results, call.positions, call.values
        ):
            dtype = output.type.dtype
            if not positions.size or not (self.exact or _has_bound(dtype)):
                continue
            test = self._test(dtype)
            where, wanted = self._data(positions.tobytes()), self._data(values.tobytes())
            arguments = f"ptr {memory}, ptr {where}, ptr {wanted}, i64 {positions.size}"
            same = code.define("same", f"call i1 {test}({arguments})")
            code.fail_if(code.define("other", f"xor i1 {same}, true"), STATUS["SELFTEST"])

    def _test(self, dtype: DType) -> str:
        """Whether elements at positions have the wanted values."""
        kind, name = memory_type(dtype), f"same.{dtype.name}"
        self.fills[name] = _SAME.format(name=name, type=kind, test=self._equal(dtype, kind))
        return f"@{name}"

    def _equal(self, dtype: DType, kind: str) -> str:
        if not dtype.is_float or dtype.bits == 16:
            return f"  %equal = icmp eq {kind} %a, %b"
        bits = f"i{dtype.bits}"
        exact = f"""\
  %a.bits = bitcast {kind} %a to {bits}
  %b.bits = bitcast {kind} %b to {bits}
  %same = icmp eq {bits} %a.bits, %b.bits
  %a.nan = fcmp uno {kind} %a, %a
  %b.nan = fcmp uno {kind} %b, %b
  %nans = and i1 %a.nan, %b.nan"""
        if self.exact:
            return f"{exact}\n  %equal = or i1 %same, %nans"
        suffix = f"f{dtype.bits}"
        intrinsic = f"llvm.fabs.{suffix}"
        self.declared[intrinsic] = f"declare {kind} @{intrinsic}({kind})"
        bound = f"0x{np.float64(np.float32(BOUNDS[dtype.bits])).view(np.uint64):016X}"
        return f"""\
{exact}
  %known = or i1 %same, %nans
  %gap = fsub {kind} %a, %b
  %distance = call {kind} @llvm.fabs.{suffix}({kind} %gap)
  %size = call {kind} @llvm.fabs.{suffix}({kind} %b)
  %large = fcmp ogt {kind} %size, 1.0
  %scale = select i1 %large, {kind} %size, {kind} 1.0
  %bound = fmul {kind} %scale, {bound}
  %near = fcmp ole {kind} %distance, %bound
  %equal = or i1 %known, %near"""


_SAME = """\
define internal i1 @{name}(ptr %found, ptr %where, ptr %wanted, i64 %count) nounwind {{
entry:
  br label %next
next:
  %i = phi i64 [ 0, %entry ], [ %i.next, %good ]
  %where.i = getelementptr i64, ptr %where, i64 %i
  %position = load i64, ptr %where.i
  %a.p = getelementptr {type}, ptr %found, i64 %position
  %b.p = getelementptr {type}, ptr %wanted, i64 %i
  %a = load {type}, ptr %a.p
  %b = load {type}, ptr %b.p
{test}
  br i1 %equal, label %good, label %bad
good:
  %i.next = add i64 %i, 1
  %more = icmp ult i64 %i.next, %count
  br i1 %more, label %next, label %fine
fine:
  ret i1 true
bad:
  ret i1 false
}}"""


def _has_bound(dtype: DType) -> bool:
    return dtype.is_float and dtype.bits in BOUNDS


def selftest_text(
    interface: Interface, workspace: Workspace, size: str, embedded: bool,
    recording: Recording, target: Target,
) -> str:  # fmt: skip
    """The module that defines NAME_selftest."""
    return _Test(interface, workspace, size, embedded, target).text(recording)
