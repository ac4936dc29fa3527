"""One page about a compiled function that needs nothing but a browser."""

from __future__ import annotations

import json
import os
from importlib.resources import files
from pathlib import Path

from graphc import origin as origins
from graphc.errors import ArgumentError
from graphc.files import write_whole
from graphc.inspect.content import code, content
from graphc.inspect.dot_label import text as escaped
from graphc.inspect.profile import Profile
from graphc.inspect.report import kernels
from graphc.inspect.subject import Subject, program_of

# The page may run and draw what is in it, and nothing else: it cannot reach any address.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"

# The parts of the script in order; they share one scope.
SCRIPTS = ("data", "boxes", "layout", "charts", "canvas", "panel", "main")

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{name}</title>
<style>
{style}</style></head>
<body>
<noscript>This page draws itself and needs JavaScript.</noscript>
<script type="application/json" id="content">{content}</script>
<script type="application/json" id="code">{code}</script>
<script>
"use strict";
(() => {{
{script}}})();
</script>
</body></html>
"""


def html(subject: Subject, path: str | os.PathLike[str], profile: Profile | None = None) -> None:
    """Write the page, with the times of a profile if there is one; the same subject, same bytes."""
    if profile is not None:
        _check(subject, profile)
    write_whole(Path(path), page(subject, profile).encode())


def _check(subject: Subject, profile: object) -> None:
    """Raise ArgumentError unless it is a profile of this function."""
    own = tuple(k.name for k in kernels(subject))
    if not isinstance(profile, Profile) or tuple(k.name for k in profile.kernels) != own:
        raise ArgumentError(
            f"html: needs the profile of {program_of(subject).name}, got {profile!r:.60}",
            origin=origins.find_origin(),
            hint="html(path, profile=step.profile(...))",
        )


def page(subject: Subject, profile: Profile | None = None, generated: bool = True) -> str:
    """The page as text; the code of the kernels is most of it, and can be left out."""
    folder = files("graphc.inspect") / "page"
    return PAGE.format(
        policy=POLICY,
        name=escaped(program_of(subject).name),
        style=(folder / "page.css").read_text(encoding="utf-8"),
        content=_json(content(subject, profile)),
        code=_json(code(subject) if generated else {}),
        script="\n".join((folder / f"{n}.js").read_text(encoding="utf-8") for n in SCRIPTS),
    )


def _json(data: object) -> str:
    """Data as text that is JSON, and in which nothing can end the element around it."""
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
