"""Recurrent layers: RNN, GRU, LSTM, in one or both directions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import graphc as gx
from graphc import nn
from graphc.frontend.tensor import Tensor
from graphc.onnx.call import OnnxNode, Result, Table

Function = Callable[[Tensor], Tensor]
State = tuple[Tensor, ...]
Step = Callable[[State, Tensor], State]


def activation(name: str, alpha: float | None, beta: float | None) -> Function | None:
    """The function that a word stands for; None if it stands for none."""
    a = 1.0 if alpha is None else alpha
    b = 0.0 if beta is None else beta
    functions: dict[str, Function] = {
        "relu": nn.relu,
        "tanh": gx.tanh,
        "sigmoid": gx.sigmoid,
        "affine": lambda x: x * a + b,
        "leakyrelu": lambda x: nn.leaky_relu(x, 0.01 if alpha is None else alpha),
        "thresholdedrelu": lambda x: gx.where(x > a, x, 0.0),
        "scaledtanh": lambda x: a * gx.tanh(x * (1.0 if beta is None else beta)),
        "hardsigmoid": lambda x: gx.clip(
            (0.2 if alpha is None else alpha) * x + (0.5 if beta is None else beta), 0.0, 1.0
        ),
        "elu": lambda x: nn.elu(x, a),
        "softsign": nn.softsign,
        "softplus": gx.softplus,
    }
    return functions.get(name.lower())


TAKES = {  # how many numbers a function takes from the lists of alphas and betas
    "affine": (1, 1), "leakyrelu": (1, 0), "thresholdedrelu": (1, 0), "scaledtanh": (1, 1),
    "hardsigmoid": (1, 1), "elu": (1, 0),
}  # fmt: skip


def activations(call: OnnxNode, default: tuple[str, ...], directions: int) -> list[Function]:
    """The functions of all directions in order."""
    names = call.get("activations") or default * directions
    alphas = list(call.get("activation_alpha") or ())
    betas = list(call.get("activation_beta") or ())
    found = []
    for name in names:
        a, b = TAKES.get(name.lower(), (0, 0))
        alpha = alphas.pop(0) if a and alphas else None
        beta = betas.pop(0) if b and betas else None
        function = activation(name, alpha, beta)
        if function is None:
            call.unsupported(f"activation {name!r}")
        found.append(function)
    return found


@dataclass(frozen=True)
class RecurrentOperands:
    """The operands of a layer, time first, and what they have in common."""

    call: OnnxNode
    x: Tensor
    lengths: Tensor | None
    directions: int
    hidden: int

    def initial(self, i: int) -> Tensor:
        """A first state (directions, batch, hidden); zeros if it is not given."""
        if not self.call.has(i):
            return gx.zeros((self.directions, self.x.shape[1], self.hidden), self.x.dtype)
        t = self.call.x(i)
        return gx.permute_dims(t, (1, 0, 2)) if self.call.get("layout") else t

    def limited(self, t: Tensor) -> Tensor:
        """What goes into an activation, within the bound that the node gives."""
        bound = self.call.get("clip")
        return gx.clip(t, -bound, bound) if bound else t

    def parts(self, i: int, d: int, count: int) -> list[Tensor]:
        """Operand i of a direction in equal parts along its first axis."""
        return gx.split(self.call.x(i)[d], count, 0)

    def bias(self, d: int, gates: int) -> list[Tensor]:
        """The biases of the input and of the state, gate by gate; zeros if not given."""
        if self.call.has(3):
            return self.parts(3, d, 2 * gates)
        return [gx.zeros((self.hidden,), self.x.dtype)] * (2 * gates)


def layer(call: OnnxNode) -> RecurrentOperands:
    """The operands of a node, checked."""
    x = call.x(0)
    x = gx.permute_dims(x, (1, 0, 2)) if call.get("layout") else x
    direction = call["direction"]
    if direction not in ("forward", "reverse", "bidirectional"):
        call.unsupported(f"direction {direction!r}")
    lengths = gx.astype(call.x(4), "int64") if call.has(4) else None
    directions = 2 if direction == "bidirectional" else 1
    return RecurrentOperands(call, x, lengths, directions, call.extent(-1, 2))


def run(of: RecurrentOperands, states: list[Tensor], make_step: Callable[[int], Step]) -> Result:
    """All directions; outputs as the node lists them."""
    ys, lasts = [], []
    for d in range(of.directions):
        backwards = of.call["direction"] == "reverse" or d == 1
        first = tuple(s[d] for s in states)
        y, last = through_time(of, first, make_step(d), backwards)
        ys.append(y)
        lasts.append(last)
    whole = gx.stack(ys, 1)  # (time, directions, batch, hidden)
    finals = [gx.stack([last[k] for last in lasts], 0) for k in range(len(states))]
    if of.call.get("layout"):
        whole = gx.permute_dims(whole, (2, 0, 1, 3))
        finals = [gx.permute_dims(t, (1, 0, 2)) for t in finals]
    return (whole, *finals)[: of.call.count]


def through_time(
    of: RecurrentOperands, state: State, step: Step, backwards: bool
) -> tuple[Tensor, State]:
    """The outputs of all steps in order of time, and the last state."""
    times = gx.arange(of.x.shape[0], dtype="int64")

    def body(state: State, row: tuple[Tensor, Tensor]) -> tuple[State, Tensor]:
        x, time = row
        new = step(state, x)
        if of.lengths is None:
            return new, new[0]
        inside = gx.expand_dims(of.lengths > time, 1)
        kept = tuple(gx.where(inside, a, b) for a, b in zip(new, state))
        return kept, gx.where(inside, new[0], 0.0)

    last, ys = gx.scan(body, state, (of.x, times), reverse=backwards)
    return ys, tuple(last)


def simple(call: OnnxNode) -> Result:
    """h' = f(W x + R h + b)."""
    of = layer(call)
    functions = activations(call, ("Tanh",), of.directions)

    def make_step(d: int) -> Step:
        w, r = gx.matrix_transpose(call.x(1)[d]), gx.matrix_transpose(call.x(2)[d])
        bias = sum(of.bias(d, 1)[1:], of.bias(d, 1)[0])

        def step(state: State, x: Tensor) -> State:
            return (functions[d](of.limited(x @ w + state[0] @ r + bias)),)

        return step

    return run(of, [of.initial(5)], make_step)


