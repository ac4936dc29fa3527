"""Where models are listed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

CASES: list[tuple[str, Callable[[], Any], bool]] = []  # name, function, whether it is quick


def case(build: Callable[[], Any]) -> Callable[[], Any]:
    """Add a function that compiles something; its name is the case's."""
    CASES.append((build.__name__, build, True))
    return build


def slow_case(build: Callable[[], Any]) -> Callable[[], Any]:
    """Add a function that the quick part leaves out."""
    CASES.append((build.__name__, build, False))
    return build
