"""Many sizes of one function: all stay bound up to a number, and those in use beyond it."""

from __future__ import annotations

from typing import Any

import numpy as np

import graphc as gx
from graphc.runtime import variants
from graphc.testing import assert_close
from graphc_llvm.cpu_function import CpuGenericCode


def test_more_sizes_than_are_kept(monkeypatch: Any) -> None:
    monkeypatch.setattr(variants, "MAX_BOUND_SIZES", 12)
    x, w = gx.input("x", ("n", 3)), gx.parameter("w", value=np.eye(3, dtype=np.float32))
    v = gx.parameter("v", value=np.ones((3, 3), np.float32))
    y = gx.sum(gx.tanh(x @ (w @ w)) @ gx.exp(v), axis=1)
    f = gx.compile([x], y)
    plain = gx.compile([x], y, target="interpret")
    rng = np.random.default_rng(0)
    arrays = [rng.uniform(0, 1, (n, 3)).astype(np.float32) for n in range(1, 41)]
    expected = [plain(a) for a in arrays]
    for n in rng.integers(0, 40, 300):
        assert_close(f(arrays[n]), expected[n], tolerance="ulps", each=True)
    assert len(f.native.native.variants) == 13  # and the first size, which has code of its own
    w.value = 2 * np.eye(3, dtype=np.float32)  # what has been prepared is old for every size
    expected = [plain(a) for a in arrays]
    for n in (*range(40), *range(40)):
        assert_close(f(arrays[n]), expected[n], tolerance="ulps", each=True)


def test_sizes_in_use_are_kept(monkeypatch: Any) -> None:
    monkeypatch.setattr(variants, "MAX_BOUND_SIZES", 12)
    x = gx.input("x", ("n",))
    f = gx.compile([x], x * 2.0)
    f(np.zeros(99, np.float32))
    bound: list[int] = []
    bind = CpuGenericCode.bind

    def counted(code: CpuGenericCode, dims: Any) -> Any:
        bound.append(dims["n"])
        return bind(code, dims)

    monkeypatch.setattr(CpuGenericCode, "bind", counted)
    for n in range(200):
        for k in (1, 2, 3, 100 + n):
            assert f(np.ones(k, np.float32)).sum() == 2 * k
    assert bound == [1, 2, 3, *range(100, 300)]
