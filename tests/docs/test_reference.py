"""The API reference has every public name once, and each has a docstring."""

from __future__ import annotations

import functools
import inspect
import re
from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest

import graphc as gx

REFERENCE = Path(__file__).parent.parent.parent / "docs" / "reference"
BLOCK = re.compile(r"^```\{api\} *(\S+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def listed() -> list[tuple[str, str, list[str]]]:
    """The names in the reference: module, name, and the members that are shown."""
    found: list[tuple[str, str, list[str]]] = []
    for page in sorted(REFERENCE.glob("*.md")):
        for home, text in BLOCK.findall(page.read_text(encoding="utf-8")):
            lines = (line.partition(":") for line in text.splitlines())
            found += [(home, n, after.split()) for names, _, after in lines for n in names.split()]
    return found


def public() -> set[tuple[str, str]]:
    """The names that users have."""
    names = {*gx._HOMES, *gx._DTYPES, *gx._NUMBERS, "bool", *gx.functions.__all__}
    found = {("gx", name) for name in names}
    for module in gx._MODULES:
        if module in ("onnx", "sklearn"):
            pytest.importorskip(module)
        names = getattr(gx, module).__all__
        found |= {
            (f"gx.{module}", name)
            for name in names
            if gx._HOMES.get(name) != gx._ELSEWHERE.get(module, module)
        }
    return found


def test_every_public_name_is_there_once() -> None:
    counts = Counter((home, name) for home, name, _ in listed())
    assert [name for name, count in counts.items() if count > 1] == []
    assert sorted(public() - set(counts)) == []


def test_whatever_is_there_exists_and_says_what_it_is() -> None:
    for home, name, members in listed():
        first, *rest = home.split(".")
        module = functools.reduce(getattr, rest, gx) if first == "gx" else import_module(home)
        value = getattr(module, name)
        assert not callable(value) or value.__doc__, f"{home}.{name}"
        for member in members:
            assert inspect.getdoc(getattr(value, member)), f"{home}.{name}.{member}"
