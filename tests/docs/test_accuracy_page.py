"""docs/accuracy.md says how exact the functions are."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphc.ir import ops
from graphc.ir.ops.base import Comparison, Elementwise
from graphc.ir.types import DType, float32

pytest.importorskip("scipy")
from tests.docs import accuracy_page

PAGE = (Path(__file__).parent.parent.parent / "docs" / "accuracy.md").read_text(encoding="utf-8")
ROWS = {line.split("`")[1]: line.split(" | ") for line in PAGE.splitlines() if line[:3] == "| `"}
AGAIN = "run `python -m tests.docs.accuracy_page > docs/accuracy.md`"
EXACT = {"copysign", "nextafter", "round_to_tf32"}
MEASURED = {"plain"}  # as log, exp and erf_inv, whose bounds without fma the operations' page has
THIN = 64


@pytest.mark.parametrize("dtype", accuracy_page.DTYPES, ids=str)
@pytest.mark.parametrize("name", accuracy_page.FUNCTIONS)
def test_no_error_is_larger(name: str, dtype: DType) -> None:
    said = float(ROWS[name][1 + 2 * accuracy_page.DTYPES.index(dtype)])
    found, place = accuracy_page.worst(name, dtype, THIN if dtype == float32 else 1)
    assert found <= said, (name, place, AGAIN)
    if dtype != float32:
        assert accuracy_page.number(found) == f"{said:.3f}", AGAIN


@pytest.mark.parametrize("name", accuracy_page.FUNCTIONS)
def test_nothing_is_far_off(name: str) -> None:
    assert all(float(ROWS[name][1 + 2 * i]) < 5.0 for i in range(3))


def test_every_function_of_floats_is_measured() -> None:
    kinds = [kind for kind in ops.ALL_OPS if issubclass(kind, Elementwise) and kind.kinds == "f"]
    names = {kind.name for kind in kinds if not issubclass(kind, Comparison)}
    assert names - EXACT - MEASURED <= set(accuracy_page.FUNCTIONS)


def test_the_text_around_the_table() -> None:
    assert PAGE.startswith(accuracy_page.HEAD)
