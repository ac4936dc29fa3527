"""What is kept on disk of a step is what was made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from graphc.compiler.cache import DiskCache
from graphc_cuda.device_api import MachineCode
from graphc_cuda.plan_launches import plan_launches
from graphc_cuda.step_code import StepCode, step_code
from tests.backends.cuda.networks import dense


def test_kept_code_knows_its_entries_and_shared_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graphc_cuda.step_code.disk_cache", lambda: DiskCache(tmp_path))
    function = dense()
    code = MachineCode(b"machine code", {"k00": "_k00"}, {"k00": 60_000})
    made = StepCode(plan_launches(function.program, {}), code, (("input", 0),), (), ())
    asked: list[Mapping[str, int]] = []

    def compile_once(dims: Mapping[str, int]) -> StepCode:
        asked.append(dims)
        return made

    for _ in range(2):
        found = step_code(function.graph, {}, "nvptx", compile_once)
        assert found.code == code
        assert found.slots == made.slots
        assert found.plan.edges == made.plan.edges
    assert len(asked) == 1, "the second time it comes from the cache"
