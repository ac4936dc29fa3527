"""The self-test of a library: make the recorded inputs, call every function, compare."""

from __future__ import annotations

import numpy as np

from graphc.export.interface import Argument, Entry, Interface
from graphc.export.selftest import RECORDED_CALLS, RecordedCall, Recording, seed
from graphc.ir.dims import evaluate
from graphc.ir.schedule import ALIGNMENT
from graphc.ir.types import DType
from graphc_llvm.blocks import Module
from graphc_llvm.ir_builder import FunctionBuilder, FunctionParameter, float_literal
from graphc_llvm.library.code import STATUS, Code, numbers
from graphc_llvm.library.workspace_layout import WorkspaceLayout
from graphc_llvm.target import Target, host_target
from graphc_llvm.values import memory_type

BOUNDS = {32: 1e-3, 64: 1e-9}  # |a - b| <= bound * max(1, |b|) where products round otherwise

# How a number becomes one with all bits mixed.
_HASH = (
    ("index", "trunc i64 %i to i32"),
    ("h.0", "add i32 %index, %seed"),
    ("h.1", "lshr i32 %h.0, 16"),
    ("h.2", "xor i32 %h.0, %h.1"),
    ("h.3", "mul i32 %h.2, 2146121005"),
    ("h.4", "lshr i32 %h.3, 15"),
    ("h.5", "xor i32 %h.3, %h.4"),
    ("h.6", "mul i32 %h.5, -2073254261"),
    ("h.7", "lshr i32 %h.6, 16"),
    ("h", "xor i32 %h.6, %h.7"),
)

# A float from -1 to 1.
_UNIT = (
    ("high", "lshr i32 %h, 8"),
    ("whole", "uitofp i32 %high to float"),
    ("scaled", "fmul float %whole, 0x3E80000000000000"),
    ("unit", "fsub float %scaled, 1.0"),
)

Named = tuple[tuple[str, str], ...]  # instructions, and what their results are called


def _value(dtype: DType) -> Named:
    """How `h` becomes an element; the same as `graphc.export.selftest.samples`."""
    if dtype.kind == "b":
        return ("bit", "and i32 %h, 1"), ("value", "trunc i32 %bit to i8")
    if dtype.is_integer:
        how = {8: "trunc", 16: "trunc", 64: "zext"}.get(dtype.bits)
        last = f"{how} i32 %rest to i{dtype.bits}" if how else "add i32 %rest, 0"
        return ("rest", "urem i32 %h, %limit"), ("value", last)
    if dtype.bits == 16:
        shift, base = (22, 0x3800) if dtype.name == "float16" else (25, 0x3F00)
        few, bits = f"lshr i32 %h, {shift}", f"add i32 %few, {base}"
        return ("few", few), ("bits", bits), ("value", "trunc i32 %bits to i16")
    last = "fadd float %unit, 0.0" if dtype.bits == 32 else "fpext float %unit to double"
    return *_UNIT, ("value", last)


def _fill_text(dtype: DType) -> str:
    """The function that makes the elements of an input."""
    kind = memory_type(dtype)
    given = [FunctionParameter("ptr", "to"), FunctionParameter("i64", "count")]
    given += [FunctionParameter("i32", "seed"), FunctionParameter("i32", "limit")]
    code = FunctionBuilder(Module(), f"fill.{dtype.name}", given, linkage="internal")
    code.branch_if(code.effect_value("none", "icmp eq i64 %count, 0"), "done", "next")
    code.start("next")
    i = code.effect_value("i", "phi i64 [ 0, %entry ], [ %i.next, %next ]")
    for hint, text in (*_HASH, *_value(dtype)):
        code.effect_value(hint, text)
    at = code.effect_value("at", f"getelementptr {kind}, ptr %to, i64 {i}")
    code.effect(f"store {kind} %value, ptr {at}")
    following = code.effect_value("i.next", f"add i64 {i}, 1")
    more = code.effect_value("more", f"icmp ult i64 {following}, %count")
    code.branch_if(more, "next", "done")
    code.start("done")
    return code.end()


def _same_text(name: str, kind: str, test: Named) -> str:
    """The function that says whether elements at positions have the wanted values."""
    given = [FunctionParameter("ptr", word) for word in ("found", "where", "wanted")]
    given.append(FunctionParameter("i64", "count"))
    code = FunctionBuilder(Module(), name, given, linkage="internal", result="i1")
    code.branch("next")
    code.start("next")
    i = code.effect_value("i", "phi i64 [ 0, %entry ], [ %i.next, %good ]")
    where = code.effect_value("where.i", f"getelementptr i64, ptr %where, i64 {i}")
    position = code.effect_value("position", f"load i64, ptr {where}")
    places = [
        code.effect_value(hint, f"getelementptr {kind}, ptr {start}, i64 {index}")
        for hint, start, index in (("a.p", "%found", position), ("b.p", "%wanted", i))
    ]
    for hint, place in zip(("a", "b"), places):
        code.effect_value(hint, f"load {kind}, ptr {place}")
    for hint, text in test:
        code.effect_value(hint, text)
    code.branch_if("%equal", "good", "bad")
    code.start("good")
    following = code.effect_value("i.next", f"add i64 {i}, 1")
    more = code.effect_value("more", f"icmp ult i64 {following}, %count")
    code.branch_if(more, "next", "fine")
    code.start("fine")
    code.ret("true")
    code.start("bad")
    return code.end("false")


