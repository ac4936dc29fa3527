"""What notebooks show for tensors and compiled functions."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from graphc.inspect.dot import dot, function_dot
from graphc.inspect.html import page
from graphc.inspect.render import draw, find_program

if TYPE_CHECKING:
    from graphc.frontend.tensor import Tensor
    from graphc.runtime.function import CompiledFunction

MAX_BOXES = 300  # boxes; beyond, a picture takes long and says little


def tensor_svg(tensor: Tensor) -> str | None:
    """The graph of a tensor as SVG; None without Graphviz or for very large graphs."""
    return _svg(dot(tensor)) if find_program() else None


def function_svg(function: CompiledFunction, stage: str = "fused") -> str | None:
    """A compiled function as SVG; None without Graphviz or for very large graphs."""
    return _svg(function_dot(function, None, stage)) if find_program() else None


def function_html(function: CompiledFunction) -> str | None:
    """The page about a function in a frame, where there is no picture; None where there is one."""
    if function_svg(function) is not None:
        return None
    inside = escape(page(function, generated=False))
    return f'<iframe srcdoc="{inside}" style="width: 100%; height: 40em; border: 0"></iframe>'


def _svg(picture: str) -> str | None:
    boxes = picture.count("[label=")
    return draw(picture, "svg").decode() if boxes <= MAX_BOXES else None
