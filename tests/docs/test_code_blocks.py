"""Every code block of the documentation runs and prints what the page shows (`code_blocks.py`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.docs.code_blocks import blocks_of, missing, run

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
RUN = ("python", "console", "sh")
FOUND = [ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
PAGES = [p for p in FOUND if any(b.language in RUN for b in blocks_of(p))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page(page: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    run(page)


def test_there_are_pages() -> None:
    assert DOCS / "export.md" in PAGES


GOOD = """
```python
import graphc as gx
x = gx.input("x", (2, 3))
print(x.shape)
```
```text output
(2, ...)
```
```python raises=ShapeError
x @ x
```
```text output
ShapeError: matmul: inner sizes differ...
  at        x @ x       good.py:5
  hint ...
```
```python file=other.py raises=ShapeError
import graphc as gx
gx.input("y", (4, 5)) @ gx.input("z", (2, 2))
```
```text output
... at        gx.input("y", (4, 5)) @ gx.input("z", (2, 2))  other.py:2
```
```python file=third.py raises=NameError
gx
```
```console
$ graphc --help
Usage...
$ not-graphc | at all
```
```python no-run
# because it is wrong
1 / 0
```
```python needs=nothing-of-this-name
1 / 0
```
"""


def test_a_good_page(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "good.md"
    page.write_text(GOOD)
    assert set(run(page)) == {"__name__", "__builtins__"}
    assert not missing("numpy")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("```python\n1 / 0\n```\n", "division by zero"),
        ("```python no-run\n1 / 0\n```\n", "says why"),
        ("```python raises=ShapeError\n1\n```\n", "nothing raised"),
        ("```python raises=ShapeError\n1 / 0\n```\n", "division"),
        ("```python\nprint(1)\n```\n```text output\n2\n```\n", "printed, not shown"),
        ("```console\n$ graphc nonsense\n```\n", "No such command"),
        ("```console\n$ graphc --help\nnothing\n```\n", "printed, not shown"),
        ("- point\n  ```python\n  1\n  ```\n", "indented"),
    ],
)
def test_bad_pages(text: str, complaint: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "bad.md"
    page.write_text(text)
    with pytest.raises((AssertionError, ZeroDivisionError), match=complaint):
        run(page)
