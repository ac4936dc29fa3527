"""The network of an estimator: built from a plan, trained, run, pickled, exported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc import optim
from graphc import origin as origins
from graphc.errors import ArgumentError, ShapeError
from graphc.frontend import symbols
from graphc.frontend.seed import seeded
from graphc.frontend.tensor import Tensor
from graphc.ir.types import Array
from graphc.nn.activations import softmax
from graphc.nn.layers import Dense
from graphc.nn.model import Sequential
from graphc.nn.standardize import Standardize
from graphc.runtime.function import CompiledFunction, compile

ROWS = 4096  # that are predicted together
Model = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Plan:
    """What a network is built from; the same plan builds the same network."""

    features: int
    outputs: int
    hidden: tuple[int, ...]
    model: Model | None
    end: str  # of the outputs: "softmax", "units" of the targets, or "codes" to be decoded
    seed: int


class Network:
    """Standardised features through a model, and what its outputs mean.

    A pickle of it has the plan and the values of the parameters.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        with seeded(plan.seed):
            self._build()

    def _build(self) -> None:
        plan = self.plan
        self.before = Standardize(name="before")
        self.after = Standardize(invert=True, name="after")
        self.body = Sequential([plan.model] if plan.model else _dense(plan.hidden, plan.outputs))
        self.decoder = Sequential(_dense(plan.hidden[::-1], plan.features))
        x = symbols.input("x", ("batch", plan.features))
        outputs = self.body(self.before(x))
        self.functions: dict[str, tuple[Tensor, Tensor]] = {}
        self.compiled: dict[str, CompiledFunction] = {}
        if outputs.shape != (x.shape[0], plan.outputs):
            raise ShapeError(
                f"the model gives {outputs.type}, needed is ({x.shape[0]}, {plan.outputs})",
                origin=origins.find_origin(),
                hint="its last layer: gx.nn.Dense with that many units",
            )
        if plan.end == "codes":
            codes = symbols.input("codes", ("batch", plan.outputs))
            self.functions["inverse"] = codes, self.after(self.decoder(codes))
        if plan.end == "units":
            outputs = self.after(outputs)
        if plan.end == "softmax":
            outputs = softmax(outputs)
        self.functions["predict"] = x, outputs
        layers = [self.before, self.body, self.decoder, self.after]
        self.parameters = [p for layer in layers for p in layer.parameters]

    def train(
        self, x: Array, y: Array, loss: str, weights: Array | None, options: dict[str, Any]
    ) -> dict[str, list[float]]:
        """Train the model and return what happened; `options` are those of the estimator."""
        layers: list[Any] = [self.before, self.body]
        layers += [self.decoder] if self.plan.end == "codes" else []
        with seeded(self.plan.seed):
            net = Sequential(layers)
            net.compile(optim.Adam(options["learning_rate"]), loss)
            history = net.fit(
                x, y, options["batch_size"], options["epochs"], seed=self.plan.seed,
                verbose=False, sample_weight=weights,
            )  # fmt: skip
        return {"loss": [float(loss) for loss in history["loss"]]}

    def function(self, name: str) -> CompiledFunction:
        """A function of the network, compiled when it is first asked for."""
        if name not in self.compiled:
            x, outputs = self.functions[name]
            self.compiled[name] = compile([x], outputs, mode="inference", name=name)
        return self.compiled[name]

    def run(self, name: str, x: Array) -> Array:
        """What a function gives for the rows of x, float32."""
        function, x = self.function(name), np.asarray(x, np.float32)
        parts = [np.asarray(function(x[i : i + ROWS])) for i in range(0, len(x), ROWS)]
        return np.concatenate(parts)

    def __getstate__(self) -> dict[str, Any]:
        return {"plan": self.plan, "values": [p.value for p in self.parameters]}

    def __setstate__(self, state: dict[str, Any]) -> None:
        Network.__init__(self, state["plan"])
        for parameter, value in zip(self.parameters, state["values"]):
            parameter.value = value


def _dense(hidden: tuple[int, ...], outputs: int) -> list[Model]:
    return [*(Dense(units, activation="relu") for units in hidden), Dense(outputs)]


def check_options(estimator: Any) -> dict[str, Any]:
    """The arguments of an estimator as `train` takes them; raises where one makes no sense."""
    found: dict[str, Any] = estimator.get_params(deep=False)
    for word in ("epochs", "batch_size", "seed"):
        least, value = int(word != "seed"), found[word]
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
            raise ArgumentError(
                f"{type(estimator).__name__}: {word} must be an int of {least} or more,"
                f" got {value!r:.60}",
                origin=origins.find_origin(),
            )
        found[word] = int(value)
    if not isinstance(found["hidden"], (tuple, list)):
        raise ArgumentError(
            f"{type(estimator).__name__}: hidden must be a tuple, got {found['hidden']!r:.60}",
            origin=origins.find_origin(),
            hint="the units of each hidden layer: hidden=(64, 32)",
        )
    return found
