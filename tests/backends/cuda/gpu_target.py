"""The target that tests for a GPU run on."""

from __future__ import annotations

from typing import Any

import pytest

from graphc.errors import BackendError
from graphc_cuda.open_device import OpenDevice
from graphc_cuda.targets import open_target


def usable(target: str) -> OpenDevice:
    """The device; skips, saying why, where there is none."""
    try:
        return open_target(target)
    except BackendError as error:
        pytest.skip(error.message)


def only_hardware(target: str) -> Any:
    """The device, if it is a GPU; skips in the simulator."""
    if target.startswith("cuda-simulate"):
        pytest.skip("says something of a GPU alone")
    return usable(target).device
