"""Functions written as LLVM text: what they return."""

from __future__ import annotations

import pytest

from graphc_llvm.blocks import BlockBuilder


@pytest.mark.parametrize(
    ("result", "returned"),
    [
        ("i32", "ret i32 %x"), ("signext i32", "ret i32 %x"), ("ptr", "ret ptr %x"),
        ("<4 x float>", "ret <4 x float> %x"),
    ],
)  # fmt: skip
def test_a_result_is_returned_without_its_attributes(result: str, returned: str) -> None:
    code = BlockBuilder("f", [], result=result)
    code.ret("%x")
    assert returned in [line.strip() for line in code.finished().splitlines()]
