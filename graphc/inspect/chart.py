"""Pictures that need no other program: memory over time, and kernels by phase."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.inspect.dot_label import GREY, PAINT, shorten, text
from graphc.inspect.memory import Memory
from graphc.inspect.names import bytes_text
from graphc.inspect.report import KernelFacts
from graphc.schedule import Schedule

WIDTH, BAR, TALL = 960, 160, 46
FONT = 'font-family="Helvetica,Arial,sans-serif"'


def timeline_svg(memory: Memory) -> str:
    """The bytes alive in each phase as bars, below a line for the arena."""
    count = max(1, len(memory.timeline))
    step = WIDTH / count
    top = max(memory.arena_bytes, 1)
    parts = []
    for i, (names, live) in enumerate(memory.timeline):
        high = BAR * live / top
        title = f"<title>phase {i}: {bytes_text(live)} alive\n{text(names)}</title>"
        parts.append(
            f'<rect x="{i * step:.1f}" y="{20 + BAR - high:.1f}" width="{max(step - 1, 0.5):.1f}"'
            f' height="{high:.1f}" fill="#2a6db0" fill-opacity="0.75">{title}</rect>'
        )
    label = f"arena {bytes_text(memory.arena_bytes)}, {len(memory.timeline)} phases"
    parts.append(
        f'<line x1="0" x2="{WIDTH}" y1="20" y2="20" stroke="{GREY}" stroke-dasharray="4"/>'
    )
    parts.append(f'<text x="0" y="14" font-size="12" {FONT} fill="{GREY}">{label}</text>')
    return _svg(WIDTH, BAR + 24, parts)


def kernels_svg(schedule: Schedule, kernels: Sequence[KernelFacts]) -> str:
    """Kernels as boxes, one row a phase, with lines along which values go."""
    rows: dict[int, list[int]] = {}
    for i, kernel in enumerate(kernels):
        rows.setdefault(kernel.phase, []).append(i)
    places: dict[int, tuple[float, float, float]] = {}  # left, top, width
    for row, mine in enumerate(rows.values()):
        wide = min(WIDTH / len(mine), 320)
        start = (WIDTH - wide * len(mine)) / 2
        for k, i in enumerate(mine):
            places[i] = (start + k * wide + 4, row * (TALL + 26) + 4, wide - 8)
    parts = [_line(places[a], places[b]) for a, b in _flows(schedule)]
    parts += [_box(kernels[i], *place) for i, place in places.items()]
    return _svg(WIDTH, len(rows) * (TALL + 26), parts)


def _flows(schedule: Schedule) -> list[tuple[int, int]]:
    """Pairs of calls of which the second reads what the first wrote, each once."""
    writer: dict[object, int] = {}
    pairs: dict[tuple[int, int], None] = {}
    for i, call in enumerate(schedule.calls):
        pairs.update({(writer[s], i): None for s in call.reads if s in writer})
        writer.update(dict.fromkeys(call.writes, i))
    return list(pairs)


def _box(kernel: KernelFacts, x: float, y: float, width: float) -> str:
    paint = PAINT[kernel.part]
    room = max(4, int(width / 6.6))
    title = (
        f"<title>{text(kernel.name)}\n{text(' '.join(kernel.ops))}\n{text(kernel.lines)}</title>"
    )
    lines = (
        shorten(kernel.name, room),
        shorten(f"{kernel.cost}", room),
        shorten(kernel.lines, room),
    )
    words = "".join(
        f'<text x="{x + 6:.1f}" y="{y + 15 + 13 * i:.1f}" font-size="11" {FONT}'
        f' fill="{"black" if i == 0 else GREY}">{text(line)}</text>'
        for i, line in enumerate(lines)
    )
    return (
        f'<g>{title}<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{TALL}" rx="6"'
        f' fill="{paint.fill}" stroke="{paint.line}"/>{words}</g>'
    )


def _line(start: tuple[float, float, float], end: tuple[float, float, float]) -> str:
    """A curve from the bottom of a box to the top of one further down."""
    x1, y1 = start[0] + start[2] / 2, start[1] + TALL
    x2, y2 = end[0] + end[2] / 2, end[1]
    middle = (y1 + y2) / 2
    return (
        f'<path d="M{x1:.1f},{y1:.1f} C{x1:.1f},{middle:.1f} {x2:.1f},{middle:.1f}'
        f' {x2:.1f},{y2:.1f}" fill="none" stroke="{GREY}" stroke-opacity="0.6"/>'
    )


def _svg(width: float, height: float, parts: Sequence[str]) -> str:
    inside = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}"'
        f' width="{width:.0f}">\n{inside}\n</svg>'
    )
