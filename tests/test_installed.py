"""What graphc tells people to install is what adds to the copy that they have."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from graphc import installed
from graphc.installed import DISTRIBUTION, install_hint

ROOT = Path(__file__).parent.parent


class Installed:
    """A distribution with what pip wrote about where it came from."""

    def __init__(self, url: str | None) -> None:
        self.url = url

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return None if self.url is None else json.dumps({"url": self.url, "dir_info": {}})


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A copy of the package away from any checkout; what its distribution says can be set."""
    monkeypatch.setattr(installed, "__file__", str(tmp_path / "site" / "graphc" / "installed.py"))

    def found(url: str | None) -> None:
        monkeypatch.setattr(installed, "distribution", lambda name: Installed(url))

    return found


def test_in_a_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    assert install_hint("onnx", "onnx") == "pip install -e '.[onnx]'"
    monkeypatch.chdir(tmp_path)
    assert install_hint("onnx", "onnx") == f"pip install -e '{ROOT}[onnx]'"


def test_from_the_index(site: Any) -> None:
    site(None)
    assert install_hint("plots", "matplotlib") == f"pip install '{DISTRIBUTION}[plots]'"
    site("https://example.org/graphc_compiler-1.0-py3-none-any.whl")
    assert install_hint("plots", "matplotlib") == f"pip install '{DISTRIBUTION}[plots]'"


def test_from_a_folder(site: Any, tmp_path: Path) -> None:
    folder = tmp_path / "a checkout"
    site(folder.as_uri())
    assert install_hint("data", "scipy") == f"pip install '{DISTRIBUTION}[data]'"  # it is gone
    folder.mkdir()
    (folder / "pyproject.toml").write_text(f'[project]\nname = "{DISTRIBUTION}"\n')
    assert install_hint("data", "scipy") == f"pip install '{folder}[data]'"


def test_of_a_copy_that_nobody_installed(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(installed, "distribution", missing)
    assert install_hint("link", "ziglang") == "pip install ziglang"


def test_no_text_names_the_other_project() -> None:
    """`graphc` on the package index is not this project."""
    wrong = re.compile(r"pip install[^\n]*[ '\"]graphc(?![-\w.])(?! demo)")
    for folder in ("graphc", "backends", "docs", "examples"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".py", ".md") and path.is_file():
                assert not wrong.search(path.read_text(encoding="utf-8")), path
    assert not wrong.search(
        (ROOT / "README.md").read_text(encoding="utf-8").replace("&& graphc", "")
    )


def test_every_extra_that_is_named_exists() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    extras = set(re.findall(r"^([\w-]+) = \[", text, re.MULTILINE))
    named = set()
    for folder in ("graphc", "backends"):
        for path in (ROOT / folder).rglob("*.py"):
            named |= set(
                re.findall(r'install_hint\(["\']([\w-]+)', path.read_text(encoding="utf-8"))
            )
    assert named
    assert named <= extras


def test_a_missing_package_is_asked_for() -> None:
    """What a newcomer sees who lacks one."""
    program = "import sys; sys.modules['onnx'] = None; import graphc as gx; gx.onnx.load"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert "gx.onnx needs the onnx package" in done.stderr
    assert "pip install -e '.[onnx]'" in done.stderr


def test_extras_are_made_of_our_own() -> None:
    """An extra that names another one does so under the name of this distribution."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'"{DISTRIBUTION}[' in text
    assert '"graphc[' not in text
