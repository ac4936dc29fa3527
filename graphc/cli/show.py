"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape
from rich.table import Table


def console() -> Console:
    """A console that never breaks a path or a number over lines when it is not a terminal."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=200)


def print_rows(title: str, rows: Iterable[tuple[str, str]]) -> None:
    """Print a table of names and values."""
    table = Table(title=title, title_justify="left", title_style="bold", show_header=False)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value)
    console().print(table)


def print_columns(
    title: str, heads: tuple[str, ...], rows: Iterable[tuple[str, ...]], narrow: int = 2
) -> None:
    """Print a table with heads; the first `narrow` columns are never broken over lines."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for i, head in enumerate(heads):
        table.add_column(
            head, no_wrap=i < narrow, overflow="fold", style="cyan" if i < narrow else ""
        )
    for row in rows:
        table.add_row(*map(escape, row))
    console().print(table)


def bytes_text(count: int) -> str:
    """A number of bytes for people: 1,234 B, 12.3 kB, 1.2 MB (MB = 10**6)."""
    for size, unit in ((10**9, "GB"), (10**6, "MB"), (10**4, "kB")):
        if count >= size:
            return f"{count / (1000 if unit == 'kB' else size):,.1f} {unit}"
    return f"{count:,} B"
