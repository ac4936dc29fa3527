"""Functions with a user-defined gradient."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from graphc import origin as origins
from graphc.errors import ArgumentError, GradientError
from graphc.frontend.tensor import Tensor, lift, lift_op, zeros_like
from graphc.ir import graph as graphs
from graphc.ir.ops.training import CustomGradient
from graphc.ir.precision import in_region
from graphc.ir.structure import flatten

Pullback = Callable[..., Any]


def custom_gradient(
    function: Callable[..., Any] | None = None, *, apart: int = 0
) -> Callable[..., Any]:
    """Decorate a function of tensors that returns (outputs, backward).

    `backward` takes one cotangent for each output, and returns one for each argument (None: no
    gradient), a single one bare or in a sequence. It must be linear in the cotangents.

    `apart` is the number of first axes, of all arguments and outputs, along which the function
    does the same to every place by itself; -2 for all but two axes of the first argument. Then
    places that `where` did not choose are left out of the gradient one by one, else only all
    together.
    """
    if function is None:
        return functools.partial(custom_gradient, apart=apart)

    made = function

    @functools.wraps(function)
    def differentiable(*arguments: Any) -> Any:
        xs = tuple(lift(a) for a in arguments)
        try:
            outputs, backward = made(*xs)
        except (TypeError, ValueError) as error:
            if "unpack" not in str(error):
                raise
            raise _error("must return (outputs, backward)") from error
        if not callable(backward):
            raise _error(f"backward must be a function, got {backward!r}")
        ys, structure = flatten(outputs)
        places = apart if apart >= 0 else max(xs[0].ndim + apart, 0)
        marked = []
        for i, y in enumerate(ys):
            pull = in_region(_pullback(backward, ys, i, xs))
            marked.append(lift_op(CustomGradient(pull, places), lift(y), *xs))
        return structure.build(marked)

    return differentiable


def _pullback(backward: Pullback, ys: list[Tensor], index: int, xs: tuple[Tensor, ...]) -> Pullback:
    """The contribution of one output: the other cotangents are 0."""

    def pull(dy: Tensor) -> tuple[Tensor | None, ...]:
        dys = [dy if i == index else zeros_like(y) for i, y in enumerate(ys)]
        found = backward(*dys)
        contributions = tuple(found) if isinstance(found, (list, tuple)) else (found,)
        if len(contributions) != len(xs):
            raise _error(f"backward gave {len(contributions)} cotangents for {len(xs)} arguments")
        for i, (x, contribution) in enumerate(zip(xs, contributions)):
            if contribution is not None and (
                not isinstance(contribution, Tensor) or contribution.type != x.type
            ):
                what = (
                    contribution.type
                    if isinstance(contribution, Tensor)
                    else type(contribution).__name__
                )
                raise GradientError(
                    f"custom_gradient: the cotangent of argument {i} must be {x.type}, got {what}",
                    operands=graphs.describe((x.node,)),
                    origin=x.node.origin,
                )
        return contributions

    return pull


def _error(text: str) -> ArgumentError:
    return ArgumentError(f"custom_gradient: {text}", origin=origins.find_origin())
