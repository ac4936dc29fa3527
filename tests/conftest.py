"""Golden files, rewritten by --update-golden; slow tests run only if asked for: `-m slow`; draws
that depend on the test alone."""

from __future__ import annotations

import signal
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.also_target import AlsoTarget

Golden = Callable[[str, str], None]

# A shell that starts the tests in the background has them ignore Ctrl-C, and so their children.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files")
    parser.addoption(
        "--gpu-target", default="cuda", help="what `-m gpu` runs on: cuda-simulate tries the tests"
    )
    parser.addoption("--also-target", help="make calls on this target, too, and compare them")


def pytest_configure(config: pytest.Config) -> None:
    target = config.getoption("--also-target")
    if target:
        plugin = AlsoTarget(target)
        plugin.install()
        config.pluginmanager.register(plugin, "also-target")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the slow tests unless the expression of `-m` names them."""
    if "slow" in config.option.markexpr:
        return
    left_out = [i for i in items if i.get_closest_marker("slow")]
    items[:] = [i for i in items if not i.get_closest_marker("slow")]
    config.hook.pytest_deselected(items=left_out)


@pytest.fixture(autouse=True)
def draws_of_its_own(request: pytest.FixtureRequest) -> None:
    """Begin the draws of a module's RNG anew: a test alone draws what it draws among others."""
    rng = getattr(request.module, "RNG", None)
    if isinstance(rng, np.random.Generator):
        seed = zlib.crc32(request.node.name.encode())
        rng.bit_generator.state = np.random.default_rng(seed).bit_generator.state


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Compare a text with the file golden/NAME.txt beside the test, or rewrite that file."""
    folder = Path(request.path).parent / "golden"

    def compare(name: str, text: str) -> None:
        path = folder / f"{name}.txt"
        if request.config.getoption("--update-golden"):
            folder.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.exists(), f"no {path}: run pytest with --update-golden"
        assert text == path.read_text(encoding="utf-8")

    return compare