def gated(call: OnnxNode) -> Result:
    """A GRU: h' = (1 - z) c + z h, gates in the order z r c."""
    of = layer(call)
    functions = activations(call, ("Sigmoid", "Tanh"), of.directions)
    late = bool(call.get("linear_before_reset"))

    def make_step(d: int) -> Step:
        wz, wr, wc = (gx.matrix_transpose(w) for w in of.parts(1, d, 3))
        rz, rr, rc = (gx.matrix_transpose(r) for r in of.parts(2, d, 3))
        bz, br, bc, sz, sr, sc = of.bias(d, 3)
        f, g = functions[2 * d : 2 * d + 2]

        def step(state: State, x: Tensor) -> State:
            (h,) = state
            z = f(of.limited(x @ wz + h @ rz + (bz + sz)))
            r = f(of.limited(x @ wr + h @ rr + (br + sr)))
            inner = r * (h @ rc + sc) if late else (r * h) @ rc + sc
            c = g(of.limited(x @ wc + bc + inner))
            return ((1.0 - z) * c + z * h,)

        return step

    return run(of, [of.initial(5)], make_step)


def long_short(call: OnnxNode) -> Result:
    """An LSTM: c' = f c + i k, h' = o g(c'), gates in the order i o f k, with peepholes."""
    of = layer(call)
    functions = activations(call, ("Sigmoid", "Tanh", "Tanh"), of.directions)

    def make_step(d: int) -> Step:
        w, r = gx.matrix_transpose(call.x(1)[d]), gx.matrix_transpose(call.x(2)[d])
        bias = of.bias(d, 4)
        b = gx.concat([a + s for a, s in zip(bias[:4], bias[4:])], 0)
        peep = of.parts(7, d, 3) if call.has(7) else None
        f, g, h = functions[3 * d : 3 * d + 3]

        def step(state: State, x: Tensor) -> State:
            gates = gx.split(x @ w + state[0] @ r + b, 4, -1)
            return cell(of, gates, state[1], peep, (f, g, h))

        return step

    return run(of, [of.initial(5), of.initial(6)], make_step)


def cell(
    of: RecurrentOperands,
    gates: list[Tensor],
    memory: Tensor,
    peep: list[Tensor] | None,
    functions: tuple[Function, Function, Function],
) -> State:
    """The new output and memory of an LSTM, from what its gates get."""
    i, o, forget, k = gates
    f, g, h = functions
    if peep is not None:
        i, forget = i + peep[0] * memory, forget + peep[2] * memory
    i = f(of.limited(i))
    kept = 1.0 - i if of.call.get("input_forget") else f(of.limited(forget))
    new = kept * memory + i * g(of.limited(k))
    if peep is not None:
        o = o + peep[1] * new
    return f(of.limited(o)) * h(new), new


TABLE: Table = {("RNN", 1): simple, ("GRU", 1): gated, ("LSTM", 1): long_short}
