"""The executors of the simulator, as tests run them: each one that is there."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from graphc_cuda.simulate import THREADS, VECTOR

HAS_GREENLET = find_spec("greenlet") is not None
_needs_greenlet = pytest.mark.skipif(not HAS_GREENLET, reason="greenlet is not installed")
executors = pytest.mark.parametrize(
    "executor", [VECTOR, pytest.param(THREADS, marks=_needs_greenlet)]
)
