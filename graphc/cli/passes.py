"""`graphc passes`: what the compiler does to a graph before it makes kernels."""

from __future__ import annotations

from graphc.cli.show import print_columns
from graphc.passes import table


def run_passes() -> None:
    """Print number, name and meaning of every pass."""
    rows = [(str(number), name, meaning) for number, (name, meaning) in enumerate(table(), 1)]
    print_columns("passes, in order", ("", "pass", "what it does"), rows)
