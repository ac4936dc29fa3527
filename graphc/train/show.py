"""What a notebook shows of a history: a row for each number, with its curve."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

_WIDE, _HIGH, _EDGE = 160, 28, 3
_CELL = "text-align: left; padding: 2px 12px 2px 0"


def history_html(curves: Mapping[str, Sequence[float]], note: str) -> str:
    """A table of names, first, least, greatest and last numbers, and curves as pictures."""
    head = "".join(f"<th style='{_CELL}'>{t}</th>" for t in ("", "first", "least", "greatest",
                                                             "last", "epochs"))  # fmt: skip
    rows = "".join(_row(name, values) for name, values in curves.items() if values)
    text = f"<p>{escape(note)}</p>" if note else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{text}"


def _row(name: str, values: Sequence[float]) -> str:
    finite = [v for v in values if math.isfinite(v)]
    found = [values[0], min(finite, default=math.nan), max(finite, default=math.nan), values[-1]]
    cells = [escape(name), *(f"{v:.4g}" for v in found), curve_svg(values)]
    return "<tr>" + "".join(f"<td style='{_CELL}'>{cell}</td>" for cell in cells) + "</tr>"


def curve_svg(values: Sequence[float]) -> str:
    """A curve as a small picture; gaps where numbers are not finite."""
    finite = [v for v in values if math.isfinite(v)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    span, last = (high - low) or 1.0, max(len(values) - 1, 1)
    parts: list[list[str]] = [[]]
    for i, value in enumerate(values):
        if math.isfinite(value):
            x = _EDGE + (_WIDE - 2 * _EDGE) * i / last
            y = _HIGH - _EDGE - (_HIGH - 2 * _EDGE) * (value - low) / span
            parts[-1].append(f"{x:.1f},{y:.1f}")
        else:
            parts.append([])
    lines = "".join(
        f"<polyline points='{' '.join(part)}' fill='none' stroke='#2f6fb5' stroke-width='1.5'/>"
        for part in parts
        if part
    )
    return f"<svg width='{_WIDE}' height='{_HIGH}'>{lines}</svg>"
