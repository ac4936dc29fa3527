"""The documentation builds as a site without warnings and without a network, and needs none."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx")
pytest.importorskip("furo")
pytest.importorskip("myst_parser")

DOCS = Path(__file__).parent.parent.parent / "docs"
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
NOWHERE = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
FOREIGN = "(?:https?:)?//"
LOADED = re.compile(
    rf"""<(?:script|img|iframe|source|embed)\b[^>]*\bsrc\s*=\s*["']?{FOREIGN}[^>]*>"""
    rf"""|<link\b[^>]*\bhref\s*=\s*["']?{FOREIGN}[^>]*>"""
    rf"""|url\(\s*["']?{FOREIGN}[^)]*\)|@import\s+["']{FOREIGN}[^"']*""",
    re.IGNORECASE,
)


def test_site(tmp_path: Path) -> None:
    """One test, so that the site is built once."""
    site = tmp_path / "site"
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    built = subprocess.run(
        [*command, "-d", str(tmp_path / "doctrees"), str(DOCS), str(site)],
        capture_output=True, text=True, timeout=600, check=False, env={**os.environ, **NOWHERE},
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    has_every_page(site)
    loads_nothing_from_elsewhere(site)
    links_code_to_the_reference(site)
    if BROWSER:
        finds_names(site, tmp_path)


def has_every_page(site: Path) -> None:
    for page in DOCS.rglob("*.md"):
        assert (site / page.relative_to(DOCS).with_suffix(".html")).exists(), page


def loads_nothing_from_elsewhere(site: Path) -> None:
    files = [p for p in site.rglob("*") if p.suffix in (".html", ".css", ".svg")]
    assert files
    for file in files:
        found = LOADED.findall(file.read_text(encoding="utf-8"))
        assert not found, f"{file}: {found}"


def links_code_to_the_reference(site: Path) -> None:
    page = (site / "reference" / "define.html").read_text(encoding="utf-8")
    assert 'href="compile.html#gx.compile"' in page  # code in a page
    assert 'href="#gx.Tensor"' in page  # an annotation


def finds_names(site: Path, tmp_path: Path) -> None:
    """The search works in a page that was opened as a file."""
    command = [
        BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--dump-dom",
        "--virtual-time-budget=10000", f"--user-data-dir={tmp_path / 'browser'}",
        f"{(site / 'search.html').as_uri()}?q=softmax",
    ]  # fmt: skip
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "reference/nn.html#gx.nn.softmax" in found.stdout


@pytest.mark.parametrize(
    "text",
    [
        '<script defer src="https://cdn.example/x.js"></script>',
        '<link rel="stylesheet" href="//fonts.example/css">',
        '<img alt="" src="http://example.org/a.png">',
        "body { background: url(https://example.org/a.png) }",
        '@import "https://example.org/a.css"',
    ],
)
def test_the_check_sees_what_is_loaded(text: str) -> None:
    assert LOADED.search(text)
