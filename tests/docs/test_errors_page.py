"""docs/errors.md shows what the programs of the catalogue raise, and has every class."""

from __future__ import annotations

from pathlib import Path

from graphc import errors
from tests.docs import errors_page

PAGE = (Path(__file__).parent.parent.parent / "docs" / "errors.md").read_text(encoding="utf-8")


def test_page() -> None:
    again = "run `python -m tests.docs.errors_page > docs/errors.md`"
    assert errors_page.page() == PAGE, again


def test_every_class_has_a_program_or_a_reason() -> None:
    shown = {mistake.kind for mistake in errors_page.MISTAKES} | set(errors_page.WITHOUT_PROGRAM)
    kinds = {getattr(errors, name) for name in errors.__all__} - {errors.GraphcError}
    assert set(errors_page.KINDS) == kinds == shown
