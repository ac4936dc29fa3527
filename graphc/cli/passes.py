"""`graphc passes`: what the compiler does to a graph before it makes kernels."""

from __future__ import annotations

import click

from graphc.cli.show import print_columns
from graphc.cli.subject import json_text
from graphc.compiler.passes import table


def run_passes(as_json: bool = False) -> None:
    """Print number, name and meaning of every pass."""
    if as_json:
        click.echo(json_text([{"name": name, "meaning": meaning} for name, meaning in table()]))
        return
    rows = [(str(number), name, meaning) for number, (name, meaning) in enumerate(table(), 1)]
    print_columns("passes, in order", ("", "pass", "what it does"), rows)
