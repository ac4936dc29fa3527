"""The recording driver, compiled once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.backends.cuda.fake_cuda import build_fake


@pytest.fixture(scope="session")
def fake_cuda(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with libcuda.so.1."""
    return build_fake(tmp_path_factory.mktemp("libcuda"))
