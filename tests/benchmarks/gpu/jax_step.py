"""Steps of JAX: one jitted function of value_and_grad and optax, with donated state."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from tests.benchmarks.gpu.jax_models import NETWORKS, Products, Weights
from tests.benchmarks.gpu.settings import BF16, TF32, Setting
from tests.benchmarks.gpu.timing import Timed

OPTIMIZERS = {
    "momentum": lambda: optax.sgd(0.01, momentum=0.9),
    "adam": lambda: optax.adam(1e-3),
    "adamw": lambda: optax.adamw(1e-3),
    "adagrad": lambda: optax.adagrad(0.01),
}


def make(setting: Setting, variant: str, device: str) -> Timed:
    """The step; `variant` says nothing."""
    jax.config.update("jax_platforms", "cuda" if device == "cuda" else "cpu")
    exact = "tensorfloat32" if setting.precision == TF32 else "highest"
    jax.config.update("jax_default_matmul_precision", exact)
    products = Products(jnp.bfloat16 if setting.precision == BF16 else jnp.float32)
    network = NETWORKS[setting.network]
    batches = setting.batches(1)
    parameters = initial(lambda w: network(setting, w, products, *batches[0]))
    optimizer = OPTIMIZERS[setting.optimizer]()

    def loss_of(parameters: Any, *batch: Any) -> Any:
        return network(setting, Weights(parameters), products, *batch)

    def update(parameters: Any, state: Any, *batch: Any) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(parameters, *batch)
        changes, state = optimizer.update(gradients, state, parameters)
        return optax.apply_updates(parameters, changes), state, loss

    jitted = jax.jit(update, donate_argnums=(0, 1))
    held: list[Any] = [parameters, optimizer.init(parameters), None]

    def step(*batch: Any) -> Any:
        held[:] = jitted(held[0], held[1], *batch)
        return held[2]

    def put(*batch: Any) -> tuple[Any, ...]:
        return tuple(jax.device_put(a) for a in batch)

    count = sum(p.size for p in parameters.values())
    wait = lambda: jax.block_until_ready(held)  # noqa: E731
    return Timed(lambda *batch: float(step(*batch)), step, put, wait, count)


def initial(run: Any) -> dict[str, Any]:
    """The weights that a network asks for, found by following it without computing."""
    asked = Weights({}, np.random.RandomState(0))
    jax.eval_shape(lambda: run(asked))
    return {name: jnp.asarray(value) for name, value in asked.values.items()}
