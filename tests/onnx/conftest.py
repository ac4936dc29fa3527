"""The whole node suite takes minutes: it runs with `-m slow` only."""

from __future__ import annotations

from pathlib import Path

import pytest

try:
    import onnx.helper  # noqa: F401
except ImportError:
    collect_ignore_glob = ["*"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the slow tests of this folder unless they are asked for."""
    if "slow" in config.option.markexpr:
        return
    here = Path(__file__).parent
    left_out = [i for i in items if here in i.path.parents and i.get_closest_marker("slow")]
    items[:] = [i for i in items if i not in set(left_out)]
    config.hook.pytest_deselected(items=left_out)
