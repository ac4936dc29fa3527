"""The command `graphc`."""

from graphc.cli.main import main

__all__ = ["main"]