class _Test:
    def __init__(
        self,
        interface: Interface,
        workspace: WorkspaceLayout,
        size: str,
        embedded: bool,
        target: Target,
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
            for call in range(RECORDED_CALLS):
                self._run(code, entry, number, call, recording)
        body = code.end(0)
        return "\n\n".join(
            ["\n".join(self.globals), *self.fills.values(), *self.declared.values(), body, ""]
        )

    def _memory(self, hint: str, count: int) -> str:
        name = f"@{self.name}.test.{hint}.{len(self.globals)}"
        kind = f"[{max(count, 1)} x i8] zeroinitializer, align {ALIGNMENT}"
        self.globals.append(f"{name} = internal global {kind}")
        return name

    def _data(self, raw: bytes) -> str:
        name = f"@{self.name}.test.data.{len(self.globals)}"
        kind = f'[{len(raw)} x i8] c"{numbers(raw)}", align {ALIGNMENT}'
        self.globals.append(f"{name} = internal constant {kind}")
        return name

    def _call(self, code: Code, symbol: str, arguments: list[str]) -> None:
        types = ", ".join(a.rsplit(" ", 1)[0] for a in arguments)
        self.declared[symbol] = f"declare signext i32 @{symbol}({types})"
        call = f"call signext i32 @{symbol}({', '.join(arguments)})"
        status = code.effect_value("status", call)
        code.fail_if(code.effect_value("failed", f"icmp ne i32 {status}, 0"), status)

    def _run(self, code: Code, entry: Entry, number: int, call: int, recording: Recording) -> None:
        workspace = self.globals[0].split(" ")[0]
        arguments = [f"ptr {workspace}", *(f"i64 {entry.sample[d.name]}" for d in entry.dims)]
        for i, argument in enumerate(entry.inputs):
            count, memory = self._argument(entry, argument)
            fill, limit = self._fill(argument.type.dtype), recording.limits[entry]
            mixed = seed(number, call, i) * 0x9E3779B9 & 0xFFFFFFFF
            code.effect(f"call void {fill}(ptr {memory}, i64 {count}, i32 {mixed}, i32 {limit})")
            arguments.append(f"ptr {memory}")
        results = [self._argument(entry, o)[1] for o in entry.outputs]
        self._call(code, entry.symbol, [*arguments, *(f"ptr {r}" for r in results)])
        self._compare(code, entry, results, recording.calls[entry][call])

    def _argument(self, entry: Entry, argument: Argument) -> tuple[int, str]:
        shape = tuple(evaluate(s, entry.sample) for s in argument.type.shape)
        count = int(np.prod(shape, dtype=np.int64))
        return count, self._memory(argument.symbol, count * argument.type.dtype.itemsize)

    def _fill(self, dtype: DType) -> str:
        self.fills[dtype.name] = _fill_text(dtype)
        return f"@fill.{dtype.name}"

    # -- comparison -----------------------------------------------------------------------

    def _compare(self, code: Code, entry: Entry, results: list[str], call: RecordedCall) -> None:
        for output, memory, positions, values in zip(
            entry.outputs, results, call.positions, call.values
        ):
            dtype = output.type.dtype
            if not positions.size or not (self.exact or _has_bound(dtype)):
                continue
            test = self._test(dtype)
            where, wanted = self._data(positions.tobytes()), self._data(values.tobytes())
            arguments = f"ptr {memory}, ptr {where}, ptr {wanted}, i64 {positions.size}"
            same = code.effect_value("same", f"call i1 {test}({arguments})")
            code.fail_if(code.effect_value("other", f"xor i1 {same}, true"), STATUS["SELFTEST"])

    def _test(self, dtype: DType) -> str:
        """Whether elements at positions have the wanted values."""
        kind, name = memory_type(dtype), f"same.{dtype.name}"
        self.fills[name] = _same_text(name, kind, self._equal(dtype, kind))
        return f"@{name}"

    def _equal(self, dtype: DType, kind: str) -> Named:
        """Whether `a` is as good as `b`; one NaN is as good as another."""
        if not dtype.is_float or dtype.bits == 16:
            return (("equal", f"icmp eq {kind} %a, %b"),)
        bits = f"i{dtype.bits}"
        exact = (
            ("a.bits", f"bitcast {kind} %a to {bits}"),
            ("b.bits", f"bitcast {kind} %b to {bits}"),
            ("same", f"icmp eq {bits} %a.bits, %b.bits"),
            ("a.nan", f"fcmp uno {kind} %a, %a"),
            ("b.nan", f"fcmp uno {kind} %b, %b"),
            ("nans", "and i1 %a.nan, %b.nan"),
        )
        if self.exact:
            return *exact, ("equal", "or i1 %same, %nans")
        size = f"llvm.fabs.f{dtype.bits}"
        self.declared[size] = f"declare {kind} @{size}({kind})"
        bound = float_literal(float(np.float32(BOUNDS[dtype.bits])))
        return (
            *exact,
            ("known", "or i1 %same, %nans"),
            ("gap", f"fsub {kind} %a, %b"),
            ("distance", f"call {kind} @{size}({kind} %gap)"),
            ("size", f"call {kind} @{size}({kind} %b)"),
            ("large", f"fcmp ogt {kind} %size, 1.0"),
            ("scale", f"select i1 %large, {kind} %size, {kind} 1.0"),
            ("bound", f"fmul {kind} %scale, {bound}"),
            ("near", f"fcmp ole {kind} %distance, %bound"),
            ("equal", "or i1 %known, %near"),
        )


def _has_bound(dtype: DType) -> bool:
    return dtype.is_float and dtype.bits in BOUNDS


def selftest_text(
    interface: Interface, workspace: WorkspaceLayout, size: str, embedded: bool,
    recording: Recording, target: Target,
) -> str:  # fmt: skip
    """The module that defines NAME_selftest."""
    return _Test(interface, workspace, size, embedded, target).text(recording)
