"""Between what numbers an index lies."""

from __future__ import annotations

Range = tuple[int, int]  # the least and the largest value that an integer may have

INT32: Range = (-(2**31), 2**31 - 1)
INT64: Range = (-(2**63), 2**63 - 1)


def holds(outer: Range, inner: Range | None) -> bool:
    return inner is not None and outer[0] <= inner[0] and inner[1] <= outer[1]


def result_range(name: str, x: Range, y: Range) -> Range:
    """Where x + y, x - y or x * y lies."""
    if name == "add":
        return x[0] + y[0], x[1] + y[1]
    if name == "sub":
        return x[0] - y[1], x[1] - y[0]
    ends = [a * b for a in x for b in y]
    return min(ends), max(ends)


def known_comparison(name: str, x: Range, y: Range) -> bool | None:
    """What a comparison of two ranges gives, where that is certain."""
    if name == "lt" or name == "le":
        if x[1] < y[0] or (name == "le" and x[1] == y[0]):
            return True
        if x[0] > y[1] or (name == "lt" and x[0] == y[1]):
            return False
    elif x[1] < y[0] or x[0] > y[1]:
        return name == "ne"
    elif x == y and x[0] == x[1]:
        return name == "eq"
    return None
