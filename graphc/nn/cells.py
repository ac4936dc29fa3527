"""One step of a recurrent network, as functions; and a step repeated along time.

Weights are laid out as in Keras: `kernel` (inputs, gates * units), `recurrent_kernel`
(units, gates * units), `bias` (gates * units,); the gates are concatenated along the last axis,
in the order that each cell names. In a loop, what a cell does with x alone is one contraction in
front of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.frontend import functions as fn
from graphc.frontend.functions.control import scan
from graphc.frontend.functions.operands import fail
from graphc.frontend.tensor import Tensor, lift
from graphc.frontend.typing import TensorLike
from graphc.nn import activations
from graphc.nn.activations import ActivationLike

State = tuple[Tensor, ...]
Step = Callable[[Tensor, State], State]


def rnn_cell(
    x: TensorLike,
    h: TensorLike,
    kernel: TensorLike,
    recurrent_kernel: TensorLike,
    bias: TensorLike | None = None,
    activation: ActivationLike = "tanh",
) -> Tensor:
    """activation(x @ kernel + bias + h @ recurrent_kernel): the new h."""
    x, h, kernel, recurrent = _operands("rnn_cell", x, h, kernel, recurrent_kernel, 1)
    own = _biased("rnn_cell", x @ kernel, bias)
    result: Tensor = activations.find(activation)(own + h @ recurrent)
    return result


def lstm_cell(
    x: TensorLike,
    state: Any,
    kernel: TensorLike,
    recurrent_kernel: TensorLike,
    bias: TensorLike | None = None,
    activation: ActivationLike = "tanh",
    recurrent_activation: ActivationLike = "sigmoid",
) -> tuple[Tensor, Tensor]:
    """The new (h, c) of a long short-term memory (Hochreiter and Schmidhuber 1997; Gers 2000).

    Gates in the order i f g o (input, forget, candidate, output):
    c' = f * c + i * g, h' = o * activation(c'), where g has the activation, the others
    `recurrent_activation`.
    """
    if not isinstance(state, (list, tuple)) or len(state) != 2:
        fail(ArgumentError, f"lstm_cell: the state is a pair (h, c), got {state!r}")
    h, c = state
    x, h, kernel, recurrent = _operands("lstm_cell", x, h, kernel, recurrent_kernel, 4)
    act, gate = activations.find(activation), activations.find(recurrent_activation)
    own = _biased("lstm_cell", x @ kernel, bias)
    i, f, g, o = fn.split(own + h @ recurrent, 4, axis=-1)
    memory = gate(f) * lift(c) + gate(i) * act(g)
    return gate(o) * act(memory), memory


def gru_cell(
    x: TensorLike,
    h: TensorLike,
    kernel: TensorLike,
    recurrent_kernel: TensorLike,
    bias: TensorLike | None = None,
    activation: ActivationLike = "tanh",
    recurrent_activation: ActivationLike = "sigmoid",
    reset_after: bool = True,
) -> Tensor:
    """The new h of a gated recurrent unit (Cho et al. 2014): h' = z * h + (1 - z) * n.

    Gates in the order z r n (update, reset, candidate). With `reset_after` r multiplies
    h @ recurrent_kernel + bias[1], and the bias is (2, 3 * units), that of x and that of h, as in
    cuDNN; without it r multiplies h, and the bias is (3 * units,).
    """
    x, h, kernel, recurrent = _operands("gru_cell", x, h, kernel, recurrent_kernel, 3)
    act, gate = activations.find(activation), activations.find(recurrent_activation)
    units = recurrent.shape[0]
    both = None if bias is None else lift(bias)
    if both is not None and reset_after and (both.ndim != 2 or both.shape[0] != 2):
        fail(
            ShapeError,
            f"gru_cell: with reset_after the bias has shape (2, 3 * units), got {both.type}",
            (both,),
        )
    first = both if both is None or not reset_after else both[0]
    xz, xr, xn = fn.split(_biased("gru_cell", x @ kernel, first), 3, axis=-1)
    if reset_after:
        inner = _biased("gru_cell", h @ recurrent, None if both is None else both[1])
        hz, hr, hn = fn.split(inner, 3, axis=-1)
        z, r = gate(xz + hz), gate(xr + hr)
        n = act(xn + r * hn)
    else:
        hz, hr = fn.split(h @ recurrent[:, : 2 * units], 2, axis=-1)
        z, r = gate(xz + hz), gate(xr + hr)
        n = act(xn + (r * h) @ recurrent[:, 2 * units :])
    new: Tensor = z * h + (1.0 - z) * n
    return new


def through_time(
    step: Callable[..., Any],
    x: TensorLike,
    state: Sequence[Any],
    mask: TensorLike | None = None,
    reverse: bool = False,
    truncate: int | None = None,
    checkpoint: str | int | None = None,
) -> tuple[Tensor, State]:
    """Repeat `state = step(x[:, t], state)` along axis 1 of x; return all state[0] and the last
    state.

    Where `mask` (batch, time) is False the state stays as it is, and so does the output. With
    `reverse` time runs backwards; outputs keep the order of x. `truncate` and `checkpoint` are
    those of gx.scan.
    """
    if not state:
        raise ArgumentError("through_time: needs one tensor of state or more, got none")
    rows = [_time_first(lift(x))]
    if mask is not None:
        rows.append(_time_first(lift(mask)))

    def body(state: State, row: tuple[Tensor, ...]) -> tuple[State, Tensor]:
        new = tuple(step(row[0], state))
        if mask is not None:
            inside = fn.expand_dims(row[1], 1)
            new = tuple(fn.where(inside, a, b) for a, b in zip(new, state))
        return new, new[0]

    last, ys = scan(body, tuple(state), tuple(rows), None, reverse, truncate, checkpoint)
    return _time_first(ys), last


def _time_first(x: Tensor) -> Tensor:
    """The first two axes swapped."""
    return fn.swapaxes(x, 0, 1)


def _biased(name: str, y: Tensor, bias: TensorLike | None) -> Tensor:
    if bias is None:
        return y
    b = lift(bias)
    if b.shape != y.shape[-1:]:
        fail(ShapeError, f"{name}: the bias must have shape ({y.shape[-1]},), got {b.type}", (b,))
    return y + b


def _operands(
    name: str, x: TensorLike, h: TensorLike, kernel: TensorLike, recurrent: TensorLike, gates: int
) -> list[Tensor]:
    """The operands as tensors, whose sizes fit."""
    found = [lift(v) for v in (x, h, kernel, recurrent)]
    for role, t in zip(("x", "h", "kernel", "recurrent_kernel"), found):
        if not t.dtype.is_float:
            fail(DTypeError, f"{name}: {role} must hold floats, got {t.type}", found)
        if role.endswith("kernel") and t.ndim != 2:
            fail(ShapeError, f"{name}: {role} must be a matrix, got {t.type}", found)
    x, h, kernel, recurrent = found
    units = recurrent.shape[0]
    for role, t, width in (
        ("recurrent_kernel", recurrent, gates * units),
        ("kernel", kernel, gates * units),
        ("h", h, units),
        ("x", x, kernel.shape[0]),
    ):
        if not t.ndim or t.shape[-1] != width:
            text = f"{name}: the last axis of {role} must be {width}, got {t.type}"
            fail(ShapeError, text, found, f"{units} units and {gates} gates: recurrent_kernel")
    return found
