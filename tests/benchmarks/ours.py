"""graphc: one compiled training step."""

from __future__ import annotations

from typing import Any

import graphc as gx
from tests.benchmarks.measure import arguments, measure, report
from tests.benchmarks.workloads import (
    ADAM_LEARNING_RATE,
    LEARNING_RATE,
    WORKLOADS,
    Workload,
    initial,
    minibatches,
)


def build(workload: Workload, threads: int | None) -> Any:
    """The compiled step of a workload."""
    batch = gx.dim("batch")
    x = gx.input("x", (batch, workload.layers[0]))
    t = gx.input("t", (batch,), dtype="int32")
    value, kernels = x, []
    layers = initial(workload)
    for i, (kernel, bias) in enumerate(layers):
        w = gx.parameter(f"dense_{i}/kernel", value=kernel)
        b = gx.parameter(f"dense_{i}/bias", value=bias)
        kernels.append(w)
        value = value @ w + b
        if i < len(layers) - 1:
            value = gx.nn.relu(value)
            if workload.dropout:
                value = gx.nn.dropout(value, workload.dropout, name=f"dropout_{i}")
    loss = gx.nn.softmax_cross_entropy(value, t).mean()
    if workload.l2:
        for w in kernels:
            loss = loss + workload.l2 * (w * w).sum()
    if workload.optimizer == "adam":
        optimizer: Any = gx.optim.Adam(ADAM_LEARNING_RATE)
    else:
        optimizer = gx.optim.SGD(LEARNING_RATE, momentum=workload.momentum)
    return gx.compile([x, t], loss, optimizer.minimize(loss), threads=threads)


def main() -> None:
    """Measure one workload."""
    name, _, threads, seconds = arguments()
    step = build(WORKLOADS[name], threads)
    batches = minibatches(WORKLOADS[name])
    report(measure(lambda x, t: float(step(x, t)), batches, seconds))


if __name__ == "__main__":
    main()
