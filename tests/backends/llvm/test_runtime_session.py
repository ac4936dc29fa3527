"""LLVM text to addresses, and what is said when LLVM refuses."""

from __future__ import annotations

import ctypes
import gc

import numpy as np
import pytest

from graphc.ir.limits import physical_bytes
from graphc_llvm.runtime.memory import HUGE_PAGE_BYTES, Workspace, aligned_bytes
from graphc_llvm.runtime.session import (
    CodegenError,
    PlainTarget,
    compile_text,
    emit_assembly,
    host,
    session,
)
from graphc_llvm.target import make_target

ADD = """
define i64 @add(i64 %a, i64 %b) {
  %slot = alloca i64
  store i64 %a, ptr %slot
  %x = load i64, ptr %slot
  %c = add i64 %x, %b
  ret i64 %c
}
"""


def call(text: str, *args: int, **imports: int) -> int:
    loaded = session().load_object(compile_text(text, host()), ["add"], imports)
    kind = ctypes.CFUNCTYPE(ctypes.c_int64, *(ctypes.c_int64 for _ in args))
    result: int = kind(loaded["add"])(*args)
    return result


def test_compile_and_call() -> None:
    assert call(ADD, 40, 2) == 42


def test_same_text_same_bytes() -> None:
    assert compile_text(ADD, host()) == compile_text(ADD, host())


def test_names_are_used_twice() -> None:
    image = compile_text(ADD, host())
    first, second = (session().load_object(image, ["add"]) for _ in range(2))
    assert first["add"] != second["add"]


def test_passes() -> None:
    plain, clean = (emit_assembly(ADD, host(), p) for p in ([], ["sroa"]))
    assert plain.count("(%rsp)") > clean.count("(%rsp)") or "x86" not in host().triple
    for passes in (["O1"], ["O3"], ["sroa", "instruction_combine", "aggressive_dce"]):
        assert compile_text(ADD, host(), passes)


def test_imports_come_first() -> None:
    text = """
    declare i64 @other(i64)
    define i64 @add(i64 %a) {
      %r = call i64 @other(i64 %a)
      ret i64 %r
    }
    """
    kind = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)
    other = kind(lambda a: a * 3)
    address = ctypes.cast(other, ctypes.c_void_p).value
    assert address is not None
    assert call(text, 14, other=address) == 42


def test_the_process_s_symbols() -> None:
    text = """
    declare i64 @labs(i64)
    define i64 @add(i64 %a) {
      %r = call i64 @labs(i64 %a)
      ret i64 %r
    }
    """
    assert call(text, -42) == 42


def test_missing_symbol() -> None:
    text = "declare void @nowhere()\ndefine void @add() {\n  call void @nowhere()\n  ret void\n}\n"
    with pytest.raises(CodegenError, match="cannot load the object code"):
        call(text)
    with pytest.raises(CodegenError, match="cannot load the object code"):
        session().load_object(compile_text(ADD, host()), ["subtract"])
    with pytest.raises(CodegenError, match="cannot load the object code"):
        session().load_object(b"no object", ["add"])


def test_text_that_does_not_parse() -> None:
    text = "define i32 @f() {\n  ret i64 1\n}\n"
    with pytest.raises(CodegenError) as caught:
        compile_text(text, host())
    assert str(caught.value).splitlines() == [
        "LLVM refuses the module: value doesn't match function result type 'i32'",
        "      1  define i32 @f() {",
        ">     2    ret i64 1",
        "      3  }",
    ]


def test_text_that_does_not_verify() -> None:
    text = "define i32 @f() {\n  %x = add i32 %y, 1\n  %y = add i32 1, 1\n  ret i32 %x\n}\n"
    with pytest.raises(CodegenError, match="does not dominate"):
        compile_text(text, host())


@pytest.mark.parametrize("name", ["avx512", "avx2", "baseline", "neon", "riscv64"])
def test_other_targets(name: str) -> None:
    image = compile_text(ADD, make_target(name))
    assert image[:4] == b"\x7fELF"
    assert compile_text(ADD, PlainTarget(make_target(name).triple))[:4] == b"\x7fELF"


def test_code_lives_as_long_as_its_library() -> None:
    image = compile_text(ADD, host())
    for _ in range(5):
        loaded = session().load_object(image, ["add"])
        function = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)(loaded["add"])
        gc.collect()
        assert function(1, 2) == 3


@pytest.mark.parametrize("count", [0, 1, 63, 64, 4096, HUGE_PAGE_BYTES - 1, HUGE_PAGE_BYTES + 1])
def test_aligned_bytes(count: int) -> None:
    for zero in (False, True):
        memory = aligned_bytes(count, zero=zero)
        assert memory.shape == (count,)
        assert (
            not count
            or memory.ctypes.data % (64 if count < HUGE_PAGE_BYTES else HUGE_PAGE_BYTES) == 0
        )
        if zero:
            assert not memory.any()
        memory[:] = 255


def test_workspace_grows() -> None:
    workspace = Workspace("step")
    workspace.reserve(1000, 10)
    first = workspace.arena
    workspace.reserve(999, 10)
    assert workspace.arena is first
    workspace.reserve(1001, 0)
    assert workspace.arena.size == 1001
    assert workspace.scratch.size == 10


def test_workspace_too_large() -> None:
    total = physical_bytes()
    assert total is not None
    assert total > 2**28
    workspace = Workspace("step")
    with pytest.raises(MemoryError, match=r"^step: the arena needs .* GB; this machine"):
        workspace.reserve(total + 1, 0)
    with pytest.raises(MemoryError, match=r"^step: the threads' scratch needs 1000000000000\.000"):
        workspace.reserve(0, 10**21)
    assert workspace.arena.size == 0
    assert np.array_equal(workspace.scratch, np.zeros(0))
