"""Automatic differentiation: derivatives of graphs as graphs."""

from graphc.frontend.autodiff.check import GradientReport, check_gradients
from graphc.frontend.autodiff.custom import custom_gradient
from graphc.frontend.autodiff.forward import hessian, hvp, jacobian, jvp
from graphc.frontend.autodiff.reverse import grad, vjp
from graphc.frontend.autodiff.vmap import vmap

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
