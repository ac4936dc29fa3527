"""The five environment variables."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from graphc.config import Environment, environment, read_environment


def test_nothing_set() -> None:
    found = read_environment({})
    assert found == Environment()
    assert found.cache is None  # there is no home to keep it in


def test_everything_set() -> None:
    found = read_environment(
        {
            "GRAPHC_DUMP": "out",
            "GRAPHC_CHECK": "1",
            "GRAPHC_TIME": "on",
            "GRAPHC_BACKEND": "llvm",
            "GRAPHC_CACHE": "/tmp/c",
        }
    )
    assert found == Environment(Path("out"), True, True, "llvm", Path("/tmp/c"))


@pytest.mark.parametrize("value", ["", "0", "off", "OFF", "false", "no", " 0 "])
def test_off(value: str) -> None:
    names = ("GRAPHC_CHECK", "GRAPHC_TIME", "GRAPHC_CACHE")
    found = read_environment({"HOME": "/h", **dict.fromkeys(names, value)})
    assert (found.check, found.time, found.cache) == (False, False, None)


@pytest.mark.parametrize("name", ["GRAPHC_CHECK", "GRAPHC_TIME"])
def test_neither_on_nor_off(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}='maybe': say 1 or 0"):
        read_environment({name: "maybe"})


@pytest.mark.parametrize(
    ("platform", "variables", "want"),
    [
        ("linux", {"HOME": "/h"}, Path("/h/.cache/graphc")),
        ("linux", {"HOME": "/h", "XDG_CACHE_HOME": "/x"}, Path("/x/graphc")),
        ("linux", {"HOME": "/h", "XDG_CACHE_HOME": "rel"}, Path("/h/.cache/graphc")),
        ("darwin", {"HOME": "/h"}, Path("/h/Library/Caches/graphc")),
        ("win32", {"LOCALAPPDATA": "/l"}, Path("/l/graphc/cache")),
        ("win32", {}, None),
        ("darwin", {}, None),
    ],
)
def test_default_cache(
    monkeypatch: pytest.MonkeyPatch, platform: str, variables: dict[str, str], want: Path | None
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert read_environment(variables).cache == want


def test_home_in_the_cache_s_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/h")
    assert read_environment({"GRAPHC_CACHE": "~/c"}).cache == Path("/h/c")


def test_read_once() -> None:
    assert environment() is environment()
