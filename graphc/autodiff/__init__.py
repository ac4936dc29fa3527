"""Derivatives of graphs, as graphs."""

from graphc.autodiff.check import GradientReport, check_gradients
from graphc.autodiff.reverse import grad, vjp

__all__ = ["GradientReport", "check_gradients", "grad", "vjp"]
