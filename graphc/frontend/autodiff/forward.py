"""Forward mode, Jacobians and Hessians, built from reverse mode."""

from __future__ import annotations

from typing import Any

from graphc import origin as origins
from graphc.errors import ArgumentError, GradientError
from graphc.frontend import functions as fn
from graphc.frontend.arguments import tensor
from graphc.frontend.autodiff.reverse import grad, pushed, vjp
from graphc.frontend.autodiff.vmap import vmap
from graphc.frontend.lifting import promote_lifted
from graphc.frontend.tensor import Tensor, lift
from graphc.ir import graph as graphs
from graphc.ir.structure import flatten, flatten_like, map_structure


def jvp(outputs: Any, wrt: Any, tangents: Any) -> Any:
    """The tangents of `outputs` (structured like it), given those of `wrt` (like it).

    Outputs that do not depend on `wrt` have zeros.
    """
    leaves, structure = flatten(outputs)
    ys = [tensor("jvp", "outputs", y) for y in leaves]
    xs, of_wrt = flatten(wrt)
    given = flatten_like(of_wrt, tangents, "tangents")
    dxs = [_like(x, dx, "tangent") for x, dx in zip(xs, given)]
    return structure.build(pushed(ys, xs, dxs))


def hvp(loss: Tensor, wrt: Any, vectors: Any) -> Any:
    """The product of the Hessian of a scalar with vectors structured like `wrt`."""
    xs, structure = flatten(wrt)
    vs = [_like(x, v, "vector") for x, v in zip(xs, flatten_like(structure, vectors, "vectors"))]
    gradients = grad(loss, xs, unreachable="zero")
    return structure.build(vjp(gradients, xs, vs, unreachable="zero"))


def jacobian(outputs: Any, wrt: Any) -> Any:
    """All derivatives of `outputs` by `wrt`: for every output a structure like `wrt`, of tensors
    with shape output.shape + x.shape.
    """
    return map_structure(
        lambda y: map_structure(lambda x: _jacobian(lift(y), x), wrt),
        outputs,
    )


def hessian(loss: Tensor, wrt: Any) -> Any:
    """The second derivatives of a scalar: for every x of `wrt` a structure like `wrt`."""
    return jacobian(grad(loss, wrt, unreachable="zero"), wrt)


def _jacobian(y: Tensor, x: Tensor) -> Tensor:
    """By rows or by columns, whichever are fewer; by rows where that is not known."""
    if not isinstance(x, Tensor):
        raise ArgumentError(
            f"jacobian: needs tensors, got {type(x).__name__}", origin=origins.find_origin()
        )
    shape, rows, columns = (*y.shape, *x.shape), y.size, x.size
    if isinstance(rows, int) and isinstance(columns, int) and columns < rows:
        lines = vmap(lambda dx: jvp(y, x, dx), out_axes=-1)(_basis(x))
    else:
        lines = vmap(lambda dy: vjp(y, x, dy, unreachable="zero"))(_basis(y))
    result: Tensor = fn.reshape(lines, shape)
    return result


def _basis(x: Tensor) -> Tensor:
    """For each element of x, along a new first axis, 1 there and 0 elsewhere."""
    return fn.reshape(fn.eye(x.size, dtype=x.dtype), (x.size, *x.shape))


def _like(x: Any, value: Any, what: str) -> Tensor:
    if not isinstance(x, Tensor):
        raise ArgumentError(
            f"needs tensors to differentiate with respect to, got {type(x).__name__}",
            origin=origins.find_origin(),
        )
    tensor = promote_lifted(what, [lift(value, x.dtype)], x.dtype)[0]
    if tensor.type != x.type:
        raise GradientError(
            f"the {what} of {x.name or x.node.op.name} must be {x.type}, got {tensor.type}",
            operands=graphs.describe((x.node, tensor.node)),
            origin=origins.find_origin(),
        )
    return tensor
