"""How the axes of a value appear in the axes of a view of it, as kernels ask for it."""

from graphc.ir.ops.axes import Axes, base_of, through_views

__all__ = ["Axes", "base_of", "through_views"]
