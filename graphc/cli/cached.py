"""`graphc cache`: compiled code on disk."""

from __future__ import annotations

import time
from pathlib import Path

import click

from graphc.cli.show import bytes_text, print_rows
from graphc.cli.subject import json_text
from graphc.config import environment


def files_of(directory: Path | None) -> list[Path]:
    """The entries, the latest used last."""
    if directory is None or not directory.exists():
        return []
    found = []
    for path in directory.glob("*.gxo"):
        try:
            found.append((path.stat().st_mtime, path))
        except OSError:  # another process cleans up
            continue
    return [path for _, path in sorted(found)]


def run_cache(action: str, as_json: bool) -> None:
    """Show the cache, or empty it."""
    directory = environment().cache
    files = files_of(directory)
    sizes = {path: path.stat().st_size for path in files if path.exists()}
    if action == "path":
        click.echo(json_text(str(directory)) if as_json else str(directory or "off"))
        return
    if action == "clear":
        for path in files:
            path.unlink(missing_ok=True)
    facts = {
        "directory": str(directory or "off"),
        "files": len(sizes),
        "bytes": sum(sizes.values()),
        "cleared": action == "clear",
    }
    if as_json:
        click.echo(json_text(facts))
    elif action == "clear":
        click.echo(f"removed {len(sizes)} files, {bytes_text(sum(sizes.values()))}")
    else:
        total = bytes_text(sum(sizes.values()))
        rows = [("directory", str(directory or "off")), ("files", f"{len(sizes):,}, {total}")]
        if files and files[-1].exists():
            age = time.time() - files[-1].stat().st_mtime
            rows.append(("last used", f"{age:,.0f} seconds ago"))
        print_rows("cache", rows)
