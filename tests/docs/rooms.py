"""The picture of the rooms in docs/architecture.md, made from the imports.

python -m tests.docs.rooms
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path

from tests.test_architecture import PACKAGES, PROTOCOLS, ROOT, edges, pairs, room

PICTURE = ROOT / "docs" / "pictures" / "rooms.svg"
TITLES = {"root": "graphc/", "models": "what models are made of", "backends": "backends/"}
WIDTH, LINE, GAP, CHARACTER = 960, 18, 46, 7.3  # pixels
STYLE = (
    "text{font:12px monospace}rect{fill:#f6f8fa;stroke:#57606a}"
    "path{fill:none;stroke:#57606a}marker path{fill:#57606a}.title{font-weight:bold}"
)


def arrows() -> set[tuple[str, str]]:
    """Which room imports which, but for arrows that say no more than a longer way.

    That backends know the protocols they keep says the page; here it would turn the house over.
    """
    every = {(room(a), room(b)) for a, b in pairs() if b not in PROTOCOLS}
    every = {(a, b) for a, b in every if a != b and "graphc" not in (a, b)}
    return {
        (a, b) for a, b in every if not any((a, c) in every and (c, b) in every for c in rooms())
    }


def rooms() -> list[str]:
    """The names of the rooms; the bare package, which names everything, is none."""
    return sorted({room(name) for name in edges()} - {"graphc"})


def level(name: str, after: Mapping[str, set[str]]) -> int:
    """How many rooms stand below one."""
    return 1 + max((level(b, after) for b in after[name]), default=-1)


def contents(name: str) -> list[str]:
    """The folders and files that stand directly in a room."""
    return sorted({part(module) for module in edges() if room(module) == name} - {""})


def part(module: str) -> str:
    """The folder or file of a module in its room; folders end in a slash."""
    package, *rest = module.split(".")
    if package != "graphc":
        return f"{package}/"
    depth = 2 if rest[0] == room(module) else 1
    path = PACKAGES["graphc"].joinpath(*rest[:depth])
    return "" if len(rest) < depth else f"{path.name}/" if path.is_dir() else path.name


def lines(words: list[str], width: float) -> list[str]:
    """Words in lines of a width in pixels."""
    found = [""]
    for word in words:
        if (len(found[-1]) + len(word) + 3) * CHARACTER > width:
            found.append("")
        found[-1] = f"{found[-1]} {word}".strip()
    return found


def draw() -> str:
    """The rooms as boxes, each above all that it imports, as SVG."""
    after = {name: {b for a, b in arrows() if a == name} for name in rooms()}
    height, boxes, text = 10.0, {}, []
    for floor in range(max(level(n, after) for n in rooms()), -1, -1):
        here = [name for name in rooms() if level(name, after) == floor]
        width = (WIDTH - 20 * (len(here) - 1)) / len(here)
        inside = {name: lines(contents(name), width) for name in here}
        tall = LINE * (max(map(len, inside.values())) + 1) + 12
        for i, name in enumerate(here):
            left = 10 + i * (width + 20)
            boxes[name] = (left, height, width, tall)
            text += box(TITLES.get(name, f"{name}/"), inside[name], boxes[name])
        height += tall + GAP
    text += [arrow(boxes[a], boxes[b]) for a, b in sorted(arrows())]
    size = f'width="{WIDTH + 20}" height="{height - GAP + 10:g}"'
    head = '<marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8"'
    head += ' orient="auto"><path d="M0 0L8 4L0 8z"/></marker>'
    start = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n<style>{STYLE}</style>\n'
    return start + "\n".join([f"<defs>{head}</defs>", *text, "</svg>\n"])


def box(title: str, inside: list[str], place: tuple[float, float, float, float]) -> list[str]:
    """A rectangle with a title and lines."""
    x, y, width, height = place
    made = [f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6"/>']
    for i, line in enumerate([title, *inside]):
        kind = ' class="title"' if i == 0 else ""
        at = f'x="{x + 10:g}" y="{y + LINE * (i + 1):g}"'
        made.append(f"<text {at}{kind}>{escape(line)}</text>")
    return made


def arrow(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> str:
    """A line from the bottom of one box to the top of another."""
    start, end = (a[0] + a[2] / 2, a[1] + a[3]), (b[0] + b[2] / 2, b[1])
    x = min(max(start[0], b[0] + 20), b[0] + b[2] - 20)  # straight down where that is possible
    return f'<path d="M{start[0]:g} {start[1]:g}L{x:g} {end[1]:g}" marker-end="url(#head)"/>'


def write(path: Path = PICTURE) -> None:
    """Draw the picture into its file."""
    path.write_text(draw(), encoding="utf-8")


if __name__ == "__main__":
    write()
