"""The intrinsics of device programs, and shuffles, as calls of NVVM functions."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.ir.types import int32, uint32
from graphc_cuda.device.program import DeviceArray, Intrinsic, Shuffle, Value, Variable
from graphc_cuda.nvptx.function_text import identifier, type_text
from graphc_cuda.nvptx.operations import call_text, from_word, to_word
from graphc_cuda.nvptx.values import ValueText

_FRAGMENTS = {  # the instruction, and the types of what stands for a register of a and b
    "mma_bf16": ("m16n8k16.row.col.bf16", "i32"),
    "mma_f16": ("m16n8k16.row.col.f32.f32", "<2 x half>"),
    "mma_tf32": ("m16n8k8.row.col.tf32", "i32"),
}


def write_intrinsic(write: ValueText, stmt: Intrinsic) -> list[str]:
    """Write an intrinsic; the names of its results."""
    name, operands = stmt.function, stmt.operands
    if name in _FRAGMENTS:
        return _multiply(write, name, _values(operands), stmt.results)
    if name == "load_vector":
        return _load_vector(write, *_place(operands), stmt.results)
    if name == "store_vector":
        return _store_vector(write, *_place(operands), _values(operands[2:]))
    if name.startswith("copy_async"):
        return _copy(write, name, operands)
    if name in ("load_matrix", "load_matrix_transposed"):
        return _load_matrix(write, name, *_place(operands), stmt.results)
    if name == "atomic_min":
        element, value = write.element(*_place(operands)), write.as_type(_last(operands), uint32)
        how = 'syncscope("device") monotonic'
        write.f.define("before", f"atomicrmw umin {element}, i32 {value} {how}")
        return []
    assert name in ("pack_bf16", "pack_f16", "round_tf32"), f"unknown intrinsic {name}"
    helper = write.f.module.helper(name.replace("_", "."))
    typed = [write.typed(v) for v in _values(operands)]
    return [call_text(write.f, helper, "i32", typed, identifier(stmt.results[0].name))]


def write_shuffle(write: ValueText, stmt: Shuffle) -> str:
    """Exchange values between the threads of a warp, 32 bits at a time."""
    f, hint = write.f, identifier(stmt.variable.name)
    mask, lane = write.as_type(stmt.mask, uint32), write.as_type(stmt.lane, int32)
    word, kind = to_word(f, write.text(stmt.value), stmt.value.dtype)
    where = f"i32 {lane}, i32 31"

    def exchange(part: str) -> str:
        arguments = f"i32 {mask}, i32 {part}, {where}"
        return f.define("exchanged", f"call i32 @llvm.nvvm.shfl.sync.idx.i32({arguments})")

    if kind.bits == 32:
        return from_word(f, exchange(word), stmt.value.dtype, hint)
    low = exchange(f.define("low", f"trunc i64 {word} to i32"))
    upper = f.define("upper", f"lshr i64 {word}, 32")
    high = exchange(f.define("high", f"trunc i64 {upper} to i32"))
    wide = [f.define("wide", f"zext i32 {part} to i64") for part in (low, high)]
    moved = f.define("moved", f"shl i64 {wide[1]}, 32")
    joined = f.define("joined_bits", f"or disjoint i64 {moved}, {wide[0]}")
    return from_word(f, joined, stmt.value.dtype, hint)


Operands = Sequence[Value | DeviceArray | int]


def _values(operands: Operands) -> list[Value]:
    assert all(isinstance(v, Value) for v in operands)
    return [v for v in operands if isinstance(v, Value)]


def _place(operands: Operands) -> tuple[DeviceArray, Value]:
    """The array and the index that come first."""
    array, index = operands[:2]
    assert isinstance(array, DeviceArray)
    assert isinstance(index, Value)
    return array, index


def _last(operands: Operands) -> Value:
    value = operands[-1]
    assert isinstance(value, Value)
    return value


# ------------------------------------------------------------------- vectors


def _load_vector(
    write: ValueText, array: DeviceArray, index: Value, results: Sequence[Variable]
) -> list[str]:
    f, count = write.f, len(results)
    kind = f"<{count} x {type_text(array.dtype)}>"
    place, bytes_ = write.element(array, index), count * array.dtype.itemsize
    whole = f.define(f"{array.name}_vector", f"load {kind}, {place}, align {bytes_}")
    found = []
    for i, variable in enumerate(results):
        hint = identifier(variable.name)
        part = f.define(hint, f"extractelement {kind} {whole}, i32 {i}")
        found.append(write.from_memory(part, array, variable.dtype, hint))
    return found


def _store_vector(
    write: ValueText, array: DeviceArray, index: Value, values: Sequence[Value]
) -> list[str]:
    f, element = write.f, type_text(array.dtype)
    kind, whole = f"<{len(values)} x {element}>", "poison"
    for i, value in enumerate(values):
        part = f"{element} {write.to_memory(value, array)}"
        whole = f.define("vector", f"insertelement {kind} {whole}, {part}, i32 {i}")
    place, bytes_ = write.element(array, index), len(values) * array.dtype.itemsize
    f.effect(f"store {kind} {whole}, {place}, align {bytes_}")
    return []


# -------------------------------------------------------------------- copies


def _copy(write: ValueText, name: str, operands: Operands) -> list[str]:
    if name == "copy_async_commit":
        write.f.effect("call void @llvm.nvvm.cp.async.commit.group()")
        return []
    count = operands[-1]
    assert isinstance(count, int), "the number chooses the instruction"
    if name == "copy_async_wait":
        write.f.effect(f"call void @llvm.nvvm.cp.async.wait.group(i32 {count})")
        return []
    (shared, to), (array, start) = _place(operands), _place(operands[2:])
    bytes_ = count * array.dtype.itemsize
    assert bytes_ in (4, 8, 16), f"a copy of {bytes_} bytes"
    how = "cg" if bytes_ == 16 else "ca"  # what is copied once needs no place in the first cache
    places = f"{write.element(shared, to)}, {write.element(array, start)}"
    write.f.effect(f"call void @llvm.nvvm.cp.async.{how}.shared.global.{bytes_}({places})")
    return []


# ------------------------------------------------------------------ matrices


def _load_matrix(
    write: ValueText, name: str, array: DeviceArray, index: Value, results: Sequence[Variable]
) -> list[str]:
    form = "trans.b16" if name.endswith("transposed") else "b16"
    function = f"@llvm.nvvm.ldmatrix.sync.aligned.m8n8.x4.{form}.p3"
    kind, place = "{ i32, i32, i32, i32 }", write.element(array, index)
    return _unpack(write, call_text(write.f, function, kind, [place], "matrices"), kind, results)


def _multiply(
    write: ValueText, name: str, values: Sequence[Value], results: Sequence[Variable]
) -> list[str]:
    form, kind = _FRAGMENTS[name]
    typed = [f"{kind} {_fragment(write, v, kind)}" for v in values[:6]]
    typed += [write.typed(v) for v in values[6:]]
    sums = "{ float, float, float, float }"
    whole = call_text(write.f, f"@llvm.nvvm.mma.{form}", sums, typed, "sums")
    return _unpack(write, whole, sums, results)


def _fragment(write: ValueText, value: Value, kind: str) -> str:
    text = write.as_type(value, uint32)
    return text if kind == "i32" else write.f.define("pair", f"bitcast i32 {text} to {kind}")


def _unpack(write: ValueText, whole: str, kind: str, results: Sequence[Variable]) -> list[str]:
    names = [identifier(variable.name) for variable in results]
    return [
        write.f.define(name, f"extractvalue {kind} {whole}, {i}") for i, name in enumerate(names)
    ]
