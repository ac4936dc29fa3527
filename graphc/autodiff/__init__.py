"""Derivatives of graphs, as graphs."""

from graphc.autodiff.check import GradientReport, check_gradients
from graphc.autodiff.custom import custom_gradient
from graphc.autodiff.forward import hessian, hvp, jacobian, jvp
from graphc.autodiff.reverse import grad, vjp
from graphc.autodiff.vmap import vmap

__all__ = [
    "GradientReport",
    "check_gradients",
    "custom_gradient",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "vjp",
    "vmap",
]
