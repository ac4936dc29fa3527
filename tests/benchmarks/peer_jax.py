"""JAX: one jitted step of value_and_grad and optax, with donated state."""

from __future__ import annotations

import os
import sys

THREADS = int(sys.argv[3])
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["NPROC"] = str(THREADS)
if THREADS == 1:
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"

from typing import Any

import jax
import jax.numpy as jnp
import optax

from tests.benchmarks.measure import arguments, measure, report
from tests.benchmarks.workloads import (
    ADAM_LEARNING_RATE,
    LEARNING_RATE,
    WORKLOADS,
    Workload,
    initial,
    minibatches,
)


def make_step(workload: Workload) -> Any:
    """numpy minibatch -> loss as a float, after one update."""
    parameters = [(jnp.asarray(w), jnp.asarray(b)) for w, b in initial(workload)]
    if workload.optimizer == "adam":
        optimizer = optax.adam(ADAM_LEARNING_RATE)
    else:
        optimizer = optax.sgd(LEARNING_RATE, momentum=workload.momentum or None)
    state: list[Any] = [parameters, optimizer.init(parameters), jax.random.PRNGKey(0)]

    def loss_of(parameters: Any, key: Any, x: Any, t: Any) -> Any:
        for i, (w, b) in enumerate(parameters):
            x = x @ w + b
            if i < len(parameters) - 1:
                x = jax.nn.relu(x)
                if workload.dropout:
                    key, used = jax.random.split(key)
                    keep = jax.random.bernoulli(used, 1 - workload.dropout, x.shape)
                    x = jnp.where(keep, x / (1 - workload.dropout), 0)
        loss = optax.softmax_cross_entropy_with_integer_labels(x, t).mean()
        return loss + workload.l2 * sum(jnp.square(w).sum() for w, _ in parameters)

    def update(parameters: Any, optimizer_state: Any, key: Any, x: Any, t: Any) -> Any:
        key, used = jax.random.split(key)
        loss, gradients = jax.value_and_grad(loss_of)(parameters, used, x, t)
        changes, optimizer_state = optimizer.update(gradients, optimizer_state, parameters)
        return optax.apply_updates(parameters, changes), optimizer_state, key, loss

    jitted = jax.jit(update, donate_argnums=(0, 1, 2))

    def step(x: Any, t: Any) -> float:
        *state[:], loss = jitted(*state, x, t)
        return float(loss)

    return step


def main() -> None:
    """Measure one workload."""
    name, _, _, seconds = arguments()
    workload = WORKLOADS[name]
    report(measure(make_step(workload), minibatches(workload), seconds))


if __name__ == "__main__":
    main()
