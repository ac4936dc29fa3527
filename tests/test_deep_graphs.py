"""Nothing recurses along a graph: chains much longer than the recursion limit pass everywhere."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.testing import assert_close

DEPTH = 800
FRAMES = 250  # beyond those of the test itself


@pytest.fixture
def shallow() -> Iterator[None]:
    """Few frames: what recurses along a chain fails."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + FRAMES)
    yield
    sys.setrecursionlimit(limit)


def elementwise(x: Any, w: Any, depth: int) -> Any:
    for i in range(depth):
        x = (x + w, x * w, gx.nn.relu(x), -x)[i % 4]
    return x


def reductions(x: Any, w: Any, depth: int) -> Any:
    for i in range(depth // 4):
        x = x * w - x.mean(i % 2, keepdims=True)
    return x


def rows(x: Any, w: Any, depth: int) -> Any:
    for _ in range(depth // 40):
        x = gx.tanh(x * w) - x.mean(1, keepdims=True)
    return x


def products(x: Any, w: Any, depth: int) -> Any:
    for _ in range(depth // 4):
        x = x @ w + w
    return x


def views(x: Any, w: Any, depth: int) -> Any:
    for i in range(depth // 4):
        x = gx.flip(x.T, i % 2)
    return x + w


def slices(x: Any, w: Any, depth: int) -> Any:
    for _ in range(depth // 8):
        x = gx.concat([x[1:], x[:1]]) + w
    return x


def integers(x: Any, w: Any, depth: int) -> Any:
    i = gx.arange(4)
    for _ in range(depth):
        i = i * 3 + 1
    return x[i % 4] + w


def lookups(x: Any, w: Any, depth: int) -> Any:
    i = gx.arange(4)
    for _ in range(depth // 4):
        x = x + w[(i + 1) % 4]
    return x


CHAINS: tuple[Callable[..., Any], ...] = (
    elementwise, reductions, rows, products, views, slices, integers, lookups,
)  # fmt: skip


@pytest.mark.parametrize("chain", CHAINS)
def test_every_stage(chain: Callable[..., Any], shallow: None, tmp_path: Path) -> None:
    x = gx.input("x", (4, 4))
    w = gx.parameter("w", value=np.full((4, 4), 0.1, np.float32))
    loss = (chain(x, w, DEPTH) ** 2).mean()
    updates = gx.optim.SGD(0.1, momentum=0.9).minimize(loss)
    step = gx.compile([x], loss, updates, threads=1)
    value = gx.compile([x], loss, target="interpret")
    given = np.linspace(-1, 1, 16, dtype=np.float32).reshape(4, 4)
    expected = value(given)
    assert_close(step(given), expected)
    for stage in step.stages:
        assert step.text(stage)
        assert step.dot(stage=stage)
    assert step.report()
    assert step.cost.flops
    assert step.memory.arena_bytes >= 0
    assert step.source("llvm")
    assert gx.dot(loss)
    assert gx.summary(loss)
    step.html(tmp_path / "page.html")
    gx.save(tmp_path / "saved", step)
