"""What notebooks show for tensors and compiled functions."""

from __future__ import annotations

from typing import Any

from graphc.inspect.dot import dot, function_dot
from graphc.inspect.render import draw, find_program

MOST = 300  # boxes; beyond, a picture takes long and says little


def tensor_svg(tensor: Any) -> str | None:
    """The graph of a tensor as SVG; None without Graphviz or for very large graphs."""
    return _svg(dot(tensor)) if find_program() else None


def function_svg(function: Any, stage: str = "fused") -> str | None:
    """A compiled function as SVG; None without Graphviz or for very large graphs."""
    return _svg(function_dot(function, None, stage)) if find_program() else None


def _svg(picture: str) -> str | None:
    boxes = picture.count("[label=")
    return draw(picture, "svg").decode() if boxes <= MOST else None
