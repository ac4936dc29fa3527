"""The functions that gradient rules are handed, as functions of tensors."""

from __future__ import annotations

from dataclasses import dataclass

from graphc.frontend.autodiff import spectral_limits
from graphc.frontend.autodiff.spectral_limits import Pushforward
from graphc.frontend.functions import creation, joining, logic, mathematics, reductions, shapes
from graphc.frontend.functions.arithmetic import sign
from graphc.frontend.functions.operands import cast, widened
from graphc.frontend.tensor import Tensor, lift_op, literal, zeros_like
from graphc.ir.dims import Size
from graphc.ir.ops.leaf import Literal
from graphc.ir.ops.view import BroadcastTo


@dataclass(frozen=True)
class TensorFunctions:
    """`ArrayFunctions` of tensors; `jvp` is for gradients which need derivatives themselves."""

    jvp: Pushforward

    apply = staticmethod(lift_op)
    literal = staticmethod(literal)
    zeros = staticmethod(creation.zeros)
    zeros_like = staticmethod(zeros_like)
    ones_like = staticmethod(creation.ones_like)
    iota = staticmethod(creation.iota)
    arange = staticmethod(creation.arange)
    eye = staticmethod(creation.eye)
    astype = staticmethod(cast)
    widened = staticmethod(widened)
    where = staticmethod(logic.where)
    choose = staticmethod(logic.choose)
    exp = staticmethod(mathematics.exp)
    log = staticmethod(mathematics.log)
    sqrt = staticmethod(mathematics.sqrt)
    sign = staticmethod(sign)
    logical_and = staticmethod(logic.logical_and)
    logical_or = staticmethod(logic.logical_or)
    logical_not = staticmethod(logic.logical_not)
    broadcast_to = staticmethod(shapes.broadcast_to)
    reshape = staticmethod(shapes.reshape)
    expand_dims = staticmethod(shapes.expand_dims)
    permute_dims = staticmethod(shapes.permute_dims)
    flip = staticmethod(shapes.flip)
    narrow = staticmethod(shapes.narrow)
    concat = staticmethod(joining.concat)
    tril = staticmethod(creation.tril)
    triu = staticmethod(creation.triu)
    sum = staticmethod(reductions.sum)

    def known_number(self, x: Tensor) -> float | None:
        """Return the number that stands everywhere in x, None if the program does not say."""
        op = x.node.op
        if isinstance(op, BroadcastTo):
            op = x.node.inputs[0].op
        return float(op.value) if isinstance(op, Literal) else None

    def eigh_cotangent(self, y: Tensor, dy: Tensor) -> Tensor:
        """Return the cotangent of a symmetric matrix, given those of `Eigh`'s result."""
        return spectral_limits.eigh_cotangent(self.jvp, y, dy)

    def svd_cotangent(self, y: Tensor, dy: Tensor, rows: Size) -> Tensor:
        """Return the cotangent of a matrix with so many rows, given those of `Svd`'s result."""
        return spectral_limits.svd_cotangent(self.jvp, y, dy, rows)
