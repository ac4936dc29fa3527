"""One page about a compiled function that needs nothing but a browser."""

from __future__ import annotations

import os
from pathlib import Path

from graphc.inspect.chart import kernels_svg, timeline_svg
from graphc.inspect.dot import function_dot
from graphc.inspect.dot_label import text as escaped
from graphc.inspect.memory import memory
from graphc.inspect.notebook import function_svg
from graphc.inspect.render import write_whole
from graphc.inspect.report import kernels, report
from graphc.inspect.stages import STAGES
from graphc.inspect.subject import Subject, program_of
from graphc.inspect.text import text

STYLE = """
body { font: 14px/1.45 Helvetica, Arial, sans-serif; margin: 2em auto; max-width: 1100px;
       padding: 0 1em; color: #1c2733; }
pre { background: #f6f8fa; padding: 0.8em; overflow-x: auto; font-size: 12px; line-height: 1.35; }
details { margin: 0.6em 0; } summary { cursor: pointer; font-weight: bold; }
.picture { overflow: auto; max-height: 85vh; border: 1px solid #d5dbe1; }
svg { max-width: none; }
"""


def html(subject: Subject, path: str | os.PathLike[str]) -> None:
    """Write the page; pictures of graphs are drawn if Graphviz is there, else given as text."""
    write_whole(Path(path), page(subject).encode())


def page(subject: Subject) -> str:
    """The page as text."""
    program = program_of(subject)
    name = escaped(program.schedule.name)
    sections = [
        f"<h1>{name}</h1>",
        f"<pre>{_lines(report(subject))}</pre>",
        "<h2>Memory, phase by phase</h2>",
        timeline_svg(memory(subject)),
        "<h2>Kernels, phase by phase</h2>",
        kernels_svg(program.schedule, kernels(subject)),
        "<h2>Stages</h2>",
        *(_stage(subject, stage) for stage in STAGES),
    ]
    head = f'<meta charset="utf-8"><title>{name}</title><style>{STYLE}</style>'
    return (
        "\n".join(
            ["<!DOCTYPE html>", f"<html><head>{head}</head><body>", *sections, "</body></html>"]
        )
        + "\n"
    )


def _stage(subject: Subject, stage: str) -> str:
    """The text and the picture of a stage, folded."""
    drawn = function_svg(subject, stage)
    if drawn is None:
        picture = f"<pre>{_lines(function_dot(subject, None, stage))}</pre>"
    else:
        picture = f'<div class="picture">{drawn[drawn.index("<svg") :]}</div>'
    words = f"<pre>{_lines(text(subject, stage))}</pre>"
    return f"<details><summary>{stage}: picture</summary>{picture}</details>\n" + (
        f"<details><summary>{stage}: text</summary>{words}</details>"
    )


def _lines(words: str) -> str:
    """Escape line by line, so that line ends stay."""
    return "\n".join(escaped(line) for line in words.splitlines())
