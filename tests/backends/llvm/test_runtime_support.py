"""The runtime's own native code: tables and object code."""

from __future__ import annotations

import ctypes
import gc

import numpy as np

from graphc_llvm.runtime import structs
from graphc_llvm.runtime.bound_code import BoundCode
from graphc_llvm.runtime.native import NativeFunction
from graphc_llvm.runtime.session import compile_text, host, session
from graphc_llvm.runtime.support import support_text
from tests.backends.llvm.runtime_parts import BARRIER_IR, library, mirror


def test_layouts_agree() -> None:
    names = ("Pool", "Slot", "Guard", "Function", "Variant", "Input", "Output", "Watch", "Epoch",
             "Source", "Sink")  # fmt: skip
    text = support_text(host().triple) + "".join(
        f"define i64 @size_{n}() {{\n"
        f"  ret i64 ptrtoint (ptr getelementptr (%{n}, ptr null, i32 1) to i64)\n}}\n"
        for n in names
    )
    imports = {**(structs.python_addresses() or {}), "sched_yield": structs.yield_address()}
    loaded = session().load_object(
        compile_text(text, host()), [f"size_{n}" for n in names], imports
    )
    for n in names:
        size = ctypes.CFUNCTYPE(ctypes.c_int64)(loaded[f"size_{n}"])()
        assert size == ctypes.sizeof(getattr(structs, f"{n}Struct")), n


def test_no_address_in_the_object_code() -> None:
    addresses = structs.python_addresses()
    assert addresses is not None
    image = compile_text(support_text(host().triple), host())
    for address in addresses.values():
        assert address.to_bytes(8, "little") not in image


def test_variant_keeps_its_library() -> None:
    image = compile_text(BARRIER_IR + "define void @f(ptr %c, i64 %t, i64 %n) { ret void }", host())
    loaded = session().load_object(image, ["f"])
    body = mirror(1)[0].variants[0].description
    object.__setattr__(body, "symbol", "f")
    variant = BoundCode(loaded, body)
    del loaded
    gc.collect()
    function = NativeFunction("f")
    function.bind(variant)
    function.entry(np.zeros(1, np.float32))
    assert library()["mirror"]
