"""What accesses of memory, and work with other threads, mean in LLVM, for numba."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

from graphc_cuda.numba_meaning import (
    ELEMENT_BYTES,
    F32,
    I1,
    I32,
    I64,
    SHARED_SPACE,
    VECTOR_BYTES,
    Meaning,
    Rule,
    Typing,
    assembly,
    bits,
    call_llvm,
    effect,
    fixed,
    llvm_type,
    unliteral,
)

# --------------------------------------------------------------------- memory


def _element(b: ir.IRBuilder, array: Any, index: Any) -> Any:
    return b.gep(array, [index])


def _vector_rule(store: bool, count: int) -> Rule:
    def rule(types: Sequence[str]) -> Typing:
        name = types[0][1:]
        values = (name,) * count
        operands = (types[0], "i64", *(values if store else ()))
        return Typing(operands, () if store else values, name)

    return rule


def _vector_place(b: ir.IRBuilder, args: Sequence[Any], count: int) -> tuple[Any, int]:
    """A pointer to neighbours, and their alignment."""
    place = _element(b, args[0], args[1])
    element = place.type.pointee
    size = ELEMENT_BYTES[str(element)]
    kind = ir.VectorType(element, count).as_pointer()
    return b.bitcast(place, kind), min(VECTOR_BYTES, size * count)


def _load_vector(count: int) -> Meaning:
    def code(b: ir.IRBuilder, _: Typing, args: Sequence[Any]) -> Any:
        place, align = _vector_place(b, args, count)
        vector = b.load(place, align=align)
        return [b.extract_element(vector, ir.Constant(I32, i)) for i in range(count)]

    return Meaning(2, _vector_rule(False, count), code)


def _store_vector(count: int) -> Meaning:
    def code(b: ir.IRBuilder, _: Typing, args: Sequence[Any]) -> None:
        place, align = _vector_place(b, args, count)
        vector = ir.Constant(place.type.pointee, ir.Undefined)
        for i, x in enumerate(args[2:]):
            vector = b.insert_element(vector, x, ir.Constant(I32, i))
        b.store(vector, place, align=align)

    return Meaning(2 + count, _vector_rule(True, count), code)


def _atomic_min(b: ir.IRBuilder, _: Typing, args: Sequence[Any]) -> None:
    b.atomic_rmw("umin", _element(b, args[0], args[1]), args[2], "monotonic")


def _memory_rule(types: Sequence[str]) -> Typing:
    """An array of a size that stands in the text: the elements are named by their type."""
    return Typing((types[0], types[1]), (f"*{types[1][1:]}",), (int(types[0][1:]), types[1][1:]))


def _memory(shared: bool) -> Meaning:
    def code(b: ir.IRBuilder, typing: Typing, args: Sequence[Any]) -> Any:
        size, name = typing.form
        kind = ir.ArrayType(llvm_type(name), size)
        with b.goto_entry_block():
            place = _shared_memory(b, kind) if shared else b.alloca(kind)
            if not shared:
                place.align = VECTOR_BYTES
            return b.bitcast(place, llvm_type(name).as_pointer())

    return Meaning(2, _memory_rule, code, literal=0)


def _shared_memory(b: ir.IRBuilder, kind: Any) -> Any:
    name = b.module.get_unique_name("shared")
    memory = ir.GlobalVariable(b.module, kind, name, SHARED_SPACE)
    memory.linkage = "internal"
    memory.initializer = ir.Constant(kind, ir.Undefined)
    memory.align = VECTOR_BYTES
    return b.addrspacecast(memory, kind.as_pointer())


def _shared_address(b: ir.IRBuilder, array: Any, index: Any) -> Any:
    """The 32-bit address of an element in shared memory."""
    place = _element(b, array, index)
    there = b.addrspacecast(place, place.type.pointee.as_pointer(SHARED_SPACE))
    return b.ptrtoint(there, I32)


def _copy_rule(types: Sequence[str]) -> Typing:
    number = int(types[4][1:]) * bits(types[0][1:]) // 8
    return Typing((types[0], "i64", types[2], "i64", types[4]), (), number)


def _copy_async(b: ir.IRBuilder, typing: Typing, args: Sequence[Any]) -> None:
    # whole sectors need no first-level cache
    cache = "cg" if typing.form == VECTOR_BYTES else "ca"
    there, here = _shared_address(b, *args[:2]), b.ptrtoint(_element(b, *args[2:4]), I64)
    here = assembly(b, "cvta.to.global.u64 $0, $1;", "=l,l", I64, [here])
    text = f"cp.async.{cache}.shared.global [$0], [$1], {typing.form};"
    effect(b, text, "r,l", ir.VoidType(), [there, here])


def _copy_async_commit(b: ir.IRBuilder, _: Typing, args: Sequence[Any]) -> None:
    effect(b, "cp.async.commit_group;", "", ir.VoidType(), [])


def _wait_rule(types: Sequence[str]) -> Typing:
    return Typing((types[0],), (), int(types[0][1:]))


def _copy_async_wait(b: ir.IRBuilder, typing: Typing, args: Sequence[Any]) -> None:
    effect(b, f"cp.async.wait_group {typing.form};", "", ir.VoidType(), [])


# -------------------------------------------------------------- other threads


def _syncthreads(b: ir.IRBuilder, _: Typing, args: Sequence[Any]) -> None:
    call_llvm(b, "llvm.nvvm.barrier0", ir.VoidType(), [])


def _syncwarp(b: ir.IRBuilder, _: Typing, args: Sequence[Any]) -> None:
    call_llvm(b, "llvm.nvvm.bar.warp.sync", ir.VoidType(), args)


def _position(register: str) -> Meaning:
    def code(b: ir.IRBuilder, _: Typing, args: Sequence[Any]) -> Any:
        return call_llvm(b, f"llvm.nvvm.read.ptx.sreg.{register}.x", I32, [])

    return Meaning(0, fixed("i32"), code)


def _shuffle_rule(types: Sequence[str]) -> Typing:
    name = unliteral(types[1])
    return Typing(("u32", name, "i32"), (name,), name)


def _shuffle(b: ir.IRBuilder, typing: Typing, args: Sequence[Any]) -> Any:
    mask, value, lane = args
    width = bits(typing.form)
    kind = llvm_type(typing.form)
    whole = b.bitcast(value, ir.IntType(width))
    if width < 64:
        word = whole if width == 32 else b.zext(whole, I32)
        moved = _shuffle_word(b, mask, word, lane)
        return b.bitcast(moved if width == 32 else b.trunc(moved, ir.IntType(width)), kind)
    half = ir.Constant(I64, 32)
    parts = b.trunc(whole, I32), b.trunc(b.lshr(whole, half), I32)
    low, high = (b.zext(_shuffle_word(b, mask, x, lane), I64) for x in parts)
    return b.bitcast(b.or_(low, b.shl(high, half)), kind)


def _shuffle_word(b: ir.IRBuilder, mask: Any, word: Any, lane: Any) -> Any:
    by_lane, whole_warp = ir.Constant(I32, 0), ir.Constant(I32, 31)
    result = ir.LiteralStructType((I32, I1))
    args = (mask, by_lane, word, lane, whole_warp)
    return b.extract_value(call_llvm(b, "llvm.nvvm.shfl.sync.i32", result, args), 0)


# ------------------------------------------------------------------- matrices


def _mma(shape: str, kind: str) -> Meaning:
    def code(b: ir.IRBuilder, _: Typing, args: Sequence[Any]) -> Any:
        text = (
            f"mma.sync.aligned.{shape}.row.col.f32.{kind}.{kind}.f32 {{$0, $1, $2, $3}}, "
            "{$4, $5, $6, $7}, {$8, $9}, {$10, $11, $12, $13};"
        )
        constraint = ",".join(["=f"] * 4 + ["r"] * 6 + ["f"] * 4)
        return _four(b, effect(b, text, constraint, ir.LiteralStructType([F32] * 4), args))

    return Meaning(10, fixed("f32 f32 f32 f32", *["u32"] * 6, *["f32"] * 4), code)


def _matrix_rule(types: Sequence[str]) -> Typing:
    return Typing((types[0], "i64"), ("u32",) * 4)


def _load_matrix(form: str) -> Meaning:
    def code(b: ir.IRBuilder, _: Typing, args: Sequence[Any]) -> Any:
        text = f"ldmatrix.sync.aligned.m8n8.x4{form}.shared.b16 {{$0, $1, $2, $3}}, [$4];"
        place = _shared_address(b, *args)
        kind = ir.LiteralStructType([I32] * 4)
        return _four(b, effect(b, text, "=r,=r,=r,=r,r", kind, [place]))

    return Meaning(2, _matrix_rule, code)


def _four(b: ir.IRBuilder, results: Any) -> list[Any]:
    return [b.extract_value(results, i) for i in range(4)]


# the names that kernels give their coordinates
POSITIONS = {
    "thread": _position("tid"),
    "block": _position("ctaid"),
    "blocks": _position("nctaid"),
}
THREADS = {
    "syncthreads": Meaning(0, fixed(""), _syncthreads),
    "syncwarp": Meaning(1, fixed("", "u32"), _syncwarp),
    "shfl_sync": Meaning(3, _shuffle_rule, _shuffle),
}
MEMORY = {"shared": _memory(True), "local": _memory(False)}
ACCESSES: dict[str, Meaning] = {
    "load_vector2": _load_vector(2),
    "load_vector4": _load_vector(4),
    "load_vector8": _load_vector(8),
    "store_vector2": _store_vector(2),
    "store_vector4": _store_vector(4),
    "store_vector8": _store_vector(8),
    "atomic_min": Meaning(3, fixed("", "*u32", "i64", "u32"), _atomic_min),
    "copy_async": Meaning(5, _copy_rule, _copy_async, literal=4),
    "copy_async_commit": Meaning(0, fixed(""), _copy_async_commit),
    "copy_async_wait": Meaning(1, _wait_rule, _copy_async_wait, literal=0),
    "mma_bf16": _mma("m16n8k16", "bf16"),
    "mma_f16": _mma("m16n8k16", "f16"),
    "mma_tf32": _mma("m16n8k8", "tf32"),
    "load_matrix": _load_matrix(""),
    "load_matrix_transposed": _load_matrix(".trans"),
}
